//! Logging: lines of text or JSON on stderr.

use std::io::{self, IsTerminal as _};
use std::panic;

use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::app::terminal::LogLines;
use crate::app::traces::Traces;
use crate::storage;

/// The default log levels. At `info` the NATS client would log every connection.
pub const DEFAULT_DIRECTIVES: &str = "info,async_nats=warn";

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Why log directives are rejected.
#[derive(Debug, thiserror::Error)]
pub enum DirectivesError {
    /// A single word is not a level. The filter would treat it as the name of a module.
    #[error(
        "{0:?} is not a level; write error, warn, info, debug, trace or off, or a level per module, \
         such as session_ledger=debug,warn"
    )]
    NoLevel(String),
    /// The syntax is invalid.
    #[error(transparent)]
    Malformed(#[from] ParseError),
}

/// Starts logging. `directives` is a level (`info`) or levels per module
/// (`session_ledger=debug,warn`). Later calls in the same process change nothing.
pub fn init(format: LogFormat, directives: &str) -> Result<(), DirectivesError> {
    require_levels(directives)?;
    let filter = EnvFilter::builder().parse(directives)?;
    let colors = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colors)
        .with_writer(move || LogLines { colors });
    let started = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    note_started(started.is_ok());
    Ok(())
}

/// Starts logging as [`init`] does, and the export of spans. Log lines and spans have filters of their own.
pub fn init_with(
    format: LogFormat,
    directives: &str,
    traces: &Traces,
) -> Result<(), DirectivesError> {
    require_levels(directives)?;
    let filter = EnvFilter::builder().parse(directives)?;
    let colors = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(colors)
        .with_writer(move || LogLines { colors });
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => lines.with_target(false).with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    let started = Registry::default()
        .with(lines)
        .with(traces.layer())
        .try_init();
    note_started(started.is_ok());
    Ok(())
}

fn note_started(is_first: bool) {
    // It fails if logging was started before in this process, for example by a test.
    if is_first {
        hush_guarded_panics();
    }
}

/// Prints no panic that becomes an error: the error says what failed.
fn hush_guarded_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !storage::is_guarded() {
            print(panic);
        }
    }));
}

/// Rejects a single word that is not a level.
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
