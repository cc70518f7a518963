//! The addresses that a ledger listens on: its own, and those that serve one dialect only.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;

use crate::app::config::Config;
use crate::app::http_server::{self, Address, Patience, Room};
use crate::app::tasks::Tasks;
use crate::app::tls::Tls;
use crate::dialects::Dialect;

/// Bound addresses that are not served yet.
pub struct Listeners {
    own: TcpListener,
    of_dialects: Vec<(Dialect, TcpListener)>,
    tls: Option<Tls>,
}

/// The addresses that a ledger serves on.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The address that serves everything.
    pub own: SocketAddr,
    /// The addresses that serve one dialect each.
    pub of_dialects: Vec<(Dialect, SocketAddr)>,
    /// The scheme of all URLs: `http` or `https`.
    pub scheme: &'static str,
}

impl Listeners {
    /// Binds every address of a configuration. With `tls`, all of them serve only TLS.
    pub async fn bind(config: &Config, tls: Option<Tls>) -> anyhow::Result<Self> {
        let own = bind(config.listen).await?;
        let mut of_dialects = Vec::with_capacity(config.dialects.len());
        for wanted in &config.dialects {
            of_dialects.push((wanted.dialect, bind(wanted.listen).await?));
        }
        Ok(Self {
            own,
            of_dialects,
            tls,
        })
    }

    /// The bound addresses, with the actual port instead of port 0.
    pub fn addresses(&self) -> anyhow::Result<Addresses> {
        let mut of_dialects = Vec::with_capacity(self.of_dialects.len());
        for (dialect, listener) in &self.of_dialects {
            of_dialects.push((*dialect, listener.local_addr()?));
        }
        let own = self.own.local_addr()?;
        Ok(Addresses {
            own,
            of_dialects,
            scheme: if self.tls.is_some() { "https" } else { "http" },
        })
    }

    /// Serves on all addresses until `requests` is stopped. The addresses share `room`.
    pub fn serve(self, whole: &Router, room: &Arc<Room>, requests: &mut Tasks) {
        let routers = self
            .of_dialects
            .into_iter()
            .map(|(dialect, listener)| (listener, dialect.router(whole.clone())));
        for (listener, router) in routers.chain([(self.own, whole.clone())]) {
            let room = Arc::clone(room);
            let tls = self.tls.clone();
            let address = Address { listener, tls };
            requests.spawn("http", |stop| {
                http_server::run(address, router, Patience::default(), room, stop)
            });
        }
    }
}

impl Addresses {
    /// The base URL of the address that serves everything, without a slash at its end.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.own)
    }

    /// Logs the addresses.
    pub fn announce(&self) {
        let scheme = self.scheme;
        for (dialect, addr) in &self.of_dialects {
            let name = dialect.as_str();
            tracing::info!(
                http.addr = %addr,
                dialect = name,
                "serving only the dialect `{name}` on {scheme}://{addr}"
            );
        }
        let addr = self.own;
        tracing::info!(http.addr = %addr, "serving on {scheme}://{addr}");
    }
}

async fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(addr).await;
    bound.with_context(|| format!("cannot listen on {addr}"))
}
