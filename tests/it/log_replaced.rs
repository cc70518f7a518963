//! A log that is no longer the one that was read: restored from an older copy, or cut at its start.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, stream::DiscardPolicy};
use session_ledger::app::clock::SystemClock;
use session_ledger::domain::{Position, Rules, TenantId};
use session_ledger::ledger::{Emitter, Ledger, Submission};
use session_ledger::log::{EmbeddedLog, EventLog, LogError};

use crate::support::cli::{Server, fails, ok, run, stdout};
use crate::support::client::{Client, created};
use crate::support::nats_ledger::{CREATED, World, ledger, publish, until_ready_is};
use crate::support::node::Node;

const TIME: &str = "2026-01-31T12:00:00Z";

async fn apply(client: &Client, sessions: std::ops::Range<u32>) {
    for number in sessions {
        client
            .apply(&created(&format!("s{number}"), "a1", TIME))
            .await;
    }
}

/// Returns the ids of the tenant's sessions, sorted.
async fn listed(client: &Client) -> Vec<String> {
    let page = client.get("/v1/agent-sessions").await.ok();
    let sessions = page["sessions"].as_array().unwrap().iter();
    let mut ids: Vec<String> = sessions
        .map(|session| session["session_id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn an_older_copy_of_the_log_stops_the_fold_before_it_folds_foreign_records() {
    let mut world = World::start().await;
    let client = world.client();
    apply(&client, 1..3).await;
    let copy = world.nats.copy_store().await;
    until_ready_is(&client, 200).await;
    apply(&client, 3..7).await;
    let folded = ["s1", "s2", "s3", "s4", "s5", "s6"];

    // Others publish beyond the end that the ledger has folded, while it is not connected.
    let hidden = world.nats.restart_hidden_with(copy.path()).await;
    let runtime = jetstream::new(async_nats::connect(hidden).await.unwrap());
    for number in 0..9 {
        let foreign = created(&format!("x{number}"), "a1", TIME);
        publish(&runtime, CREATED, &foreign).await;
    }
    world.nats.restart().await;

    let said = until_stopped(&client).await;
    assert!(said.contains("the fold has stopped"), "{said}");
    assert_eq!(listed(&client).await, folded);
    let event = created("s7", "a1", TIME);
    client.emit(&event).await.problem(503, "fold_stopped");
    let sent = client
        .post(
            "/v1/events?wait=false",
            "application/json",
            event.to_string(),
        )
        .await;
    sent.problem(503, "fold_stopped");

    // A restarted ledger comes to the same conclusion.
    world.ledger.stop().await.unwrap();
    let restarted = ledger(&world.nats, world.dir.path()).await;
    let client = Client::new(&restarted.url(), "acme");
    until_stopped(&client).await;
    assert_eq!(listed(&client).await, folded);
    restarted.stop().await.unwrap();
}

/// A server of a cluster that lags behind another shows less of the log for a moment.
#[tokio::test]
async fn a_log_that_is_shorter_for_a_moment_stops_no_fold() {
    let mut world = World::start().await;
    let client = world.client();
    apply(&client, 1..3).await;
    let shorter = world.nats.copy_store().await;
    until_ready_is(&client, 200).await;
    apply(&client, 3..7).await;
    let whole = world.nats.copy_store().await;
    until_ready_is(&client, 200).await;
    let folded = listed(&client).await;
    assert_eq!(folded.len(), 6);
    world.ledger.stop().await.unwrap();

    world.nats.replace_store(shorter.path());
    world.nats.restart().await;
    let started = ledger(&world.nats, world.dir.path()).await;
    let client = Client::new(&started.url(), "acme");
    let said = until_ready_is(&client, 503).await;
    assert!(!said.contains("the fold has stopped"), "{said}");
    world.nats.replace_store(whole.path());
    world.nats.restart().await;
    until_ready_is(&client, 200).await;
    apply(&client, 7..8).await;
    assert_eq!(listed(&client).await.len(), 7);
    started.stop().await.unwrap();
}

#[tokio::test]
async fn erased_records_stop_a_ledger_that_runs_and_one_that_starts() {
    let world = World::start().await;
    let client = world.client();
    apply(&client, 1..6).await;
    let runtime = world.runtime().await;
    let mut stream = runtime.get_stream("LEDGER").await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    (config.max_messages, config.discard) = (2, DiscardPolicy::Old);
    runtime.update_stream(&config).await.unwrap();
    until_stopped(&client).await;
    client
        .emit(&created("s6", "a1", TIME))
        .await
        .problem(503, "fold_stopped");

    // With the right settings again, the records are still gone.
    (config.max_messages, config.discard) = (-1, DiscardPolicy::New);
    runtime.update_stream(&config).await.unwrap();
    world.ledger.stop().await.unwrap();
    let checked = run(&["doctor", "--nats-url", world.nats.url()]);
    assert_eq!(checked.status.code(), Some(1));
    let said = stdout(&checked);
    assert!(said.contains("the records before it were erased"), "{said}");
    let restarted = ledger(&world.nats, world.dir.path()).await;
    until_stopped(&Client::new(&restarted.url(), "acme")).await;
    restarted.stop().await.unwrap();
}

/// Waits until the fold has stopped. Returns what `/readyz` says.
async fn until_stopped(client: &Client) -> String {
    loop {
        let said = until_ready_is(client, 503).await;
        if said.contains("the fold has stopped") {
            return said;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Between the return of an older copy and the moment at which the reader notices it, the log gives new
/// events positions that were folded before.
#[tokio::test]
async fn the_verdict_on_another_event_is_never_given() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let log = EmbeddedLog::open(&dir.path().join(name), Arc::new(SystemClock)).unwrap();
        Arc::new(log) as Arc<dyn EventLog>
    };
    let node = Node::start(open("log"), &dir.path().join("model"));
    let tenant = TenantId::parse("acme").unwrap();
    let emitter = Emitter {
        tenant: &tenant,
        credential: None,
    };
    let event = |session: &str| {
        let body = created(session, "a1", TIME).to_string();
        Submission::check(Rules::V1, emitter, body.into()).unwrap()
    };
    let before = Ledger::new(
        Arc::clone(&node.log),
        Arc::clone(&node.projection),
        Arc::new(SystemClock),
    );
    let events = vec![event("s1"), event("s2")];
    let turn = before.turn().await.unwrap();
    let outcomes = turn.append_and_wait(&tenant, events).await;
    let outcomes = outcomes.unwrap();
    assert!(
        outcomes
            .iter()
            .all(|one| one.as_ref().unwrap().verdict.is_some())
    );

    let replaced = Ledger::new(
        open("copy"),
        Arc::clone(&node.projection),
        Arc::new(SystemClock),
    );
    let events = vec![event("s3"), event("s2"), event("s4")];
    let turn = replaced.turn().await.unwrap();
    let outcomes = turn.append_and_wait(&tenant, events).await;
    let outcomes = outcomes.unwrap();
    let [foreign, same, pending] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert!(
        matches!(foreign, Err(LogError::Unconfirmed(_))),
        "{foreign:?}"
    );
    assert!(same.as_ref().unwrap().verdict.is_some(), "{same:?}");
    let pending = pending.as_ref().unwrap();
    assert_eq!(pending.position, Position::new(3));
    assert!(pending.verdict.is_none(), "{pending:?}");
}

#[tokio::test]
async fn the_removed_file_of_a_built_in_log_is_noticed_with_and_without_appends() {
    for appends in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path());
        let client = Client::new(server.url(), "acme");
        client.apply(&created("s1", "a1", TIME)).await;
        std::fs::remove_file(dir.path().join("log.redb")).unwrap();
        if appends {
            // Unconfirmed, or refused if the server has noticed it before.
            let unsure = client.emit(&created("s2", "a1", TIME)).await;
            assert_eq!(unsure.status, 503, "{}", unsure.text);
            let refused = client.emit(&created("s3", "a1", TIME)).await;
            refused.problem(503, "unavailable");
        }
        let said = until_ready_is(&client, 503).await;
        assert!(said.contains("was removed or replaced"), "{said}");
        // The records that it still has can be read.
        let events = client.get("/v1/events").await.ok();
        assert!(!events["events"].as_array().unwrap().is_empty());
        drop(server.terminate());
    }
}

#[test]
fn a_server_does_not_start_on_an_older_log_of_keys() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let issue = [
        "keys",
        "issue",
        "--data-dir",
        path,
        "--tenant",
        "acme",
        "--role",
        "admin",
    ];
    let id = |issued: &str| {
        let line = issued.lines().find(|line| line.contains("slk_")).unwrap();
        line.split_whitespace()
            .find(|word| word.starts_with("slk_"))
            .unwrap()
            .to_owned()
    };
    let first = ok(&issue);
    let older = std::fs::read(dir.path().join("admin.redb")).unwrap();
    let second = ok(&issue);
    assert_ne!(id(&first), id(&second));
    drop(Server::start_guarded(dir.path(), &[]).terminate());

    let newer = std::fs::read(dir.path().join("admin.redb")).unwrap();
    std::fs::write(dir.path().join("admin.redb"), older).unwrap();
    let serve = ["serve", "--data-dir", path, "--listen", "127.0.0.1:0"];
    let said = fails(&serve, 1);
    assert!(said.contains("revoked keys could be valid again"), "{said}");
    assert!(said.contains("keys.seen"), "{said}");

    // Another log of the same length is noticed too.
    ok(&issue);
    let said = fails(&serve, 1);
    assert!(
        said.contains("is no longer the one that was read"),
        "{said}"
    );

    std::fs::write(dir.path().join("admin.redb"), newer).unwrap();
    drop(Server::start_guarded(dir.path(), &[]).terminate());
}
