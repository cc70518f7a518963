//! The ledger of an older build: it keeps its rules under a newer build until an operator adopts newer ones.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use session_ledger::app::clock::SystemClock;
use session_ledger::log::{EmbeddedLog, EventLog as _, NewRecord};

use crate::support::cli::{Server, ok, run};
use crate::support::client::created;

/// Creates the log of an older build: it has an event, and no record about rules.
async fn old_ledger(dir: &Path) {
    let log = EmbeddedLog::open(&dir.join("log.redb"), Arc::new(SystemClock)).unwrap();
    let body = created("s-old", "a-1", "2026-01-31T12:00:00Z").to_string();
    let record = NewRecord {
        subject: "ledger.v1.acme.session.created".into(),
        private: bytes::Bytes::new(),
        body: body.into(),
    };
    log.append(vec![record]).await.remove(0).unwrap();
    log.close().await;
}

/// Returns the subject and the `via` of each event in the replay.
fn replayed(server: &Server) -> Vec<(Value, Value)> {
    let lines = server.ok(&["events"]);
    let events = lines.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        (event["event"]["subject"].clone(), event["via"].clone())
    });
    events.collect()
}

#[tokio::test]
async fn an_older_ledger_keeps_its_rules_until_newer_ones_are_adopted() {
    let dir = tempfile::tempdir().unwrap();
    old_ledger(dir.path()).await;
    let path = dir.path().to_str().unwrap();

    let server = Server::start(dir.path());
    server.ok(&["emit", "session.created", "s-1", "--agent", "a-1"]);
    let unknown = [(json!("s-old"), json!(null)), (json!("s-1"), json!(null))];
    assert_eq!(replayed(&server), unknown);
    // While a server holds the directory, no other process can write to its log.
    let held = run(&["rules", "adopt", "--data-dir", path]);
    assert_eq!(held.status.code(), Some(1), "{held:?}");
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");

    let adopted = ok(&["rules", "adopt", "--data-dir", path]);
    assert!(
        adopted.contains("from position 4 on the ledger uses rules version 2"),
        "{adopted}"
    );
    let server = Server::start(dir.path());
    server.ok(&["emit", "session.created", "s-2", "--agent", "a-1"]);
    let noted = (json!("s-2"), json!("api"));
    assert_eq!(replayed(&server), [&unknown[..], &[noted]].concat());
    let (_, logged) = server.terminate();
    assert!(!logged.contains("rules adopt"), "{logged}");
    assert!(ok(&["verify", "--data-dir", path]).contains("ok:"));
    assert!(ok(&["rebuild", "--data-dir", path]).contains("equal"));
}
