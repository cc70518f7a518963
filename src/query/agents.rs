//! Listings of agents: pages with totals, and one agent by its id.

use crate::domain::{AgentFilter, AgentId, TenantId, TimeRange};
use crate::projection::{KnownAgent, Listing, Snapshot, StoreError};
use crate::query::page::{Page, Start};
use crate::query::{AsOf, Cursor};

/// A page of a tenant's agents.
pub fn list(
    snapshot: &Snapshot,
    tenant: &TenantId,
    filter: &AgentFilter,
    start: Start,
    rows_max: usize,
) -> Result<Page<KnownAgent>, StoreError> {
    let Some(number) = snapshot.tenant(tenant)? else {
        return Ok(Page::empty(snapshot));
    };
    let Some(owner) = snapshot.agent_owner(number, filter)? else {
        return Ok(Page::empty(snapshot));
    };
    let listing = Listing {
        owner,
        statuses: filter.statuses,
        created: TimeRange::default(),
    };
    let totals = snapshot.totals(&listing)?;
    let rows = snapshot.agent_page(&listing, start.place(), rows_max + 1)?;
    Ok(Page::new(
        rows,
        rows_max,
        totals.iter().map(|(_, total)| total).sum(),
        |place| Cursor::new(tenant, filter, place),
        AsOf::of(snapshot),
    ))
}

/// One agent; `None` if the tenant has none with this id.
pub fn get(
    snapshot: &Snapshot,
    tenant: &TenantId,
    id: &AgentId,
) -> Result<Option<KnownAgent>, StoreError> {
    let Some(tenant) = snapshot.tenant(tenant)? else {
        return Ok(None);
    };
    let number = snapshot.agent_number(tenant, id)?;
    number.map(|number| snapshot.agent(number)).transpose()
}
