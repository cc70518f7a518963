//! The chain over the records of each tenant, at the end and at some places before it.
//!
//! ```text
//! chains       tenant (4)                 ->  events (8) | position (8) | head (32)
//! chain_marks  tenant (4) | position (8)  ->  events (8) | position (8) | head (32)
//! ```
//!
//! There is a mark after each [`CHAIN_MARK_EVENTS`] events of a tenant. So the chain at any position follows
//! from the mark before it and a few records, and the mark after it proves that these records are the ones
//! that were folded.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use redb::{ReadableTable, Table};

use crate::domain::Position;
use crate::domain::limits::CHAIN_MARK_EVENTS;
use crate::log::chain::TenantChain;
use crate::projection::bytes::{Reader, Writer};
use crate::projection::error::StoreError;
use crate::projection::keys;
use crate::projection::numbers::TenantNumber;
use crate::projection::prepare::Prepared;
use crate::projection::tables::{ReadTables, Tables};

/// The chains that a batch has extended.
#[derive(Debug, Default)]
pub(crate) struct TenantChains(BTreeMap<TenantNumber, TenantChain>);

impl TenantChains {
    /// Adds a record to the chain of its tenant. Records of no tenant are in no chain.
    pub(crate) fn add(
        &mut self,
        tenant: TenantNumber,
        prepared: &Prepared,
        tables: &mut Tables<'_>,
    ) -> Result<(), StoreError> {
        if tenant == TenantNumber::NONE {
            return Ok(());
        }
        let chain = match self.0.entry(tenant) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(read(&tables.chains, tenant)?),
        };
        let record = &prepared.record;
        let at = (record.position, record.recorded_at);
        chain.add(at, &record.subject, &prepared.hashes);
        if chain.events % CHAIN_MARK_EVENTS == 0 {
            let key = keys::verdict(tenant, chain.position);
            tables.chain_marks.insert(&key, &encode(chain))?;
        }
        Ok(())
    }

    /// Writes the chains.
    pub(crate) fn write(
        &self,
        table: &mut Table<'_, u32, &'static [u8; 48]>,
    ) -> Result<(), StoreError> {
        for (tenant, chain) in &self.0 {
            table.insert(tenant.get(), &encode(chain))?;
        }
        Ok(())
    }
}

/// The chain over all records of a tenant.
pub(crate) fn read(
    table: &impl ReadableTable<u32, &'static [u8; 48]>,
    tenant: TenantNumber,
) -> Result<TenantChain, StoreError> {
    let found = table.get(tenant.get())?;
    found.map_or(Ok(TenantChain::EMPTY), |chain| decode(chain.value()))
}

/// The chain at the last known place at or before a position, and at the first one after it. Both are the
/// end of the chain if that is not after the position.
pub(crate) fn around(
    tables: &ReadTables,
    tenant: TenantNumber,
    position: Position,
) -> Result<(TenantChain, TenantChain), StoreError> {
    let end = read(&tables.chains, tenant)?;
    if end.position <= position {
        return Ok((end, end));
    }
    let key = |position| keys::verdict(tenant, position);
    let (first, at) = (key(Position::ZERO), key(position));
    let (next, last) = (key(position.next()), key(end.position));
    let marks = &tables.chain_marks;
    let before = marks.range::<&[u8; 12]>(&first..=&at)?.next_back();
    let before = before.transpose()?;
    let after = marks.range::<&[u8; 12]>(&next..=&last)?.next();
    let after = after.transpose()?;
    Ok((
        before.map_or(Ok(TenantChain::EMPTY), |(_, mark)| decode(mark.value()))?,
        after.map_or(Ok(end), |(_, mark)| decode(mark.value()))?,
    ))
}

fn encode(chain: &TenantChain) -> [u8; 48] {
    let mut out = Writer::with_capacity(48);
    out.u64(chain.events);
    out.u64(chain.position.get());
    out.raw(&chain.head);
    let bytes = out.finish().try_into();
    bytes.expect("two numbers and a hash have 48 bytes")
}

fn decode(bytes: &[u8; 48]) -> Result<TenantChain, StoreError> {
    let mut from = Reader::new(bytes, "chain of a tenant");
    let chain = TenantChain {
        events: from.u64()?,
        position: Position::new(from.u64()?),
        head: from.array()?,
    };
    from.end()?;
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_chain_reads_back(events: u64, position: u64, head: [u8; 32]) {
            let position = Position::new(position);
            let chain = TenantChain { events, position, head };
            prop_assert_eq!(decode(&encode(&chain)).unwrap(), chain);
        }
    }
}
