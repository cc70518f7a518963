//! A whole ledger in this process, with its log on a real NATS server.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use serde_json::Value;
use session_ledger::app::{Config, LogSource, Running, start};
use session_ledger::log::jetstream::JetStreamConfig;

use super::client::Client;
use super::nats::NatsServer;

/// The subject of `session.created` of the tenant `acme`.
pub(crate) const CREATED: &str = "ledger.v1.acme.session.created";

/// A ledger with its log on its own NATS server.
pub(crate) struct World {
    pub(crate) nats: NatsServer,
    pub(crate) ledger: Running,
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let nats = NatsServer::start().await;
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(&nats, dir.path()).await;
        Self { nats, ledger, dir }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.ledger.url(), "acme")
    }

    /// Returns a NATS client that is not the ledger.
    pub(crate) async fn runtime(&self) -> Context {
        jetstream::new(async_nats::connect(self.nats.url()).await.unwrap())
    }

    /// Returns the total of the sessions, once this position is folded.
    pub(crate) async fn total(&self, position: u64) -> u64 {
        let path = format!("/v1/agent-sessions?limit=1&min_position={position}");
        self.client().get(&path).await.ok()["total"]
            .as_u64()
            .unwrap()
    }
}

/// Starts a ledger on a NATS server.
pub(crate) async fn ledger(nats: &NatsServer, dir: &Path) -> Running {
    let config = Config {
        log: LogSource::JetStream(JetStreamConfig::new(vec![nats.url().to_owned()])),
        ..Config::local(dir.to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)))
    };
    Box::pin(start(config)).await.unwrap()
}

/// Publishes an event until it is acknowledged, as a runtime that retries forever.
pub(crate) async fn publish(nats: &Context, subject: &'static str, body: &Value) -> u64 {
    let body = bytes::Bytes::from(body.to_string());
    loop {
        if let Ok(ack) = nats.publish(subject, body.clone()).await
            && let Ok(ack) = ack.await
        {
            return ack.sequence;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until `/readyz` has this status. Returns its text.
pub(crate) async fn until_ready_is(client: &Client, status: u16) -> String {
    loop {
        let answer = client.get("/readyz").await;
        if answer.status == status {
            return answer.text;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
