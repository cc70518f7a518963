//! The headers of a request for a stream.

use axum::extract::FromRequestParts;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::domain::Position;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::negotiate::weighed;
use crate::http::request::param::component;

/// The media type of answers with one JSON object per line.
pub(crate) const NDJSON: &str = "application/x-ndjson";
/// Clients of Server-Sent Events send the last id that they have seen when they connect again.
const LAST_EVENT_ID: &str = "Last-Event-ID";
const LAST_EVENT_ID_HEADER: HeaderName = HeaderName::from_static("last-event-id");

/// What the headers say about a stream.
#[derive(Debug)]
pub(crate) struct StreamHeaders {
    /// The position up to which the client has everything, if it says so.
    pub(crate) last: Option<Position>,
    /// Whether the client wants NDJSON instead of Server-Sent Events.
    pub(crate) ndjson: bool,
}

impl<S: Sync> FromRequestParts<S> for StreamHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        // Clients whose last frame had no id send an empty one.
        let last = parts.headers.get(&LAST_EVENT_ID_HEADER);
        let last = last.filter(|value| !value.is_empty()).map(|value| {
            let number = value.to_str().ok().and_then(|text| text.parse().ok());
            let number: u64 = number.ok_or_else(|| {
                Problem::new(Code::InvalidParameter)
                    .with_error(LAST_EVENT_ID, "must be the id of a frame of a stream")
            })?;
            Ok::<_, Problem>(Position::new(number))
        });
        Ok(Self {
            last: last.transpose()?,
            ndjson: wants_ndjson(&parts.headers),
        })
    }
}

impl IntoParams for StreamHeaders {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let header = ParameterBuilder::new()
            .name(LAST_EVENT_ID)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The id of the last frame that the client has. Clients of Server-Sent Events send it when \
                 they connect again.",
            ))
            .extensions(Some(component("LastEventId")))
            .schema(Some(
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .pattern(Some("^[0-9]{0,19}$")),
            ));
        vec![header.build()]
    }
}

/// Whether the client accepts NDJSON by name. A weight of zero excludes it.
pub(crate) fn wants_ndjson(headers: &HeaderMap) -> bool {
    weighed(headers, &ACCEPT)
        .any(|(media_type, weight)| media_type.split(';').next() == Some(NDJSON) && 0.0 < weight)
}
