//! `rebuild` and `verify` on sound and damaged directories.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use session_ledger::domain::Position;
use session_ledger::log::{EmbeddedLog, EventLog, NewRecord};

use crate::support::cli::{Server, fails, ok, run, stdout};
use crate::support::clock::ManualClock;

/// Returns the directory of a stopped server, with one session for each of these agents.
fn ledger(agents: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    for (number, agent) in agents.iter().enumerate() {
        let id = format!("s-{number}");
        server.ok(&["emit", "session.created", &id, "--agent", agent]);
    }
    server.terminate();
    dir
}

fn path(dir: &tempfile::TempDir) -> &str {
    dir.path().to_str().unwrap()
}

fn rebuild(args: &[&str]) -> Value {
    serde_json::from_str(&ok(&[&["rebuild", "--json", "--data-dir"], args].concat())).unwrap()
}

/// Replaces every occurrence of some bytes in a file with others of the same length.
fn tamper(file: &Path, from: &str, to: impl AsRef<[u8]>) {
    let to = to.as_ref();
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(file).unwrap();
    let mut found = false;
    for at in 0..bytes.len().saturating_sub(from.len()) {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to);
            found = true;
        }
    }
    assert!(found, "{} does not hold {from}", file.display());
    fs::write(file, bytes).unwrap();
}

fn total(dir: &tempfile::TempDir) -> u64 {
    let page = ok(&[
        "list",
        "--tenant",
        "acme",
        "--json",
        "--data-dir",
        path(dir),
    ]);
    let page: Value = serde_json::from_str(&page).unwrap();
    page["total"].as_u64().unwrap()
}

#[test]
fn a_rebuild_gives_the_same_bytes_again_and_again() {
    let dir = ledger(&["a-1", "a-2", "a-1"]);
    let first = rebuild(&[path(&dir)]);
    assert_eq!(first["comparison"]["result"], "equal", "{first}");
    assert_eq!(first["position"], 4);
    let second = rebuild(&[path(&dir)]);
    assert_eq!(first["digest"], second["digest"]);
    fs::remove_file(dir.path().join("model.redb")).unwrap();
    let third = rebuild(&[path(&dir)]);
    assert_eq!(third["comparison"]["result"], "no_live_model");
    assert_eq!(first["digest"], third["digest"]);
    assert_eq!(total(&dir), 3);
}

#[test]
fn a_rebuild_replaces_and_keeps_an_unreadable_file() {
    let dir = ledger(&["a-1"]);
    let garbage = "not a database ".repeat(1000);
    fs::write(dir.path().join("model.redb"), &garbage).unwrap();
    let rebuilt = rebuild(&[path(&dir)]);
    assert_eq!(rebuilt["comparison"]["result"], "unreadable", "{rebuilt}");
    let kept = fs::read_to_string(dir.path().join("model.replaced-0.redb")).unwrap();
    assert_eq!(kept, garbage);
    assert_eq!(total(&dir), 1);
}

#[test]
fn an_interrupted_rebuild_leaves_the_live_file_and_is_cleaned_up() {
    let dir = ledger(&["a-1"]);
    fs::write(dir.path().join("model.rebuild.redb"), "torn").unwrap();
    assert_eq!(total(&dir), 1);
    let checked = ok(&["doctor", "--data-dir", path(&dir)]);
    assert!(checked.contains("a rebuild was interrupted"), "{checked}");
    assert_eq!(rebuild(&[path(&dir)])["comparison"]["result"], "equal");
    assert!(!dir.path().join("model.rebuild.redb").exists());
}

#[test]
fn a_rebuild_names_a_file_that_it_cannot_remove() {
    let dir = ledger(&["a-1"]);
    fs::create_dir(dir.path().join("model.rebuild.redb")).unwrap();
    let error = fails(&["rebuild", "--data-dir", path(&dir)], 1);
    assert!(error.contains("cannot remove"), "{error}");
    assert!(error.contains("model.rebuild.redb"), "{error}");
}

#[test]
fn a_truncated_log_is_an_alarm_until_it_is_accepted() {
    let (long, short) = (ledger(&["a-1", "a-2", "a-3"]), ledger(&["a-1"]));
    fs::copy(short.path().join("log.redb"), long.path().join("log.redb")).unwrap();
    let error = fails(&["rebuild", "--data-dir", path(&long)], 1);
    assert!(error.contains("--accept-truncation"), "{error}");
    let differs = run(&["verify", "--json", "--data-dir", path(&long)]);
    assert_eq!(differs.status.code(), Some(1));
    let verified: Value = serde_json::from_str(&stdout(&differs)).unwrap();
    assert_eq!(verified["model_position"], 4, "the read model is unchanged");
    let difference = verified["differences"][0].as_str().unwrap();
    assert!(
        difference.contains("the log ends at position 2"),
        "{difference}"
    );

    let rebuilt = rebuild(&[path(&long), "--accept-truncation"]);
    assert_eq!(rebuilt["comparison"]["result"], "other_log", "{rebuilt}");
    // The logs share no record: their records have different times.
    assert_eq!(rebuilt["lost"]["first"], 1);
    assert_eq!(rebuilt["lost"]["last"], 4);
    assert!(long.path().join("model.replaced-4.redb").exists());
    let reasons = fs::read_to_string(long.path().join("model.replaced-4.json")).unwrap();
    let reasons: Value = serde_json::from_str(&reasons).unwrap();
    assert_eq!(reasons["rebuilt"]["lost"], rebuilt["lost"]);
    assert_eq!(total(&long), 1);
    ok(&["verify", "--data-dir", path(&long)]);
}

#[test]
fn only_the_records_after_the_truncation_are_lost() {
    let dir = ledger(&["a-1"]);
    let log = fs::read(dir.path().join("log.redb")).unwrap();
    let server = Server::start(dir.path());
    server.ok(&["emit", "session.terminated", "s-0"]);
    server.terminate();
    fs::write(dir.path().join("log.redb"), log).unwrap();
    let rebuilt = rebuild(&[path(&dir), "--accept-truncation"]);
    assert_eq!(rebuilt["lost"]["first"], 3, "{rebuilt}");
    assert_eq!(rebuilt["lost"]["last"], 3);
}

/// Writes the built-in log again, with the bodies changed, and all times and checksums right.
async fn forge(log: &Path, from: &str, to: &str) {
    let clock = Arc::new(ManualClock::default());
    let open = |path: &Path| EmbeddedLog::open(path, Arc::<ManualClock>::clone(&clock)).unwrap();
    let (old, forged) = (log.with_extension("old"), log.with_extension("forged"));
    fs::rename(log, &old).unwrap();
    let (read, written) = (open(&old), open(&forged));
    let positions = (1..=read.known_head().get()).map(Position::new);
    for record in read.get(positions.collect()).await.unwrap() {
        clock.set_micros(record.recorded_at.micros());
        let body = String::from_utf8(record.payload.to_vec()).unwrap();
        let forged = NewRecord {
            subject: record.subject,
            private: record.private,
            body: body.replace(from, to).into(),
        };
        assert!(written.append(vec![forged]).await[0].is_ok());
    }
    drop((read, written));
    fs::rename(forged, log).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_refuses_a_log_with_a_changed_record_before_the_last() {
    let dir = ledger(&["agent-one", "agent-two"]);
    forge(&dir.path().join("log.redb"), "agent-one", "agent-1ne").await;
    let said = fails(&["rebuild", "--data-dir", path(&dir)], 1);
    let expected = "the record at position 2 is not the one";
    assert!(said.contains(expected), "{said}");
    let verified = run(&["verify", "--data-dir", path(&dir)]);
    assert_eq!(verified.status.code(), Some(1), "{verified:?}");
    let rebuilt = rebuild(&[path(&dir), "--accept-truncation"]);
    assert_eq!(rebuilt["comparison"]["result"], "other_log", "{rebuilt}");
    assert_eq!(rebuilt["lost"]["first"], 2, "{rebuilt}");
    assert_eq!(rebuilt["lost"]["last"], 3, "{rebuilt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_passes_a_sound_directory_and_finds_a_changed_record() {
    let dir = ledger(&["agent-one", "agent-two"]);
    assert!(ok(&["verify", "--data-dir", path(&dir)]).contains("ok:"));
    forge(&dir.path().join("log.redb"), "agent-two", "agent-2wo").await;
    let output = run(&["verify", "--data-dir", path(&dir), "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let verified: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let difference = verified["differences"][0].as_str().unwrap();
    assert!(difference.contains("a record was changed"), "{difference}");
}

#[test]
fn verify_names_a_malformed_record() {
    let dir = ledger(&["agent-one"]);
    // The subject of the first record is no longer UTF-8.
    let subject = b"ledger.sys.v1.rul\xffs";
    tamper(&dir.path().join("log.redb"), "ledger.sys.v1.rules", subject);
    let output = run(&["verify", "--data-dir", path(&dir), "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let verified: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let expected = "the log cannot be read after position 0: the log is damaged: the record at position 1 is \
                    malformed";
    assert_eq!(verified["differences"][0], expected, "{verified}");
}

#[test]
fn no_command_opens_a_log_whose_last_record_is_damaged() {
    let dir = ledger(&["agent-one", "agent-two"]);
    tamper(&dir.path().join("log.redb"), "agent-two", "agent-2wo");
    for command in ["verify", "rebuild", "serve"] {
        let said = fails(&[command, "--data-dir", path(&dir)], 1);
        let expected = "the log is damaged: the record at position 3 is malformed";
        assert!(said.contains(expected), "{command}: {said}");
    }
}

#[test]
fn verify_or_rebuild_finds_a_changed_read_model() {
    let dir = ledger(&["agent-one", "agent-two"]);
    tamper(&dir.path().join("model.redb"), "agent-two", "agent-2wo");
    let said = fails(&["verify", "--data-dir", path(&dir)], 1);
    assert!(
        said.contains("has another checksum than when it was written"),
        "{said}"
    );
    let rebuilt = rebuild(&[path(&dir)]);
    assert_eq!(rebuilt["comparison"]["result"], "unreadable", "{rebuilt}");
    assert!(dir.path().join("model.replaced-0.redb").exists());
    assert_eq!(rebuild(&[path(&dir)])["comparison"]["result"], "equal");
}
