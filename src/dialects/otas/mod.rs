//! OTAS: agents of a project, their keys and their sessions, for OTAS' front end and agents.
//!
//! - A project is a tenant. Users send a token and name the project; agents send a key.
//! - No call ends a session, and a row does not show whether its session has ended.
//! - All paths end with a slash.
//! - The vendor's own servers keep users, logins, projects and captured requests.

mod agent;
mod agents;
mod credential;
mod failure;
mod keys;
mod meta;
mod session_token;
mod sessions;
mod words;

use axum::http::{HeaderName, Method};

use crate::dialects::sdk::calls::Calls;
use crate::dialects::sdk::cors::Cors;
use crate::dialects::sdk::definition::Definition;
use crate::http::layers::authenticate::CredentialScheme;
use crate::http::problem::style::ErrorStyle;
use crate::http::request::caller::{Admin, Anyone, Read, Write};

const SESSION_CREATE: &str = "/api/agent/v1/session/create/";
const VERIFY: &str = "/api/agent/v1/auth/verify/";

pub(super) fn definition() -> Definition {
    let (get, post) = (Method::GET, Method::POST);
    let agent = |call: &str| format!("/api/agent/v1/{call}/");
    let by_users = Calls::default()
        .on(post.clone(), agent("create"), Admin, agents::create)
        .on(get.clone(), agent("list"), Read, agents::list)
        .on(
            post.clone(),
            agent("user/authenticate"),
            Read,
            agents::authenticate,
        )
        .on(
            post.clone(),
            agent("agents/key/create"),
            Admin,
            keys::create,
        )
        .on(
            post.clone(),
            agent("agents/key/revoke"),
            Admin,
            keys::revoke,
        )
        .on(get, agent("sessions/list"), Read, sessions::list);
    let by_agents = Calls::default()
        .on(post.clone(), SESSION_CREATE, Write, sessions::create)
        .on(post, VERIFY, Anyone, agents::verify);
    let user = CredentialScheme {
        present: credential::of_user,
        tenant: Some(credential::PROJECT.into()),
    };
    let agent = CredentialScheme {
        present: credential::of_agent,
        tenant: None,
    };
    Definition {
        known: vec![(by_users, user), (by_agents, agent)],
        open: Calls::default(),
        style: ErrorStyle::new(failure::word),
        cors: Some(cors()),
    }
}

/// Whether callers of a path send the key of an agent.
fn is_asked_by_agents(path: &str) -> bool {
    [SESSION_CREATE, VERIFY].contains(&path)
}

/// The CORS rules of the vendor's servers, and two headers that these servers read but do not
/// allow.
fn cors() -> Cors {
    let headers = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-type",
        "dnt",
        "origin",
        "user-agent",
        "x-csrftoken",
        "x-requested-with",
        "x-otas-user-token",
        "x-otas-agent-key",
        "x-otas-agent-session-key",
        "x-otas-sdk-key",
        "x-otas-project-id",
        "x-otas-agent-id",
        "x-otas-agent-session-token",
    ];
    Cors {
        methods: vec![
            Method::DELETE,
            Method::GET,
            Method::OPTIONS,
            Method::PATCH,
            Method::POST,
            Method::PUT,
        ],
        headers: headers.map(HeaderName::from_static).to_vec(),
    }
}
