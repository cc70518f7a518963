//! Every table of the history file. `docs/design/keyspace.md` has the layouts to the byte.

use redb::{ReadOnlyTable, ReadTransaction, Table, TableDefinition, TableHandle, WriteTransaction};

use crate::projection::error::StoreError;
use crate::projection::tables::tables;

type Def<K, V> = TableDefinition<'static, K, V>;

/// Layout of the tables, and of the read model that they are made from. Another number means another file: make
/// it again.
pub(crate) const LAYOUT: u32 = 2_000 + crate::projection::tables::LAYOUT;

tables! {
    /// Layout and progress: see `past::trail`.
    meta: &'static str => &'static [u8];
    /// Sessions and agents by owner and status, newest first, and from where -> until where they were there.
    spans: &'static [u8; 30] => u64;
    /// Owner and position -> how many sessions or agents the owner had from there on: see `past::counts`.
    counts: &'static [u8; 13] => &'static [u8];
    /// Block of positions -> the time of each: see `past::times`.
    times: u64 => &'static [u8];
}
