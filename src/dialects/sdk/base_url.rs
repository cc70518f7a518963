//! The base URL of a dialect, for vendors whose servers tell it to their clients.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue};

use crate::http::OverTls;

/// Set by proxies that speak TLS with the client.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// In the extensions of a request that came to the dialect's own address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnAddress;

/// The scheme and the host of a request, as its client sees them.
#[derive(Debug)]
pub(crate) struct Base {
    origin: String,
    at_own_address: bool,
}

impl Base {
    /// The URL in front of the dialect's paths, without a slash at its end.
    pub(crate) fn url(self, mount_point: &str) -> String {
        let path = if self.at_own_address { "" } else { mount_point };
        self.origin + path
    }
}

impl<S: Sync> FromRequestParts<S> for Base {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let forwarded = parts.headers.get(FORWARDED_PROTO);
        let is_https = parts.extensions.get::<OverTls>().is_some()
            || forwarded.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
        let scheme = if is_https { "https" } else { "http" };
        // HTTP/2 sends the host name as the authority of the URI.
        let named = parts.headers.get(HOST).map(HeaderValue::as_bytes);
        let named = named.and_then(|host| Authority::try_from(host).ok());
        let host = named.or_else(|| parts.uri.authority().cloned());
        let host = host.as_ref().map_or("localhost", Authority::as_str);
        Ok(Self {
            origin: format!("{scheme}://{host}"),
            at_own_address: parts.extensions.get::<OwnAddress>().is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn url(request: axum::http::request::Builder) -> String {
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let Ok(base) = Base::from_request_parts(&mut parts, &()).await;
        base.url("/compat/acme")
    }

    #[tokio::test]
    async fn the_base_url_is_the_one_that_the_client_called() {
        let plain = || Request::get("/acme/runs").header(HOST, "a.example:81");
        assert_eq!(url(plain()).await, "http://a.example:81/compat/acme");
        assert_eq!(
            url(plain().extension(OwnAddress)).await,
            "http://a.example:81"
        );
        let tls = url(plain().extension(OverTls)).await;
        assert_eq!(tls, "https://a.example:81/compat/acme");
        let proxied = url(plain().header(FORWARDED_PROTO, "HTTPS")).await;
        assert_eq!(proxied, "https://a.example:81/compat/acme");
        let http2 = url(Request::get("https://b.example/acme/runs")).await;
        assert_eq!(http2, "http://b.example/compat/acme");
        let nameless = url(Request::get("/acme/runs")).await;
        assert_eq!(nameless, "http://localhost/compat/acme");
    }
}
