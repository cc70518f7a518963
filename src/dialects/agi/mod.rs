//! AGI: sessions of agents that work in a browser, as `agi-python` and its siblings ask for them.
//!
//! - What the ledger knows of a session is served: it opens, pauses, goes on, ends, is deleted.
//! - Messages, the stream of an agent's thoughts, navigation and screenshots are a runtime's, and
//!   are answered with 501.
//! - A status is the phase of a session that is open, and the outcome of one that has ended.
//! - Deleted sessions are gone for this API. The ledger keeps them, as terminated.
//! - Clients send a request again after any 5xx, without a key that tells copies: there is none
//!   once something may have been written.

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

/// Answers what only an agent's runtime could.
async fn runtime(_caller: Caller<Anyone>) -> Failure {
    Failure::Runtime
}
