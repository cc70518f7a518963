//! `/ui`: the dashboard, and `/docs`: the page that explains the API, from files that the binary carries.
//!
//! The files are static and say nothing about any tenant, so they need no credential. The pages in
//! them ask the API for everything else, with the credential that a person enters.

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
const INDEX: &str = "index.html";
/// The folder of the page that explains the API, below the folder of all files.
const DOCS: &str = "docs";

/// A page with files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Dashboard,
    Docs,
}

impl Page {
    const ALL: [Self; 2] = [Self::Dashboard, Self::Docs];

    /// The first segment of its paths.
    fn name(self) -> &'static str {
        match self {
            Self::Dashboard => "ui",
            Self::Docs => DOCS,
        }
    }

    /// The file that the path of a request names. The path is not decoded: no file has a name that needs
    /// to be encoded.
    fn find(self, path: &str) -> Option<File> {
        let path = path.strip_prefix('/')?.strip_prefix(self.name())?;
        let path = match path.strip_prefix('/')? {
            "" => INDEX,
            path => path,
        };
        match self {
            Self::Docs => File::find(&format!("{DOCS}/{path}")),
            // The page about the API would not find its parts there.
            Self::Dashboard if path.split('/').next() == Some(DOCS) => None,
            Self::Dashboard => File::find(path),
        }
    }
}

/// The routes of both pages.
pub(super) fn routes() -> Router<App> {
    Page::ALL.into_iter().fold(Router::new(), |router, page| {
        let name = page.name();
        // The redirect is relative, so that the page also works below a path of a proxy.
        let to_index = move || async move { Redirect::permanent(&format!("{name}/")) };
        let file = move |known, headers| answer(page, known, headers);
        router
            .route(&format!("/{name}"), get(to_index))
            .route(&format!("/{name}/"), get(file))
            .route(&format!("/{name}/{{*path}}"), get(file))
    })
}

/// Answers with a file, or with a 304 if the client has it.
async fn answer(page: Page, known: Conditional, headers: HeaderMap) -> Response {
    let Some(file) = page.find(known.uri().path()) else {
        let detail =
            "there is no such file; the dashboard is at /ui/, and the page about the API at /docs/";
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
