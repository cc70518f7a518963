//! A listing without pages, as most dialects have it: all rows, written a page at a time.
//!
//! However many there are, no more than a page of them is in memory, and no snapshot outlives its
//! page. So a long list shows no single state of the ledger, but a session that is there all the
//! while appears exactly once.

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

/// What is listed, and how it looks. Newest first.
pub(super) struct WholeList {
    pub(super) tenant: TenantId,
    pub(super) filter: SessionFilter,
    /// Whether a row is shown at this time.
    pub(super) shows: fn(&SessionRow<'_>, Timestamp) -> bool,
    /// Writes a row as it is at this time.
    pub(super) write: fn(&mut Json, &SessionRow<'_>, Timestamp),
    /// What stands before and after the rows, with the brackets.
    pub(super) frame: [String; 2],
}

/// A list that is being written.
struct Writing {
    app: App,
    list: WholeList,
    now: Timestamp,
    next: Start,
    is_first_row: bool,
}

impl WholeList {
    /// The list as an answer. A short one is one piece; of a long one the first piece is written
    /// before the answer begins, so that what is wrong can still be said.
    pub(super) fn answer(self, app: &App) -> Result<Response, Problem> {
        let mut writing = Writing {
            app: app.clone(),
            list: self,
            now: app.now(),
            next: Start::Offset(0),
            is_first_row: true,
        };
        let mut out = Json::with_capacity(ROW_BYTES);
        out.raw(&writing.list.frame[0]);
        let Some(next) = writing.page(&mut out)? else {
            out.raw(&writing.list.frame[1]);
            return Ok(body::json(out.into_bytes()));
        };
        writing.next = Start::Cursor(next);
        let first = stream::iter([Ok(Bytes::from(out.into_bytes()))]);
        let rest = stream::try_unfold(Some(writing), Writing::piece);
        let whole = stream::StreamExt::chain(first, rest);
        Ok(body::typed("application/json", Body::from_stream(whole)))
    }
}

impl Writing {
    /// The next piece, until the list is at its end.
    async fn piece(this: Option<Self>) -> Result<Option<(Bytes, Option<Self>)>, std::io::Error> {
        let Some(mut writing) = this else {
            return Ok(None);
        };
        // Pages that show nothing are read one after another; others must get their turn.
        tokio::task::yield_now().await;
        let mut out = Json::with_capacity(ROW_BYTES * usize::from(PAGE_ROWS_MAX));
        // The cause has been logged, and the answer breaks off: there is no other way to tell.
        let page = writing.page(&mut out);
        let next = page.map_err(|_logged| std::io::Error::other("the list cannot be read"))?;
        let more = next.is_some();
        if let Some(next) = next {
            writing.next = Start::Cursor(next);
        } else {
            out.raw(&writing.list.frame[1]);
        }
        let piece = Bytes::from(out.into_bytes());
        Ok(Some((piece, more.then_some(writing))))
    }

    /// Writes a page of rows, and says where the next one starts.
    fn page(&mut self, out: &mut Json) -> Result<Option<Cursor>, Problem> {
        let WholeList { tenant, filter, .. } = &self.list;
        let rows_max = usize::from(PAGE_ROWS_MAX);
        let page = self.app.read(|snapshot| {
            let page = query::sessions::list(snapshot, tenant, filter, self.next, rows_max);
            Ok(page?)
        })?;
        for stored in &page.rows {
            let row = stored.row()?;
            if !(self.list.shows)(&row, self.now) {
                continue;
            }
            if !std::mem::take(&mut self.is_first_row) {
                out.raw(",");
            }
            (self.list.write)(out, &row, self.now);
        }
        Ok(page.next)
    }
}
