//! The body of an answer. It keeps its request under way until the connection has taken all of it.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

use crate::http::UnderWay;

/// The body of an answer.
pub(super) struct Answer {
    pub(super) body: axum::body::Body,
    #[expect(dead_code, reason = "only its drop has an effect")]
    pub(super) under_way: UnderWay,
}

impl Body for Answer {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
