//! The numbers by which the read model names tenants, sessions, agents, projects, users
//! and groups of agents.
//!
//! Each kind has its own type, so that the number of one kind cannot stand for another. Numbers are
//! given in fold order, so they depend only on the log. Only `projection` makes numbers: other modules
//! get them from the view of a tenant, or from that of all tenants.

use crate::projection::error::StoreError;

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident: $integer:ty, $what:literal, from $first:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name($integer);

        impl $name {
            /// The number of the first one in a new read model.
            pub(crate) const FIRST: Self = Self($first);

            /// The number that this integer stands for in a table or a row.
            pub(in crate::projection) const fn new(number: $integer) -> Self {
                Self(number)
            }

            /// The integer that tables and rows hold.
            pub const fn get(self) -> $integer {
                self.0
            }

            /// Returns this number and advances to the next one.
            pub(crate) fn take(&mut self) -> Result<Self, StoreError> {
                let number = *self;
                let next = number.0.checked_add(1);
                self.0 = next.ok_or(StoreError::Exhausted($what))?;
                Ok(number)
            }
        }
    )*};
}

numbers! {
    /// The number of a tenant.
    TenantNumber: u32, "tenant", from 1;
    /// The number of an agent. Agents of different tenants have different numbers.
    AgentNumber: u32, "agent", from 1;
    /// The number of a project. Projects of different tenants have different numbers.
    ProjectNumber: u32, "project", from 1;
    /// The number of a session that has children, as the owner of their listing.
    ParentNumber: u32, "session with children", from 1;
    /// The number of a user. Users of different tenants have different numbers.
    UserNumber: u32, "user", from 1;
    /// The number of a group of agents: those of a tenant that have a type, a trust level, or both.
    /// Groups of different tenants have different numbers.
    GroupNumber: u32, "group of agents", from 1;
    /// The number of a session. It breaks ties between sessions that were created at the same time.
    Ordinal: u64, "session", from 0;
}

impl TenantNumber {
    /// Stands for no tenant: for records of the ledger itself, and for those whose subject names none.
    pub(in crate::projection) const NONE: Self = Self(0);
}
