//! When sessions and agents were in which listing, and how many of them at each position.
//!
//! ```text
//! spans   partition (6) | sort key (16) | first position (8)  ->  position at which it left
//!                                                                 (the largest number: it is still there)
//! counts  owner (5) | position (8)  ->  !created_at of the newest so far (8) | the number for each class, in
//!                                       their order, without zeros at the end (varints)
//! ```
//!
//! A partition is an owner and a class, as in the listings of the read model. `counts` has an entry where a
//! number changes.

use std::collections::{BTreeMap, HashMap};

use redb::{ReadOnlyTable, ReadableTable, Table};

use crate::domain::Position;
use crate::projection::bytes::{Reader, Writer};
use crate::projection::error::StoreError;
use crate::projection::keys::{self, CLASSES, Partition, SortKey};
use crate::projection::past::tables::Tables;
use crate::projection::session_row::SessionPartitions;

/// Where a span ends that has not ended.
const STILL_THERE: u64 = u64::MAX;

type SpanKey = [u8; 30];
type OwnerKey = [u8; 5];

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

    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u64(self.newest);
        let used = self.by_class.iter().rposition(|count| *count != 0);
        for count in &self.by_class[..used.map_or(0, |last| last + 1)] {
            out.varint(*count);
        }
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut from = Reader::new(bytes, "past counts");
        let newest = from.u64()?;
        let by_class = [0; CLASSES];
        let mut counts = Self { by_class, newest };
        for count in &mut counts.by_class {
            if from.rest().is_empty() {
                break;
            }
            *count = from.varint()?;
        }
        from.end()?;
        Ok(counts)
    }
}

/// The partitions that contain a session or an agent, by the kind of their owner.
pub(super) type Partitions = SessionPartitions;

/// A session or agent that moves from some partitions to others.
pub(super) struct Move {
    pub(super) at: Position,
    pub(super) sort_key: SortKey,
    pub(super) from: Partitions,
    pub(super) to: Partitions,
}

/// Writes moves, which must come in the order of their positions.
pub(super) fn write(tables: &mut Tables<'_>, moves: &[Move]) -> Result<(), StoreError> {
    let mut spans = Spans::default();
    let mut counts = BTreeMap::<OwnerKey, Running>::new();
    for one in moves {
        for partition in one.from.iter().flatten() {
            if !one.to.contains(&Some(*partition)) {
                spans.close(&tables.spans, (*partition, one.sort_key), one.at)?;
                count(&mut counts, tables, *partition, one.at)?.subtract(*partition)?;
            }
        }
        for partition in one.to.iter().flatten() {
            if !one.from.contains(&Some(*partition)) {
                spans.open((*partition, one.sort_key), one.at);
                count(&mut counts, tables, *partition, one.at)?.add(*partition, one.sort_key);
            }
        }
    }
    for (key, end) in &spans.written {
        tables.spans.insert(key, end)?;
    }
    for (owner, running) in counts {
        for (at, counts) in running.changed {
            let key = count_key(owner, at);
            tables.counts.insert(&key, &*counts.encode())?;
        }
    }
    Ok(())
}

/// The spans that are opened and closed now.
#[derive(Default)]
struct Spans {
    /// Where the spans begin that were opened now and are still open.
    open: HashMap<(Partition, SortKey), Position>,
    written: BTreeMap<SpanKey, u64>,
}

impl Spans {
    fn open(&mut self, place: (Partition, SortKey), at: Position) {
        self.open.insert(place, at);
        self.written.insert(span_key(place, at), STILL_THERE);
    }

    fn close(
        &mut self,
        table: &Table<'_, &'static SpanKey, u64>,
        place: (Partition, SortKey),
        at: Position,
    ) -> Result<(), StoreError> {
        let began = match self.open.remove(&place) {
            Some(began) => began,
            None => open_span(table, place)?,
        };
        self.written.insert(span_key(place, began), at.get());
        Ok(())
    }
}

/// Where the span of a place begins that has not ended.
fn open_span(
    table: &Table<'_, &'static SpanKey, u64>,
    place: (Partition, SortKey),
) -> Result<Position, StoreError> {
    let low = span_key(place, Position::ZERO);
    let high = span_key(place, Position::new(u64::MAX));
    let last = table.range::<&SpanKey>(&low..=&high)?.next_back();
    match last.transpose()? {
        Some((key, end)) if end.value() == STILL_THERE => Ok(began(key.value())),
        Some(_) | None => Err(StoreError::Damaged("spans")),
    }
}

/// The counts of an owner, while they change.
struct Running {
    now: Counts,
    changed: BTreeMap<Position, Counts>,
}

/// The counts of a partition's owner at a position, to be changed.
struct At<'a> {
    now: &'a mut Counts,
    written: &'a mut Counts,
}

fn count<'a>(
    counts: &'a mut BTreeMap<OwnerKey, Running>,
    tables: &Tables<'_>,
    partition: Partition,
    at: Position,
) -> Result<At<'a>, StoreError> {
    let owner = owner_of(partition);
    let running = match counts.entry(owner) {
        std::collections::btree_map::Entry::Occupied(running) => running.into_mut(),
        std::collections::btree_map::Entry::Vacant(empty) => empty.insert(Running {
            now: counts_at(&tables.counts, owner, Position::new(u64::MAX))?,
            changed: BTreeMap::new(),
        }),
    };
    Ok(At {
        now: &mut running.now,
        written: running.changed.entry(at).or_default(),
    })
}

impl At<'_> {
    fn add(self, partition: Partition, sort_key: SortKey) {
        self.now.by_class[usize::from(keys::class(partition))] += 1;
        let created = keys::last_number(&sort_key[..8]);
        self.now.newest = self.now.newest.min(created);
        *self.written = *self.now;
    }

    fn subtract(self, partition: Partition) -> Result<(), StoreError> {
        let count = &mut self.now.by_class[usize::from(keys::class(partition))];
        *count = count
            .checked_sub(1)
            .ok_or(StoreError::Damaged("past counts"))?;
        *self.written = *self.now;
        Ok(())
    }
}

/// How many sessions or agents an owner had at a position.
pub(super) fn counts_at(
    table: &impl ReadableTable<&'static [u8; 13], &'static [u8]>,
    owner: OwnerKey,
    at: Position,
) -> Result<Counts, StoreError> {
    let low = count_key(owner, Position::ZERO);
    let high = count_key(owner, at);
    let last = table.range::<&[u8; 13]>(&low..=&high)?.next_back();
    last.transpose()?.map_or_else(
        || Ok(Counts::default()),
        |(_, counts)| Counts::decode(counts.value()),
    )
}

/// The entries of some partitions, in the order of their sort keys: newest first.
pub(in crate::projection) struct Scan<'a> {
    ranges: Vec<(SortKey, Spanned, redb::Range<'a, &'static SpanKey, u64>)>,
    at: Position,
    last: Option<SortKey>,
    /// How many more entries it may read.
    left: u64,
}

/// From where until where something was in a partition.
#[derive(Clone, Copy)]
struct Spanned {
    partition: Partition,
    began: u64,
    ended: u64,
}

/// What a scan finds.
pub(in crate::projection) enum Found {
    /// Something that was listed at the position.
    Entry(Partition, SortKey),
    /// The scan has read as many entries as it may, up to this sort key.
    Cut(SortKey),
    /// There is nothing more.
    End,
}

impl<'a> Scan<'a> {
    /// Looks for what was in some partitions at a position, within a range of sort keys.
    pub(super) fn new(
        table: &'a ReadOnlyTable<&'static SpanKey, u64>,
        partitions: &[Partition],
        within: std::ops::Range<SortKey>,
        at: Position,
        entries_max: u64,
    ) -> Result<Self, StoreError> {
        let mut ranges = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let low = span_key((*partition, within.start), Position::ZERO);
            let high = span_key((*partition, within.end), Position::ZERO);
            if high < low {
                continue;
            }
            let mut range = table.range::<&SpanKey>(&low..&high)?;
            if let Some(first) = range.next() {
                let (sort_key, spanned) = parts(&first?);
                ranges.push((sort_key, spanned, range));
            }
        }
        Ok(Self {
            ranges,
            at,
            last: None,
            left: entries_max,
        })
    }

    /// The next entry that was listed at the position.
    pub(in crate::projection) fn next(&mut self) -> Result<Found, StoreError> {
        loop {
            let nearest = self.ranges.iter().enumerate();
            let nearest = nearest.min_by_key(|(_, (sort_key, ..))| *sort_key);
            let Some((index, (sort_key, spanned, _))) = nearest else {
                return Ok(Found::End);
            };
            let (sort_key, spanned) = (*sort_key, *spanned);
            // All entries of one sort key are read, so that the next scan can begin after it.
            if let Some(last) = self.last
                && last != sort_key
                && self.left == 0
            {
                return Ok(Found::Cut(last));
            }
            self.last = Some(sort_key);
            self.left = self.left.saturating_sub(1);
            match self.ranges[index].2.next() {
                Some(next) => {
                    let (sort_key, spanned) = parts(&next?);
                    (self.ranges[index].0, self.ranges[index].1) = (sort_key, spanned);
                }
                None => drop(self.ranges.swap_remove(index)),
            }
            if (spanned.began..spanned.ended).contains(&self.at.get()) {
                return Ok(Found::Entry(spanned.partition, sort_key));
            }
        }
    }
}

fn parts(
    (key, end): &(
        redb::AccessGuard<'_, &'static SpanKey>,
        redb::AccessGuard<'_, u64>,
    ),
) -> (SortKey, Spanned) {
    let key = key.value();
    let (mut partition, mut sort_key) = ([0; 6], [0; 16]);
    partition.copy_from_slice(&key[..6]);
    sort_key.copy_from_slice(&key[6..22]);
    let spanned = Spanned {
        partition,
        began: began(key).get(),
        ended: end.value(),
    };
    (sort_key, spanned)
}

fn span_key((partition, sort_key): (Partition, SortKey), from: Position) -> SpanKey {
    let mut key = [0; 30];
    key[..6].copy_from_slice(&partition);
    key[6..22].copy_from_slice(&sort_key);
    key[22..].copy_from_slice(&from.get().to_be_bytes());
    key
}

/// The first position in the key of a span.
fn began(key: &SpanKey) -> Position {
    Position::new(keys::last_number(key))
}

fn count_key([kind, a, b, c, d]: OwnerKey, at: Position) -> [u8; 13] {
    let mut key = [0; 13];
    key[..5].copy_from_slice(&[kind, a, b, c, d]);
    key[5..].copy_from_slice(&at.get().to_be_bytes());
    key
}

pub(super) fn owner_of([kind, a, b, c, d, _class]: Partition) -> OwnerKey {
    [kind, a, b, c, d]
}
