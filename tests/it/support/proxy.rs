//! A TCP proxy on loopback, whose connections a test can cut off and heal.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A proxy. Its port stays the same, whatever happens to the server behind it.
pub(crate) struct Proxy {
    port: u16,
    target: Arc<AtomicU16>,
    open: watch::Sender<bool>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy that has no server yet: it closes all connections.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Arc::new(AtomicU16::new(0));
        let (open, opened) = watch::channel(true);
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&target), opened));
        Self {
            port,
            target,
            open,
            _task: task,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Sets the port of the server.
    pub(crate) fn aim(&self, port: u16) {
        self.target.store(port, Ordering::Relaxed);
    }

    /// Forwards nothing until [`Proxy::heal`]. No connection ends, as if a cable was cut.
    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Forwards everything again, also what was sent while it was cut.
    pub(crate) fn heal(&self) {
        self.open.send_replace(true);
    }
}

#[expect(clippy::infinite_loop, reason = "the proxy aborts the task")]
async fn accept(listener: TcpListener, target: Arc<AtomicU16>, open: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        connections.spawn(connect(client, Arc::clone(&target), open.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// Ends when one of both sides does, or if the server cannot be reached.
async fn connect(client: TcpStream, target: Arc<AtomicU16>, open: watch::Receiver<bool>) {
    if open.clone().wait_for(|open| *open).await.is_err() {
        return;
    }
    let target = SocketAddr::from(([127, 0, 0, 1], target.load(Ordering::Relaxed)));
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    for stream in [&client, &server] {
        drop(stream.set_nodelay(true));
    }
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    tokio::select! {
        () = forward(from_client, to_server, open.clone()) => {}
        () = forward(from_server, to_client, open) => {}
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut open: watch::Receiver<bool>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if open.wait_for(|open| *open).await.is_err()
            || to.write_all(&bytes[..count]).await.is_err()
        {
            return;
        }
    }
}
