//! The second log, which holds the keys, keeps the promises of a log beside the first.

use std::net::SocketAddr;
use std::sync::Arc;

use session_ledger::app::open::open;
use session_ledger::app::{Config, LogSource};
use session_ledger::domain::Position;
use session_ledger::log::jetstream::JetStreamConfig;
use session_ledger::log::{EventLog, LogError, NewRecord};

use crate::log_conformance::{content, new_record, positions, read};
use crate::support::nats::NatsServer;

fn config(dir: &std::path::Path, log: LogSource) -> Config {
    Config {
        log,
        ..Config::local(dir.to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

fn key_event(kind: &str) -> NewRecord {
    NewRecord {
        subject: format!("ledger.admin.v1.acme.key.{kind}").into(),
        ..new_record(2)
    }
}

/// Appends to both logs, opens them again, and checks that each has its own records.
async fn each_log_keeps_its_own_records(config: &Config) {
    let opened = open(config).await.unwrap();
    let events = opened.log.append(vec![new_record(1)]).await;
    assert_eq!(positions(events), [1]);
    let keys = vec![key_event("issued"), key_event("revoked")];
    let appended = opened.admin.append(keys.clone()).await;
    assert_eq!(positions(appended), [1, 2]);
    close(opened.log, opened.admin).await;
    drop(opened.projection);

    let opened = open(config).await.unwrap();
    assert_eq!(opened.log.head().await.unwrap(), Position::new(1));
    let mut tail = opened.admin.tail(Position::ZERO).await.unwrap();
    let records = read(&mut *tail, 2).await;
    assert_eq!(records.iter().map(content).collect::<Vec<_>>(), keys);
    close(opened.log, opened.admin).await;
}

async fn close(log: Arc<dyn EventLog>, admin: Arc<dyn EventLog>) {
    admin.close().await;
    log.close().await;
}

#[tokio::test]
async fn keys_have_their_own_file() {
    let dir = tempfile::tempdir().unwrap();
    each_log_keeps_its_own_records(&config(dir.path(), LogSource::Embedded)).await;
    assert!(dir.path().join("log.redb").exists());
    assert!(dir.path().join("admin.redb").exists());
}

#[tokio::test]
async fn keys_have_their_own_stream_that_accepts_nothing_else() {
    let server = NatsServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let source = LogSource::JetStream(JetStreamConfig {
        stream: "OTHER".to_owned(),
        ..JetStreamConfig::new(vec![server.url().to_owned()])
    });
    let config = config(dir.path(), source);
    each_log_keeps_its_own_records(&config).await;

    let nats = async_nats::connect(server.url()).await.unwrap();
    let nats = async_nats::jetstream::new(nats);
    let stream = nats.get_stream("OTHER_ADMIN").await.unwrap();
    let stream = &stream.cached_info().config;
    assert_eq!(
        stream.subjects,
        [
            "ledger.admin.v1.*.key.issued",
            "ledger.admin.v1.*.key.revoked"
        ]
    );
    assert!(stream.deny_delete && stream.deny_purge);
    let opened = open(&config).await.unwrap();
    let refused = opened.admin.append(vec![key_event("invented")]).await;
    assert!(
        matches!(refused[0], Err(LogError::Unavailable(_))),
        "{refused:?}"
    );
    close(opened.log, opened.admin).await;
}
