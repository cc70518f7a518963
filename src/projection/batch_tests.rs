//! What a batch takes, when it is durable, and what readers see of it.

use tokio::sync::mpsc;

use super::*;
use crate::domain::{Rules, Timestamp};
use crate::log::Record;
use crate::wire::Headers;

/// A log with a fixed known head.
#[derive(Clone, Copy)]
struct Known {
    head: u64,
    awaited: bool,
}

impl Outlook for Known {
    fn head(&self) -> Position {
        Position::new(self.head)
    }

    fn is_awaited(&self) -> bool {
        self.awaited
    }
}

const FAR: u64 = 10 * LOG_READ_RECORDS_MAX as u64;

fn chunk(position: u64) -> Vec<Prepared> {
    let body = format!(
        r#"{{"specversion":"1.0","id":"{position}","source":"/t","type":"session.created","subject":"s{position}","data":{{"agent_id":"a"}}}}"#
    );
    vec![Prepared::new(
        Rules::LATEST,
        Record {
            position: Position::new(position),
            recorded_at: Timestamp::from_micros_clamped(0),
            subject: "ledger.v1.acme.session.created".into(),
            private: bytes::Bytes::new(),
            headers: Headers::default(),
            payload: body.into(),
        },
    )]
}

struct Fixture {
    _dir: tempfile::TempDir,
    store: Arc<Store>,
    chunks: mpsc::Sender<Vec<Prepared>>,
    batches: Batches,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(&dir.path().join("model.redb")).unwrap());
    let (chunks, receiver) = mpsc::channel(4);
    Fixture {
        _dir: dir,
        batches: Batches::new(Arc::clone(&store), receiver),
        store,
        chunks,
    }
}

#[tokio::test]
async fn a_batch_takes_every_piece_that_has_arrived() {
    let Fixture {
        chunks, batches, ..
    } = &mut fixture();
    chunks.send(chunk(2)).await.unwrap();
    chunks.send(chunk(3)).await.unwrap();
    let head = Known {
        head: 3,
        awaited: true,
    };
    let batch = batches
        .fold_now(chunk(1), &head, &Handle::current())
        .unwrap();
    assert_eq!(batch.progress.position, Position::new(3));
    assert_eq!(batch.verdicts, [Verdict::Applied; 3]);
}

#[tokio::test]
async fn a_fold_that_is_behind_waits_for_more() {
    let Fixture {
        chunks, batches, ..
    } = fixture();
    let outlook = Known {
        head: FAR,
        awaited: false,
    };
    let folding = batches.fold(chunk(1), outlook);
    let sending = async move { chunks.send(chunk(2)).await };
    let (folded, sent) = tokio::join!(folding, sending);
    sent.unwrap();
    let (_rest, batch) = folded.unwrap();
    assert_eq!(batch.progress.position, Position::new(2));
}

#[test]
fn nobody_who_waits_is_kept_waiting_for_more() {
    let at = Position::new(1);
    let known = |head, awaited| Known { head, awaited };
    assert!(is_behind(at, &known(FAR, false)));
    assert!(!is_behind(at, &known(FAR, true)));
    assert!(!is_behind(at, &known(LOG_READ_RECORDS_MAX as u64, false)));
}

#[test]
fn somebody_who_waits_makes_batches_smaller_and_long_rows_do_too() {
    let size = |records, bytes| Size { records, bytes };
    assert!(!size(FOLD_AWAITED_RECORDS_MAX, 0).is_full(false));
    assert!(size(FOLD_AWAITED_RECORDS_MAX, 0).is_full(true));
    assert!(size(FOLD_BATCH_RECORDS_MAX, 0).is_full(false));
    assert!(size(1, FOLD_BATCH_BYTES_MAX).is_full(false));
}

#[test]
fn a_debt_is_paid_after_so_many_batches_or_records() {
    let mut debt = Debt::default();
    for _ in 1..FOLD_DURABLE_BATCHES_MAX {
        assert_eq!(debt.commit(1), Commit::Visible);
    }
    assert_eq!(debt.commit(1), Commit::Durable);
    assert_eq!(debt.commit(1), Commit::Visible);
    let records = usize::try_from(FOLD_DURABLE_RECORDS_MAX).unwrap();
    assert_eq!(debt.commit(records), Commit::Durable);
}

#[test]
fn the_time_between_durable_commits_grows_from_a_quarter_of_a_second_to_its_bound() {
    let mut debt = Debt::default();
    let mut waits = Vec::new();
    for _ in 0..7 {
        let patience = debt.patience;
        debt.since = Instant::now().checked_sub(patience);
        assert_eq!(debt.commit(1), Commit::Durable, "{patience:?}");
        assert_eq!(debt.commit(1), Commit::Visible, "{patience:?}");
        waits.push(patience.as_millis());
    }
    assert_eq!(waits, [250, 500, 1000, 2000, 4000, 5000, 5000]);
}

#[test]
fn readers_share_a_snapshot_until_something_is_committed() {
    let Fixture { store, .. } = fixture();
    let first = store.snapshot().unwrap();
    assert!(Arc::ptr_eq(&first, &store.snapshot().unwrap()));
    store.fold(&chunk(1), Commit::Visible).unwrap();
    let second = store.snapshot().unwrap();
    assert_eq!(second.progress().position, Position::new(1));
    assert_eq!(first.progress().position, Position::ZERO);
}
