//! Three ways to send an event: commands over HTTP, processes of the command line, and events that a
//! runtime publishes on NATS. Each driver checks the answers.

use std::collections::HashMap;

use async_nats::jetstream::{self, Context};
use reqwest::Method;
use serde_json::{Map, Value, json};
use session_ledger::domain::{EventType, Reason};

use super::story::{Expect, Step};
use crate::support::cli::{Server, command, stderr, stdout, with_input};
use crate::support::client::Client;

/// Rejections because the state was reached before. A command reports them as success.
const DONE_BEFORE: [&str; 3] = ["already_ended", "already_suspended", "already_revoked"];

/// A way to send events.
pub(super) enum Driver {
    Http(Commands),
    Cli(Commands),
    Nats(Context),
}

/// A running ledger and a client of it.
pub(super) struct Ledger {
    pub(super) server: Server,
    pub(super) client: Client,
}

/// The state of a client that sends commands: the latest refresh token of each session.
#[derive(Default)]
pub(super) struct Commands {
    refresh_tokens: HashMap<String, String>,
}

impl Driver {
    pub(super) async fn nats(url: &str) -> Self {
        Self::Nats(jetstream::new(async_nats::connect(url).await.unwrap()))
    }

    /// Whether the driver sends events, and not commands.
    pub(super) fn is_runtime(&self) -> bool {
        matches!(self, Self::Nats(_))
    }

    /// Sends a step for a session or agent. Returns its position.
    pub(super) async fn give(&mut self, ledger: &Ledger, id: &str, step: &Step) -> u64 {
        match self {
            Self::Http(commands) => commands.over_http(ledger, id, step).await,
            Self::Cli(commands) => commands.by_process(&ledger.server, id, step),
            Self::Nats(_) => self.emit(ledger, &event(id, step)).await,
        }
    }

    /// Emits an event as a runtime does. Returns its position.
    pub(super) async fn emit(&self, ledger: &Ledger, event: &Value) -> u64 {
        match self {
            Self::Http(_) => ledger.client.apply(event).await,
            Self::Cli(_) => {
                let args = ledger.server.args(&["emit", "--file", "-", "--json"]);
                let (code, answer) = with_input(&args, &event.to_string());
                assert_eq!(code, Some(0), "{answer}");
                position(&serde_json::from_str(&answer).unwrap())
            }
            Self::Nats(nats) => {
                let subject = format!("ledger.v1.acme.{}", event["type"].as_str().unwrap());
                let published = nats.publish(subject, event.to_string().into()).await;
                published.unwrap().await.unwrap().sequence
            }
        }
    }
}

impl Ledger {
    pub(super) fn of(server: Server) -> Self {
        let client = Client::new(server.url(), "acme");
        Self { server, client }
    }
}

/// Returns the event of a step.
pub(super) fn event(id: &str, step: &Step) -> Value {
    json!({
        "specversion": "1.0", "id": uuid::Uuid::new_v4().to_string(), "source": "/tests",
        "type": step.event, "subject": id, "data": step.data,
    })
}

impl Commands {
    async fn over_http(&mut self, ledger: &Ledger, id: &str, step: &Step) -> u64 {
        let mut body = step.data.clone();
        let (sessions, agents) = ("/v1/agent-sessions", "/v1/agents");
        let (method, path) = match step.event {
            "session.created" => (Method::POST, sessions.to_owned()),
            "session.refreshed" => (Method::POST, format!("{sessions}/{id}/refresh")),
            "session.handed_off" => (Method::POST, format!("{sessions}/{id}/handoff")),
            "session.terminated" => (Method::DELETE, format!("{sessions}/{id}")),
            "agent.registered" => (Method::POST, agents.to_owned()),
            "agent.updated" => (Method::PATCH, format!("{agents}/{id}")),
            "agent.suspended" => (Method::POST, format!("{agents}/{id}/suspend")),
            "agent.reinstated" => (Method::POST, format!("{agents}/{id}/reinstate")),
            "agent.revoked" => (Method::POST, format!("{agents}/{id}/revoke")),
            other => panic!("no command says {other}"),
        };
        match step.event {
            "session.created" => body["session_id"] = json!(id),
            "agent.registered" => body["agent_id"] = json!(id),
            "session.refreshed" => body["refresh_token"] = json!(self.refresh_token(id)),
            _ => {}
        }
        let json = [("content-type", "application/json")];
        let body = body.to_string().into_bytes();
        let answer = ledger.client.send(method, &path, &json, body).await;
        match refusal(step) {
            None => {
                let opens = ["session.created", "session.handed_off", "agent.registered"];
                let opened = step.expect == Expect::Applied && opens.contains(&step.event);
                let status = if opened { 201 } else { 200 };
                assert_eq!(answer.status, status, "{}", answer.text);
            }
            Some((status, code)) => drop(answer.problem(status, code)),
        }
        self.remember(step, &answer.json())
    }

    fn by_process(&mut self, server: &Server, id: &str, step: &Step) -> u64 {
        let words = match step.event {
            "session.created" => ["sessions", "create"],
            "session.refreshed" => ["sessions", "refresh"],
            "session.handed_off" => ["sessions", "handoff"],
            "session.terminated" => ["sessions", "terminate"],
            "agent.registered" => ["agents", "register"],
            "agent.updated" => ["agents", "update"],
            "agent.suspended" => ["agents", "suspend"],
            "agent.reinstated" => ["agents", "reinstate"],
            "agent.revoked" => ["agents", "revoke"],
            other => panic!("no command says {other}"),
        };
        let options = options(step.data.as_object().unwrap());
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let args = [&words, &[id, "--json"], &options[..]].concat();
        let output = command(&server.args(&args))
            .env("SESSION_LEDGER_REFRESH_TOKEN", self.refresh_token(id))
            .output()
            .unwrap();
        let said = stderr(&output);
        match refusal(step) {
            None => assert_eq!((output.status.code(), &*said), (Some(0), ""), "{args:?}"),
            Some((_, code)) => {
                assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
                assert!(said.contains(&format!("({code})")), "{args:?}: {said}");
            }
        }
        self.remember(step, &serde_json::from_str(&stdout(&output)).unwrap())
    }

    fn refresh_token(&self, session: &str) -> &str {
        let token = self.refresh_tokens.get(session);
        token.map_or("there is no token", String::as_str)
    }

    /// Checks the verdict in an answer and stores its refresh token. Returns its position.
    fn remember(&mut self, step: &Step, answer: &Value) -> u64 {
        let applied = step.expect == Expect::Applied;
        let verdict = if applied { "applied" } else { "rejected" };
        assert_eq!(answer["verdict"], verdict, "{answer}");
        if let Some(token) = answer["refresh_token"].as_str() {
            let session = answer["session"]["session_id"].as_str().unwrap();
            self.refresh_tokens
                .insert(session.to_owned(), token.to_owned());
        }
        position(answer)
    }
}

/// Returns the status and code of a rejected command, or `None` if the command succeeds.
fn refusal(step: &Step) -> Option<(u16, &'static str)> {
    let code = match step.expect {
        Expect::Applied => return None,
        Expect::Rejected(code) if DONE_BEFORE.contains(&code) => return None,
        Expect::Rejected(code) => code,
        Expect::TooEarly => "not_found",
    };
    let status = match code {
        "not_found" => 404,
        "agent_revoked" => 403,
        _ => 409,
    };
    Some((status, code))
}

/// Returns the command-line options for an event's data.
fn options(data: &Map<String, Value>) -> Vec<String> {
    let mut options = Vec::new();
    for (name, value) in data {
        let option = match name.as_str() {
            "agent_id" => "--agent".to_owned(),
            "ttl_seconds" => "--ttl".to_owned(),
            "scopes" => "--scope".to_owned(),
            "project_id" => "--project".to_owned(),
            "to_agent_id" => "--to-agent".to_owned(),
            "session_id" => "--child".to_owned(),
            "agent_type" => "--type".to_owned(),
            "parent_agent_id" => "--parent".to_owned(),
            "created_by_user_id" => "--created-by".to_owned(),
            other => format!("--{}", other.replace('_', "-")),
        };
        let list = value.as_array().cloned();
        for value in list.unwrap_or_else(|| vec![value.clone()]) {
            let text = value.as_str().map(ToOwned::to_owned);
            options.extend([option.clone(), text.unwrap_or_else(|| value.to_string())]);
        }
    }
    options
}

fn position(answer: &Value) -> u64 {
    answer["position"].as_u64().unwrap()
}

/// Checks that the ledger knows the event type and the reason, which the table has as texts.
pub(super) fn check_words(step: &Step) {
    assert!(step.event.parse::<EventType>().is_ok(), "{}", step.event);
    if let Expect::Rejected(code) = step.expect {
        assert!(
            Reason::ALL.iter().any(|reason| reason.code() == code),
            "{code}"
        );
    }
}
