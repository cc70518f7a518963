//! A stream whose first bytes were read before: they are read again first.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// A stream, and bytes of it that were read before.
pub(super) struct Rewound<S> {
    stream: S,
    /// Empty, and without memory, most of the time.
    unread: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Rewound<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// The bytes that are read next, as far as they were read before.
    pub(super) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Puts bytes back that were just read.
    pub(super) fn rewind(&mut self, bytes: &[u8]) {
        self.unread.splice(..0, bytes.iter().copied());
    }

    /// Waits for more bytes, and adds at most `N` of them to the unread ones. Returns how many; zero
    /// at the end of the stream. It is safe to cancel.
    pub(super) async fn peek_more<const N: usize>(&mut self) -> io::Result<usize> {
        let mut bytes = [0; N];
        let count = self.stream.read(&mut bytes).await?;
        self.unread.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let count = self.unread.len().min(into.remaining());
        into.put_slice(&self.unread[..count]);
        self.unread.drain(..count);
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_that_were_put_back_are_read_first_and_in_order() {
        let mut stream = Rewound::new(&b"cdefgh"[..]);
        assert_eq!(stream.peek_more::<2>().await.unwrap(), 2);
        stream.rewind(b"ab");
        assert_eq!(stream.unread(), b"abcd");
        let mut three = [0; 3];
        stream.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"abc");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"defgh");
        assert_eq!(stream.peek_more::<2>().await.unwrap(), 0);
    }
}
