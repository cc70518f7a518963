//! Tells by the first bytes of a connection which version of HTTP the client speaks.

use std::io;

use tokio::io::AsyncRead;

use super::rewound::Rewound;

/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Waits until the client sends something, and takes no memory until then. `None` if the client
/// closes the connection instead. Only the first request of a connection may have another version than
/// HTTP/1. It is safe to cancel.
pub(super) async fn version<S: AsyncRead + Unpin>(
    stream: &mut Rewound<S>,
    is_first: bool,
) -> io::Result<Option<Version>> {
    loop {
        let unread = stream.unread();
        if is_first && unread.starts_with(PREFACE) {
            return Ok(Some(Version::Http2));
        }
        let is_known = !is_first && !unread.is_empty();
        if is_known || !PREFACE.starts_with(unread) {
            return Ok(Some(Version::Http1));
        }
        if stream.peek_more::<{ PREFACE.len() }>().await? == 0 {
            // The bytes may be the start of a request of HTTP/1, which gets an answer that says so.
            return Ok((!stream.unread().is_empty()).then_some(Version::Http1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn the_first_bytes_tell_the_version_and_stay_readable() {
        for (bytes, expected) in [
            (&b""[..], None),
            (b"P", Some(Version::Http1)),
            (b"PRI * HTTP/1.1\r\n\r\n", Some(Version::Http1)),
            (b"POST /v1/events HTTP/1.1\r\n", Some(Version::Http1)),
            (
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0",
                Some(Version::Http2),
            ),
        ] {
            let mut stream = Rewound::new(Cursor::new(bytes));
            assert_eq!(
                version(&mut stream, true).await.unwrap(),
                expected,
                "{bytes:?}"
            );
            let mut read = Vec::new();
            stream.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, bytes);
        }
    }

    #[tokio::test]
    async fn a_preface_may_come_in_pieces() {
        let (mut client, server) = duplex(64);
        let mut stream = Rewound::new(server);
        let ((), found) = tokio::join!(
            async {
                for byte in PREFACE {
                    client.write_all(&[*byte]).await.unwrap();
                    tokio::task::yield_now().await;
                }
            },
            version(&mut stream, true)
        );
        assert_eq!(found.unwrap(), Some(Version::Http2));
    }

    #[tokio::test]
    async fn a_later_request_is_one_of_http1() {
        for (bytes, expected) in [(&b""[..], None), (b"P", Some(Version::Http1))] {
            let mut stream = Rewound::new(Cursor::new(bytes));
            assert_eq!(version(&mut stream, false).await.unwrap(), expected);
        }
    }
}
