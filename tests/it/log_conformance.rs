//! One suite for every adapter of the log: each function checks one promise of the port.
//!
//! `log_conformance::suite!(Fixture)` in an adapter's module makes a test of each function.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use session_ledger::domain::limits::{BODY_BYTES_MAX, PRIVATE_BYTES_MAX};
use session_ledger::domain::{Position, WithCauses};
use session_ledger::log::{Appended, EventLog, Guard, LogError, NewRecord, Record, Tail};
use tokio::sync::Barrier;

/// An adapter's log, which can be closed and opened again on the same store.
pub(crate) trait Fixture: Sized {
    /// A new, empty log.
    async fn start() -> Self;
    /// The open log.
    fn log(&self) -> Arc<dyn EventLog>;
    /// A number of logs on the same store. Each has its own connections, if the store may be opened more
    /// than once.
    async fn several(&self, count: usize) -> Vec<Arc<dyn EventLog>>;
    /// Closes the log and opens it again.
    async fn reopen(self) -> Self;
}

/// Makes a test of each promise.
macro_rules! suite {
    ($fixture:ty) => {
        $crate::log_conformance::suite!($fixture:
            positions_start_at_1_and_a_tail_reads_in_order_from_any_of_them,
            a_read_returns_at_most_the_requested_number_of_records,
            a_tail_waits_for_the_next_record,
            concurrent_appends_lose_nothing_and_keep_each_callers_order,
            records_at_the_size_limit_are_kept_and_each_larger_one_is_rejected,
            records_are_read_by_position_in_any_order,
            a_position_beyond_the_head_is_truncated,
            the_head_is_the_last_position,
            a_reopened_log_has_the_same_records_and_goes_on,
            a_canceled_read_loses_nothing,
            several_tails_read_the_same_records,
            a_guarded_append_that_is_not_overtaken_is_kept,
            of_racing_appends_under_one_guard_one_succeeds_and_the_others_write_nothing,
            a_guard_is_refused_only_if_a_record_of_its_kind_is_unread,
            a_closed_log_fails_clearly_and_can_be_opened_again,
            two_closes_at_once_keep_the_appends_that_began,
        );
    };
    ($fixture:ty: $($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::log_conformance::$name::<$fixture>().await;
            }
        )*
    };
}
pub(crate) use suite;

/// Returns a record with its number in the body.
pub(crate) fn new_record(number: usize) -> NewRecord {
    let kinds = ["created", "refreshed", "handed_off", "terminated"];
    NewRecord {
        subject: format!("ledger.v1.acme.session.{}", kinds[number % kinds.len()]).into(),
        private: Bytes::from(vec![7; number % 3]),
        body: Bytes::from(format!(
            r#"{{"id":"{number}","pad":"{}"}}"#,
            "x".repeat(number % 200)
        )),
    }
}

/// Returns records with these numbers.
pub(crate) fn new_records(numbers: std::ops::Range<usize>) -> Vec<NewRecord> {
    numbers.map(new_record).collect()
}

/// The subject of a guard, for any tenant.
pub(crate) const EXPIRED: &str = "ledger.sys.v1.*.session.expired";

/// Returns a record on that subject, of one of a few tenants.
pub(crate) fn expired(number: usize) -> NewRecord {
    NewRecord {
        subject: format!("ledger.sys.v1.t{}.session.expired", number % 7).into(),
        ..new_record(number)
    }
}

/// A guard on that subject.
pub(crate) fn guard(after: Position, read_to: Position) -> Guard {
    Guard {
        subject: EXPIRED,
        after,
        read_to,
    }
}

/// Returns the positions of an append, which must have succeeded.
pub(crate) fn positions(appended: Appended) -> Vec<u64> {
    appended
        .into_iter()
        .map(|result| result.unwrap().get())
        .collect()
}

/// Reads this many records from a tail.
pub(crate) async fn read(tail: &mut dyn Tail, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while records.len() < count {
        records.extend(next(tail, count - records.len()).await.unwrap());
    }
    records
}

/// Reads once, and panics if that takes too long.
pub(crate) async fn next(tail: &mut dyn Tail, records_max: usize) -> Result<Vec<Record>, LogError> {
    tokio::time::timeout(Duration::from_secs(20), tail.next(records_max))
        .await
        .unwrap()
}

/// Returns a record without the fields that the log adds.
pub(crate) fn content(record: &Record) -> NewRecord {
    NewRecord {
        subject: record.subject.clone(),
        private: record.private.clone(),
        body: record.payload.clone(),
    }
}

/// Checks that records follow a position without a gap, and that their times are in order.
#[track_caller]
pub(crate) fn assert_gapless(records: &[Record], after: u64) {
    for (record, expected) in records.iter().zip(after + 1..) {
        assert_eq!(record.position.get(), expected);
    }
    assert!(records.is_sorted_by_key(|record| record.recorded_at));
}

pub(crate) async fn positions_start_at_1_and_a_tail_reads_in_order_from_any_of_them<F: Fixture>() {
    let fixture = F::start().await;
    let log = fixture.log();
    let all = new_records(0..300);
    let mut appended = Vec::new();
    for chunk in all.chunks(70) {
        appended.extend(positions(log.append(chunk.to_vec()).await));
    }
    assert_eq!(appended, (1..=300).collect::<Vec<_>>());
    assert_eq!(log.append(Vec::new()).await.len(), 0);
    for after in [0, 1, 69, 150, 299] {
        let mut tail = log.tail(Position::new(after)).await.unwrap();
        let start = usize::try_from(after).unwrap();
        let records = read(&mut *tail, 300 - start).await;
        assert_gapless(&records, after);
        assert_eq!(
            records.iter().map(content).collect::<Vec<_>>(),
            all[start..]
        );
    }
}

pub(crate) async fn a_read_returns_at_most_the_requested_number_of_records<F: Fixture>() {
    let fixture = F::start().await;
    let log = fixture.log();
    log.append(new_records(0..50)).await;
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    let mut after = 0;
    for records_max in [1, 2, 0, 7] {
        let records = next(&mut *tail, records_max).await.unwrap();
        assert!((1..=records_max.max(1)).contains(&records.len()));
        assert_gapless(&records, after);
        after += records.len() as u64;
    }
}

pub(crate) async fn a_tail_waits_for_the_next_record<F: Fixture>() {
    let fixture = F::start().await;
    let log = fixture.log();
    log.append(new_records(0..3)).await;
    let mut tail = log.tail(Position::new(3)).await.unwrap();
    let (records, appended) = tokio::join!(tail.next(10), async {
        tokio::task::yield_now().await;
        log.append(new_records(3..4)).await
    });
    assert_eq!(positions(appended), [4]);
    assert_eq!(
        records.unwrap().iter().map(content).collect::<Vec<_>>(),
        new_records(3..4)
    );
    assert!(tail.next(10).now_or_never().is_none());
}

pub(crate) async fn concurrent_appends_lose_nothing_and_keep_each_callers_order<F: Fixture>() {
    const CALLERS: usize = 64;
    const APPENDS: usize = 4;
    const RECORDS: usize = 5;
    let fixture = F::start().await;
    let log = fixture.log();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let log = Arc::clone(&log);
        callers.spawn(async move {
            let mut kept = Vec::new();
            for append in 0..APPENDS {
                let first = (caller * APPENDS + append) * RECORDS;
                kept.extend(positions(
                    log.append(new_records(first..first + RECORDS)).await,
                ));
            }
            (caller, kept)
        });
    }
    let kept: HashMap<usize, Vec<u64>> = callers.join_all().await.into_iter().collect();
    let count = CALLERS * APPENDS * RECORDS;
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    let records = read(&mut *tail, count).await;
    assert_gapless(&records, 0);
    assert_eq!(log.head().await.unwrap().get(), count as u64);
    for (caller, kept) in kept {
        assert!(kept.is_sorted(), "caller {caller}: {kept:?}");
        let first = caller * APPENDS * RECORDS;
        for (number, position) in (first..).zip(kept) {
            let record = &records[usize::try_from(position).unwrap() - 1];
            assert_eq!(content(record), new_record(number));
        }
    }
}

pub(crate) async fn records_at_the_size_limit_are_kept_and_each_larger_one_is_rejected<
    F: Fixture,
>() {
    let fixture = F::start().await;
    let log = fixture.log();
    let sized = |body_bytes: usize, private_bytes: usize| NewRecord {
        subject: "ledger.v1.acme.session.created".into(),
        private: Bytes::from(vec![0xfe; private_bytes]),
        body: Bytes::from(vec![b'x'; body_bytes]),
    };
    let largest = sized(BODY_BYTES_MAX, PRIVATE_BYTES_MAX);
    let results = log
        .append(vec![
            sized(1, 0),
            sized(BODY_BYTES_MAX + 1, 0),
            largest.clone(),
            sized(1, PRIVATE_BYTES_MAX + 1),
            sized(0, 1),
        ])
        .await;
    let seen: Vec<_> = results
        .iter()
        .map(|result| result.as_ref().ok().map(|p| p.get()))
        .collect();
    assert_eq!(seen, [Some(1), None, Some(2), None, Some(3)]);
    for refused in [&results[1], &results[3]] {
        assert!(
            matches!(refused, Err(LogError::TooLarge { .. })),
            "{refused:?}"
        );
    }
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    let records = read(&mut *tail, 3).await;
    assert_eq!(
        records.iter().map(content).collect::<Vec<_>>(),
        [sized(1, 0), largest, sized(0, 1)]
    );
}

pub(crate) async fn records_are_read_by_position_in_any_order<F: Fixture>() {
    let fixture = F::start().await;
    let log = fixture.log();
    log.append(new_records(0..200)).await;
    let wanted: Vec<_> = [200, 1, 77, 77, 3]
        .into_iter()
        .chain((1..=200).rev())
        .collect();
    let records = log
        .get(wanted.iter().copied().map(Position::new).collect())
        .await
        .unwrap();
    assert_eq!(records.len(), wanted.len());
    for (record, position) in records.iter().zip(wanted) {
        assert_eq!(record.position.get(), position);
        assert_eq!(
            content(record),
            new_record(usize::try_from(position).unwrap() - 1)
        );
    }
    // All ways of reading return equal records, also once a tail has read some of them.
    let mut tail = log.tail(Position::new(100)).await.unwrap();
    let newest = read(&mut *tail, 100).await;
    assert!(newest.iter().rev().eq(&records[5..105]));
    let wanted = records.iter().map(|record| record.position).collect();
    assert_eq!(log.recall(wanted).await.unwrap(), records);
    assert_eq!(log.get(Vec::new()).await.unwrap(), []);
    assert_eq!(log.recall(Vec::new()).await.unwrap(), []);
}

pub(crate) async fn a_position_beyond_the_head_is_truncated<F: Fixture>() {
    let fixture = F::start().await;
    let log = fixture.log();
    log.append(new_records(0..2)).await;
    let (head, after) = (Position::new(2), Position::new(3));
    let got = log.get(vec![Position::new(1), after]).await.unwrap_err();
    let recalled = log.recall(vec![after]).await.unwrap_err();
    let tail = log.tail(after).await.err().unwrap();
    for error in [got, recalled, tail] {
        let expected = LogError::Truncated { head, after };
        assert_eq!(error.to_string(), expected.to_string());
    }
}

pub(crate) async fn the_head_is_the_last_position<F: Fixture>() {
    let fixture = F::start().await;
    let log = fixture.log();
    assert_eq!(
        (log.head().await.unwrap(), log.known_head()),
        (Position::ZERO, Position::ZERO)
    );
    log.append(new_records(0..9)).await;
    assert_eq!(
        (log.head().await.unwrap().get(), log.known_head().get()),
        (9, 9)
    );
}

pub(crate) async fn a_reopened_log_has_the_same_records_and_goes_on<F: Fixture>() {
    let fixture = F::start().await;
    let log = fixture.log();
    log.append(new_records(0..20)).await;
    let before = read(&mut *log.tail(Position::ZERO).await.unwrap(), 20).await;
    drop(log);
    let fixture = fixture.reopen().await;
    let log = fixture.log();
    assert_eq!(
        (log.head().await.unwrap().get(), log.known_head().get()),
        (20, 20)
    );
    assert_eq!(positions(log.append(new_records(20..22)).await), [21, 22]);
    let after = read(&mut *log.tail(Position::ZERO).await.unwrap(), 22).await;
    assert_eq!(after[..20], before);
    assert_gapless(&after, 0);
}

pub(crate) async fn a_canceled_read_loses_nothing<F: Fixture>() {
    const COUNT: usize = 400;
    let fixture = F::start().await;
    let log = fixture.log();
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    let append = async {
        for first in (0..COUNT).step_by(20) {
            log.append(new_records(first..first + 20)).await;
        }
    };
    let read = async {
        let mut records = Vec::new();
        let mut patience_us = 0;
        while records.len() < COUNT {
            // Cancels each read at another point.
            patience_us = (patience_us + 37) % 3000;
            let patience = Duration::from_micros(patience_us);
            if let Ok(next) = tokio::time::timeout(patience, tail.next(9)).await {
                records.extend(next.unwrap());
            }
        }
        records
    };
    let ((), records) = tokio::join!(append, read);
    assert_gapless(&records, 0);
    assert_eq!(
        records.iter().map(content).collect::<Vec<_>>(),
        new_records(0..COUNT)
    );
}

pub(crate) async fn several_tails_read_the_same_records<F: Fixture>() {
    let fixture = F::start().await;
    let log = fixture.log();
    let mut tails = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let log = Arc::clone(&log);
        tails.spawn(async move { read(&mut *log.tail(Position::ZERO).await.unwrap(), 100).await });
    }
    for first in (0..100).step_by(10) {
        log.append(new_records(first..first + 10)).await;
    }
    let read = tails.join_all().await;
    assert_eq!(
        read[0].iter().map(content).collect::<Vec<_>>(),
        new_records(0..100)
    );
    assert!(read.iter().all(|records| *records == read[0]));
}

pub(crate) async fn a_guarded_append_that_is_not_overtaken_is_kept<F: Fixture>() {
    let fixture = F::start().await;
    let log = fixture.log();
    log.append(new_records(1..2)).await;
    let mut after = Position::ZERO;
    // One record, a few that are written one by one, and a batch.
    for (first, count) in [(2, 1), (3, 5), (8, 300)] {
        let numbers = first..first + count;
        let guard = guard(after, after);
        let records = numbers.clone().map(expired).collect();
        let appended = positions(log.append_after(records, guard).await);
        assert_eq!(appended, numbers.map(|n| n as u64).collect::<Vec<_>>());
        after = Position::new(appended[count - 1]);
    }
    let mut tail = log.tail(Position::new(1)).await.unwrap();
    let records = read(&mut *tail, 306).await;
    assert_eq!(
        records.iter().map(content).collect::<Vec<_>>(),
        (2..308).map(expired).collect::<Vec<_>>()
    );
}

pub(crate) async fn of_racing_appends_under_one_guard_one_succeeds_and_the_others_write_nothing<
    F: Fixture,
>() {
    const RACERS: usize = 6;
    let fixture = F::start().await;
    let (log, racers) = (fixture.log(), fixture.several(RACERS).await);
    let (mut last, mut head) = (Position::ZERO, Position::ZERO);
    // Alone, a few, and as many as make a batch, each after other records and without.
    for (count, others) in [(1, 0), (1, 3), (5, 2), (60, 0), (60, 1)] {
        for position in positions(log.append(new_records(0..others)).await) {
            head = Position::new(position);
        }
        let barrier = Arc::new(Barrier::new(RACERS));
        let mut tasks = tokio::task::JoinSet::new();
        for (racer, log) in racers.iter().map(Arc::clone).enumerate() {
            let (guard, barrier) = (guard(last, head), Arc::clone(&barrier));
            tasks.spawn(async move {
                let records: Vec<_> = (racer * 100..racer * 100 + count).map(expired).collect();
                barrier.wait().await;
                let appended = log.append_after(records.clone(), guard).await;
                (records, appended)
            });
        }
        let mut won = Vec::new();
        for (records, appended) in tasks.join_all().await {
            if appended.iter().all(Result::is_ok) {
                won.push((records, positions(appended)));
            } else {
                assert_overtaken(&appended, count);
            }
        }
        assert_eq!(won.len(), 1, "{won:?}");
        let (records, appended) = won.remove(0);
        let first = head.get() + 1;
        assert_eq!(appended, (first..first + count as u64).collect::<Vec<_>>());
        let mut tail = log.tail(head).await.unwrap();
        let written = read(&mut *tail, count).await;
        assert_eq!(written.iter().map(content).collect::<Vec<_>>(), records);
        last = Position::new(head.get() + count as u64);
        head = last;
        assert_eq!(log.head().await.unwrap(), head);
    }
}

pub(crate) async fn a_guard_is_refused_only_if_a_record_of_its_kind_is_unread<F: Fixture>() {
    let fixture = F::start().await;
    let log = fixture.log();
    let append =
        async |records| Position::new(*positions(log.append(records).await).last().unwrap());
    let first = append(vec![expired(0)]).await;
    let read_to = append(new_records(0..5)).await;
    // Unread records of other kinds do not matter.
    append(new_records(5..9)).await;
    let one = || vec![expired(1)];
    let own = positions(log.append_after(one(), guard(first, read_to)).await);
    // A guard that has just held does not hold again.
    assert_overtaken(&log.append_after(one(), guard(first, read_to)).await, 1);
    // The caller knows its own record, although it has not read up to it.
    let own = Position::new(own[0]);
    let own = positions(log.append_after(one(), guard(own, read_to)).await);
    let own = Position::new(own[0]);
    let read_to = append(new_records(0..3)).await;
    // A record of another tenant, between others.
    append(new_records(3..5)).await;
    let unread = append(vec![expired(2)]).await;
    append(new_records(5..7)).await;
    let head = log.head().await.unwrap();
    let zero = Position::ZERO;
    for (after, read_to) in [(own, read_to), (own, own), (zero, zero)] {
        for count in [1, 60] {
            let records = (0..count).map(expired).collect();
            let appended = log.append_after(records, guard(after, read_to)).await;
            assert_overtaken(&appended, count);
        }
    }
    assert_eq!(log.head().await.unwrap(), head);
    let appended = log.append_after(one(), guard(unread, unread)).await;
    assert_eq!(positions(appended), [head.get() + 1]);
}

pub(crate) async fn a_closed_log_fails_clearly_and_can_be_opened_again<F: Fixture>() {
    let fixture = F::start().await;
    let log = fixture.log();
    log.append(new_records(0..3)).await;
    let mut tail = log.tail(Position::new(3)).await.unwrap();
    assert!(log.is_available());
    log.close().await;
    log.close().await;
    assert!(!log.is_available());
    let after = guard(Position::ZERO, Position::new(3));
    let mut appended = log.append(new_records(0..2)).await;
    appended.extend(log.append_after(vec![expired(0)], after).await);
    assert_eq!(appended.len(), 3);
    let mut errors: Vec<_> = appended.into_iter().map(Result::unwrap_err).collect();
    errors.push(log.get(vec![Position::new(1)]).await.unwrap_err());
    errors.push(log.tail(Position::ZERO).await.err().unwrap());
    errors.push(log.tail(Position::new(3)).await.err().unwrap());
    errors.push(log.head().await.unwrap_err());
    errors.push(next(&mut *tail, 1).await.unwrap_err());
    for error in errors {
        let expected = "the log is unavailable: it was closed";
        assert_eq!(WithCauses(&error).to_string(), expected, "{error:?}");
    }
    log.notify(Vec::new()).await;
    assert_eq!(log.known_head().get(), 3);
    // The old log still exists, and does not hold the store.
    let fixture = fixture.reopen().await;
    assert_eq!(
        positions(fixture.log().append(new_records(3..4)).await),
        [4]
    );
    drop(log);
}

pub(crate) async fn two_closes_at_once_keep_the_appends_that_began<F: Fixture>() {
    const COUNT: usize = 24;
    let fixture = F::start().await;
    let log = fixture.log();
    let appends = join_all((0..COUNT).map(|number| log.append(vec![new_record(number)])));
    // Without the runtime's budget, every append begins before the log is closed.
    let (appended, (), ()) =
        tokio::task::unconstrained(async { tokio::join!(appends, log.close(), log.close()) }).await;
    let (mut stored, mut doubtful) = (0, 0);
    for results in appended {
        match &results[..] {
            [Ok(_)] => stored += 1,
            // A server may have stored a record, and its answer may have been lost with the connection.
            [Err(LogError::Unconfirmed(_))] => doubtful += 1,
            other => panic!("{other:?}"),
        }
    }
    drop(log);
    let fixture = fixture.reopen().await;
    let head = fixture.log().head().await.unwrap().get();
    assert!((stored..=stored + doubtful).contains(&head), "{head}");
}

#[track_caller]
fn assert_overtaken(appended: &Appended, count: usize) {
    let overtaken = |one: &Result<_, _>| matches!(one, Err(LogError::Overtaken));
    assert!(appended.iter().all(overtaken), "{appended:?}");
    assert_eq!(appended.len(), count);
}
