//! Progress bars on stderr, for work that may take minutes. Nothing shows if it is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

use crate::domain::Position;

const TEMPLATE: &str = "{msg} [{bar:32}] {human_pos}/{human_len} records, {per_sec}, {eta} left";

/// How far work on a log has come.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        let style = ProgressStyle::with_template(TEMPLATE)
            .unwrap_or_else(|_wrong| ProgressStyle::default_bar())
            .progress_chars("=> ");
        Self(ProgressBar::new(0).with_style(style).with_message(what))
    }

    /// Notes the last record that is done, and the last there will be.
    pub(super) fn at(&self, position: Position, until: Position) {
        self.0.set_length(until.get());
        self.0.set_position(position.get());
    }

    /// Says what is done next, which cannot be measured.
    pub(super) fn phase(&self, what: &'static str) {
        self.0.set_message(what);
    }

    /// Takes the bar away.
    pub(super) fn end(self) {
        self.0.finish_and_clear();
    }
}
