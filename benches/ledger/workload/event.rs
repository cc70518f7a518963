//! One event of the workload: a few numbers, from which its subject and body are generated on demand.

use std::fmt::Write as _;

use bytes::Bytes;
use session_ledger::domain::{Position, Timestamp};
use session_ledger::log::Record;
use session_ledger::wire::Headers;
use uuid::{Builder, Uuid};

const SEED: u64 = super::SEED;
/// The time of event 0. It is long enough ago that deadlines an hour later have passed.
const START_US: i64 = 1_700_000_000_000_000;
const STEP_US: i64 = 500;
/// Ten years: no session with this deadline expires during a measurement.
const LONG_TTL_S: i64 = 315_360_000;
/// An hour: every session with this deadline has passed it.
const SHORT_TTL_S: i64 = 3600;
/// The source of the ledger's own expiries.
const EXPIRY_SOURCE: &str = "urn:session-ledger:expiry";

/// A session: its tenant and agent, and the number of the event that opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) tenant: u32,
    pub(crate) opened: u64,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Created { agent: u32, expires: bool },
    Refreshed,
    Terminated,
    HandedOff { to: u32 },
    Expired,
}

/// An event. Its number is its position on a log without other events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) number: u64,
    pub(crate) session: Session,
    pub(crate) step: Step,
}

impl Session {
    /// Returns the id: a UUID of version 7 for one half of the sessions, of version 4 for the other.
    pub(crate) fn id(self) -> Uuid {
        let (high, low) = (mix(self.opened), mix(!self.opened));
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        if high.is_multiple_of(2) {
            return Builder::from_random_bytes(bytes).into_uuid();
        }
        let ms = u64::try_from(time_us(self.opened) / 1000).expect("a time after 1970");
        let random = *bytes.last_chunk().expect("10 of 16 bytes");
        Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
    }

    /// Returns the child that an event opens when it hands this session off.
    pub(crate) fn child(self, event: u64) -> Self {
        Self {
            opened: event,
            ..self
        }
    }
}

impl Event {
    pub(crate) fn type_name(&self) -> &'static str {
        match self.step {
            Step::Created { .. } => "session.created",
            Step::Refreshed => "session.refreshed",
            Step::Terminated => "session.terminated",
            Step::HandedOff { .. } => "session.handed_off",
            Step::Expired => "session.expired",
        }
    }

    /// Returns the event's time. An expiry has its deadline as its time, as the ledger writes it.
    pub(crate) fn time_us(&self) -> i64 {
        match self.step {
            Step::Expired => time_us(self.session.opened) + SHORT_TTL_S * 1_000_000,
            _ => time_us(self.number),
        }
    }

    /// Returns the deadline that the event gives its session.
    pub(crate) fn deadline_us(&self) -> Option<i64> {
        let ttl_s = match self.step {
            Step::Created { expires: true, .. } => SHORT_TTL_S,
            Step::Created { expires: false, .. } | Step::Refreshed => LONG_TTL_S,
            Step::Terminated | Step::HandedOff { .. } | Step::Expired => return None,
        };
        Some(self.time_us() + ttl_s * 1_000_000)
    }

    pub(crate) fn source(&self) -> String {
        match self.step {
            Step::Expired => EXPIRY_SOURCE.to_owned(),
            _ => format!("/runtimes/{}", self.session.tenant),
        }
    }

    pub(crate) fn id(&self) -> String {
        match self.step {
            Step::Expired => format!("expired-{}", self.time_us()),
            _ => format!("e-{}", self.number),
        }
    }

    /// Returns the subject on NATS.
    pub(crate) fn subject(&self) -> String {
        let writer = match self.step {
            Step::Expired => "ledger.sys",
            _ => "ledger",
        };
        format!("{writer}.v1.t{}.{}", self.session.tenant, self.type_name())
    }

    /// Returns the `CloudEvent`.
    pub(crate) fn body(&self) -> String {
        let mut out = String::with_capacity(640);
        let time = timestamp(self.time_us());
        let written = write!(
            out,
            r#"{{"specversion":"1.0","id":"{}","source":"{}","type":"{}","subject":"{}","time":"{time}","tenantid":"t{}","data":"#,
            self.id(),
            self.source(),
            self.type_name(),
            self.session.id().hyphenated(),
            self.session.tenant,
        );
        written.expect("a string takes all");
        self.write_data(&mut out);
        out.push('}');
        out
    }

    fn write_data(&self, out: &mut String) {
        let tenant = self.session.tenant;
        let written = match self.step {
            Step::Created { agent, expires } => {
                let ttl = if expires { SHORT_TTL_S } else { LONG_TTL_S };
                let agent = agent_id(tenant, agent);
                write!(
                    out,
                    r#"{{"agent_id":"{agent}","ttl_seconds":{ttl},"scopes":["files:read","files:write"],"user_id":"user-{}","metadata":{}}}"#,
                    self.number % 1000,
                    self.metadata()
                )
            }
            Step::Refreshed => out.write_str(r#"{"extend":true,"phase":"running"}"#),
            Step::Terminated => out.write_str(r#"{"reason":"done","outcome":"completed"}"#),
            Step::HandedOff { to } => write!(
                out,
                r#"{{"to_agent_id":"{}","session_id":"{}","metadata":{}}}"#,
                agent_id(tenant, to),
                self.session.child(self.number).id().hyphenated(),
                self.metadata()
            ),
            Step::Expired => write!(out, r#"{{"expires_at":"{}"}}"#, timestamp(self.time_us())),
        };
        written.expect("a string takes all");
    }

    /// Returns about 200 bytes of metadata.
    pub(crate) fn metadata(&self) -> String {
        let mut out = String::with_capacity(224);
        out.push_str(r#"{"task":""#);
        for word in 0..9 {
            write!(out, "{:016x}", mix(self.number ^ (word << 56))).expect("a string takes all");
        }
        write!(out, r#"","run":"{:020}","retries":0}}"#, self.number).expect("a string takes all");
        out
    }

    /// Returns the event as a record at that position.
    pub(crate) fn record(&self) -> Record {
        let recorded_at = Timestamp::from_micros_clamped(time_us(self.number))
            .plus_micros(2 * SHORT_TTL_S * 1_000_000);
        Record {
            position: Position::new(self.number),
            recorded_at,
            subject: self.subject().into(),
            private: Bytes::new(),
            headers: Headers::default(),
            payload: self.body().into(),
        }
    }
}

/// Returns the id of an agent of a tenant.
pub(crate) fn agent_id(tenant: u32, agent: u32) -> String {
    format!("agent-{tenant}-{agent}")
}

/// Returns the time of the event with this number, in microseconds.
pub(crate) fn time_us(number: u64) -> i64 {
    START_US + i64::try_from(number).expect("fewer than 2^63 events") * STEP_US
}

pub(crate) fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_micros_clamped(micros)
}

/// Returns 64 pseudo-random bits for a number (`splitmix64`).
fn mix(number: u64) -> u64 {
    let mut bits = number
        .wrapping_add(SEED)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
