//! Two servers on one stream: a command sent to one may be retried at the other.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::app::{Config, LogSource, Running, start};
use session_ledger::log::jetstream::JetStreamConfig;

use crate::support::cli::{Server, run, stdout};
use crate::support::client::{Answer, Client, created};
use crate::support::nats::NatsServer;

/// Two servers that share a token secret, or generate their own.
struct Servers {
    _nats: NatsServer,
    ledgers: [Running; 2],
    _dirs: [tempfile::TempDir; 2],
}

impl Servers {
    async fn start(secret: Option<PathBuf>) -> Self {
        let nats = NatsServer::start().await;
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let one = |dir: &tempfile::TempDir| {
            let config = Config {
                log: LogSource::JetStream(JetStreamConfig::new(vec![nats.url().to_owned()])),
                token_secret_file: secret.clone(),
                ..Config::local(dir.path().to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)))
            };
            Box::pin(start(config))
        };
        let ledgers = [one(&dirs[0]).await.unwrap(), one(&dirs[1]).await.unwrap()];
        Self {
            _nats: nats,
            ledgers,
            _dirs: dirs,
        }
    }

    async fn create(&self, server: usize) -> Answer {
        let body = json!({"agent_id": "a1", "ttl_seconds": 60});
        self.give(server, "/v1/agent-sessions", &body).await
    }

    async fn give(&self, server: usize, path: &str, body: &Value) -> Answer {
        let client = Client::new(&self.ledgers[server].url(), "acme");
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", "k"),
        ];
        let body = body.to_string().into_bytes();
        client.send(Method::POST, path, &headers, body).await
    }

    async fn is_active(&self, server: usize, token: &Value) -> bool {
        let path = "/v1/agent-sessions/introspect";
        let told = self.give(server, path, &json!({"token": token})).await;
        told.ok()["active"] == true
    }

    async fn stop(self) {
        for ledger in self.ledgers {
            ledger.stop().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_share_a_secret_answer_a_retry_with_the_same_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "5a".repeat(32)).unwrap();
    let servers = Servers::start(Some(secret)).await;
    let agent = json!({"agent_id": "a1"});
    assert_eq!(servers.give(0, "/v1/agents", &agent).await.status, 201);
    let first = servers.create(0).await;
    let again = servers.create(1).await;
    assert_eq!((first.status, again.status), (201, 200), "{}", again.text);
    let (first, again) = (first.json(), again.json());
    for same in ["session", "token", "refresh_token"] {
        assert_eq!(first[same], again[same], "{same}");
    }
    assert!(servers.is_active(1, &first["token"]).await);
    servers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_another_secret_makes_no_second_session_and_no_wrong_tokens() {
    let servers = Servers::start(None).await;
    let agent = json!({"agent_id": "a1"});
    assert_eq!(servers.give(0, "/v1/agents", &agent).await.status, 201);
    let first = servers.create(0).await;
    assert_eq!(first.status, 201);
    let problem = servers
        .create(1)
        .await
        .problem(409, "tokens_of_another_node");
    assert_eq!(problem.get("token"), None);
    assert!(servers.is_active(1, &first.json()["token"]).await);
    let client = Client::new(&servers.ledgers[1].url(), "acme");
    assert_eq!(client.get("/v1/agent-sessions").await.ok()["total"], 1);
    servers.stop().await;
}

#[tokio::test]
async fn a_server_that_starts_says_that_another_one_has_another_secret() {
    let nats = NatsServer::start().await;
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let on_nats = ["--nats-url", nats.url()];
    let first = Server::start_with(dirs[0].path(), &on_nats);
    let client = Client::new(first.url(), "acme");
    let headers = [("content-type", "application/json")];
    for (path, body) in [
        ("/v1/agents", json!({"agent_id": "a1"})),
        ("/v1/agent-sessions", json!({"agent_id": "a1"})),
    ] {
        let body = body.to_string().into_bytes();
        let given = client.send(Method::POST, path, &headers, body).await;
        assert_eq!(given.status, 201, "{}", given.text);
    }
    let secret = dirs[0].path().join("token.secret");
    let shared = ["--token-secret-file", secret.to_str().unwrap()];
    for (more, warns) in [(&[][..], true), (&shared[..], false)] {
        let second = Server::start_with(dirs[1].path(), &[&on_nats, more].concat());
        let said = second.started();
        assert_eq!(
            said.contains("were made from another secret"),
            warns,
            "{said}"
        );
        let own = ["doctor", "--data-dir", dirs[1].path().to_str().unwrap()];
        let checked = stdout(&run(&[&own, &on_nats[..], more].concat()));
        assert_eq!(
            checked.contains("token secret      warn"),
            warns,
            "{checked}"
        );
        drop(second.terminate());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_at_one_position_have_one_digest_that_changes_with_each_event() {
    let servers = Servers::start(None).await;
    let mut seen = HashSet::new();
    for number in 0..3 {
        let client = Client::new(&servers.ledgers[0].url(), "acme");
        let session = created(&format!("s{number}"), "a1", "2026-01-31T12:00:00Z");
        let position = client.apply(&session).await;
        let path = format!("/v1/status?min_position={position}");
        let mut digests = Vec::new();
        for ledger in &servers.ledgers {
            let client = Client::new(&ledger.url(), "acme");
            let status = client.get(&path).await.ok();
            assert_eq!(status["as_of"]["position"], position);
            digests.push(status["digest"].as_str().unwrap().to_owned());
        }
        assert_eq!(digests[0], digests[1]);
        assert!(seen.insert(digests.remove(0)), "{seen:?}");
    }
    servers.stop().await;
}
