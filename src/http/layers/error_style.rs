//! Attaches the error style of a dialect to every problem that its routes return.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::http::problem::Problem;
use crate::http::problem::style::ErrorStyle;

/// Attaches the style to the response if the response carries a problem. The outermost layer
/// (`observe`) writes the problem in this style.
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
