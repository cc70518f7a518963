//! A ledger with one tenant, which tests fold record by record.

use serde_json::json;
use session_ledger::domain::{Position, Rules, SessionId, TenantId, Timestamp, Verdict};
use session_ledger::log::Record;
use session_ledger::projection::{Commit, Prepared, Store};
use session_ledger::query::{Sight, events};
use session_ledger::wire::Headers;

pub(super) const START_US: i64 = 1_700_000_000_000_000;
pub(super) const SECOND_US: i64 = 1_000_000;

/// A read model, and the position and time of its log.
pub(super) struct World {
    pub(super) store: Store,
    _dir: tempfile::TempDir,
    pub(super) position: u64,
    pub(super) now: i64,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("model.redb")).unwrap();
        Self {
            store,
            _dir: dir,
            position: 0,
            now: START_US,
        }
    }

    /// Returns a ledger with the newest rules.
    pub(super) fn with_newest_rules() -> Self {
        let mut world = Self::new();
        let version = json!({"version": Rules::LATEST.number()});
        let switch = world.record("ledger.rules", "rules", &version);
        let subject = "ledger.sys.v1.rules".into();
        assert_eq!(world.fold(Record { subject, ..switch }), Verdict::Applied);
        world
    }

    /// Returns the next record, without folding it.
    pub(super) fn record(&mut self, kind: &str, session: &str, data: &serde_json::Value) -> Record {
        self.position += 1;
        self.now += SECOND_US;
        let id = format!("e{}", self.position);
        self.record_with_id(kind, session, data, &id)
    }

    pub(super) fn record_with_id(
        &self,
        kind: &str,
        session: &str,
        data: &serde_json::Value,
        id: &str,
    ) -> Record {
        let body = json!({
            "specversion": "1.0", "id": id, "source": "/test", "type": kind, "subject": session,
            "data": data,
        });
        Record {
            position: Position::new(self.position),
            recorded_at: Timestamp::from_micros(self.now).unwrap(),
            subject: format!("ledger.v1.acme.{kind}").into(),
            private: bytes::Bytes::new(),
            headers: Headers::default(),
            payload: body.to_string().into(),
        }
    }

    pub(super) fn fold(&self, record: Record) -> Verdict {
        self.fold_all(vec![record])[0]
    }

    pub(super) fn fold_all(&self, records: Vec<Record>) -> Vec<Verdict> {
        let batch: Vec<Prepared> = records
            .into_iter()
            .map(|record| Prepared::new(Rules::LATEST, record))
            .collect();
        self.store.fold(&batch, Commit::Visible).unwrap().verdicts
    }

    /// Returns the current verdict on an event, and the position at which it was settled.
    pub(super) fn verdict(&self, position: u64) -> (Verdict, Option<u64>) {
        let snapshot = self.store.snapshot().unwrap();
        let found = events::get(
            &snapshot,
            Sight::of_tenant(&acme()),
            Position::new(position),
        )
        .unwrap()
        .unwrap();
        (found.verdict, found.settled_at.map(Position::get))
    }
}

pub(super) fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

pub(super) fn id(text: &str) -> SessionId {
    SessionId::parse(text).unwrap()
}
