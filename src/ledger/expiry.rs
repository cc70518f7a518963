//! The expiry reactor: writes `session.expired` for sessions whose deadline has passed.
//!
//! It writes under a guard, so that only one of several ledgers on a log writes each expiry.

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::domain::event::Writer;
use crate::domain::limits::REACTOR_BATCH_MAX;
use crate::domain::{EventId, EventType, Source, TenantId, Timestamp};
use crate::ledger::reactor::{Due, Reactor};
use crate::log::{Guard, NewRecord};
use crate::projection::{Ordinal, Snapshot, StoreError};
use crate::wire::data::SessionExpiredData;
use crate::wire::{EXPIRIES, Envelope, Subject, source};

/// Most deadlines that are counted: anybody may read the metrics, as often as they like. 10,000 of them cost 0.6 ms
/// (a Xeon, release build), where the rest of the metrics costs 0.2.
const EXPIRIES_COUNTED_MAX: usize = 1_000;

/// How far ahead "soon" is, in microseconds.
const SOON_US: i64 = 600 * 1_000_000;

impl Reactor {
    /// Expires sessions until `stop`, or until the fold has stopped.
    pub async fn expire(self, stop: CancellationToken) {
        self.run("expiry", due, stop).await;
    }
}

/// Active sessions by their deadlines, of all tenants. Neither number is above [`EXPIRIES_COUNTED_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiries {
    /// How many deadlines have passed.
    pub due: usize,
    /// How many pass within ten minutes.
    pub soon: usize,
}

/// Counts the deadlines that have passed, and those that pass soon.
pub fn expiries(snapshot: &Snapshot, now: Timestamp) -> Result<Expiries, StoreError> {
    let all = snapshot.of_all_tenants();
    let due = all.deadlines_within(None, now, EXPIRIES_COUNTED_MAX)?;
    let until = now.plus_micros(SOON_US);
    let soon = all.deadlines_within(Some(now), until, EXPIRIES_COUNTED_MAX)?;
    Ok(Expiries { due, soon })
}

fn due(snapshot: &Snapshot, by: Timestamp) -> Result<Due<(Timestamp, Ordinal)>, StoreError> {
    let (mut due, all) = (Due::nothing(), snapshot.of_all_tenants());
    // Usually no session is due. The first deadline is enough to know that.
    due.next = all.deadlines(1)?.first().map(|(next, _)| *next);
    if due.next.is_none_or(|next| by < next) {
        return Ok(due);
    }
    let progress = snapshot.progress();
    due.guard = Some(Guard {
        subject: EXPIRIES,
        after: progress.last_expiry,
        read_to: progress.position,
    });
    let deadlines = all.deadlines(REACTOR_BATCH_MAX)?;
    due.first = deadlines.first().copied();
    for (deadline, ordinal) in deadlines {
        due.next = Some(deadline);
        if by < deadline {
            break;
        }
        let stored = all.session(ordinal)?;
        let row = stored.row()?;
        let tenant = all.tenant_id(row.tenant)?;
        due.records.push(expired(tenant, row.session_id, deadline));
    }
    Ok(due)
}

/// Makes the event. Every node makes the same bytes of a session and its deadline.
fn expired(tenant: TenantId, session: &str, deadline: Timestamp) -> NewRecord {
    let id = EventId::parse(&format!("expired-{}", deadline.micros()));
    let body = Envelope {
        id: &id.expect("a word and a number are an id"),
        source: &Source::parse(source::EXPIRY).expect("a constant that is a source"),
        event_type: EventType::SessionExpired,
        subject: session,
        time: Some(deadline),
        tenant: Some(&tenant),
        actor: None,
        data: SessionExpiredData {
            expires_at: deadline,
        },
    }
    .to_json();
    let subject = Subject::new(Writer::Ledger, tenant, EventType::SessionExpired);
    let subject = subject.expect("the ledger may write that a session expired");
    NewRecord {
        subject: subject.to_string().into(),
        private: Bytes::new(),
        body: body.into(),
    }
}
