//! CORS for the ledger's own API: pages may call it only from origins that the operator lists.
//!
//! Dialects follow their vendors' servers; see `dialects::sdk::cors`.

use std::time::Duration;

use axum::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, RETRY_AFTER,
};
use axum::http::{HeaderName, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::http::origin::Origin;

/// How long a browser may cache the answer to a preflight request.
const REMEMBERED_S: u64 = 86_400;
/// The request headers that a page may set, in addition to those that CORS always allows.
const SENT: [HeaderName; 10] = [
    ACCEPT,
    AUTHORIZATION,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-tenant-id"),
];
/// The response headers that a page may read.
const READ: [HeaderName; 11] = [
    ETAG,
    LINK,
    RETRY_AFTER,
    HeaderName::from_static("x-as-of-position"),
    HeaderName::from_static("x-next-after"),
    HeaderName::from_static("x-next-before"),
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-policy"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
    HeaderName::from_static("x-request-id"),
];

/// The CORS layer of the API's own routes; `None` if the operator lists no origin.
pub(crate) fn layer(origins: &[Origin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let sites = origins.iter().filter_map(|origin| match origin {
        Origin::Any => None,
        Origin::Site(site) => Some(site.clone()),
    });
    let allowed = if origins.contains(&Origin::Any) {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(sites)
    };
    // Without `allow_credentials`: pages send their credential in a header, not in a cookie.
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(SENT)
        .expose_headers(READ)
        .max_age(Duration::from_secs(REMEMBERED_S));
    Some(layer)
}
