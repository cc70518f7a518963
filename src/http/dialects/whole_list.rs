//! A listing without pages, as most dialects have it: all rows, written a page at a time.
//!
//! However many there are, no more than a page of them is in memory, and no snapshot outlives its
//! page. So a long list shows no single state of the ledger, but what is there all the while appears
//! exactly once.

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

/// Sessions that are listed, and how they look. Newest first.
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

impl WholeList {
    /// The list as an answer.
    pub(super) fn answer(self, app: &App) -> Result<Response, Problem> {
        let Self {
            tenant,
            filter,
            shows,
            write,
            frame,
        } = self;
        let (app, now) = (app.clone(), app.now());
        answer(frame, move |rows, start| {
            let rows_max = usize::from(PAGE_ROWS_MAX);
            let page = app.read(|snapshot| {
                let page = query::sessions::list(snapshot, &tenant, &filter, start, rows_max);
                Ok(page?)
            })?;
            for stored in &page.rows {
                let row = stored.row()?;
                if shows(&row, now) {
                    rows.add(|out| write(out, &row, now));
                }
            }
            Ok(page.next)
        })
    }
}

/// Rows of a list in the making.
pub(super) struct Rows {
    out: Json,
    is_first: bool,
}

impl Rows {
    /// Writes a row.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Json)) {
        if !std::mem::take(&mut self.is_first) {
            self.out.raw(",");
        }
        write(&mut self.out);
    }

    fn take(&mut self) -> Bytes {
        let next = Json::with_capacity(ROW_BYTES * usize::from(PAGE_ROWS_MAX));
        Bytes::from(std::mem::replace(&mut self.out, next).into_bytes())
    }
}

/// A list of any rows as an answer; `page` writes those of a page, and says where the next one
/// starts. A short list is one piece; of a long one the first piece is written before the answer
/// begins, so that what is wrong can still be said.
pub(super) fn answer<P>(frame: [String; 2], page: P) -> Result<Response, Problem>
where
    P: FnMut(&mut Rows, Start) -> Result<Option<Cursor>, Problem> + Send + 'static,
{
    let [before, after] = frame;
    let mut out = Json::with_capacity(ROW_BYTES);
    out.raw(&before);
    let mut writing = Writing {
        page,
        rows: Rows {
            out,
            is_first: true,
        },
        after,
        next: Start::Offset(0),
    };
    let more = writing.write_page()?;
    if !more {
        return Ok(body::json(writing.rows.out.into_bytes()));
    }
    let first = writing.rows.take();
    let rest = stream::try_unfold(Some(writing), Writing::piece);
    let whole = stream::StreamExt::chain(stream::iter([Ok(first)]), rest);
    Ok(body::typed("application/json", Body::from_stream(whole)))
}

/// A list that is being written.
struct Writing<P> {
    page: P,
    rows: Rows,
    after: String,
    next: Start,
}

impl<P> Writing<P>
where
    P: FnMut(&mut Rows, Start) -> Result<Option<Cursor>, Problem>,
{
    /// The next piece, until the list is at its end.
    async fn piece(this: Option<Self>) -> Result<Option<(Bytes, Option<Self>)>, std::io::Error> {
        let Some(mut writing) = this else {
            return Ok(None);
        };
        // Pages that show nothing are read one after another; others must get their turn.
        tokio::task::yield_now().await;
        // The cause has been logged, and the answer breaks off: there is no other way to tell.
        let more = writing.write_page();
        let more = more.map_err(|_logged| std::io::Error::other("the list cannot be read"))?;
        let piece = writing.rows.take();
        Ok(Some((piece, more.then_some(writing))))
    }

    /// Writes a page, and the end after the last one; whether there is more.
    fn write_page(&mut self) -> Result<bool, Problem> {
        if let Some(cursor) = (self.page)(&mut self.rows, self.next)? {
            self.next = Start::Cursor(cursor);
            return Ok(true);
        }
        self.rows.out.raw(&self.after);
        Ok(false)
    }
}
