//! Progress bars for work that may take minutes. They appear only if stderr is a terminal.

use std::fmt;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::domain::Position;

const TEMPLATE: &str = "{msg} [{bar:32}] {human_pos}/{human_len} records, {rate}/s, {eta} left";

/// The progress bar of work on a log.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        let style = ProgressStyle::with_template(TEMPLATE)
            .unwrap_or_else(|_wrong| ProgressStyle::default_bar())
            .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
                // An error in drawing the bar must not fail the work.
                _ = write!(out, "{:.0}", state.per_sec());
            })
            .progress_chars("=> ");
        Self(ProgressBar::new(0).with_style(style).with_message(what))
    }

    /// Shows the last record that is done, and the last record of the work.
    pub(super) fn at(&self, position: Position, until: Position) {
        self.0.set_length(until.get());
        self.0.set_position(position.get());
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
