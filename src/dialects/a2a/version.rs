//! The version of the protocol that a request is in.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use super::failure::Failure;
use crate::http::request::extract::echo;

/// The version that the server speaks, as the agent card names it.
pub(super) const OURS: &str = "1.0";
const OUR_MAJOR: &str = "1";
const HEADER: HeaderName = HeaderName::from_static("a2a-version");

/// Evidence that a request is in a version that the server speaks.
#[derive(Debug)]
pub(super) struct Version;

impl Version {
    /// Checks the header `A2A-Version`. All versions of a major one are compatible. A request without the
    /// header passes: no route and no method of 0.3 has a name of 1.0.
    pub(super) fn check(headers: &HeaderMap) -> Result<Self, Failure> {
        for named in headers.get_all(HEADER) {
            let named = named.to_str().unwrap_or("not ASCII").trim();
            let major = named.split('.').next().unwrap_or_default();
            if !named.is_empty() && major != OUR_MAJOR {
                return Err(Failure::Version(echo(named).into_owned()));
            }
        }
        Ok(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Version {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        Self::check(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_another_major_version_is_refused() {
        for (named, is_ours) in [
            ("1.0", true),
            ("1.0.1", true),
            ("1.7", true),
            ("1", true),
            ("", true),
            ("0.3", false),
            ("2.0", false),
            ("10.0", false),
            ("new", false),
        ] {
            let named = HeaderValue::from_static(named);
            let headers = HeaderMap::from_iter([(HEADER, named.clone())]);
            assert_eq!(Version::check(&headers).is_ok(), is_ours, "{named:?}");
        }
        assert!(Version::check(&HeaderMap::new()).is_ok());
    }
}
