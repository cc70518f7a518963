//! Conditional requests: which answers the client has already.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::IF_NONE_MATCH;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri};
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::http::request::param::component;

/// The URI of a request, and the versions of its answer that the client has.
#[derive(Debug)]
pub(crate) struct Conditional {
    uri: Uri,
    known: Vec<HeaderValue>,
}

impl<S: Sync> FromRequestParts<S> for Conditional {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let known = parts.headers.get_all(IF_NONE_MATCH).iter();
        Ok(Self {
            uri: parts.uri.clone(),
            known: known.cloned().collect(),
        })
    }
}

/// For operations whose answers have an `ETag`.
impl IntoParams for Conditional {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let header = ParameterBuilder::new()
            .name("If-None-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The `ETag` of an earlier answer. If the answer has not changed since, it is a 304.",
            ))
            .extensions(Some(component("IfNoneMatch")))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        vec![header.build()]
    }
}

impl Conditional {
    /// The URI of the request.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether the client has no version.
    pub(crate) fn knows_none(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether the client sent this validator in `If-None-Match`.
    pub(crate) fn knows(&self, validator: &HeaderValue) -> bool {
        let listed = self.known.iter().filter_map(|value| value.to_str().ok());
        let mut tags = listed.flat_map(|value| value.split(',')).map(str::trim);
        let wanted = validator.to_str().map_or("", opaque);
        // `*` never matches: it is meant for writes, and would match every answer.
        tags.any(|tag| opaque(tag) == wanted)
    }
}

/// The part of a tag that weak comparison compares (RFC 9110, section 8.8.3.2).
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly_and_in_lists() {
        let validator = HeaderValue::from_static("W/\"1\"");
        for (known, expected) in [
            (&["W/\"1\""][..], true),
            (&["\"1\""], true),
            (&["\"0\", W/\"1\""], true),
            (&["\"0\"", "\"1\""], true),
            (&["*"], false),
            (&["\"2\"", ""], false),
            (&[], false),
        ] {
            let request = Conditional {
                uri: Uri::from_static("/"),
                known: known
                    .iter()
                    .copied()
                    .map(HeaderValue::from_static)
                    .collect(),
            };
            assert_eq!(request.knows(&validator), expected, "{known:?}");
        }
    }
}
