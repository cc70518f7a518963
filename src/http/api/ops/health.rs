//! `/healthz`, `/readyz` and `/metrics`: routes for operators.

use axum::extract::State;
use axum::http::header::{ACCEPT, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::sets::{AliveProblems, OpenProblems, ReadyProblems};
use crate::http::request::negotiate::weighed;
use crate::http::response::body;
use crate::http::state::App;
use crate::ledger::{self, Expiries};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Is the server alive?
///
/// Answers 200 as long as the process serves requests. Restart the server if it does not answer.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "operations",
    responses((status = 200, description = "The server is alive", body = dto::Health), AliveProblems)
)]
pub(crate) async fn alive() -> Response {
    body::healthy()
}

/// Is the server ready?
///
/// Answers 200 if the server reaches the log, the log accepts writes, the fold keeps up with the log, and
/// the server follows changes of keys. Send requests elsewhere while it answers 503.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operations",
    responses((status = 200, description = "The server is ready", body = dto::Health), ReadyProblems)
)]
pub(crate) async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    app.check_ready()?;
    Ok(body::healthy())
}

/// Read the metrics
///
/// Metrics of the whole server in the text format of Prometheus 0.0.4. With the header
/// `Accept: application/openmetrics-text` they are in the format `OpenMetrics`.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operations",
    responses(
        (
            status = 200,
            description = "The metrics",
            content(
                (String = "text/plain"),
                (String = "application/openmetrics-text"),
            ),
        ),
        OpenProblems,
    )
)]
pub(crate) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    // The fold reports its progress only after a batch. A fold that hangs must show too.
    let (position, head) = (app.projection().position(), app.log().known_head());
    app.metrics().progress(position, head);
    let (available, refuses) = (app.log().is_available(), app.log().refuses_writes());
    app.metrics().log(available, refuses.is_some());
    let writes = app.ledger().writes();
    app.metrics().writes(writes.running, writes.queued);
    // If they cannot be read, other metrics say that the read model has failed.
    let counted = app.read(|snapshot| Ok(ledger::expiries(snapshot, app.now())?));
    if let Ok(Expiries { due, soon }) = counted {
        app.metrics().expiries(due, soon);
    }
    let mut response = if wants_open_metrics(&headers) {
        body::typed(OPEN_METRICS, app.metrics().open_metrics())
    } else {
        body::typed(PLAIN, app.metrics().text())
    };
    let vary = HeaderValue::from(ACCEPT);
    response.headers_mut().append(VARY, vary);
    response
}

/// Whether the client prefers `OpenMetrics`. It must accept it by name, because any client may send
/// `*/*`.
fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let weight_of = |wanted: fn(&str) -> bool| {
        let listed = weighed(headers, &ACCEPT).filter(|(media_type, _)| wanted(media_type));
        listed.map(|(_, weight)| weight).fold(0.0, f32::max)
    };
    let open = weight_of(|media_type| {
        let mut parts = media_type.split(';');
        parts.next() == Some("application/openmetrics-text")
            && parts.all(|part| !part.starts_with("version=") || part == "version=1.0.0")
    });
    let plain = weight_of(|media_type| media_type.starts_with("text/plain"));
    0.0 < open && plain <= open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_prefer_open_metrics_get_it() {
        for (accepted, expected) in [
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
              version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                true,
            ),
            ("application/openmetrics-text", true),
            ("application/openmetrics-text; version=0.0.1", false),
            (
                "text/plain;version=0.0.4, application/openmetrics-text;q=0.5",
                false,
            ),
            ("text/plain;version=0.0.4", false),
            ("application/openmetrics-text;q=0", false),
            ("*/*", false),
        ] {
            let accepted = HeaderValue::from_static(accepted);
            let headers = HeaderMap::from_iter([(ACCEPT, accepted.clone())]);
            assert_eq!(wants_open_metrics(&headers), expected, "{accepted:?}");
        }
        assert!(!wants_open_metrics(&HeaderMap::new()));
    }
}
