//! Records of NATS that are read many at a time: the newest from memory, others through a consumer.

use std::time::Duration;

use session_ledger::domain::Position;
use session_ledger::domain::limits::LOG_RANGE_RECORDS_MIN;
use session_ledger::log::{EventLog, Record};

use crate::log_conformance::{Fixture, new_records, read};
use crate::log_jetstream::{JetStream, SUBJECT};
use crate::support::nats::publish_raw;

/// More than one request for records of a consumer.
const RECORDS: usize = 5_000;

async fn one_by_one(log: &dyn EventLog, positions: &[Position]) -> Vec<Record> {
    let mut records = Vec::new();
    for position in positions {
        records.extend(log.get(vec![*position]).await.unwrap());
    }
    records
}

/// Waits until the stream has no consumers.
async fn consumers_are_gone(fixture: &JetStream) {
    let nats = fixture.stranger().await;
    let gone = async {
        loop {
            let stream = nats.get_stream("LEDGER").await.unwrap();
            if stream.cached_info().state.consumer_count == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    // The server would keep them for ten seconds by itself.
    tokio::time::timeout(Duration::from_secs(5), gone)
        .await
        .expect("the consumers of ranges are deleted");
}

#[tokio::test]
async fn a_range_has_the_records_that_are_read_one_by_one() {
    let fixture = JetStream::start().await;
    let log = fixture.log();
    log.append(new_records(0..RECORDS)).await;
    let every = |nth: u64| (1..=RECORDS as u64 / nth).map(move |number| number * nth);
    for (name, positions) in [
        ("all", every(1).collect::<Vec<_>>()),
        ("newest first", every(3).rev().collect()),
        ("one twice", every(5).chain([10]).collect()),
        ("far apart", every(50).collect()),
    ] {
        let positions: Vec<_> = positions.into_iter().map(Position::new).collect();
        assert!(LOG_RANGE_RECORDS_MIN <= positions.len() as u64);
        let records = log.get(positions.clone()).await.unwrap();
        let read: Vec<_> = records.iter().map(|record| record.position).collect();
        assert_eq!(read, positions, "{name}");
        let some = [0, 1, positions.len() / 2, positions.len() - 1];
        let asked = some.map(|index| positions[index]);
        let expected = some.map(|index| records[index].clone());
        assert_eq!(one_by_one(&*log, &asked).await, expected, "{name}");
    }
    consumers_are_gone(&fixture).await;
}

#[tokio::test]
async fn messages_that_break_a_connection_or_have_headers_are_in_a_range_as_they_are_one_by_one() {
    let fixture = JetStream::start().await;
    let log = fixture.log();
    let mut appended = 0;
    for headers in [
        &b"NATS/1.0\r\nce-specversion: 1.0\r\nce-id:  a \r\nCE-id: b\r\n\r\n"[..],
        b"NATS/1.0\r\nno colon\r\n\r\n",
        b"NATS/1.0\r\n\xff\xfe: 1\r\n\r\n",
        b"NATS/1.0 409 Consumer Deleted\r\n\r\n",
        // The client library panics at this one.
        b"NATS/1.0\r\nA: a\rb\r\n\r\n",
    ] {
        log.append(new_records(appended..appended + 40)).await;
        appended += 40;
        publish_raw(&fixture.server, SUBJECT, headers, b"{}").await;
    }
    log.append(new_records(appended..appended + 40)).await;
    let head = log.head().await.unwrap();
    let positions: Vec<_> = (1..=head.get()).map(Position::new).collect();
    let expected = one_by_one(&*log, &positions).await;
    for _again in 0..3 {
        assert_eq!(log.get(positions.clone()).await.unwrap(), expected);
    }
    assert!(log.is_available());
}

#[tokio::test]
async fn records_that_a_tail_has_just_read_need_no_server() {
    let mut fixture = JetStream::start().await;
    let log = fixture.log();
    log.append(new_records(0..100)).await;
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    let records = read(&mut *tail, 100).await;
    fixture.server.kill();
    let positions = (1..=100).rev().map(Position::new).collect();
    let newest_first: Vec<_> = records.into_iter().rev().collect();
    assert_eq!(log.recall(positions).await.unwrap(), newest_first);
}
