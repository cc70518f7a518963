//! Checks of the host name in a request.
//!
//! An HTTP/1.1 request must have exactly one `Host` header. A server for callers on this machine
//! only ([`Hosts::Loopback`](crate::http::Hosts)) accepts only loopback names. This prevents DNS
//! rebinding: a page in a local browser makes its own host name resolve to 127.0.0.1 to read the
//! answers, but its requests carry that name.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::http::problem::Problem;
use crate::http::problem::code::Code;

/// Whether a request has the `Host` header that its version requires: on HTTP/1.1 exactly one
/// (RFC 9112, section 3.2).
pub(crate) fn names_host(request: &Request) -> bool {
    request.version() != Version::HTTP_11 || names_one_host(request)
}

fn names_one_host(request: &Request) -> bool {
    let mut named = request.headers().get_all(HOST).iter();
    let first = named.next().map(HeaderValue::as_bytes);
    // A client that knows no host name sends an empty header.
    let is_name = |name: &[u8]| name.is_empty() || Authority::try_from(name).is_ok();
    first.is_some_and(is_name) && named.next().is_none()
}

/// Rejects requests whose host name is not a loopback name.
pub(crate) async fn loopback_only(request: Request, next: Next) -> Response {
    if names_only_loopback(&request) {
        next.run(request).await
    } else {
        Problem::new(Code::UnknownHost).into_response()
    }
}

/// Whether every host name in the request is a loopback name. A request without a host name passes,
/// because browsers always send one.
fn names_only_loopback(request: &Request) -> bool {
    let mut named = request.headers().get_all(HOST).iter();
    // HTTP/2 sends the host name as the authority of the URI.
    request.uri().authority().is_none_or(is_loopback)
        && named.all(|name| Authority::try_from(name.as_bytes()).is_ok_and(|it| is_loopback(&it)))
}

/// Whether the host is `localhost` or a loopback address.
pub(crate) fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn is_loopback_only(uri: &str, host: Option<&str>) -> bool {
        let mut request = Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        names_only_loopback(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn loopback_names_differ_from_other_names() {
        for own in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1",
            "127.8.9.1:1",
            "[::1]",
            "[::1]:8080",
        ] {
            assert!(is_loopback_only("/", Some(own)), "{own}");
            assert!(is_loopback_only(&format!("http://{own}/"), None), "{own}");
        }
        for other in [
            "evil.example",
            "localhost.evil.example:80",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "10.0.0.1",
            "[::2]:1",
            "0.0.0.0",
        ] {
            assert!(!is_loopback_only("/", Some(other)), "{other}");
            assert!(
                !is_loopback_only(&format!("http://{other}/"), None),
                "{other}"
            );
            assert!(
                !is_loopback_only("http://localhost/", Some(other)),
                "{other}"
            );
        }
        assert!(!is_loopback_only("/", Some("")));
        assert!(is_loopback_only("/", None));
    }
}
