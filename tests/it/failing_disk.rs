//! A server whose disk fails while it runs: the calls of its process fail as the kernel lets them fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::cli::{Server, command, ok, stderr};
use crate::support::client::{Client, created};
use crate::support::nats_ledger::until_ready_is;

const TIME: &str = "2026-01-31T12:00:00Z";

/// Faults that a test switches on and off for the processes that it starts.
struct Faults {
    dir: tempfile::TempDir,
}

impl Faults {
    /// Compiles the library whose calls fail.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/failing_disk.rs");
        let compiled = Command::new("rustc")
            .args(["--edition=2024", "--crate-type=cdylib", "-Copt-level=1"])
            .args([&source, Path::new("-o"), &dir.path().join("library.so")])
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{compiled:?}");
        Self { dir }
    }

    fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [
            ("LD_PRELOAD", self.dir.path().join("library.so")),
            ("FAILING_DISK", self.dir.path().to_owned()),
        ]
    }

    fn begin(&self, fault: &str) {
        fs::write(self.dir.path().join(fault), "").unwrap();
    }

    fn end(&self, fault: &str) {
        fs::remove_file(self.dir.path().join(fault)).unwrap();
    }

    /// Starts a server whose calls fail, with one session that is folded.
    async fn server(&self, dir: &Path) -> (Server, Client) {
        let server = Server::start_in(dir, &self.environment());
        let client = Client::new(server.url(), "acme");
        client.apply(&created("s1", "a1", TIME)).await;
        until_ready_is(&client, 200).await;
        (server, client)
    }
}

/// Emits an event, which may be on the log already. Returns its position.
async fn emit_again(client: &Client, event: &Value) -> u64 {
    let emitted = client.emit(event).await;
    assert!([200, 201].contains(&emitted.status), "{}", emitted.text);
    emitted.json()["position"].as_u64().unwrap()
}

/// Waits until `/readyz` says this.
async fn until_said(client: &Client, text: &str) {
    while !client.get("/readyz").await.text.contains(text) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn total(count: &Value) -> u64 {
    count["total"].as_u64().unwrap()
}

#[tokio::test]
async fn a_server_whose_disk_confirms_no_sync_exits_with_code_1_and_starts_again() {
    let faults = Faults::new();
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = faults.server(dir.path()).await;
    faults.begin("no-sync");
    // The process may end before it answers, and then this command tries again.
    let of_s2 = [
        "--agent",
        "a1",
        "--id",
        "created-s2",
        "--source",
        "/tests",
        "--time",
        TIME,
    ];
    let emit = [["emit", "session.created", "s2"].as_slice(), &of_s2].concat();
    let mut emitting = command(&server.args(&emit)).spawn().unwrap();
    let (code, logged) = server.wait();
    assert_eq!(code, Some(1), "{logged}");
    assert!(
        logged.contains("error: the server ended itself: the disk did not confirm"),
        "{logged}"
    );
    let emitted = emitting.try_wait().unwrap();
    assert!(
        emitted.is_none_or(|status| !status.success()),
        "{emitted:?}"
    );
    drop(emitting.kill());
    emitting.wait().unwrap();

    faults.end("no-sync");
    let server = Server::start(dir.path());
    let client = Client::new(server.url(), "acme");
    until_ready_is(&client, 200).await;
    client.get("/v1/agent-sessions/s1").await.ok();
    // The event that was not confirmed may be on the log.
    let session = created("s2", "a1", TIME);
    let position = emit_again(&client, &session).await;
    let path = format!("/v1/agent-sessions/count?min_position={position}");
    assert_eq!(total(&client.get(&path).await.ok()), 2);
    assert_eq!(server.terminate().0, Some(0));
    ok(&["verify", "--data-dir", dir.path().to_str().unwrap()]);
}

#[tokio::test]
async fn a_disk_that_becomes_read_only_refuses_events_until_it_can_be_written_again() {
    let faults = Faults::new();
    let dir = tempfile::tempdir().unwrap();
    let (server, client) = faults.server(dir.path()).await;
    faults.begin("read-only");
    let emitted = client.emit(&created("s2", "a1", TIME)).await;
    emitted.problem(503, "unconfirmed");
    until_said(&client, "the read model cannot be opened").await;
    let read = client.get("/v1/agent-sessions/s1").await;
    read.problem(503, "degraded");

    faults.end("read-only");
    until_ready_is(&client, 200).await;
    let position = emit_again(&client, &created("s2", "a1", TIME)).await;
    let path = format!("/v1/agent-sessions/count?min_position={position}");
    assert_eq!(total(&client.get(&path).await.ok()), 2);
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");
    ok(&["verify", "--data-dir", dir.path().to_str().unwrap()]);
}

#[tokio::test]
async fn a_server_on_a_read_only_disk_does_not_start_and_says_why() {
    let faults = Faults::new();
    let dir = tempfile::tempdir().unwrap();
    drop(faults.server(dir.path()).await);
    faults.begin("read-only");
    let path = dir.path().to_str().unwrap();
    let args = [
        "serve",
        "--no-auth",
        "--data-dir",
        path,
        "--listen",
        "127.0.0.1:0",
    ];
    let output = command(&args).envs(faults.environment()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = stderr(&output);
    let expected = format!("cannot open {path}/model.redb: check who may read and write it");
    assert!(
        said.contains(&expected) && said.contains("Read-only file system"),
        "{said}"
    );
}
