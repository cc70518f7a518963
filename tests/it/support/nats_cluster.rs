//! A cluster of three real NATS servers, whose servers a test can kill, pause and cut off.
//!
//! Clients and servers reach each server through a proxy. The addresses that servers tell each other lead
//! nowhere, so no connection bypasses the proxies.

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use serde_json::Value;
use session_ledger::log::jetstream::{JetStreamConfig, prepare};

use super::nats::{NatsServer, Setup};
use super::proxy::Proxy;

/// The number of servers.
pub(crate) const NODES: usize = 3;
/// The pause before a server is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a server may take to answer. The one that is asked may have lost its leader.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// A port on which nothing listens.
pub(crate) const NOWHERE: &str = "127.0.0.1:1";

/// A running cluster. Its servers are killed, and their stores removed, when it is dropped.
pub(crate) struct NatsCluster {
    nodes: Vec<Node>,
    /// Of each server the proxies to the others.
    routes: Vec<Vec<Proxy>>,
    monitor: reqwest::Client,
}

struct Node {
    server: NatsServer,
    clients: Proxy,
}

impl NatsCluster {
    /// Starts a cluster with empty stores, and creates the streams with three replicas.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| String::new()).await
    }

    /// Starts a cluster as [`NatsCluster::start`] does, with more text in the configuration of each server.
    pub(crate) async fn start_with(extra: impl Fn(usize) -> String) -> Self {
        let cluster = Self::start_servers(|number, routes| Setup {
            config: format!(
                "server_name: n{number}\nlisten: \"127.0.0.1:{{PORT}}\"\n\
                 http: \"127.0.0.1:-1\"\njetstream {{ store_dir: \"{{DIR}}\" }}\n\
                 cluster {{ name: tests, listen: \"127.0.0.1:-1\", advertise: \"{NOWHERE}\", \
                 no_advertise: true, routes: [{}] }}\n{}",
                routes.join(", "),
                extra(number)
            ),
            env: Vec::new(),
            included: None,
        })
        .await;
        while !Box::pin(cluster.try_prepare()).await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        cluster.settled().await;
        cluster
    }

    /// Starts servers with empty stores. `setup` gets the number of a server and the addresses of the
    /// others.
    pub(crate) async fn start_servers(setup: impl Fn(usize, &[String]) -> Setup) -> Self {
        // reqwest needs a TLS provider even for plain HTTP. Installing a second one has no effect.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut routes = Vec::new();
        for _ in 0..NODES {
            let mut proxies = Vec::new();
            for _ in 1..NODES {
                proxies.push(Proxy::start().await);
            }
            routes.push(proxies);
        }
        let mut nodes = Vec::new();
        for (number, proxies) in routes.iter().enumerate() {
            let urls: Vec<_> = proxies.iter().map(url).collect();
            let server = NatsServer::start_as(setup(number, &urls)).await;
            let clients = Proxy::start().await;
            nodes.push(Node { server, clients });
        }
        let monitor = reqwest::Client::builder()
            .no_proxy()
            .timeout(ANSWER_MAX)
            .build()
            .unwrap();
        let cluster = Self {
            nodes,
            routes,
            monitor,
        };
        (0..NODES).for_each(|node| cluster.aim(node));
        cluster
    }

    /// The addresses of all servers for clients.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| url(&node.clients)).collect()
    }

    /// The settings of a ledger on this cluster.
    pub(crate) fn config(&self) -> JetStreamConfig {
        JetStreamConfig {
            replicas: NODES,
            ..JetStreamConfig::new(self.urls())
        }
    }

    async fn try_prepare(&self) -> bool {
        let prepared = Box::pin(prepare(&self.config())).await;
        prepared.is_ok_and(|streams| streams.iter().all(|stream| stream.prepared.is_ok()))
    }

    /// Points the proxies at a server that listens on new ports.
    fn aim(&self, node: usize) {
        let server = &self.nodes[node].server;
        self.nodes[node].clients.aim(server.port_for("nats"));
        for other in others(node) {
            self.route(other, node).aim(server.port_for("cluster"));
        }
    }

    /// The proxy from a server to another one.
    fn route(&self, from: usize, to: usize) -> &Proxy {
        let index = others(from).position(|other| other == to).unwrap();
        &self.routes[from][index]
    }

    /// Ends a server at once (SIGKILL).
    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node].server.kill();
    }

    /// Ends a server gracefully (SIGTERM).
    pub(crate) fn terminate(&mut self, node: usize) {
        self.nodes[node].server.terminate();
    }

    /// Starts a server again, with its store.
    pub(crate) async fn restart(&mut self, node: usize) {
        self.nodes[node].server.restart_elsewhere().await;
        self.aim(node);
    }

    /// Makes a server hang (SIGSTOP).
    pub(crate) fn pause(&self, node: usize) {
        self.nodes[node].server.pause();
    }

    /// Lets a server that hangs go on (SIGCONT).
    pub(crate) fn go_on(&self, node: usize) {
        self.nodes[node].server.go_on();
    }

    /// Cuts a server off from the others. Clients still reach it.
    pub(crate) fn cut_off(&self, node: usize) {
        self.routes_of(node).for_each(Proxy::cut);
    }

    /// Connects a server with the others again.
    pub(crate) fn heal(&self, node: usize) {
        self.routes_of(node).for_each(Proxy::heal);
    }

    fn routes_of(&self, node: usize) -> impl Iterator<Item = &Proxy> {
        others(node).flat_map(move |other| [self.route(node, other), self.route(other, node)])
    }

    /// Waits until the stream of events has a leader, by the account of most servers. Returns it.
    pub(crate) async fn leader(&self) -> usize {
        loop {
            if let Some(leader) = self.try_leader().await {
                return leader;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn try_leader(&self) -> Option<usize> {
        let answer = self.info().await?;
        number(answer.cluster.as_ref()?.leader.as_deref()?)
    }

    /// Waits until the stream of events has a leader other than this one.
    pub(crate) async fn leader_other_than(&self, node: usize) -> usize {
        loop {
            match self.try_leader().await {
                Some(leader) if leader != node => return leader,
                Some(_) | None => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Waits until the stream of events has a leader and two followers that have all records.
    pub(crate) async fn settled(&self) {
        loop {
            let info = self.info().await.and_then(|info| info.cluster);
            let current = info.map_or(0, |info| {
                let replicas = info.replicas.iter();
                replicas
                    .filter(|replica| replica.current && !replica.offline)
                    .count()
            });
            if current + 1 == NODES {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What the leader of the stream says about it.
    async fn info(&self) -> Option<stream::Info> {
        let options = async_nats::ConnectOptions::new()
            .connection_timeout(ANSWER_MAX)
            .request_timeout(Some(ANSWER_MAX));
        let client = options.connect(self.urls()).await.ok()?;
        let stream = jetstream::new(client).get_stream("LEDGER").await.ok()?;
        Some(stream.cached_info().clone())
    }

    /// Waits until the cluster has a leader, by the account of a server. Returns it.
    pub(crate) async fn meta_leader(&self) -> usize {
        loop {
            for node in 0..NODES {
                let Some(told) = self.monitored(node, "/jsz").await else {
                    continue;
                };
                let told: Value = serde_json::from_str(&told).unwrap();
                let leader = told["meta_cluster"]["leader"].as_str();
                if let Some(leader) = leader.and_then(number) {
                    return leader;
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What a server answers on its port for monitoring; `None` if it does not answer.
    pub(crate) async fn monitored(&self, node: usize, path: &str) -> Option<String> {
        let server = &self.nodes[node].server;
        let port = server
            .is_listening()
            .then(|| server.port_for("monitoring"))?;
        let answer = self.monitor.get(format!("http://127.0.0.1:{port}{path}"));
        answer.send().await.ok()?.text().await.ok()
    }

    /// Lets another server lead the stream of events, and waits until one does.
    pub(crate) async fn step_down(&self) {
        let leader = self.leader().await;
        let client = async_nats::connect(self.urls()).await.unwrap();
        let subject = "$JS.API.STREAM.LEADER.STEPDOWN.LEDGER";
        client.request(subject, "".into()).await.unwrap();
        self.leader_other_than(leader).await;
    }
}

fn url(proxy: &Proxy) -> String {
    format!("nats://127.0.0.1:{}", proxy.port())
}

fn number(name: &str) -> Option<usize> {
    name.strip_prefix('n')?.parse().ok()
}

/// The other servers of a cluster.
pub(crate) fn others(node: usize) -> impl Iterator<Item = usize> {
    (0..NODES).filter(move |other| *other != node)
}
