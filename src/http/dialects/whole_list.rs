//! A listing without pages, as most dialects have it: all rows, written a page at a time.
//!
//! However many there are, no more than a page of them is in memory, and no snapshot outlives its
//! page. So a long list shows no single state of the ledger, but a session that is there all the
//! while appears exactly once.

use std::collections::VecDeque;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

use crate::domain::limits::PAGE_ROWS_MAX;
use crate::domain::{SessionFilter, TenantId, Timestamp};
use crate::http::app::App;
use crate::http::body;
use crate::http::json::Json;
use crate::http::problem::Problem;
use crate::projection::SessionRow;
use crate::query::{self, Cursor, Start};

/// Bytes of a usual row.
const ROW_BYTES: usize = 256;

/// Whether a row is shown at this time.
pub(super) type Shows = fn(&SessionRow<'_>, Timestamp) -> bool;
/// Writes a row as it is at this time.
pub(super) type WriteRow = fn(&mut Json, &SessionRow<'_>, Timestamp);

/// What is listed, and how it looks. Newest first.
pub(super) struct WholeList {
    pub(super) tenant: TenantId,
    pub(super) filter: SessionFilter,
    pub(super) shows: Shows,
    pub(super) write: WriteRow,
    /// What stands before and after the rows, with the brackets.
    pub(super) frame: [String; 2],
}

impl WholeList {
    /// The list as an answer.
    pub(super) fn answer(self, app: &App) -> Result<Response, Problem> {
        let [before, after] = self.frame;
        let lists = WholeLists {
            tenant: self.tenant,
            shows: self.shows,
            write: self.write,
            parts: vec![
                Part::text(&before),
                Part::Rows(self.filter),
                Part::text(&after),
            ],
        };
        lists.answer(app)
    }
}

/// Several lists in one answer.
pub(super) struct WholeLists {
    pub(super) tenant: TenantId,
    pub(super) shows: Shows,
    pub(super) write: WriteRow,
    pub(super) parts: Vec<Part>,
}

/// A part of such an answer.
pub(super) enum Part {
    /// As it is. The next row is the first of its list.
    Text(Vec<u8>),
    /// What a filter finds, newest first. The rows of several in a row are one list.
    Rows(SessionFilter),
}

impl Part {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// Lists that are being written.
struct Writing {
    app: App,
    tenant: TenantId,
    shows: Shows,
    write: WriteRow,
    /// What is left; of the first one what is left from `start` on.
    parts: VecDeque<Part>,
    start: Start,
    now: Timestamp,
    is_first_row: bool,
}

impl WholeLists {
    /// The lists as an answer. A short one is one piece; of a long one the first piece is written
    /// before the answer begins, so that what is wrong can still be said.
    pub(super) fn answer(self, app: &App) -> Result<Response, Problem> {
        let mut writing = Writing {
            app: app.clone(),
            tenant: self.tenant,
            shows: self.shows,
            write: self.write,
            parts: self.parts.into(),
            start: Start::Offset(0),
            now: app.now(),
            is_first_row: true,
        };
        let mut out = Json::with_capacity(ROW_BYTES);
        writing.step(&mut out)?;
        if writing.parts.is_empty() {
            return Ok(body::json(out.into_bytes()));
        }
        let first = stream::iter([Ok(Bytes::from(out.into_bytes()))]);
        let rest = stream::try_unfold(writing, Writing::piece);
        let whole = stream::StreamExt::chain(first, rest);
        Ok(body::typed("application/json", Body::from_stream(whole)))
    }
}

impl Writing {
    /// The next piece, until nothing is left.
    async fn piece(mut self) -> Result<Option<(Bytes, Self)>, std::io::Error> {
        let mut out = Json::with_capacity(ROW_BYTES * usize::from(PAGE_ROWS_MAX));
        // Pages that show nothing are read one after another.
        while out.is_empty() && !self.parts.is_empty() {
            // Others must get their turn.
            tokio::task::yield_now().await;
            // The cause has been logged, and the answer breaks off: there is no other way to tell.
            let step = self.step(&mut out);
            step.map_err(|_logged| std::io::Error::other("the list cannot be read"))?;
        }
        let piece = Bytes::from(out.into_bytes());
        Ok((!piece.is_empty()).then_some((piece, self)))
    }

    /// Writes one page of rows, and the texts around it.
    fn step(&mut self, out: &mut Json) -> Result<(), Problem> {
        self.texts(out);
        let Some(Part::Rows(filter)) = self.parts.pop_front() else {
            return Ok(());
        };
        if let Some(next) = self.page(&filter, out)? {
            self.start = Start::Cursor(next);
            self.parts.push_front(Part::Rows(filter));
        } else {
            self.start = Start::Offset(0);
            self.texts(out);
        }
        Ok(())
    }

    fn texts(&mut self, out: &mut Json) {
        while let Some(Part::Text(text)) = self.parts.front() {
            out.bytes(text);
            self.is_first_row = true;
            self.parts.pop_front();
        }
    }

    /// Writes a page of rows, and says where the next one starts.
    fn page(&mut self, filter: &SessionFilter, out: &mut Json) -> Result<Option<Cursor>, Problem> {
        let (tenant, rows_max) = (&self.tenant, usize::from(PAGE_ROWS_MAX));
        let page = self.app.read(|snapshot| {
            let page = query::sessions::list(snapshot, tenant, filter, self.start, rows_max);
            Ok(page?)
        })?;
        for stored in &page.rows {
            let row = stored.row()?;
            if !(self.shows)(&row, self.now) {
                continue;
            }
            if !std::mem::take(&mut self.is_first_row) {
                out.raw(",");
            }
            (self.write)(out, &row, self.now);
        }
        Ok(page.next)
    }
}
