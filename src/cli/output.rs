//! Where output goes: data to stdout, notes to stderr, and neither panics if nobody reads.
//!
//! What others sent may be in it, so nothing reaches a terminal that it would obey.

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use crate::app::terminal;

/// Writes text for people to stdout.
pub(super) fn data(text: &str) -> io::Result<()> {
    raw(&terminal::lines(text))
}

/// Writes a line of text for people to stdout.
pub(super) fn line(text: impl fmt::Display) -> io::Result<()> {
    data(&format!("{text}\n"))
}

/// Writes JSON to stdout, as a line: to a program as it came, to a terminal with escapes.
pub(super) fn json(text: &str) -> io::Result<()> {
    let text = text.trim_end();
    if io::stdout().is_terminal() {
        return raw(&format!("{}\n", terminal::json(text)));
    }
    raw(&format!("{text}\n"))
}

/// Writes what this program made itself to stdout, as it is.
pub(super) fn raw(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Tells the person at the terminal something that is not data.
pub(super) fn note(text: fmt::Arguments<'_>) {
    let text = text.to_string();
    // If stderr is closed there is nobody to tell.
    drop(writeln!(io::stderr().lock(), "{}", terminal::lines(&text)));
}

/// Whether this is about a reader that went away.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    })
}
