//! When sessions and agents were in which listing.
//!
//! ```text
//! spans   partition (6) | sort key (16) | first position (8)  ->  position at which it left
//!                                                                 (the largest number: it is still there)
//! ```
//!
//! A partition is an owner and a class, as in the listings of the read model.

use std::collections::{BTreeMap, HashMap};

use redb::{ReadOnlyTable, ReadableTable as _, Table};

use crate::domain::Position;
use crate::projection::error::StoreError;
use crate::projection::keys::{self, Partition, SortKey};
use crate::projection::past::counts::Changing;
use crate::projection::past::tables::Tables;
use crate::projection::session_row::SessionPartitions;

/// Where a span ends that has not ended.
const STILL_THERE: u64 = u64::MAX;

type SpanKey = [u8; 30];

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
    let mut counts = Changing::default();
    for one in moves {
        for partition in one.from.iter().flatten() {
            if !one.to.contains(&Some(*partition)) {
                spans.close(&tables.spans, (*partition, one.sort_key), one.at)?;
                counts.subtract(&tables.counts, *partition, one.at)?;
            }
        }
        for partition in one.to.iter().flatten() {
            if !one.from.contains(&Some(*partition)) {
                let place = (*partition, one.sort_key);
                spans.open(place, one.at);
                counts.add(&tables.counts, place, one.at)?;
            }
        }
    }
    for (key, end) in &spans.written {
        tables.spans.insert(key, end)?;
    }
    counts.write(&mut tables.counts)
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
