//! Progress bars for work that may take minutes. They appear only if stderr is a terminal.

use std::fmt;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::domain::Position;

const TEMPLATE: &str = "{msg} [{bar:32}] {human_pos}/{human_len} {prefix}, {rate}/s, {eta} left";

/// The progress bar of work on a log.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Starts the bar of work on records.
    pub(super) fn new(what: &'static str) -> Self {
        Self::of("records", what)
    }

    /// Starts the bar of work on events.
    pub(super) fn of_events(what: &'static str) -> Self {
        Self::of("events", what)
    }

    fn of(unit: &'static str, what: &'static str) -> Self {
        let style = ProgressStyle::with_template(TEMPLATE)
            .unwrap_or_else(|_wrong| ProgressStyle::default_bar())
            .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
                // An error in drawing the bar must not fail the work.
                _ = write!(out, "{:.0}", state.per_sec());
            })
            .progress_chars("=> ");
        let bar = ProgressBar::new(0).with_style(style);
        Self(bar.with_prefix(unit).with_message(what))
    }

    /// Shows the last record that is done, and the last record of the work.
    pub(super) fn at(&self, position: Position, until: Position) {
        self.count(position.get(), until.get());
    }

    /// Shows how much is done, and how much there is to do.
    pub(super) fn count(&self, done: u64, all: u64) {
        self.0.set_length(all);
        self.0.set_position(done);
    }

    /// Shows the name of the next phase, whose progress is not measured.
    pub(super) fn phase(&self, what: &'static str) {
        self.0.set_message(what);
    }

    /// Removes the bar.
    pub(super) fn end(self) {
        self.0.finish_and_clear();
    }
}
