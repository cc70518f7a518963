//! Many records at once on `JetStream`: in one batch if the server opens one, and else one by one. Under
//! a guard, at most one writer wins either way.

use std::sync::Arc;

use async_nats::HeaderMap;
use session_ledger::domain::Position;
use session_ledger::domain::limits::BODY_BYTES_MAX;
use session_ledger::log::{Appended, EventLog, Guard, LogError};

use crate::log_conformance::{
    Fixture as _, assert_gapless, content, expired, guard, new_record, new_records, positions, read,
};
use crate::log_jetstream::{JetStream, connect};

const BATCH_ID: &str = "Nats-Batch-Id";

fn after(position: u64) -> Guard {
    guard(Position::new(position), Position::new(position))
}

/// Returns the id of the batch of the message at a position.
async fn batch_of(fixture: &JetStream, position: u64) -> Option<String> {
    let stream = fixture.stranger().await.get_stream("LEDGER").await.unwrap();
    let message = stream.get_raw_message(position).await.unwrap();
    message
        .headers
        .get(BATCH_ID)
        .map(|id| id.as_str().to_owned())
}

/// Whether the server is new enough for batches to be faster.
async fn batches_pay(fixture: &JetStream) -> bool {
    let client = async_nats::connect(fixture.server.url()).await.unwrap();
    client.is_server_compatible(2, 15, 0)
}

/// Opens as many batches as the server allows, and commits none.
pub(crate) async fn open_all_batches(url: &str) {
    let stranger = async_nats::connect(url).await.unwrap();
    for number in 0.. {
        let mut headers = HeaderMap::new();
        headers.insert(BATCH_ID, format!("stranger-{number}"));
        headers.insert("Nats-Batch-Sequence", "1");
        let subject = "ledger.v1.acme.session.created";
        let answer = stranger
            .request_with_headers(subject, headers, "{}".into())
            .await
            .unwrap();
        if !answer.payload.is_empty() {
            assert!(number > 0, "{answer:?}");
            return;
        }
    }
}

fn overtaken(appended: &Appended) -> usize {
    let is_overtaken = |one: &&Result<_, _>| matches!(one, Err(LogError::Overtaken));
    appended.iter().filter(is_overtaken).count()
}

#[tokio::test]
async fn many_records_are_appended_in_one_batch_and_few_are_not() {
    let fixture = JetStream::start().await;
    assert_eq!(
        positions(fixture.log.append(new_records(0..2)).await),
        [1, 2]
    );
    let appended = positions(fixture.log.append(new_records(2..1502)).await);
    assert_eq!(appended, (3..1503).collect::<Vec<_>>());
    assert_eq!(batch_of(&fixture, 1).await, None);
    let (first, second) = (batch_of(&fixture, 3).await, batch_of(&fixture, 1502).await);
    assert_eq!(batch_of(&fixture, 1002).await, first);
    if batches_pay(&fixture).await {
        assert!(first.is_some() && second.is_some() && first != second);
    } else {
        assert_eq!((first, second), (None, None));
    }
}

#[tokio::test]
async fn only_the_bad_records_of_a_large_append_fail() {
    let fixture = JetStream::start().await;
    let mut records = new_records(0..700);
    records[7].subject = "ledger.v1.acme.session.invented".into();
    records[8].body = vec![b'x'; BODY_BYTES_MAX + 1].into();
    records[699].subject = "white space".into();
    let results = fixture.log.append(records.clone()).await;
    for (index, result) in results.iter().enumerate() {
        match index {
            7 | 699 => assert!(
                matches!(result, Err(LogError::Unavailable(_))),
                "{result:?}"
            ),
            8 => assert!(
                matches!(result, Err(LogError::TooLarge { .. })),
                "{result:?}"
            ),
            _ => assert!(result.is_ok(), "{index}: {result:?}"),
        }
    }
    let mut tail = fixture.log.tail(Position::ZERO).await.unwrap();
    let kept = read(&mut *tail, 697).await;
    let numbers = (0..699).filter(|number| ![7, 8].contains(number));
    assert_eq!(
        kept.iter().map(content).collect::<Vec<_>>(),
        numbers.map(new_record).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn records_are_appended_one_by_one_if_the_server_opens_no_more_batches() {
    let fixture = JetStream::start().await;
    open_all_batches(fixture.server.url()).await;
    let appended = positions(fixture.log.append(new_records(0..600)).await);
    assert_eq!(appended, (1..=600).collect::<Vec<_>>());
    assert_eq!(batch_of(&fixture, 600).await, None);
    // Guards work without batches, too.
    let records: Vec<_> = (0..50).map(expired).collect();
    let other = connect(&fixture.server, true).await;
    let late = other.append_after(records.clone(), after(0));
    let appended = fixture.log.append_after(records, after(0));
    let (appended, late) = tokio::join!(appended, late);
    let kept = appended
        .iter()
        .chain(&late)
        .filter(|one| one.is_ok())
        .count();
    assert!((1..=50).contains(&kept), "{kept}");
    assert_eq!(overtaken(&appended) + overtaken(&late), 100 - kept);
    // A writer that is overtaken writes nothing after that.
    for one in [appended, late] {
        assert!(one.is_sorted_by_key(Result::is_err));
    }
}

#[tokio::test]
async fn records_on_other_subjects_overtake_no_guard() {
    let fixture = JetStream::start().await;
    let log = &fixture.log;
    log.append(new_records(0..3)).await;
    for (count, position) in [(1, 0), (50, 4), (1, 55)] {
        let records = (0..count).map(expired).collect();
        let appended = log.append_after(records, after(position)).await;
        assert!(appended.iter().all(Result::is_ok), "{appended:?}");
        log.append(new_records(0..1)).await;
        // A guard that held once does not hold again.
        let records = (0..count).map(expired).collect();
        let appended = log.append_after(records, after(position)).await;
        assert_eq!(overtaken(&appended), appended.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_the_racing_logs_wins_each_round() {
    const ROUNDS: usize = 30;
    let fixture = JetStream::start().await;
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let log = connect(&fixture.server, true).await;
        racers.spawn(race(log, ROUNDS));
    }
    let won: usize = racers.join_all().await.into_iter().sum();
    assert_eq!(won, ROUNDS);
    let mut tail = fixture.log.tail(Position::ZERO).await.unwrap();
    let all: usize = (0..ROUNDS).map(size_of_round).sum();
    let records = read(&mut *tail, all).await;
    assert_gapless(&records, 0);
    let expected = (0..ROUNDS).flat_map(|round| (0..size_of_round(round)).map(expired));
    assert_eq!(
        records.iter().map(content).collect::<Vec<_>>(),
        expected.collect::<Vec<_>>()
    );
    assert_eq!(fixture.log.head().await.unwrap().get(), all as u64);
}

/// Returns a number of records: 1, which needs no batch, or enough for one.
fn size_of_round(round: usize) -> usize {
    if round.is_multiple_of(2) { 1 } else { 60 }
}

/// Appends the records of each round unless another log was first. Returns how often it won.
async fn race(log: Arc<session_ledger::log::JetStreamLog>, rounds: usize) -> usize {
    let (mut won, mut last) = (0, 0);
    for round in 0..rounds {
        let size = size_of_round(round);
        let records = (0..size).map(expired).collect();
        let appended = log.append_after(records, after(last)).await;
        if appended.iter().all(Result::is_ok) {
            won += 1;
        } else {
            assert_eq!(overtaken(&appended), size, "{appended:?}");
        }
        last += size as u64;
        while log.head().await.unwrap().get() < last {
            tokio::task::yield_now().await;
        }
    }
    won
}
