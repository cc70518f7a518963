//! The revocation reactor: writes `session.terminated` for the active sessions of revoked agents.
//!
//! The work ends, because the fold opens no session for a revoked agent. Sessions of other agents
//! stay open, such as the child of a session that the revoked agent handed off.
//!
//! The reactor appends without a guard, because commands of users use the same subject. So if
//! several ledgers share a log, each appends its own copy of an event. The fold applies the first
//! copy, and the others stay on the log as duplicates.

use tokio_util::sync::CancellationToken;

use crate::domain::event::Writer;
use crate::domain::limits::REACTOR_BATCH_MAX;
use crate::domain::session::{Outcome, Status};
use crate::domain::{
    EventId, EventKey, EventType, Private, Source, StatusSet, TenantId, Timestamp,
};
use crate::ledger::reactor::{Due, Reactor};
use crate::log::NewRecord;
use crate::projection::{Listing, ListingPlace, SessionOwner, SessionRow, Snapshot, StoreError};
use crate::wire::data::SessionTerminatedData;
use crate::wire::{Envelope, Subject, private, source};

const REASON: &str = "the agent was revoked";

impl Reactor {
    /// Ends the sessions of revoked agents, until `stop` is canceled or the fold stops.
    pub async fn end_revoked(self, stop: CancellationToken) {
        self.run("revocation", due, stop).await;
    }
}

fn due(snapshot: &Snapshot, _now: Timestamp) -> Result<Due<ListingPlace>, StoreError> {
    let (mut due, all) = (Due::nothing(), snapshot.of_all_tenants());
    let agents = all.revoked_agents(REACTOR_BATCH_MAX)?;
    // Each agent gets an equal share, so that one with many sessions does not delay the others.
    let share = REACTOR_BATCH_MAX / agents.len().max(1);
    for agent in agents {
        let known = all.agent(agent)?;
        let revoked_at = known.row()?.revoked_at;
        let revoked_at = revoked_at.ok_or(StoreError::Damaged("revoked agents"))?;
        let active = StatusSet::only(Status::Active);
        let listing = Listing::of(SessionOwner::Agent(agent), active);
        for (place, stored) in all.newest(&listing, share)? {
            due.first.get_or_insert(place);
            let row = stored.row()?;
            let tenant = all.tenant_id(row.tenant)?;
            due.records.push(terminated(tenant, &row, revoked_at));
        }
    }
    Ok(due)
}

/// The idempotency key of the events that end the sessions of an agent that was revoked at a time.
pub(super) fn ending_key(revoked_at: Timestamp) -> EventKey {
    EventKey::of(Writer::Ledger, &ending_source(), &ending_id(revoked_at))
}

fn ending_id(revoked_at: Timestamp) -> EventId {
    let id = EventId::parse(&format!("revoked-{}", revoked_at.micros()));
    id.expect("a word and a number are an id")
}

fn ending_source() -> Source {
    Source::parse(source::REVOCATION).expect("a constant that is a source")
}

/// The event that ends a session of a revoked agent. Deterministic: every node builds equal bytes,
/// so the fold recognizes copies.
fn terminated(tenant: TenantId, session: &SessionRow<'_>, revoked_at: Timestamp) -> NewRecord {
    let body = Envelope {
        id: &ending_id(revoked_at),
        source: &ending_source(),
        event_type: EventType::SessionTerminated,
        subject: session.session_id,
        // The time of a revocation may be before the session opened, but a session cannot end then.
        time: Some(revoked_at.max(session.created_at)),
        tenant: Some(&tenant),
        actor: None,
        data: SessionTerminatedData {
            reason: Some(REASON),
            outcome: Some(Outcome::Revoked),
        },
    }
    .to_json();
    let subject = Subject::new(Writer::Ledger, tenant, EventType::SessionTerminated);
    let subject = subject.expect("the ledger may write that a session was terminated");
    NewRecord {
        subject: subject.to_string().into(),
        private: private::encode(&Private::of_existing(None)).into(),
        body: body.into(),
    }
}
