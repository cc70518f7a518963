//! Stand-in for the HTTP layer.

pub mod dto;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::domain::Clock;
use crate::ledger::Ledger;
use crate::log::EventLog;
use crate::metrics::Metrics;
use crate::projection::Projection;

/// What the routes work on.
#[derive(Clone)]
pub struct Services {
    /// The write side.
    pub ledger: Ledger,
    /// The read model.
    pub projection: Arc<Projection>,
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

/// The routes.
pub fn router(_services: Services) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(async || "ok"))
}

/// Stand-in.
pub mod openapi {
    /// Stand-in.
    pub fn text() -> String {
        "{}\n".to_owned()
    }
}
