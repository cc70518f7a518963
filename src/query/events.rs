//! History: the tenant's events with their verdicts, and the ones that were rejected or wait.

use bytes::Bytes;

use crate::domain::limits::EVENTS_SCAN_MAX;
use crate::domain::{AgentId, EventType, Position, Rules, RulesHistory, SessionId, TenantId};
use crate::log::{EventLog, Record};
use crate::projection::{RejectionCode, Snapshot, StoreError, VerdictRow};
use crate::query::{AsOf, QueryError};

/// Which events a page of history has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Of this type.
    pub event_type: Option<EventType>,
    /// Concerning this agent.
    pub agent: Option<AgentId>,
    /// About this session.
    pub session: Option<SessionId>,
}

/// Where the events of a page stand, and what became of them.
#[derive(Debug, Clone)]
pub struct EventPage {
    /// The events, in the order of the page.
    pub events: Vec<(Position, VerdictRow)>,
    /// Where to go on; `None` if there was nothing more. A page may have fewer events than asked for
    /// and yet not be the last: a rare event is looked for a bounded stretch at a time.
    pub next: Option<u64>,
    /// How many there are over all pages, where that is known.
    pub total: Option<u64>,
    /// The state that the page shows.
    pub as_of: AsOf,
}

/// An event with its body.
#[derive(Debug, Clone)]
pub struct LedgerEvent {
    /// The record, to the byte.
    pub record: Record,
    /// The event as structured JSON.
    pub body: Bytes,
    /// The rules by which it was folded.
    pub rules: Rules,
    /// What became of it.
    pub verdict: VerdictRow,
}

/// Rejected and parked events, newest first.
#[derive(Debug, Clone)]
pub struct Rejections {
    /// The page.
    pub page: EventPage,
    /// How many there are, by code.
    pub by_code: Vec<(RejectionCode, u64)>,
}

impl EventPage {
    fn empty(snapshot: &Snapshot) -> Self {
        Self {
            events: Vec::new(),
            next: None,
            total: Some(0),
            as_of: AsOf::of(snapshot),
        }
    }
}

/// A tenant's events after a position, oldest first.
pub fn list(
    snapshot: &Snapshot,
    tenant: &TenantId,
    filter: &EventFilter,
    after: Position,
    events_max: usize,
) -> Result<EventPage, StoreError> {
    let Some(tenant) = snapshot.tenant(tenant)? else {
        return Ok(EventPage::empty(snapshot));
    };
    let agent = match &filter.agent {
        Some(id) => match snapshot.agent_number(tenant, id)? {
            Some(number) => Some(number),
            None => return Ok(EventPage::empty(snapshot)),
        },
        None => None,
    };
    let session = match &filter.session {
        Some(id) => match snapshot.ordinal(tenant, id)? {
            Some(ordinal) => Some(ordinal),
            None => return Ok(EventPage::empty(snapshot)),
        },
        None => None,
    };
    let matches = |row: &VerdictRow| {
        filter
            .event_type
            .is_none_or(|wanted| row.event_type == Some(wanted))
            && agent.is_none_or(|wanted| row.concerns_agent(wanted))
            && session.is_none_or(|wanted| row.is_about_session(wanted))
    };
    let (mut events, mut next, mut looked_at) = (Vec::new(), None, 0);
    snapshot.verdicts(tenant, after, |position, row| {
        if events.len() == events_max || looked_at == EVENTS_SCAN_MAX {
            // This one is left for the next page, which starts after the one before it.
            next = Some(position.get() - 1);
            return false;
        }
        looked_at += 1;
        if matches(&row) {
            events.push((position, row));
        }
        true
    })?;
    Ok(EventPage {
        events,
        next,
        total: None,
        as_of: AsOf::of(snapshot),
    })
}

/// The tenant's event at a position; `None` if the tenant has none there.
pub fn get(
    snapshot: &Snapshot,
    tenant: &TenantId,
    position: Position,
) -> Result<Option<VerdictRow>, StoreError> {
    match snapshot.tenant(tenant)? {
        Some(tenant) => snapshot.verdict(tenant, position),
        None => Ok(None),
    }
}

/// A session's events from number `from` on, in the order in which they took effect; `None` if there
/// is no such session.
pub fn of_session(
    snapshot: &Snapshot,
    tenant: &TenantId,
    id: &SessionId,
    from: u64,
    events_max: usize,
) -> Result<Option<EventPage>, StoreError> {
    let Some(tenant) = snapshot.tenant(tenant)? else {
        return Ok(None);
    };
    let Some(ordinal) = snapshot.ordinal(tenant, id)? else {
        return Ok(None);
    };
    let (positions, total) = snapshot.history(ordinal, from, events_max)?;
    let end = from.saturating_add(positions.len() as u64);
    let next = (end < total).then_some(end);
    let as_of = AsOf::of(snapshot);
    let events = with_verdicts(snapshot, tenant, positions)?;
    Ok(Some(EventPage {
        events,
        next,
        total: Some(total),
        as_of,
    }))
}

/// A tenant's rejected and parked events before a position, newest first.
pub fn rejections(
    snapshot: &Snapshot,
    tenant: &TenantId,
    code: Option<RejectionCode>,
    before: Position,
    events_max: usize,
) -> Result<Rejections, StoreError> {
    let Some(tenant) = snapshot.tenant(tenant)? else {
        return Ok(Rejections {
            page: EventPage::empty(snapshot),
            by_code: Vec::new(),
        });
    };
    let by_code = snapshot.rejection_totals(tenant)?;
    let wanted: Vec<(RejectionCode, u64)> = by_code
        .iter()
        .copied()
        .filter(|(found, _)| code.is_none_or(|code| code == *found))
        .collect();
    let codes: Vec<RejectionCode> = wanted.iter().map(|(code, _)| *code).collect();
    let mut positions = snapshot.rejections(tenant, &codes, before, events_max + 1)?;
    let more = events_max < positions.len();
    positions.truncate(events_max);
    let next = positions
        .last()
        .filter(|_| more)
        .map(|position| position.get());
    let total = Some(wanted.iter().map(|(_, total)| total).sum());
    let events = with_verdicts(snapshot, tenant, positions)?;
    let page = EventPage {
        events,
        next,
        total,
        as_of: AsOf::of(snapshot),
    };
    Ok(Rejections { page, by_code })
}

fn with_verdicts(
    snapshot: &Snapshot,
    tenant: u32,
    positions: Vec<Position>,
) -> Result<Vec<(Position, VerdictRow)>, StoreError> {
    let mut events = Vec::with_capacity(positions.len());
    for position in positions {
        let row = snapshot
            .verdict(tenant, position)?
            .ok_or(StoreError::Damaged("history"))?;
        events.push((position, row));
    }
    Ok(events)
}

/// Adds the bodies, from the log. The rules are those of any state that has folded the events.
pub async fn with_bodies(
    log: &dyn EventLog,
    rules: &RulesHistory,
    events: Vec<(Position, VerdictRow)>,
) -> Result<Vec<LedgerEvent>, QueryError> {
    let positions = events.iter().map(|(position, _)| *position).collect();
    let records = log.get(positions).await?;
    let joined = records.into_iter().zip(events);
    let event = |(record, (position, verdict)): (Record, (Position, VerdictRow))| {
        let rules = rules.at(position);
        LedgerEvent {
            body: record.body(rules),
            record,
            rules,
            verdict,
        }
    };
    Ok(joined.map(event).collect())
}
