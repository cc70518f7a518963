//! What the process tells about itself while it runs: lines of text or JSON on stderr.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

use crate::app::terminal::LogLines;

/// What is logged if nobody says. The client of NATS tells of every connection by itself.
pub const DEFAULT_DIRECTIVES: &str = "info,async_nats=warn";

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Why directives name nothing to log.
#[derive(Debug, thiserror::Error)]
pub enum DirectivesError {
    /// A filter would take the word for the name of a module, and log nothing.
    #[error(
        "{0:?} is no level; write error, warn, info, debug, trace or off, or a level by module, as \
         in session_ledger=debug,warn"
    )]
    NoLevel(String),
    /// Not what a filter is made of.
    #[error(transparent)]
    Malformed(#[from] ParseError),
}

/// Starts logging. `directives` is a level (`info`) or levels by module
/// (`session_ledger=debug,warn`). Once per process; later calls change nothing.
pub fn init(format: LogFormat, directives: &str) -> Result<(), DirectivesError> {
    require_levels(directives)?;
    let filter = EnvFilter::builder().parse(directives)?;
    let colours = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(move || LogLines { colours });
    let started = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // Somebody else in this process, a test for one, was first.
    drop(started);
    Ok(())
}

/// Refuses a word that stands alone and is no level.
fn require_levels(directives: &str) -> Result<(), DirectivesError> {
    let is_word = |text: &str| {
        let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
        text.chars().all(in_word)
    };
    let mut words = directives.split(',').map(str::trim).filter(|w| is_word(w));
    match words.find(|word| word.parse::<LevelFilter>().is_err()) {
        Some(word) => Err(DirectivesError::NoLevel(word.to_owned())),
        None => Ok(()),
    }
}
