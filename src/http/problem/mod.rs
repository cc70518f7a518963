//! Problem documents (RFC 9457): the answers to requests that fail.
//!
//! A handler's problem travels as an extension of its response, and the outermost middleware writes
//! it: only there is the request's id known, and a dialect can put its own layer in between to
//! answer in its own words.

pub(crate) mod code;
pub(crate) mod responses;
pub(crate) mod sets;
pub(crate) mod style;

use std::any::Any;
use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::domain::{Position, Verdict};
use crate::http::problem::code::Code;

/// The codings that bodies of requests may have.
pub(crate) const CODINGS: HeaderValue = HeaderValue::from_static("gzip, deflate, br, zstd");
/// What the type of a problem begins with; the code follows.
pub(crate) const TYPE_PREFIX: &str = "urn:session-ledger:problem:";
/// The media type of problem documents.
pub(crate) const CONTENT_TYPE_PROBLEM: &str = "application/problem+json";
/// How to show a credential.
const CHALLENGES: [&str; 2] = [
    "Bearer realm=\"session-ledger\"",
    "ApiKey realm=\"session-ledger\"",
];

/// Something went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldProblem>,
    /// For a rejected event that is on the log.
    written: Option<(Position, Verdict)>,
    /// Of the session or agent that does not allow the step.
    current_status: Option<&'static str>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FieldProblem {
    pub(crate) field: String,
    pub(crate) message: String,
    /// In a batch: the code of the problem that the event would get in a request of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(code: Code) -> Self {
        Self {
            code,
            detail: Cow::Borrowed(code.advice()),
            errors: Vec::new(),
            written: None,
            current_status: None,
        }
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn errors(&self) -> &[FieldProblem] {
        &self.errors
    }

    #[must_use]
    pub(crate) fn with_detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { detail, ..self }
    }

    #[must_use]
    pub(crate) fn with_error(self, field: &str, message: impl Into<String>) -> Self {
        self.with_errors(vec![(field.to_owned(), message.into())])
    }

    #[must_use]
    pub(crate) fn with_errors(mut self, errors: Vec<(String, String)>) -> Self {
        self.errors
            .extend(errors.into_iter().map(|(field, message)| FieldProblem {
                field,
                message,
                code: None,
            }));
        self
    }

    #[must_use]
    pub(crate) fn with_coded_errors(mut self, errors: Vec<FieldProblem>) -> Self {
        self.errors.extend(errors);
        self
    }

    /// Says that the event is on the log, and the verdict on it.
    #[must_use]
    pub(crate) fn with_position(self, position: Position, verdict: Verdict) -> Self {
        let written = Some((position, verdict));
        Self { written, ..self }
    }

    /// Names the status of the session or agent that does not allow the step.
    #[must_use]
    pub(crate) fn with_status(self, current_status: Option<&'static str>) -> Self {
        Self {
            current_status,
            ..self
        }
    }

    /// Writes the document into the response that carried it here.
    pub(crate) fn write(self, response: &mut Response, request_id: &str) {
        #[derive(Serialize)]
        struct Document<'a> {
            r#type: String,
            title: String,
            status: u16,
            detail: &'a str,
            code: &'static str,
            instance: &'a str,
            #[serde(skip_serializing_if = "<[FieldProblem]>::is_empty")]
            errors: &'a [FieldProblem],
            #[serde(skip_serializing_if = "Option::is_none")]
            position: Option<Position>,
            #[serde(skip_serializing_if = "Option::is_none")]
            verdict: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            current_status: Option<&'static str>,
            /// The old name of `current_status`; the next version leaves it out.
            #[serde(skip_serializing_if = "Option::is_none")]
            present_status: Option<&'static str>,
        }
        let code = self.code;
        let document = Document {
            r#type: format!("{TYPE_PREFIX}{}", code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            detail: &self.detail,
            code: code.as_str(),
            instance: request_id,
            errors: &self.errors,
            position: self.written.map(|(position, _)| position),
            verdict: self.written.map(|(_, verdict)| verdict.as_str()),
            current_status: self.current_status,
            present_status: self.current_status,
        };
        let json = serde_json::to_vec(&document).expect("texts and numbers are JSON");
        *response.body_mut() = Body::from(json);
        let content_type = HeaderValue::from_static(CONTENT_TYPE_PROBLEM);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if let Some(seconds) = self.code.retry_after_s() {
            let seconds = HeaderValue::from(u16::from(seconds));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            for scheme in CHALLENGES {
                let challenge = HeaderValue::from_static(scheme);
                response.headers_mut().append(WWW_AUTHENTICATE, challenge);
            }
        }
        if self.code == Code::UnsupportedEncoding {
            let headers = response.headers_mut();
            headers.insert(ACCEPT_ENCODING, CODINGS);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Answers a request that no route matches.
pub(crate) async fn route_not_found() -> Problem {
    Problem::new(Code::RouteNotFound)
}

/// Answers a method that the route does not accept; the router adds `Allow`.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let path = uri.path();
    Problem::new(Code::MethodNotAllowed).with_detail(format!(
        "{path} does not accept {method}; the header Allow lists the methods that it accepts"
    ))
}

/// Answers a request whose handler panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!("a handler panicked: {}", text.unwrap_or("no message"));
    Problem::new(Code::InternalError).into_response()
}
