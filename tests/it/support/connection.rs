//! Connections on which a test sends and reads the bytes itself.

use std::time::Duration;

use session_ledger::app::http_server::Patience;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::app::App;

/// Longer than any test takes.
const NEVER: Duration = Duration::from_hours(1);

/// Timeouts that do not pass during a test.
pub(crate) const ENDLESS: Patience = Patience {
    head: NEVER,
    idle: NEVER,
    buffers: NEVER,
    body: NEVER,
    write: NEVER,
    answer: NEVER,
    arrival: NEVER,
    finish: NEVER,
};

/// Opens a connection and sends a text.
pub(crate) async fn send(app: &App, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(app.host()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Returns everything that the server sends before it closes the connection.
pub(crate) async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset also closes the connection.
    drop(stream.read_to_end(&mut bytes).await);
    String::from_utf8(bytes).unwrap()
}
