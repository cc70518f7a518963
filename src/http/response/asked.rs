//! What a request for a page asked for, as links to other pages repeat it and validators name it.
//!
//! A page of a listing is decided by the tenant, the agent of a bound credential, the query, the position of the state that it shows,
//! and whether the log is known to go on after that: its validator is made of these, and of the run
//! of the server, which may be another program or have another log next time. It is weak, because a
//! page may be sent in several codings. Single reads look at the clock, so they have none.

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

/// For the client's own cache, which has to ask each time.
const REVALIDATED: HeaderValue = HeaderValue::from_static("private, no-cache");
/// What else decides an answer of the API.
const CREDENTIALS: HeaderValue =
    HeaderValue::from_static("authorization, x-api-key, x-tenant-id, accept-encoding");

/// What a request asked for.
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
    /// Names the answer to this request, for what a caller is shown and the state at a position.
    fn validator(&self, app: &App, sight: Sight<'_>, state: (u64, bool)) -> Validator {
        let mut hasher = DefaultHasher::new();
        let agent = sight.agent.map(AgentId::as_str);
        (sight.tenant.as_str(), agent).hash(&mut hasher);
        (self.uri.path(), self.uri.query(), state).hash(&mut hasher);
        let (run, position) = (app.run(), state.0);
        let text = format!("W/\"{run:016x}-{position}-{:016x}\"", hasher.finish());
        Validator(HeaderValue::try_from(text).expect("digits are visible ASCII"))
    }

    /// The answer to a client that has what it asks for.
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

    /// Names an answer that shows a state, so that the client may ask whether it is still good.
    pub(crate) fn name(&self, response: &mut Response, app: &App, of: (Sight<'_>, &dto::AsOf)) {
        let (sight, as_of) = of;
        let state = (as_of.position, as_of.caught_up);
        let validator = self.validator(app, sight, state);
        validator.put(response.headers_mut());
    }

    /// Whether the client has what a validator names.
    fn knows(&self, validator: &Validator) -> bool {
        let listed = self.known.iter().filter_map(|value| value.to_str().ok());
        let mut tags = listed.flat_map(|value| value.split(',')).map(str::trim);
        let wanted = validator.0.to_str().map_or("", opaque);
        // `*` is meant for writes, and would be true for every answer.
        tags.any(|tag| opaque(tag) == wanted)
    }

    /// The parameters of the query other than those that say where a page starts.
    fn kept(&self, starts: &[&str]) -> String {
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
        let kept = self.kept(starts);
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

    /// Names other pages of the listing: parameters that say where a page starts, and with which of
    /// them each page does. References are relative, so that a proxy may serve the API wherever it
    /// likes.
    pub(crate) fn link(
        &self,
        response: &mut Response,
        starts: &[&str],
        pages: &[(&str, Option<(&str, &str)>)],
    ) {
        // A query may have bytes that a header may not: then there are no links.
        if let Ok(links) = HeaderValue::try_from(self.links(starts, pages)) {
            response.headers_mut().insert(LINK, links);
        }
    }
}

impl Asked {
    /// Names the pages of a listing that goes on after, or before, a number.
    pub(crate) fn link_on(&self, response: &mut Response, param: &Param, next: Option<u64>) {
        let next = next.map(|next| next.to_string());
        let mut pages = vec![("first", None)];
        pages.extend(next.as_deref().map(|at| ("next", Some((param.name, at)))));
        self.link(response, &[param.name], &pages);
    }
}

/// A tag as weak comparison sees it.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

impl Validator {
    /// Names an answer, and says who may keep it.
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
    fn links_of_a_bare_listing_have_only_where_the_page_starts() {
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
