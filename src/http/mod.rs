//! The HTTP API: listings, history, commands, `POST /v1/events`, health and metrics.
//!
//! | module | what it is |
//! |---|---|
//! | `raw_schema` | raw JSON Schemas in the OpenAPI document |
//! | `dto` | the shapes of bodies, for the OpenAPI document and for clients |
//! | `problem` | failures (RFC 9457): their codes, statuses and texts |
//! | `origin` | the origins that may call the API from a browser (CORS) |
//! | `connection` | the state of a connection: unsent bytes, times |
//! | `refusals` | counts and logs requests that were rejected because of their caller |
//! | `stream_tasks` | the tasks of streams, which end when the server stops |
//! | `state` | the state that handlers share: the services, bounded waits and reads |
//! | `request` | extractors: caller, path, query, body |
//! | `past` | reads of a past state |
//! | `key_change` | issues and revokes keys: checks, log lines, problems |
//! | `response` | rows, validators and links of pages, outcomes of commands |
//! | `live` | streams: listings and histories that clients follow |
//! | `layers` | middleware around the routes |
//! | `api` | the routes |
//! | `ui` | the files of the dashboard |
//!
//! A module uses the modules above it in this table (`tests/it/tidy.rs`). Every route below `/v1`
//! stands behind `layers::authenticate`. No handler holds a snapshot of the read model across an
//! await. The API rejects unknown query parameters: a typo must not widen a result.

mod api;
pub(crate) mod connection;
pub mod dto;
pub(crate) mod key_change;
pub(crate) mod layers;
mod live;
mod origin;
mod past;
pub(crate) mod problem;
mod raw_schema;
mod refusals;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod state;
mod stream_tasks;
mod ui;

use std::sync::Arc;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

use layers::authenticate::{CredentialScheme, Gate, authenticate};
use layers::{around, cors, error_style, hosts, observe};
use live::Live;
use problem::style::ErrorStyle;
use state::App;

pub use api::openapi;
pub use connection::{BodyPatience, Connection, Lane, OverTls, UnderWay, Unsent, UnsentBounds};
pub use origin::{Origin, OriginError};
pub use state::Services;
pub use stream_tasks::StreamTasks;

/// The host names in requests that a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// Any host name.
    Any,
    /// Only `localhost` and loopback addresses.
    Loopback,
}

/// A dialect, served below a path of its own.
pub(crate) struct Mount {
    /// The path, such as `/compat/agi`.
    pub(crate) path: String,
    /// Its routes, which already stand behind [`guard`] where they need a caller.
    pub(crate) routes: Router<App>,
    /// The status and body of its failures.
    pub(crate) style: ErrorStyle,
    /// Which pages of other sites may call it; `None` for no page.
    pub(crate) cors: Option<CorsLayer>,
}

/// The ledger's own API as a service, with the dialects mounted below it.
pub(crate) fn router(
    services: Services,
    hosts: Hosts,
    mounts: impl FnOnce(&App) -> Vec<Mount>,
) -> Router {
    let cors = cors::layer(&services.origins);
    let live = Live::new(services.streams.clone(), Arc::clone(&services.metrics));
    let app = App::new(services);
    let (guarded, _document) = api::routes().split_for_parts();
    let (streams, _document) = api::stream_routes().split_for_parts();
    let guarded = guarded.merge(streams.layer(Extension(Arc::new(live))));
    let (open, _document) = api::open_routes().split_for_parts();
    let routes = guard(guarded, &app, CredentialScheme::usual())
        .merge(open)
        .merge(ui::routes());
    let own = with_cors(around_routes(routes, hosts), cors);
    let whole = mounts(&app).into_iter().fold(own, |whole, mount| {
        let routes = around_routes(mount.routes, hosts)
            .layer(from_fn_with_state(mount.style, error_style::attach));
        // With the slash, so that the root of the mount belongs to the dialect.
        whole.nest(&format!("{}/", mount.path), with_cors(routes, mount.cors))
    });
    whole
        // Outermost, so that it sees every answer, including those to panics and unknown routes.
        .layer(from_fn_with_state(app.clone(), observe::observe))
        .with_state(app)
}

/// Puts routes behind authentication by a credential scheme.
pub(crate) fn guard(routes: Router<App>, app: &App, scheme: CredentialScheme) -> Router<App> {
    let app = app.clone();
    routes.route_layer(from_fn_with_state(Gate { app, scheme }, authenticate))
}

/// Adds the fallbacks and layers that the ledger's own API and every dialect have.
fn around_routes(routes: Router<App>, hosts: Hosts) -> Router<App> {
    let routes = routes
        .fallback(problem::route_not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn(around::around));
    match hosts {
        Hosts::Any => routes,
        Hosts::Loopback => routes.layer(from_fn(hosts::loopback_only)),
    }
}

fn with_cors(routes: Router<App>, cors: Option<CorsLayer>) -> Router<App> {
    match cors {
        Some(cors) => routes.layer(cors),
        None => routes,
    }
}
