//! `list --follow`: shows the newest sessions and each change of them.

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::process::ExitCode;

use crate::app::terminal;
use crate::cli::client::Api;
use crate::cli::follow::{Follower, follow};
use crate::cli::list::{cells, sessions};
use crate::cli::pages::PageArgs;
use crate::cli::{CommandResult, output};
use crate::http::dto::{Session, SessionFrame};

/// Moves the cursor to the top, and clears the screen.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// The rows that are followed.
pub(super) struct Followed {
    query: Vec<(&'static str, String)>,
    rows: Vec<Session>,
    /// The rows before the stream began again. Those that are still there are not shown again.
    before: Vec<Session>,
    show: Show,
}

/// How rows and changes are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    /// The frames of the API.
    Json,
    /// A table that is drawn again after each change.
    Table,
    /// A line for each change.
    Lines,
}

impl Followed {
    pub(super) fn new(
        filters: Vec<(&'static str, Option<String>)>,
        page: &PageArgs,
        json: bool,
    ) -> Self {
        let given = filters.into_iter();
        let given = given.filter_map(|(name, value)| Some((name, value?)));
        let show = if json {
            Show::Json
        } else if io::stdout().is_terminal() {
            Show::Table
        } else {
            Show::Lines
        };
        Self {
            query: given.chain(page.window()).collect(),
            rows: Vec::new(),
            before: Vec::new(),
            show,
        }
    }

    pub(super) async fn follow(mut self, api: &Api) -> CommandResult {
        follow(api, &["v1", "agent-sessions", "stream"], &mut self).await?;
        Ok(ExitCode::SUCCESS)
    }

    /// Shows a line in the form of the table's rows, with tabs between the cells.
    fn line(&self, cells: &[String]) -> io::Result<()> {
        if self.show != Show::Lines {
            return Ok(());
        }
        let cells: Vec<_> = cells.iter().map(|cell| terminal::one_line(cell)).collect();
        output::raw(&format!("{}\n", cells.join("\t")))
    }

    fn remove(&mut self, session_id: &str) {
        self.rows.retain(|row| row.session_id != session_id);
    }
}

impl Follower for Followed {
    type Frame = SessionFrame;

    fn query(&self) -> Vec<(&'static str, String)> {
        self.query.clone()
    }

    fn take(&mut self, frame: SessionFrame, line: &str) -> anyhow::Result<ControlFlow<()>> {
        if self.show == Show::Json {
            output::json(line)?;
            return Ok(ControlFlow::Continue(()));
        }
        match frame {
            SessionFrame::Reset => {
                let rows = std::mem::take(&mut self.rows);
                // A stream that breaks off before its first `synced` has only some of the rows.
                if self.before.is_empty() {
                    self.before = rows;
                }
            }
            SessionFrame::Leave { session_id } => {
                self.remove(&session_id);
                self.line(&[session_id, "(left)".to_owned()])?;
            }
            SessionFrame::Upsert { index, session } => {
                self.remove(&session.session_id);
                if !self.before.contains(&session) {
                    self.line(&cells(&session))?;
                }
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                self.rows.insert(index.min(self.rows.len()), *session);
            }
            SessionFrame::Synced { total, as_of, .. } if self.show == Show::Table => {
                self.before.clear();
                let table = terminal::lines(&sessions(&self.rows)).into_owned();
                let shown = self.rows.len();
                let position = as_of.position;
                output::raw(&format!(
                    "{CLEAR}{table}\n{shown} of {total} sessions, as of position {position}; Ctrl-C ends\n"
                ))?;
            }
            SessionFrame::Synced { .. } => {
                for old in std::mem::take(&mut self.before) {
                    if !self.rows.iter().any(|row| row.session_id == old.session_id) {
                        self.line(&[old.session_id, "(left)".to_owned()])?;
                    }
                }
            }
            SessionFrame::Bye(_) => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}
