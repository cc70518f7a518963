//! Listings of agents: pages with totals, and one agent by its id.

use crate::domain::{AgentFilter, AgentId, TimeRange};
use crate::projection::{KnownAgent, Listing, PageStart, Snapshot, StoreError};
use crate::query::page::Page;
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
    let listing = Listing {
        owner,
        statuses: filter.statuses,
        created: TimeRange::default(),
    };
    let only = match shown.agents {
        Agents::All => {
            let totals = shown.tenant.totals(&listing)?;
            let rows = shown.tenant.agent_page(&listing, start, rows_max + 1)?;
            return Ok(Page::new(
                rows,
                rows_max,
                totals.iter().map(|(_, total)| total).sum(),
                |place| Cursor::new(sight.tenant, filter, place),
                as_of,
            ));
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
    let Some(shown) = sight.find(snapshot)? else {
        return Ok(None);
    };
    let number = ids::agent(shown.tenant, id)?;
    let number = number.filter(|number| shown.agents.has(*number));
    number.map(|number| shown.tenant.agent(number)).transpose()
}
