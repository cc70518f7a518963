//! How many sessions or agents an owner had at each position, and the newest of them so far.
//!
//! ```text
//! counts  owner (5) | position of the first change (8)  ->  what the owner had before it, and the changes
//! before  !created_at of the newest so far (8) | how many classes follow (1) | the number for each (varints)
//! change  positions since the change before (varint; 0 in the first) | microseconds by which the newest is
//!         newer (varint) | the classes whose number changed, a bit for each (varint) | by how much (varints: n
//!         as 2n, -n as 2n - 1)
//! ```
//!
//! So the changes of an owner share a key, and a change takes a few bytes.

use std::collections::BTreeMap;

use redb::{AccessGuard, ReadableTable, Table};

use crate::domain::Position;
use crate::projection::bytes::{Reader, Writer};
use crate::projection::error::StoreError;
use crate::projection::keys::{self, CLASSES, Partition, SortKey};

/// Changes in a block: a lookup reads up to so many.
const BLOCK: usize = 64;
const WHAT: &str = "past counts";

pub(super) type OwnerKey = [u8; 5];
type Key = [u8; 13];
/// The first position of a block, and its bytes.
type Stored<'a> = (Position, AccessGuard<'a, &'static [u8]>);

/// How many sessions or agents an owner has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::projection) struct Counts {
    by_class: [u64; CLASSES],
    /// The first half of the smallest sort key so far, which is that of the newest. A search begins there, and
    /// skips all that was created later.
    newest: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            by_class: [0; CLASSES],
            newest: u64::MAX,
        }
    }
}

impl Counts {
    /// The number for each class.
    pub(in crate::projection) fn classes(&self) -> impl Iterator<Item = (u8, u64)> {
        (0..).zip(self.by_class)
    }

    /// The number for some classes together.
    pub(in crate::projection) fn count(&self, is_in: impl Fn(u8) -> bool) -> u64 {
        let classes = self.classes().filter(|(class, _)| is_in(*class));
        classes.map(|(_, count)| count).sum()
    }

    /// The sort key before all that were ever there.
    pub(in crate::projection) fn newest(&self) -> SortKey {
        (u128::from(self.newest) << 64).to_be_bytes()
    }

    fn add(&mut self, partition: Partition, sort_key: SortKey) {
        self.by_class[usize::from(keys::class(partition))] += 1;
        self.newest = self.newest.min(keys::last_number(&sort_key[..8]));
    }

    fn subtract(&mut self, partition: Partition) -> Result<(), StoreError> {
        let count = &mut self.by_class[usize::from(keys::class(partition))];
        *count = count.checked_sub(1).ok_or(StoreError::Damaged(WHAT))?;
        Ok(())
    }
}

/// The owners whose counts change now.
#[derive(Default)]
pub(super) struct Changing(BTreeMap<OwnerKey, Growing>);

impl Changing {
    /// Adds something to a partition. Changes must come in the order of their positions.
    pub(super) fn add(
        &mut self,
        table: &Table<'_, &'static Key, &'static [u8]>,
        (partition, sort_key): (Partition, SortKey),
        at: Position,
    ) -> Result<(), StoreError> {
        self.at(table, partition, at)?.add(partition, sort_key);
        Ok(())
    }

    /// Removes something from a partition.
    pub(super) fn subtract(
        &mut self,
        table: &Table<'_, &'static Key, &'static [u8]>,
        partition: Partition,
        at: Position,
    ) -> Result<(), StoreError> {
        self.at(table, partition, at)?.subtract(partition)
    }

    /// The counts of a partition's owner after a position, to be changed.
    fn at(
        &mut self,
        table: &Table<'_, &'static Key, &'static [u8]>,
        partition: Partition,
        at: Position,
    ) -> Result<&mut Counts, StoreError> {
        use std::collections::btree_map::Entry;
        let growing = match self.0.entry(owner_of(partition)) {
            Entry::Occupied(growing) => growing.into_mut(),
            Entry::Vacant(empty) => {
                let growing = Growing::load(table, *empty.key())?;
                empty.insert(growing)
            }
        };
        if growing.at != at {
            growing.note();
            growing.at = at;
        }
        Ok(&mut growing.now)
    }

    /// Writes the blocks that have changed.
    pub(super) fn write(
        self,
        table: &mut Table<'_, &'static Key, &'static [u8]>,
    ) -> Result<(), StoreError> {
        for (owner, mut growing) in self.0 {
            growing.note();
            let last = growing.block.into_iter();
            for block in growing.full.into_iter().chain(last) {
                table.insert(&key(owner, block.first), &*block.bytes.finish())?;
            }
        }
        Ok(())
    }
}

/// The last block of an owner, to which changes are added.
#[derive(Default)]
struct Growing {
    /// Blocks that were filled.
    full: Vec<Block>,
    block: Option<Block>,
    /// The counts after the last change that was noted.
    noted: Counts,
    /// The counts after this position.
    now: Counts,
    at: Position,
}

struct Block {
    first: Position,
    last: Position,
    changes: usize,
    bytes: Writer,
}

impl Growing {
    fn load(
        table: &impl ReadableTable<&'static Key, &'static [u8]>,
        owner: OwnerKey,
    ) -> Result<Self, StoreError> {
        let Some((first, stored)) = last_block(table, owner, Position::new(u64::MAX))? else {
            return Ok(Self::default());
        };
        let stored = stored.value();
        let mut changes = Changes::new(first, stored)?;
        let mut number = 0;
        while changes.step()? {
            number += 1;
        }
        let mut bytes = Writer::with_capacity(stored.len() + 64);
        bytes.raw(stored);
        let block = Block {
            first,
            last: changes.at,
            changes: number,
            bytes,
        };
        Ok(Self {
            full: Vec::new(),
            at: changes.at,
            block: Some(block),
            noted: changes.counts,
            now: changes.counts,
        })
    }

    /// Adds what has changed at the position, if anything has.
    fn note(&mut self) {
        if self.now == self.noted {
            return;
        }
        if let Some(full) = self.block.take_if(|block| block.changes == BLOCK) {
            self.full.push(full);
        }
        let (at, before) = (self.at, self.noted);
        let block = self.block.get_or_insert_with(|| Block::new(at, &before));
        block.add(at, &before, &self.now);
        self.noted = self.now;
    }
}

impl Block {
    fn new(first: Position, before: &Counts) -> Self {
        let mut bytes = Writer::default();
        bytes.u64(before.newest);
        let used = before.by_class.iter().rposition(|count| *count != 0);
        let used = &before.by_class[..used.map_or(0, |last| last + 1)];
        bytes.u8(u8::try_from(used.len()).expect("there are few classes"));
        for count in used {
            bytes.varint(*count);
        }
        Self {
            first,
            last: first,
            changes: 0,
            bytes,
        }
    }

    fn add(&mut self, at: Position, before: &Counts, after: &Counts) {
        self.bytes.varint(at.get() - self.last.get());
        self.bytes.varint(before.newest - after.newest);
        let pairs = before.by_class.iter().zip(after.by_class);
        let changed = pairs.map(|(before, after)| after.wrapping_sub(*before).cast_signed());
        let changed: Vec<(u8, i64)> = (0..).zip(changed).filter(|(_, by)| *by != 0).collect();
        let bits = changed.iter().map(|(class, _)| 1_u64 << class);
        self.bytes.varint(bits.sum());
        for (_, by) in changed {
            self.bytes.varint(zigzag(by));
        }
        self.last = at;
        self.changes += 1;
    }
}

/// Reads a block, one change after the other.
struct Changes<'a> {
    from: Reader<'a>,
    at: Position,
    counts: Counts,
}

impl<'a> Changes<'a> {
    fn new(first: Position, block: &'a [u8]) -> Result<Self, StoreError> {
        let mut from = Reader::new(block, WHAT);
        let mut counts = Counts {
            newest: from.u64()?,
            ..Counts::default()
        };
        let used = usize::from(from.u8()?);
        let by_class = counts.by_class.get_mut(..used);
        for count in by_class.ok_or(StoreError::Damaged(WHAT))? {
            *count = from.varint()?;
        }
        let at = first;
        Ok(Self { from, at, counts })
    }

    /// The position of the next change; `None` after the last.
    fn next_at(&self) -> Result<Option<Position>, StoreError> {
        let mut ahead = self.from;
        if ahead.is_empty() {
            return Ok(None);
        }
        let at = self.at.get().checked_add(ahead.varint()?);
        Ok(Some(Position::new(at.ok_or(StoreError::Damaged(WHAT))?)))
    }

    /// Takes the next change; `false` after the last.
    fn step(&mut self) -> Result<bool, StoreError> {
        let Some(at) = self.next_at()? else {
            return Ok(false);
        };
        let damaged = || StoreError::Damaged(WHAT);
        self.from.varint()?;
        let newer = self.from.varint()?;
        self.counts.newest = self.counts.newest.checked_sub(newer).ok_or_else(damaged)?;
        let changed = self.from.varint()?;
        for (class, count) in self.counts.by_class.iter_mut().enumerate() {
            if changed & (1 << class) != 0 {
                let by = unzigzag(self.from.varint()?);
                *count = count.checked_add_signed(by).ok_or_else(damaged)?;
            }
        }
        self.at = at;
        Ok(true)
    }
}

/// How many sessions or agents an owner had at a position.
pub(super) fn at(
    table: &impl ReadableTable<&'static Key, &'static [u8]>,
    owner: OwnerKey,
    at: Position,
) -> Result<Counts, StoreError> {
    let Some((first, block)) = last_block(table, owner, at)? else {
        return Ok(Counts::default());
    };
    let mut changes = Changes::new(first, block.value())?;
    while changes.next_at()?.is_some_and(|next| next <= at) {
        changes.step()?;
    }
    Ok(changes.counts)
}

/// The last block of an owner that begins at a position or before it.
fn last_block(
    table: &impl ReadableTable<&'static Key, &'static [u8]>,
    owner: OwnerKey,
    at: Position,
) -> Result<Option<Stored<'_>>, StoreError> {
    let (low, high) = (key(owner, Position::ZERO), key(owner, at));
    let last = table.range::<&Key>(&low..=&high)?.next_back();
    Ok(last.transpose()?.map(|(key, block)| {
        let first = Position::new(keys::last_number(key.value()));
        (first, block)
    }))
}

fn key([kind, a, b, c, d]: OwnerKey, at: Position) -> Key {
    let mut key = [0; 13];
    key[..5].copy_from_slice(&[kind, a, b, c, d]);
    key[5..].copy_from_slice(&at.get().to_be_bytes());
    key
}

pub(super) fn owner_of([kind, a, b, c, d, _class]: Partition) -> OwnerKey {
    [kind, a, b, c, d]
}

/// Numbers near zero become small ones, whatever their sign.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;
    use redb::{Database, ReadableDatabase as _, TableDefinition};

    use super::*;

    const TABLE: TableDefinition<'static, &'static Key, &'static [u8]> =
        TableDefinition::new("counts");
    const OWNERS: u32 = 3;

    /// A class of an owner changes at a position some steps after the last change.
    #[derive(Debug, Clone)]
    struct Step {
        owner: u32,
        class: u8,
        created: u64,
        positions: u64,
        adds: bool,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let created = prop_oneof![0..5_u64, any::<u64>()];
        let step = (0..OWNERS, 0..8_u8, created, 0..300_u64, any::<bool>());
        let step = step.prop_map(|(owner, class, created, positions, adds)| Step {
            owner,
            class,
            created,
            positions,
            adds,
        });
        prop::collection::vec(step, 0..300)
    }

    fn partition(owner: u32, class: u8) -> Partition {
        let [a, b, c, d] = owner.to_be_bytes();
        [1, a, b, c, d, class]
    }

    fn sort_key(created: u64) -> SortKey {
        (u128::from(created) << 64).to_be_bytes()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn counts_at_each_position_are_those_of_the_changes_up_to_there_however_they_are_written(
            steps in steps(),
            in_a_pass in prop::collection::vec(1..60_usize, 1..20),
        ) {
            let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
            let mut model = BTreeMap::<(u32, u64), Counts>::new();
            let mut now = [Counts::default(); OWNERS as usize];
            let mut at = 1;
            let mut steps = steps.into_iter().peekable();
            for pass in in_a_pass.into_iter().chain([usize::MAX]) {
                let txn = database.begin_write().unwrap();
                let mut table = txn.open_table(TABLE).unwrap();
                let mut changing = Changing::default();
                let mut taken = 0;
                // A pass takes all changes of a position.
                while let Some(step) = steps.next_if(|next| taken < pass || next.positions == 0) {
                    taken += 1;
                    at += step.positions;
                    let counts = &mut now[step.owner as usize];
                    let (of, key) = (partition(step.owner, step.class), sort_key(step.created));
                    if step.adds || counts.by_class[usize::from(step.class)] == 0 {
                        counts.add(of, key);
                        changing.add(&table, (of, key), Position::new(at)).unwrap();
                    } else {
                        counts.subtract(of).unwrap();
                        changing.subtract(&table, of, Position::new(at)).unwrap();
                    }
                    model.insert((step.owner, at), *counts);
                }
                changing.write(&mut table).unwrap();
                drop(table);
                txn.commit().unwrap();
            }
            let txn = database.begin_read().unwrap();
            let table = txn.open_table(TABLE).unwrap();
            for owner in 0..OWNERS {
                let key = owner_of(partition(owner, 0));
                for position in [0, at + 1].into_iter().chain(model.keys().flat_map(|(_, at)| [at - 1, *at])) {
                    let expected = model.range((owner, 0)..=(owner, position)).next_back();
                    let expected = expected.map_or_else(Counts::default, |(_, counts)| *counts);
                    let found = super::at(&table, key, Position::new(position)).unwrap();
                    prop_assert_eq!(found, expected);
                }
            }
        }

        #[test]
        fn a_number_and_its_sign_fit_together(number: i64) {
            prop_assert_eq!(unzigzag(zigzag(number)), number);
        }

        #[test]
        fn any_bytes_are_counts_or_an_error(bytes: Vec<u8>) {
            if let Ok(mut changes) = Changes::new(Position::new(1), &bytes) {
                while let Ok(true) = changes.step() {}
            }
        }
    }
}
