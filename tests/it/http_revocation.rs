//! A revocation is answered when the sessions of the agent have ended: a read with the position in the
//! answer shows none of them as active.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::app::clock::SystemClock;
use session_ledger::app::{Config, LogSource, start};
use session_ledger::domain::command::AgentChange;
use session_ledger::domain::{AgentId, TenantId, Verdict};
use session_ledger::ledger::command::By;
use session_ledger::ledger::{Commands, Ledger, Reactor, TokenSecret};
use session_ledger::log::LogError;
use session_ledger::log::jetstream::JetStreamConfig;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::log_jetstream::connect;
use crate::support::app::{App, NOW};
use crate::support::cli::{Server, command, stderr};
use crate::support::client::{Answer, Client, created, event};
use crate::support::faulty_log::PickyLog;
use crate::support::nats::NatsServer;
use crate::support::node::{Node, record};

const REVOKE: &str = "/v1/agents/a1/revoke";
const SESSIONS: usize = 20;
/// Longer than any wait here takes.
const SOON: Duration = Duration::from_mins(1);

/// Opens this many sessions of the agent `a1`, and one of another agent.
async fn open(client: &Client, count: usize) {
    let mut sessions: Vec<Value> = (0..count)
        .map(|number| created(&format!("s{number}"), "a1", NOW))
        .collect();
    sessions.push(created("other", "a2", NOW));
    let body = Value::from(sessions).to_string();
    let batched = "application/cloudevents-batch+json";
    client.post("/v1/events", batched, body).await.ok();
}

/// Revokes the agent `a1` with an idempotency key.
async fn revoke(client: &Client, key: &str) -> Answer {
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    client
        .send(Method::POST, REVOKE, &headers, b"{}".into())
        .await
}

/// Returns how many sessions of the agent are active when the server has read up to a position.
async fn active(client: &Client, position: &Value) -> Value {
    let path =
        format!("/v1/agent-sessions?agent_id=a1&status=active&limit=1&min_position={position}");
    client.get(&path).await.ok()["total"].clone()
}

async fn end(client: &Client, id: &str) -> u64 {
    let ended = json!({"outcome": "completed"});
    client
        .apply(&event("end", "session.terminated", id, &ended))
        .await
}

/// Returns the members of an answer that say how the sessions ended.
fn endings(answer: &Value) -> (&Value, &Value) {
    (&answer["ended_sessions"], &answer["settled_position"])
}

#[tokio::test]
async fn after_a_revocation_no_session_of_the_agent_is_active_and_a_retry_has_the_same_answer() {
    let mut app = App::start().await;
    app.start_revocation();
    let client = app.client("acme");
    // One session has ended before, so the revocation does not end it.
    open(&client, SESSIONS + 1).await;
    end(&client, "s20").await;
    let first = revoke(&client, "k").await.ok();
    assert_eq!(first["verdict"], "applied");
    assert_eq!(first["ended_sessions"], SESSIONS);
    let last = first["position"].as_u64().unwrap() + SESSIONS as u64;
    assert_eq!(first["settled_position"], last);
    assert_eq!(active(&client, &first["settled_position"]).await, 0);
    assert_eq!(first["agent"]["active_session_count"], 0);
    // Deletions change neither the number nor the position.
    for id in ["s3", "s20"] {
        let deleted = json!({"outcome": "deleted"});
        let deletion = event("deletion", "session.terminated", id, &deleted);
        client.apply(&deletion).await;
    }
    for (key, verdict) in [("k", "duplicate"), ("another", "rejected")] {
        let again = revoke(&client, key).await.ok();
        assert_eq!(again["verdict"], verdict);
        assert_eq!(endings(&again), endings(&first), "{key}");
    }
    let other = client.get("/v1/agent-sessions/other").await.ok();
    assert_eq!(other["status"], "active");
    app.stop().await;
}

#[tokio::test]
async fn a_revocation_of_an_agent_without_sessions_ends_none() {
    let app = App::start().await;
    let client = app.client("acme");
    let registered = event("r", "agent.registered", "a1", &json!({}));
    client.apply(&registered).await;
    let first = revoke(&client, "k").await.ok();
    assert_eq!(endings(&first), (&json!(0), &first["position"]));
    let again = revoke(&client, "k").await.ok();
    assert_eq!(endings(&again), endings(&first));
    app.stop().await;
}

/// The reactor does not run, so the sessions end in other ways while the revocation waits.
#[tokio::test]
async fn sessions_that_end_by_themselves_settle_a_revocation_and_are_not_counted() {
    let app = App::start().await;
    let client = app.client("acme");
    open(&client, 2).await;
    let ending = async {
        // The answer to the revocation comes later, so this waits for its event.
        let revoked = app.projection.position().next();
        app.projection.wait_for(revoked, SOON).await;
        end(&client, "s0").await;
        end(&client, "s1").await
    };
    let (first, last) = tokio::join!(revoke(&client, "k"), ending);
    let first = first.ok();
    assert_eq!(endings(&first), (&json!(0), &json!(last)));
    assert_eq!(active(&client, &json!(last)).await, 0);
    assert_eq!(active(&client, &json!(last - 1)).await, 0);
    assert_eq!(endings(&revoke(&client, "k").await.ok()), endings(&first));
    app.stop().await;
}

#[tokio::test]
async fn a_session_that_expires_settles_a_revocation() {
    let mut app = App::start().await;
    app.start_expiry();
    let client = app.client("acme");
    let data = json!({"agent_id": "a1", "expires_at": "2026-01-31T12:01:00Z"});
    let short = event("created", "session.created", "short", &data);
    client.apply(&short).await;
    open(&client, 1).await;
    let ending = async {
        let revoked = app.projection.position().next();
        app.projection.wait_for(revoked, SOON).await;
        end(&client, "s0").await;
        app.set_time("2026-01-31T12:02:00Z");
        // The reactor looks at the clock when something is folded, and may have done so before.
        client.apply(&created("another", "a2", NOW)).await;
    };
    let (first, ()) = tokio::join!(revoke(&client, "k"), ending);
    let first = first.ok();
    let history = client.get("/v1/agent-sessions/short/events").await.ok();
    let expired = history["events"].as_array().unwrap().last().unwrap();
    assert_eq!(expired["type"], "session.expired");
    assert_eq!(endings(&first), (&json!(0), &expired["position"]));
    let short = client.get("/v1/agent-sessions/short").await.ok();
    assert_eq!(short["status"], "expired");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_end_at_the_time_of_a_revocation_are_counted_once() {
    let mut app = App::start().await;
    app.start_revocation();
    let client = app.client("acme");
    open(&client, SESSIONS).await;
    let mut ends = JoinSet::new();
    for number in 0..SESSIONS {
        let client = client.clone();
        ends.spawn(async move {
            let data = json!({"outcome": "completed"});
            let ended = event("end", "session.terminated", &format!("s{number}"), &data);
            client.emit(&ended).await.status == 201
        });
    }
    let revoked = revoke(&client, "k").await.ok();
    assert_eq!(active(&client, &revoked["settled_position"]).await, 0);
    let ended = ends.join_all().await.into_iter().filter(|ended| *ended);
    assert_eq!(revoked["ended_sessions"], SESSIONS - ended.count());
    assert_eq!(endings(&revoke(&client, "k").await.ok()), endings(&revoked));
    app.stop().await;
}

#[tokio::test]
async fn a_revocation_whose_endings_cannot_be_written_is_pending_and_a_retry_completes_it() {
    let app = App::start().await;
    let client = app.client("acme");
    open(&client, SESSIONS).await;
    let log = Arc::new(PickyLog::new(app.log()));
    log.refuse("session.terminated", LogError::unavailable("a test"));
    let reactor = Reactor {
        log: Arc::<PickyLog>::clone(&log),
        ..app.reactor()
    };
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    tasks.spawn(reactor.end_revoked(stop.clone()));
    let pending = revoke(&client, "k").await;
    assert_eq!(pending.status, 202, "{}", pending.text);
    let position = pending.json()["position"].clone();
    let expected = json!({"id": "a1", "position": position, "verdict": "applied"});
    assert_eq!(pending.json(), expected);
    assert_eq!(pending.header("retry-after"), "1");
    assert_eq!(active(&client, &position).await, SESSIONS);
    log.take_all();
    let again = revoke(&client, "k").await.ok();
    assert_eq!(again["ended_sessions"], SESSIONS);
    assert_eq!(active(&client, &again["settled_position"]).await, 0);
    stop.cancel();
    tasks.join_all().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_prints_how_many_sessions_were_ended() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let client = Client::new(server.url(), "acme");
    open(&client, SESSIONS).await;
    let shown = server.ok(&["agents", "revoke", "a1"]);
    let line = |name: &str| {
        let mut lines = shown.lines().map(|line| line.split_once(' '));
        let found = lines.find_map(|line| line.filter(|(word, _)| *word == name));
        found.unwrap().1.trim().to_owned()
    };
    assert_eq!(line("ended_sessions"), SESSIONS.to_string(), "{shown}");
    let position = line("settled_position").parse::<u64>().unwrap();
    assert_eq!(active(&client, &json!(position)).await, 0);
    let again = server.ok(&["agents", "revoke", "a1", "--json"]);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(endings(&again), (&json!(SESSIONS), &json!(position)));
    server.terminate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_says_that_sessions_are_still_active() {
    // The reactor does not run.
    let app = App::start().await;
    open(&app.client("acme"), 1).await;
    let url = format!("http://{}", app.host());
    let args = ["agents", "revoke", "a1", "--idempotency-key", "k"];
    let mut command = command(&args);
    command.args(["--tenant", "acme", "--url", &url]);
    let output = tokio::task::block_in_place(|| command.output()).unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = stderr(&output);
    assert!(
        said.contains("has not ended all of its sessions yet"),
        "{said}"
    );
    assert!(said.contains("--idempotency-key k "), "{said}");
    app.stop().await;
}

/// Two servers on one stream: both may write the endings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_shows_no_session_as_active_at_the_position_in_the_answer() {
    let nats = NatsServer::start().await;
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut ledgers = Vec::new();
    for dir in &dirs {
        let config = Config {
            log: LogSource::JetStream(JetStreamConfig::new(vec![nats.url().to_owned()])),
            ..Config::local(dir.path().to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)))
        };
        ledgers.push(Box::pin(start(config)).await.unwrap());
    }
    let clients = ledgers
        .iter()
        .map(|ledger| Client::new(&ledger.url(), "acme"));
    let clients: Vec<Client> = clients.collect();
    open(&clients[0], SESSIONS).await;
    let revoked = revoke(&clients[0], "k").await.ok();
    assert_eq!(revoked["ended_sessions"], SESSIONS);
    assert_eq!(active(&clients[1], &revoked["settled_position"]).await, 0);
    let again = revoke(&clients[1], "k").await.ok();
    assert_eq!(endings(&again), endings(&revoked));
    for ledger in ledgers {
        ledger.stop().await.unwrap();
    }
}

/// Only the other node has a reactor, so it writes the endings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_waits_for_the_endings_of_another_node() {
    let (nats, models) = (NatsServer::start().await, tempfile::tempdir().unwrap());
    let mut nodes = Vec::new();
    for number in 0..2 {
        let log = connect(&nats, false).await;
        nodes.push(Node::start(
            log,
            &models.path().join(format!("{number}.redb")),
        ));
    }
    let [here, there] = [&nodes[0], &nodes[1]];
    let sessions = (0..SESSIONS).map(|number| {
        let (id, data) = (format!("s{number}"), json!({"agent_id": "a1"}));
        record("acme", "session.created", &id, &id, &data)
    });
    here.append(sessions.collect()).await;
    let reactor = Reactor {
        log: Arc::clone(&there.log),
        projection: Arc::clone(&there.projection),
        clock: Arc::new(SystemClock),
        metrics: Arc::default(),
    };
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    tasks.spawn(reactor.end_revoked(stop.clone()));
    let (log, projection) = (Arc::clone(&here.log), Arc::clone(&here.projection));
    let ledger = Ledger::new(log, projection, Arc::new(SystemClock));
    let commands = Commands::new(ledger, TokenSecret::new([7; TokenSecret::BYTES]));
    let (tenant, agent) = (
        TenantId::parse("acme").unwrap(),
        AgentId::parse("a1").unwrap(),
    );
    let by = By {
        tenant: &tenant,
        actor: None,
        agent: None,
        retry: None,
    };
    let change = AgentChange::Revoke { reason: None };
    let done = commands.change_agent(by, &agent, change).await.unwrap();
    let revocation = done.revocation.unwrap();
    assert_eq!(revocation.ended_sessions, SESSIONS as u64);
    let last = revocation.settled_position.unwrap();
    assert_eq!(last.get(), done.receipt.position.get() + SESSIONS as u64);
    assert_eq!(here.verdict("acme", last), Verdict::Applied);
    stop.cancel();
    tasks.join_all().await;
    for node in nodes {
        node.stop().await;
    }
}
