//! Copies the records of a log into a backup, from the end of the backup to the head of the log.

use super::Target;
use super::directory::Directory;
use super::error::BackupError;
use super::filling::Filling;
use super::lost;
use super::mark::{LogKind, Mark};
use super::segment::SegmentWriter;
use super::source::{Source, SourceError};
use crate::domain::limits::LOST_RANGES_MAX;
use crate::domain::{Position, Timestamp};
use crate::log::Record;

/// What to copy, and what to do about lost records.
pub struct Copying<'a> {
    /// The log.
    pub kind: LogKind,
    /// The time, for the manifest.
    pub now: Timestamp,
    /// A backup from which lost records are taken. The caller has checked all of it.
    pub fill_from: Option<&'a Directory>,
    /// Whether to put records in the places of lost ones.
    pub accept_loss: bool,
}

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// The number of records that were added to the backup.
    pub records: u64,
    /// How many of them come from another backup.
    pub filled: u64,
    /// How many of them stand in the place of a lost one.
    pub lost: u64,
}

/// Checks that a log has the records of a backup: it must have the last one.
pub async fn check(
    target: &Target,
    source: &mut dyn Source,
    copying: &Copying<'_>,
) -> Result<(), BackupError> {
    let head = head(source, copying.kind).await?;
    last_record(target, source, copying, head).await?;
    Ok(())
}

/// Copies the records of a log that a backup does not have. Calls `on_step` with the last copied
/// position and the last one to copy.
pub async fn copy(
    target: Target,
    source: &mut dyn Source,
    copying: &Copying<'_>,
    mut on_step: impl FnMut(Position, Position),
) -> Result<(Target, Copied), BackupError> {
    let (kind, accept_loss) = (copying.kind, copying.accept_loss);
    let until = head(source, kind).await?;
    let last = last_record(&target, source, copying, until).await?;
    let mut work = Work::new(target, copying, last.as_ref());
    if let Some(last) = last {
        // The other backup must be of the same ledger even if nothing follows.
        work = blocking(move || work.compare(&last).map(|()| work)).await?;
    }
    let mut end = work.end();
    while end.position < until {
        match source.read(end.position, until).await {
            Ok(records) => work = blocking(move || work.add(&records).map(|()| work)).await?,
            Err(SourceError::Lost(why)) => {
                let is_filled;
                let fill = move || work.fill(&why, accept_loss).map(|filled| (work, filled));
                (work, is_filled) = blocking(fill).await?;
                if !is_filled {
                    return Err(survey(source, kind, end, until).await);
                }
            }
            Err(error) => return Err(BackupError::Source(kind, error)),
        }
        end = work.end();
        on_step(end.position, until);
    }
    blocking(move || work.finish()).await
}

async fn head(source: &mut dyn Source, kind: LogKind) -> Result<Position, BackupError> {
    let head = source.head().await;
    head.map_err(|error| BackupError::Source(kind, error))
}

/// Returns the record of the log at the end of the backup, which must be that of the backup. `None` at
/// the start, and if the record is lost and the backup has another one in its place.
async fn last_record(
    target: &Target,
    source: &mut dyn Source,
    copying: &Copying<'_>,
    head: Position,
) -> Result<Option<Record>, BackupError> {
    let kind = copying.kind;
    let log = target.manifest().log(kind);
    let (end, position) = (log.end(kind), log.position);
    if head < position {
        return Err(BackupError::Short {
            kind,
            head,
            position,
        });
    }
    if position == Position::ZERO {
        return Ok(None);
    }
    let before = Position::new(position.get() - 1);
    let is_lost = log.lost.last().is_some_and(|range| range.last == position);
    match source.read(before, position).await {
        Ok(mut records) => match records.pop() {
            Some(last) if end.ends_with(&last) => Ok(Some(last)),
            Some(_) | None => Err(BackupError::OtherLog { kind, at: position }),
        },
        Err(SourceError::Lost(_)) if is_lost || copying.fill_from.is_some() => Ok(None),
        Err(error) => Err(BackupError::Source(kind, error)),
    }
}

/// What writes the records. Its functions block.
struct Work {
    kind: LogKind,
    now: Timestamp,
    target: Target,
    /// The open segment.
    writer: Option<SegmentWriter>,
    /// The other backup. It has been read up to the same position.
    filling: Option<Filling>,
    copied: Copied,
}

impl Work {
    /// Continues a backup. `last` is compared first, if there is one.
    fn new(target: Target, copying: &Copying<'_>, last: Option<&Record>) -> Self {
        let (kind, now) = (copying.kind, copying.now);
        let end = target.manifest().log(kind).position;
        let after = last.map_or(end, |_last| Position::new(end.get() - 1));
        let filling = copying.fill_from;
        Self {
            kind,
            now,
            target,
            writer: None,
            filling: filling.map(|other| Filling::new(other, kind, after)),
            copied: Copied::default(),
        }
    }

    /// The last record in the backup.
    fn end(&self) -> Mark {
        match &self.writer {
            Some(open) => *open.end(),
            None => self.target.manifest().log(self.kind).end(self.kind),
        }
    }

    fn compare(&mut self, record: &Record) -> Result<(), BackupError> {
        match &mut self.filling {
            Some(filling) => filling.compare(record),
            None => Ok(()),
        }
    }

    /// Adds records of the log.
    fn add(&mut self, records: &[Record]) -> Result<(), BackupError> {
        for record in records {
            self.compare(record)?;
            self.write(record)?;
        }
        Ok(())
    }

    /// Adds a record for a lost one: that of the other backup, or else one that says so. Returns whether
    /// there is one.
    fn fill(&mut self, why: &str, accept_loss: bool) -> Result<bool, BackupError> {
        let end = self.end();
        let found = match &mut self.filling {
            Some(filling) => filling.take()?,
            None => None,
        };
        let record = match found {
            Some(found) => {
                self.copied.filled += 1;
                found
            }
            None if accept_loss => {
                self.copied.lost += 1;
                let ranges = &mut self.target.manifest_mut().log_mut(self.kind).lost;
                lost::add(ranges, end.position.next(), self.now, why);
                lost::record(&end, why, self.now)
            }
            None => return Ok(false),
        };
        self.write(&record)?;
        Ok(true)
    }

    /// Adds a record to the open segment, and begins another one when it is full.
    fn write(&mut self, record: &Record) -> Result<(), BackupError> {
        let mut open = match self.writer.take() {
            Some(open) => open,
            None => self.target.writer(self.kind)?,
        };
        open.add(record)?;
        if open.is_full() {
            self.target.put(open, self.now)?;
        } else {
            self.writer = Some(open);
        }
        self.copied.records += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<(Target, Copied), BackupError> {
        if let Some(writer) = self.writer {
            self.target.put(writer, self.now)?;
        }
        Ok((self.target, self.copied))
    }
}

/// Reads the rest of a log that has lost records, and names all of them.
async fn survey(source: &mut dyn Source, kind: LogKind, end: Mark, until: Position) -> BackupError {
    let mut position = end.position;
    let mut positions: Vec<(Position, Position, String)> = Vec::new();
    while position < until && positions.len() < LOST_RANGES_MAX {
        match source.read(position, until).await {
            Ok(records) => position = records.last().map_or(until, |last| last.position),
            Err(SourceError::Lost(why)) => {
                position = position.next();
                match positions.last_mut() {
                    Some((_, last, _)) if last.next() == position => *last = position,
                    _ => positions.push((position, position, why)),
                }
            }
            Err(error) => return BackupError::Source(kind, error),
        }
    }
    BackupError::Lost { kind, positions }
}

/// Runs work on files on a thread for such work.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(BackupError::Panicked(error)))
}
