//! Credentials in the headers of a request: which one it shows, if any.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::error::Code;
use super::problem::Problem;
use crate::auth::Presented;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The credential that a request shows.
///
/// Two that differ are refused, whether or not either is good: on whose behalf such a request comes
/// is for nobody to guess.
pub(super) fn presented(headers: &HeaderMap) -> Result<Presented<'_>, Problem> {
    let keys = headers.get_all(API_KEY).iter().map(key);
    let authorizations = headers.get_all(AUTHORIZATION).iter().map(authorization);
    let mut found: Option<Presented<'_>> = None;
    for presented in keys.chain(authorizations) {
        let presented = presented.ok_or_else(|| Problem::new(Code::InvalidCredential))?;
        if found.is_some_and(|first| first.text() != presented.text()) {
            return Err(Problem::new(Code::SeveralCredentials));
        }
        found = Some(presented);
    }
    found.ok_or_else(|| Problem::new(Code::CredentialRequired))
}

fn key(value: &HeaderValue) -> Option<Presented<'_>> {
    value.to_str().ok().map(Presented::Key)
}

/// `Bearer` with a key or a token, or `ApiKey` with a key.
fn authorization(value: &HeaderValue) -> Option<Presented<'_>> {
    let (scheme, text) = value.to_str().ok()?.split_once(' ')?;
    let text = text.trim_start_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") {
        Some(Presented::Bearer(text))
    } else if scheme.eq_ignore_ascii_case("apikey") {
        Some(Presented::Key(text))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &str)], expected: Result<Presented<'_>, Code>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let found = presented(&map).map_err(|problem| problem.code());
        assert!(found == expected, "{headers:?}");
    }

    #[test]
    fn each_way_to_show_a_credential_is_understood() {
        check(&[("x-api-key", "k")], Ok(Presented::Key("k")));
        check(&[("authorization", "Bearer k")], Ok(Presented::Bearer("k")));
        check(
            &[("authorization", "bearer  k")],
            Ok(Presented::Bearer("k")),
        );
        check(&[("authorization", "ApiKey k")], Ok(Presented::Key("k")));
        check(&[], Err(Code::CredentialRequired));
    }

    #[test]
    fn another_scheme_is_no_credential() {
        for value in ["Basic k", "k", "", "Bearer", "BearerX k"] {
            check(&[("authorization", value)], Err(Code::InvalidCredential));
        }
        check(&[("x-api-key", "\u{e9}")], Err(Code::InvalidCredential));
    }

    #[test]
    fn one_credential_may_be_shown_twice_and_two_may_not() {
        let bearer = ("authorization", "Bearer k");
        check(&[("x-api-key", "k"), bearer], Ok(Presented::Bearer("k")));
        for other in [("x-api-key", "l"), ("authorization", "ApiKey l")] {
            check(&[other, bearer], Err(Code::SeveralCredentials));
        }
        check(
            &[("x-api-key", "k"), ("x-api-key", "l")],
            Err(Code::SeveralCredentials),
        );
    }
}
