//! Every table of the read model. `docs/design/keyspace.md` has the layouts to the byte.

use redb::{ReadOnlyTable, ReadTransaction, Table, TableDefinition, TableHandle, WriteTransaction};

use crate::projection::error::StoreError;

type Def<K, V> = TableDefinition<'static, K, V>;

/// Layout of the tables. Another number means another file: rebuild.
pub(crate) const LAYOUT: u32 = 9;

/// Tables that can be copied from those of another file.
pub(crate) trait CopyFrom<R> {
    /// Inserts every entry of other tables, in the order of their keys.
    fn copy_from(&mut self, other: &R) -> Result<(), StoreError>;
}

/// Defines the tables of a file, and the structs that hold them open for writing and for reading.
macro_rules! tables {
    ($($(#[$doc:meta])* $field:ident: $key:ty => $value:ty;)*) => {
        $(
            $(#[$doc])*
            #[expect(non_upper_case_globals, reason = "a definition has the name of its table")]
            pub(crate) const $field: Def<$key, $value> = TableDefinition::new(stringify!($field));
        )*

        /// All tables, open for writing.
        pub(crate) struct Tables<'txn> {
            $(pub(crate) $field: Table<'txn, $key, $value>,)*
        }

        impl<'txn> Tables<'txn> {
            pub(crate) fn open(txn: &'txn WriteTransaction) -> Result<Self, StoreError> {
                Ok(Self { $($field: txn.open_table($field)?,)* })
            }

        }

        impl crate::projection::tables::CopyFrom<ReadTables> for Tables<'_> {
            fn copy_from(&mut self, other: &ReadTables) -> Result<(), StoreError> {
                use redb::ReadableTable;
                $(
                    for entry in other.$field.iter()? {
                        let (key, value) = entry?;
                        self.$field.insert(key.value(), value.value())?;
                    }
                )*
                Ok(())
            }
        }

        /// All tables, open for reading.
        pub(crate) struct ReadTables {
            $(pub(crate) $field: ReadOnlyTable<$key, $value>,)*
        }

        impl ReadTables {
            pub(crate) fn open(txn: &ReadTransaction) -> Result<Self, StoreError> {
                Ok(Self { $($field: txn.open_table($field)?,)* })
            }

            /// Digest over the name of every table and the bytes of every entry.
            pub(crate) fn digest(&self) -> Result<crate::log::chain::ChainHead, StoreError> {
                use sha2::{Digest, Sha256};
                let mut hasher = Sha256::new();
                self.visit_all(&mut |table, key, value| {
                    for part in [table.as_bytes(), key, value] {
                        hasher.update((part.len() as u64).to_be_bytes());
                        hasher.update(part);
                    }
                })?;
                Ok(hasher.finalize().into())
            }

            /// Calls `visit` with every table's name and every entry's bytes, in key order.
            pub(crate) fn visit_all(
                &self,
                visit: &mut dyn FnMut(&str, &[u8], &[u8]),
            ) -> Result<(), StoreError> {
                use redb::{ReadableTable, Value};
                $(
                    for entry in self.$field.iter()? {
                        let (key, value) = entry?;
                        let key = key.value();
                        let value = value.value();
                        visit(
                            $field.name(),
                            <$key as Value>::as_bytes(&key).as_ref(),
                            <$value as Value>::as_bytes(&value).as_ref(),
                        );
                    }
                )*
                Ok(())
            }
        }
    };
}

tables! {
    /// Position, chain head and counters: see `projection::meta`.
    meta: &'static str => &'static [u8];
    /// Tenant id -> number.
    tenants: &'static str => u32;
    /// Number -> tenant id.
    tenant_ids: u32 => &'static str;
    /// Tenant and agent id -> number.
    agent_ids: &'static [u8] => u32;
    /// Number -> agent.
    agents: u32 => &'static [u8];
    /// Tenant, agent type and trust level -> number of the group of such agents.
    agent_groups: &'static [u8] => u32;
    /// Tenant and project id -> number.
    project_ids: &'static [u8] => u32;
    /// Tenant and user id -> number.
    user_ids: &'static [u8] => u32;
    /// Ordinal of a session with children -> number.
    parents: u64 => u32;
    /// Tenant and session id -> ordinal.
    session_ids: &'static [u8] => u64;
    /// Ordinal -> session.
    sessions: u64 => &'static [u8];
    /// Sessions and agents by owner and class, newest first.
    listing: &'static [u8; 22] => ();
    /// Owner and class -> number of sessions or agents.
    totals: &'static [u8; 6] => u64;
    /// Counts within a listing: see `projection::tally`.
    tallies: &'static [u8] => &'static [u8];
    /// Tenant -> sum over the rows of its sessions and agents: see `projection::row_sum`.
    row_sums: u32 => u128;
    /// Tenant -> chain over its records: see `projection::tenant_chain`.
    chains: u32 => &'static [u8; 48];
    /// Tenant and position -> that chain after some of its records.
    chain_marks: &'static [u8; 12] => &'static [u8; 48];
    /// Deadlines of active sessions.
    deadlines: &'static [u8; 16] => ();
    /// Revoked agents that still have active sessions.
    revoked: u32 => ();
    /// Parent and child sessions.
    children: &'static [u8; 16] => ();
    /// Tenant and position -> what became of the event, and what it replaced of a session: see `projection::before`.
    verdicts: &'static [u8; 12] => &'static [u8];
    /// Rejected and parked events by tenant and reason.
    rejections: &'static [u8; 13] => ();
    /// Tenant and reason -> number of rejected or parked events.
    rejection_totals: &'static [u8; 5] => u64;
    /// Position -> event that waits for its session.
    parked: u64 => &'static [u8];
    /// Events that wait, by tenant and session -> idempotency key.
    waiting: &'static [u8] => &'static [u8; 16];
    /// Older events of a long history, by number.
    history: &'static [u8; 13] => &'static [u8; 24];
    /// Older events of a long history, by idempotency key -> position.
    history_keys: &'static [u8; 25] => u64;
    /// Agent and position of a change -> the public part of the row that the change replaced.
    before_agents: &'static [u8; 12] => &'static [u8];
    /// Session and position of a change -> the metadata that the change replaced.
    before_metadata: &'static [u8; 17] => &'static str;
}

pub(crate) use tables;
