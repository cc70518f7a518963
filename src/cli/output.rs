//! Where output goes: data to stdout, notes to stderr, and neither panics if nobody reads.

use std::fmt;
use std::io::{self, ErrorKind, Write as _};

/// Writes data to stdout.
pub(super) fn data(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a line of data to stdout.
pub(super) fn line(text: impl fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Tells the person at the terminal something that is not data.
pub(super) fn note(text: fmt::Arguments<'_>) {
    // If stderr is closed there is nobody to tell.
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Whether this is about a reader that went away.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    })
}
