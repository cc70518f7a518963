//! Waits until the sessions of a revoked agent have ended, so that a read after the answer to the
//! revocation shows none of them as active.
//!
//! The reactor of any node on the log may write the endings, so this follows the fold and not the
//! reactor.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::domain::limits::VERDICT_WAIT_MS;
use crate::domain::{AgentId, Position, Reason, TenantId, Verdict};
use crate::ledger::append::{AppendError, Receipt};
use crate::ledger::command::{Commands, Revocation};
use crate::ledger::revocation::ending_key;
use crate::projection::{Projection, Snapshot, StoreError, Waited};
use crate::query::{self, Sight};

impl Commands {
    /// Waits until a revoked agent has no active session, at most as long as for a verdict. Returns how
    /// its sessions ended; `None` if the receipt does not say that the agent is revoked.
    pub(super) async fn endings(
        &self,
        tenant: &TenantId,
        agent: &AgentId,
        receipt: &Receipt,
    ) -> Result<Option<Revocation>, AppendError> {
        if !is_revoked(receipt) {
            return Ok(None);
        }
        let projection = self.ledger.projection();
        let at_most = Duration::from_millis(VERDICT_WAIT_MS);
        let ended = timeout(at_most, all_ended(projection, tenant, agent)).await;
        let ended = ended.unwrap_or(Ok(()));
        let (projection, tenant) = (Arc::clone(projection), tenant.clone());
        let agent = agent.clone();
        let read = move || projection.read(|snapshot| revocation(snapshot, &tenant, &agent));
        let found = tokio::task::spawn_blocking(read).await;
        match ended.and(found.map_err(AppendError::Panicked)?) {
            // How the sessions ended can be read later.
            Err(error) if error.is_temporary() => Ok(Some(Revocation::PENDING)),
            found => found.map_err(AppendError::Verdict),
        }
    }
}

/// Whether a verdict says that the agent is revoked, by this event or an earlier one.
fn is_revoked(receipt: &Receipt) -> bool {
    match receipt.verdict.map(|row| row.verdict) {
        Some(
            Verdict::Applied | Verdict::Duplicate(_) | Verdict::Rejected(Reason::AlreadyRevoked),
        ) => true,
        Some(Verdict::Rejected(_) | Verdict::Parked) | None => false,
    }
}

/// Returns once an agent has no active session, or once the fold has stopped.
async fn all_ended(
    projection: &Projection,
    tenant: &TenantId,
    agent: &AgentId,
) -> Result<(), StoreError> {
    loop {
        let next = match projection.snapshot() {
            // A read model that is being mended may show sessions that have ended, or none yet.
            Err(StoreError::Behind { owed, .. }) => owed,
            snapshot => match with_active_sessions(&*snapshot?, tenant, agent)? {
                Some(seen) => seen.next(),
                None => return Ok(()),
            },
        };
        match projection.wait_for(next, Duration::MAX).await {
            Waited::Reached => {}
            Waited::TimedOut | Waited::Stopped => return Ok(()),
        }
    }
}

/// The position of a snapshot in which an agent has active sessions; `None` if it has none.
fn with_active_sessions(
    snapshot: &Snapshot,
    tenant: &TenantId,
    agent: &AgentId,
) -> Result<Option<Position>, StoreError> {
    let known = query::agents::get(snapshot, Sight::of_tenant(tenant), agent)?;
    let active = known.is_some_and(|known| 0 < known.active_sessions);
    Ok(active.then(|| snapshot.progress().position))
}

fn revocation(
    snapshot: &Snapshot,
    tenant: &TenantId,
    agent: &AgentId,
) -> Result<Option<Revocation>, StoreError> {
    let sight = Sight::of_tenant(tenant);
    let Some(known) = query::agents::get(snapshot, sight, agent)? else {
        return Ok(None);
    };
    let revoked_at = known.row()?.revoked_at;
    let key = ending_key(revoked_at.ok_or(StoreError::Damaged("agents"))?);
    let endings = query::agents::endings(snapshot, sight, agent, key)?;
    Ok(endings.map(|endings| Revocation {
        ended_sessions: endings.sessions,
        settled_position: (known.active_sessions == 0).then_some(endings.last),
    }))
}
