//! One tenant's part of a snapshot.

use std::fmt;
use std::ops::Bound;

use crate::domain::{
    AgentFilter, AgentId, EventKey, Position, ProjectId, SessionId, Timestamp, TokenHash,
};
use crate::log::chain::TenantChain;
use crate::projection::error::StoreError;
use crate::projection::keys::{self, AgentOwner, Entity, ListingOwner, SessionOwner};
use crate::projection::numbers::{
    AgentNumber, GroupNumber, Ordinal, ParentNumber, ProjectNumber, TenantNumber, UserNumber,
};
use crate::projection::row_sum::{self, RowSum};
use crate::projection::session_row::SessionRow;
use crate::projection::snapshot::{
    Endings, KnownAgent, Listing, PageRows, PageStart, RejectionCode, RowBytes, Snapshot,
};
use crate::projection::tenant_chain;
use crate::projection::verdict_row::VerdictRow;

/// Which positions of a log are visited, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRange {
    /// This position and earlier ones are left out.
    pub after: Position,
    /// This position and later ones are left out.
    pub before: Position,
    /// The order.
    pub order: Order,
}

/// The order of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::VariantNames)]
pub enum Order {
    /// By their positions.
    #[default]
    #[strum(serialize = "oldest")]
    OldestFirst,
    /// By their positions, backwards.
    #[strum(serialize = "newest")]
    NewestFirst,
}

/// One tenant's part of a snapshot.
///
/// No method takes the number of a tenant. The numbers of sessions, agents and projects that the methods
/// take are those that other methods return, and only `projection` makes numbers. So a caller that has
/// only this view cannot name the data of another tenant.
#[derive(Clone, Copy)]
pub struct TenantSnapshot<'a> {
    pub(super) snapshot: &'a Snapshot,
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
    /// The digest of the rows of all sessions and agents.
    pub fn digest(&self) -> Result<RowSum, StoreError> {
        row_sum::read(&self.snapshot.tables.row_sums, self.tenant)
    }

    /// The chain over all records of the tenant.
    pub fn chain(&self) -> Result<TenantChain, StoreError> {
        tenant_chain::read(&self.snapshot.tables.chains, self.tenant)
    }

    /// The chain at the last place at or before a position where the read model has it, and at the first
    /// such place after it. Both are the end of the chain if that is not after the position.
    pub fn chain_around(
        &self,
        position: Position,
    ) -> Result<(TenantChain, TenantChain), StoreError> {
        tenant_chain::around(&self.snapshot.tables, self.tenant, position)
    }

    /// The owner of the listing of all sessions.
    pub fn all_sessions(&self) -> SessionOwner {
        SessionOwner::Tenant(self.tenant)
    }

    /// The session's ordinal, if it has opened.
    pub fn ordinal(&self, id: &SessionId) -> Result<Option<Ordinal>, StoreError> {
        self.named(Some(id.as_str()))
    }

    /// The agent's number, if it is known.
    pub fn agent_number(&self, id: &AgentId) -> Result<Option<AgentNumber>, StoreError> {
        let ids = &self.snapshot.tables.agent_ids;
        let Some(number) = ids.get(&*keys::named(self.tenant, id.as_str()))? else {
            return Ok(None);
        };
        let number = AgentNumber::new(number.value());
        Ok(self.snapshot.has_agent(number)?.then_some(number))
    }

    /// The owner of the listing of a project's sessions; `None` if the project never had a session.
    pub fn project(&self, id: &ProjectId) -> Result<Option<SessionOwner>, StoreError> {
        let ids = &self.snapshot.tables.project_ids;
        let found = ids.get(&*keys::named(self.tenant, id.as_str()))?;
        Ok(found.map(|number| SessionOwner::Project(ProjectNumber::new(number.value()))))
    }

    /// The owner of the listing of the sessions that a session opened; `None` if it opened none.
    pub fn children(&self, parent: Ordinal) -> Result<Option<SessionOwner>, StoreError> {
        let found = self.snapshot.tables.parents.get(parent.get())?;
        Ok(found.map(|number| SessionOwner::Parent(ParentNumber::new(number.value()))))
    }

    /// The owner of the listing of a user's sessions; `None` if the user never had a session.
    pub fn user(&self, id: &str) -> Result<Option<SessionOwner>, StoreError> {
        let ids = &self.snapshot.tables.user_ids;
        let found = ids.get(&*keys::named(self.tenant, id))?;
        Ok(found.map(|number| SessionOwner::User(UserNumber::new(number.value()))))
    }

    /// The owner of a listing of agents, if there ever was one of that type and trust level.
    pub fn agent_owner(&self, filter: &AgentFilter) -> Result<Option<AgentOwner>, StoreError> {
        let (agent_type, trust_level) = (&filter.agent_type, &filter.trust_level);
        if agent_type.is_none() && trust_level.is_none() {
            return Ok(Some(AgentOwner::Tenant(self.tenant)));
        }
        let key = keys::group(self.tenant, agent_type.as_deref(), trust_level.as_deref());
        let groups = &self.snapshot.tables.agent_groups;
        Ok(groups
            .get(&*key)?
            .map(|number| AgentOwner::Group(GroupNumber::new(number.value()))))
    }

    /// A session.
    pub fn session(&self, ordinal: Ordinal) -> Result<RowBytes, StoreError> {
        self.snapshot.session(ordinal)
    }

    /// A session, if its access token has this hash.
    pub fn session_with_token(
        &self,
        ordinal: Ordinal,
        hash: &TokenHash,
    ) -> Result<Option<RowBytes>, StoreError> {
        self.snapshot.session_with_token(ordinal, hash)
    }

    /// The session that opened another one; `None` for a root.
    pub fn parent(&self, session: &SessionRow<'_>) -> Result<Option<Ordinal>, StoreError> {
        self.named(session.parent_session_id)
    }

    /// The session that goes on after a hand-off of another one; `None` if that was not handed off.
    pub fn successor(&self, session: &SessionRow<'_>) -> Result<Option<Ordinal>, StoreError> {
        self.named(session.handed_off_session_id)
    }

    fn named(&self, id: Option<&str>) -> Result<Option<Ordinal>, StoreError> {
        let Some(id) = id else {
            return Ok(None);
        };
        let ids = &self.snapshot.tables.session_ids;
        let Some(ordinal) = ids.get(&*keys::named(self.tenant, id))? else {
            return Ok(None);
        };
        let ordinal = Ordinal::new(ordinal.value());
        Ok(self.snapshot.has_session(ordinal)?.then_some(ordinal))
    }

    /// The first child that a session opened, or the first after another child of it.
    pub fn next_child(
        &self,
        parent: Ordinal,
        after: Option<Ordinal>,
    ) -> Result<Option<Ordinal>, StoreError> {
        let children = &self.snapshot.tables.children;
        let low = match after {
            Some(child) => Bound::Excluded(keys::pair(parent, child)),
            None => Bound::Included(keys::pair(parent, Ordinal::new(0))),
        };
        let high = keys::pair(parent, Ordinal::new(u64::MAX));
        let low = low.as_ref();
        let mut found = children.range::<&[u8; 16]>((low, Bound::Included(&high)))?;
        let Some((pair, _)) = found.next().transpose()? else {
            return Ok(None);
        };
        // Children have their numbers in the order in which they opened.
        let child = keys::child_of_pair(*pair.value());
        Ok(self.snapshot.has_session(child)?.then_some(child))
    }

    /// At most `count` positions of a session's events from number `from` on, in the order in which
    /// they took effect, and how many there are.
    pub fn history(
        &self,
        ordinal: Ordinal,
        from: u64,
        count: usize,
    ) -> Result<(Vec<Position>, u64), StoreError> {
        self.snapshot.history(ordinal, from, count)
    }

    /// An agent.
    pub fn agent(&self, number: AgentNumber) -> Result<KnownAgent, StoreError> {
        self.snapshot.agent(number)
    }

    /// How the sessions of a revoked agent ended so far. `key` is the one of the events by which the
    /// revocation ends them. Reads every session of the agent that has ended.
    pub fn endings(&self, number: AgentNumber, key: EventKey) -> Result<Endings, StoreError> {
        self.snapshot.endings(number, key)
    }

    /// Whether an agent may act at this time.
    pub fn agent_may_act(&self, number: AgentNumber, time: Timestamp) -> Result<bool, StoreError> {
        self.snapshot.agent_may_act(number, time)
    }

    /// How many rows a listing has, per status.
    pub fn totals<O: ListingOwner>(
        &self,
        listing: &Listing<O>,
    ) -> Result<Vec<(O::Status, u64)>, StoreError> {
        self.snapshot.totals(listing)
    }

    /// Some sessions of a listing, newest first, with their places.
    pub fn page(
        &self,
        listing: &Listing<SessionOwner>,
        start: PageStart,
        rows_max: usize,
    ) -> Result<PageRows<RowBytes>, StoreError> {
        self.snapshot.page(listing, start, rows_max)
    }

    /// Some agents of a listing, newest first, with their places.
    pub fn agent_page(
        &self,
        listing: &Listing<AgentOwner>,
        start: PageStart,
        rows_max: usize,
    ) -> Result<PageRows<KnownAgent>, StoreError> {
        self.snapshot.agent_page(listing, start, rows_max)
    }

    /// An agent, if it is in a listing.
    pub fn agent_in(
        &self,
        listing: &Listing<AgentOwner>,
        number: AgentNumber,
    ) -> Result<Option<KnownAgent>, StoreError> {
        self.snapshot.agent_in(listing, number)
    }

    /// The verdict on the event at a position; `None` if the tenant has no event there.
    pub fn verdict(&self, position: Position) -> Result<Option<VerdictRow>, StoreError> {
        let verdicts = &self.snapshot.tables.verdicts;
        let found = verdicts.get(&keys::verdict(self.tenant, position))?;
        found.map(|row| VerdictRow::decode(row.value())).transpose()
    }

    /// Whether an event is about a session of a project.
    pub fn is_in_project(&self, event: &VerdictRow, id: &ProjectId) -> Result<bool, StoreError> {
        let Some(Entity::Session(ordinal)) = event.subject else {
            return Ok(false);
        };
        let session = self.snapshot.session(ordinal)?;
        Ok(session.row()?.project_id == Some(id.as_str()))
    }

    /// The verdict on the tenant's last event; `None` if it has no event.
    pub fn last_verdict(&self) -> Result<Option<(Position, VerdictRow)>, StoreError> {
        let verdicts = &self.snapshot.tables.verdicts;
        let low = keys::verdict(self.tenant, Position::ZERO);
        let high = keys::verdict(self.tenant, self.snapshot.position());
        let last = verdicts.range::<&[u8; 12]>(&low..=&high)?.next_back();
        let Some((key, row)) = last.transpose()? else {
            return Ok(None);
        };
        let (_, position) = keys::verdict_parts(*key.value());
        Ok(Some((position, VerdictRow::decode(row.value())?)))
    }

    /// Calls `visit` with the verdicts on the events of a range, until it returns false.
    pub fn verdicts(
        &self,
        range: EventRange,
        mut visit: impl FnMut(Position, VerdictRow) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let verdicts = &self.snapshot.tables.verdicts;
        let EventRange {
            after,
            before,
            order,
        } = range;
        if before <= after.next() {
            return Ok(());
        }
        let low = keys::verdict(self.tenant, after.next());
        let high = keys::verdict(self.tenant, before);
        let mut entries = verdicts.range::<&[u8; 12]>(&low..&high)?;
        let next = || match order {
            Order::OldestFirst => entries.next(),
            Order::NewestFirst => entries.next_back(),
        };
        for entry in std::iter::from_fn(next) {
            let (key, row) = entry?;
            let (_, position) = keys::verdict_parts(*key.value());
            if !visit(position, VerdictRow::decode(row.value())?)? {
                break;
            }
        }
        Ok(())
    }

    /// How many of the tenant's events were rejected or are parked, by code.
    pub fn rejection_totals(&self) -> Result<Vec<(RejectionCode, u64)>, StoreError> {
        let totals = &self.snapshot.tables.rejection_totals;
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
        let table = &self.snapshot.tables.rejections;
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
