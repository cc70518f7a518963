//! `backup` of a ledger that runs: over HTTP with a key for operators, and from its streams on NATS.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::support::cli::{Server, command, fails, ok, stderr, stdout, with_key};
use crate::support::client::Client;
use crate::support::nats::NatsServer;
use crate::support::python;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn issue(dir: &Path, roles: &[&str]) -> String {
    let mut args = vec![
        "keys",
        "issue",
        "--json",
        "--tenant",
        "acme",
        "--data-dir",
        text(dir),
    ];
    args.extend(roles.iter().flat_map(|role| ["--role", role]));
    let issued: Value = serde_json::from_str(&ok(&args)).unwrap();
    issued["key"].as_str().unwrap().to_owned()
}

/// A ledger that requires credentials, its server, a key for everything in a tenant, and one for operators.
struct Guarded {
    place: tempfile::TempDir,
    server: Server,
    client: String,
    operator: String,
}

impl Guarded {
    fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("old");
        let client = issue(&dir, &["read", "write", "admin"]);
        let operator = issue(&dir, &["operator"]);
        let server = Server::start_guarded(&dir, &[]);
        Self {
            place,
            server,
            client,
            operator,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.place.path().join(name)
    }

    fn backup(&self, to: &str) -> Value {
        let to = self.path(to);
        let args = [
            "backup",
            "--json",
            "--url",
            self.server.url(),
            "--to",
            text(&to),
        ];
        let output = with_key(&self.operator, &args);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    }

    /// Starts to emit a session for each number.
    fn emit(&self, numbers: std::ops::Range<u32>) -> Child {
        let args = ["emit", "--file", "-", "--url", self.server.url()];
        let mut emitting = command(&args)
            .env("SESSION_LEDGER_KEY", &self.client)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = emitting.stdin.take().unwrap();
        for number in numbers {
            let event = json!({
                "specversion": "1.0", "id": format!("e-{number}"), "source": "urn:test",
                "type": "session.created", "subject": format!("s-{number}"),
                "data": {"agent_id": "a-1", "user_agent": "\u{e9} \"quoted\""},
            });
            writeln!(stdin, "{event}").unwrap();
        }
        emitting
    }

    fn call(&self, key: &str, args: &[&str]) -> String {
        let output = with_key(key, &[args, &["--url", self.server.url()]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    }
}

fn state(dir: &Path, more: &[&str]) -> Value {
    let args = [&["rebuild", "--json", "--data-dir", text(dir)], more].concat();
    let rebuilt: Value = serde_json::from_str(&ok(&args)).unwrap();
    let fields = ["position", "chain", "digest"];
    fields
        .map(|name| rebuilt[name].clone())
        .into_iter()
        .collect()
}

#[test]
fn a_backup_of_a_running_server_under_load_restores_to_the_same_ledger() {
    let ledger = Guarded::start();
    let revoked: Value = serde_json::from_str(&ledger.call(
        &ledger.client,
        &["keys", "issue", "--role", "read", "--json"],
    ))
    .unwrap();
    let id = revoked["key_id"].as_str().unwrap();
    ledger.call(&ledger.client, &["keys", "revoke", id]);
    let mut emitting = ledger.emit(0..6_000);
    // Each run is of another moment, and adds to the one before.
    let mut positions = Vec::new();
    while emitting.try_wait().unwrap().is_none() {
        positions.push(ledger.backup("b")["position"].as_u64().unwrap());
    }
    assert!(positions.is_sorted(), "{positions:?}");
    let last = ledger.backup("b");
    assert_eq!(last["position"], 6_001);
    let whole = ledger.backup("whole");
    assert_eq!(whole["chain"], last["chain"]);

    let (old, new) = (ledger.path("old"), ledger.path("new"));
    let listed = ledger.call(&ledger.client, &["list", "--limit", "200", "--json"]);
    ok(&["restore", text(&ledger.path("b")), "--data-dir", text(&new)]);
    let Guarded {
        server,
        client,
        operator,
        ..
    } = &ledger;
    let restored = Server::start_guarded(&new, &[]);
    let call =
        |key: &str, args: &[&str]| with_key(key, &[args, &["--url", restored.url()]].concat());
    let again = call(client, &["list", "--limit", "200", "--json"]);
    let rows = |text: &str| serde_json::from_str::<Value>(text).unwrap()["sessions"].clone();
    assert_eq!(rows(&stdout(&again)), rows(&listed));
    let rejected = call(revoked["key"].as_str().unwrap(), &["list"]);
    assert!(
        stderr(&rejected).contains("invalid_credential"),
        "{rejected:?}"
    );
    let args = ["emit", "session.terminated", "s-7"];
    assert!(call(client, &args).status.success());
    let next = ledger.path("next");
    assert!(
        call(operator, &["backup", "--to", text(&next)])
            .status
            .success()
    );
    restored.terminate();
    server.signal("TERM");
    drop(ledger.server);
    let third = tempfile::tempdir().unwrap();
    ok(&[
        "restore",
        text(&ledger.place.path().join("b")),
        "--data-dir",
        text(third.path()),
    ]);
    assert_eq!(state(third.path(), &[]), state(&old, &[]));
}

#[test]
fn only_the_role_operator_can_back_up_and_no_admin_can_give_it() {
    let ledger = Guarded::start();
    let to = ledger.path("b");
    let args = ["backup", "--url", ledger.server.url(), "--to", text(&to)];
    let refused = with_key(&ledger.client, &args);
    assert!(stderr(&refused).contains("role_required"), "{refused:?}");
    assert!(!to.join("manifest.json").exists());
    let url = ledger.server.url();
    let issue = ["keys", "issue", "--role", "operator", "--url", url];
    let refused = with_key(&ledger.client, &issue);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = stderr(&refused);
    assert!(
        said.contains("one or more of: read, write, audit, admin"),
        "{said}"
    );
    let bound = [
        "keys", "issue", "--role", "operator", "--agent", "a-1", "--tenant", "acme",
    ];
    let dir = tempfile::tempdir().unwrap();
    let error = fails(&[&bound[..], &["--data-dir", text(dir.path())]].concat(), 1);
    assert!(
        error.contains("cannot have the role admin or operator"),
        "{error}"
    );
}

#[test]
fn a_restore_does_not_go_behind_a_server_that_still_runs() {
    let ledger = Guarded::start();
    ledger.emit(0..3).wait().unwrap();
    ledger.backup("b");
    ledger.emit(3..5).wait().unwrap();
    let (from, new) = (ledger.path("b"), ledger.path("new"));
    let url = ledger.server.url();
    let args = [
        "restore",
        text(&from),
        "--data-dir",
        text(&new),
        "--replica",
        url,
    ];
    let says = |expected: &str| {
        let refused = with_key(&ledger.operator, &args);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let said = stderr(&refused);
        assert!(said.contains(expected), "{said}");
        assert!(!new.join("log.redb").exists());
    };
    says("has seen positions 5 to 6 of the log of events");
    ledger.backup("b");
    ledger.call(&ledger.client, &["keys", "issue", "--role", "read"]);
    says("has seen positions 3 to 3 of the log of keys");
    ledger.backup("b");
    assert!(with_key(&ledger.operator, &args).status.success());
}

#[test]
fn a_restore_refuses_the_backup_of_another_ledger_than_that_of_a_server_that_still_runs() {
    let (ledger, other) = (Guarded::start(), Guarded::start());
    for one in [&ledger, &other] {
        one.emit(0..3).wait().unwrap();
    }
    other.backup("b");
    let (from, new) = (other.path("b"), ledger.path("new"));
    let url = ledger.server.url();
    let args = ["restore", text(&from), "--data-dir", text(&new)];
    let refused = with_key(&ledger.operator, &[&args[..], &["--replica", url]].concat());
    let said = stderr(&refused);
    for log in [
        "positions 4 to 4 of the log of events",
        "2 to 2 of the log of keys",
    ] {
        assert!(said.contains(log), "{said}");
    }
    assert!(!new.join("log.redb").exists());
}

#[test]
fn a_server_without_credentials_gives_no_caller_the_records_of_all_tenants() {
    let place = tempfile::tempdir().unwrap();
    let (dir, to) = (place.path().join("old"), place.path().join("b"));
    let server = Server::start(&dir);
    let args = server.args(&["backup", "--to", text(&to)]);
    let error = fails(&args, 2);
    assert!(
        error.contains("--no-auth gives no caller this role"),
        "{error}"
    );
    let restore = ["restore", text(&to), "--data-dir", text(&dir)];
    let error = fails(&[&restore[..], &["--replica", server.url()]].concat(), 2);
    assert!(error.contains("restore without --replica"), "{error}");
    let refused = with_key("slk_any", &args);
    let said = stderr(&refused);
    assert!(said.contains("role_required"), "{said}");
    assert!(said.contains("no caller has the role operator"), "{said}");
    server.terminate();
    ok(&["backup", "--data-dir", text(&dir), "--to", text(&to)]);
}

/// A client keeps what it has read of a ledger, before an older backup of that ledger is restored.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_clear_answers_about_records_that_a_restore_has_lost() {
    let place = tempfile::tempdir().unwrap();
    let [old, to, new] = ["old", "backup", "new"].map(|name| place.path().join(name));
    let server = Server::start(&old);
    let open = |server: &Server, ids: [&str; 3]| {
        for id in ids {
            server.ok(&["emit", "session.created", id, "--agent", "a-1"]);
        }
    };
    open(&server, ["s-1", "s-2", "s-3"]);
    server.terminate();
    let made = ok(&[
        "backup",
        "--json",
        "--data-dir",
        text(&old),
        "--to",
        text(&to),
    ]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let server = Server::start(&old);
    open(&server, ["s-4", "s-5", "s-6"]);
    let page = Client::new(server.url(), "acme")
        .get("/v1/agent-sessions?limit=2")
        .await;
    let page = page.ok();
    let (position, cursor) = (&page["as_of"]["position"], page["next_cursor"].as_str());
    server.terminate();

    ok(&["restore", text(&to), "--data-dir", text(&new)]);
    let server = Server::start(&new);
    let client = Client::new(server.url(), "acme");
    let end = format!("but the log ends at {}", made["position"]);
    for read in [
        format!("/v1/agent-sessions?min_position={position}"),
        format!("/v1/agent-sessions/count?min_position={position}"),
        format!("/v1/events?after={position}"),
    ] {
        let problem = client.get(&read).await.problem(409, "position_beyond_head");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(&end) && detail.contains("restored from a backup"),
            "{detail}"
        );
    }
    // It is a place in the order of the listing, behind s-5.
    let next = format!("/v1/agent-sessions?limit=2&cursor={}", cursor.unwrap());
    let next = client.get(&next).await.ok();
    let ids = [0, 1].map(|row: usize| next["sessions"][row]["session_id"].clone());
    assert_eq!(ids, ["s-3", "s-2"], "{next}");
    client
        .get(&format!("/v1/events/{position}"))
        .await
        .problem(404, "not_found");
    server.terminate();
}

#[tokio::test]
async fn a_ledger_on_nats_is_backed_up_while_it_runs_and_restored_into_a_directory() {
    let nats = NatsServer::start().await;
    let place = tempfile::tempdir().unwrap();
    let (old, to, new) = (
        place.path().join("o"),
        place.path().join("b"),
        place.path().join("n"),
    );
    let on_nats = ["--nats-url", nats.url()];
    let server = Server::start_with(&old, &on_nats);
    for id in ["s-1", "s-2"] {
        server.ok(&["emit", "session.created", id, "--agent", "a-1"]);
    }
    let backup = ["backup", "--to", text(&to), "--nats-url", nats.url()];
    ok(&backup);
    server.ok(&["emit", "session.terminated", "s-1"]);
    let added = ok(&[&backup[..], &["--json"]].concat());
    let added: Value = serde_json::from_str(&added).unwrap();
    assert_eq!(added["added"], 1);
    server.terminate();
    ok(&["restore", text(&to), "--data-dir", text(&new)]);
    assert_eq!(state(&new, &[]), state(&old, &on_nats));
}

#[tokio::test]
async fn streams_that_nats_itself_backed_up_and_restored_are_the_same_ledger() {
    let nats = NatsServer::start().await;
    let place = tempfile::tempdir().unwrap();
    let (dir, copies) = (place.path().join("ledger"), place.path().join("copies"));
    std::fs::create_dir(&copies).unwrap();
    let on_nats = ["--nats-url", nats.url()];
    ok(&[
        "keys", "issue", "--role", "read", "--tenant", "acme", on_nats[0], on_nats[1],
    ]);
    let server = Server::start_with(&dir, &on_nats);
    server.ok(&["emit", "session.created", "s-1", "--agent", "a-1"]);
    let script = include_str!("nats_snapshot.py");
    python::run(script, &[nats.url(), "backup", text(&copies)]).await;
    server.terminate();
    let before = state(&dir, &on_nats);
    python::run(script, &[nats.url(), "restore", text(&copies)]).await;
    assert_eq!(state(&dir, &on_nats), before);
    let server = Server::start_with(&dir, &on_nats);
    server.ok(&["emit", "session.terminated", "s-1"]);
    server.terminate();
}
