//! A full run, and then a search through all its answers and output: they must have no token, no key,
//! and no hash of either.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::cli::{Server, command, ok, stderr, stdout};
use crate::support::client::{Answer, Client};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const SESSIONS: &str = "/v1/agent-sessions";

/// All answers and output, and the secrets that must not be in them.
#[derive(Default)]
struct Seen {
    texts: Vec<String>,
    secrets: Vec<String>,
}

impl Seen {
    /// Records an answer without the members that may hold a secret, and records these secrets.
    fn note(&mut self, answer: &Answer) -> Value {
        let mut body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        for member in ["token", "refresh_token", "key", "credential"] {
            let given = body.as_object_mut().and_then(|body| body.remove(member));
            if let Some(Value::String(token)) = given {
                self.secrets.push(token);
            }
        }
        let text = if body.is_null() {
            answer.text.clone()
        } else {
            body.to_string()
        };
        self.texts.push(format!("{:?}\n{text}", answer.headers));
        serde_json::from_str(&answer.text).unwrap_or_default()
    }

    /// Checks that no text has a secret, or its hash in any usual encoding.
    fn search(&self) {
        assert!(8 < self.secrets.len(), "too few tokens were given out");
        for secret in &self.secrets {
            let separator = if secret.contains('.') { '.' } else { '_' };
            let hash = Sha256::digest(secret);
            let spellings = [
                secret.clone(),
                // The secret part, without the id of the session or key.
                secret.rsplit(separator).next().unwrap().to_owned(),
                hex::encode(hash),
                hex::encode_upper(hash),
                STANDARD.encode(hash),
                URL_SAFE_NO_PAD.encode(hash),
                format!("{:?}", hash.as_slice()),
            ];
            for text in &self.texts {
                for spelling in &spellings {
                    assert!(!text.contains(spelling), "{spelling} is in {text}");
                }
            }
        }
    }
}

/// A client that records all answers.
struct Visit {
    client: Client,
    seen: Seen,
}

impl Visit {
    async fn give(&mut self, method: Method, path: &str, body: &Value) -> Value {
        let body = body.to_string().into_bytes();
        let answer = self.client.send(method, path, &JSON, body).await;
        self.seen.note(&answer)
    }

    async fn get(&mut self, path: &str) -> Value {
        let answer = self.client.get(path).await;
        self.seen.note(&answer)
    }

    /// Runs every command, with the token that it takes. Some of them fail.
    async fn command_everything(&mut self) {
        for agent in ["a1", "a2"] {
            let body = json!({"agent_id": agent});
            self.give(Method::POST, "/v1/agents", &body).await;
        }
        for _ in 0..3 {
            let body = json!({"agent_id": "a1", "ttl_seconds": 3600});
            let created = self.give(Method::POST, SESSIONS, &body).await;
            let session = created["session"]["session_id"].as_str().unwrap();
            let path = format!("{SESSIONS}/{session}");
            let (refresh, hand_off) = (format!("{path}/refresh"), format!("{path}/handoff"));
            let presented = json!({"refresh_token": created["refresh_token"]});
            self.give(Method::POST, &refresh, &presented).await;
            self.give(Method::POST, &refresh, &presented).await;
            let misplaced = json!({"token": created["token"]});
            self.give(Method::POST, &refresh, &misplaced).await;
            self.give(Method::POST, SESSIONS, &misplaced).await;
            let introspect = format!("{SESSIONS}/introspect");
            self.give(Method::POST, &introspect, &misplaced).await;
            self.give(Method::POST, &introspect, &json!([created["token"]]))
                .await;
            let to = json!({"to_agent_id": "a2"});
            let child = self.give(Method::POST, &hand_off, &to).await;
            self.give(Method::POST, &hand_off, &to).await;
            let child = child["session"]["session_id"].as_str().unwrap();
            let path = format!("{SESSIONS}/{child}");
            self.give(Method::DELETE, &path, &json!({})).await;
            self.give(Method::DELETE, &path, &json!({})).await;
        }
        self.emit_secrets().await;
        self.sign_in().await;
        for roles in [json!(["read"]), json!(["read", "write"]), json!(["none"])] {
            let body = json!({"roles": roles});
            let issued = self.give(Method::POST, "/v1/keys", &body).await;
            if let Some(id) = issued["key_id"].as_str() {
                let path = format!("/v1/keys/{id}");
                self.give(Method::DELETE, &path, &Value::Null).await;
            }
        }
        let key = self.seen.secrets.last().unwrap().clone();
        let revoked = self.client.with_key(&key).get("/v1/status").await;
        assert_eq!(revoked.status, 401);
        self.seen.note(&revoked);
    }

    /// Makes sign-in codes, and uses one twice.
    async fn sign_in(&mut self) {
        let path = "/v1/sign-in-codes";
        for _ in 0..2 {
            let made = self.client.send(Method::POST, path, &[], Vec::new()).await;
            let code = made.json()["code"].as_str().unwrap().to_owned();
            self.seen.texts.push(format!("{:?}", made.headers));
            for _ in 0..2 {
                let given = [("x-sign-in-code", code.as_str())];
                let answer = self
                    .client
                    .send(Method::POST, "/sign-in", &given, Vec::new())
                    .await;
                self.seen.note(&answer);
            }
            self.seen.secrets.push(code);
        }
    }

    /// Emits events with secrets in the wrong places, as a faulty runtime might.
    async fn emit_secrets(&mut self) {
        let token = self.seen.secrets[0].clone();
        for data in [
            json!({"agent_id": "a1", "token": token}),
            json!({"agent_id": "a1", "refresh_token": token}),
        ] {
            let event = json!({
                "specversion": "1.0", "id": "e", "source": "/t", "type": "session.created",
                "subject": "s", "data": data,
            });
            let answer = self.client.emit(&event).await;
            self.seen.note(&answer);
        }
    }

    /// Makes every kind of read.
    async fn read_everything(&mut self) {
        let listed = self.get(&format!("{SESSIONS}?limit=200")).await;
        for session in listed["sessions"].as_array().unwrap() {
            let session = session["session_id"].as_str().unwrap();
            self.get(&format!("{SESSIONS}/{session}")).await;
            self.get(&format!("{SESSIONS}/{session}/events")).await;
        }
        let events = self.get("/v1/events?limit=1000").await;
        for event in events["events"].as_array().unwrap() {
            self.get(&format!("/v1/events/{}", event["position"])).await;
        }
        for path in [
            "/v1/agents",
            "/v1/agents/a1",
            "/v1/agent-sessions/count",
            "/v1/rejections",
            "/v1/status",
            "/v1/keys",
            "/metrics",
            "/readyz",
        ] {
            self.get(path).await;
        }
        let ndjson = [("accept", "application/x-ndjson")];
        let path = "/v1/events?limit=1000";
        let answer = self.client.send(Method::GET, path, &ndjson, Vec::new());
        let answer = answer.await;
        assert!(answer.text.lines().count() > 10, "{}", answer.text);
        self.seen.note(&answer);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_output_has_a_token_or_a_key_or_its_hash() {
    let dir = tempfile::tempdir().unwrap();
    let roles = [
        "--role=admin",
        "--role=read",
        "--role=write",
        "--role=audit",
    ];
    let target = [
        "--tenant",
        "acme",
        "--data-dir",
        dir.path().to_str().unwrap(),
    ];
    let issued = ok(&[&["keys", "issue", "--json"], &roles[..], &target].concat());
    let issued: Value = serde_json::from_str(&issued).unwrap();
    let key = issued["key"].as_str().unwrap();
    let server = Server::start_guarded(dir.path(), &["--log-level", "trace"]);
    let mut visit = Visit {
        client: Client::new(server.url(), "acme").with_key(key),
        seen: Seen::default(),
    };
    visit.seen.secrets.push(key.to_owned());
    visit.command_everything().await;
    visit.read_everything().await;
    let mut seen = visit.seen;
    for args in [&["list", "--all", "--json"][..], &["events"]] {
        let output = command(&server.args(args))
            .env("SESSION_LEDGER_KEY", key)
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        seen.texts.push(stdout(&output) + &stderr(&output));
    }
    seen.texts.push(server.started().to_owned());
    let (_code, logged) = server.terminate();
    assert!(logged.contains("DEBUG"), "{logged}");
    seen.texts.push(logged);
    seen.search();
}
