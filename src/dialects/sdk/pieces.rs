//! Streamed JSON answers. The server builds them piece by piece, and holds at most about one page
//! of rows in memory.

use std::io;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

use crate::domain::limits::PAGE_ROWS_MAX;
use crate::http::problem::Problem;
use crate::http::response::body;
use crate::http::response::json::Json;

/// The size of a typical row.
const ROW_BYTES: usize = 256;

/// The buffer of the current piece: rows of a list, and text around them.
pub(crate) struct Rows {
    out: Json,
    is_first: bool,
}

impl Rows {
    /// Writes a row, with a comma before it unless it is the first of its list.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Json)) {
        if !std::mem::take(&mut self.is_first) {
            self.out.raw(",");
        }
        write(&mut self.out);
    }

    /// Writes text unchanged, such as brackets. The next row is the first of its list.
    pub(crate) fn text(&mut self, text: &[u8]) {
        self.out.bytes(text);
        self.is_first = true;
    }

    fn take(&mut self) -> Bytes {
        let next = Json::with_capacity(ROW_BYTES * usize::from(PAGE_ROWS_MAX));
        Bytes::from(std::mem::replace(&mut self.out, next).into_bytes())
    }
}

/// An answer from the pages that `step` writes. Each call of `step` writes one page, and returns
/// whether there are more.
///
/// An answer of one page is not streamed. The first page of a longer answer is written before the
/// answer starts, so that a failure there is still a problem with a status.
pub(crate) fn answer<S>(mut step: S) -> Result<Response, Problem>
where
    S: FnMut(&mut Rows) -> Result<bool, Problem> + Send + 'static,
{
    let mut rows = Rows {
        out: Json::with_capacity(ROW_BYTES),
        is_first: true,
    };
    if !step(&mut rows)? {
        return Ok(body::json(rows.out.into_bytes()));
    }
    let first = stream::iter([Ok(rows.take())]);
    let rest = stream::try_unfold(Some((rows, step)), piece);
    let whole = stream::StreamExt::chain(first, rest);
    Ok(body::typed("application/json", Body::from_stream(whole)))
}

/// Returns the next piece; `None` at the end.
async fn piece<S>(left: Option<(Rows, S)>) -> Result<Option<(Bytes, Option<(Rows, S)>)>, io::Error>
where
    S: FnMut(&mut Rows) -> Result<bool, Problem>,
{
    let Some((mut rows, mut step)) = left else {
        return Ok(None);
    };
    loop {
        // The loop may read many pages without visible rows, so it yields to other tasks.
        tokio::task::yield_now().await;
        // The status is already sent, so the only way to report a failure is to cut off the answer.
        // The cause is in the server's log.
        let more = step(&mut rows);
        let more = more.map_err(|_logged| io::Error::other("the list cannot be read"))?;
        if !more || !rows.out.is_empty() {
            let piece = rows.take();
            return Ok(Some((piece, more.then_some((rows, step)))));
        }
    }
}
