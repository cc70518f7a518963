//! Counts the keys of a listing, so that a total or an offset costs the same at any depth.
//!
//! The keys of one owner and class form a partition, ordered by 16-byte sort keys. A tally counts them
//! in a trie: a node stands for a prefix, and counts the keys below it by their next byte. A prefix
//! with at most [`TALLY_BUCKET_KEYS_MAX`] keys has no node: the ledger counts its keys by reading them.
//! So a trie is as deep as its keys are dense, whether they spread over ten years or share one
//! microsecond, and a short listing needs no node at all.
//!
//! The nodes depend only on the keys, not on the order in which they arrive. So batches of any size
//! give the same bytes.
//!
//! ```text
//! totals    owner (5) | class (1)                     ->  number of keys (8)
//! tallies   owner (5) | class (1) | prefix (0..15)   ->  per child: next byte (1) | keys (8)
//! ```

use redb::{ReadableTable, StorageError, Table};

use crate::domain::limits::TALLY_BUCKET_KEYS_MAX;
use crate::projection::bytes::{Reader, Writer};
use crate::projection::error::StoreError;
use crate::projection::keys::{self, ListingKey, Partition, SortKey};
use crate::projection::numbers::AgentNumber;

/// The tables of the listings and their counts, open for writing.
pub(crate) struct ListingTables<'a, 'txn> {
    pub(crate) listing: &'a mut Table<'txn, &'static ListingKey, ()>,
    pub(crate) totals: &'a mut Table<'txn, &'static Partition, u64>,
    pub(crate) tallies: &'a mut Table<'txn, &'static [u8], &'static [u8]>,
}

/// The size of a child in its node, in bytes.
const CHILD_BYTES: usize = 9;
/// Why a rank within a bucket fits into an index.
const SMALL_RANK: &str = "a rank is less than the few keys that are read";
const DAMAGED: StoreError = StoreError::Damaged("tally");

/// The number of keys below a node by their next byte, in order.
type Children = Vec<(u8, u64)>;

/// One key that a batch adds to a listing (+1) or removes from it (-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Delta {
    pub(crate) key: ListingKey,
    pub(crate) change: i64,
}

impl Delta {
    /// The agent, if this key is in the listing of an agent's active sessions.
    pub(crate) fn agent_of_active(&self) -> Option<AgentNumber> {
        keys::agent_of_active(keys::partition_of(&self.key))
    }
}

/// Whether an agent has active sessions.
pub(crate) fn has_active(
    totals: &impl ReadableTable<&'static Partition, u64>,
    agent: AgentNumber,
) -> Result<bool, StoreError> {
    for active in keys::active_of(agent) {
        if totals.get(&active)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds to `out` the deltas of a key that leaves the partitions in `before` and enters those in `after`.
/// Each index of the arrays stands for one kind of owner.
pub(crate) fn moves<const N: usize>(
    sort_key: SortKey,
    before: [Option<Partition>; N],
    after: [Option<Partition>; N],
    out: &mut Vec<Delta>,
) {
    for (before, after) in before.into_iter().zip(after) {
        if before != after {
            let delta = |partition, change| Delta {
                key: keys::listing(partition, sort_key),
                change,
            };
            out.extend(before.map(|partition| delta(partition, -1)));
            out.extend(after.map(|partition| delta(partition, 1)));
        }
    }
}

/// Brings the listing, its totals and its tallies up to date. The deltas must be sorted by key.
pub(crate) fn apply(
    tables: &mut ListingTables<'_, '_>,
    deltas: &[Delta],
) -> Result<(), StoreError> {
    for Delta { key, change } in deltas {
        if 0 < *change {
            tables.listing.insert(key, ())?;
        } else {
            tables.listing.remove(key)?;
        }
    }
    for group in deltas.chunk_by(|a, b| a.key[..6] == b.key[..6]) {
        let partition = keys::partition_of(&group[0].key);
        let old = tables
            .totals
            .get(&partition)?
            .map_or(0, |total| total.value());
        let new = changed(old, group)?;
        if new == 0 {
            tables.totals.remove(&partition)?;
        } else {
            tables.totals.insert(&partition, new)?;
        }
        update(tables, &partition, (old, new), group)?;
    }
    Ok(())
}

/// Updates the node of a prefix (a partition and the first bytes of a sort key) and all nodes below it.
fn update(
    tables: &mut ListingTables<'_, '_>,
    prefix: &[u8],
    (old, new): (u64, u64),
    deltas: &[Delta],
) -> Result<(), StoreError> {
    match (TALLY_BUCKET_KEYS_MAX < old, TALLY_BUCKET_KEYS_MAX < new) {
        (false, false) => Ok(()),
        (false, true) => build(tables, prefix),
        (true, false) => remove_below(tables, prefix),
        (true, true) => {
            let node = tables.tallies.get(prefix)?;
            let mut children = decode(node.ok_or(DAMAGED)?.value())?;
            for group in deltas.chunk_by(|a, b| a.key[prefix.len()] == b.key[prefix.len()]) {
                let byte = group[0].key[prefix.len()];
                let (old, new) = change(&mut children, byte, group)?;
                update(tables, &[prefix, &[byte]].concat(), (old, new), group)?;
            }
            tables.tallies.insert(prefix, &*encode(&children))?;
            Ok(())
        }
    }
}

/// Writes the node of a prefix that has become large, and all nodes below it, from the listing.
fn build(tables: &mut ListingTables<'_, '_>, prefix: &[u8]) -> Result<(), StoreError> {
    let (low, high) = bounds(prefix);
    let keys: Result<Vec<ListingKey>, StorageError> = tables
        .listing
        .range::<&ListingKey>(&low..=&high)?
        .map(|entry| Ok(*entry?.0.value()))
        .collect();
    write_nodes(tables, prefix, &keys?)
}

fn write_nodes(
    tables: &mut ListingTables<'_, '_>,
    prefix: &[u8],
    keys: &[ListingKey],
) -> Result<(), StoreError> {
    let at = prefix.len();
    let mut children = Children::new();
    for group in keys.chunk_by(|a, b| a[at] == b[at]) {
        children.push((group[0][at], group.len() as u64));
        if TALLY_BUCKET_KEYS_MAX < group.len() as u64 {
            write_nodes(tables, &[prefix, &[group[0][at]]].concat(), group)?;
        }
    }
    tables.tallies.insert(prefix, &*encode(&children))?;
    Ok(())
}

/// Removes the node of a prefix that has become small, and all nodes below it.
fn remove_below(tables: &mut ListingTables<'_, '_>, prefix: &[u8]) -> Result<(), StoreError> {
    let (_, high) = bounds(prefix);
    tables
        .tallies
        .retain_in::<&[u8], _>(prefix..=&high[..], |_, _| false)?;
    Ok(())
}

/// Changes the count of one child and returns it before and after.
fn change(children: &mut Children, byte: u8, deltas: &[Delta]) -> Result<(u64, u64), StoreError> {
    let place = children.binary_search_by_key(&byte, |(byte, _)| *byte);
    let old = place.map_or(0, |index| children[index].1);
    let new = changed(old, deltas)?;
    match place {
        Ok(index) if new == 0 => drop(children.remove(index)),
        Ok(index) => children[index].1 = new,
        Err(_) if new == 0 => {}
        Err(index) => children.insert(index, (byte, new)),
    }
    Ok((old, new))
}

fn changed(old: u64, deltas: &[Delta]) -> Result<u64, StoreError> {
    let change: i64 = deltas.iter().map(|delta| delta.change).sum();
    old.checked_add_signed(change).ok_or(DAMAGED)
}

/// First and last key below a prefix.
fn bounds(prefix: &[u8]) -> (ListingKey, ListingKey) {
    let (mut low, mut high) = ([0; 22], [0xff; 22]);
    low[..prefix.len()].copy_from_slice(prefix);
    high[..prefix.len()].copy_from_slice(prefix);
    (low, high)
}

pub(crate) fn encode(children: &Children) -> Vec<u8> {
    let mut out = Writer::with_capacity(children.len() * CHILD_BYTES);
    for (byte, count) in children {
        out.u8(*byte);
        out.u64(*count);
    }
    out.finish()
}

pub(crate) fn decode(node: &[u8]) -> Result<Children, StoreError> {
    let mut from = Reader::new(node, "tally");
    let mut children = Children::with_capacity(node.len() / CHILD_BYTES);
    while !from.rest().is_empty() {
        children.push((from.u8()?, from.u64()?));
    }
    Ok(children)
}

/// Reads ranks and counts of one partition, or of several partitions together.
pub(crate) struct Counter<'a, L, N, T> {
    pub(crate) listing: &'a L,
    pub(crate) tallies: &'a N,
    pub(crate) totals: &'a T,
}

impl<L, N, T> Counter<'_, L, N, T>
where
    L: ReadableTable<&'static ListingKey, ()>,
    N: ReadableTable<&'static [u8], &'static [u8]>,
    T: ReadableTable<&'static Partition, u64>,
{
    /// How many keys a partition has.
    pub(crate) fn total(&self, partition: Partition) -> Result<u64, StoreError> {
        Ok(self
            .totals
            .get(&partition)?
            .map_or(0, |total| total.value()))
    }

    /// How many keys of a partition come before this sort key.
    pub(crate) fn rank(&self, partition: Partition, sort_key: SortKey) -> Result<u64, StoreError> {
        let key = keys::listing(partition, sort_key);
        let (mut depth, mut count, mut rank) = (partition.len(), self.total(partition)?, 0);
        while TALLY_BUCKET_KEYS_MAX < count {
            let next = key[depth];
            count = 0;
            for (byte, keys) in self.children(&key[..depth])? {
                match byte.cmp(&next) {
                    std::cmp::Ordering::Less => rank += keys,
                    std::cmp::Ordering::Equal => count = keys,
                    std::cmp::Ordering::Greater => break,
                }
            }
            depth += 1;
        }
        let (low, _) = bounds(&key[..depth]);
        if count == 0 || low == key {
            return Ok(rank);
        }
        Ok(rank + self.listing.range::<&ListingKey>(&low..&key)?.count() as u64)
    }

    /// The sort key with this rank over some partitions together; `None` if they have fewer keys.
    pub(crate) fn select(
        &self,
        partitions: &[Partition],
        rank: u64,
    ) -> Result<Option<SortKey>, StoreError> {
        let mut filled = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let count = self.total(*partition)?;
            if 0 < count {
                filled.push((*partition, count));
            }
        }
        if let [one] = *filled {
            return self.select_of_one(one, rank);
        }
        let total: u64 = filled.iter().map(|(_, count)| count).sum();
        if total <= rank {
            return Ok(None);
        }
        let mut rank = rank;
        let mut prefix: Vec<u8> = Vec::with_capacity(16);
        let (mut partitions, mut parts) = (Vec::new(), Vec::new());
        for (partition, count) in filled {
            partitions.push(partition);
            parts.push(self.part(partition, &prefix, count)?);
        }
        while parts.iter().any(|part| matches!(part, Part::Large)) {
            self.narrow(&partitions, &mut parts, &mut prefix, &mut rank)?;
        }
        let mut sort_keys: Vec<SortKey> = parts.into_iter().flat_map(Part::sort_keys).collect();
        sort_keys.sort_unstable();
        let index = usize::try_from(rank).expect(SMALL_RANK);
        sort_keys.get(index).copied().map(Some).ok_or(DAMAGED)
    }

    /// Like [`Self::select`], for a single partition: nothing needs to be merged.
    fn select_of_one(
        &self,
        (partition, count): (Partition, u64),
        rank: u64,
    ) -> Result<Option<SortKey>, StoreError> {
        if count <= rank {
            return Ok(None);
        }
        let (mut prefix, mut count, mut rank) = (partition.to_vec(), count, rank);
        while TALLY_BUCKET_KEYS_MAX < count {
            let mut children = self.children(&prefix)?.into_iter();
            let child = children.find(|(_, keys)| {
                let found = rank < *keys;
                rank -= if found { 0 } else { *keys };
                found
            });
            let (byte, keys) = child.ok_or(DAMAGED)?;
            prefix.push(byte);
            count = keys;
        }
        let (low, high) = bounds(&prefix);
        let mut keys = self.listing.range::<&ListingKey>(&low..=&high)?;
        let key = keys.nth(usize::try_from(rank).expect(SMALL_RANK));
        let sort_key = keys::sort_key_of(key.ok_or(DAMAGED)??.0.value());
        Ok(Some(sort_key))
    }

    /// Finds the next byte of the prefix that contains the key with this rank, and narrows the parts and
    /// the rank to the longer prefix.
    fn narrow(
        &self,
        partitions: &[Partition],
        parts: &mut [Part],
        prefix: &mut Vec<u8>,
        rank: &mut u64,
    ) -> Result<(), StoreError> {
        let mut by_part = Vec::with_capacity(parts.len());
        let mut together = [0_u64; 256];
        for (partition, part) in partitions.iter().zip(parts.iter()) {
            let children = match part {
                Part::Large => self.children(&[&partition[..], prefix].concat())?,
                Part::Small(sort_keys) => counted(sort_keys, prefix.len()),
            };
            for (byte, keys) in &children {
                together[usize::from(*byte)] += keys;
            }
            by_part.push(children);
        }
        let mut bytes = (0_u8..=255).zip(together);
        let byte = bytes.find_map(|(byte, keys)| {
            let found = *rank < keys;
            *rank -= if found { 0 } else { keys };
            found.then_some(byte)
        });
        let byte = byte.ok_or(DAMAGED)?;
        let depth = prefix.len();
        prefix.push(byte);
        for ((partition, part), children) in partitions.iter().zip(parts).zip(by_part) {
            match part {
                Part::Large => {
                    let found = children.iter().find(|(child, _)| *child == byte);
                    *part = self.part(*partition, prefix, found.map_or(0, |(_, keys)| *keys))?;
                }
                Part::Small(sort_keys) => sort_keys.retain(|sort_key| sort_key[depth] == byte),
            }
        }
        Ok(())
    }

    fn part(&self, partition: Partition, prefix: &[u8], count: u64) -> Result<Part, StoreError> {
        if TALLY_BUCKET_KEYS_MAX < count {
            return Ok(Part::Large);
        }
        let mut sort_keys = Vec::new();
        if 0 < count {
            let (low, high) = bounds(&[&partition[..], prefix].concat());
            for entry in self.listing.range::<&ListingKey>(&low..=&high)? {
                sort_keys.push(keys::sort_key_of(entry?.0.value()));
            }
        }
        Ok(Part::Small(sort_keys))
    }

    /// Children of a prefix that has a node.
    fn children(&self, prefix: &[u8]) -> Result<Children, StoreError> {
        decode(self.tallies.get(prefix)?.ok_or(DAMAGED)?.value())
    }
}

/// The keys of one partition below a prefix.
enum Part {
    /// Many keys, and a node that counts them.
    Large,
    /// These keys.
    Small(Vec<SortKey>),
}

impl Part {
    fn sort_keys(self) -> Vec<SortKey> {
        match self {
            Self::Large => Vec::new(),
            Self::Small(sort_keys) => sort_keys,
        }
    }
}

/// Children of a prefix of this length, counted from the keys below it.
fn counted(sort_keys: &[SortKey], depth: usize) -> Children {
    let groups = sort_keys.chunk_by(|a, b| a[depth] == b[depth]);
    groups
        .map(|group| (group[0][depth], group.len() as u64))
        .collect()
}

#[cfg(test)]
mod tests;
