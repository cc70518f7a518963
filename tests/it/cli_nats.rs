//! The command line with its log on a real NATS server.

use serde_json::Value;

use crate::support::cli::{Server, fails, ok, run, stdout};
use crate::support::nats::NatsServer;

#[tokio::test]
async fn a_ledger_on_nats_is_served_checked_rebuilt_and_verified() {
    let nats = NatsServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let on_nats = ["--nats-url", nats.url()];

    let checked = run(&["doctor", "--nats-url", nats.url()]);
    assert_eq!(checked.status.code(), Some(1), "it asks for no credentials");
    let said = stdout(&checked);
    assert!(said.contains("nats server       ok"), "{said}");
    assert!(said.contains("asks nobody for credentials"), "{said}");
    assert!(said.contains("no stream LEDGER yet"), "{said}");

    let server = Server::start_with(dir.path(), &on_nats);
    server.ok(&["emit", "session.created", "s-1", "--agent", "a-1"]);
    let page: Value = serde_json::from_str(&server.ok(&["list", "--json"])).unwrap();
    assert_eq!(page["total"], 1);
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");
    assert!(logged.contains("stopped at position 1"), "{logged}");

    let said = stdout(&run(&["doctor", "--nats-url", nats.url()]));
    assert!(said.contains("ends at position 1"), "{said}");
    let offline =
        |command: &'static str| ok(&[&[command, "--data-dir", path], &on_nats[..]].concat());
    assert!(offline("verify").contains("ok:"));
    assert!(offline("rebuild").contains("equal"));
    // Its log is not in the directory, and nothing may pretend that it is.
    let missing = fails(&["verify", "--data-dir", path], 1);
    assert!(missing.contains("--nats-url"), "{missing}");
    let missing = fails(&["list", "--tenant", "acme", "--data-dir", path], 1);
    assert!(missing.contains("--url"), "{missing}");
}
