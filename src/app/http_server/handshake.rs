//! The TLS handshake of a connection, and what a client gets if it fails.

use std::io;
use std::time::Duration;

use rustls::Error as TlsError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::socket::Socket;
use crate::app::tls::Tls;
use crate::domain::limits::{TLS_GOODBYE_MS, TLS_UNSENT_BYTES};

/// The first byte of every TLS connection: the type of a record that belongs to a handshake.
const HANDSHAKE: u8 = 22;
/// Most bytes that the server takes from a client after the handshake failed.
const GOODBYE_BYTES_MAX: u64 = 64 * 1024;
/// The answer to a client that speaks plain HTTP.
const PLAIN_HTTP: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
                          Content-Length: 53\r\nConnection: close\r\n\r\n\
                          this address speaks TLS only: use https:// in the URL";

/// Why there is no TLS connection.
pub(super) enum NoTls {
    /// The client closed the connection before it sent anything, as TCP health checks do.
    Silent,
    /// The client does not speak TLS, but HTTP perhaps.
    Plain(Socket),
    /// The handshake failed.
    Failed(io::Error, Socket),
    /// The connection is broken.
    Broken(io::Error),
    /// The client took too long.
    Late,
    /// The server closes the connection, and says why.
    Closed(&'static str),
}

/// Makes the handshake. It takes as long as the client does, so the caller bounds the time.
pub(super) async fn shake_hands(socket: Socket, tls: &Tls) -> Result<TlsStream<Socket>, NoTls> {
    match socket.first_byte().await {
        Ok(Some(HANDSHAKE)) => {}
        Ok(Some(_other)) => return Err(NoTls::Plain(socket)),
        Ok(None) => return Err(NoTls::Silent),
        Err(error) => return Err(NoTls::Broken(error)),
    }
    let handshake = tls.acceptor().accept_with(socket, |session| {
        session.set_buffer_limit(Some(TLS_UNSENT_BYTES));
    });
    let done = handshake.into_fallible().await;
    done.map_err(|(error, socket)| NoTls::Failed(error, socket))
}

impl NoTls {
    /// The reason for the metrics; `None` if nothing failed.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Silent | Self::Closed(_) => None,
            Self::Late => Some("timeout"),
            Self::Plain(_) => Some("plain_http"),
            Self::Broken(_) => Some("disconnected"),
            Self::Failed(error, _) => Some(reason(error)),
        }
    }

    /// Logs why there is no connection, and lets the client read it.
    pub(super) async fn end(self) {
        let (socket, answer) = match self {
            Self::Silent => return,
            Self::Late => return super::log_close("did not finish its TLS handshake in time"),
            Self::Closed(why) => return super::log_close(why),
            Self::Broken(error) => {
                tracing::debug!("a connection ended before its TLS handshake: {error}");
                return;
            }
            Self::Plain(socket) => {
                tracing::debug!("a client did not speak TLS");
                (socket, PLAIN_HTTP)
            }
            Self::Failed(error, socket) => {
                tracing::debug!("a TLS handshake failed: {error}");
                (socket, "")
            }
        };
        let wait = Duration::from_millis(TLS_GOODBYE_MS);
        // A client that went away needs no answer.
        drop(timeout(wait, say_goodbye(socket, answer)).await);
    }
}

/// Returns why a handshake failed, as a label of the metrics.
fn reason(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|it| it.downcast_ref()) {
        Some(TlsError::NoCertificatesPresented | TlsError::InvalidCertificate(_)) => {
            "client_certificate"
        }
        Some(TlsError::AlertReceived(_)) => "rejected_by_client",
        Some(_other) => "protocol",
        None => "disconnected",
    }
}

/// Sends the answer, and takes what the client has sent. If the server closed the socket with unread
/// bytes, the system would reset the connection, and the client might lose the answer or the alert.
async fn say_goodbye(mut socket: Socket, answer: &str) -> io::Result<()> {
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await?;
    tokio::io::copy(&mut socket.take(GOODBYE_BYTES_MAX), &mut tokio::io::sink()).await?;
    Ok(())
}
