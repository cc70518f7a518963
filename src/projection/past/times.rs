//! The time of each position: the latest time stamp of the log up to it.
//!
//! The clocks of several NATS servers differ, so the time stamps of a stream can step back. The latest one so
//! far never does, so a time has one last position.
//!
//! ```text
//! times  number of the block (position / 1024)  ->  time of its first position (8), then for each further
//!                                                   position the microseconds since the one before (varint)
//! ```

use redb::{ReadOnlyTable, ReadableTable, Table};

use crate::domain::{Position, Timestamp};
use crate::projection::bytes::{Reader, Writer};
use crate::projection::error::StoreError;

/// Positions in a block.
const BLOCK: u64 = 1024;

/// Appends the times of the positions right after the last one.
pub(super) fn append(
    table: &mut Table<'_, u64, &'static [u8]>,
    first: Position,
    recorded: &[Timestamp],
) -> Result<(), StoreError> {
    let mut at = first.get();
    let mut block = match table.get(at / BLOCK)? {
        Some(block) => Block::decode(block.value())?,
        None => Block::default(),
    };
    let mut latest = match block.times.last() {
        Some(latest) => *latest,
        None => last(table)?.unwrap_or(Timestamp::MIN),
    };
    for time in recorded {
        latest = latest.max(*time);
        block.times.push(latest);
        at += 1;
        if at.is_multiple_of(BLOCK) {
            table.insert(at / BLOCK - 1, &*block.encode())?;
            block.times.clear();
        }
    }
    if !block.times.is_empty() {
        table.insert(at / BLOCK, &*block.encode())?;
    }
    Ok(())
}

fn last(table: &impl ReadableTable<u64, &'static [u8]>) -> Result<Option<Timestamp>, StoreError> {
    let Some((_, block)) = table.last()? else {
        return Ok(None);
    };
    Ok(Block::decode(block.value())?.times.last().copied())
}

/// The time of a position; `None` if it is not in the table.
pub(super) fn of(
    table: &ReadOnlyTable<u64, &'static [u8]>,
    position: Position,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(block) = table.get(position.get() / BLOCK)? else {
        return Ok(None);
    };
    let block = Block::decode(block.value())?;
    // The first block begins with position 1.
    let first = (position.get() / BLOCK * BLOCK).max(1);
    let at = position.get().checked_sub(first).map(usize::try_from);
    Ok(at.and_then(|at| block.times.get(at.ok()?).copied()))
}

/// The last position whose time is not after this one; 0 if there is none.
pub(super) fn position_at(
    table: &ReadOnlyTable<u64, &'static [u8]>,
    time: Timestamp,
) -> Result<Position, StoreError> {
    let Some((last, _)) = table.last()? else {
        return Ok(Position::ZERO);
    };
    // The first block that begins after the time.
    let (mut low, mut high) = (0, last.value() + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let block = table.get(middle)?.ok_or(StoreError::Damaged("times"))?;
        if time < Block::first(block.value())? {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let Some(block) = low.checked_sub(1) else {
        return Ok(Position::ZERO);
    };
    let stored = table.get(block)?.ok_or(StoreError::Damaged("times"))?;
    let times = Block::decode(stored.value())?.times;
    let in_block = times.partition_point(|one| *one <= time) as u64;
    Ok(Position::new((block * BLOCK).max(1) + in_block - 1))
}

/// The times of successive positions.
#[derive(Debug, Default, PartialEq, Eq)]
struct Block {
    times: Vec<Timestamp>,
}

impl Block {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        let mut before = None;
        for time in &self.times {
            match before {
                None => out.i64(time.micros()),
                Some(before) => out.varint(time.micros_since(before).cast_unsigned()),
            }
            before = Some(*time);
        }
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut from = Reader::new(bytes, "times");
        let mut micros = from.i64()?;
        let mut times = vec![Timestamp::from_micros_clamped(micros)];
        while !from.is_empty() {
            micros = micros.saturating_add_unsigned(from.varint()?);
            times.push(Timestamp::from_micros_clamped(micros));
        }
        Ok(Self { times })
    }

    fn first(bytes: &[u8]) -> Result<Timestamp, StoreError> {
        let micros = Reader::new(bytes, "times").i64()?;
        Ok(Timestamp::from_micros_clamped(micros))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redb::{Database, ReadableDatabase, TableDefinition, backends::InMemoryBackend};

    use super::*;

    const TIMES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("times");

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn times_step_back_and_fill_many_blocks(
            steps in prop::collection::vec(-40_i64..100, 1..3_000),
            pieces in prop::collection::vec(1_usize..700, 20),
        ) {
            let mut now = 0;
            let mut recorded = Vec::new();
            for step in steps {
                now += step;
                recorded.push(Timestamp::from_micros_clamped(now));
            }
            let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
            let txn = db.begin_write().unwrap();
            {
                let mut table = txn.open_table(TIMES).unwrap();
                let (mut rest, mut first) = (&recorded[..], 1);
                for piece in pieces.into_iter().cycle() {
                    let (piece, later) = rest.split_at(piece.min(rest.len()));
                    append(&mut table, Position::new(first), piece).unwrap();
                    (rest, first) = (later, first + piece.len() as u64);
                    if rest.is_empty() {
                        break;
                    }
                }
            }
            txn.commit().unwrap();
            let table = db.begin_read().unwrap().open_table(TIMES).unwrap();
            let mut latest = Timestamp::MIN;
            let mut times = Vec::new();
            for (position, time) in (1..).zip(&recorded) {
                latest = latest.max(*time);
                times.push(latest);
                prop_assert_eq!(of(&table, Position::new(position)).unwrap(), Some(latest));
            }
            prop_assert_eq!(of(&table, Position::ZERO).unwrap(), None);
            let end = Position::new(recorded.len() as u64);
            prop_assert_eq!(of(&table, end.next()).unwrap(), None);
            for micros in (-100..now + 100).step_by(97) {
                let time = Timestamp::from_micros_clamped(micros);
                let expected = times.partition_point(|one| *one <= time) as u64;
                prop_assert_eq!(position_at(&table, time).unwrap(), Position::new(expected));
            }
        }
    }
}
