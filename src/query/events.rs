//! History: a tenant's events with their verdicts, and its rejected and parked events.

use bytes::Bytes;

use crate::domain::limits::{EVENTS_COMPARED_MAX, EVENTS_SCAN_MAX};
use crate::domain::{
    AgentId, EventType, Position, ProjectId, Reason, Rules, RulesHistory, SessionId, Source,
    Verdict, VerdictKind,
};
use crate::log::{EventLog, Record};
use crate::projection::{
    EventRange, Order, Ordinal, RejectionCode, Snapshot, StoreError, TenantSnapshot, VerdictRow,
};
use crate::query::sight::{Agents, Shown, Sight};
use crate::query::{AsOf, QueryError, ids};

/// Which events a page of history has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct EventFilter {
    /// Of one of these types, or of any if there are none.
    pub types: Vec<EventType>,
    /// With one of these verdicts, or with any if there are none.
    pub verdicts: Vec<VerdictKind>,
    /// Rejected with one of these codes, or parked; any event if there are none.
    pub codes: Vec<RejectionCode>,
    /// Concerning this agent.
    pub agent: Option<AgentId>,
    /// About this session.
    pub session: Option<SessionId>,
    /// About a session of this project.
    pub project: Option<ProjectId>,
    /// With this `source`. No index has it: see [`EventFilter::names_attributes`].
    pub source: Option<Source>,
    /// With this `actor`. No index has it either.
    pub actor: Option<Box<str>>,
}

impl EventFilter {
    /// Whether the filter names attributes that only the body of an event has. Then [`list`] returns events that
    /// match the rest, and the caller compares their bodies.
    pub fn names_attributes(&self) -> bool {
        self.source.is_some() || self.actor.is_some()
    }

    /// How many events to list, so that a page can have some number of those that match.
    pub fn candidates(&self, events_max: usize) -> usize {
        if self.names_attributes() {
            EVENTS_COMPARED_MAX
        } else {
            events_max
        }
    }
}

/// A filter whose names are looked up.
struct Wanted<'a> {
    filter: &'a EventFilter,
    tenant: TenantSnapshot<'a>,
    agents: Agents,
    session: Option<Ordinal>,
}

/// The positions and verdicts of the events of a page.
#[derive(Debug, Clone)]
pub struct EventPage {
    /// The events, in the order of the page.
    pub events: Vec<(Position, VerdictRow)>,
    /// Where the next page starts; `None` after the last. A page that is not the last may have fewer
    /// events than requested, because a query searches a bounded number of events.
    pub next: Option<u64>,
    /// The number of events over all pages, if it is known.
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
    /// Its verdict.
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
    fn empty(as_of: AsOf) -> Self {
        Self {
            events: Vec::new(),
            next: None,
            total: Some(0),
            as_of,
        }
    }
}

/// The events of a range that a caller is shown. The next page starts after `next`, or before it if the
/// newest come first.
pub fn list(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    filter: &EventFilter,
    range: EventRange,
    events_max: usize,
) -> Result<EventPage, StoreError> {
    let shown = sight.find(snapshot)?;
    let as_of = AsOf::of_shown(snapshot, shown)?;
    let Some(wanted) = Wanted::find(shown, filter)? else {
        return Ok(EventPage::empty(as_of));
    };
    let (mut events, mut next, mut looked_at) = (Vec::new(), None, 0);
    let visit = |position: Position, row| {
        if events.len() == events_max || looked_at == EVENTS_SCAN_MAX {
            // This one is left for the next page.
            next = Some(match range.order {
                Order::OldestFirst => position.get() - 1,
                Order::NewestFirst => position.get() + 1,
            });
            return Ok(false);
        }
        looked_at += 1;
        if wanted.has(&row)? {
            events.push((position, row));
        }
        Ok(true)
    };
    wanted.tenant.verdicts(range, visit)?;
    Ok(EventPage {
        events,
        next,
        total: None,
        as_of,
    })
}

impl<'a> Wanted<'a> {
    /// Looks up the names; `None` if no event that the caller is shown can match.
    fn find(shown: Option<Shown<'a>>, filter: &'a EventFilter) -> Result<Option<Self>, StoreError> {
        let Some(Shown { tenant, agents }) = shown else {
            return Ok(None);
        };
        let agents = match &filter.agent {
            Some(id) => match ids::agent(tenant, id)? {
                Some(number) if agents.has(number) => Agents::One(number),
                Some(_) | None => Agents::None,
            },
            None => agents,
        };
        let session = match &filter.session {
            Some(id) => ids::session(tenant, id)?,
            None => None,
        };
        let is_unknown = agents == Agents::None
            || filter.session.is_some() && session.is_none()
            || match &filter.project {
                Some(id) => tenant.project(id)?.is_none(),
                None => false,
            };
        Ok((!is_unknown).then_some(Self {
            filter,
            tenant,
            agents,
            session,
        }))
    }

    fn has(&self, row: &VerdictRow) -> Result<bool, StoreError> {
        let EventFilter {
            types,
            verdicts,
            codes,
            project,
            ..
        } = self.filter;
        let has_type = row.event_type.is_some_and(|of_row| types.contains(&of_row));
        let has_code = RejectionCode::of(row.verdict).is_some_and(|of_row| codes.contains(&of_row));
        let matches = (types.is_empty() || has_type)
            && (verdicts.is_empty() || verdicts.contains(&row.verdict.into()))
            && (codes.is_empty() || has_code)
            && self.agents.concern(row)
            && self
                .session
                .is_none_or(|wanted| row.is_about_session(wanted));
        match project {
            Some(project) if matches => self.tenant.is_in_project(row, project),
            _ => Ok(matches),
        }
    }
}

/// The event at a position; `None` if the caller is shown none there.
pub fn get(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    position: Position,
) -> Result<Option<VerdictRow>, StoreError> {
    let Some(shown) = sight.find(snapshot)? else {
        return Ok(None);
    };
    let row = shown.tenant.verdict(position)?;
    Ok(row.filter(|row| shown.agents.concern(row)))
}

/// The verdict that a caller is shown.
///
/// The reason why an event about another agent's session was rejected would show the state of that
/// session to a credential that is bound to an agent. Such a credential is shown `not_found`
/// instead.
pub fn verdict_shown(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    row: VerdictRow,
) -> Result<VerdictRow, StoreError> {
    let is_opening = row.event_type == Some(EventType::SessionCreated);
    let is_withheld = match (row.verdict, sight.find(snapshot)?) {
        (Verdict::Rejected(_), Some(shown)) => !is_opening && !shown.agents.concern(&row),
        _ => false,
    };
    let verdict = if is_withheld {
        Verdict::Rejected(Reason::NotFound)
    } else {
        row.verdict
    };
    Ok(VerdictRow { verdict, ..row })
}

/// A session's events from number `from` on, in the order in which they took effect; `None` if the
/// caller is shown no such session.
pub fn of_session(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    id: &SessionId,
    from: u64,
    events_max: usize,
) -> Result<Option<EventPage>, StoreError> {
    let Some(shown) = sight.find(snapshot)? else {
        return Ok(None);
    };
    let Some(ordinal) = ids::session(shown.tenant, id)? else {
        return Ok(None);
    };
    if shown.session(ordinal)?.is_none() {
        return Ok(None);
    }
    let (positions, total) = shown.tenant.history(ordinal, from, events_max)?;
    let end = from.saturating_add(positions.len() as u64);
    let next = (end < total).then_some(end);
    let as_of = AsOf::of_shown(snapshot, Some(shown))?;
    let events = with_verdicts(shown.tenant, positions)?;
    Ok(Some(EventPage {
        events,
        next,
        total: Some(total),
        as_of,
    }))
}

/// A tenant's rejected and parked events before a position, newest first; with one of these codes, or with any
/// if there are none.
pub fn rejections(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    codes: &[RejectionCode],
    before: Position,
    events_max: usize,
) -> Result<Rejections, QueryError> {
    if sight.agent.is_some() {
        return Err(QueryError::OneAgent);
    }
    let as_of = AsOf::of(snapshot, sight)?;
    let Some(tenant) = snapshot.of_tenant(sight.tenant)? else {
        return Ok(Rejections {
            page: EventPage::empty(as_of),
            by_code: Vec::new(),
        });
    };
    let by_code = tenant.rejection_totals()?;
    let wanted: Vec<(RejectionCode, u64)> = by_code
        .iter()
        .copied()
        .filter(|(found, _)| codes.is_empty() || codes.contains(found))
        .collect();
    let codes: Vec<RejectionCode> = wanted.iter().map(|(code, _)| *code).collect();
    let mut positions = tenant.rejections(&codes, before, events_max + 1)?;
    let more = events_max < positions.len();
    positions.truncate(events_max);
    let next = positions
        .last()
        .filter(|_| more)
        .map(|position| position.get());
    let total = Some(wanted.iter().map(|(_, total)| total).sum());
    let events = with_verdicts(tenant, positions)?;
    let page = EventPage {
        events,
        next,
        total,
        as_of,
    };
    Ok(Rejections { page, by_code })
}

fn with_verdicts(
    tenant: TenantSnapshot<'_>,
    positions: Vec<Position>,
) -> Result<Vec<(Position, VerdictRow)>, StoreError> {
    let mut events = Vec::with_capacity(positions.len());
    for position in positions {
        let row = tenant
            .verdict(position)?
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
    let records = log.recall(positions).await?;
    Ok(joined(records, rules, events))
}

/// Adds the bodies, and reads all of them from the log: so a record that was lost or replaced is noticed.
pub async fn with_stored_bodies(
    log: &dyn EventLog,
    rules: &RulesHistory,
    events: Vec<(Position, VerdictRow)>,
) -> Result<Vec<LedgerEvent>, QueryError> {
    let positions = events.iter().map(|(position, _)| *position).collect();
    let records = log.get(positions).await?;
    Ok(joined(records, rules, events))
}

fn joined(
    records: Vec<Record>,
    rules: &RulesHistory,
    events: Vec<(Position, VerdictRow)>,
) -> Vec<LedgerEvent> {
    let pairs = records.into_iter().zip(events);
    let event = |(record, (position, verdict)): (Record, (Position, VerdictRow))| {
        let rules = rules.at(position);
        LedgerEvent {
            body: record.body(rules),
            record,
            rules,
            verdict,
        }
    };
    pairs.map(event).collect()
}
