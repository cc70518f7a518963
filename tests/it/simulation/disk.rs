//! A disk in memory that loses power: writes that were not synced are lost, kept, or torn.
//!
//! A sector of 512 bytes is written as a whole or not at all. After a power failure, each sector has the
//! content of the last sync or that of any write since. The order of the writes does not matter, because
//! a real disk may reorder them between two syncs.

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;
use redb::StorageBackend;

const SECTOR_BYTES: usize = 512;

/// A disk. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What a reader sees.
    now: Vec<u8>,
    /// What the last sync made durable.
    durable: Vec<u8>,
    /// By the number of a sector: each content that it has had since the last sync.
    unsynced: BTreeMap<usize, Vec<Box<[u8]>>>,
    /// The number of operations that still succeed; `None` if the power stays on.
    left: Option<u64>,
    /// All writes and syncs so far.
    operations: u64,
}

/// How a disk loses what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    All,
    None,
    /// Each sector by itself.
    Sectors,
    /// Each page of 4 KiB by itself.
    Pages,
}

impl Disk {
    /// Gives this disk to a log, which asks for it again after a failure.
    pub(crate) fn opener(&self) -> impl Fn() -> Self + Send + Sync + 'static {
        let disk = self.clone();
        move || disk.clone()
    }

    /// A disk with this content.
    pub(crate) fn with(content: Vec<u8>) -> Self {
        let state = State {
            now: content.clone(),
            durable: content,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Cuts the power after this many more writes, syncs or changes of length.
    pub(crate) fn cut_after(&self, operations: u64) {
        self.state().left = Some(operations);
    }

    /// Cancels a power failure that is planned.
    pub(crate) fn keep_power(&self) {
        self.state().left = None;
    }

    /// Whether the power is off.
    pub(crate) fn is_off(&self) -> bool {
        self.state().left == Some(0)
    }

    /// Whether no power failure is planned.
    pub(crate) fn has_power(&self) -> bool {
        self.state().left.is_none()
    }

    /// The number of writes, syncs and changes of length so far.
    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Cuts the power now, and returns what is on the disk afterwards.
    pub(crate) fn cut(&self, rng: &mut Rng) -> Vec<u8> {
        let mut state = self.state();
        state.left = Some(0);
        let losses = [
            Loss::All,
            Loss::None,
            Loss::Sectors,
            Loss::Sectors,
            Loss::Pages,
        ];
        let loss = losses[rng.usize(..losses.len())];
        let mut image = state.durable.clone();
        // A longer file keeps its length, or loses it again.
        if loss == Loss::None || (loss != Loss::All && rng.bool()) {
            image.resize(state.now.len(), 0);
        }
        let mut page = (usize::MAX, 0);
        for (sector, contents) in &state.unsynced {
            let versions = contents.len() + 1;
            let version = match loss {
                Loss::All => 0,
                Loss::None => contents.len(),
                Loss::Sectors => rng.usize(..versions),
                Loss::Pages => {
                    let number = sector / (4096 / SECTOR_BYTES);
                    if page.0 != number {
                        page = (number, rng.usize(..=versions));
                    }
                    page.1.min(contents.len())
                }
            };
            if let Some(content) = version.checked_sub(1).map(|version| &contents[version]) {
                let start = sector * SECTOR_BYTES;
                let end = (start + content.len()).min(image.len());
                if start < end {
                    image[start..end].copy_from_slice(&content[..end - start]);
                }
            }
        }
        image
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    /// Counts an operation, unless the power is off.
    fn operate(&mut self) -> Result<()> {
        match &mut self.left {
            Some(0) => return Err(Error::other("the power is off")),
            Some(left) => *left -= 1,
            None => {}
        }
        self.operations += 1;
        Ok(())
    }

    fn remember(&mut self, start: usize, end: usize) {
        for sector in start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            let from = sector * SECTOR_BYTES;
            let to = (from + SECTOR_BYTES).min(self.now.len());
            let content = self.now[from..to].into();
            self.unsynced.entry(sector).or_default().push(content);
        }
    }
}

fn range(offset: u64, len: usize, size: usize) -> Result<(usize, usize)> {
    let start = usize::try_from(offset).map_err(Error::other)?;
    let end = start.checked_add(len).filter(|end| *end <= size);
    let end = end.ok_or_else(|| Error::other("beyond the end of the disk"))?;
    Ok((start, end))
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64> {
        Ok(self.state().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let state = self.state();
        if state.left == Some(0) {
            return Err(Error::other("the power is off"));
        }
        let (start, end) = range(offset, out.len(), state.now.len())?;
        out.copy_from_slice(&state.now[start..end]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut state = self.state();
        state.operate()?;
        let len = usize::try_from(len).map_err(Error::other)?;
        let before = state.now.len();
        state.now.resize(len, 0);
        // What was cut off and added again is zero, until a power failure brings it back.
        let again = len.min(state.durable.len());
        if before < again {
            state.remember(before, again);
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        let mut state = self.state();
        state.operate()?;
        let State {
            now,
            durable,
            unsynced,
            ..
        } = &mut *state;
        durable.resize(now.len(), 0);
        for sector in std::mem::take(unsynced).into_keys() {
            let start = (sector * SECTOR_BYTES).min(now.len());
            let end = (start + SECTOR_BYTES).min(now.len());
            durable[start..end].copy_from_slice(&now[start..end]);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut state = self.state();
        let (start, end) = range(offset, data.len(), state.now.len())?;
        state.operate()?;
        state.now[start..end].copy_from_slice(data);
        state.remember(start, end);
        Ok(())
    }
}
