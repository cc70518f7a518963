//! Listings without pages, as most dialects have them: one answer with all rows.
//!
//! The server reads the rows page by page, with a new snapshot for each page. So a list of several
//! pages does not show one state of the ledger. A session that matches the filter during the whole
//! answer appears exactly once.

use std::collections::VecDeque;

use axum::response::Response;

use crate::auth::Principal;
use crate::dialects::sdk::pieces::{self, Rows};
use crate::domain::limits::PAGE_ROWS_MAX;
use crate::domain::{SessionFilter, Timestamp};
use crate::http::problem::Problem;
use crate::http::request::caller::sight;
use crate::http::response::json::Json;
use crate::http::state::App;
use crate::projection::SessionRow;
use crate::query::{self, Cursor, Start};

/// Whether a row is shown at this time.
pub(crate) type Shows = fn(&SessionRow<'_>, Timestamp) -> bool;
/// Writes a row as it is at this time.
pub(crate) type WriteRow = fn(&mut Json, &SessionRow<'_>, Timestamp);

/// A list of sessions, newest first.
pub(crate) struct WholeList {
    /// The caller, who sees only sessions within its sight.
    pub(crate) principal: Principal,
    pub(crate) filter: SessionFilter,
    /// Filters the rows further.
    pub(crate) shows: Shows,
    pub(crate) write: WriteRow,
    /// The JSON text before and after the rows, including the brackets.
    pub(crate) frame: [String; 2],
}

impl WholeList {
    /// The list as an answer.
    pub(crate) fn answer(self, app: &App) -> Result<Response, Problem> {
        let [before, after] = self.frame;
        let lists = WholeLists {
            principal: self.principal,
            shows: self.shows,
            write: self.write,
            parts: vec![
                Part::Text(before.into_bytes()),
                Part::Rows(self.filter),
                Part::Text(after.into_bytes()),
            ],
        };
        lists.answer(app)
    }
}

/// Several lists in one answer.
pub(crate) struct WholeLists {
    pub(crate) principal: Principal,
    pub(crate) shows: Shows,
    pub(crate) write: WriteRow,
    pub(crate) parts: Vec<Part>,
}

/// A part of an answer with several lists.
pub(crate) enum Part {
    /// JSON text that is written unchanged. The next row is the first of its list.
    Text(Vec<u8>),
    /// The sessions that match a filter, newest first.
    Rows(SessionFilter),
}

impl Part {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl WholeLists {
    /// The lists as an answer.
    pub(crate) fn answer(self, app: &App) -> Result<Response, Problem> {
        let mut writing = Writing {
            app: app.clone(),
            principal: self.principal,
            shows: self.shows,
            write: self.write,
            parts: self.parts.into(),
            start: Start::Offset(0),
            now: app.now(),
        };
        pieces::answer(move |rows| writing.step(rows))
    }
}

/// An answer with a list of any rows. `page` writes the rows of the page at a start, and returns
/// where the next page starts.
pub(crate) fn answer<P>(frame: [String; 2], mut page: P) -> Result<Response, Problem>
where
    P: FnMut(&mut Rows, Start) -> Result<Option<Cursor>, Problem> + Send + 'static,
{
    let [before, after] = frame;
    let mut start = Start::Offset(0);
    pieces::answer(move |rows| {
        if start == Start::Offset(0) {
            rows.text(before.as_bytes());
        }
        if let Some(next) = page(rows, start)? {
            start = Start::Cursor(next);
            return Ok(true);
        }
        rows.text(after.as_bytes());
        Ok(false)
    })
}

/// The state of an answer with several lists.
struct Writing {
    app: App,
    principal: Principal,
    shows: Shows,
    write: WriteRow,
    /// The remaining parts. The first one continues at `start`.
    parts: VecDeque<Part>,
    start: Start,
    now: Timestamp,
}

impl Writing {
    /// Writes one page of rows and the texts around it. Returns whether there is more.
    fn step(&mut self, rows: &mut Rows) -> Result<bool, Problem> {
        self.texts(rows);
        let Some(Part::Rows(filter)) = self.parts.pop_front() else {
            return Ok(false);
        };
        if let Some(next) = self.page(&filter, rows)? {
            self.start = Start::Cursor(next);
            self.parts.push_front(Part::Rows(filter));
        } else {
            self.start = Start::Offset(0);
            self.texts(rows);
        }
        Ok(!self.parts.is_empty())
    }

    fn texts(&mut self, rows: &mut Rows) {
        while let Some(Part::Text(text)) = self.parts.front() {
            rows.text(text);
            self.parts.pop_front();
        }
    }

    /// Writes a page of rows, and returns where the next page starts.
    fn page(&self, filter: &SessionFilter, rows: &mut Rows) -> Result<Option<Cursor>, Problem> {
        let (sight, rows_max) = (sight(&self.principal), usize::from(PAGE_ROWS_MAX));
        let page = self.app.read(|snapshot| {
            let page = query::sessions::list(snapshot, sight, filter, self.start, rows_max);
            Ok(page?)
        })?;
        for stored in &page.rows {
            let row = stored.row()?;
            if (self.shows)(&row, self.now) {
                rows.add(|out| (self.write)(out, &row, self.now));
            }
        }
        Ok(page.next)
    }
}
