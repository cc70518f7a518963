//! How an API words a failure: the status and the body that its clients expect.
//!
//! A problem travels in the extensions of its response to the outermost layer, because only that
//! layer knows the request's id. A dialect sends its [`ErrorStyle`] along, so that no failure
//! reaches its clients in the words of the ledger's own API.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use serde_json::Value;

use crate::http::problem::Problem;
use crate::http::problem::code::Code;

/// A failure, for a dialect to put into its own words.
pub(crate) struct Failure<'a> {
    /// The problem as the ledger's own API words it.
    pub(crate) problem: &'a Problem,
    /// The path of the request, without the path below which the dialect is mounted.
    pub(crate) path: &'a str,
    /// The request's id, also in the header `X-Request-ID` of the answer.
    pub(crate) request_id: &'a str,
    /// After how many seconds to retry, also in the header `Retry-After` of the answer.
    pub(crate) retry_after_s: Option<u64>,
}

/// Words a failure: status and body.
pub(crate) type Wording = fn(&Failure<'_>) -> (StatusCode, Value);

/// How a dialect words failures. As an extension of a response it also holds the request's path.
#[derive(Debug, Clone)]
pub(crate) struct ErrorStyle {
    wording: Wording,
    asked: Uri,
}

impl ErrorStyle {
    pub(crate) fn new(wording: Wording) -> Self {
        let asked = Uri::default();
        Self { wording, asked }
    }

    /// This style, for the failure of a request to this path.
    pub(crate) fn of_request(self, asked: Uri) -> Self {
        Self { asked, ..self }
    }

    /// Writes a problem into the response that carried it here.
    pub(crate) fn write(self, problem: &Problem, response: &mut Response, request_id: &str) {
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
        // `Retry-After` was meant for a status that the dialect does not use.
        if status != problem.code().status() {
            response.headers_mut().remove(RETRY_AFTER);
        }
        *response.body_mut() = Body::from(body.to_string());
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
    }
}

fn retry_after_s(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

impl Failure<'_> {
    /// What is wrong, as one text.
    pub(crate) fn text(&self) -> String {
        match self.problem.code() {
            // The API's own text points to its own document.
            Code::RouteNotFound => format!("there is no {} in this API", self.path),
            _ => text_of(self.problem),
        }
    }
}

/// What is wrong, as one text. It lists the fields if the problem names any.
pub(crate) fn text_of(problem: &Problem) -> String {
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
