//! The events that changed a session or agent, in the order in which they took effect.
//!
//! A history is also the idempotency index: an event is a copy if its key is in the history. The row
//! contains the latest [`HISTORY_INLINE_MAX`] entries, because every event rewrites the row anyway.
//! Older entries move to tables of their own, one at a time. So the stored bytes depend only on the
//! events, not on the batches.
//!
//! ```text
//! in a row   moved (4) | count (1) | count x entry
//! entry      position (8) | key (16)
//! history        entity (9) | number (4)  ->  entry
//! history_keys   entity (9) | key (16)    ->  position
//! ```

use std::collections::VecDeque;

use redb::ReadableTable;

use crate::domain::limits::HISTORY_INLINE_MAX;
use crate::domain::{EventKey, Position};
use crate::projection::bytes::{Reader, Writer};
use crate::projection::error::StoreError;
use crate::projection::keys::{self, Entity};
use crate::projection::tables::Tables;

/// One event of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) position: Position,
    pub(crate) key: EventKey,
}

/// The part of a history that is in the row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct History {
    /// How many entries were moved out of the row.
    moved: u32,
    latest: VecDeque<Entry>,
}

impl History {
    /// Adds an event. Moves the oldest entry out of the row if there are too many.
    pub(crate) fn push(
        &mut self,
        entity: Entity,
        entry: Entry,
        tables: &mut Tables<'_>,
    ) -> Result<(), StoreError> {
        self.latest.push_back(entry);
        if HISTORY_INLINE_MAX < self.latest.len()
            && let Some(oldest) = self.latest.pop_front()
        {
            tables
                .history
                .insert(&number_key(entity, self.moved), &entry_bytes(oldest))?;
            if oldest.key != EventKey::OPENING {
                let key = idempotency_key(entity, oldest.key);
                tables.history_keys.insert(&key, oldest.position.get())?;
            }
            self.moved = self
                .moved
                .checked_add(1)
                .ok_or(StoreError::Exhausted("event"))?;
        }
        Ok(())
    }

    /// The position of the event with this key, if the history has one.
    pub(crate) fn find(
        &self,
        entity: Entity,
        key: EventKey,
        tables: &Tables<'_>,
    ) -> Result<Option<Position>, StoreError> {
        if let Some(entry) = self.latest.iter().find(|entry| entry.key == key) {
            return Ok(Some(entry.position));
        }
        if self.moved == 0 {
            return Ok(None);
        }
        let found = tables.history_keys.get(&idempotency_key(entity, key))?;
        Ok(found.map(|position| Position::new(position.value())))
    }

    /// The latest events, oldest first: all that are in the row.
    pub(crate) fn latest(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.latest.iter()
    }

    /// The number of events.
    pub(crate) fn len(&self) -> u64 {
        u64::from(self.moved) + self.latest.len() as u64
    }

    /// The number of the first event after a position at which the entity was open already. Such events
    /// took effect at their own positions, and those before them are not after it.
    pub(crate) fn number_after(
        &self,
        entity: Entity,
        at: Position,
        moved: &impl ReadableTable<&'static [u8; 13], &'static [u8; 24]>,
    ) -> Result<u64, StoreError> {
        let in_row = self.latest.partition_point(|entry| entry.position <= at);
        if 0 < in_row {
            return Ok(u64::from(self.moved) + in_row as u64);
        }
        let (mut low, mut high) = (0, u64::from(self.moved));
        while low < high {
            let middle = low + (high - low) / 2;
            let found = self.page(entity, (middle, 1), moved)?;
            if found.first().is_some_and(|position| *position <= at) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// At most `count` events from number `from` on, oldest first.
    pub(crate) fn page(
        &self,
        entity: Entity,
        (from, count): (u64, usize),
        moved: &impl ReadableTable<&'static [u8; 13], &'static [u8; 24]>,
    ) -> Result<Vec<Position>, StoreError> {
        let mut page = Vec::new();
        if let Ok(first) = u32::try_from(from)
            && first < self.moved
        {
            let (low, high) = (number_key(entity, first), number_key(entity, self.moved));
            for found in moved.range::<&[u8; 13]>(&low..&high)?.take(count) {
                let position = Reader::new(found?.1.value(), "history").u64()?;
                page.push(Position::new(position));
            }
        }
        let skip = from.saturating_sub(u64::from(self.moved));
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let rest = count - page.len();
        page.extend(
            self.latest
                .iter()
                .skip(skip)
                .take(rest)
                .map(|entry| entry.position),
        );
        Ok(page)
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u32(self.moved);
        out.u8(u8::try_from(self.latest.len()).expect("a row holds few entries"));
        for entry in &self.latest {
            out.raw(&entry_bytes(*entry));
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Self, StoreError> {
        let (moved, count) = (from.u32()?, from.u8()?);
        let mut latest = VecDeque::with_capacity(usize::from(count) + 1);
        for _ in 0..count {
            let position = Position::new(from.u64()?);
            latest.push_back(Entry {
                position,
                key: EventKey::from_bytes(from.array()?),
            });
        }
        Ok(Self { moved, latest })
    }
}

fn entry_bytes(entry: Entry) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&entry.position.get().to_be_bytes());
    bytes[8..].copy_from_slice(entry.key.bytes());
    bytes
}

fn number_key(entity: Entity, number: u32) -> [u8; 13] {
    let mut key = [0; 13];
    key[..9].copy_from_slice(&keys::entity(entity));
    key[9..].copy_from_slice(&number.to_be_bytes());
    key
}

fn idempotency_key(entity: Entity, event: EventKey) -> [u8; 25] {
    let mut key = [0; 25];
    key[..9].copy_from_slice(&keys::entity(entity));
    key[9..].copy_from_slice(event.bytes());
    key
}
