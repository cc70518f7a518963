//! Copies the records of a log into a backup, from the end of the backup to the head of the log.

use super::Target;
use super::directory::Directory;
use super::error::BackupError;
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

/// Copies the records of a log that a backup does not have. Calls `on_step` with the last copied
/// position and the last one to copy.
pub async fn copy(
    mut target: Target,
    source: &mut dyn Source,
    copying: &Copying<'_>,
    mut on_step: impl FnMut(Position, Position),
) -> Result<(Target, Copied), BackupError> {
    let kind = copying.kind;
    let failed = |error| BackupError::Source(kind, error);
    let until = source.head().await.map_err(failed)?;
    let mut end = target.manifest().log(kind).end(kind);
    check_end(&target, source, &end, until).await?;
    let mut copied = Copied::default();
    let (mut writer, mut after_filled) = (None, false);
    while end.position < until {
        let records = match source.read(end.position, until).await {
            Ok(records) => {
                // What follows a hole that was filled in must be the same too.
                if after_filled
                    && copying
                        .find(&end)?
                        .is_some_and(|found| records.first() != Some(&found))
                {
                    let at = end.position.next();
                    return Err(BackupError::NotTheSameLog { kind, at });
                }
                after_filled = false;
                records
            }
            Err(SourceError::Lost(why)) => match copying.find(&end)? {
                Some(found) => {
                    copied.filled += 1;
                    after_filled = true;
                    vec![found]
                }
                None if copying.accept_loss => {
                    copied.lost += 1;
                    let ranges = &mut target.manifest_mut().log_mut(kind).lost;
                    lost::add(ranges, end.position.next(), copying.now, &why);
                    vec![lost::record(&end, &why, copying.now)]
                }
                None => return Err(survey(source, copying, end, until).await),
            },
            Err(error) => return Err(failed(error)),
        };
        let added = records.len() as u64;
        let now = copying.now;
        let job = move || add(target, writer, kind, &records, now);
        (target, writer, end) = blocking(job).await?;
        copied.records += added;
        on_step(end.position, until);
    }
    if let Some(writer) = writer {
        let now = copying.now;
        target = blocking(move || target.put(writer, now).map(|()| target)).await?;
    }
    Ok((target, copied))
}

/// Adds records to the open segment, and begins others when it is full.
fn add(
    mut target: Target,
    mut writer: Option<SegmentWriter>,
    kind: LogKind,
    records: &[Record],
    now: Timestamp,
) -> Result<(Target, Option<SegmentWriter>, Mark), BackupError> {
    for record in records {
        let mut open = match writer.take() {
            Some(open) => open,
            None => target.writer(kind)?,
        };
        open.add(record)?;
        if open.is_full() {
            target.put(open, now)?;
        } else {
            writer = Some(open);
        }
    }
    let end = match &writer {
        Some(open) => *open.end(),
        None => target.manifest().log(kind).end(kind),
    };
    Ok((target, writer, end))
}

/// Checks that the log has the records of the backup: it must have the last one.
async fn check_end(
    target: &Target,
    source: &mut dyn Source,
    end: &Mark,
    head: Position,
) -> Result<(), BackupError> {
    let (kind, position) = (end.kind, end.position);
    if head < position {
        return Err(BackupError::Short {
            kind,
            head,
            position,
        });
    }
    if position == Position::ZERO {
        return Ok(());
    }
    let before = Position::new(position.get() - 1);
    let lost = &target.manifest().log(kind).lost;
    let is_lost = lost.last().is_some_and(|range| range.last == position);
    match source.read(before, position).await {
        Ok(records) if records.iter().any(|record| end.ends_with(record)) => Ok(()),
        Err(SourceError::Lost(_)) if is_lost => Ok(()),
        Ok(_) => Err(BackupError::OtherLog { kind, at: position }),
        Err(error) => Err(BackupError::Source(kind, error)),
    }
}

impl Copying<'_> {
    /// Looks for the next record in the other backup, which must have the same chain up to it.
    fn find(&self, end: &Mark) -> Result<Option<Record>, BackupError> {
        let Some(other) = self.fill_from else {
            return Ok(None);
        };
        if other.manifest().log(self.kind).position <= end.position {
            return Ok(None);
        }
        let failed = |error| BackupError::Filling(other.path().to_path_buf(), Box::new(error));
        let find = || {
            let before = Position::new(end.position.get().saturating_sub(1));
            let mut reader = Reader::after(other, self.kind, before);
            if end.position != Position::ZERO {
                reader.next_record()?;
            }
            if reader.end().chain != end.chain {
                return Err(BackupError::NotTheSameLog {
                    kind: self.kind,
                    at: end.position,
                });
            }
            reader.next_record()
        };
        find().map_err(failed)
    }
}

/// Reads the rest of a log that has lost records, and names all of them.
async fn survey(
    source: &mut dyn Source,
    copying: &Copying<'_>,
    end: Mark,
    until: Position,
) -> BackupError {
    let (kind, mut position) = (copying.kind, end.position);
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
