//! Whether the server is alive, and whether it is ready, as the ledger's own API says it.

use axum::extract::State;
use axum::response::Response;

use crate::http::problem::Problem;
use crate::http::response::body;
use crate::http::state::App;

pub(super) async fn alive() -> Response {
    body::healthy()
}

pub(super) async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    app.check_ready()?;
    Ok(body::healthy())
}
