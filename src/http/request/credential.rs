//! Finds the credential in the headers of a request.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::auth::Presented;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The content of one header that may hold a credential.
enum Shown<'a> {
    Credential(Presented<'a>),
    /// The header is empty. Some proxies and SDKs send empty headers if they have no value.
    Nothing,
    /// A scheme that the ledger does not use, such as the `Basic` credential of a proxy.
    OtherScheme,
    /// The header is not ASCII text.
    Unreadable,
}

/// The problem text for a header with another scheme.
const OTHER_SCHEME: &str = "the server does not accept this scheme in the header Authorization; \
                            send `Authorization: Bearer` with an API key or a token, or the API \
                            key as `X-API-Key`";

/// Returns the credential of a request.
///
/// A request may repeat its credential. A request with two different credentials is rejected, even
/// if one of them is invalid: the server does not guess who the caller is.
pub(crate) fn presented(headers: &HeaderMap) -> Result<Presented<'_>, Problem> {
    let keys = headers.get_all(API_KEY).iter().map(key);
    let authorizations = headers.get_all(AUTHORIZATION).iter().map(authorization);
    let mut found: Option<Presented<'_>> = None;
    let mut missing = Problem::new(Code::CredentialRequired);
    for shown in keys.chain(authorizations) {
        match shown {
            Shown::Nothing => {}
            Shown::OtherScheme => missing = missing.with_detail(OTHER_SCHEME),
            Shown::Unreadable => return Err(Problem::new(Code::InvalidCredential)),
            Shown::Credential(shown) => match found {
                Some(first) if first.text() != shown.text() => {
                    return Err(Problem::new(Code::SeveralCredentials));
                }
                Some(_) | None => found = Some(shown),
            },
        }
    }
    found.ok_or(missing)
}

fn key(value: &HeaderValue) -> Shown<'_> {
    match value.to_str() {
        Ok("") => Shown::Nothing,
        Ok(key) => Shown::Credential(Presented::Key(key)),
        Err(_not_ascii) => Shown::Unreadable,
    }
}

/// `Bearer` with a key or a token, or `ApiKey` with a key.
fn authorization(value: &HeaderValue) -> Shown<'_> {
    let bytes = value.as_bytes().trim_ascii();
    if bytes.is_empty() {
        return Shown::Nothing;
    }
    let space = bytes.iter().position(u8::is_ascii_whitespace);
    let (scheme, rest) = bytes.split_at(space.unwrap_or(bytes.len()));
    let present: fn(_) -> _ = if scheme.eq_ignore_ascii_case(b"bearer") {
        Presented::Bearer
    } else if scheme.eq_ignore_ascii_case(b"apikey") {
        Presented::Key
    } else {
        return Shown::OtherScheme;
    };
    match rest.trim_ascii_start() {
        [] => Shown::Nothing,
        text if text.is_ascii() => match str::from_utf8(text) {
            Ok(text) => Shown::Credential(present(text)),
            Err(_never) => Shown::Unreadable,
        },
        _ => Shown::Unreadable,
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
    fn every_header_form_of_a_credential_is_read() {
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
    fn headers_with_another_scheme_or_no_value_hold_no_credential() {
        let key = ("x-api-key", "k");
        for value in [
            "Basic k",
            "Token k",
            "k",
            "BearerX k",
            "Negotiate",
            "Basic \u{e9}",
        ] {
            let other = ("authorization", value);
            check(&[other], Err(Code::CredentialRequired));
            check(&[other, key], Ok(Presented::Key("k")));
            check(
                &[other, ("authorization", "Bearer k")],
                Ok(Presented::Bearer("k")),
            );
            let mut map = HeaderMap::new();
            map.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            let problem = presented(&map).err().unwrap();
            assert!(
                problem.detail().contains("send `Authorization: Bearer`"),
                "{value}"
            );
        }
        for value in ["", "Bearer", "Bearer ", "apikey  "] {
            let empty = ("authorization", value);
            check(&[empty], Err(Code::CredentialRequired));
            check(&[empty, key], Ok(Presented::Key("k")));
        }
        let empty_key = ("x-api-key", "");
        check(&[empty_key], Err(Code::CredentialRequired));
        check(
            &[empty_key, ("authorization", "Bearer k")],
            Ok(Presented::Bearer("k")),
        );
    }

    #[test]
    fn a_credential_that_is_not_ascii_is_invalid() {
        for name in [("x-api-key", "\u{e9}"), ("authorization", "Bearer \u{e9}")] {
            check(&[name], Err(Code::InvalidCredential));
        }
    }

    #[test]
    fn a_request_may_repeat_its_credential_but_not_send_two() {
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
