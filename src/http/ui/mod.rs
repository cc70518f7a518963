//! `/ui`: the dashboard, from files that the binary carries.
//!
//! The files are static and say nothing about any tenant, so they need no credential. The page in
//! them asks the API for everything else, with the credential that a person enters.

mod files;
mod shorter;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, REFERRER_POLICY, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;

use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::coding::Coding;
use crate::http::request::conditional::Conditional;
use crate::http::response::body;
use crate::http::state::App;
use files::File;

/// The page may use its own files and call its own server, and nothing else.
///
/// The last two rules make a browser throw when a script turns text into markup or code, whatever
/// text a runtime has sent.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
/// A cache must ask before each use: the names of the files stay when a newer server has others.
const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const ROOT: &str = "/ui/";
const INDEX: &str = "index.html";

/// The routes of the dashboard.
pub(super) fn routes() -> Router<App> {
    // The redirect is relative, so that the dashboard also works below a path of a proxy.
    let to_index = || async { Redirect::permanent("ui/") };
    Router::new()
        .route("/ui", get(to_index))
        .route(ROOT, get(serve))
        .route("/ui/{*path}", get(serve))
}

/// Answers with the file that the path of the request names, or with a 304 if the client has it.
async fn serve(known: Conditional, headers: HeaderMap) -> Response {
    // Not decoded: no file has a name that needs to be encoded.
    let path = known.uri().path().strip_prefix(ROOT).unwrap_or_default();
    let path = if path.is_empty() { INDEX } else { path };
    let Some(file) = File::find(path) else {
        let detail = "the dashboard has no such file; it begins at /ui/";
        return Problem::new(Code::RouteNotFound)
            .with_detail(detail)
            .into_response();
    };
    let tag = file.tag();
    let mut response = if known.knows(&tag) {
        body::not_modified()
    } else {
        sent(file, Coding::preferred(&headers)).await
    };
    protect(response.headers_mut(), tag);
    response
}

/// The file, in the coding that the client prefers if it is shorter.
async fn sent(file: File, coding: Option<Coding>) -> Response {
    if let Some(coding) = coding
        && let Some(shorter) = shorter::of(&file, coding).await
    {
        let mut response = body::typed(file.media_type, shorter);
        let name = HeaderValue::from_static(coding.as_str());
        response.headers_mut().insert(CONTENT_ENCODING, name);
        return response;
    }
    body::typed(file.media_type, file.bytes)
}

/// Adds the validator and the policies. A 304 needs them too: a browser replaces the headers of its
/// copy by those of the 304.
fn protect(headers: &mut HeaderMap, tag: HeaderValue) {
    headers.insert(ETAG, tag);
    headers.insert(CACHE_CONTROL, REVALIDATED);
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(REFERRER_POLICY, NO_REFERRER);
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
}
