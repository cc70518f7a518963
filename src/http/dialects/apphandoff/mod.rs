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

use axum::Router;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderName, Method};
use axum::routing::{get, post};

use super::{Cors, Definition, Voice};
use crate::http::caller::Signature;

/// Clients have the `/api` in their base URL, or they have it not.
const BASES: [&str; 2] = ["", "/api"];

pub(super) fn definition() -> Definition {
    let known = BASES.into_iter().fold(Router::new(), |routes, base| {
        let of_project = |call: &str| format!("{base}/projects/{{id}}/{call}");
        let batch = format!("{base}/projects/agent-activity/batch");
        routes
            .route(&of_project("agent-sessions"), get(sessions::list))
            .route(&of_project("agent-activity"), get(activity::of_project))
            .route(&batch, post(activity::of_projects))
    });
    Definition {
        known: vec![(known, Signature::usual())],
        open: Router::new(),
        voice: Voice::new(failure::word),
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
