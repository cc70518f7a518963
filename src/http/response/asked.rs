//! `Link` headers and `ETag` validators of pages, from the request for the page.
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

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::extract::FromRequestParts;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, LINK, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::domain::AgentId;
use crate::http::dto;
use crate::http::request::params::{Param, component};
use crate::http::response::body;
use crate::http::state::App;
use crate::query::Sight;

/// Only the client may cache the answer, and it must revalidate the answer before each use.
const REVALIDATED: HeaderValue = HeaderValue::from_static("private, no-cache");
/// The `Vary` header: the request headers that change the answer.
const CREDENTIALS: HeaderValue =
    HeaderValue::from_static("authorization, x-api-key, x-tenant-id, accept-encoding");

/// The parts of a request that links and validators need.
#[derive(Debug)]
pub(crate) struct Asked {
    uri: Uri,
    known: Vec<HeaderValue>,
}

impl<S: Sync> FromRequestParts<S> for Asked {
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
impl IntoParams for Asked {
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

/// Names what a page says, for as long as this server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Validator(HeaderValue);

impl Asked {
    /// The validator of the answer to this request, for a caller's sight and a state.
    fn validator(&self, app: &App, sight: Sight<'_>, state: (u64, bool)) -> Validator {
        let mut hasher = DefaultHasher::new();
        let agent = sight.agent.map(AgentId::as_str);
        (sight.tenant.as_str(), agent).hash(&mut hasher);
        (self.uri.path(), self.uri.query(), state).hash(&mut hasher);
        let (run, position) = (app.run(), state.0);
        let text = format!("W/\"{run:016x}-{position}-{:016x}\"", hasher.finish());
        Validator(HeaderValue::try_from(text).expect("digits are visible ASCII"))
    }

    /// The answer 304 if the client's copy is current, otherwise `None`.
    pub(crate) fn not_modified(&self, app: &App, sight: Sight<'_>) -> Option<Response> {
        if self.known.is_empty() {
            return None;
        }
        let position = app.projection().position();
        let state = (position.get(), app.is_last(position));
        let validator = self.validator(app, sight, state);
        if !self.knows(&validator) {
            return None;
        }
        let mut response = body::not_modified();
        validator.put(response.headers_mut());
        Some(response)
    }

    /// Adds the validator to an answer, so that the client can revalidate it.
    pub(crate) fn name(&self, response: &mut Response, app: &App, of: (Sight<'_>, &dto::AsOf)) {
        let (sight, as_of) = of;
        let state = (as_of.position, as_of.caught_up);
        let validator = self.validator(app, sight, state);
        validator.put(response.headers_mut());
    }

    /// Whether the client sent this validator in `If-None-Match`.
    fn knows(&self, validator: &Validator) -> bool {
        let listed = self.known.iter().filter_map(|value| value.to_str().ok());
        let mut tags = listed.flat_map(|value| value.split(',')).map(str::trim);
        let wanted = validator.0.to_str().map_or("", opaque);
        // `*` never matches: it is meant for writes, and would match every answer.
        tags.any(|tag| opaque(tag) == wanted)
    }

    /// The query without the parameters that say where a page starts.
    fn without_starts(&self, starts: &[&str]) -> String {
        let query = self.uri.query().unwrap_or_default();
        let mut kept = String::with_capacity(query.len());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            if !starts.contains(&percent_decode_str(name).decode_utf8_lossy().as_ref()) {
                if !kept.is_empty() {
                    kept.push('&');
                }
                kept.push_str(pair);
            }
        }
        kept
    }

    /// The value of a `Link` header (RFC 8288).
    fn links(&self, starts: &[&str], pages: &[(&str, Option<(&str, &str)>)]) -> String {
        let kept = self.without_starts(starts);
        let mut links = String::new();
        for (index, (relation, at)) in pages.iter().enumerate() {
            links.push_str(if index == 0 { "<?" } else { ", <?" });
            links.push_str(&kept);
            if let Some((name, value)) = at {
                if !kept.is_empty() {
                    links.push('&');
                }
                for part in [name, "=", value] {
                    links.push_str(part);
                }
            }
            for part in [">; rel=\"", relation, "\""] {
                links.push_str(part);
            }
        }
        links
    }

    /// Adds a `Link` header to other pages of the listing. `starts` lists the parameters that say
    /// where a page starts; `pages` has the relation of each page and its start. Links are
    /// relative, so that a proxy can serve the API below any path.
    pub(crate) fn link(
        &self,
        response: &mut Response,
        starts: &[&str],
        pages: &[(&str, Option<(&str, &str)>)],
    ) {
        // Without links if the query has bytes that a header must not have.
        if let Ok(links) = HeaderValue::try_from(self.links(starts, pages)) {
            response.headers_mut().insert(LINK, links);
        }
    }
}

impl Asked {
    /// Adds links for a listing whose next page starts after, or before, a number.
    pub(crate) fn link_on(&self, response: &mut Response, param: &Param, next: Option<u64>) {
        let next = next.map(|next| next.to_string());
        let mut pages = vec![("first", None)];
        pages.extend(next.as_deref().map(|at| ("next", Some((param.name, at)))));
        self.link(response, &[param.name], &pages);
    }
}

/// The part of a tag that weak comparison compares (RFC 9110, section 8.8.3.2).
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

impl Validator {
    /// Sets the headers `ETag`, `Cache-Control` and `Vary`.
    fn put(self, headers: &mut HeaderMap) {
        headers.insert(ETAG, self.0);
        headers.insert(CACHE_CONTROL, REVALIDATED);
        headers.append(VARY, CREDENTIALS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(uri: &str, known: &[&'static str]) -> Asked {
        let known = known.iter().copied().map(HeaderValue::from_static);
        Asked {
            uri: uri.parse().unwrap(),
            known: known.collect(),
        }
    }

    #[test]
    fn links_keep_the_query_and_change_where_the_page_starts() {
        let starts = ["offset", "cursor"];
        let asked = asked("/v1/x?limit=2&offset=4&a=b%2F&%63ursor=1&&", &[]);
        let pages = [("first", None), ("next", Some(("cursor", "c-1")))];
        assert_eq!(
            asked.links(&starts, &pages),
            "<?limit=2&a=b%2F>; rel=\"first\", <?limit=2&a=b%2F&cursor=c-1>; rel=\"next\""
        );
    }

    #[test]
    fn links_of_a_listing_without_a_query_have_only_the_start() {
        let pages = [("first", None), ("next", Some(("cursor", "c-1")))];
        assert_eq!(
            asked("/v1/x?offset=4", &[]).links(&["offset"], &pages),
            "<?>; rel=\"first\", <?cursor=c-1>; rel=\"next\""
        );
    }

    #[test]
    fn tags_are_compared_weakly_and_in_lists() {
        let validator = Validator(HeaderValue::from_static("W/\"1\""));
        for (known, expected) in [
            (&["W/\"1\""][..], true),
            (&["\"1\""], true),
            (&["\"0\", W/\"1\""], true),
            (&["\"0\"", "\"1\""], true),
            (&["*"], false),
            (&["\"2\"", ""], false),
            (&[], false),
        ] {
            assert_eq!(asked("/", known).knows(&validator), expected, "{known:?}");
        }
    }
}
