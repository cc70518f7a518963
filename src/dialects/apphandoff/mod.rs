//! `AppHandoff`: which agents are connected to a project, and what they work on.
//!
//! - It only reads: the vendor's sessions begin, live and end over MCP. Here runtimes emit these
//!   events to the ledger itself, with the project's id.
//! - Who was silent for five minutes is not there, by the ledger's clock.
//! - A project is there once a session names it. One that is not, or is another tenant's, is
//!   forbidden.

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

/// Clients have the `/api` in their base URL, or they have it not.
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
            // The last says which tenant, with a token of several.
            headers: vec![
                ACCEPT,
                AUTHORIZATION,
                CONTENT_TYPE,
                HeaderName::from_static("x-tenant-id"),
            ],
        }),
    }
}
