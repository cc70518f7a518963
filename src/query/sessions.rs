//! Listings of sessions: pages, totals, and one session by its id.

use std::collections::BTreeSet;

use crate::domain::filter::Owner;
use crate::domain::session::Status;
use crate::domain::{AgentId, Position, SessionFilter, SessionId, Timestamp, TokenHash};
use crate::metrics::trace;
use crate::projection::{
    EventRange, Listing, Order, PageStart, RowBytes, SessionOwner, Snapshot, StoreError,
    TenantSnapshot,
};
use crate::query::live::Window;
use crate::query::page::{Page, Part};
use crate::query::sight::{Agents, Shown, Sight};
use crate::query::{AsOf, Cursor, QueryError, ids};

/// Totals of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCounts {
    /// How many sessions match the filter.
    pub total: u64,
    /// The number for each status that the filter allows.
    pub by_status: Vec<(Status, u64)>,
    /// The state that the totals show.
    pub as_of: AsOf,
}

/// A page of the sessions that a caller is shown.
pub fn list(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    filter: &SessionFilter,
    start: PageStart,
    rows_max: usize,
) -> Result<Page<RowBytes>, QueryError> {
    let _span = tracing::trace_span!(target: trace::TARGET, "page", rows = rows_max).entered();
    let shown = sight.find(snapshot)?;
    let as_of = AsOf::of_shown(snapshot, shown)?;
    let Some((tenant, listing)) = listing(shown, filter)? else {
        return Ok(Page::empty(as_of));
    };
    let part = Part::new(start, rows_max, || tenant.totals(&listing))?;
    let found = tenant.page(&listing, start, part.to_read())?;
    let cursor = |place| Cursor::new(sight.tenant, filter, place);
    Ok(part.page(snapshot, found, as_of, cursor))
}

/// Totals of the sessions that a caller is shown.
pub fn count(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    filter: &SessionFilter,
) -> Result<SessionCounts, QueryError> {
    let shown = sight.find(snapshot)?;
    let as_of = AsOf::of_shown(snapshot, shown)?;
    counts(listing(shown, filter)?.as_ref(), filter, as_of)
}

fn counts(
    listed: Option<&(TenantSnapshot<'_>, Listing<SessionOwner>)>,
    filter: &SessionFilter,
    as_of: AsOf,
) -> Result<SessionCounts, QueryError> {
    let by_status = match listed {
        Some((tenant, listing)) => tenant.totals(listing)?,
        None => filter.statuses.iter().map(|status| (status, 0)).collect(),
    };
    Ok(SessionCounts {
        total: by_status.iter().map(|(_, total)| total).sum(),
        by_status,
        as_of,
    })
}

/// The first rows of the sessions that a caller is shown, with the totals.
pub fn window(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    filter: &SessionFilter,
    rows_max: usize,
) -> Result<Window, QueryError> {
    let shown = sight.find(snapshot)?;
    let listed = listing(shown, filter)?;
    let SessionCounts {
        total,
        by_status,
        as_of,
    } = counts(listed.as_ref(), filter, AsOf::of_shown(snapshot, shown)?)?;
    let rows = match listed {
        Some((tenant, listing)) => tenant.page(&listing, PageStart::Offset(0), rows_max)?.rows,
        None => Vec::new(),
    };
    Ok(Window {
        rows,
        total,
        by_status,
        as_of,
    })
}

/// Whether the caller's tenant has records after a position.
pub fn has_new_records(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    since: Position,
) -> Result<bool, StoreError> {
    let Some(shown) = sight.find(snapshot)? else {
        return Ok(false);
    };
    let range = EventRange {
        after: since,
        before: Position::new(u64::MAX),
        order: Order::OldestFirst,
    };
    let mut changed = false;
    shown.tenant.verdicts(range, |_position, _row| {
        changed = true;
        Ok(false)
    })?;
    Ok(changed)
}

/// One session; `None` if the caller is shown none with this id.
pub fn get(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    id: &SessionId,
) -> Result<Option<RowBytes>, StoreError> {
    let Some(shown) = sight.find(snapshot)? else {
        return Ok(None);
    };
    let Some(ordinal) = ids::session(shown.tenant, id)? else {
        return Ok(None);
    };
    shown.session(ordinal)
}

/// The session of an access token, if the token is valid at this time: it is the session's latest, the
/// session is active and not past its deadline, and its agent may act.
pub fn by_access_token(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    id: &SessionId,
    hash: &TokenHash,
    now: Timestamp,
) -> Result<Option<RowBytes>, StoreError> {
    let Some(shown) = sight.find(snapshot)? else {
        return Ok(None);
    };
    let Some(ordinal) = shown.tenant.ordinal(id)? else {
        return Ok(None);
    };
    let Some(stored) = shown.tenant.session_with_token(ordinal, hash)? else {
        return Ok(None);
    };
    let row = stored.row()?;
    let agent = match AgentId::parse(row.agent_id) {
        Ok(id) => shown.tenant.agent_number(&id)?,
        Err(_not_an_id) => None,
    };
    let agent = agent.ok_or(StoreError::Damaged("agent ids"))?;
    let open = row.status_at(now) == Status::Active;
    let usable = open && shown.agents.has(agent) && shown.tenant.agent_may_act(agent, now)?;
    Ok(usable.then_some(stored))
}

/// The listing that a filter names, and its tenant; `None` if its owners are unknown or not shown.
fn listing<'a>(
    shown: Option<Shown<'a>>,
    filter: &SessionFilter,
) -> Result<Option<(TenantSnapshot<'a>, Listing<SessionOwner>)>, QueryError> {
    let Some(shown) = shown else {
        return Ok(None);
    };
    let owners = owners(shown, &filter.owner)?;
    let listing = Listing {
        owners,
        root: filter.root,
        statuses: filter.statuses,
        outcomes: filter.outcomes,
        created: filter.created,
    };
    Ok((!listing.owners.is_empty()).then_some((shown.tenant, listing)))
}

/// The owners of the listings that have the sessions of an owner, as far as the caller is shown them.
fn owners(
    Shown { tenant, agents }: Shown<'_>,
    owner: &Owner,
) -> Result<Vec<SessionOwner>, QueryError> {
    if let Owner::Agents(ids) = owner {
        let mut numbers = BTreeSet::new();
        for id in ids.iter() {
            let number = ids::agent(tenant, id)?;
            numbers.extend(number.filter(|number| agents.has(*number)));
        }
        return Ok(numbers.into_iter().map(SessionOwner::Agent).collect());
    }
    let one = match (owner, agents) {
        (Owner::Tenant, Agents::All) => Some(tenant.all_sessions()),
        (Owner::Tenant, Agents::One(number)) => Some(SessionOwner::Agent(number)),
        (Owner::Tenant, Agents::None) | (Owner::Agents(_), _) => None,
        (_, Agents::One(_) | Agents::None) => return Err(QueryError::OneAgent),
        (Owner::Project(id), Agents::All) => tenant.project(id)?,
        (Owner::User(id), Agents::All) => tenant.user(id)?,
        (Owner::Parent(id), Agents::All) => match ids::session(tenant, id)? {
            Some(parent) => tenant.children(parent)?,
            None => None,
        },
    };
    Ok(one.into_iter().collect())
}
