//! The events of a fleet: fixed seed, ten tenants of very different size, 10,000 agents.
//!
//! Of 100 events 40 open a session, 25 refresh, 30 terminate and 5 hand off. Metadata is some 200
//! bytes; times advance with the log.

use fastrand::Rng;
use session_ledger::domain::{Position, Timestamp};
use session_ledger::log::Record;
use session_ledger::projection::Prepared;

pub(crate) const SEED: u64 = 42;
const START_US: i64 = 1_700_000_000_000_000;
const STEP_US: i64 = 500;
const AGENTS: u64 = 1000;
/// Until there are some, every event opens a session.
const OPEN_MIN: usize = 100;

/// Makes events for ever.
pub(crate) struct Workload {
    random: Rng,
    position: u64,
    opened: u64,
    open: Vec<(u64, u64)>,
}

impl Workload {
    pub(crate) fn new() -> Self {
        Self {
            random: Rng::with_seed(SEED),
            position: 0,
            opened: 0,
            open: Vec::new(),
        }
    }

    /// Sessions opened so far, children included.
    pub(crate) fn sessions(&self) -> u64 {
        self.opened
    }

    /// The next records, decoded and hashed.
    pub(crate) fn batch(&mut self, records: usize) -> Vec<Prepared> {
        (0..records).map(|_| Prepared::new(self.next())).collect()
    }

    pub(crate) fn next(&mut self) -> Record {
        self.position += 1;
        let kind = self.random.u64(..100);
        if kind < 40 || self.open.len() < OPEN_MIN {
            return self.created();
        }
        let index = self.random.usize(..self.open.len());
        let (tenant, session) = self.open[index];
        if kind < 65 {
            let data = r#"{"ttl_seconds":3600,"phase":"running"}"#;
            return self.record("session.refreshed", tenant, session, data);
        }
        self.open.swap_remove(index);
        if kind < 95 {
            let data = r#"{"reason":"done","outcome":"completed"}"#;
            return self.record("session.terminated", tenant, session, data);
        }
        self.opened += 1;
        let child = self.random.u64(..);
        let data = format!(
            r#"{{"to_agent_id":"agent-{}","session_id":"s-{child:032x}"}}"#,
            self.random.u64(..AGENTS)
        );
        self.open.push((tenant, child));
        self.record("session.handed_off", tenant, session, &data)
    }

    fn created(&mut self) -> Record {
        // The product of two uniform numbers: few large tenants and agents, many small ones.
        let tenant = self.random.u64(..100) * self.random.u64(..100) / 1000;
        let agent = self.random.u64(..AGENTS) * self.random.u64(..AGENTS) / AGENTS;
        let session = self.random.u64(..);
        self.opened += 1;
        self.open.push((tenant, session));
        let data = format!(
            r#"{{"agent_id":"agent-{agent}","ttl_seconds":3600,"scopes":["files:read","files:write"],"metadata":{{"task":"{:0150}","run":"{:020}"}},"user_id":"user-1"}}"#,
            self.random.u64(..),
            self.position
        );
        self.record("session.created", tenant, session, &data)
    }

    fn record(&self, kind: &str, tenant: u64, session: u64, data: &str) -> Record {
        record(
            self.position,
            kind,
            tenant,
            &format!("s-{session:032x}"),
            data,
        )
    }
}

/// A record at a position; its time follows from that.
pub(crate) fn record(position: u64, kind: &str, tenant: u64, subject: &str, data: &str) -> Record {
    let micros = START_US + i64::try_from(position).unwrap() * STEP_US;
    let time = Timestamp::from_micros(micros).unwrap();
    let body = format!(
        r#"{{"specversion":"1.0","id":"e{position}","source":"/runtime/{tenant}","type":"{kind}","subject":"{subject}","time":"{time}","tenantid":"t{tenant}","data":{data}}}"#
    );
    Record {
        position: Position::new(position),
        recorded_at: time,
        subject: format!("ledger.v1.t{tenant}.{kind}").into(),
        private: bytes::Bytes::new(),
        body: body.into(),
    }
}
