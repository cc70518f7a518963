//! The shipped configuration of a cluster.

use std::time::Duration;

use crate::support::cli::{Server, stderr, stdout};
use crate::support::shipped_nats::{cluster, command_at};

/// How often a command is run again while the cluster has no leader yet, and the pause before that. It
/// takes up to 5 s to fail.
const TRIES_MAX: u32 = 20;
const AGAIN: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_configuration_starts_three_servers_that_doctor_approves() {
    let nats = cluster().await;
    let urls = nats.urls().join(",");
    let create = ["streams", "create", "--nats-replicas", "3"];
    for tries in 1.. {
        let created = command_at(&urls, "ledger-setup", &create).output().unwrap();
        if created.status.success() {
            break;
        }
        assert!(tries < TRIES_MAX, "{}", stderr(&created));
        tokio::time::sleep(AGAIN).await;
    }
    let doctor = ["doctor", "--nats-replicas", "3"];
    let checked = command_at(&urls, "ledger", &doctor).output().unwrap();
    let said = stdout(&checked);
    assert!(checked.status.success(), "{said}");
    assert!(!said.contains("warn"), "{said}");
    for stream in ["LEDGER", "LEDGER_ADMIN"] {
        let good = format!("{stream} is set up correctly, accepts writes");
        assert!(said.contains(&good), "{said}");
    }
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "12345678").unwrap();
    let servers = nats.urls().join(",");
    let on = [
        "--nats-replicas",
        "3",
        "--nats-url",
        &servers,
        "--nats-user",
        "ledger",
        "--nats-password-file",
        password.to_str().unwrap(),
    ];
    let ledger = Server::start_with(&dir.path().join("data"), &on);
    ledger.ok(&["emit", "session.created", "s-1", "--agent", "a-1"]);
}
