//! CORS for dialects whose vendor's servers allow pages of other sites.
//!
//! These vendors allow every origin: a request needs a credential in a header, and a page can only
//! send one that a user gave it. A server that requires no credentials has no such protection, so
//! it allows only origins on this machine.

use std::time::Duration;

use axum::http::request::Parts;
use axum::http::uri::Uri;
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::auth::Access;
use crate::http::layers::hosts;

/// How long a browser may cache the answer to a preflight request.
const REMEMBERED_S: u64 = 86_400;

/// The methods and headers that pages of other sites may send.
pub(crate) struct Cors {
    pub(crate) methods: Vec<Method>,
    pub(crate) headers: Vec<HeaderName>,
}

impl Cors {
    /// The CORS layer around all routes of a dialect.
    pub(crate) fn layer(self, access: &Access) -> CorsLayer {
        let origins = match access {
            Access::Everybody => AllowOrigin::predicate(is_of_this_machine),
            Access::Credentials(_) | Access::Private(_) => AllowOrigin::mirror_request(),
        };
        CorsLayer::new()
            .allow_origin(origins)
            .allow_credentials(true)
            .allow_methods(self.methods)
            .allow_headers(self.headers)
            .max_age(Duration::from_secs(REMEMBERED_S))
    }
}

fn is_of_this_machine(origin: &HeaderValue, _request: &Parts) -> bool {
    let origin = Uri::try_from(origin.as_bytes()).ok();
    let authority = origin.as_ref().and_then(Uri::authority);
    authority.is_some_and(hosts::is_loopback)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn origins_on_this_machine_differ_from_others() {
        let (request, ()) = Request::new(()).into_parts();
        let check = |origin: &str, expected: bool| {
            let value = HeaderValue::from_str(origin).unwrap();
            assert_eq!(is_of_this_machine(&value, &request), expected, "{origin}");
        };
        check("http://localhost:5173", true);
        check("http://127.0.0.1", true);
        check("https://[::1]:3000", true);
        check("https://evil.example", false);
        check("http://localhost.evil.example", false);
        check("null", false);
        check("file://", false);
        check("", false);
    }
}
