//! A listing without pages, as most dialects have it: all rows, read a page at a time.
//!
//! No snapshot outlives its page. So a long list shows no single state of the ledger, but what is
//! there all the while appears exactly once.

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
use crate::query::{self, Cursor, PageStart};

/// Whether a row is shown at this time.
pub(crate) type Shows = fn(&SessionRow<'_>, Timestamp) -> bool;
/// Writes a row as it is at this time.
pub(crate) type WriteRow = fn(&mut Json, &SessionRow<'_>, Timestamp);

/// Sessions that are listed, and how they look. Newest first.
pub(crate) struct WholeList {
    pub(crate) principal: Principal,
    pub(crate) filter: SessionFilter,
    pub(crate) shows: Shows,
    pub(crate) write: WriteRow,
    /// What stands before and after the rows, with the brackets.
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

/// Several such lists in one answer.
pub(crate) struct WholeLists {
    pub(crate) principal: Principal,
    pub(crate) shows: Shows,
    pub(crate) write: WriteRow,
    pub(crate) parts: Vec<Part>,
}

/// A part of such an answer.
pub(crate) enum Part {
    /// As it is. The next row is the first of its list.
    Text(Vec<u8>),
    /// What a filter finds, newest first.
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
            start: PageStart::Offset(0),
            now: app.now(),
        };
        pieces::answer(move |rows| writing.step(rows))
    }
}

/// A list of any rows as an answer; `page` writes those of a page, and says where the next one
/// starts.
pub(crate) fn answer<P>(frame: [String; 2], mut page: P) -> Result<Response, Problem>
where
    P: FnMut(&mut Rows, PageStart) -> Result<Option<Cursor>, Problem> + Send + 'static,
{
    let [before, after] = frame;
    let mut start = PageStart::Offset(0);
    pieces::answer(move |rows| {
        if start == PageStart::Offset(0) {
            rows.text(before.as_bytes());
        }
        if let Some(next) = page(rows, start)? {
            start = next.into();
            return Ok(true);
        }
        rows.text(after.as_bytes());
        Ok(false)
    })
}

/// Lists that are being written.
struct Writing {
    app: App,
    principal: Principal,
    shows: Shows,
    write: WriteRow,
    /// What is left; of the first one what is left from `start` on.
    parts: VecDeque<Part>,
    start: PageStart,
    now: Timestamp,
}

impl Writing {
    /// Writes one page of rows, and the texts around it. Whether there is more.
    fn step(&mut self, rows: &mut Rows) -> Result<bool, Problem> {
        self.texts(rows);
        let Some(Part::Rows(filter)) = self.parts.pop_front() else {
            return Ok(false);
        };
        if let Some(next) = self.page(&filter, rows)? {
            self.start = next.into();
            self.parts.push_front(Part::Rows(filter));
        } else {
            self.start = PageStart::Offset(0);
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

    /// Writes a page of rows, and says where the next one starts.
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
