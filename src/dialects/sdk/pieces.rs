//! Answers that are written while they are read, a piece at a time.
//!
//! However long one gets, no more than a page of it is in memory.

use std::io;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

use crate::domain::limits::PAGE_ROWS_MAX;
use crate::http::problem::Problem;
use crate::http::response::body;
use crate::http::response::json::Json;

/// Bytes of a usual row.
const ROW_BYTES: usize = 256;

/// Rows of a list in the making, and what stands around them.
pub(crate) struct Rows {
    out: Json,
    is_first: bool,
}

impl Rows {
    /// Writes a row.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Json)) {
        if !std::mem::take(&mut self.is_first) {
            self.out.raw(",");
        }
        write(&mut self.out);
    }

    /// Writes a text as it is. The next row is the first of its list.
    pub(crate) fn text(&mut self, text: &[u8]) {
        self.out.bytes(text);
        self.is_first = true;
    }

    fn take(&mut self) -> Bytes {
        let next = Json::with_capacity(ROW_BYTES * usize::from(PAGE_ROWS_MAX));
        Bytes::from(std::mem::replace(&mut self.out, next).into_bytes())
    }
}

/// What `step` writes, as an answer: each call writes a page, and says whether there is more. A
/// short answer is one piece; of a long one the first piece is written before the answer begins, so
/// that what is wrong can still be said.
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

/// The next piece, until there is none.
async fn piece<S>(left: Option<(Rows, S)>) -> Result<Option<(Bytes, Option<(Rows, S)>)>, io::Error>
where
    S: FnMut(&mut Rows) -> Result<bool, Problem>,
{
    let Some((mut rows, mut step)) = left else {
        return Ok(None);
    };
    loop {
        // Pages that show nothing are read one after another; others must get their turn.
        tokio::task::yield_now().await;
        // The cause has been logged, and the answer breaks off: there is no other way to tell.
        let more = step(&mut rows);
        let more = more.map_err(|_logged| io::Error::other("the list cannot be read"))?;
        if !more || !rows.out.is_empty() {
            let piece = rows.take();
            return Ok(Some((piece, more.then_some((rows, step)))));
        }
    }
}
