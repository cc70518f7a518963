//! The responses that all operations share in the API's document: one for each status of a problem.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::StatusCode;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::http::problem::CONTENT_TYPE_PROBLEM;
use crate::http::problem::code::Code;

/// The statuses of problems: what each means, and a header that comes with it.
const RESPONSES: &[(StatusCode, &str, Option<Header>)] = &[
    (
        StatusCode::BAD_REQUEST,
        "The request or the event is not well formed.",
        None,
    ),
    (
        StatusCode::UNAUTHORIZED,
        "The request has no valid credential.",
        Some((
            "WWW-Authenticate",
            "The kinds of credentials that the server accepts.",
        )),
    ),
    (
        StatusCode::FORBIDDEN,
        "The credential, the tenant, the agent or its scopes do not allow the request.",
        None,
    ),
    (
        StatusCode::NOT_FOUND,
        "There is no such thing, or the caller may not see it.",
        None,
    ),
    (
        StatusCode::METHOD_NOT_ALLOWED,
        "The path does not accept the method.",
        Some(("Allow", "The methods that the path accepts.")),
    ),
    (
        StatusCode::REQUEST_TIMEOUT,
        "The body of the request did not arrive in time.",
        None,
    ),
    (
        StatusCode::CONFLICT,
        "The request contradicts the current state of the ledger.",
        None,
    ),
    (
        StatusCode::PAYLOAD_TOO_LARGE,
        "The body, the batch or the event is too large.",
        None,
    ),
    (
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "The server does not accept the content type or the content encoding.",
        Some((
            "Accept-Encoding",
            "The content encodings that the server accepts.",
        )),
    ),
    (
        StatusCode::MISDIRECTED_REQUEST,
        "The server answers only to `localhost` and loopback addresses.",
        None,
    ),
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        "The request is well formed, but it refers to something that does not exist, its result is not \
         allowed, or the answer would take too long.",
        None,
    ),
    (
        StatusCode::TOO_MANY_REQUESTS,
        "The credential sends more requests than its rate limit allows.",
        Some(RETRY_AFTER),
    ),
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        "The server or its log failed.",
        None,
    ),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "The server cannot answer now. Try again.",
        Some(RETRY_AFTER),
    ),
];

type Header = (&'static str, &'static str);

const RETRY_AFTER: Header = (
    "Retry-After",
    "How many seconds to wait before the next try.",
);

/// The stable codes of problems, as a named schema.
pub(crate) struct ProblemCode;

impl PartialSchema for ProblemCode {
    fn schema() -> RefOr<Schema> {
        let mut words: Vec<&str> = Code::all().map(Code::as_str).collect();
        words.sort_unstable();
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("What went wrong. A later version may add codes."))
            .enum_values(Some(words))
            .into()
    }
}

impl ToSchema for ProblemCode {
    fn name() -> Cow<'static, str> {
        "ProblemCode".into()
    }
}

/// The responses by their statuses.
pub(crate) fn all() -> BTreeMap<String, RefOr<Response>> {
    let named = RESPONSES.iter().map(|(status, about, header)| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
        let mut response = ResponseBuilder::new()
            .description(*about)
            .content(CONTENT_TYPE_PROBLEM, content.build());
        if let Some((name, about)) = header {
            let schema = ObjectBuilder::new().schema_type(if *name == RETRY_AFTER.0 {
                Type::Integer
            } else {
                Type::String
            });
            let header = HeaderBuilder::new()
                .schema(Some(schema))
                .description(Some(*about));
            response = response.header(*name, header.build());
        }
        (status.as_str().to_owned(), response.build().into())
    });
    named.collect()
}

/// A reference to the response of a status.
pub(crate) fn reference(status: &str) -> String {
    format!("#/components/responses/{status}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_problem_has_a_response() {
        for code in Code::all() {
            let has_response = RESPONSES.iter().any(|(of, ..)| *of == code.status());
            assert!(has_response, "{}", code.as_str());
        }
    }
}
