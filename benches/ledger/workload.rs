//! The events of a fleet: fixed seed, ten tenants of very different size, 10,000 agents.
//!
//! Of 100 events 40 open a session, 25 refresh, 30 terminate and 5 hand off. Metadata is some 200
//! bytes; times advance with the log.

use session_ledger::domain::{Position, Timestamp};
use session_ledger::log::Record;
use session_ledger::projection::Prepared;

const SEED: u64 = 42;
const START_US: i64 = 1_700_000_000_000_000;
const STEP_US: i64 = 500;
const AGENTS: u64 = 1000;
/// Until there are some, every event opens a session.
const OPEN_MIN: usize = 100;

/// Makes events for ever.
pub(crate) struct Workload {
    random: Random,
    position: u64,
    opened: u64,
    open: Vec<(u64, u64)>,
}

impl Workload {
    pub(crate) fn new() -> Self {
        Self {
            random: Random(SEED),
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
        let kind = self.random.below(100);
        if kind < 40 || self.open.len() < OPEN_MIN {
            return self.created();
        }
        let index = usize::try_from(self.random.below(self.open.len() as u64)).unwrap();
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
        let child = self.random.next();
        let data = format!(
            r#"{{"to_agent_id":"agent-{}","session_id":"s-{child:032x}"}}"#,
            self.random.below(AGENTS)
        );
        self.open.push((tenant, child));
        self.record("session.handed_off", tenant, session, &data)
    }

    fn created(&mut self) -> Record {
        // The product of two uniform numbers: few large tenants and agents, many small ones.
        let tenant = self.random.below(100) * self.random.below(100) / 1000;
        let agent = self.random.below(AGENTS) * self.random.below(AGENTS) / AGENTS;
        let session = self.random.next();
        self.opened += 1;
        self.open.push((tenant, session));
        let data = format!(
            r#"{{"agent_id":"agent-{agent}","ttl_seconds":3600,"scopes":["files:read","files:write"],"metadata":{{"task":"{:0150}","run":"{:020}"}},"user_id":"user-1"}}"#,
            self.random.next(),
            self.position
        );
        self.record("session.created", tenant, session, &data)
    }

    fn record(&self, kind: &str, tenant: u64, session: u64, data: &str) -> Record {
        let position = self.position;
        let micros = START_US + i64::try_from(position).unwrap() * STEP_US;
        let time = Timestamp::from_micros(micros).unwrap();
        let body = format!(
            r#"{{"specversion":"1.0","id":"e{position}","source":"/runtime/{tenant}","type":"{kind}","subject":"s-{session:032x}","time":"{time}","tenantid":"t{tenant}","data":{data}}}"#
        );
        Record {
            position: Position::new(position),
            recorded_at: time,
            subject: format!("ledger.v1.t{tenant}.{kind}").into(),
            private: bytes::Bytes::new(),
            body: body.into(),
        }
    }
}

/// Marsaglia's xorshift: fast, seeded, good enough to spread keys.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
