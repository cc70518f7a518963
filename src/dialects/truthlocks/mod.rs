//! Truthlocks: sessions and agents of its Machine Agent Identity Protocol (MAIP), for the API of
//! its documents, its SDKs and its editor extensions.
//!
//! - These three use different names. Bodies may have any of the spellings, and answers have all of
//!   them: snake case and camel case, `sessions` and `items`, `scopes` and `scope`.
//! - `id` and `session_id` or `agent_id` have the same value: the id in the ledger.
//! - A session lives for an hour by default, and for a day at most. These are limits of this API,
//!   not of the ledger.
//! - Receipts, delegations, orchestrations and guardrails are not served: they are not about
//!   sessions.

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

use axum::http::Method;

use crate::dialects::sdk::calls::Calls;
use crate::dialects::sdk::definition::Definition;
use crate::http::api::ops::health;
use crate::http::layers::authenticate::CredentialScheme;
use crate::http::problem::style::ErrorStyle;
use crate::http::request::caller::{Read, Write};

/// The prefixes of all paths: that of the documents and SDKs, and that of editors.
const PREFIXES: [&str; 2] = ["/v1", "/v1/machine-identity"];

pub(super) fn definition() -> Definition {
    let known = PREFIXES
        .into_iter()
        .fold(Calls::default(), with_calls_below);
    let open = Calls::default()
        .open("/health/live", health::alive)
        .open("/health/ready", health::ready);
    Definition {
        known: vec![(known, CredentialScheme::usual_or_empty())],
        open,
        style: ErrorStyle::new(failure::word),
        cors: None,
    }
}

fn with_calls_below(calls: Calls, prefix: &str) -> Calls {
    let documented = format!("{prefix}/agent-sessions");
    let of_sdks = format!("{prefix}/sessions");
    let calls = [&documented, &of_sdks]
        .into_iter()
        .fold(calls, with_session_calls)
        .on(Method::GET, documented, Read, sessions::list_as_documented)
        .on(Method::GET, of_sdks, Read, sessions::list_as_in_sdks);
    with_agent_calls(calls, prefix)
}

fn with_session_calls(calls: Calls, path: &String) -> Calls {
    let one = |call: &str| format!("{path}/{{id}}{call}");
    let terminate = session_steps::terminate;
    calls
        .on(Method::POST, path, Write, session_steps::create)
        .on(Method::GET, one(""), Read, sessions::get)
        .on(Method::DELETE, one(""), Write, terminate)
        .on(Method::POST, one("/refresh"), Write, session_steps::refresh)
        .on(
            Method::POST,
            one("/handoff"),
            Write,
            session_steps::hand_off,
        )
        .on(Method::POST, one("/terminate"), Write, terminate)
}

fn with_agent_calls(calls: Calls, prefix: &str) -> Calls {
    let (get, post) = (Method::GET, Method::POST);
    let agents = format!("{prefix}/agents");
    let one = |call: &str| format!("{agents}/{{id}}{call}");
    calls
        .on(get.clone(), &agents, Read, agents::list)
        .on(post.clone(), &agents, Write, agent_steps::register)
        .on(get.clone(), one(""), Read, agents::get)
        .on(Method::PATCH, one(""), Write, agent_steps::update)
        .on(post.clone(), one("/suspend"), Write, agent_steps::suspend)
        .on(post.clone(), one("/revoke"), Write, agent_steps::revoke)
        .on(post.clone(), one("/kill"), Write, kill::kill)
        .on(get.clone(), one("/trust-score"), Read, agents::trust)
        .on(post, one("/trust-score/compute"), Read, agents::trust)
        // The path of one editor, and a former path of another.
        .on(get.clone(), one("/trust"), Read, agents::trust)
        .on(
            get,
            format!("{prefix}/trust/{{id}}/score"),
            Read,
            agents::trust,
        )
}
