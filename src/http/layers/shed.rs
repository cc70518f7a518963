//! Refuses events early while the ledger takes no more writes.
//!
//! An overloaded server refuses most of the events that it gets. So it decides before it has spent time on
//! them, and that time is left for the events that it takes, and for reads.

use axum::extract::Request;
use axum::http::Method;
use axum::http::header::ORIGIN;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::state::App;

/// The path to which runtimes post events.
const EVENTS: &str = "/v1/events";

/// Refuses a request, or passes it on.
pub(crate) async fn refuse_or(app: &App, request: Request, next: Next) -> Response {
    if waits_for_a_turn(&request) && app.ledger().is_busy() {
        return Problem::new(Code::TooManyWaiters).into_response();
    }
    next.run(request).await
}

/// Whether the request is one to append events, which may wait for its turn.
///
/// Not one with a query, which can say that it does not wait. Not one of a browser's page, which can read an
/// answer only with the headers of CORS.
fn waits_for_a_turn(request: &Request) -> bool {
    request.method() == Method::POST
        && request.uri().path() == EVENTS
        && request.uri().query().is_none()
        && !request.headers().contains_key(ORIGIN)
}
