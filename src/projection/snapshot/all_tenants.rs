//! All tenants' parts of a snapshot.

use crate::domain::{TenantId, Timestamp};
use crate::projection::error::StoreError;
use crate::projection::keys::SessionOwner;
use crate::projection::numbers::{AgentNumber, Ordinal, TenantNumber};
use crate::projection::snapshot::{
    KnownAgent, Listing, ListingPlace, PageStart, RowBytes, Snapshot,
};

/// All tenants' parts of a snapshot. Only reactors read it, because they act for every tenant.
#[derive(Debug, Clone, Copy)]
pub struct AllTenants<'a> {
    pub(super) snapshot: &'a Snapshot,
}

impl AllTenants<'_> {
    /// The next deadlines of active sessions, earliest first.
    pub fn deadlines(self, count: usize) -> Result<Vec<(Timestamp, Ordinal)>, StoreError> {
        self.snapshot.deadlines(count)
    }

    /// How many active sessions have a deadline after one time and up to another, counted up to `count_max`.
    pub fn deadlines_within(
        self,
        after: Option<Timestamp>,
        by: Timestamp,
        count_max: usize,
    ) -> Result<usize, StoreError> {
        self.snapshot.deadlines_within(after, by, count_max)
    }

    /// Some revoked agents that still have active sessions, by number.
    pub fn revoked_agents(self, count: usize) -> Result<Vec<AgentNumber>, StoreError> {
        self.snapshot.revoked_agents(count)
    }

    /// A session.
    pub fn session(self, ordinal: Ordinal) -> Result<RowBytes, StoreError> {
        self.snapshot.session(ordinal)
    }

    /// An agent.
    pub fn agent(self, number: AgentNumber) -> Result<KnownAgent, StoreError> {
        self.snapshot.agent(number)
    }

    /// The newest sessions of a listing, with their places.
    pub fn newest(
        self,
        listing: &Listing<SessionOwner>,
        rows_max: usize,
    ) -> Result<Vec<(ListingPlace, RowBytes)>, StoreError> {
        let page = self
            .snapshot
            .page(listing, PageStart::Offset(0), rows_max)?;
        Ok(page.rows)
    }

    /// The id of the tenant with this number.
    pub fn tenant_id(self, number: TenantNumber) -> Result<TenantId, StoreError> {
        self.snapshot.tenant_id(number)
    }
}
