//! What can go wrong with the read model.

use crate::domain::{Position, Reason};
use crate::log::LogError;

/// Why the read model could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the file open. Stop it, or talk to it.
    #[error("another process holds the read model open; stop it, or ask it through its API")]
    InUse,
    /// The file cannot be opened, read or written.
    #[error("the read model's file cannot be used")]
    File(#[source] Box<redb::Error>),
    /// The disk does not return the bytes of the file, or redb panicked on them.
    #[error("the read model's file is damaged ({0}); run `session-ledger rebuild`")]
    Unreadable(String),
    /// The file failed, and is opened again or replaced by a new one.
    #[error("the read model's file has failed, and the server is mending it")]
    Mending,
    /// The fold has not reached what readers saw before, since a start or since the file failed.
    #[error(
        "the server has just started, or is mending its read model, and has read its log up to position \
         {at} of {owed}"
    )]
    Behind {
        /// How far the fold has come.
        at: Position,
        /// The position that it must reach first.
        owed: Position,
        /// Whether the fold has stopped, so that it will not reach it.
        stopped: bool,
    },
    /// The disk did not confirm a sync: the process must end.
    #[error("the disk did not confirm that it has the read model ({0})")]
    NotSynced(String),
    /// Stored bytes make no sense. Rebuild the read model from the log.
    #[error("the read model is damaged ({0}); run `session-ledger rebuild`")]
    Damaged(&'static str),
    /// The file was written by a build with another layout. Rebuild the read model from the log.
    #[error(
        "the read model has layout {found}, this build has {expected}; run `session-ledger rebuild`"
    )]
    Layout {
        /// The file's layout.
        found: u32,
        /// This build's.
        expected: u32,
    },
    /// A newer build folded this file by rules that this build does not know. Upgrade this node.
    #[error(
        "the read model was folded up to position {at} by rules version {asked}, this build knows up to \
         {known}: upgrade this node"
    )]
    Rules {
        /// How far it was folded.
        at: Position,
        /// The rules by which it was folded.
        asked: u32,
        /// The newest that this build knows.
        known: u32,
    },
    /// The history file cannot be used now. It is derived, and mended without a hand.
    #[error("the history file cannot be used")]
    History(#[source] Box<Self>),
    /// An answer as of a past position would take too long.
    #[error(
        "at a past position, this needs more than {0} entries: page by cursor instead of by offset, or narrow \
         the range of creation times"
    )]
    TooManyEntries(u64),
    /// More than four billion agents, projects, tenants or groups.
    #[error("the read model has no number left for another {0}")]
    Exhausted(&'static str),
}

impl StoreError {
    /// Whether the file is at fault, so that another one made from the log mends it.
    pub fn is_mended_by_a_rebuild(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Unreadable(_) | Self::Layout { .. } => true,
            Self::File(error) => Self::is_of_content(error),
            Self::InUse
            | Self::Mending
            | Self::Behind { .. }
            | Self::NotSynced(_)
            | Self::Rules { .. }
            | Self::History(_)
            | Self::TooManyEntries(_)
            | Self::Exhausted(_) => false,
        }
    }

    /// The error of the operating system, if that is why the file cannot be used, and not its content.
    pub fn into_os_error(self) -> Result<std::io::Error, Self> {
        match self {
            Self::File(error) if !Self::is_of_content(&error) => match *error {
                redb::Error::Io(error) => Ok(error),
                other => Err(Self::File(Box::new(other))),
            },
            other => Err(other),
        }
    }

    /// Whether the bytes of the file are at fault.
    fn is_of_content(error: &redb::Error) -> bool {
        match error {
            redb::Error::Io(error) => matches!(
                error.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
            ),
            redb::Error::Corrupted(_)
            | redb::Error::UpgradeRequired(_)
            | redb::Error::RepairAborted
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. } => true,
            _ => false,
        }
    }

    /// Whether the read model can be read later.
    pub fn is_temporary(&self) -> bool {
        self.is_being_mended() || matches!(self, Self::Behind { .. })
    }

    /// The error of the history file.
    pub(crate) fn of_history(self) -> Self {
        match self {
            Self::TooManyEntries(_) | Self::History(_) => self,
            error => Self::History(Box::new(error)),
        }
    }

    /// Whether the file has failed, so that the server mends it.
    pub fn is_being_mended(&self) -> bool {
        match self {
            Self::Mending => true,
            Self::File(error) => matches!(
                &**error,
                redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed
            ),
            _ => false,
        }
    }
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            other => Self::File(Box::new(other)),
        }
    }
}

/// Why an event changes nothing.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// The event breaks a rule. Its verdict names the reason, and the fold continues.
    Because(Reason),
    /// The read model failed, and the fold stops.
    Store(StoreError),
}

impl Rejection {
    /// The reason to reject the event, unless the read model failed.
    pub(crate) fn reason(self) -> Result<Reason, StoreError> {
        match self {
            Self::Because(reason) => Ok(reason),
            Self::Store(error) => Err(error),
        }
    }
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self::Because(reason)
    }
}

impl From<StoreError> for Rejection {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Why folding stopped. Nothing that was folded before is lost.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The read model failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log failed in a way that retrying does not mend.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log asks for rules that this build does not know.
    #[error(
        "position {at} switches to rules version {asked}, this build knows up to {known}: upgrade this node"
    )]
    Rules {
        /// Where it asks.
        at: Position,
        /// What it asks for.
        asked: u32,
        /// The newest that this build knows.
        known: u32,
    },
    /// The record at our position is not the one that was folded: another log, or a changed one.
    #[error(
        "the record at position {at} is not the one that the read model was built from; if the log was replaced on purpose, run `session-ledger rebuild --accept-truncation`"
    )]
    Diverged {
        /// Our position.
        at: Position,
    },
    /// A record came out of order.
    #[error("expected the record at position {expected}, got {found}")]
    OutOfOrder {
        /// The position that comes next.
        expected: Position,
        /// The position that came.
        found: Position,
    },
    /// The fold's own code failed.
    #[error("the fold failed unexpectedly")]
    Panicked(#[source] tokio::task::JoinError),
}
