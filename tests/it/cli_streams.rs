//! `streams create`, on a server with the shipped configuration.

use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::stream;

use crate::support::cli::{Server, stderr, stdout};
use crate::support::nats::NatsServer;
use crate::support::shipped_nats::{STREAMS, command_as, connect, create_streams, server};

/// Runs `streams create`, which must succeed. Returns its output.
#[track_caller]
fn created(nats: &NatsServer) -> String {
    let output = create_streams(nats, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// Starts a ledger as the user of the running ledger.
fn start(nats: &NatsServer, dir: &Path) -> Server {
    let file = dir.join("nats.password");
    std::fs::write(&file, "12345678").unwrap();
    let file = file.to_str().unwrap();
    let login = ["--nats-user", "ledger", "--nats-password-file", file];
    Server::start_with(dir, &[&["--nats-url", nats.url()], &login[..]].concat())
}

/// Runs a command as a user. It must fail, and say all of this before the request would time out.
#[track_caller]
fn fails_as(nats: &NatsServer, user: &str, args: &[&str], expected: &[&str]) {
    let output = command_as(nats, user, args).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for expected in expected {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    assert!(!said.contains("timed out"), "{said}");
}

/// Runs `serve` as the user of the running ledger. It must fail and say this.
#[track_caller]
fn serve_fails(nats: &NatsServer, expected: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let args = ["serve", "--data-dir", path, "--listen", "127.0.0.1:0"];
    fails_as(nats, "ledger", &args, expected);
}

const RUN: &str = "run `session-ledger streams create` as a user that may";

#[tokio::test]
async fn the_streams_are_created_once_and_the_ledger_then_runs() {
    let nats = server().await;
    let said = created(&nats);
    assert_eq!(
        said,
        "stream LEDGER: created\nstream LEDGER_ADMIN: created\n"
    );
    let dir = tempfile::tempdir().unwrap();
    let node = start(&nats, dir.path());
    node.ok(&["emit", "session.created", "s-1", "--agent", "a-1"]);
    let setup = connect(&nats, "ledger-setup").await;
    let before = [
        setup.settings("LEDGER").await,
        setup.settings("LEDGER_ADMIN").await,
    ];
    let said = created(&nats);
    assert_eq!(
        said,
        "stream LEDGER: nothing to do\nstream LEDGER_ADMIN: nothing to do\n"
    );
    let after = [
        setup.settings("LEDGER").await,
        setup.settings("LEDGER_ADMIN").await,
    ];
    assert_eq!(before, after);
    assert!(node.ok(&["list"]).contains("s-1"));
}

#[tokio::test]
async fn the_streams_have_the_name_that_was_given() {
    let nats = NatsServer::start().await;
    let args = [
        "streams",
        "create",
        "--stream",
        "OTHER",
        "--nats-url",
        nats.url(),
    ];
    let said = crate::support::cli::ok(&args);
    assert_eq!(said, "stream OTHER: created\nstream OTHER_ADMIN: created\n");
}

#[tokio::test]
async fn a_user_that_may_not_create_streams_learns_what_to_run() {
    let nats = server().await;
    let missing = "stream LEDGER does not exist, and this NATS user may not create it";
    serve_fails(&nats, &[missing, RUN]);
    fails_as(&nats, "ledger", &["streams", "create"], &[missing, RUN]);
    let issue = ["keys", "issue", "--tenant", "acme", "--role", "admin"];
    fails_as(
        &nats,
        "ledger",
        &issue,
        &["stream LEDGER_ADMIN does not exist", RUN],
    );
    let setup = connect(&nats, "ledger-setup").await;
    let context = async_nats::jetstream::new(setup.client.clone());
    for stream in STREAMS {
        assert!(context.get_stream(stream).await.is_err(), "{stream}");
    }
}

#[tokio::test]
async fn a_stream_of_an_earlier_build_is_brought_up_to_date() {
    let nats = server().await;
    created(&nats);
    let setup = connect(&nats, "ledger-setup").await;
    let right = setup.settings("LEDGER").await;
    let earlier = stream::Config {
        allow_atomic_publish: false,
        ..right.clone()
    };
    setup.change(earlier).await.unwrap();
    let told = "stream LEDGER: allow_atomic must be true. This NATS user may not change the stream";
    serve_fails(&nats, &[told, RUN]);
    let said = created(&nats);
    assert_eq!(
        said,
        "stream LEDGER: allow_atomic is now true\nstream LEDGER_ADMIN: nothing to do\n"
    );
    assert_eq!(setup.settings("LEDGER").await, right);
    let dir = tempfile::tempdir().unwrap();
    start(&nats, dir.path());
}

#[tokio::test]
async fn each_wrong_setting_is_named_and_stays() {
    let nats = server().await;
    created(&nats);
    let setup = connect(&nats, "ledger-setup").await;
    let wrong = stream::Config {
        allow_atomic_publish: false,
        max_age: Duration::from_hours(1),
        discard: stream::DiscardPolicy::Old,
        ..setup.settings("LEDGER").await
    };
    setup.change(wrong).await.unwrap();
    let before = setup.settings("LEDGER").await;
    let output = create_streams(&nats, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    for named in [
        "stream LEDGER: ",
        "max_age must be 0",
        "discard must be new",
        "allow_atomic must be true",
    ] {
        assert!(said.contains(named), "{named} in {said}");
    }
    assert_eq!(stdout(&output), "stream LEDGER_ADMIN: nothing to do\n");
    assert_eq!(setup.settings("LEDGER").await, before);
    // This server is not a cluster.
    let output = create_streams(&nats, &["--nats-replicas", "3"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("num_replicas must be 3 or more"), "{said}");
    let refused = "the server refuses to change stream LEDGER_ADMIN";
    assert!(said.contains(refused), "{said}");
}

#[tokio::test]
async fn an_inbox_that_the_user_may_not_read_is_named() {
    let nats = server().await;
    let output = command_as(&nats, "ledger-setup", &["streams", "create"])
        .env_remove("SESSION_LEDGER_NATS_INBOX_PREFIX")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("may not receive answers on _INBOX."),
        "{said}"
    );
    assert!(said.contains("--nats-inbox-prefix"), "{said}");
}
