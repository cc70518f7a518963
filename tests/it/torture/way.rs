//! A way between two processes: a relay on loopback that faults cut.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::proxy::Proxy;

/// A relay. It forwards nothing while at least one fault cuts it.
pub(crate) struct Way {
    proxy: Proxy,
    cuts: AtomicU32,
}

impl Way {
    /// Starts a relay that leads nowhere yet.
    pub(crate) async fn start() -> Self {
        Self {
            proxy: Proxy::start().await,
            cuts: AtomicU32::new(0),
        }
    }

    /// Starts a relay to a port.
    pub(crate) async fn to(port: u16) -> Self {
        let way = Self::start().await;
        way.aim(port);
        way
    }

    /// The port on which the relay listens.
    pub(crate) fn port(&self) -> u16 {
        self.proxy.port()
    }

    /// Sets the port that new connections reach.
    pub(crate) fn aim(&self, port: u16) {
        self.proxy.aim(port);
    }

    pub(crate) fn cut(&self) {
        if self.cuts.fetch_add(1, Ordering::Relaxed) == 0 {
            self.proxy.cut();
        }
    }

    /// Takes back one [`Way::cut`].
    pub(crate) fn heal(&self) {
        if self.cuts.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.proxy.heal();
        }
    }
}
