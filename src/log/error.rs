//! Why a log failed, with the errors behind it.

use std::path::PathBuf;

use crate::domain::Position;
use crate::domain::causes::{BoxError, Cause};

/// Why the log did not do what it was asked to do. [`WithCauses`](crate::domain::WithCauses) prints the
/// causes as well.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The log cannot be reached. Nothing was written. The caller may retry.
    #[error("the log is unavailable")]
    Unavailable(#[source] Cause),
    /// Another process has the file open.
    #[error("another ledger holds the file {}", .0.display())]
    Held(PathBuf),
    /// The record may have been written. The caller may retry with the same event id: the fold drops
    /// copies.
    #[error("the append was not confirmed")]
    Unconfirmed(#[source] Cause),
    /// The log accepts no records at present, because it has no room or is broken. Nothing was written.
    #[error("the log refuses writes")]
    Refusing(#[source] Cause),
    /// The record is larger than the log accepts. Nothing was written.
    #[error("the record is larger than the log takes: {bytes_max} bytes with its headers")]
    TooLarge {
        /// The largest record that the log accepts, with its headers, in bytes.
        bytes_max: usize,
    },
    /// The log has a record on the guard's subjects that the caller does not know. Nothing was written.
    #[error("another ledger was faster")]
    Overtaken,
    /// Records are missing. This is an alarm: a reader must not skip them.
    #[error("the log jumps from position {after} to {found}: records are missing")]
    Gap {
        /// The last position before the gap.
        after: Position,
        /// The first position behind it.
        found: Position,
    },
    /// The log ends before a position that was read from it. This is an alarm.
    #[error("the log ends at position {head}, before position {after} that was read from it")]
    Truncated {
        /// The last position of the log.
        head: Position,
        /// The position that the caller asked for.
        after: Position,
    },
    /// The log has another record at a position that was read from it. This is an alarm: the log was
    /// replaced, or restored from an older copy.
    #[error(
        "the record at position {at} is no longer the one that was read: the log was replaced, or \
         restored from an older copy"
    )]
    Replaced {
        /// The position.
        at: Position,
    },
    /// The first records of the log are gone. This is an alarm.
    #[error("the log begins at position {first}: the records before it were erased")]
    Erased {
        /// The first position that the log still has.
        first: Position,
    },
    /// The log's settings break a promise of [`EventLog`](super::EventLog).
    #[error("the log is misconfigured")]
    Misconfigured(#[source] Cause),
    /// A stored record cannot be read.
    #[error("the log is damaged")]
    Damaged(#[source] Cause),
    /// The disk did not confirm a sync. The kernel may have dropped records that it could not write, so
    /// the process must end: only what a new one reads from the disk is known to be there.
    #[error("the disk did not confirm that it has the records ({0})")]
    NotSynced(String),
}

impl LogError {
    /// Returns [`Unavailable`](Self::Unavailable) with a cause.
    pub fn unavailable(cause: impl Into<BoxError>) -> Self {
        Self::Unavailable(cause.into().into())
    }

    /// Returns [`Unconfirmed`](Self::Unconfirmed) with a cause.
    pub fn unconfirmed(cause: impl Into<BoxError>) -> Self {
        Self::Unconfirmed(cause.into().into())
    }

    /// Returns [`Refusing`](Self::Refusing) with a cause.
    pub fn refusing(cause: impl Into<BoxError>) -> Self {
        Self::Refusing(cause.into().into())
    }

    /// Returns [`Misconfigured`](Self::Misconfigured) with a cause.
    pub fn misconfigured(cause: impl Into<BoxError>) -> Self {
        Self::Misconfigured(cause.into().into())
    }

    /// Returns [`Damaged`](Self::Damaged) with a cause.
    pub fn damaged(cause: impl Into<BoxError>) -> Self {
        Self::Damaged(cause.into().into())
    }

    /// Whether records are missing or damaged. All other failures may pass.
    pub fn is_loss(&self) -> bool {
        matches!(
            self,
            Self::Gap { .. } | Self::Erased { .. } | Self::Damaged(_)
        )
    }

    /// Returns the error of every call after [`EventLog::close`](super::EventLog::close).
    pub fn closed() -> Self {
        Self::unavailable("it was closed")
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;
    use crate::domain::WithCauses;
    use crate::domain::causes::because;

    #[test]
    fn the_causes_of_a_failure_are_displayed_behind_it() {
        let io = std::io::Error::other("no route to host");
        let error = LogError::unavailable(because("cannot connect", io));
        assert_eq!(error.to_string(), "the log is unavailable");
        let expected = "the log is unavailable: cannot connect: no route to host";
        assert_eq!(WithCauses(&error.clone()).to_string(), expected);
    }

    #[test]
    fn the_error_behind_a_failure_can_be_found() {
        let error = LogError::unconfirmed(std::io::Error::other("torn"));
        let source = error.source().and_then(std::error::Error::source);
        assert!(source.is_none());
        assert!(
            error
                .source()
                .is_some_and(|cause| cause.to_string() == "torn")
        );
    }
}
