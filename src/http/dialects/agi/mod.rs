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

use axum::Router;
use axum::routing::{get, post};

use super::{Definition, Voice};
use crate::http::caller::{Anyone, Caller, Signature};
use failure::Failure;

pub(super) fn definition() -> Definition {
    let sessions = "/v1/sessions";
    let one = |call: &str| format!("{sessions}/{{id}}{call}");
    let known = Router::new()
        .route(
            sessions,
            get(read::list).post(create::create).delete(delete::all),
        )
        .route(&one(""), get(read::get).delete(delete::one))
        .route(&one("/status"), get(read::status))
        .route(&one("/pause"), post(control::pause))
        .route(&one("/resume"), post(control::resume))
        .route(&one("/cancel"), post(control::cancel))
        .route(&one("/message"), post(runtime))
        .route(&one("/messages"), get(runtime))
        .route(&one("/events"), get(runtime))
        .route(&one("/navigate"), post(runtime))
        .route(&one("/screenshot"), get(runtime))
        .route("/v1/models", get(runtime))
        .route("/step_desktop", post(runtime));
    Definition {
        known: vec![(known, Signature::usual())],
        open: Router::new(),
        voice: Voice::new(failure::word),
        cors: None,
    }
}

/// Answers what only an agent's runtime could.
async fn runtime(_caller: Caller<Anyone>) -> Failure {
    Failure::Runtime
}
