//! Who is meant by an id that a caller gives: the one rule for ids that the ledger made.
//!
//! An id that an emitter chose is what it says, to the letter. The ledger makes UUIDs, and a UUID is
//! the same in every spelling (RFC 9562, section 4). So if nothing has the id as it was given, it may
//! stand for the one that the ledger would have made of it.

use crate::domain::{AgentId, SessionId, TenantId};
use crate::projection::{AgentNumber, Ordinal, Snapshot, StoreError, TenantNumber};

/// The session's ordinal, if it has opened.
pub(super) fn session(
    snapshot: &Snapshot,
    tenant: TenantNumber,
    id: &SessionId,
) -> Result<Option<Ordinal>, StoreError> {
    let find = |id: &SessionId| snapshot.ordinal(tenant, id);
    as_given_or_made(find, id, SessionId::as_made)
}

/// The agent's number, if it is known.
pub(super) fn agent(
    snapshot: &Snapshot,
    tenant: TenantNumber,
    id: &AgentId,
) -> Result<Option<AgentNumber>, StoreError> {
    let find = |id: &AgentId| snapshot.agent_number(tenant, id);
    as_given_or_made(find, id, AgentId::as_made)
}

/// The id under which the tenant has the session, or may have it one day: an event must name it so.
pub fn known_session(
    snapshot: &Snapshot,
    tenant: &TenantId,
    id: &SessionId,
) -> Result<SessionId, StoreError> {
    let find = |id: &SessionId| match snapshot.tenant(tenant)? {
        Some(tenant) => snapshot.ordinal(tenant, id),
        None => Ok(None),
    };
    Ok(spelling(find, id, SessionId::as_made)?.unwrap_or_else(|| id.clone()))
}

/// The id under which the tenant has the agent, or may have it one day.
pub fn known_agent(
    snapshot: &Snapshot,
    tenant: &TenantId,
    id: &AgentId,
) -> Result<AgentId, StoreError> {
    let find = |id: &AgentId| match snapshot.tenant(tenant)? {
        Some(tenant) => snapshot.agent_number(tenant, id),
        None => Ok(None),
    };
    Ok(spelling(find, id, AgentId::as_made)?.unwrap_or_else(|| id.clone()))
}

fn as_given_or_made<I, N>(
    find: impl Fn(&I) -> Result<Option<N>, StoreError>,
    id: &I,
    as_made: fn(&I) -> Option<I>,
) -> Result<Option<N>, StoreError> {
    match (find(id)?, as_made(id)) {
        (None, Some(made)) => find(&made),
        (found, _) => Ok(found),
    }
}

/// The other spelling, if something has that and nothing the given one.
fn spelling<I, N>(
    find: impl Fn(&I) -> Result<Option<N>, StoreError>,
    id: &I,
    as_made: fn(&I) -> Option<I>,
) -> Result<Option<I>, StoreError> {
    let Some(made) = as_made(id) else {
        return Ok(None);
    };
    let is_meant = find(id)?.is_none() && find(&made)?.is_some();
    Ok(is_meant.then_some(made))
}
