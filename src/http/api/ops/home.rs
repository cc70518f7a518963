//! `/`: a page for people who open the server's address in a browser.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::http::problem::sets::OpenProblems;
use crate::http::response::body;

const PAGE: &str = include_str!("home.html");

/// The content security policy of the page: it loads nothing and uses only its inline style.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(style()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 is visible ASCII")
});

/// The text of the page's style element.
fn style() -> &'static str {
    let style = PAGE.split_once("<style>").map_or("", |(_, after)| after);
    style.split_once("</style>").map_or("", |(style, _)| style)
}

/// Read the home page
///
/// A page for people: what this server is, and where its API document and its health are.
#[utoipa::path(
    get,
    path = "/",
    operation_id = "home",
    tag = "operations",
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
        OpenProblems,
    )
)]
pub(crate) async fn page() -> Response {
    let mut response = body::typed("text/html; charset=utf-8", PAGE);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_no_external_resources() {
        assert!(style().contains("body {"), "{PAGE}");
        for other in [
            "http:", "https:", "//", "<script", "<img", "@import", "url(", "<link",
        ] {
            assert!(!PAGE.contains(other), "{other}");
        }
    }
}
