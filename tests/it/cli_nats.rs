//! The command line with its log on a real NATS server.

use reqwest::Method;
use serde_json::Value;

use crate::support::app::NOW;
use crate::support::cli::{Server, fails, ok, run, stdout};
use crate::support::client::{Client, created};
use crate::support::nats::NatsServer;

#[tokio::test]
async fn a_ledger_on_nats_is_served_checked_rebuilt_and_verified() {
    let nats = NatsServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let on_nats = ["--nats-url", nats.url()];

    let checked = run(&["doctor", "--nats-url", nats.url()]);
    assert_eq!(checked.status.code(), Some(1), "it requires no credentials");
    let said = stdout(&checked);
    assert!(said.contains("nats server       ok"), "{said}");
    assert!(said.contains("requires no credentials"), "{said}");
    assert!(said.contains("no stream LEDGER yet"), "{said}");

    let server = Server::start_with(dir.path(), &on_nats);
    server.ok(&["emit", "session.created", "s-1", "--agent", "a-1"]);
    let page: Value = serde_json::from_str(&server.ok(&["list", "--json"])).unwrap();
    assert_eq!(page["total"], 1);
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");
    assert!(logged.contains("stopped at position 2"), "{logged}");

    let said = stdout(&run(&["doctor", "--nats-url", nats.url()]));
    assert!(said.contains("ends at position 2"), "{said}");
    let offline =
        |command: &'static str| ok(&[&[command, "--data-dir", path], &on_nats[..]].concat());
    assert!(offline("verify").contains("ok:"));
    assert!(offline("rebuild").contains("equal"));
    // The log is not in the directory, so commands that name only the directory must fail.
    let missing = fails(&["verify", "--data-dir", path], 1);
    assert!(missing.contains("--nats-url"), "{missing}");
    let missing = fails(&["list", "--tenant", "acme", "--data-dir", path], 1);
    assert!(missing.contains("--url"), "{missing}");
}

#[tokio::test]
async fn a_warning_names_its_request_at_any_log_level() {
    let mut nats = NatsServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    // The line with the server's address has the level info.
    let levels = "warn,session_ledger::app=info";
    let args = ["--nats-url", nats.url(), "--log-level", levels];
    let server = Server::start_with(dir.path(), &args);
    nats.kill();
    let client = Client::new(server.url(), "acme");
    let event = created("s1", "a1", NOW).to_string().into_bytes();
    let id = ("x-request-id", "asked-by-the-test");
    let answer = client
        .send(
            Method::POST,
            "/v1/events",
            &[id, ("content-type", "application/cloudevents+json")],
            event,
        )
        .await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    let (_, logged) = server.terminate();
    let line = logged
        .lines()
        .find(|line| line.contains("the log did not do as asked"));
    assert!(line.unwrap().contains("asked-by-the-test"), "{logged}");
}
