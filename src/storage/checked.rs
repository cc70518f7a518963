//! A backend of redb that stores a checksum of every block.
//!
//! redb has checksums of its pages too, but it checks them only after a crash. This backend checks every
//! block that redb reads, so that a flipped bit is an error and never an answer.
//!
//! ```text
//! sums of group 0 | 1024 blocks | sums of group 1 | 1024 blocks | ..
//! ```
//!
//! A block has 4096 bytes, the size of redb's page. The sums of a group are one block too: the CRC-32 of
//! each of its 1024 blocks, big-endian. The first block holds redb's header, which has checksums of its own
//! and is written in place. So it has no sum; the file's [`MAGIC`] stands there instead.
//!
//! Once a file is complete, a crash cannot make it look damaged. (A file that a crash cuts off while it is
//! made has no sums yet, and is made again.) Sums are written before each sync, and redb writes no
//! block that belongs to the last durable commit. So the sums of those blocks do not change, whichever
//! version of a block of sums the disk has. This needs commits in two phases, which `set_quick_repair`
//! implies.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{BackendError, StorageBackend};

use super::health::{Failure, Health};

const BLOCK: u64 = BLOCK_LEN as u64;
const BLOCK_LEN: usize = 4096;
/// The blocks of a group, without its sums.
const GROUP_BLOCKS: u64 = BLOCK / 4;
const GROUP: u64 = GROUP_LEN as u64;
const GROUP_LEN: usize = BLOCK_LEN / 4 * BLOCK_LEN;
/// Stands where the sum of the first block would be.
const MAGIC: u32 = 0x534C_4331;
/// Says that a block was never written. It reads as zeros.
const UNWRITTEN: u32 = 0;

/// A backend with a checksum of every block.
#[derive(Debug)]
pub struct CheckedFile<B> {
    inner: B,
    health: Health,
    /// `None` until redb asks for the length of the file, which it does once it has locked the file.
    sums: RwLock<Option<Sums>>,
}

#[derive(Debug, Default)]
struct Sums {
    /// One for each block.
    blocks: Vec<u32>,
    /// The groups whose sums are not in the file yet.
    unsaved: BTreeSet<u64>,
}

impl<B: StorageBackend> CheckedFile<B> {
    /// A file with checksums, which notes the first damage that it finds. An empty file becomes one. A file
    /// of another kind has no length: that fails as [`ErrorKind::InvalidData`].
    pub fn new(inner: B, health: Health) -> Self {
        let sums = RwLock::new(None);
        Self {
            inner,
            health,
            sums,
        }
    }

    fn note<T>(&self, read: io::Result<T>) -> io::Result<T> {
        read.inspect_err(|error| self.health.note(Failure::of_read(error)))
    }

    fn load(&self) -> io::Result<u64> {
        let mut sums = self.sums_mut();
        let sums = match &mut *sums {
            Some(sums) => sums,
            none => none.insert(Sums::load(&self.inner)?),
        };
        Ok(sums.blocks.len() as u64 * BLOCK)
    }

    fn read_bytes(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset + out.len() as u64;
        let blocks = self.sums().as_ref().map(|sums| sums.blocks.len() as u64);
        if blocks.ok_or_else(not_loaded)? * BLOCK < end {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if offset.is_multiple_of(BLOCK) && end.is_multiple_of(BLOCK) {
            return self.read_blocks(offset, out);
        }
        let first = offset - offset % BLOCK;
        let mut whole = vec![0; to_len(end.next_multiple_of(BLOCK) - first)?];
        self.read_blocks(first, &mut whole)?;
        let start = to_len(offset - first)?;
        let wanted = whole.get(start..start + out.len());
        out.copy_from_slice(wanted.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sums(&self) -> RwLockReadGuard<'_, Option<Sums>> {
        self.sums.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn sums_mut(&self) -> RwLockWriteGuard<'_, Option<Sums>> {
        self.sums.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads whole blocks, and compares them with their sums.
    fn read_blocks(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        // Held during the read, so that no block changes before it is compared.
        let guard = self.sums();
        let sums = guard.as_ref().ok_or_else(not_loaded)?;
        for (offset, piece) in pieces_mut(offset, out) {
            self.inner.read(place(offset), piece)?;
        }
        for (block, bytes) in (offset / BLOCK..).zip(out.chunks(BLOCK_LEN)) {
            sums.check(block, bytes)?;
        }
        Ok(())
    }
}

impl Sums {
    fn load(file: &impl StorageBackend) -> io::Result<Self> {
        let blocks_in_file = file.len()? / BLOCK;
        let groups = blocks_in_file.div_ceil(GROUP_BLOCKS + 1);
        let mut sums = Self::default();
        let mut block = [0; BLOCK_LEN];
        for group in 0..groups {
            file.read(group * (GROUP + BLOCK), &mut block)?;
            let words = block
                .as_chunks()
                .0
                .iter()
                .map(|word| u32::from_be_bytes(*word));
            sums.blocks.extend(words);
        }
        sums.blocks.truncate(to_len(blocks_in_file - groups)?);
        match sums.blocks.first() {
            Some(&MAGIC) | None => Ok(sums),
            Some(_) => Err(damaged("the file does not begin with checksums")),
        }
    }

    fn check(&self, block: u64, bytes: &[u8]) -> io::Result<()> {
        if block == 0 {
            return Ok(());
        }
        let expected = to_len(block).ok().and_then(|at| self.blocks.get(at));
        let is_right = match expected {
            Some(&UNWRITTEN) => bytes.iter().all(|byte| *byte == 0),
            Some(expected) => *expected == sum(bytes),
            None => false,
        };
        if is_right {
            return Ok(());
        }
        Err(damaged(format!(
            "block {block} has another checksum than when it was written"
        )))
    }

    fn set(&mut self, block: u64, bytes: &[u8]) -> io::Result<()> {
        if block == 0 {
            return Ok(());
        }
        let slot = self.blocks.get_mut(to_len(block)?);
        *slot.ok_or_else(|| misaligned("beyond the end of the file"))? = sum(bytes);
        self.unsaved.insert(block / GROUP_BLOCKS);
        Ok(())
    }

    fn resize(&mut self, blocks: u64) -> io::Result<()> {
        let (old, new) = (self.blocks.len() as u64, blocks);
        self.blocks.resize(to_len(blocks)?, UNWRITTEN);
        if let Some(first) = self.blocks.first_mut() {
            *first = MAGIC;
        }
        let (least, most) = (old.min(new), old.max(new));
        self.unsaved
            .extend(least / GROUP_BLOCKS..most.div_ceil(GROUP_BLOCKS));
        let groups = new.div_ceil(GROUP_BLOCKS);
        self.unsaved.retain(|group| *group < groups);
        Ok(())
    }

    /// The block with the sums of a group.
    fn encode(&self, group: u64) -> io::Result<Vec<u8>> {
        let first = to_len(group * GROUP_BLOCKS)?;
        let last = self.blocks.len().min(first + BLOCK_LEN / 4);
        let words = self.blocks.get(first..last).unwrap_or_default();
        let mut block: Vec<u8> = words.iter().flat_map(|sum| sum.to_be_bytes()).collect();
        block.resize(BLOCK_LEN, 0);
        Ok(block)
    }
}

impl<B: StorageBackend> StorageBackend for CheckedFile<B> {
    fn len(&self) -> io::Result<u64> {
        self.note(self.load())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.note(self.read_bytes(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if !len.is_multiple_of(BLOCK) {
            return Err(misaligned("a length that is no number of blocks"));
        }
        let mut guard = self.sums_mut();
        let sums = guard.as_mut().ok_or_else(not_loaded)?;
        let blocks = len / BLOCK;
        self.inner
            .set_len(len + blocks.div_ceil(GROUP_BLOCKS) * BLOCK)?;
        sums.resize(blocks)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut guard = self.sums_mut();
        let sums = guard.as_mut().ok_or_else(not_loaded)?;
        while let Some(group) = sums.unsaved.first().copied() {
            self.inner
                .write(group * (GROUP + BLOCK), &sums.encode(group)?)?;
            sums.unsaved.remove(&group);
        }
        drop(guard);
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let is_header = offset + data.len() as u64 <= BLOCK;
        let is_whole = offset.is_multiple_of(BLOCK) && data.len().is_multiple_of(BLOCK_LEN);
        if !is_header && !is_whole {
            return Err(misaligned("a write of a part of a block"));
        }
        let mut guard = self.sums_mut();
        let sums = guard.as_mut().ok_or_else(not_loaded)?;
        for (offset, piece) in pieces(offset, data) {
            self.inner.write(place(offset), piece)?;
        }
        for (block, bytes) in (offset / BLOCK..).zip(data.chunks(BLOCK_LEN)) {
            sums.set(block, bytes)?;
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

/// The place in the file of a byte of redb's.
fn place(offset: u64) -> u64 {
    offset + (offset / GROUP + 1) * BLOCK
}

/// Cuts bytes where a group ends, because the sums of the next one stand there.
fn pieces(offset: u64, data: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let (first, rest) = data.split_at(first_len(offset, data.len()));
    let after = offset + first.len() as u64;
    let rest = rest.chunks(GROUP_LEN);
    std::iter::once((offset, first)).chain((after..).step_by(GROUP_LEN).zip(rest))
}

/// Cuts bytes as [`pieces`] does.
fn pieces_mut(offset: u64, data: &mut [u8]) -> impl Iterator<Item = (u64, &mut [u8])> {
    let (first, rest) = data.split_at_mut(first_len(offset, data.len()));
    let after = offset + first.len() as u64;
    let rest = rest.chunks_mut(GROUP_LEN);
    std::iter::once((offset, first)).chain((after..).step_by(GROUP_LEN).zip(rest))
}

fn first_len(offset: u64, len: usize) -> usize {
    let left = GROUP - offset % GROUP;
    usize::try_from(left).map_or(len, |left| left.min(len))
}

fn sum(bytes: &[u8]) -> u32 {
    match crc32fast::hash(bytes) {
        UNWRITTEN => 1,
        sum => sum,
    }
}

fn to_len(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(io::Error::other)
}

fn damaged(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

fn not_loaded() -> io::Error {
    io::Error::other("the file was used before its length was known")
}

fn misaligned(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, what)
}

#[cfg(test)]
#[path = "checked_tests.rs"]
mod tests;
