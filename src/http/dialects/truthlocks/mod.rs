//! Truthlocks: sessions and agents of its Machine Agent Identity Protocol (MAIP), as its documents,
//! its SDKs and its editors ask for them.
//!
//! - The three do not agree on names. Bodies may have the spelling of any of them, and answers have
//!   all: snake case and camel case, `sessions` and `items`, `scopes` and `scope`.
//! - An id is the ledger's own, in `id` as in `session_id` or `agent_id`.
//! - Sessions live for an hour unless told otherwise, and for a day at most: limits of this API, not
//!   of the ledger.
//! - Receipts, delegations, orchestrations and guardrails are no matter of sessions: they are not
//!   served.

mod agent;
mod agent_steps;
mod agents;
mod failure;
mod kill;
mod object;
mod page;
mod request;
mod scope;
mod session;
mod session_steps;
mod sessions;

use axum::Router;
use axum::routing::{get, post};

use super::{Definition, Voice};
use crate::http::app::App;
use crate::http::caller::Signature;
use crate::http::health;

/// What stands before the paths of calls: that of the documents and SDKs, and that of editors.
const PREFIXES: [&str; 2] = ["/v1", "/v1/machine-identity"];

pub(super) fn definition() -> Definition {
    let known = PREFIXES.into_iter().fold(Router::new(), |known, prefix| {
        known
            .merge(session_routes(prefix))
            .merge(agent_routes(prefix))
    });
    let open = Router::new()
        .route("/health/live", get(health::alive))
        .route("/health/ready", get(health::ready));
    Definition {
        known: vec![(known, Signature::usual_or_empty())],
        open,
        voice: Voice::new(failure::word),
        cors: None,
    }
}

fn session_routes(prefix: &str) -> Router<App> {
    let documented = format!("{prefix}/agent-sessions");
    let of_sdks = format!("{prefix}/sessions");
    let create = post(session_steps::create);
    let both = [&documented, &of_sdks].into_iter();
    both.fold(Router::new(), |router, path| {
        let one = |call: &str| format!("{path}/{{id}}{call}");
        router
            .route(
                &one(""),
                get(sessions::get).delete(session_steps::terminate),
            )
            .route(&one("/refresh"), post(session_steps::refresh))
            .route(&one("/handoff"), post(session_steps::hand_off))
            .route(&one("/terminate"), post(session_steps::terminate))
    })
    .route(
        &documented,
        create.clone().get(sessions::list_as_documented),
    )
    .route(&of_sdks, create.get(sessions::list_as_in_sdks))
}

fn agent_routes(prefix: &str) -> Router<App> {
    let agents = format!("{prefix}/agents");
    let one = |call: &str| format!("{agents}/{{id}}{call}");
    Router::new()
        .route(&agents, get(agents::list).post(agent_steps::register))
        .route(&one(""), get(agents::get).patch(agent_steps::update))
        .route(&one("/suspend"), post(agent_steps::suspend))
        .route(&one("/revoke"), post(agent_steps::revoke))
        .route(&one("/kill"), post(kill::kill))
        .route(&one("/trust-score"), get(agents::trust))
        .route(&one("/trust-score/compute"), post(agents::trust))
        // As one editor asks, and as another did before.
        .route(&one("/trust"), get(agents::trust))
        .route(&format!("{prefix}/trust/{{id}}/score"), get(agents::trust))
}
