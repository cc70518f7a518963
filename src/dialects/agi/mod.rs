//! AGI: sessions of agents that work in a browser, for `agi-python` and AGI's other clients.
//!
//! - Clients create, pause, resume, cancel and delete sessions.
//! - Messages, the stream of an agent's thoughts, navigation and screenshots need a runtime. These
//!   calls get a 501.
//! - The status of an open session is its phase. The status of an ended session is its outcome.
//! - This API does not show deleted sessions. The ledger keeps them.
//! - Clients send a request again after any 5xx, without an idempotency key. So the server answers
//!   with a 5xx only if it has written nothing.

mod control;
mod create;
mod delete;
mod failure;
mod read;
mod session;

use axum::http::Method;

use crate::dialects::sdk::calls::Calls;
use crate::dialects::sdk::definition::Definition;
use crate::http::layers::authenticate::CredentialScheme;
use crate::http::problem::style::ErrorStyle;
use crate::http::request::caller::{Anyone, Caller, Read, Write};
use failure::Failure;

pub(super) fn definition() -> Definition {
    let sessions = "/v1/sessions";
    let one = |call: &str| format!("{sessions}/{{id}}{call}");
    let known = Calls::default()
        .on(Method::GET, sessions, Read, read::list)
        .on(Method::POST, sessions, Write, create::create)
        .on(Method::DELETE, sessions, Write, delete::all)
        .on(Method::GET, one(""), Read, read::get)
        .on(Method::DELETE, one(""), Write, delete::one)
        .on(Method::GET, one("/status"), Read, read::status)
        .on(Method::POST, one("/pause"), Write, control::pause)
        .on(Method::POST, one("/resume"), Write, control::resume)
        .on(Method::POST, one("/cancel"), Write, control::cancel)
        .on(Method::POST, one("/message"), Anyone, runtime)
        .on(Method::GET, one("/messages"), Anyone, runtime)
        .on(Method::GET, one("/events"), Anyone, runtime)
        .on(Method::POST, one("/navigate"), Anyone, runtime)
        .on(Method::GET, one("/screenshot"), Anyone, runtime)
        .on(Method::GET, "/v1/models", Anyone, runtime)
        .on(Method::POST, "/step_desktop", Anyone, runtime);
    Definition {
        known: vec![(known, CredentialScheme::usual())],
        open: Calls::default(),
        style: ErrorStyle::new(failure::word),
        cors: None,
    }
}

/// Answers the calls that only a runtime of agents can serve.
async fn runtime(_caller: Caller<Anyone>) -> Failure {
    Failure::Runtime
}
