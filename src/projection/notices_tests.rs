//! Tests of verdict messages: which verdicts are sent, and what the mark for a gap names.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::*;
use crate::domain::{Reason, Rules, Timestamp};
use crate::log::{Appended, Guard, LogError, NewRecord, Tail};
use crate::wire::Headers;

const REJECTED: Verdict = Verdict::Rejected(Reason::NotJson);

fn record(tenant: &str, position: u64) -> Record {
    Record {
        position: Position::new(position),
        recorded_at: Timestamp::from_micros_clamped(0),
        subject: format!("ledger.v1.{tenant}.session.created").into(),
        private: bytes::Bytes::new(),
        headers: Headers::default(),
        payload: format!(r#"{{"id":"e-{position}"}}"#).into(),
    }
}

/// Rejected records of a tenant, and how far the log goes.
fn rejected(news: &mut News, tenant: &str, positions: std::ops::RangeInclusive<u64>, head: u64) {
    let prepared = positions.map(|position| Prepared::new(Rules::LATEST, record(tenant, position)));
    let records: Vec<Prepared> = prepared.collect();
    let verdicts = vec![REJECTED; records.len()];
    news.add(
        &records,
        &verdicts,
        Settlements::default(),
        Position::new(head),
    );
}

/// A log that only listens.
#[derive(Default)]
struct Ears {
    deaf: AtomicBool,
    heard: Mutex<Vec<(String, Value)>>,
}

impl Ears {
    fn heard(&self) -> Vec<(String, Value)> {
        mem::take(&mut *self.heard.lock().unwrap())
    }
}

impl EventLog for Ears {
    fn append(&self, _records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        std::future::pending().boxed()
    }

    fn append_after(&self, _records: Vec<NewRecord>, _guard: Guard) -> BoxFuture<'_, Appended> {
        std::future::pending().boxed()
    }

    fn get(&self, _positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        std::future::pending().boxed()
    }

    fn recall(&self, _positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        std::future::pending().boxed()
    }

    fn tail(&self, _after: Position) -> BoxFuture<'_, Result<Box<dyn Tail>, LogError>> {
        std::future::pending().boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        std::future::pending().boxed()
    }

    fn known_head(&self) -> Position {
        Position::ZERO
    }

    fn is_available(&self) -> bool {
        true
    }

    fn refuses_writes(&self) -> Option<String> {
        None
    }

    fn watch(&self) -> BoxFuture<'_, LogError> {
        std::future::pending().boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }

    fn notify(&self, notices: Vec<Notice>) -> BoxFuture<'_, bool> {
        if self.deaf.load(Ordering::SeqCst) {
            return std::future::ready(false).boxed();
        }
        let heard = notices.into_iter().map(|notice| {
            let payload = serde_json::from_slice(&notice.payload).unwrap();
            (notice.subject, payload)
        });
        self.heard.lock().unwrap().extend(heard);
        std::future::ready(true).boxed()
    }
}

fn teller() -> (Teller, Arc<Ears>) {
    let ears = Arc::new(Ears::default());
    (Teller::new(Arc::<Ears>::clone(&ears)), ears)
}

fn mark(tenant: &str, missed: u64, from: u64, to: u64) -> (String, Value) {
    let payload = json!({"missed": missed, "from": from, "to": to});
    (format!("ledger.verdict.v1.{tenant}"), payload)
}

#[tokio::test]
async fn beyond_the_bound_of_a_batch_a_mark_names_the_positions_by_tenant() {
    let (mut teller, ears) = teller();
    let mut news = News::default();
    let max = u64::try_from(NOTICES_MAX).unwrap();
    rejected(&mut news, "acme", 1..=max, max);
    rejected(&mut news, "acme", max + 1..=max + 2, max);
    rejected(&mut news, "globex", max + 3..=max + 3, max);
    teller.tell(news, true).await;
    let heard = ears.heard();
    let (told, marks) = heard.split_at(NOTICES_MAX);
    assert!(told.iter().all(|(_, said)| said["verdict"] == "rejected"));
    let missed = [
        mark("acme", 2, max + 1, max + 2),
        mark("globex", 1, max + 3, max + 3),
    ];
    assert_eq!(marks, missed);
    assert!(!teller.owes_marks());
}

#[tokio::test]
async fn a_fold_that_is_behind_tells_what_was_missed_once_it_has_caught_up() {
    let (mut teller, ears) = teller();
    let mut news = News::default();
    rejected(&mut news, "acme", 7..=8, 9 + NOTICES_BEHIND_MAX);
    teller.tell(news, false).await;
    assert_eq!(ears.heard(), []);
    assert!(teller.owes_marks());
    teller.tell(News::default(), true).await;
    assert_eq!(ears.heard(), [mark("acme", 2, 7, 8)]);
}

#[tokio::test]
async fn what_could_not_be_sent_is_marked_when_it_can() {
    let (mut teller, ears) = teller();
    let mut news = News::default();
    rejected(&mut news, "acme", 3..=5, 5);
    ears.deaf.store(true, Ordering::SeqCst);
    teller.tell(news, true).await;
    ears.deaf.store(false, Ordering::SeqCst);
    teller.tell(News::default(), true).await;
    assert_eq!(ears.heard(), [mark("acme", 3, 3, 5)]);
}

#[tokio::test]
async fn too_many_that_waited_are_marked_as_well() {
    let (mut teller, ears) = teller();
    let (mut settled, mut news) = (Settlements::default(), News::default());
    let max = u64::try_from(NOTICES_MAX).unwrap();
    let by = Position::new(max + 9);
    for position in 1..=max + 1 {
        settled.note(&record("acme", position), Verdict::Applied, by);
    }
    let opening = [Prepared::new(Rules::LATEST, record("acme", by.get()))];
    news.add(&opening, &[Verdict::Applied], settled, by);
    teller.tell(news, true).await;
    let mut heard = ears.heard();
    assert_eq!(heard.pop().unwrap(), mark("acme", 1, max + 1, max + 1));
    assert_eq!(heard.len(), NOTICES_MAX);
    let (_, first) = &heard[0];
    let told = json!({
        "position": 1, "recorded_at": "1970-01-01T00:00:00.000000Z", "verdict": "applied",
        "settled_at": by.get(), "id": "e-1",
    });
    assert_eq!(*first, told);
}
