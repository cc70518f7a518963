//! The API's document (`OpenAPI` 3.1), generated from the handlers.

use std::sync::LazyLock;

use axum::response::Response;
use bytes::Bytes;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use super::{body, dto};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Session Ledger",
        version = "1",
        description = "Lifecycle events of agent sessions in, exact listings out. Every failure is a \
                       problem document (RFC 9457) with a stable `code`. Unknown query parameters \
                       are refused. Every answer has the header `X-Request-ID`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "sessions", description = "Listings, totals, single sessions and their history"),
        (name = "agents", description = "Who the sessions belong to"),
        (name = "events", description = "Append events, replay them, see what was rejected"),
        (name = "operations", description = "Health and figures"),
    ),
    components(schemas(dto::Problem)),
)]
struct Frame;

/// Pretty text of the document, ending in a newline.
static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(text()));

/// The document without its routes.
pub(super) fn frame() -> OpenApi {
    Frame::openapi()
}

/// The document.
pub fn document() -> OpenApi {
    super::routes().into_openapi()
}

/// The document as it is kept in `schemas/openapi.json` and served.
pub fn text() -> String {
    let mut text = document().to_pretty_json().expect("the document is JSON");
    text.push('\n');
    text
}

/// Read this document
///
/// The description of the API, as it was built into the server.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "operations",
    responses((
        status = 200,
        description = "The document",
        body = Object,
        content_type = "application/json",
    ))
)]
pub(super) async fn serve() -> Response {
    body::typed("application/json", TEXT.clone())
}
