//! The log on `JetStream`: the suite of the port, and the behavior that only this adapter has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::{self, Context, stream};
use bytes::Bytes;
use futures_util::StreamExt as _;
use session_ledger::domain::{Position, Rules, WithCauses};
use session_ledger::log::jetstream::{Credentials, JetStreamConfig};
use session_ledger::log::{EventLog, JetStreamLog, LogError, NewRecord};

use crate::log_conformance::{
    Fixture, assert_gapless, content, new_record, new_records, next, positions, read, suite,
};
use crate::support::nats::{NatsServer, publish_raw, replace_stream};

suite!(JetStream);

pub(crate) const SUBJECT: &str = "ledger.v1.acme.session.created";

/// A log on its own server.
pub(crate) struct JetStream {
    pub(crate) log: Arc<JetStreamLog>,
    pub(crate) server: NatsServer,
}

impl Fixture for JetStream {
    async fn start() -> Self {
        let server = NatsServer::start().await;
        Self {
            log: connect(&server, false).await,
            server,
        }
    }

    fn log(&self) -> Arc<dyn EventLog> {
        Arc::<JetStreamLog>::clone(&self.log)
    }

    async fn several(&self, count: usize) -> Vec<Arc<dyn EventLog>> {
        let mut logs = Vec::with_capacity(count);
        for _ in 0..count {
            logs.push(connect(&self.server, true).await as Arc<dyn EventLog>);
        }
        logs
    }

    async fn reopen(mut self) -> Self {
        self.log.close().await;
        self.server.restart().await;
        Self {
            log: connect(&self.server, true).await,
            server: self.server,
        }
    }
}

impl JetStream {
    /// Returns a client that is not the ledger.
    pub(crate) async fn stranger(&self) -> Context {
        jetstream::new(async_nats::connect(self.server.url()).await.unwrap())
    }
}

fn config(server: &NatsServer) -> JetStreamConfig {
    JetStreamConfig::new(vec![server.url().to_owned()])
}

pub(crate) async fn connect(server: &NatsServer, expect_existing: bool) -> Arc<JetStreamLog> {
    Arc::new(
        JetStreamLog::connect(&config(server), expect_existing)
            .await
            .unwrap(),
    )
}

async fn connect_error(config: &JetStreamConfig, expect_existing: bool) -> LogError {
    JetStreamLog::connect(config, expect_existing)
        .await
        .err()
        .unwrap()
}

/// Returns the configuration of the ledger's stream, as a template for another stream.
async fn stream_config(nats: &Context) -> stream::Config {
    nats.get_stream("LEDGER")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone()
}

// --- The server goes away ------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_records_survive_a_crash() {
    let mut fixture = JetStream::start().await;
    let log = fixture.log();
    let restarted = AtomicBool::new(false);
    let append = async {
        let mut kept = Vec::new();
        for first in (0..).step_by(500) {
            let is_last = restarted.load(Ordering::SeqCst);
            let appended = log.append(new_records(first..first + 500)).await;
            for (number, result) in (first..).zip(appended) {
                match result {
                    Ok(position) => kept.push((number, position)),
                    Err(LogError::Unconfirmed(_) | LogError::Unavailable(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            if is_last {
                break;
            }
        }
        kept
    };
    let log = fixture.log();
    let crash = async {
        let mut tail = log.tail(Position::ZERO).await.unwrap();
        read(&mut *tail, 1000).await;
        fixture.server.kill();
        fixture.server.restart().await;
        restarted.store(true, Ordering::SeqCst);
    };
    let (kept, ()) = tokio::join!(append, crash);
    // The last append was after the restart.
    assert!(kept.len() > 1000 && kept.last().unwrap().0 % 500 == 499);
    assert!(kept.is_sorted_by_key(|(_, position)| *position));
    let (numbers, positions): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
    let records = fixture.log.get(positions).await.unwrap();
    for (record, number) in records.iter().zip(numbers) {
        assert_eq!(content(record), new_record(number));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_goes_on_after_a_crash_without_a_gap_or_a_copy() {
    let mut fixture = JetStream::start().await;
    let log = fixture.log();
    log.append(new_records(0..3000)).await;
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    let mut records = Vec::new();
    while records.len() < 500 {
        records.extend(next(&mut *tail, 100).await.unwrap());
    }
    fixture.server.kill();
    // Records that had arrived are still returned. The rest arrives after the restart.
    let (rest, ()) = tokio::join!(
        read(&mut *tail, 3000 - records.len()),
        fixture.server.restart()
    );
    records.extend(rest);
    assert_gapless(&records, 0);
    assert_eq!(
        records.iter().map(content).collect::<Vec<_>>(),
        new_records(0..3000)
    );
    assert_eq!(positions(log.append(new_records(3000..3001)).await), [3001]);
    assert_eq!(read(&mut *tail, 1).await[0].position.get(), 3001);
}

/// When its first request had ended, a reader once waited without another request. So an idle ledger
/// created a new consumer and logged a warning twice a minute.
#[tokio::test]
async fn an_idle_reader_asks_its_consumer_again_when_a_request_ends() {
    let fixture = JetStream::start().await;
    let stranger = async_nats::connect(fixture.server.url()).await.unwrap();
    let mut requests = stranger
        .subscribe("$JS.API.CONSUMER.MSG.NEXT.>")
        .await
        .unwrap();
    stranger.flush().await.unwrap();
    let mut tail = fixture.log().tail(Position::ZERO).await.unwrap();
    let two_requests = async {
        let (first, second) = (
            requests.next().await.unwrap(),
            requests.next().await.unwrap(),
        );
        assert_eq!(
            first.subject, second.subject,
            "both requests use one consumer"
        );
    };
    tokio::select! {
        () = two_requests => {}
        read = tail.next(1) => panic!("the log is empty, but the read returned {read:?}"),
    }
}

#[tokio::test]
async fn an_append_waits_for_a_server_that_restarts() {
    let mut fixture = JetStream::start().await;
    fixture.server.kill();
    let log = fixture.log();
    let (appended, ()) = tokio::join!(log.append(new_records(0..3)), fixture.server.restart());
    // The first records may have been sent on the broken connection.
    let kept = appended.iter().filter(|result| result.is_ok()).count();
    assert_eq!(log.head().await.unwrap().get(), kept as u64);
    assert!(appended.iter().flatten().is_sorted());
}

/// Appends that each hold a part of the messages that may be in flight, and wait for more, would all
/// wait until they time out.
#[tokio::test]
async fn appends_beyond_what_may_be_in_flight_take_turns_or_write_nothing() {
    const APPENDS: usize = 300;
    const EACH: usize = 100;
    let fixture = JetStream::start().await;
    let log = fixture.log();
    let appends = (0..APPENDS).map(|number| {
        let first = number * EACH;
        log.append(new_records(first..first + EACH))
    });
    let appended = futures_util::future::join_all(appends).await;
    let mut kept = 0;
    for one in appended {
        match &one[0] {
            Ok(_) => kept += positions(one).len(),
            Err(error) => {
                let told = WithCauses(error).to_string();
                assert!(told.contains("too many appends wait for NATS"), "{told}");
                assert!(one.iter().all(Result::is_err));
            }
        }
    }
    assert!(EACH * 81 <= kept, "{kept}");
    assert_eq!(log.head().await.unwrap().get(), kept as u64);
}

#[tokio::test]
async fn closing_ends_a_read_that_waits_for_a_connection() {
    let mut fixture = JetStream::start().await;
    let mut tail = fixture.log.tail(Position::ZERO).await.unwrap();
    fixture.server.kill();
    let waiting = tokio::time::timeout(Duration::from_millis(500), tail.next(1)).await;
    assert!(waiting.is_err(), "there is no server");
    let (read, ()) = tokio::join!(next(&mut *tail, 1), fixture.log.close());
    let text = WithCauses(&read.unwrap_err()).to_string();
    assert_eq!(text, "the log is unavailable: it was closed");
}

#[tokio::test]
async fn an_address_without_a_server_is_unavailable() {
    let mut server = NatsServer::start().await;
    server.kill();
    let error = connect_error(&config(&server), false).await;
    assert!(matches!(error, LogError::Unavailable(_)), "{error:?}");
}

// --- Another client tampers with the stream ------------------------------------------------------

#[tokio::test]
async fn a_deleted_consumer_is_replaced_from_the_next_position() {
    let fixture = JetStream::start().await;
    let (log, nats) = (fixture.log(), fixture.stranger().await);
    let stream = nats.get_stream("LEDGER").await.unwrap();
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    for first in 0..5 {
        log.append(new_records(first..first + 1)).await;
        assert_eq!(content(&read(&mut *tail, 1).await[0]), new_record(first));
        let names: Vec<_> = stream.consumer_names().collect().await;
        assert_eq!(names.len(), 1);
        stream
            .delete_consumer(names[0].as_ref().unwrap())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_stream_recreated_empty_under_a_reader_is_truncated() {
    let fixture = JetStream::start().await;
    let (log, nats) = (fixture.log(), fixture.stranger().await);
    log.append(new_records(0..3)).await;
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    read(&mut *tail, 3).await;
    let config = stream_config(&nats).await;
    replace_stream(&nats, config).await;
    // Every read reports it, so that an ignored alarm is repeated.
    for _ in 0..2 {
        let error = next(&mut *tail, 10).await.unwrap_err();
        let truncated = LogError::Truncated {
            head: Position::ZERO,
            after: Position::new(3),
        }
        .to_string();
        assert_eq!(error.to_string(), truncated);
    }
}

#[tokio::test]
async fn a_stream_recreated_and_filled_under_a_reader_is_replaced() {
    let fixture = JetStream::start().await;
    let (log, nats) = (fixture.log(), fixture.stranger().await);
    log.append(new_records(0..3)).await;
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    read(&mut *tail, 3).await;
    let config = stream_config(&nats).await;
    replace_stream(&nats, config).await;
    for _ in 0..5 {
        nats.publish(SUBJECT, "{}".into())
            .await
            .unwrap()
            .await
            .unwrap();
    }
    let error = loop {
        match next(&mut *tail, 10).await {
            Ok(records) => panic!("{records:?}"),
            // The reader checked while the new stream had fewer records than it had read.
            Err(LogError::Truncated { .. }) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LogError::Replaced { .. }), "{error:?}");
}

#[tokio::test]
async fn a_missing_record_is_a_gap() {
    let fixture = JetStream::start().await;
    let (log, nats) = (fixture.log(), fixture.stranger().await);
    let config = stream_config(&nats).await;
    let config = stream::Config {
        deny_delete: false,
        ..config
    };
    let stream = replace_stream(&nats, config).await;
    log.append(new_records(0..4)).await;
    stream.delete_message(3).await.unwrap();
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    assert_eq!(read(&mut *tail, 2).await.len(), 2);
    let error = next(&mut *tail, 10).await.unwrap_err();
    let gap = LogError::Gap {
        after: Position::new(2),
        found: Position::new(4),
    };
    assert_eq!(error.to_string(), gap.to_string());
    let error = log.get(vec![Position::new(3)]).await.unwrap_err();
    assert!(matches!(error, LogError::Damaged(_)), "{error:?}");
}

#[tokio::test]
async fn a_stream_that_breaks_a_promise_is_misconfigured() {
    let fixture = JetStream::start().await;
    let nats = fixture.stranger().await;
    let good = stream_config(&nats).await;
    assert_eq!(good.duplicate_window, Duration::from_millis(100));
    let bad = stream::Config {
        max_age: Duration::from_hours(1),
        max_messages_per_subject: 5,
        allow_rollup: true,
        deny_purge: false,
        discard: stream::DiscardPolicy::Old,
        subjects: vec!["ledger.>".to_owned()],
        ..good
    };
    replace_stream(&nats, bad).await;
    let error = connect_error(&config(&fixture.server), true).await;
    assert!(matches!(error, LogError::Misconfigured(_)), "{error:?}");
    for named in [
        "subjects must be ledger.",
        "max_age must be 0",
        "max_msgs_per_subject must be -1",
        "allow_rollup_hdrs must be false",
        "deny_purge must be true",
        "discard must be new",
    ] {
        let text = WithCauses(&error).to_string();
        assert!(text.contains(named), "{named} in {text}");
    }
}

#[tokio::test]
async fn batches_are_enabled_on_a_stream_of_an_earlier_build() {
    let fixture = JetStream::start().await;
    let nats = fixture.stranger().await;
    let earlier = stream::Config {
        allow_atomic_publish: false,
        ..stream_config(&nats).await
    };
    nats.update_stream(earlier.clone()).await.unwrap();
    assert!(!stream_config(&nats).await.allow_atomic_publish);
    connect(&fixture.server, true).await;
    assert!(stream_config(&nats).await.allow_atomic_publish);
    // A stream that breaks a promise is not changed.
    let broken = stream::Config {
        max_age: Duration::from_hours(1),
        ..earlier
    };
    nats.update_stream(broken).await.unwrap();
    connect_error(&config(&fixture.server), true).await;
    assert!(!stream_config(&nats).await.allow_atomic_publish);
}

#[tokio::test]
async fn a_stream_that_was_read_is_not_created_again() {
    let server = NatsServer::start().await;
    let error = connect_error(&config(&server), true).await;
    let text = WithCauses(&error).to_string();
    assert!(text.contains("does not exist"), "{text}");
    connect(&server, false).await;
    connect(&server, true).await;
}

#[tokio::test]
async fn more_replicas_than_servers_is_misconfigured() {
    let server = NatsServer::start().await;
    let config = JetStreamConfig {
        replicas: 3,
        ..config(&server)
    };
    let error = connect_error(&config, false).await;
    assert!(matches!(error, LogError::Misconfigured(_)), "{error:?}");
}

// --- Published messages --------------------------------------------------------------------------

#[tokio::test]
async fn a_subject_of_no_stream_is_unavailable_and_the_other_records_are_kept() {
    let fixture = JetStream::start().await;
    let mut records = new_records(0..4);
    records[1].subject = "ledger.v1.acme.session.invented".into();
    records[2].subject = "white space".into();
    let results = fixture.log.append(records).await;
    assert_eq!(results[0].as_ref().unwrap().get(), 1);
    let error = results[1].as_ref().unwrap_err();
    assert!(matches!(error, LogError::Unavailable(_)), "{error:?}");
    let text = WithCauses(error).to_string();
    assert!(text.contains("no responders"), "{text}");
    assert!(
        matches!(results[2], Err(LogError::Unavailable(_))),
        "{results:?}"
    );
    assert_eq!(results[3].as_ref().unwrap().get(), 2);
}

#[tokio::test]
async fn duplicates_are_kept_for_the_fold_to_detect() {
    let fixture = JetStream::start().await;
    let record = new_record(1);
    let appended = fixture
        .log
        .append(vec![record.clone(), record.clone(), record])
        .await;
    assert_eq!(positions(appended), [1, 2, 3]);
    let message = fixture.stranger().await.get_stream("LEDGER").await.unwrap();
    let message = message.get_raw_message(1).await.unwrap();
    assert!(message.headers.get("Nats-Msg-Id").is_none());
    let content_type = message.headers.get("content-type").unwrap();
    assert_eq!(content_type.as_str(), "application/cloudevents+json");
}

#[tokio::test]
async fn a_binary_mode_message_is_read_as_a_structured_event() {
    let fixture = JetStream::start().await;
    let mut headers = async_nats::HeaderMap::new();
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "a1"),
        ("ce-type", "created"),
    ] {
        headers.insert(name, value);
    }
    headers.insert("content-type", "application/json");
    let nats = fixture.stranger().await;
    let payload = Bytes::from_static(br#"{"agent_id":"a"}"#);
    nats.publish_with_headers(SUBJECT, headers, payload)
        .await
        .unwrap()
        .await
        .unwrap();
    let mut tail = fixture.log.tail(Position::ZERO).await.unwrap();
    let record = read(&mut *tail, 1).await.remove(0);
    let event: serde_json::Value = serde_json::from_slice(&record.body(Rules::LATEST)).unwrap();
    assert_eq!(event["id"], "a1");
    assert_eq!(event["data"]["agent_id"], "a");
    assert_eq!(
        fixture.log.get(vec![Position::new(1)]).await.unwrap(),
        [record]
    );
}

/// The client library drops the connection at every delivery of headers that it cannot parse. So one
/// runtime could stop the ledger for all tenants.
#[tokio::test]
async fn a_message_with_broken_headers_does_not_stop_the_reader() {
    let fixture = JetStream::start().await;
    let log = fixture.log();
    log.append(new_records(0..1)).await;
    for headers in [
        &b"NATS/1.0\r\nno colon\r\n\r\n"[..],
        b"NATS/1.0\r\n\xff\xfe: 1\r\n\r\n",
        // The library can parse these, but only a server may send them.
        b"NATS/1.0 503\r\n\r\n",
        b"NATS/1.0 409 Consumer Deleted\r\n\r\n",
        b"NATS/1.0 100 Idle Heartbeat\r\n\r\n",
    ] {
        publish_raw(&fixture.server, SUBJECT, headers, b"{}").await;
    }
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    let records = read(&mut *tail, 6).await;
    assert_gapless(&records, 0);
    let expected = NewRecord {
        subject: SUBJECT.into(),
        private: Bytes::new(),
        body: Bytes::from_static(b"{}"),
    };
    assert!(
        records[1..]
            .iter()
            .all(|record| content(record) == expected)
    );
    assert_eq!(
        log.get((1..=6).map(Position::new).collect()).await.unwrap(),
        records
    );
    // The connection works again.
    assert_eq!(positions(log.append(new_records(6..7)).await), [7]);
    assert_eq!(content(&read(&mut *tail, 1).await[0]), new_record(6));
}

/// The client library panics at such a header, and its connection does not come back.
#[tokio::test]
async fn a_message_that_kills_the_connection_of_the_reader_is_read_by_another_one() {
    let fixture = JetStream::start().await;
    let log = fixture.log();
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    for round in 0..3 {
        let first = 2 * round as u64;
        log.append(new_records(round..round + 1)).await;
        publish_raw(
            &fixture.server,
            SUBJECT,
            b"NATS/1.0\r\nA: a\rb\r\n\r\n",
            b"{}",
        )
        .await;
        assert_gapless(&read(&mut *tail, 2).await, first);
        let mut again = log.tail(Position::new(first)).await.unwrap();
        assert_gapless(&read(&mut *again, 2).await, first);
    }
    assert!(log.is_available());
}

// --- Credentials ---------------------------------------------------------------------------------

#[tokio::test]
async fn credentials_are_sent_and_an_open_server_is_recognized() {
    let users = "authorization { users: [{ user: ledger, password: secret }] }";
    let server = NatsServer::start_with(users).await;
    assert!(matches!(
        connect_error(&config(&server), false).await,
        LogError::Unavailable(_)
    ));
    let credentials = Credentials::UserPassword {
        user: "ledger".to_owned(),
        password: "secret".to_owned(),
    };
    assert!(!format!("{credentials:?}").contains("secret"));
    let config = JetStreamConfig {
        credentials,
        inbox_prefix: "_INBOX_ledger".to_owned(),
        ..config(&server)
    };
    let log = JetStreamLog::connect(&config, false).await.unwrap();
    assert!(log.asks_for_credentials());
    assert_eq!(positions(log.append(new_records(0..1)).await), [1]);
    assert!(
        !connect(&NatsServer::start().await, false)
            .await
            .asks_for_credentials()
    );
}
