//! The demo: its output, and the ledger that it leaves behind.

use serde_json::Value;

use crate::support::cli::{Server, ok, with_key};

#[test]
fn the_demo_shows_sessions_totals_and_calls_and_leaves_a_sound_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let shown = ok(&[
        "demo",
        "--for",
        "2s",
        "--listen",
        "127.0.0.1:0",
        "--rate",
        "400",
        "--seed",
        "7",
        "--data-dir",
        path,
    ]);
    let mut lines = shown
        .lines()
        .skip_while(|line| !line.starts_with("SESSION"));
    let rows = lines.by_ref().skip(1).take_while(|line| !line.is_empty());
    assert_eq!(rows.count(), 10, "{shown}");
    assert!(lines.any(|line| line.starts_with("total")), "{shown}");
    assert!(shown.contains("a second"), "{shown}");
    let (_, rest) = shown.split_once("export SESSION_LEDGER_KEY=").unwrap();
    let key = rest.lines().next().unwrap();
    assert!(
        shown.contains("curl -s -H \"X-API-Key: $SESSION_LEDGER_KEY\""),
        "{shown}"
    );

    let page = ok(&["list", "--tenant", "demo", "--data-dir", path, "--json"]);
    let page: Value = serde_json::from_str(&page).unwrap();
    assert!(10 < page["total"].as_u64().unwrap(), "{page}");
    let server = Server::start_guarded(dir.path(), &[]);
    let listed = with_key(key, &["list", "--url", server.url(), "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["total"], page["total"]);
    server.terminate();
    ok(&["verify", "--data-dir", path]);
    assert!(ok(&["rebuild", "--data-dir", path]).contains("equal"));
}
