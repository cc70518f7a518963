//! A digest of the rows of a tenant's sessions and agents, kept up to date by every batch.
//!
//! It is the sum, modulo 2^128, of the hashes of the rows. So a change costs the hashes of the old and of
//! the new row, however many rows there are, and neither the order of changes nor the sizes of batches
//! matter. It tells two read models apart that should be equal. It proves nothing against an adversary who
//! writes the file; the hash chain does.

use std::collections::BTreeMap;

use redb::{ReadableTable, Table};
use sha2::{Digest as _, Sha256};

use crate::projection::error::StoreError;
use crate::projection::numbers::{AgentNumber, Ordinal, TenantNumber};

/// The sum of the hashes of some rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowSum(u128);

/// What the batch adds to the sum of each tenant.
#[derive(Debug, Default)]
pub(crate) struct RowSums(BTreeMap<TenantNumber, RowSum>);

impl RowSum {
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) fn of_session(ordinal: Ordinal, row: &[u8]) -> Self {
        Self::of(b's', ordinal.get(), row)
    }

    pub(crate) fn of_agent(number: AgentNumber, row: &[u8]) -> Self {
        Self::of(b'a', u64::from(number.get()), row)
    }

    fn of(kind: u8, number: u64, row: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update([kind]);
        hasher.update(number.to_be_bytes());
        hasher.update(row);
        let hash: [u8; 32] = hasher.finalize().into();
        let (first, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
        Self(u128::from_be_bytes(*first))
    }

    /// As 32 hexadecimal digits.
    pub fn to_hex(self) -> String {
        format!("{:032x}", self.0)
    }
}

impl RowSums {
    /// Replaces a row of a tenant. [`RowSum::EMPTY`] stands for no row.
    pub(crate) fn replace(&mut self, tenant: TenantNumber, old: RowSum, new: RowSum) {
        let sum = self.0.entry(tenant).or_default();
        sum.0 = sum.0.wrapping_sub(old.0).wrapping_add(new.0);
    }

    /// Adds these sums to those of a table.
    pub(crate) fn write(&self, table: &mut Table<'_, u32, u128>) -> Result<(), StoreError> {
        for (tenant, added) in &self.0 {
            let old = table.get(tenant.get())?.map_or(0, |sum| sum.value());
            table.insert(tenant.get(), old.wrapping_add(added.0))?;
        }
        Ok(())
    }

    /// The first tenant whose sum in a table is another one.
    pub(crate) fn first_difference(
        &self,
        table: &impl ReadableTable<u32, u128>,
    ) -> Result<Option<TenantNumber>, StoreError> {
        for entry in table.iter()? {
            let tenant = TenantNumber::new(entry?.0.value());
            if !self.0.contains_key(&tenant) && read(table, tenant)? != RowSum::EMPTY {
                return Ok(Some(tenant));
            }
        }
        for (tenant, sum) in &self.0 {
            if read(table, *tenant)? != *sum {
                return Ok(Some(*tenant));
            }
        }
        Ok(None)
    }
}

/// The sum of a tenant.
pub(crate) fn read(
    table: &impl ReadableTable<u32, u128>,
    tenant: TenantNumber,
) -> Result<RowSum, StoreError> {
    Ok(RowSum(
        table.get(tenant.get())?.map_or(0, |sum| sum.value()),
    ))
}
