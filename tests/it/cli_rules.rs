//! A ledger of an older build: it keeps its rules under a newer build until somebody adopts newer ones.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use session_ledger::app::clock::SystemClock;
use session_ledger::log::{EmbeddedLog, EventLog as _, NewRecord};

use crate::support::cli::{Server, ok, run};
use crate::support::client::created;

/// A log as an older build leaves it: with an event, and without a word about rules.
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

/// What replay says of each event: its session, and how it came.
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
    // While a server holds the directory, nobody else writes to its log.
    let held = run(&["rules", "adopt", "--data-dir", path]);
    assert_eq!(held.status.code(), Some(1), "{held:?}");
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");

    let adopted = ok(&["rules", "adopt", "--data-dir", path]);
    assert!(adopted.contains("version 2 from position 4"), "{adopted}");
    let server = Server::start(dir.path());
    server.ok(&["emit", "session.created", "s-2", "--agent", "a-1"]);
    let noted = (json!("s-2"), json!("api"));
    assert_eq!(replayed(&server), [&unknown[..], &[noted]].concat());
    let (_, logged) = server.terminate();
    assert!(!logged.contains("rules adopt"), "{logged}");
    assert!(ok(&["verify", "--data-dir", path]).contains("ok:"));
    assert!(ok(&["rebuild", "--data-dir", path]).contains("equal"));
}
