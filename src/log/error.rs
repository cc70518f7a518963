//! Why a log failed, with the errors behind it.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::Position;

/// The error behind another one. Shared, because one failure can concern many records.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// What a [`Cause`] is made of: a text, or an error with its own causes.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why the log did not do what it was asked to do. [`WithCauses`] prints the causes as well.
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

    /// Returns the error of every call after [`EventLog::close`](super::EventLog::close).
    pub fn closed() -> Self {
        Self::unavailable("it was closed")
    }
}

/// Puts a text before an error: what failed because of it.
pub(super) fn because(what: impl Into<String>, source: impl Into<BoxError>) -> BoxError {
    let (what, source) = (what.into(), source.into());
    Box::new(Because { what, source })
}

#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Because {
    what: String,
    source: BoxError,
}

/// Displays an error and the errors behind it, as in `the log is unavailable: it was closed`.
///
/// Some errors, such as those of the NATS client, repeat their causes in their own text. These causes
/// are not displayed a second time.
#[derive(Debug, Clone, Copy)]
pub struct WithCauses<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_displayed_in_order_and_once() {
        let io = || std::io::Error::other("no route to host");
        let error = LogError::unavailable(because("cannot connect", io()));
        assert_eq!(error.to_string(), "the log is unavailable");
        let expected = "the log is unavailable: cannot connect: no route to host";
        assert_eq!(WithCauses(&error).to_string(), expected);
        let repeating = because(format!("cannot connect: {}", io()), io());
        let error = LogError::unavailable(repeating).clone();
        assert_eq!(WithCauses(&error).to_string(), expected);
    }

    #[test]
    fn the_error_behind_a_failure_can_be_found() {
        let error = LogError::unconfirmed(std::io::Error::other("torn"));
        let source = error.source().and_then(Error::source);
        assert!(source.is_none());
        assert!(
            error
                .source()
                .is_some_and(|cause| cause.to_string() == "torn")
        );
    }
}
