//! Which pages of other sites may ask the ledger's own API (CORS): those that the operator names.
//!
//! Dialects follow their vendors' servers, see `dialects::cors`.

use std::time::Duration;

use axum::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, RETRY_AFTER,
};
use axum::http::uri::Uri;
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember what is allowed.
const REMEMBERED_S: u64 = 86_400;
/// What pages may send besides headers that need no leave.
const SENT: [HeaderName; 9] = [
    ACCEPT,
    AUTHORIZATION,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-tenant-id"),
];
/// What pages may read of an answer besides its body.
const READ: [HeaderName; 10] = [
    ETAG,
    LINK,
    RETRY_AFTER,
    HeaderName::from_static("x-as-of-position"),
    HeaderName::from_static("x-next-after"),
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-policy"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
    HeaderName::from_static("x-request-id"),
];

/// An origin whose pages may ask: `https://app.example`, or any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Every page there is.
    Any,
    /// Those of one site, as browsers name it.
    Site(HeaderValue),
}

/// Why a text is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write scheme and host as browsers send them, as in https://app.example or http://localhost:5173; `*` is any"
)]
pub struct OriginError;

impl Origin {
    /// Reads an origin.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let uri: Uri = text.parse().map_err(|_no_uri| OriginError)?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority().ok_or(OriginError)?;
        let scheme = uri.scheme_str().unwrap_or_default();
        // A browser sends neither path nor capitals, nor a port that is the scheme's own.
        let named = format!("{scheme}://{authority}");
        let usual = match scheme {
            "http" => ":80",
            _ => ":443",
        };
        let plain = named == text && named == named.to_ascii_lowercase();
        if !is_web || !plain || named.ends_with(usual) || authority.as_str().contains(['@', '*']) {
            return Err(OriginError);
        }
        HeaderValue::try_from(named)
            .map(Self::Site)
            .map_err(|_not_visible| OriginError)
    }
}

/// The layer around the API's own routes, if any origin may ask.
pub(super) fn layer(origins: &[Origin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let sites = origins.iter().filter_map(|origin| match origin {
        Origin::Any => None,
        Origin::Site(site) => Some(site.clone()),
    });
    let allowed = if origins.contains(&Origin::Any) {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(sites)
    };
    // No cookies: a page shows the credential that it was given.
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(SENT)
        .expose_headers(READ)
        .max_age(Duration::from_secs(REMEMBERED_S));
    Some(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        assert_eq!(Origin::parse("*"), Ok(Origin::Any));
        for good in [
            "https://app.example",
            "http://localhost:5173",
            "http://[::1]:81",
        ] {
            let site = Origin::Site(HeaderValue::from_static(good));
            assert_eq!(Origin::parse(good), Ok(site), "{good}");
        }
        for bad in [
            "",
            "null",
            "app.example",
            "https://app.example/",
            "https://App.example",
            "https://app.example:443",
            "http://[::1]:80",
            "https://a@app.example",
            "ftp://app.example",
            "https://*.example",
        ] {
            assert_eq!(Origin::parse(bad), Err(OriginError), "{bad}");
        }
    }
}
