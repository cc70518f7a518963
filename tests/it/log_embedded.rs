//! The embedded log: the suite of the port, and the behavior that only this adapter has.

use std::sync::Arc;

use session_ledger::app::clock::SystemClock;
use session_ledger::domain::{Position, Timestamp};
use session_ledger::log::{EmbeddedLog, EventLog, LogError};

use crate::log_conformance::{
    Fixture, assert_gapless, new_record, new_records, next, positions, read, suite,
};
use crate::support::clock::ManualClock;

suite!(Embedded);

/// A log in its own directory.
struct Embedded {
    log: Arc<EmbeddedLog>,
    dir: tempfile::TempDir,
}

impl Fixture for Embedded {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            log: open(dir.path()),
            dir,
        }
    }

    fn log(&self) -> Arc<dyn EventLog> {
        Arc::<EmbeddedLog>::clone(&self.log)
    }

    async fn several(&self, count: usize) -> Vec<Arc<dyn EventLog>> {
        vec![self.log(); count]
    }

    async fn reopen(self) -> Self {
        self.log.close().await;
        Self {
            log: open(self.dir.path()),
            dir: self.dir,
        }
    }
}

fn open(dir: &std::path::Path) -> Arc<EmbeddedLog> {
    Arc::new(EmbeddedLog::open(&dir.join("log.redb"), Arc::new(SystemClock)).unwrap())
}

#[tokio::test]
async fn opening_the_file_twice_fails_with_an_error_that_says_why() {
    let fixture = Embedded::start().await;
    let error = EmbeddedLog::open(&fixture.dir.path().join("log.redb"), Arc::new(SystemClock))
        .err()
        .unwrap();
    assert!(matches!(&error, LogError::Held(_)), "{error:?}");
    assert!(
        error.to_string().contains("another ledger holds the file"),
        "{error}"
    );
}

#[tokio::test]
async fn a_log_dropped_without_close_is_complete_when_reopened() {
    let Embedded { log, dir } = Embedded::start().await;
    assert_eq!(
        positions(log.append(new_records(0..5)).await),
        [1, 2, 3, 4, 5]
    );
    // A tail does not keep the file open.
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    drop(log);
    let log = open(dir.path());
    let records = read(&mut *log.tail(Position::ZERO).await.unwrap(), 5).await;
    assert_gapless(&records, 0);
    assert!(matches!(
        next(&mut *tail, 1).await,
        Err(LogError::Unavailable(_))
    ));
}

#[tokio::test]
async fn closing_finishes_running_appends_and_rejects_later_ones() {
    let Embedded { log, dir } = Embedded::start().await;
    let mut appends = tokio::task::JoinSet::new();
    for number in 0..50 {
        let log = Arc::clone(&log);
        appends.spawn(async move { log.append(vec![new_record(number)]).await });
    }
    tokio::task::yield_now().await;
    log.close().await;
    log.close().await;
    let results: Vec<_> = appends.join_all().await.into_iter().flatten().collect();
    let kept = results.iter().filter(|result| result.is_ok()).count();
    let refused = results
        .iter()
        .filter(|result| matches!(result, Err(LogError::Unavailable(_))))
        .count();
    assert_eq!(kept + refused, 50);
    assert!(matches!(
        log.append(new_records(0..1)).await[0],
        Err(LogError::Unavailable(_))
    ));
    assert!(matches!(
        log.get(vec![Position::new(1)]).await,
        Err(LogError::Unavailable(_))
    ));
    assert_eq!(open(dir.path()).known_head().get(), kept as u64);
}

#[tokio::test]
async fn setting_the_clock_back_does_not_set_recorded_at_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let open = || {
        EmbeddedLog::open(
            &dir.path().join("log.redb"),
            Arc::<ManualClock>::clone(&clock),
        )
        .unwrap()
    };
    let log = open();
    for micros in [5_000, 3_000, 7_000] {
        clock.set_micros(micros);
        log.append(new_records(0..1)).await;
    }
    log.close().await;
    clock.set_micros(1);
    let log = open();
    log.append(new_records(0..1)).await;
    let records = read(&mut *log.tail(Position::ZERO).await.unwrap(), 4).await;
    let micros: Vec<_> = records.iter().map(|record| record.recorded_at).collect();
    assert_eq!(
        micros,
        [5_000, 5_000, 7_000, 7_000].map(Timestamp::from_micros_clamped)
    );
}

#[tokio::test]
async fn a_clock_that_was_far_ahead_once_does_not_stamp_later_records() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let log = EmbeddedLog::open(
        &dir.path().join("log.redb"),
        Arc::<ManualClock>::clone(&clock),
    )
    .unwrap();
    let (minute, year) = (60_000_000, 365 * 24 * 3_600_000_000);
    for micros in [minute, minute + year, 2 * minute, minute, 3 * minute] {
        clock.set_micros(micros);
        log.append(new_records(0..1)).await;
    }
    let records = read(&mut *log.tail(Position::ZERO).await.unwrap(), 5).await;
    let micros: Vec<_> = records.iter().map(|record| record.recorded_at).collect();
    assert_eq!(
        micros,
        [minute, minute + year, 2 * minute, 2 * minute, 3 * minute]
            .map(Timestamp::from_micros_clamped)
    );
}

#[tokio::test]
async fn a_file_that_is_not_a_log_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log.redb");
    std::fs::write(&file, vec![0x5a; 8192]).unwrap();
    assert!(EmbeddedLog::open(&file, Arc::new(SystemClock)).is_err());
}

/// If the power fails while a log is made, the next start must not find half of one.
#[test]
fn a_new_log_gets_its_name_only_when_it_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..20)
        .map(|number| dir.path().join(format!("{number}.redb")))
        .collect();
    std::thread::scope(|scope| {
        // Looks at each file again and again until it has another length than none.
        scope.spawn(|| {
            for path in &paths {
                let found = std::iter::repeat_with(|| std::fs::read(path).ok())
                    .flatten()
                    .next();
                let found = found.unwrap();
                assert!(found.starts_with(b"redb"), "{} bytes", found.len());
            }
        });
        for path in &paths {
            drop(EmbeddedLog::open(path, Arc::new(SystemClock)).unwrap());
        }
    });
    let names = std::fs::read_dir(dir.path()).unwrap();
    assert_eq!(names.count(), paths.len(), "no other file stays");
}
