//! Why a backup could not be written or read. Each error names the file or the position.

use std::io;
use std::path::{Path, PathBuf};

use super::LogKind;
use super::line::LineError;
use super::source::SourceError;
use crate::domain::{Position, WithCauses};

/// What is wrong with a file of a backup.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// It cannot be read or written.
    #[error("cannot read or write it")]
    Io(#[from] io::Error),
    /// Its content is not what the manifest says.
    #[error("it is damaged: its {0}")]
    Differs(&'static str),
    /// A line of it is not a record.
    #[error("it is damaged: line {number}")]
    Line {
        /// The number of the line, from 1.
        number: u64,
        /// What is wrong.
        #[source]
        error: LineError,
    },
    /// It is not a manifest.
    #[error("it is not a manifest of this format, or it is damaged")]
    NotAManifest(#[source] serde_json::Error),
    /// Another format.
    #[error("its format is {0:?}, which this build does not know: use a newer build")]
    Format(String),
}

/// Why a backup could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file of the backup.
    #[error("{}", .0.display())]
    File(PathBuf, #[source] FileFault),
    /// The directory has no backup.
    #[error("there is no backup in {}: it has no manifest.json", .0.display())]
    Missing(PathBuf),
    /// The directory has other files.
    #[error("{} has files and no manifest.json: name an empty or a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// Another process writes the backup.
    #[error("another process writes the backup in {}", .0.display())]
    Held(PathBuf),
    /// The log cannot be read.
    #[error("cannot read the log of {}", .0.as_str())]
    Source(LogKind, #[source] SourceError),
    /// The log has fewer records than the backup.
    #[error(
        "the log of {} ends at position {head}, before the end of the backup at {position}: it is \
         another ledger, or its log was cut. Write into another directory",
        .kind.as_str()
    )]
    Short {
        /// The log.
        kind: LogKind,
        /// Its last position.
        head: Position,
        /// The last position of the backup.
        position: Position,
    },
    /// The log has another record at the end of the backup.
    #[error(
        "the record at position {at} of the log of {} is not the one in the backup: it is another \
         ledger, or its log was replaced. Write into another directory",
        .kind.as_str()
    )]
    OtherLog {
        /// The log.
        kind: LogKind,
        /// The position.
        at: Position,
    },
    /// Records are lost.
    #[error("{}", lost(*.kind, .positions, *.more_after))]
    Lost {
        /// The log.
        kind: LogKind,
        /// The first and last positions of each range, and why the first could not be read.
        positions: Vec<(Position, Position, String)>,
        /// Where the search ended before the end of the log, because there are so many ranges.
        more_after: Option<Position>,
    },
    /// The other backup cannot fill a hole.
    #[error("the backup in {} cannot be used to fill in lost records", .0.display())]
    Filling(PathBuf, #[source] Box<Self>),
    /// The other backup has other records.
    #[error(
        "its log of {} has another record at position {at}: it is a backup of another ledger",
        .kind.as_str()
    )]
    NotTheSameLog {
        /// The log.
        kind: LogKind,
        /// The position.
        at: Position,
    },
    /// Work on a file panicked.
    #[error("work on the files failed unexpectedly")]
    Panicked(#[source] tokio::task::JoinError),
}

impl BackupError {
    pub(super) fn file(path: &Path, fault: impl Into<FileFault>) -> Self {
        Self::File(path.to_path_buf(), fault.into())
    }
}

fn lost(
    kind: LogKind,
    positions: &[(Position, Position, String)],
    more_after: Option<Position>,
) -> String {
    let ranges = positions.iter().map(|(first, last, why)| {
        if first == last {
            format!("{first} ({why})")
        } else {
            format!("{first} to {last} ({why})")
        }
    });
    format!(
        "these records of the log of {} cannot be read: {}{}. Take them from another backup of this \
         ledger: --fill-from DIR. If there is none, --accept-loss puts records in their places that \
         say so",
        kind.as_str(),
        ranges.collect::<Vec<_>>().join(", "),
        more_after.map_or_else(String::new, |position| format!(
            ", and perhaps more after position {position}"
        ))
    )
}

/// The causes of an error on one line, as a reason why a record is lost.
pub(super) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    WithCauses(error).to_string()
}
