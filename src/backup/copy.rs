//! Copies the records of a log into a backup, from the end of the backup to the head of the log.

use super::Target;
use super::directory::Directory;
use super::error::BackupError;
use super::filling::Filling;
use super::lost;
use super::mark::{LogKind, Mark};
use super::reader::Reader;
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

/// Checks that a log has the records of a backup: it must have the last one, or, if that is lost, an
/// earlier one.
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
    let mut work = Work::new(target, copying);
    // The other backup must be of the same ledger even if nothing follows. If it ends before this one,
    // nothing is compared.
    work = blocking(move || work.compare_end(last.as_ref()).map(|()| work)).await?;
    let mut end = work.end();
    while end.position < until {
        match source.read(end.position, until).await {
            Ok(records) => work = blocking(move || work.add(&records).map(|()| work)).await?,
            Err(SourceError::Lost(why)) => {
                let fill = move || {
                    let is_filled = work.fill(&why, accept_loss)?;
                    Ok((work, why, is_filled))
                };
                let (filled, why, is_filled) = blocking(fill).await?;
                if !is_filled {
                    let first = (end.position.next(), why);
                    return Err(survey(source, kind, filled.filling, first, until).await);
                }
                work = filled;
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
/// the start, and if the log has lost the record. Then an earlier record must be that of the backup. If the
/// log has none of those that the manifest knows, the caller must have said what to do about lost records.
async fn last_record(
    target: &Target,
    source: &mut dyn Source,
    copying: &Copying<'_>,
    head: Position,
) -> Result<Option<Record>, BackupError> {
    let kind = copying.kind;
    let log = target.manifest().log(kind);
    let position = log.position;
    if head < position {
        return Err(BackupError::Short {
            kind,
            head,
            position,
        });
    }
    let mut lost = None;
    // The last record of each segment can be checked without its file.
    for segment in log.segments.iter().rev() {
        let (end, at) = (segment.end(kind), segment.last);
        match source.read(before(at), at).await {
            Ok(mut records) => match records.pop() {
                Some(last) if end.ends_with(&last) => {
                    return Ok((at == position).then_some(last));
                }
                Some(_) | None => return Err(BackupError::OtherLog { kind, at }),
            },
            Err(SourceError::Lost(why)) => {
                lost.get_or_insert(why);
            }
            Err(error) => return Err(BackupError::Source(kind, error)),
        }
    }
    let is_noted = log.lost.last().is_some_and(|range| range.last == position);
    let is_accepted = is_noted || copying.accept_loss || copying.fill_from.is_some();
    match lost {
        Some(why) if !is_accepted => Err(survey(source, kind, None, (position, why), head).await),
        Some(_) | None => Ok(None),
    }
}

/// Returns the last record of a log in a backup. An archive in a stream cannot be read again.
fn last_in(target: &Target, kind: LogKind) -> Result<Option<Record>, BackupError> {
    let Target::Directory(directory) = target else {
        return Ok(None);
    };
    let end = directory.manifest().log(kind).position;
    let mut reader = Reader::after(directory, kind, before(end));
    let last = reader.next_record()?;
    // At the end of its file, the checksum is compared.
    reader.next_record()?;
    Ok(last)
}

fn before(position: Position) -> Position {
    Position::new(position.get().saturating_sub(1))
}

/// What writes the records. Its functions block.
struct Work {
    kind: LogKind,
    now: Timestamp,
    target: Target,
    /// The open segment.
    writer: Option<SegmentWriter>,
    /// The other backup. After `compare_end`, it has been read up to the same position.
    filling: Option<Filling>,
    copied: Copied,
}

impl Work {
    /// Continues a backup.
    fn new(target: Target, copying: &Copying<'_>) -> Self {
        let (kind, now) = (copying.kind, copying.now);
        let after = before(target.manifest().log(kind).position);
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

    /// Compares the last record of the backup with that of the other backup. `last` is that of the log; if
    /// it is lost there, the backup still has it.
    fn compare_end(&mut self, last: Option<&Record>) -> Result<(), BackupError> {
        let Some(filling) = &mut self.filling else {
            return Ok(());
        };
        if self.target.manifest().log(self.kind).position == Position::ZERO {
            return Ok(());
        }
        if let Some(last) = last {
            return filling.compare(last);
        }
        match last_in(&self.target, self.kind)? {
            Some(own) => filling.compare(&own),
            // This run has written the whole archive, and has compared all of it.
            None => filling.take().map(|_passed| ()),
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

/// Reads the rest of a log that has lost records, and names all that the other backup lacks, too. `first`
/// is the first of them, up to which the other backup has been read, and why it is lost.
async fn survey(
    source: &mut dyn Source,
    kind: LogKind,
    filling: Option<Filling>,
    first: (Position, String),
    until: Position,
) -> BackupError {
    let found = find_lost(source, kind, filling, first, until).await;
    found.map_or_else(
        |error| error,
        |(positions, end)| BackupError::Lost {
            kind,
            positions,
            more_after: (end < until).then_some(end),
        },
    )
}

/// The first and last position of a range of lost records, and why the first is lost.
type Range = (Position, Position, String);

/// Returns the ranges of lost records, and where the search ended.
async fn find_lost(
    source: &mut dyn Source,
    kind: LogKind,
    mut filling: Option<Filling>,
    first: (Position, String),
    until: Position,
) -> Result<(Vec<Range>, Position), BackupError> {
    let (mut position, why) = first;
    let mut ranges: Vec<Range> = vec![(position, position, why)];
    while position < until && ranges.len() < LOST_RANGES_MAX {
        match source.read(position, until).await {
            Ok(records) => {
                position = records.last().map_or(until, |last| last.position);
                let compare = move || {
                    if let Some(other) = &mut filling {
                        records
                            .iter()
                            .try_for_each(|record| other.compare(record))?;
                    }
                    Ok(filling)
                };
                filling = blocking(compare).await?;
            }
            Err(SourceError::Lost(why)) => {
                position = position.next();
                let take = move || {
                    let found = match &mut filling {
                        Some(other) => other.take()?,
                        None => None,
                    };
                    Ok((filling, found.is_some()))
                };
                let is_elsewhere;
                (filling, is_elsewhere) = blocking(take).await?;
                if is_elsewhere {
                    continue;
                }
                match ranges.last_mut() {
                    Some((_, last, _)) if last.next() == position => *last = position,
                    _ => ranges.push((position, position, why)),
                }
            }
            Err(error) => return Err(BackupError::Source(kind, error)),
        }
    }
    Ok((ranges, position))
}

/// Runs work on files on a thread for such work.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(BackupError::Panicked(error)))
}
