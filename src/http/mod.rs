//! The HTTP API: listings, history, `POST /v1/events`, and what operators ask.
//!
//! - Only `error` decides statuses; every failure is a problem document (RFC 9457).
//! - Only `caller` knows how a request's principal is found, and every route below `/v1` is behind it.
//! - No snapshot of the read model lives across an await, and none outlives its request.
//! - Unknown query parameters are refused: a typo must not widen a result.
//! - `dialects` serves the APIs of others. Nothing of the above reaches their clients but by them.

mod agent_commands;
mod agent_json;
mod agents;
mod app;
mod around;
mod asked;
mod body;
mod caller;
mod coding;
mod command;
mod command_answer;
mod compress;
mod connection;
mod cors;
mod credential;
mod decode;
mod dialects;
pub mod dto;
mod emit;
mod emit_batch;
mod error;
mod event_json;
mod events;
mod extract;
mod health;
mod home;
mod hosts;
mod introspect;
mod json;
mod json_body;
mod key_change;
mod key_history;
mod keys;
mod media_type;
mod middleware;
mod negotiate;
mod new_key;
pub mod openapi;
mod paging;
mod params;
mod problem;
mod problem_sets;
mod raw_schema;
mod refusals;
mod rejections;
mod row_json;
mod scope_detail;
mod session_commands;
mod session_events;
mod sessions;
mod status;
mod unread;
mod unsent;

use std::sync::Arc;

use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Access, Keys};
use crate::domain::Clock;
use crate::ledger::{Commands, Ledger};
use crate::log::EventLog;
use crate::metrics::Metrics;
use crate::projection::Projection;
use app::App;
use caller::{Gate, Signature};

pub use body::BodyPatience;
pub use connection::{Connection, Lane, UnderWay, Unsent, UnsentBounds};
pub use cors::{Origin, OriginError};
pub use dialects::{Call, Dialect};

/// What the API stands on.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the ports have no Debug")]
pub struct Services {
    /// The write side.
    pub ledger: Ledger,
    /// Commands about sessions and agents.
    pub commands: Commands,
    /// The read model.
    pub projection: Arc<Projection>,
    /// The log, for bodies of events.
    pub log: Arc<dyn EventLog>,
    /// Whom it serves.
    pub access: Arc<Access>,
    /// The keys, also where nobody is asked for one.
    pub keys: Arc<Keys>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Whose pages may ask the API from a browser.
    pub origins: Vec<Origin>,
}

/// The API as a service, with every dialect at its mount.
pub fn router(services: Services) -> axum::Router {
    layered(services, bounded)
}

/// The same, which answers only to this machine's own names.
pub fn local_router(services: Services) -> axum::Router {
    layered(services, |router| {
        bounded(router).layer(axum::middleware::from_fn(hosts::loopback_only))
    })
}

/// What stands around the routes of the API and of every dialect.
fn bounded(router: axum::Router<App>) -> axum::Router<App> {
    router.layer(axum::middleware::from_fn(around::around))
}

fn layered(
    services: Services,
    inner: impl Fn(axum::Router<App>) -> axum::Router<App>,
) -> axum::Router {
    let cors = cors::layer(&services.origins);
    let app = App::new(services);
    let (guarded, _document) = routes().split_for_parts();
    let (open, _document) = open_routes().split_for_parts();
    let gate = Gate {
        app: app.clone(),
        signature: Signature::usual(),
    };
    let router = guarded
        .route_layer(axum::middleware::from_fn_with_state(
            gate,
            caller::authenticate,
        ))
        .merge(open)
        .fallback(problem::route_not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(CatchPanicLayer::custom(problem::panicked));
    let own = match cors {
        Some(cors) => inner(router).layer(cors),
        None => inner(router),
    };
    dialects::mount(own, &app, inner)
        // Last, so that it sees every answer, those to panics and unknown routes included.
        .layer(axum::middleware::from_fn_with_state(
            app.clone(),
            middleware::observe,
        ))
        .with_state(app)
}

/// Every route of the API, each with its description: a route cannot be added without one. All of
/// them are for callers that are known.
fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(events::list, emit::append))
        .routes(routes!(events::get))
        .routes(routes!(sessions::list, session_commands::create))
        .routes(routes!(sessions::count))
        .routes(routes!(sessions::get, session_commands::terminate))
        .routes(routes!(session_commands::refresh))
        .routes(routes!(session_commands::hand_off))
        .routes(routes!(introspect::introspect))
        .routes(routes!(session_events::list))
        .routes(routes!(agents::list, agent_commands::register))
        .routes(routes!(agents::get, agent_commands::update))
        .routes(routes!(agent_commands::suspend))
        .routes(routes!(agent_commands::reinstate))
        .routes(routes!(agent_commands::revoke))
        .routes(routes!(rejections::list))
        .routes(routes!(status::get))
        .routes(routes!(keys::list, keys::issue))
        .routes(routes!(keys::revoke))
        .routes(routes!(key_history::list))
}

/// The routes that answer anybody: they say nothing of any tenant.
fn open_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(home::page))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .routes(routes!(openapi::serve))
}
