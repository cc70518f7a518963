//! `backup` and `restore` of a directory: what a backup has, what a restore gives back, and what both
//! refuse.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use session_ledger::app::files::DataDir;
use session_ledger::domain::Timestamp;
use session_ledger::log::{EmbeddedRestore, NewRecord};

use crate::support::cli::{Server, command, fails, ok, stderr};

/// Returns the directory of a stopped server with two sessions and a revoked key.
fn ledger() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    more(&dir, &["s-1", "s-2"]);
    dir
}

/// Adds a session for each id, and a key that is revoked at once.
fn more(dir: &tempfile::TempDir, sessions: &[&str]) {
    let server = Server::start(dir.path());
    for id in sessions {
        server.ok(&["emit", "session.created", id, "--agent", "a-1"]);
    }
    server.terminate();
    let key = keys(dir.path(), &["issue", "--role", "read", "--json"]);
    let key: Value = serde_json::from_str(&key).unwrap();
    keys(dir.path(), &["revoke", key["key_id"].as_str().unwrap()]);
}

fn keys(dir: &Path, args: &[&str]) -> String {
    let place = ["--tenant", "acme", "--data-dir", text(dir)];
    ok(&[&["keys"], args, &place].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn backup(dir: &Path, to: &Path) -> Value {
    let args = [
        "backup",
        "--json",
        "--data-dir",
        text(dir),
        "--to",
        text(to),
    ];
    serde_json::from_str(&ok(&args)).unwrap()
}

fn restore(from: &Path, dir: &Path) -> Value {
    let args = ["restore", text(from), "--json", "--data-dir", text(dir)];
    serde_json::from_str(&ok(&args)).unwrap()
}

/// The position, chain and digest of a read model that is built from the log of a directory.
fn state(dir: &Path) -> Value {
    let rebuilt = ok(&["rebuild", "--json", "--data-dir", text(dir)]);
    let rebuilt: Value = serde_json::from_str(&rebuilt).unwrap();
    let fields = ["position", "chain", "digest"];
    fields
        .map(|name| rebuilt[name].clone())
        .into_iter()
        .collect()
}

/// The names and contents of the files of a backup, without its manifest.
fn segments(backup: &Path) -> Vec<(String, Vec<u8>)> {
    let names = fs::read_dir(backup).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = names
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(_, path)| path.extension().is_some_and(|kind| kind == "zst"))
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_restored_ledger_is_the_same_and_goes_on() {
    let (old, place) = (ledger(), tempfile::tempdir().unwrap());
    let (to, new) = (place.path().join("b"), place.path().join("new"));
    let made = backup(old.path(), &to);
    let before = state(old.path());
    assert_eq!(
        (&made["position"], &made["chain"]),
        (&before[0], &before[1])
    );
    let restored = restore(&to, &new);
    assert_eq!(restored["position"], made["position"]);
    assert_eq!(restored["lost"].as_array().unwrap().len(), 0);
    assert_eq!(state(&new), before);
    let of = |dir| keys(dir, &["list", "--json"]);
    assert_eq!(of(&new), of(old.path()), "keys, also revoked ones");

    let server = Server::start(&new);
    server.ok(&["emit", "session.terminated", "s-1"]);
    let shown = server.ok(&["show", "s-1", "--json"]);
    assert!(shown.contains("\"terminated\""), "{shown}");
    server.terminate();
    ok(&["verify", "--data-dir", text(&new)]);
}

#[test]
fn a_second_run_adds_only_what_is_new() {
    let (dir, place) = (ledger(), tempfile::tempdir().unwrap());
    let (parts, whole) = (place.path().join("parts"), place.path().join("whole"));
    backup(dir.path(), &parts);
    let first = segments(&parts);
    assert_eq!(backup(dir.path(), &parts)["added"], 0);
    assert_eq!(segments(&parts), first);
    more(&dir, &["s-3"]);
    // One event, and a key that was issued and revoked.
    assert_eq!(backup(dir.path(), &parts)["added"], 3);
    assert_eq!(segments(&parts).len(), 4);
    backup(dir.path(), &whole);
    assert_eq!(segments(&whole).len(), 2);
    let (from_parts, from_whole) = (place.path().join("p"), place.path().join("w"));
    restore(&parts, &from_parts);
    restore(&whole, &from_whole);
    assert_eq!(state(&from_parts), state(&from_whole));
    assert_eq!(state(&from_parts), state(dir.path()));
}

#[test]
fn an_interrupted_backup_is_continued() {
    let (dir, place) = (ledger(), tempfile::tempdir().unwrap());
    let to = place.path().join("b");
    backup(dir.path(), &to);
    more(&dir, &["s-3"]);
    // What a process leaves that is killed between a segment and the manifest, or within a segment.
    fs::write(to.join("events-00000000000000000004.ndjson.zst"), "torn").unwrap();
    fs::write(to.join(".writing-abc"), "torn").unwrap();
    assert_eq!(backup(dir.path(), &to)["added"], 3);
    assert!(!to.join(".writing-abc").exists());
    ok(&["restore", text(&to), "--check"]);
}

#[test]
fn a_backup_of_another_ledger_is_not_continued() {
    let (one, other, place) = (ledger(), ledger(), tempfile::tempdir().unwrap());
    let to = place.path().join("b");
    backup(one.path(), &to);
    more(&other, &["s-3"]);
    let before = segments(&to);
    let args = [
        "backup",
        "--data-dir",
        text(other.path()),
        "--to",
        text(&to),
    ];
    let error = fails(&args, 1);
    assert!(error.contains("another ledger"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    Server::start(empty.path()).terminate();
    let args = [
        "backup",
        "--data-dir",
        text(empty.path()),
        "--to",
        text(&to),
    ];
    let error = fails(&args, 1);
    assert!(error.contains("before the end of the backup"), "{error}");
    assert_eq!(segments(&to), before);
    ok(&["restore", text(&to), "--check"]);
}

#[test]
fn a_backup_of_another_log_of_events_takes_no_keys_either() {
    let (one, other, place) = (ledger(), ledger(), tempfile::tempdir().unwrap());
    let to = place.path().join("b");
    backup(one.path(), &to);
    let before = segments(&to);
    more(&one, &[]);
    fs::copy(other.path().join("log.redb"), one.path().join("log.redb")).unwrap();
    let args = ["backup", "--data-dir", text(one.path()), "--to", text(&to)];
    let error = fails(&args, 1);
    assert!(error.contains("of the log of events"), "{error}");
    assert_eq!(segments(&to), before);
}

#[test]
fn arguments_name_one_ledger_and_go_before_variables() {
    let (dir, place) = (ledger(), tempfile::tempdir().unwrap());
    let to = place.path().join("b");
    let (url, nats) = ("http://127.0.0.1:1", "nats://127.0.0.1:1");
    let made = command(&["backup", "--data-dir", text(dir.path()), "--to", text(&to)])
        .env("SESSION_LEDGER_URL", url)
        .env("SESSION_LEDGER_KEY", "slk_wrong")
        .env("SESSION_LEDGER_NATS_URL", nats)
        .output();
    assert!(made.as_ref().unwrap().status.success(), "{made:?}");
    // The directory of a node on NATS has the secret, and perhaps an old log that the node does not use.
    let with_secret = ["backup", "--with-secret", "--data-dir", text(dir.path())];
    let refused = command(&[&with_secret[..], &["--to", text(&to)]].concat())
        .env("SESSION_LEDGER_NATS_URL", nats)
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(stderr(&refused).contains("SESSION_LEDGER_NATS_URL"));
    let asked = command(&["backup", "--nats-url", nats, "--to", text(&to)])
        .env("SESSION_LEDGER_URL", url)
        .output();
    let said = stderr(&asked.unwrap());
    assert!(said.contains("the log is unavailable"), "{said}");
    let here = ["--data-dir", text(dir.path())];
    let (url, nats) = (["--url", url], ["--nats-url", nats]);
    for both in [[here, url], [url, nats], [here, nats]] {
        let args = [&["backup", "--to", text(&to)], &both.concat()[..]].concat();
        let error = fails(&args, 2);
        assert!(error.contains("give "), "{error}");
    }
}

#[test]
fn a_backup_takes_no_directory_with_other_files() {
    let (dir, place) = (ledger(), tempfile::tempdir().unwrap());
    fs::write(place.path().join("thesis.tex"), "").unwrap();
    let args = [
        "backup",
        "--data-dir",
        text(dir.path()),
        "--to",
        text(place.path()),
    ];
    let error = fails(&args, 1);
    assert!(error.contains("has files and no manifest.json"), "{error}");
}

#[test]
fn a_backup_as_a_stream_is_the_same_backup() {
    let (dir, place) = (ledger(), tempfile::tempdir().unwrap());
    let (to, unpacked) = (place.path().join("b"), place.path().join("t"));
    backup(dir.path(), &to);
    let args = [
        "backup",
        "--data-dir",
        text(dir.path()),
        "--with-secret",
        "--to",
        "-",
    ];
    let output = crate::support::cli::run(&args);
    assert!(output.status.success(), "{output:?}");
    fs::create_dir(&unpacked).unwrap();
    let archive = place.path().join("b.tar");
    fs::write(&archive, output.stdout).unwrap();
    let untar = ["-xf", text(&archive), "-C", text(&unpacked)];
    let status = std::process::Command::new("tar").args(untar).status();
    assert!(status.unwrap().success());
    assert_eq!(segments(&unpacked), segments(&to));
    let new = place.path().join("new");
    restore(&unpacked, &new);
    let secret = |dir: &Path| fs::read(dir.join("token.secret")).unwrap();
    assert_eq!(secret(&new), secret(dir.path()));
}

#[test]
fn the_files_of_a_backup_are_private_and_other_tools_can_read_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, place) = (ledger(), tempfile::tempdir().unwrap());
    let to = place.path().join("b");
    backup(dir.path(), &to);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&to), 0o700);
    for (name, bytes) in segments(&to) {
        assert_eq!(mode(&to.join(&name)), 0o600, "{name}");
        let text = String::from_utf8(zstd::decode_all(&*bytes).unwrap()).unwrap();
        for (number, line) in text.lines().enumerate() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["position"], number + 1);
            assert!(
                line["payload"]
                    .as_str()
                    .unwrap()
                    .contains("\"specversion\"")
            );
        }
    }
    assert!(!to.join("token.secret").exists(), "only if it is wanted");
}

#[test]
fn a_restore_replaces_no_log() {
    let (dir, place) = (ledger(), tempfile::tempdir().unwrap());
    let to = place.path().join("b");
    backup(dir.path(), &to);
    for log in ["log.redb", "admin.redb"] {
        let new = tempfile::tempdir().unwrap();
        fs::write(new.path().join(log), "").unwrap();
        let error = fails(&["restore", text(&to), "--data-dir", text(new.path())], 1);
        assert!(error.contains("a restore replaces no log"), "{error}");
    }
}

/// A restore links its new logs to their names, the log of events last, and then removes their first names.
#[test]
fn no_server_opens_a_ledger_that_is_not_wholly_restored_and_a_second_restore_completes_it() {
    let (dir, place) = (ledger(), tempfile::tempdir().unwrap());
    let (to, new) = (place.path().join("b"), place.path().join("new"));
    backup(dir.path(), &to);
    for is_put in [false, true] {
        restore(&to, &new);
        // What a process leaves that is killed before it has put the log of events there.
        let file = |name: &str| new.join(name);
        fs::rename(file("log.redb"), file("restoring.events.redb")).unwrap();
        fs::rename(file("admin.redb"), file("restoring.keys.redb")).unwrap();
        if is_put {
            fs::hard_link(file("restoring.keys.redb"), file("admin.redb")).unwrap();
        }
        let here = ["--data-dir", text(&new)];
        let serve = ["serve", "--no-auth", "--listen", "127.0.0.1:0"];
        let issue = ["keys", "issue", "--role", "read", "--tenant", "acme"];
        for args in [&issue[..], &serve] {
            let error = fails(&[args, &here].concat(), 1);
            assert!(error.contains("was interrupted"), "{args:?}: {error}");
        }
        assert_eq!(file("admin.redb").exists(), is_put);
        assert!(!file("log.redb").exists());
        restore(&to, &new);
        assert!(!file("restoring.events.redb").exists() && !file("restoring.keys.redb").exists());
        assert_eq!(state(&new), state(dir.path()));
        fs::remove_dir_all(&new).unwrap();
    }
}

#[test]
fn a_restore_runs_once_in_a_directory_and_no_server_starts_in_it() {
    let (dir, place) = (ledger(), tempfile::tempdir().unwrap());
    let (to, new) = (place.path().join("b"), place.path().join("new"));
    backup(dir.path(), &to);
    fs::create_dir(&new).unwrap();
    // What a restore that runs has in its new directory, which has no read model that it could lock.
    let running = DataDir::new(&new).lock().unwrap();
    let log = new.join("restoring.events.redb");
    fs::write(&log, "").unwrap();
    let serve = ["serve", "--no-auth", "--listen", "127.0.0.1:0"];
    for args in [&["restore", text(&to)][..], &serve] {
        let error = fails(&[args, &["--data-dir", text(&new)]].concat(), 1);
        assert!(error.contains("is running"), "{args:?}: {error}");
    }
    assert!(log.exists());
    drop(running);
    restore(&to, &new);
    assert_eq!(state(&new), state(dir.path()));
}

/// After a power failure, the first name of the log of keys can be there again.
#[test]
fn a_first_name_that_is_left_does_not_let_a_later_restore_remove_the_live_log_of_keys() {
    let (dir, other, place) = (ledger(), ledger(), tempfile::tempdir().unwrap());
    let to = place.path().join("b");
    let file = |name: &str| dir.path().join(name);
    let leave = || fs::hard_link(file("admin.redb"), file("restoring.keys.redb")).unwrap();
    leave();
    keys(dir.path(), &["list"]);
    assert!(!file("restoring.keys.redb").exists());
    leave();
    fs::remove_file(file("log.redb")).unwrap();
    backup(other.path(), &to);
    let args = ["restore", text(&to), "--data-dir", text(dir.path())];
    let error = fails(&args, 1);
    assert!(error.contains("positions 3 to 3"), "{error}");
    assert!(file("admin.redb").exists());
}

#[test]
fn a_restore_does_not_go_behind_what_the_directory_has_seen_unless_told() {
    let (dir, place) = (ledger(), tempfile::tempdir().unwrap());
    let to = place.path().join("b");
    backup(dir.path(), &to);
    // Read by a server, so that both the read model and `keys.seen` know of it.
    more(&dir, &["s-3", "s-4"]);
    more(&dir, &[]);
    for log in ["log.redb", "admin.redb"] {
        fs::remove_file(dir.path().join(log)).unwrap();
    }
    let here = text(dir.path());
    let args = ["restore", text(&to), "--data-dir", here];
    let error = fails(&args, 1);
    assert!(
        error.contains("positions 4 to 5 of the log of events"),
        "{error}"
    );
    assert!(error.contains("of the log of keys"), "{error}");
    assert!(!dir.path().join("log.redb").exists());
    let told = ok(&[&args[..], &["--accept-loss"]].concat());
    assert!(told.contains("LOST:"), "{told}");
    assert!(
        told.contains("positions 4 to 5 of the log of events"),
        "{told}"
    );
    let error = fails(&["rebuild", "--data-dir", here], 1);
    assert!(error.contains("--accept-truncation"), "{error}");
    ok(&["rebuild", "--data-dir", here, "--accept-truncation"]);
    let server = Server::start(dir.path());
    server.ok(&["emit", "session.created", "s-5", "--agent", "a-1"]);
    server.terminate();
}

#[test]
fn a_restore_does_not_go_behind_another_backup_unless_told() {
    let (dir, place) = (ledger(), tempfile::tempdir().unwrap());
    let [old, newest, other] = ["old", "newest", "other"].map(|name| place.path().join(name));
    let [a, b, c] = ["a", "b", "c"].map(|name| place.path().join(name));
    backup(dir.path(), &old);
    more(&dir, &["s-3"]);
    backup(dir.path(), &newest);
    let args = ["restore", text(&old), "--data-dir", text(&a)];
    let seen = [&args[..], &["--seen", text(&newest)]].concat();
    let error = fails(&seen, 1);
    assert!(
        error.contains("positions 4 to 4 of the log of events"),
        "{error}"
    );
    assert!(error.contains("of the log of keys"), "{error}");
    assert!(error.contains(text(&newest)), "{error}");
    let told = ok(&[&seen[..], &["--accept-loss"]].concat());
    assert!(told.contains("LOST:"), "{told}");

    let args = ["restore", text(&newest), "--data-dir", text(&b)];
    ok(&[&args[..], &["--seen", text(&old), "--seen", text(&newest)]].concat());
    backup(ledger().path(), &other);
    let args = ["restore", text(&newest), "--data-dir", text(&c)];
    let error = fails(&[&args[..], &["--seen", text(&other)]].concat(), 1);
    assert!(error.contains(text(&other)), "{error}");
}

#[test]
fn a_restore_refuses_the_backup_of_another_ledger() {
    let (one, other, place) = (ledger(), ledger(), tempfile::tempdir().unwrap());
    let to = place.path().join("b");
    backup(one.path(), &to);
    for log in ["log.redb", "admin.redb"] {
        fs::remove_file(other.path().join(log)).unwrap();
    }
    let args = ["restore", text(&to), "--data-dir", text(other.path())];
    let error = fails(&args, 1);
    assert!(error.contains("the read model"), "{error}");
    assert!(error.contains("positions 3 to 3"), "{error}");
    assert!(!other.path().join("log.redb").exists());
    assert!(!other.path().join("admin.redb").exists());
}

#[test]
fn a_backup_of_a_directory_that_a_server_holds_says_so() {
    let (dir, place) = (ledger(), tempfile::tempdir().unwrap());
    let server = Server::start(dir.path());
    let to = place.path().join("b");
    let args = ["backup", "--data-dir", text(dir.path()), "--to", text(&to)];
    let error = fails(&args, 1);
    assert!(error.contains("a server holds the directory"), "{error}");
    server.terminate();
}

/// A log of 192 MiB passes through processes that may have 160 MiB of data.
#[test]
fn a_backup_and_its_check_hold_a_bounded_part_of_a_log_in_memory() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let old = path("old");
    fs::create_dir(&old).unwrap();
    let mut admin = EmbeddedRestore::create(&old.join("admin.redb")).unwrap();
    admin.write(&[]).unwrap();
    let mut log = EmbeddedRestore::create(&old.join("log.redb")).unwrap();
    let record = NewRecord {
        subject: "ledger.v1.acme.session.created".into(),
        private: bytes::Bytes::new(),
        body: vec![b'x'; 64 * 1024].into(),
    };
    log.write(&vec![(record, Timestamp::MIN); 3 * 1024])
        .unwrap();
    drop((admin, log));
    let limited = |args: &[&str]| {
        let command = command(args);
        let mut limited = std::process::Command::new("prlimit");
        limited
            .arg(format!("--data={}", 160 * 1024 * 1024))
            .arg(command.get_program())
            .args(command.get_args())
            // On many cores, the stacks of threads and the arenas of the allocator take more.
            .env("TOKIO_WORKER_THREADS", "2")
            .env("MALLOC_ARENA_MAX", "2");
        let output = limited.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    };
    let to = path("b");
    limited(&["backup", "--data-dir", text(&old), "--to", text(&to)]);
    limited(&["restore", "--check", text(&to)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_changed_byte_of_a_backup_is_found_and_its_file_is_named(
        file in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let backup = whole_backup();
        let damaged = tempfile::tempdir().unwrap();
        let names = ["manifest.json", "events-00000000000000000001.ndjson.zst",
            "keys-00000000000000000001.ndjson.zst", "token.secret"];
        for name in names {
            fs::copy(backup.join(name), damaged.path().join(name)).unwrap();
        }
        let name = names[file.index(names.len())];
        let path = damaged.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(&path, bytes).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let checked = session_ledger::app::restore::check(damaged.path(), |_step| {});
        let error = runtime.block_on(checked).unwrap_err().to_string();
        prop_assert!(error.contains(name), "byte {at} of {name}: {error}");
    }
}

/// A backup that the process makes once.
fn whole_backup() -> std::path::PathBuf {
    static MADE: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let place = MADE.get_or_init(|| {
        let (dir, place) = (ledger(), tempfile::tempdir().unwrap());
        let to = place.path().join("b");
        ok(&[
            "backup",
            "--data-dir",
            text(dir.path()),
            "--with-secret",
            "--to",
            text(&to),
        ]);
        place
    });
    place.path().join("b")
}
