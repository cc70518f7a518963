//! Looks up the ids that callers give, in any spelling of a UUID.
//!
//! An id that an emitter chose must match exactly. The ids that the ledger makes are UUIDs, and all
//! spellings of a UUID are equal (RFC 9562, section 4). So if nothing has the id as the caller gave it,
//! the lookup tries the spelling that the ledger uses.

use crate::domain::{AgentId, SessionId, TenantId};
use crate::projection::{AgentNumber, Ordinal, Snapshot, StoreError, TenantSnapshot};

/// The session's ordinal, if it has opened.
pub(super) fn session(
    tenant: TenantSnapshot<'_>,
    id: &SessionId,
) -> Result<Option<Ordinal>, StoreError> {
    as_given_or_made(|id| tenant.ordinal(id), id, SessionId::as_made)
}

/// The agent's number, if it is known.
pub(super) fn agent(
    tenant: TenantSnapshot<'_>,
    id: &AgentId,
) -> Result<Option<AgentNumber>, StoreError> {
    as_given_or_made(|id| tenant.agent_number(id), id, AgentId::as_made)
}

/// The spelling of a session's id that an event must use: the one under which the session opened or,
/// if it has not opened, the one that the caller gave.
pub fn known_session(
    snapshot: &Snapshot,
    tenant: &TenantId,
    id: &SessionId,
) -> Result<SessionId, StoreError> {
    let Some(tenant) = snapshot.of_tenant(tenant)? else {
        return Ok(id.clone());
    };
    let other = other_spelling(|id| tenant.ordinal(id), id, SessionId::as_made)?;
    Ok(other.unwrap_or_else(|| id.clone()))
}

/// The spelling of an agent's id that an event must use: the one under which the agent is known or,
/// if it is not known, the one that the caller gave.
pub fn known_agent(
    snapshot: &Snapshot,
    tenant: &TenantId,
    id: &AgentId,
) -> Result<AgentId, StoreError> {
    let Some(tenant) = snapshot.of_tenant(tenant)? else {
        return Ok(id.clone());
    };
    let other = other_spelling(|id| tenant.agent_number(id), id, AgentId::as_made)?;
    Ok(other.unwrap_or_else(|| id.clone()))
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

/// Returns the ledger's spelling of an id, if something has that spelling and nothing has the given
/// one.
fn other_spelling<I, N>(
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
