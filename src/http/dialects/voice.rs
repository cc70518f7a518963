//! How a dialect words failures, whoever finds them: a handler, authentication, the router.
//!
//! A problem travels in the extensions of its response to the outermost middleware, which alone
//! knows the request's id. A dialect sends its voice along, so none leaves in the API's own words.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::Value;

use crate::http::error::Code;
use crate::http::problem::Problem;

/// What went wrong, for a dialect to put into its words.
pub(super) struct Failure<'a> {
    /// As the API sees it.
    pub(super) problem: &'a Problem,
    /// The path that was asked for, without the dialect's mount.
    pub(super) path: &'a str,
    /// Names the request; the answer's header `X-Request-ID` says it too.
    pub(super) request_id: &'a str,
    /// When to try again, as the answer's header `Retry-After` says it too.
    pub(super) retry_after_s: Option<u64>,
}

/// A dialect's way to word a failure: status and body.
pub(super) type Wording = fn(&Failure<'_>) -> (StatusCode, Value);

/// The voice of a dialect. On a response it also knows which path was asked for.
#[derive(Debug, Clone)]
pub(in crate::http) struct Voice {
    wording: Wording,
    asked: Uri,
}

impl Voice {
    pub(super) fn new(wording: Wording) -> Self {
        let asked = Uri::default();
        Self { wording, asked }
    }

    /// Writes a problem into the response that carried it here.
    pub(in crate::http) fn write(
        self,
        problem: &Problem,
        response: &mut Response,
        request_id: &str,
    ) {
        let (status, body) = (self.wording)(&Failure {
            problem,
            path: self.asked.path(),
            request_id,
            retry_after_s: retry_after_s(response.headers()),
        });
        *response.status_mut() = status;
        if status != StatusCode::UNAUTHORIZED {
            response.headers_mut().remove(WWW_AUTHENTICATE);
        }
        // When to come back was said for a status that the dialect does not give.
        if status != problem.code().status() {
            response.headers_mut().remove(RETRY_AFTER);
        }
        *response.body_mut() = Body::from(body.to_string());
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
    }
}

/// Around a dialect's routes: sends its voice along with every problem.
pub(super) async fn lend(State(voice): State<Voice>, request: Request, next: Next) -> Response {
    let asked = request.uri().clone();
    let mut response = next.run(request).await;
    if response.extensions().get::<Problem>().is_some() {
        response.extensions_mut().insert(Voice { asked, ..voice });
    }
    response
}

fn retry_after_s(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

impl Failure<'_> {
    /// One text that says what is wrong.
    pub(super) fn text(&self) -> String {
        match self.problem.code() {
            // The list that the API would point to is not this one's.
            Code::RouteNotFound => format!("there is no {} in this API", self.path),
            _ => text_of(self.problem),
        }
    }
}

/// One text that says what is wrong: the fields, where the problem names some.
pub(super) fn text_of(problem: &Problem) -> String {
    let errors = problem.errors();
    if errors.is_empty() {
        return problem.detail().to_owned();
    }
    let named = errors.iter().map(|error| match &*error.field {
        "" => format!("the body {}", error.message),
        field => format!("{field} {}", error.message),
    });
    named.collect::<Vec<_>>().join("; ")
}
