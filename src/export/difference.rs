//! The first place where an export is not what it should be.

use std::fmt;
use std::io;

use super::line::LineFault;
use crate::backup::FileFault;
use crate::domain::{Position, WithCauses};

/// A place in an export, and what is wrong there.
#[derive(Debug)]
pub struct Difference {
    /// The name of the file.
    pub file: String,
    /// The number of the line, from 1; `None` if it is the whole file.
    pub line: Option<u64>,
    /// The position of the event, if the line can be read.
    pub position: Option<Position>,
    /// The event before the line, if the line cannot be read.
    pub after: Option<Position>,
    /// What is wrong.
    pub what: What,
}

/// What is wrong at a place of an export.
#[derive(Debug, thiserror::Error)]
pub enum What {
    /// The file cannot be read.
    #[error("cannot read it")]
    Io(#[from] io::Error),
    /// The manifest is not as it was written.
    #[error(transparent)]
    Manifest(#[from] FileFault),
    /// The manifest names no tenant.
    #[error("its `tenant` is not the name of a tenant")]
    Tenant,
    /// A line.
    #[error(transparent)]
    Line(#[from] LineFault),
    /// The first event of a file.
    #[error(
        "it is not the event with which the file begins by the manifest, at position {0}: files were \
             swapped, or lines before it are missing"
    )]
    First(Position),
    /// The last event of a file.
    #[error("it is not the event with which the file ends by the manifest, at position {0}")]
    Last(Position),
    /// A file has more events.
    #[error("the file has more than the {0} events of the manifest: this line was added")]
    More(u64),
    /// A file has fewer events.
    #[error(
        "the file ends here, and by the manifest it has {0} events, the last at position {1}: lines \
             after this one are missing"
    )]
    Fewer(u64, Position),
    /// The hash of a file.
    #[error("its SHA-256 or its length is not that of the manifest")]
    Sha256,
    /// A file that the manifest does not name.
    #[error("the manifest does not name it: it was added")]
    Unnamed,
    /// The server has another record.
    #[error("the server has another event here, or none")]
    Server,
    /// The server has another verdict.
    #[error("the server has the same event with another verdict, reason or sender")]
    Verdict,
    /// The server has an event in between.
    #[error("the server has an event at position {0} before this one, which the export lacks")]
    Lacks(Position),
    /// The server has more events at the end.
    #[error(
        "the server has {0} events up to position {1}, the end of the export, and the export has {2}"
    )]
    Count(u64, Position, u64),
}

impl Difference {
    /// A difference of a whole file.
    pub(super) fn of_file(file: &str, what: What) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            position: None,
            after: None,
            what,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(position) = self.position {
            write!(f, ", position {position}")?;
        }
        if let Some(after) = self.after {
            write!(f, ", after position {after}")?;
        }
        write!(f, ": {}", WithCauses(&self.what))
    }
}
