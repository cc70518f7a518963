//! Listings of agents: pages with totals, one agent by its id, and how the sessions of a revoked agent
//! ended.

use crate::domain::{AgentFilter, AgentId, EventKey};
use crate::projection::{
    AgentNumber, Endings, KnownAgent, Listing, PageStart, Snapshot, StoreError, TenantSnapshot,
};
use crate::query::page::{Page, Part};
use crate::query::sight::{Agents, Sight};
use crate::query::{AsOf, Cursor, ids};

/// A page of the agents that a caller is shown.
pub fn list(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    filter: &AgentFilter,
    start: PageStart,
    rows_max: usize,
) -> Result<Page<KnownAgent>, StoreError> {
    let shown = sight.find(snapshot)?;
    let as_of = AsOf::of_shown(snapshot, shown)?;
    let Some(shown) = shown else {
        return Ok(Page::empty(as_of));
    };
    let Some(owner) = shown.tenant.agent_owner(filter)? else {
        return Ok(Page::empty(as_of));
    };
    let listing = Listing::of(owner, filter.statuses);
    let only = match shown.agents {
        Agents::All => {
            let part = Part::new(start, rows_max, || shown.tenant.totals(&listing))?;
            let found = shown.tenant.agent_page(&listing, start, part.to_read())?;
            let cursor = |place| Cursor::new(sight.tenant, filter, place);
            return Ok(part.page(snapshot, found, as_of, cursor));
        }
        Agents::One(number) => shown.tenant.agent_in(&listing, number)?,
        Agents::None => None,
    };
    let total = u64::from(only.is_some());
    // There is no second page, so only an offset can lead past the one row.
    let rows = only.filter(|_| start == PageStart::Offset(0) && 0 < rows_max);
    Ok(Page {
        rows: rows.into_iter().collect(),
        total,
        next: None,
        as_of,
    })
}

/// One agent; `None` if the caller is shown none with this id.
pub fn get(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    id: &AgentId,
) -> Result<Option<KnownAgent>, StoreError> {
    let found = find(snapshot, sight, id)?;
    found
        .map(|(tenant, number)| tenant.agent(number))
        .transpose()
}

/// How the sessions of a revoked agent ended so far; `None` if the caller is shown no agent with this id.
/// `key` is the one of the events by which the revocation ends them.
///
/// Reads every session of the agent that has ended, so call it on the blocking pool.
pub fn endings(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    id: &AgentId,
    key: EventKey,
) -> Result<Option<Endings>, StoreError> {
    let found = find(snapshot, sight, id)?;
    found
        .map(|(tenant, number)| tenant.endings(number, key))
        .transpose()
}

fn find<'a>(
    snapshot: &'a Snapshot,
    sight: Sight<'_>,
    id: &AgentId,
) -> Result<Option<(TenantSnapshot<'a>, AgentNumber)>, StoreError> {
    let Some(shown) = sight.find(snapshot)? else {
        return Ok(None);
    };
    let number = ids::agent(shown.tenant, id)?;
    let number = number.filter(|number| shown.agents.has(*number));
    Ok(number.map(|number| (shown.tenant, number)))
}
