//! One tenant's part of a snapshot.

use std::fmt;

use crate::domain::{AgentFilter, AgentId, Position, ProjectId, SessionId};
use crate::projection::error::StoreError;
use crate::projection::keys::{self, AgentOwner, SessionOwner};
use crate::projection::numbers::{AgentNumber, GroupNumber, Ordinal, ProjectNumber, TenantNumber};
use crate::projection::snapshot::RejectionCode;
use crate::projection::tables::ReadTables;
use crate::projection::verdict_row::VerdictRow;

/// One tenant's part of a snapshot.
///
/// No method takes the number of a tenant, so a caller cannot name the data of another one. The
/// numbers that the methods return are those of this tenant's sessions, agents and projects.
#[derive(Clone, Copy)]
pub struct TenantSnapshot<'a> {
    pub(super) tables: &'a ReadTables,
    pub(super) tenant: TenantNumber,
}

impl fmt::Debug for TenantSnapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantSnapshot")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

impl TenantSnapshot<'_> {
    /// The owner of the listing of all sessions.
    pub fn all_sessions(&self) -> SessionOwner {
        SessionOwner::Tenant(self.tenant)
    }

    /// The session's ordinal, if it has opened.
    pub fn ordinal(&self, id: &SessionId) -> Result<Option<Ordinal>, StoreError> {
        let ids = &self.tables.session_ids;
        Ok(ids
            .get(&*keys::named(self.tenant, id.as_str()))?
            .map(|ordinal| Ordinal::new(ordinal.value())))
    }

    /// The agent's number, if it is known.
    pub fn agent_number(&self, id: &AgentId) -> Result<Option<AgentNumber>, StoreError> {
        let ids = &self.tables.agent_ids;
        Ok(ids
            .get(&*keys::named(self.tenant, id.as_str()))?
            .map(|number| AgentNumber::new(number.value())))
    }

    /// The owner of the listing of a project's sessions; `None` if the project never had a session.
    pub fn project(&self, id: &ProjectId) -> Result<Option<SessionOwner>, StoreError> {
        let ids = &self.tables.project_ids;
        let found = ids.get(&*keys::named(self.tenant, id.as_str()))?;
        Ok(found.map(|number| SessionOwner::Project(ProjectNumber::new(number.value()))))
    }

    /// The owner of a listing of agents, if there ever was one of that type and trust level.
    pub fn agent_owner(&self, filter: &AgentFilter) -> Result<Option<AgentOwner>, StoreError> {
        let (agent_type, trust_level) = (&filter.agent_type, &filter.trust_level);
        if agent_type.is_none() && trust_level.is_none() {
            return Ok(Some(AgentOwner::Tenant(self.tenant)));
        }
        let key = keys::group(self.tenant, agent_type.as_deref(), trust_level.as_deref());
        let groups = &self.tables.agent_groups;
        Ok(groups
            .get(&*key)?
            .map(|number| AgentOwner::Group(GroupNumber::new(number.value()))))
    }

    /// The verdict on the event at a position; `None` if the tenant has no event there.
    pub fn verdict(&self, position: Position) -> Result<Option<VerdictRow>, StoreError> {
        let verdicts = &self.tables.verdicts;
        let found = verdicts.get(&keys::verdict(self.tenant, position))?;
        found.map(|row| VerdictRow::decode(row.value())).transpose()
    }

    /// The verdict on the tenant's last event; `None` if it has no event.
    pub fn last_verdict(&self) -> Result<Option<VerdictRow>, StoreError> {
        let verdicts = &self.tables.verdicts;
        let low = keys::verdict(self.tenant, Position::ZERO);
        let high = keys::verdict(self.tenant, Position::new(u64::MAX));
        let last = verdicts.range::<&[u8; 12]>(&low..=&high)?.next_back();
        last.map(|entry| VerdictRow::decode(entry?.1.value()))
            .transpose()
    }

    /// Calls `visit` with the verdicts on the events after a position, oldest first, until it returns
    /// false.
    pub fn verdicts(
        &self,
        after: Position,
        mut visit: impl FnMut(Position, VerdictRow) -> bool,
    ) -> Result<(), StoreError> {
        let verdicts = &self.tables.verdicts;
        let low = keys::verdict(self.tenant, after.next());
        let high = keys::verdict(self.tenant, Position::new(u64::MAX));
        for entry in verdicts.range::<&[u8; 12]>(&low..=&high)? {
            let (key, row) = entry?;
            let (_, position) = keys::verdict_parts(*key.value());
            if !visit(position, VerdictRow::decode(row.value())?) {
                break;
            }
        }
        Ok(())
    }

    /// How many of the tenant's events were rejected or are parked, by code.
    pub fn rejection_totals(&self) -> Result<Vec<(RejectionCode, u64)>, StoreError> {
        let totals = &self.tables.rejection_totals;
        let mut found = Vec::new();
        for code in RejectionCode::all() {
            let key = keys::rejection_count(self.tenant, code.number());
            if let Some(total) = totals.get(&key)? {
                found.push((code, total.value()));
            }
        }
        Ok(found)
    }

    /// The tenant's rejected or parked events before a position, newest first.
    pub fn rejections(
        &self,
        codes: &[RejectionCode],
        before: Position,
        count: usize,
    ) -> Result<Vec<Position>, StoreError> {
        let table = &self.tables.rejections;
        let mut positions = Vec::new();
        for code in codes {
            let low = keys::rejection(self.tenant, code.number(), 0);
            let high = keys::rejection(self.tenant, code.number(), before.get());
            // Each code gives at most one page, so the sort below is bounded.
            for entry in table.range::<&[u8; 13]>(&low..&high)?.rev().take(count) {
                positions.push(Position::new(keys::rejection_position(*entry?.0.value())));
            }
        }
        positions.sort_unstable_by(|a, b| b.cmp(a));
        positions.truncate(count);
        Ok(positions)
    }
}
