//! The HTTP API: listings, history, commands, `POST /v1/events`, and what operators ask.
//!
//! | module | what it is |
//! |---|---|
//! | `raw_schema` | JSON Schemas that are made elsewhere, for the document |
//! | `dto` | the shapes of bodies, for the document and for clients |
//! | `problem` | failures (RFC 9457): their codes, statuses and texts |
//! | `origin` | whose pages may call the API from a browser |
//! | `connection` | what a connection holds: unsent answers, times |
//! | `state` | what handlers share: the services, bounded waits and reads |
//! | `request` | extractors: caller, path, query, body |
//! | `response` | rows, pages, outcomes of commands |
//! | `layers` | what stands around the routes |
//! | `api` | the routes |
//!
//! A module uses the modules above it in this table (`tests/it/tidy.rs`). Every route below `/v1`
//! stands behind `layers::authenticate`. No snapshot of the read model lives across an await.
//! Unknown query parameters are rejected: a typo must not widen a result.

pub(crate) mod api;
pub(crate) mod connection;
pub mod dto;
pub(crate) mod layers;
mod origin;
pub(crate) mod problem;
mod raw_schema;
mod refusals;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod state;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

use layers::authenticate::{Gate, Signature, authenticate};
use layers::{around, cors, error_style, hosts, observe};
use problem::style::ErrorStyle;
use state::App;

pub use api::openapi;
pub use connection::{BodyPatience, Connection, Lane, UnderWay, Unsent, UnsentBounds};
pub use origin::{Origin, OriginError};
pub use state::Services;

/// The host names that a server answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// Any.
    Any,
    /// This machine's own: `localhost` and loopback addresses.
    Loopback,
}

/// Another API, served below a path of its own.
pub(crate) struct Mount {
    /// The path, such as `/compat/agi`.
    pub(crate) path: String,
    /// Its routes, behind the layer that finds their callers.
    pub(crate) routes: Router<App>,
    /// How it words failures.
    pub(crate) style: ErrorStyle,
    /// Which pages of other sites may ask it.
    pub(crate) cors: Option<CorsLayer>,
}

/// The API as a service, with others mounted below it.
pub(crate) fn router(
    services: Services,
    hosts: Hosts,
    mounts: impl FnOnce(&App) -> Vec<Mount>,
) -> Router {
    let cors = cors::layer(&services.origins);
    let app = App::new(services);
    let (guarded, _document) = api::routes().split_for_parts();
    let (open, _document) = api::open_routes().split_for_parts();
    let routes = guard(guarded, &app, Signature::usual()).merge(open);
    let own = with_cors(around_routes(routes, hosts), cors);
    let whole = mounts(&app).into_iter().fold(own, |whole, mount| {
        let routes = around_routes(mount.routes, hosts)
            .layer(from_fn_with_state(mount.style, error_style::attach));
        // With the slash, so that the mount's root is part of it.
        whole.nest(&format!("{}/", mount.path), with_cors(routes, mount.cors))
    });
    whole
        // Last, so that it sees every answer, those to panics and unknown routes included.
        .layer(from_fn_with_state(app.clone(), observe::observe))
        .with_state(app)
}

/// Routes whose callers are found by a signature.
pub(crate) fn guard(routes: Router<App>, app: &App, signature: Signature) -> Router<App> {
    let app = app.clone();
    routes.route_layer(from_fn_with_state(Gate { app, signature }, authenticate))
}

/// Puts around an API's routes what every API has.
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
