//! Commands against a server that limits their rate.

use serde_json::Value;
use session_ledger::http::dto::IssuedKey;

use crate::support::cli::{Server, command, ok, stderr, stdout};

/// Starts a server that allows few requests per second, and issues a key for it.
fn slow(dir: &std::path::Path) -> (Server, String) {
    let path = dir.to_str().unwrap();
    let roles = ["--role", "read", "--role", "write", "--role", "audit"];
    let issue = [
        "keys",
        "issue",
        "--data-dir",
        path,
        "--tenant",
        "acme",
        "--json",
    ];
    let issued: IssuedKey = serde_json::from_str(&ok(&[&issue[..], &roles].concat())).unwrap();
    let server = Server::start_guarded(dir, &["--rate-limit", "4", "--rate-burst", "4"]);
    (server, issued.key)
}

#[test]
fn a_rate_limit_stops_neither_a_long_read_nor_a_series_of_commands() {
    let dir = tempfile::tempdir().unwrap();
    let (server, key) = slow(dir.path());
    let run = |args: &[&str]| {
        let mut command = command(&[args, &["--url", server.url()]].concat());
        let output = command.env("SESSION_LEDGER_KEY", &key).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        output
    };
    run(&["agents", "register", "a-1"]);
    for number in 0..6 {
        run(&[
            "sessions",
            "create",
            &format!("s-{number}"),
            "--agent",
            "a-1",
        ]);
    }
    let listed = run(&["list", "--limit", "1", "--all", "--json"]);
    let pages: Vec<Value> = stdout(&listed)
        .lines()
        .map(|page| serde_json::from_str(page).unwrap())
        .collect();
    assert_eq!(pages.len(), 6);
    assert!(stderr(&listed).contains("trying again"), "{listed:?}");
}
