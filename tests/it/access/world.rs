//! Two agents of one tenant, their data, and credentials of every kind.

use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use session_ledger::auth::{Grant, Role, Roles};
use session_ledger::dialects::Dialect;
use session_ledger::domain::AgentId;

use super::routes::Route;
use super::rules::is_of_otas_agents;
use crate::support::app::{App, NOW, grant};
use crate::support::client::{Answer, Client, created, event};

/// A mark in every id and text of the agent that calls are about, and of its sessions.
pub(super) const OWN: &str = "marked-1";
/// The mark of another agent of the tenant.
pub(super) const OTHERS: &str = "marked-2";
pub(super) const MARKS: [&str; 2] = [OWN, OTHERS];

/// The agent that sessions are handed off to.
const HEIR: &str = "heir";
/// The agent that gets keys.
const KEYED: &str = "keyed";
const PROJECT: &str = "project-1";

/// The owner of a credential, relative to the agent that calls are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// There is no credential.
    Nobodys,
    Tenant,
    OwnAgent,
    OtherAgent,
    OtherTenant,
}

/// A credential, or none.
pub(super) struct Credential {
    pub(super) name: String,
    pub(super) whose: Whose,
    pub(super) roles: Vec<Role>,
    tenant: String,
    key: Option<String>,
}

/// The resources that a request names.
pub(super) struct Things {
    session: String,
    refresh_token: String,
    agent: String,
    /// An agent that the request may change, suspend or revoke.
    victim: String,
    /// An agent that the request may give a key.
    keyed: String,
    project: String,
    /// The id of a key that no test uses.
    key: String,
    position: String,
}

/// A ledger with these resources and credentials.
pub(super) struct World {
    pub(super) app: App,
    pub(super) credentials: Vec<Credential>,
    /// Has every role. It is not one of the credentials under test.
    acme: Client,
    session: String,
    position: String,
    /// Sends the requests, without adding headers.
    client: Client,
    made: AtomicUsize,
}

impl World {
    pub(super) async fn start() -> Self {
        let app = App::start_with_credentials(|keys_alone| keys_alone).await;
        let acme = app.client_with_key("acme", Roles::ALL).await;
        let [own, others] = MARKS.map(|mark| format!("agent-{mark}"));
        for agent in [&own, &others, HEIR, KEYED] {
            let data = json!({"display_name": format!("name of {agent}")});
            acme.apply(&event("r", "agent.registered", agent, &data))
                .await;
        }
        let mut position = 0;
        for (mark, agent) in [(OTHERS, &others), (OWN, &own)] {
            let mut opened = created(&format!("session-{mark}"), agent, NOW);
            opened["data"]["metadata"] = json!({"said": format!("metadata of {mark}")});
            opened["data"]["project_id"] = json!(PROJECT);
            position = acme.apply(&opened).await;
            // These two events are rejected and parked.
            acme.emit(&created(
                &format!("session-{mark}"),
                agent,
                "2026-01-31T11:00:00Z",
            ))
            .await;
            let late = event(
                "late",
                "session.refreshed",
                &format!("never-{mark}"),
                &json!({}),
            );
            acme.emit(&late).await;
        }
        let credentials = credentials(&app, &own, &others).await;
        Self {
            credentials,
            acme,
            session: format!("session-{OWN}"),
            position: position.to_string(),
            client: app.client("none"),
            app,
            made: AtomicUsize::new(0),
        }
    }

    /// Returns the resources for a call. Those that it may change or end are new.
    pub(super) async fn things(&self, route: &Route) -> Things {
        let mut things = Things {
            session: self.session.clone(),
            refresh_token: String::new(),
            agent: format!("agent-{OWN}"),
            victim: String::new(),
            keyed: KEYED.to_owned(),
            project: PROJECT.to_owned(),
            key: String::new(),
            position: self.position.clone(),
        };
        if route.path.contains("keys/{id}") || route.path.ends_with("/key/revoke/") {
            let agent = Some(AgentId::parse(KEYED).unwrap());
            let key = self.app.key(Grant {
                agent,
                ..grant("acme", roles(&[Role::Write]))
            });
            things.key = id_of(&key.await);
        }
        if route.method != Method::GET && route.path.contains("agents/{id}") {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            things.victim = format!("victim-{number}");
            let registered = event("r", "agent.registered", &things.victim, &json!({}));
            self.acme.apply(&registered).await;
        }
        let is_changed = ["sessions/{id}", "/tasks/{id}"].map(|path| route.path.contains(path));
        if route.method != Method::GET && is_changed.contains(&true) {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            let body = json!({
                "agent_id": things.agent,
                "session_id": format!("session-{OWN}-{number}"),
            });
            let path = "/v1/agent-sessions";
            let json = [("content-type", "application/json")];
            let body = body.to_string().into_bytes();
            let opened = self.acme.send(Method::POST, path, &json, body).await;
            assert_eq!(opened.status, 201, "{}", opened.text);
            let opened = opened.json();
            things.session = text(&opened["session"]["session_id"]);
            things.refresh_token = text(&opened["refresh_token"]);
        }
        things
    }

    /// Returns the credential. For another tenant it is a new one of that kind, because the history of a
    /// used one would have the earlier requests.
    pub(super) async fn renewed(&self, credential: &Credential) -> Credential {
        let Credential {
            name,
            whose,
            roles: one_of,
            tenant,
            key,
        } = credential;
        let (mut tenant, mut key) = (tenant.clone(), key.clone());
        if *whose == Whose::OtherTenant {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            tenant = format!("globex-{number}");
            key = Some(self.app.key(grant(&tenant, roles(one_of))).await);
        }
        Credential {
            name: name.clone(),
            whose: *whose,
            roles: one_of.clone(),
            tenant,
            key,
        }
    }

    pub(super) async fn send(
        &self,
        route: &Route,
        credential: &Credential,
        things: &Things,
    ) -> Answer {
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: &str| {
            headers.insert(name, value.parse().unwrap());
        };
        add("content-type", "application/json");
        add("x-request-id", "matrix");
        match (&credential.key, route.dialect) {
            (None, _) => {}
            (Some(key), Some(Dialect::Otas)) if is_of_otas_agents(route) => {
                add("x-otas-agent-key", key);
            }
            (Some(key), Some(Dialect::Otas)) => {
                add("x-otas-user-token", key);
                add("x-otas-project-id", &credential.tenant);
                add("x-otas-agent-id", &things.agent);
            }
            (Some(key), _) => add("authorization", &format!("Bearer {key}")),
        }
        let body = match route.method {
            Method::GET => Vec::new(),
            _ => body(route, things).to_string().into_bytes(),
        };
        let path = path(route, things);
        self.client
            .send_bare(route.method.clone(), &path, headers, body)
            .await
    }
}

/// Returns the names of missing resources.
pub(super) fn nothing() -> Things {
    let none = || "nowhere".to_owned();
    Things {
        session: none(),
        refresh_token: "slrt_none".to_owned(),
        agent: none(),
        victim: none(),
        keyed: none(),
        project: none(),
        key: "0".repeat(16),
        position: "9999999".to_owned(),
    }
}

fn path(route: &Route, things: &Things) -> String {
    let mount = route.dialect.map_or(String::new(), |dialect| {
        format!("/compat/{}", dialect.as_str())
    });
    let agent = match route.method {
        Method::GET => &things.agent,
        _ if route.path.ends_with("/compute") => &things.agent,
        _ => &things.victim,
    };
    let named = [
        ("projects", &things.project),
        ("agent-sessions", &things.session),
        ("sessions", &things.session),
        ("tasks", &things.session),
        ("agents", agent),
        ("trust", agent),
        ("keys", &things.key),
    ];
    let id = named.iter().find(|(name, _)| route.is_about(name));
    let path = route.path.replace("{id}", id.map_or("{id}", |(_, id)| id));
    let path = path.replace("{position}", &things.position);
    let path = path.replace("{runtime}", "claude-code");
    let path = path.replace("{config}", "c-1");
    let is_of_task = route.method == Method::POST && route.path == "/tasks/{id}";
    let path = path + if is_of_task { ":cancel" } else { "" };
    assert!(!path.contains(['{', '}']), "what does {path} name?");
    let query = if path.ends_with("/sessions/list/") {
        format!("?agent_id={}", things.agent)
    } else if path.ends_with("/stream") {
        // Otherwise the answer does not end.
        "?follow=false".to_owned()
    } else {
        String::new()
    };
    format!("{mount}{path}{query}")
}

/// Returns a body that names the resources, in the call's own spelling.
fn body(route: &Route, things: &Things) -> Value {
    let path = route.path.as_str();
    match path {
        _ if path.starts_with("/v1/hooks/") => {
            json!({"hook_event_name": "Stop", "session_id": things.session})
        }
        "/rpc" => json!({
            "jsonrpc": "2.0",
            "id": 1,
            "method": "GetTask",
            "params": {"id": things.session},
        }),
        _ if path.ends_with("/refresh") => json!({"refresh_token": things.refresh_token}),
        _ if path.ends_with("/handoff") && route.dialect.is_none() => json!({"to_agent_id": HEIR}),
        _ if path.ends_with("/handoff") => json!({"target_agent_id": HEIR}),
        _ if path.ends_with("/agent-sessions") => json!({"agent_id": things.agent}),
        _ if path.ends_with("/sessions") && route.dialect == Some(Dialect::Agi) => {
            json!({"agent_name": things.agent})
        }
        _ if path.ends_with("/sessions") => json!({"agent_id": things.agent}),
        _ if route.method == Method::PATCH => json!({"display_name": "other"}),
        _ if path.ends_with("/agents") => json!({"display_name": "another"}),
        _ if path.ends_with("/batch") => json!({"project_ids": [things.project]}),
        "/api/agent/v1/create/" => json!({"agent_name": "another", "agent_provider": "p"}),
        _ if path.ends_with("/key/create/") => json!({"agent_id": things.keyed}),
        _ if path.ends_with("/key/revoke/") => json!({"agent_key_id": things.key}),
        _ => json!({}),
    }
}

/// Returns the parts of an answer to compare: all but the position of a rejected event.
pub(super) fn compared(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    if let Some(position) = body.get_mut("position") {
        position.take();
    }
    (answer.status, body)
}

/// Returns a credential of every kind, of the tenant `acme` and another.
async fn credentials(app: &App, own: &str, others: &str) -> Vec<Credential> {
    let bound = [Role::Read, Role::Write, Role::Audit];
    let mut kinds = vec![("nobody".to_owned(), Whose::Nobodys, vec![], None)];
    for &role in Role::ALL {
        let name = format!("the role {}", role.as_str());
        kinds.push((name, Whose::Tenant, vec![role], None));
    }
    let name = |text: &str| text.to_owned();
    let all = Role::ALL.to_vec();
    kinds.push((
        name("its own agent"),
        Whose::OwnAgent,
        bound.to_vec(),
        Some(own),
    ));
    kinds.push((
        name("another agent"),
        Whose::OtherAgent,
        bound.to_vec(),
        Some(others),
    ));
    kinds.push((name("another tenant"), Whose::OtherTenant, all, None));
    kinds.push((
        name("its own agent, with a key of OTAS"),
        Whose::OwnAgent,
        vec![Role::Write],
        Some(own),
    ));
    let mut credentials = Vec::new();
    for (name, whose, one_of, agent) in kinds {
        let tenant = match whose {
            Whose::OtherTenant => "globex",
            _ => "acme",
        };
        let grant = Grant {
            agent: agent.map(|id| AgentId::parse(id).unwrap()),
            ..grant(tenant, roles(&one_of))
        };
        let key = match whose {
            Whose::Nobodys => None,
            _ => Some(app.key(grant).await),
        };
        let key = if name.contains("OTAS") {
            key.map(|key| key.replace("slk_", "agent_"))
        } else {
            key
        };
        credentials.push(Credential {
            name,
            whose,
            roles: one_of,
            tenant: tenant.to_owned(),
            key,
        });
    }
    credentials
}

fn roles(roles: &[Role]) -> Roles {
    roles.iter().copied().collect()
}

/// Returns the id in the text of a key.
fn id_of(key: &str) -> String {
    key[4..20].to_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
