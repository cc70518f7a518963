//! Around a dialect's routes: sends the dialect's error style along with every problem.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::http::problem::Problem;
use crate::http::problem::style::ErrorStyle;

/// Attaches the style to answers that carry a problem.
pub(crate) async fn attach(
    State(style): State<ErrorStyle>,
    request: Request,
    next: Next,
) -> Response {
    let asked = request.uri().clone();
    let mut response = next.run(request).await;
    if response.extensions().get::<Problem>().is_some() {
        response.extensions_mut().insert(style.of_request(asked));
    }
    response
}
