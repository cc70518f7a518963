//! Why an export could not be made or read. Each error names the file or the position, and the way on.

use std::io;
use std::path::{Path, PathBuf};

use super::line::LineFault;
use crate::backup::FileFault;
use crate::domain::Position;
use crate::domain::causes::BoxError;

/// Why an export could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file of the export.
    #[error("{}", .0.display())]
    File(PathBuf, #[source] FileFault),
    /// The directory has no export.
    #[error("there is no export in {}: it has no manifest.json", .0.display())]
    Missing(PathBuf),
    /// The directory has other files.
    #[error("{} has files and no manifest.json: name an empty or a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// Another process writes the export.
    #[error("another process writes the export in {}", .0.display())]
    Held(PathBuf),
    /// The server did not answer.
    #[error(transparent)]
    Source(BoxError),
    /// The server sent something else than the next events.
    #[error("the server sent a line after position {after} that is not the next event")]
    Answer {
        /// The last event before it.
        after: Position,
        /// What is wrong with it.
        #[source]
        fault: LineFault,
    },
    /// The server sent fewer events than it has.
    #[error(
        "the server sent no events after position {after}, although it has {events} up to position {until}"
    )]
    Short {
        /// The last event that it sent.
        after: Position,
        /// How many it says that it has.
        events: u64,
        /// The position up to which it has them.
        until: Position,
    },
    /// The directory has the export of another tenant.
    #[error(
        "the export is of the tenant {found}, and the credential is of {asked}: use a credential of \
         {found}, or another directory"
    )]
    OtherTenant {
        /// The tenant of the export.
        found: String,
        /// The tenant of the credential.
        asked: String,
    },
    /// The export has other events than the server.
    #[error(
        "the events of the export up to position {0} are not those that the server has: it is another \
         ledger, its log was replaced, or the export was changed. `session-ledger verify-export` names the \
         first difference. Export into another directory"
    )]
    OtherLedger(Position),
    /// An interrupted run went further than this one.
    #[error(
        "an interrupted export in this directory goes to position {until}, and --until ends at {asked}: \
         leave out --until, or give a later one"
    )]
    Before {
        /// Where the interrupted run was to end.
        until: Position,
        /// Where this one is to end.
        asked: Position,
    },
    /// The events that the server sent are not those that it has folded.
    #[error(
        "the events that the server sent up to position {0} have another chain than those that it has \
         folded: its log was changed. Ask an operator to run `session-ledger verify`"
    )]
    Chain(Position),
    /// Work on a file panicked.
    #[error("work on the files failed unexpectedly")]
    Panicked(#[source] tokio::task::JoinError),
}

impl ExportError {
    pub(super) fn file(path: &Path, fault: impl Into<FileFault>) -> Self {
        Self::File(path.to_path_buf(), fault.into())
    }

    pub(super) fn at((path, error): (PathBuf, io::Error)) -> Self {
        Self::File(path, error.into())
    }
}
