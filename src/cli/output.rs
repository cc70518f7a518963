//! Writes output: data to stdout, notes to stderr. A closed pipe causes no panic.
//!
//! Output may repeat text of other users, so control characters are escaped before a terminal gets
//! them.

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

/// Writes JSON to stdout as one line: unchanged to a program, escaped to a terminal.
pub(super) fn json(text: &str) -> io::Result<()> {
    let text = text.trim_end();
    if io::stdout().is_terminal() {
        return raw(&format!("{}\n", terminal::json(text)));
    }
    raw(&format!("{text}\n"))
}

/// Writes text to stdout without escapes. For text that this program has made or escaped.
pub(super) fn raw(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a line for people to stderr.
pub(super) fn note(text: fmt::Arguments<'_>) {
    let text = text.to_string();
    // An error means that stderr is closed, and cannot be reported.
    drop(writeln!(io::stderr().lock(), "{}", terminal::lines(&text)));
}

/// Whether an error means that the reader of a pipe has gone away.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    })
}
