//! Listings of sessions: pages, totals, and one session by its id.

use crate::domain::session::Status;
use crate::domain::{AgentId, SessionFilter, SessionId, TenantId, Timestamp, TokenHash};
use crate::projection::{Listing, RowBytes, SessionOwner, Snapshot, StoreError};
use crate::query::page::{Page, Start};
use crate::query::{AsOf, Cursor};

/// Totals of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCounts {
    /// How many sessions match the filter.
    pub total: u64,
    /// The same for each status that the filter allows.
    pub by_status: Vec<(Status, u64)>,
    /// The state that was counted.
    pub as_of: AsOf,
}

/// A page of a tenant's sessions.
pub fn list(
    snapshot: &Snapshot,
    tenant: &TenantId,
    filter: &SessionFilter,
    start: Start,
    rows_max: usize,
) -> Result<Page<RowBytes>, StoreError> {
    let Some(listing) = listing(snapshot, tenant, filter)? else {
        return Ok(Page::empty(snapshot));
    };
    let totals = snapshot.totals(&listing)?;
    let rows = snapshot.page(&listing, start.place(), rows_max + 1)?;
    Ok(Page::new(
        rows,
        rows_max,
        totals.iter().map(|(_, total)| total).sum(),
        |place| Cursor::new(tenant, filter, place),
        AsOf::of(snapshot),
    ))
}

/// Totals of a tenant's sessions.
pub fn count(
    snapshot: &Snapshot,
    tenant: &TenantId,
    filter: &SessionFilter,
) -> Result<SessionCounts, StoreError> {
    let by_status = match listing(snapshot, tenant, filter)? {
        Some(listing) => snapshot.totals(&listing)?,
        None => filter.statuses.iter().map(|status| (status, 0)).collect(),
    };
    let total = by_status.iter().map(|(_, total)| total).sum();
    Ok(SessionCounts {
        total,
        by_status,
        as_of: AsOf::of(snapshot),
    })
}

/// One session; `None` if the tenant has none with this id.
pub fn get(
    snapshot: &Snapshot,
    tenant: &TenantId,
    id: &SessionId,
) -> Result<Option<RowBytes>, StoreError> {
    let Some(tenant) = snapshot.tenant(tenant)? else {
        return Ok(None);
    };
    let ordinal = snapshot.ordinal(tenant, id)?;
    ordinal.map(|ordinal| snapshot.session(ordinal)).transpose()
}

/// The session that an access token stands for, if the token is good for anything at this time: it
/// is the session's latest, the session is open and not past its deadline, and its agent may act.
pub fn by_access_token(
    snapshot: &Snapshot,
    tenant: &TenantId,
    id: &SessionId,
    hash: &TokenHash,
    now: Timestamp,
) -> Result<Option<RowBytes>, StoreError> {
    let Some(tenant) = snapshot.tenant(tenant)? else {
        return Ok(None);
    };
    let Some(ordinal) = snapshot.ordinal(tenant, id)? else {
        return Ok(None);
    };
    let Some(stored) = snapshot.session_with_token(ordinal, hash)? else {
        return Ok(None);
    };
    let row = stored.row()?;
    let agent = match AgentId::parse(row.agent_id) {
        Ok(id) => snapshot.agent_number(tenant, &id)?,
        Err(_not_an_id) => None,
    };
    let agent = agent.ok_or(StoreError::Damaged("agent ids"))?;
    let open = row.status_at(now) == Status::Active;
    let usable = open && snapshot.agent_may_act(agent, now)?;
    Ok(usable.then_some(stored))
}

/// The listing that a filter names; `None` if nobody in it was ever heard of.
fn listing(
    snapshot: &Snapshot,
    tenant: &TenantId,
    filter: &SessionFilter,
) -> Result<Option<Listing<SessionOwner>>, StoreError> {
    let Some(tenant) = snapshot.tenant(tenant)? else {
        return Ok(None);
    };
    let owner = snapshot.owner(tenant, &filter.owner)?;
    let (statuses, created) = (filter.statuses, filter.created);
    Ok(owner.map(|owner| Listing {
        owner,
        statuses,
        created,
    }))
}
