//! OTAS. No client is published, so the requests are those of its front end, its agents and its other
//! server. The tests compare every field of the answers with its documents.

mod calls;
mod failures;
mod keys;
mod lists;
mod pages;
mod refusals;

use std::sync::Arc;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use session_ledger::auth::Credentials;
use session_ledger::auth::jwt::{ClaimRules, Secret, TokenConfig, Tokens};
use session_ledger::domain::Timestamp;
use session_ledger::log::EventLog;

use crate::support::app::{App, NOW};
use crate::support::client::Answer;
use crate::support::tokens::Signer;

/// Two projects of one user.
const PROJECT: &str = "0198c7a0-5e0f-7d3a-9c43-1f6a2b3c4d5e";
const OTHER_PROJECT: &str = "0198c7a0-5e0f-7d3a-9c43-1f6a2b3c4d5f";
/// `NOW` as this API writes it.
const NOW_ISO: &str = "2026-01-31T12:00:00+00:00";
const IN_30_DAYS_ISO: &str = "2026-03-02T12:00:00+00:00";

const CREATE: &str = "/api/agent/v1/create/";
const LIST: &str = "/api/agent/v1/list/";
const AUTHENTICATE: &str = "/api/agent/v1/user/authenticate/";
const KEY_CREATE: &str = "/api/agent/v1/agents/key/create/";
const KEY_REVOKE: &str = "/api/agent/v1/agents/key/revoke/";
const SESSIONS: &str = "/api/agent/v1/sessions/list/";
const SESSION_CREATE: &str = "/api/agent/v1/session/create/";
const VERIFY: &str = "/api/agent/v1/auth/verify/";

const USERS_SECRET: &[u8] = b"a secret of at least 32 bytes, as the hash is long";

/// A ledger whose users have tokens of an issuer.
struct Otas {
    app: App,
    /// The token of an administrator of both projects.
    admin: String,
    /// The token of a member of both projects.
    member: String,
}

/// An agent, as in the answer to its creator.
struct Made {
    id: String,
    key: String,
    key_id: String,
}

impl Otas {
    async fn start() -> Self {
        Self::start_on(|log| log, |keys| keys).await
    }

    /// Starts a ledger with wrapped logs of events and of keys.
    async fn start_on(
        events: impl FnOnce(Arc<dyn EventLog>) -> Arc<dyn EventLog>,
        keys: impl FnOnce(Arc<dyn EventLog>) -> Arc<dyn EventLog>,
    ) -> Self {
        let tokens = tokens().await;
        let app = App::start_with_credentials_on(events, keys, |keys_alone| Credentials {
            tokens: Some(tokens),
            ..keys_alone
        });
        Self::of(app.await)
    }

    fn of(app: App) -> Self {
        Self {
            app,
            admin: token(&json!(["read", "write", "admin"])),
            member: token(&json!(["read"])),
        }
    }

    /// Sends a request of the front end.
    async fn page(&self, user: &str, project: &str, path: &str, body: Option<&str>) -> Answer {
        let method = body.map_or(Method::GET, |_| Method::POST);
        let headers = [
            ("x-otas-user-token", user),
            ("x-otas-project-id", project),
            ("content-type", "application/json"),
            ("origin", "http://localhost:5173"),
        ];
        self.send(method, path, &headers, body.unwrap_or_default())
            .await
    }

    /// Sends a request of an agent.
    async fn agent(&self, key: &str, path: &str, body: &str) -> Answer {
        let headers = [("x-otas-agent-key", key)];
        self.send(Method::POST, path, &headers, body).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let path = format!("/compat/otas{path}");
        let client = self.app.client("none");
        client.send_bare(method, &path, map, body.into()).await
    }

    /// Creates an agent of a project.
    async fn make(&self, project: &str, name: &str) -> Made {
        let body = json!({"agent_name": name, "agent_provider": "Claude"}).to_string();
        let answer = self.page(&self.admin, project, CREATE, Some(&body)).await;
        let made = succeeded(&answer, 201, "agent_created", "response");
        Made {
            id: text(&made["agent"]["id"]),
            key: text(&made["agent_key"]["api_key"]),
            key_id: text(&made["agent_key"]["id"]),
        }
    }

    /// Opens a session. Returns its id.
    async fn open(&self, key: &str, body: &str) -> String {
        let answer = self.agent(key, SESSION_CREATE, body).await;
        let opened = succeeded(&answer, 200, "agent_session_created", "response");
        text(&claims(&opened["jwt_token"])["agent_session_id"])
    }

    /// Gives an agent a new key.
    async fn rotate(&self, agent: &str) -> Answer {
        let body = json!({"agent_id": agent, "validity": 30}).to_string();
        self.page(&self.admin, PROJECT, KEY_CREATE, Some(&body))
            .await
    }

    /// Whether a key can open a session.
    async fn is_good(&self, key: &str) -> bool {
        let answer = self.agent(key, VERIFY, "{}").await;
        if answer.status != 200 {
            check_failure(&answer, 401, "invalid_agent_key");
        }
        answer.status == 200
    }

    /// Returns the sessions of an agent.
    async fn sessions(&self, project: &str, agent: &str) -> Vec<Value> {
        let path = format!("{SESSIONS}?agent_id={agent}");
        let answer = self.page(&self.member, project, &path, None).await;
        let listed = succeeded(&answer, 200, "agent_sessions_listed", "response");
        listed["sessions"].as_array().unwrap().clone()
    }
}

/// Returns a user's token with these roles in both projects.
fn token(roles: &Value) -> String {
    let now_s = Timestamp::parse(NOW).unwrap().micros() / 1_000_000;
    Signer::hs256(USERS_SECRET).token(&json!({
        "sub": "user-1",
        "iss": "https://issuer.example",
        "exp": now_s + 90 * 24 * 3600,
        "tenants": [PROJECT, OTHER_PROJECT],
        "roles": roles,
    }))
}

async fn tokens() -> Arc<Tokens> {
    let config = TokenConfig {
        key_set: None,
        pace: None,
        secret: Secret::new(USERS_SECRET),
        rules: ClaimRules::default(),
    };
    Arc::new(Tokens::open(config).await.unwrap())
}

/// Returns the payload of a call, which must have succeeded.
#[track_caller]
fn succeeded(answer: &Answer, status: u16, word: &str, payload: &str) -> Value {
    let mut body = answer.json();
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(answer.header("content-type"), "application/json");
    let members = body.as_object_mut().unwrap();
    let found = members.remove(payload).unwrap();
    let envelope = json!({"status": 1, "status_description": word});
    assert_eq!(body, envelope);
    found
}

/// Checks that an answer is a failure in the API's envelope.
#[track_caller]
fn check_failure(answer: &Answer, status: u16, word: &str) {
    let body = answer.json();
    assert_eq!(answer.status, status, "{word}: {body}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(body["status"], 0, "{body}");
    assert_eq!(body["status_description"], word, "{body}");
}

/// Returns the claims of a JWT.
fn claims(token: &Value) -> Value {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
