//! `/healthz`, `/readyz` and `/metrics`: what those who run the server ask.

use axum::extract::State;
use axum::response::Response;

use super::app::App;
use super::body;
use super::dto;
use super::error::Code;
use super::problem::Problem;
use super::problem_sets::ReadyProblems;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Is the server alive?
///
/// Answers as long as the process does. Restart the server if it does not.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "operations",
    responses((status = 200, description = "It is", body = dto::Health))
)]
pub(super) async fn alive() -> Response {
    ok()
}

/// Is the server ready?
///
/// Whether the log can be reached and takes writes, the fold runs and keeps up with it, and the keys follow theirs.
/// Send requests elsewhere while they do not.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operations",
    responses((status = 200, description = "It is", body = dto::Health), ReadyProblems)
)]
pub(super) async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    app.check_fresh()?;
    app.check_writes()?;
    if !app.keys().are_followed() {
        let detail = "the log of keys is not followed, so revocations may be missing";
        return Err(Problem::new(Code::NotReady).with_detail(detail));
    }
    Ok(ok())
}

/// Read the metrics
///
/// Figures of the whole server in the text format of Prometheus (`OpenMetrics`).
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operations",
    responses((
        status = 200,
        description = "The metrics",
        body = String,
        content_type = "application/openmetrics-text",
    ))
)]
pub(super) async fn metrics(State(app): State<App>) -> Response {
    // The fold notes where it stands after a batch; a fold that hangs must show as well.
    let (position, head) = (app.projection().position(), app.log().known_head());
    app.metrics().progress(position, head);
    let (available, refuses) = (app.log().is_available(), app.log().refuses_writes());
    app.metrics().log(available, refuses.is_some());
    body::typed(OPEN_METRICS, app.metrics().text())
}

fn ok() -> Response {
    body::json_of(&dto::Health {
        status: "ok".to_owned(),
    })
}
