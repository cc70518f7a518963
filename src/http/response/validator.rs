//! `ETag` validators of pages.
//!
//! A validator is made of everything that decides the content of a page:
//!
//! - the tenant, and the agent of a bound credential,
//! - the path and the query,
//! - the position of the state that the page shows, and whether a later record is known,
//! - the run of the server: after a restart, the program or the log may be another one.
//!
//! Validators are weak, because a page may be sent in several codings. Reads of one session or
//! agent have no validator, because their answers depend on the clock.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::http::header::{CACHE_CONTROL, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Response;

use crate::domain::AgentId;
use crate::http::dto;
use crate::http::request::conditional::Conditional;
use crate::http::response::body;
use crate::http::state::App;
use crate::query::Sight;

/// Only the client may cache the answer, and it must revalidate the answer before each use.
const REVALIDATED: HeaderValue = HeaderValue::from_static("private, no-cache");
/// The `Vary` header: the request headers that change the answer.
const CREDENTIALS: HeaderValue =
    HeaderValue::from_static("authorization, x-api-key, x-tenant-id, accept-encoding");

/// Names what a page says, for as long as this server runs.
struct Validator(HeaderValue);

/// The answer 304 if the client's copy is current, otherwise `None`.
pub(crate) fn not_modified(request: &Conditional, app: &App, sight: Sight<'_>) -> Option<Response> {
    if request.knows_none() {
        return None;
    }
    let position = app.projection().position();
    let state = (position.get(), app.is_last(position));
    let validator = Validator::new(request.uri(), app, sight, state);
    if !request.knows(&validator.0) {
        return None;
    }
    let mut response = body::not_modified();
    validator.put(response.headers_mut());
    Some(response)
}

/// Adds the validator to the answer to a request for a URI, so that the client can revalidate it.
pub(crate) fn add(
    response: &mut Response,
    uri: &Uri,
    app: &App,
    sight: Sight<'_>,
    as_of: &dto::AsOf,
) {
    let state = (as_of.position, as_of.caught_up);
    let validator = Validator::new(uri, app, sight, state);
    validator.put(response.headers_mut());
}

impl Validator {
    /// The validator of the answer to a request for a URI, for a caller's sight and a state.
    fn new(uri: &Uri, app: &App, sight: Sight<'_>, state: (u64, bool)) -> Self {
        let mut hasher = DefaultHasher::new();
        let agent = sight.agent.map(AgentId::as_str);
        (sight.tenant.as_str(), agent).hash(&mut hasher);
        (uri.path(), uri.query(), state).hash(&mut hasher);
        let (run, position) = (app.run(), state.0);
        let text = format!("W/\"{run:016x}-{position}-{:016x}\"", hasher.finish());
        Self(HeaderValue::try_from(text).expect("digits are visible ASCII"))
    }

    /// Sets the headers `ETag`, `Cache-Control` and `Vary`.
    fn put(self, headers: &mut HeaderMap) {
        headers.insert(ETAG, self.0);
        headers.insert(CACHE_CONTROL, REVALIDATED);
        headers.append(VARY, CREDENTIALS);
    }
}
