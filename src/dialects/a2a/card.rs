//! The agent card: where clients learn the addresses of the API, and how to show their credential.
//!
//! It has no data of a tenant, so it needs no credential.

use std::future::{Ready, ready};

use axum::response::Response;
use serde_json::json;

use super::{rpc, version};
use crate::dialects::sdk::base_url::Base;
use crate::http::response::body;

/// The path at which A2A's clients look for the card.
pub(super) const PATH: &str = "/.well-known/agent-card.json";

pub(super) fn show(base: Base, mount_point: &str) -> Ready<Response> {
    let url = base.url(mount_point);
    let rpc = format!("{url}{}", rpc::PATH);
    let interface = |url: &str, binding: &str| json!({"url": url, "protocolBinding": binding, "protocolVersion": version::OURS});
    ready(body::json_of(&json!({
        "name": "Session Ledger",
        "description": "The ledger of agent sessions. Each session is a task, and each tree of sessions is a \
                        context. It lists, gets and cancels tasks, and runs no agent itself.",
        "version": env!("CARGO_PKG_VERSION"),
        // The client takes the first that it knows.
        "supportedInterfaces": [interface(&url, "HTTP+JSON"), interface(&rpc, "JSONRPC")],
        "capabilities": {
            "streaming": false,
            "pushNotifications": false,
            "extendedAgentCard": false,
        },
        "securitySchemes": {
            "key": {"httpAuthSecurityScheme": {
                "scheme": "Bearer",
                "description": "A key of the ledger, or a token of an identity provider that it trusts",
            }},
        },
        "securityRequirements": [{"schemes": {"key": {"list": []}}}],
        "defaultInputModes": ["application/json"],
        "defaultOutputModes": ["application/json"],
        "skills": [{
            "id": "tasks",
            "name": "Tasks",
            "description": "Lists, gets and cancels the tasks of a tenant",
            "tags": ["sessions", "tasks"],
        }],
    })))
}
