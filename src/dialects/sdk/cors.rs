//! What pages of other sites may ask of a dialect (CORS), where its vendor's servers let them.
//!
//! Such servers take any page: requests show their credential in a header, which only a page that
//! has been given one can send. While nobody is asked for credentials that protects nothing, so then
//! only pages of this machine are taken, whatever the vendor does.

use std::time::Duration;

use axum::http::request::Parts;
use axum::http::uri::Uri;
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::auth::Access;
use crate::http::layers::hosts;

/// How long a browser may remember what is allowed.
const REMEMBERED_S: u64 = 86_400;

/// What pages may send.
pub(crate) struct Cors {
    pub(crate) methods: Vec<Method>,
    pub(crate) headers: Vec<HeaderName>,
}

impl Cors {
    /// The layer around everything that a dialect answers.
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
    fn pages_of_this_machine_are_told_from_others() {
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
