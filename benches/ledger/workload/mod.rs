//! The events of a fleet, always the same: 10 tenants with 1,000 agents each, both drawn by Zipf's law.
//!
//! Of 100 events, 40 create a session, 25 refresh one, 25 terminate one, 5 hand one off (which opens
//! its child) and 5 are expiries. So there are 2.2 events per session, and one session in five stays
//! open. One half of the session ids are UUIDs of version 7, the other of version 4. An opening has
//! about 200 bytes of metadata. Events are half a millisecond apart.
//!
//! [`Ages`] decides which session an event concerns. One created session in eight gets a deadline that
//! has passed when the session comes onto a log. Its only other event is its expiry, byte for byte as
//! the ledger would write it. All other deadlines are ten years later. A fill ends with the remaining
//! expiries, so that the ledger has none to write. Later events arrive while the ledger runs, so they
//! have refreshes in place of expiries.
//!
//! Every event is valid in the state of its session, so each gets the verdict `applied`.

mod event;
mod families;
mod open;
mod stamped;
mod zipf;

use fastrand::Rng;
use session_ledger::domain::{Position, Timestamp};
use session_ledger::log::Record;
use session_ledger::wire::Headers;

pub(crate) use event::{Event, Session, Step, agent_id, time_us, timestamp};
pub(crate) use families::{CHAIN, Families, ROOTS, Step as FamilyStep};
pub(crate) use open::Ages;
use open::Open;
pub(crate) use stamped::{Stamped, StampedEvent, StampedStep};
use zipf::Zipf;

pub(crate) const SEED: u64 = 42;
pub(crate) const TENANTS: u32 = 10;
const AGENTS_PER_TENANT: u64 = 1_000;
/// Until this many sessions are open, every event opens a session.
const OPEN_MIN: usize = 100;
/// No session expires until this many are waiting to, so that each stays open for a while.
const EXPIRING_MIN: usize = 200;
/// One created session in this many expires.
const EXPIRES_OF: u32 = 8;

/// An endless generator of events.
pub(crate) struct Workload {
    random: Rng,
    tenants: Zipf,
    agents: Zipf,
    number: u64,
    opened: u64,
    open: Open,
    expiring: Vec<Session>,
}

impl Workload {
    pub(crate) fn new(ages: Ages) -> Self {
        Self {
            random: Rng::with_seed(SEED),
            tenants: Zipf::new(TENANTS.into()),
            agents: Zipf::new(AGENTS_PER_TENANT),
            number: 0,
            opened: 0,
            open: Open::new(ages),
            expiring: Vec::new(),
        }
    }

    /// Returns the number of sessions opened so far, including children.
    pub(crate) fn sessions(&self) -> u64 {
        self.opened
    }

    /// Returns the number of events so far.
    pub(crate) fn events(&self) -> u64 {
        self.number
    }

    /// Returns the next event of a fill of this many sessions, or `None` when the fill is complete.
    pub(crate) fn fill(&mut self, sessions: u64) -> Option<Event> {
        if sessions <= self.opened {
            let session = self.expiring.pop()?;
            return Some(self.event(session, Step::Expired));
        }
        Some(match self.random.u32(..100) {
            _ if self.open.len() < OPEN_MIN => self.created(true),
            0..40 => self.created(true),
            40..65 => self.refreshed(),
            65..90 => self.terminated(),
            90..95 => self.handed_off(),
            _ => self.expired(),
        })
    }

    /// Returns the next event after a fill.
    pub(crate) fn live(&mut self) -> Event {
        match self.random.u32(..100) {
            0..40 => self.created(false),
            65..90 => self.terminated(),
            90..95 => self.handed_off(),
            _ => self.refreshed(),
        }
    }

    /// Returns an event that opens a session of this tenant. No other event concerns that session.
    pub(crate) fn opening_of(&mut self, tenant: u32) -> Event {
        let agent = self.agents.draw(&mut self.random);
        let opened = self.number + 1;
        self.opened += 1;
        let step = Step::Created {
            agent,
            expires: false,
        };
        self.event(Session { tenant, opened }, step)
    }

    fn created(&mut self, may_expire: bool) -> Event {
        let session = Session {
            tenant: self.tenants.draw(&mut self.random),
            opened: self.number + 1,
        };
        let agent = self.agents.draw(&mut self.random);
        let expires = may_expire && self.random.u32(..EXPIRES_OF) == 0;
        self.opened += 1;
        if expires {
            self.expiring.push(session);
        } else {
            self.open.add(session);
        }
        self.event(session, Step::Created { agent, expires })
    }

    fn refreshed(&mut self) -> Event {
        let session = self.open.pick(&mut self.random);
        self.event(session, Step::Refreshed)
    }

    fn terminated(&mut self) -> Event {
        let session = self.open.take(&mut self.random);
        self.event(session, Step::Terminated)
    }

    fn handed_off(&mut self) -> Event {
        let session = self.open.take(&mut self.random);
        let to = self.agents.draw(&mut self.random);
        self.opened += 1;
        self.open.add(session.child(self.number + 1));
        self.event(session, Step::HandedOff { to })
    }

    fn expired(&mut self) -> Event {
        if self.expiring.len() < EXPIRING_MIN {
            return self.created(true);
        }
        let index = self.random.usize(..self.expiring.len());
        let session = self.expiring.swap_remove(index);
        self.event(session, Step::Expired)
    }

    fn event(&mut self, session: Session, step: Step) -> Event {
        self.number += 1;
        Event {
            number: self.number,
            session,
            step,
        }
    }
}

/// Returns a record at this position.
pub(crate) fn record(
    (position, time): (u64, Timestamp),
    kind: &str,
    tenant: u32,
    subject: &str,
    data: &str,
) -> Record {
    let body = format!(
        r#"{{"specversion":"1.0","id":"e{position}","source":"/runtime/{tenant}","type":"{kind}","subject":"{subject}","time":"{time}","tenantid":"t{tenant}","data":{data}}}"#
    );
    Record {
        position: Position::new(position),
        recorded_at: timestamp(time_us(position)),
        subject: format!("ledger.v1.t{tenant}.{kind}").into(),
        private: bytes::Bytes::new(),
        headers: Headers::default(),
        payload: body.into(),
    }
}
