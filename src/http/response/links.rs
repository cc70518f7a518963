//! `Link` headers of listings (RFC 8288).

use std::fmt::Display;

use axum::http::header::LINK;
use axum::http::{HeaderValue, Uri};
use axum::response::Response;
use percent_encoding::percent_decode_str;

use crate::domain::Position;
use crate::http::request::param::AnyParam;
use crate::http::request::params::AS_OF;

/// Adds a `Link` header to other pages of the listing at a URI. `starts` lists the parameters that
/// say where a page starts; `pages` has the relation of each page and its start. Links are
/// relative, so that a proxy can serve the API below any path.
pub(crate) fn add(
    response: &mut Response,
    uri: &Uri,
    starts: &[&str],
    pages: &[(&str, Option<(&str, &str)>)],
) {
    // Without links if the query has bytes that a header must not have.
    if let Ok(links) = HeaderValue::try_from(links(uri, starts, pages)) {
        response.headers_mut().insert(LINK, links);
    }
}

/// The URI of a request for a past state, with the position of that state. So the links of a page lead to pages
/// of one state.
pub(crate) fn as_of(uri: &Uri, position: Position) -> Uri {
    let mut query = without_starts(uri, &[AS_OF.name]);
    if !query.is_empty() {
        query.push('&');
    }
    let with_position = format!("{}?{query}{}={position}", uri.path(), AS_OF.name);
    with_position
        .parse()
        .unwrap_or_else(|_not_a_uri| uri.clone())
}

/// Adds links for a listing whose next page starts after, or before, a place: a number, or percent-encoded text.
pub(crate) fn add_next(
    response: &mut Response,
    uri: &Uri,
    param: &dyn AnyParam,
    next: Option<impl Display>,
) {
    let next = next.map(|next| next.to_string());
    let mut pages = vec![("first", None)];
    pages.extend(next.as_deref().map(|at| ("next", Some((param.name(), at)))));
    add(response, uri, &[param.name()], &pages);
}

/// The value of the header.
fn links(uri: &Uri, starts: &[&str], pages: &[(&str, Option<(&str, &str)>)]) -> String {
    let kept = without_starts(uri, starts);
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

/// The query without the parameters that say where a page starts.
fn without_starts(uri: &Uri, starts: &[&str]) -> String {
    let query = uri.query().unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_query_and_change_where_the_page_starts() {
        let uri = Uri::from_static("/v1/x?limit=2&offset=4&a=b%2F&%63ursor=1&&");
        let pages = [("first", None), ("next", Some(("cursor", "c-1")))];
        assert_eq!(
            links(&uri, &["offset", "cursor"], &pages),
            "<?limit=2&a=b%2F>; rel=\"first\", <?limit=2&a=b%2F&cursor=c-1>; rel=\"next\""
        );
    }

    #[test]
    fn the_links_of_a_past_state_lead_to_that_state() {
        let position = Position::new(7);
        for (before, after) in [
            ("/v1/x", "/v1/x?as_of=7"),
            ("/v1/x?as_of=now", "/v1/x?as_of=7"),
            (
                "/v1/x?a=1&as%5Fof=2026-01-31T12:00:00Z&b=2",
                "/v1/x?a=1&b=2&as_of=7",
            ),
        ] {
            let uri = as_of(&Uri::from_static(before), position);
            assert_eq!(uri, Uri::from_static(after));
        }
    }

    #[test]
    fn links_of_a_listing_without_a_query_have_only_the_start() {
        let pages = [("first", None), ("next", Some(("cursor", "c-1")))];
        assert_eq!(
            links(&Uri::from_static("/v1/x?offset=4"), &["offset"], &pages),
            "<?>; rel=\"first\", <?cursor=c-1>; rel=\"next\""
        );
    }
}
