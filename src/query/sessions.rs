//! Listings of sessions: pages, totals, and one session by its id.

use crate::domain::session::Status;
use crate::domain::{SessionFilter, SessionId, TenantId, Timestamp, TokenHash};
use crate::projection::{Listing, PageStart, RowBytes, Snapshot, StoreError};
use crate::query::{AsOf, Cursor};

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After so many rows.
    Offset(u64),
    /// After the last row of an earlier page.
    Cursor(Cursor),
}

/// A page of sessions, newest first.
#[derive(Debug, Clone)]
pub struct SessionPage {
    /// The rows.
    pub rows: Vec<RowBytes>,
    /// How many sessions match the filter, over all pages.
    pub total: u64,
    /// Where the next page starts; `None` after the last.
    pub next: Option<Cursor>,
    /// The state that the page shows.
    pub as_of: AsOf,
}

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
) -> Result<SessionPage, StoreError> {
    let as_of = AsOf::of(snapshot);
    let Some(listing) = listing(snapshot, tenant, filter)? else {
        return Ok(SessionPage {
            rows: Vec::new(),
            total: 0,
            next: None,
            as_of,
        });
    };
    let totals = snapshot.totals(&listing)?;
    let start = match start {
        Start::Offset(offset) => PageStart::Offset(offset),
        Start::Cursor(cursor) => PageStart::After(cursor.place()),
    };
    // One row more than asked for tells whether there is a next page.
    let mut rows = snapshot.page(&listing, start, rows_max + 1)?;
    let more = rows_max < rows.len();
    rows.truncate(rows_max);
    let last = rows.last().filter(|_| more);
    Ok(SessionPage {
        next: last.map(|(place, _)| Cursor::new(tenant, filter, *place)),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        total: totals.iter().map(|(_, total)| total).sum(),
        as_of,
    })
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
    if !snapshot.has_access_token(ordinal, hash)? {
        return Ok(None);
    }
    let stored = snapshot.session(ordinal)?;
    let row = stored.row()?;
    let open = row.status == Status::Active && row.expires_at.is_none_or(|due| now < due);
    let agent = snapshot.agent_number(tenant, row.agent_id)?;
    let agent = agent.ok_or(StoreError::Damaged("agent ids"))?;
    let usable = open && snapshot.agent_may_act(agent, now)?;
    Ok(usable.then_some(stored))
}

/// The listing that a filter names; `None` if nobody in it was ever heard of.
fn listing(
    snapshot: &Snapshot,
    tenant: &TenantId,
    filter: &SessionFilter,
) -> Result<Option<Listing>, StoreError> {
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
