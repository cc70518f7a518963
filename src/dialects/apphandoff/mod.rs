//! `AppHandoff`: which agents are connected to a project, and what they work on.
//!
//! - This API only reads. Clients of the vendor open, refresh and end sessions over MCP. Here
//!   runtimes emit these events to the ledger, with the project's id.
//! - An open session is live if its last sign of life is at most five minutes old, by the ledger's
//!   clock.
//! - A project exists once a session names it. For a missing project, and for that of another
//!   tenant, the answer is a 403.

mod activity;
mod failure;
mod project;
mod session;
mod sessions;

use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderName, Method};

use crate::dialects::sdk::calls::Calls;
use crate::dialects::sdk::cors::Cors;
use crate::dialects::sdk::definition::Definition;
use crate::http::layers::authenticate::CredentialScheme;
use crate::http::problem::style::ErrorStyle;
use crate::http::request::caller::Read;

/// Some clients have `/api` in their base URL, and others do not.
const BASES: [&str; 2] = ["", "/api"];

pub(super) fn definition() -> Definition {
    let known = BASES.into_iter().fold(Calls::default(), |calls, base| {
        let of_project = |call: &str| format!("{base}/projects/{{id}}/{call}");
        let batch = format!("{base}/projects/agent-activity/batch");
        calls
            .on(
                Method::GET,
                of_project("agent-sessions"),
                Read,
                sessions::list,
            )
            .on(
                Method::GET,
                of_project("agent-activity"),
                Read,
                activity::of_project,
            )
            .on(Method::POST, batch, Read, activity::of_projects)
    });
    Definition {
        known: vec![(known, CredentialScheme::usual())],
        open: Calls::default(),
        style: ErrorStyle::new(failure::word),
        cors: Some(Cors {
            methods: vec![Method::GET, Method::POST],
            // The last header names the tenant, for tokens of several tenants.
            headers: vec![
                ACCEPT,
                AUTHORIZATION,
                CONTENT_TYPE,
                HeaderName::from_static("x-tenant-id"),
            ],
        }),
    }
}
