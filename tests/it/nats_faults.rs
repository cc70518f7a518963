//! A NATS server that hangs, is full, has a small limit or lacks JetStream: the ledger reports it, and
//! recovers by itself.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::json;
use session_ledger::domain::Position;
use session_ledger::log::jetstream::{JetStreamConfig, JetStreamLog};
use session_ledger::log::{EventLog as _, NewRecord};
use tokio::time::timeout;

use crate::support::cli::{Server, fails, ok, run, stdout};
use crate::support::client::{Client, created};
use crate::support::nats::{NatsServer, Setup};
use crate::support::nats_ledger::{CREATED, World, until_ready_is};

const TIME: &str = "2026-01-31T12:00:00Z";
/// How soon the ledger must notice a server that hangs.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);
/// How long a reader may stay at a consumer that is silent.
const NOT_SILENT_MAX: Duration = Duration::from_secs(20);
/// After this time a caller of the reader does something else, and calls again.
const CALL_MAX: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_server_that_hangs_is_noticed_and_reported_and_used_again() {
    let world = World::start().await;
    let client = world.client();
    client.apply(&created("s1", "a1", TIME)).await;
    let caught_up =
        async || client.get("/v1/agent-sessions").await.ok()["as_of"]["caught_up"].clone();
    assert_eq!(caught_up().await, true);

    world.nats.pause();
    let since = Instant::now();
    let said = until_ready_is(&client, 503).await;
    let took = since.elapsed();
    assert!(took < KNOWN_WITHIN, "{took:?}");
    assert!(said.contains("the log cannot be reached"), "{said}");
    assert_eq!(caught_up().await, false);
    let url = world.ledger.url();
    let doctor = tokio::task::spawn_blocking(move || run(&["doctor", "--url", &url]))
        .await
        .unwrap();
    let told = stdout(&doctor);
    assert!(told.contains("server ready  FAIL"), "{told}");
    assert!(told.contains("the log cannot be reached"), "{told}");
    let refused = client.emit(&created("s2", "a1", TIME)).await;
    refused.problem(503, "unavailable");
    let metrics = client.get("/metrics").await.text;
    assert!(
        metrics.contains("session_ledger_log_available 0"),
        "{metrics}"
    );

    world.nats.go_on();
    until_ready_is(&client, 200).await;
    client.apply(&created("s2", "a1", TIME)).await;
    assert_eq!(caught_up().await, true);
    world.ledger.stop().await.unwrap();
}

/// A log on a server that hands some requests to another client.
struct Intercepted {
    nats: NatsServer,
    log: JetStreamLog,
    stranger: async_nats::Client,
    requests: async_nats::Subscriber,
}

/// Starts a server with a mapping of requests to a subject, to which another client subscribes.
async fn intercepted(mapping: &str, subject: &'static str) -> Intercepted {
    let nats = NatsServer::start_with(mapping).await;
    let stranger = async_nats::connect(nats.url()).await.unwrap();
    let requests = stranger.subscribe(subject).await.unwrap();
    stranger.flush().await.unwrap();
    let config = JetStreamConfig::new(vec![nats.url().to_owned()]);
    let log = Box::pin(JetStreamLog::connect(&config, false)).await;
    Intercepted {
        nats,
        log: log.unwrap(),
        stranger,
        requests,
    }
}

/// In each call, a reader once began to wait anew. Callers drop calls, so it waited forever.
#[tokio::test]
async fn a_reader_leaves_a_silent_consumer_although_each_of_its_calls_is_dropped() {
    // The server hands requests for records to another client, which does not answer them.
    let lost = r#"mappings { "$JS.API.CONSUMER.MSG.NEXT.LEDGER.*": "lost.$1" }"#;
    let Intercepted {
        log,
        stranger: _stranger,
        mut requests,
        nats: _nats,
    } = intercepted(lost, "lost.*").await;
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    let (mut consumers, began) = (HashSet::new(), Instant::now());
    while consumers.len() < 2 {
        assert!(began.elapsed() < NOT_SILENT_MAX, "{consumers:?}");
        tokio::select! {
            request = requests.next() => {
                consumers.insert(request.unwrap().subject.to_string());
            }
            read = timeout(CALL_MAX, tail.next(1)) => assert!(read.is_err(), "{read:?}"),
        }
    }
}

/// While a cluster changes its leader, the previous one may answer as well. It lacks the newest records.
#[tokio::test]
async fn a_record_that_one_answer_lacks_is_asked_for_again() {
    // The server hands requests for one record to another client, which answers as a previous leader.
    let previous = r#"mappings { "$JS.API.STREAM.MSG.GET.LEDGER": "previous" }"#;
    let Intercepted {
        log,
        stranger,
        mut requests,
        nats: _nats,
    } = intercepted(previous, "previous").await;
    let record = NewRecord {
        subject: CREATED.into(),
        private: Bytes::new(),
        body: "{}".into(),
    };
    let position = log.append(vec![record]).await.remove(0).unwrap();
    let answers = [
        json!({"error": {"code": 404, "err_code": 10037, "description": "no message found"}}),
        json!({"message": {"subject": CREATED, "seq": position.get(), "data": "e30=", "time": TIME}}),
    ];
    let answering = async {
        for answer in answers {
            let request = requests.next().await.unwrap();
            let to = request.reply.unwrap();
            stranger
                .publish(to, answer.to_string().into())
                .await
                .unwrap();
        }
    };
    let (read, ()) = tokio::join!(log.get(vec![position]), answering);
    assert_eq!(read.unwrap()[0].payload, "{}");
}

fn with_room(bytes: &str) -> String {
    format!(
        "listen: \"127.0.0.1:{{PORT}}\"\n\
         jetstream {{ store_dir: \"{{DIR}}\", max_file_store: {bytes} }}\n"
    )
}

#[tokio::test]
async fn a_ledger_with_a_full_log_is_not_ready_until_the_log_has_room() {
    let mut nats = NatsServer::start_as(Setup {
        config: with_room("200KB"),
        env: Vec::new(),
        included: None,
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &["--nats-url", nats.url()]);
    let client = Client::new(server.url(), "acme");
    let sent = async |number: usize| {
        let mut event = created(&format!("s{number}"), "a1", TIME);
        event["data"]["metadata"] = json!({"text": "x".repeat(10_000)});
        client.emit(&event).await
    };
    let mut number = 0;
    let refused = loop {
        number += 1;
        assert!(number < 100, "the log never fills up");
        let answer = sent(number).await;
        if answer.status != 201 {
            break answer;
        }
    };
    let problem = refused.problem(503, "unavailable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("the log refuses writes"), "{detail}");
    assert!(detail.contains("insufficient resources"), "{detail}");
    sent(number).await.problem(503, "unavailable");
    let said = until_ready_is(&client, 503).await;
    assert!(
        said.contains("the log refuses writes: insufficient resources"),
        "{said}"
    );
    let metrics = client.get("/metrics").await.text;
    assert!(
        metrics.contains("session_ledger_log_refuses_writes 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("session_ledger_log_available 1"),
        "{metrics}"
    );
    let told = stdout(&run(&["doctor", "--nats-url", nats.url()]));
    assert!(told.contains("LEDGER: the log refuses writes"), "{told}");

    nats.restart_as(&with_room("20MB")).await;
    // The ledger finds out by itself, because no client sends events to it while it is not ready.
    until_ready_is(&client, 200).await;
    let metrics = client.get("/metrics").await.text;
    assert!(
        metrics.contains("session_ledger_log_refuses_writes 0"),
        "{metrics}"
    );
    assert_eq!(sent(number).await.status, 201);
    let (_, logged) = server.terminate();
    let lines = |text: &str| logged.lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("the log refuses writes"), 1, "{logged}");
    assert_eq!(lines("the log accepts writes again"), 1, "{logged}");
    let listed = ok(&[
        "verify",
        "--data-dir",
        dir.path().to_str().unwrap(),
        "--nats-url",
        nats.url(),
    ]);
    assert!(listed.contains("ok:"), "the probe wrote a record: {listed}");
}

#[tokio::test]
async fn the_error_for_a_server_without_jetstream_says_what_it_lacks() {
    let config = "listen: \"127.0.0.1:{PORT}\"\n".to_owned();
    let nats = NatsServer::start_as(Setup {
        config,
        env: Vec::new(),
        included: None,
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let needs = "JetStream is not enabled: start nats-server with --jetstream";
    let (path, on) = (dir.path().to_str().unwrap(), ["--nats-url", nats.url()]);
    let serve = [
        &["serve", "--data-dir", path, "--listen", "127.0.0.1:0"],
        &on[..],
    ]
    .concat();
    let said = fails(&serve, 1);
    assert!(said.contains(needs), "{said}");
    let issue = [
        &["keys", "issue", "--tenant", "acme", "--role", "admin"],
        &on[..],
    ]
    .concat();
    let said = fails(&issue, 1);
    assert!(said.contains(needs), "{said}");
    let told = stdout(&run(&[&["doctor"], &on[..]].concat()));
    assert!(told.contains(needs), "{told}");
}

#[tokio::test]
async fn a_server_with_a_small_message_limit_is_reported_with_the_limit() {
    let nats = NatsServer::start_with("max_payload: 20000").await;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &["--nats-url", nats.url()]);
    let started = server.started();
    assert!(started.contains("at most 20000 bytes"), "{started}");
    assert!(started.contains("max_payload"), "{started}");
    let client = Client::new(server.url(), "acme");
    let with = |id: &str, bytes: usize| {
        let mut event = created(id, "a1", TIME);
        event["note"] = json!("x".repeat(bytes));
        event
    };
    client.apply(&with("s1", 10_000)).await;
    let problem = client
        .emit(&with("s2", 30_000))
        .await
        .problem(413, "too_large");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("20000 bytes"), "{detail}");
    // In a batch, an event that fits is still appended.
    let batch = json!([with("s3", 1), with("s4", 30_000)]);
    let answer = client
        .post(
            "/v1/events",
            "application/cloudevents-batch+json",
            batch.to_string(),
        )
        .await;
    let results = answer.ok()["results"].clone();
    assert_eq!(
        (&results[0]["verdict"], &results[1]["error"]),
        (&json!("applied"), &json!("too_large"))
    );
    let told = run(&["doctor", "--nats-url", nats.url()]);
    assert_eq!(told.status.code(), Some(1));
    let told = stdout(&told);
    assert!(told.contains("nats max_payload  FAIL"), "{told}");
    assert!(told.contains("69632"), "{told}");
}
