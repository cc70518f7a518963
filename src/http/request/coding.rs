//! Content codings: the coding of a request body (`Content-Encoding`), and the coding that a client
//! prefers for the answer (`Accept-Encoding`).

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};

use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::negotiate::weighed;

/// A compression format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Coding {
    #[strum(to_string = "gzip", serialize = "x-gzip")]
    Gzip,
    /// The zlib format, which HTTP calls `deflate`. Only for request bodies.
    Deflate,
    #[strum(serialize = "br")]
    Brotli,
    Zstd,
}

impl Coding {
    /// The codings of answers. If a client has no preference, the first one wins. `zstd` is faster
    /// than `gzip` and compresses better.
    const OF_ANSWERS: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    pub(crate) fn as_str(self) -> &'static str {
        self.into()
    }

    /// The coding of a request body; `None` if it has none. A problem if the coding is unknown or
    /// there are several.
    pub(crate) fn of_body(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut codings = Vec::new();
        for value in headers.get_all(CONTENT_ENCODING) {
            let names = value.to_str().unwrap_or("?").split(',').map(str::trim);
            let names = names.map(str::to_ascii_lowercase);
            codings.extend(names.filter(|name| !matches!(name.as_str(), "" | "identity")));
        }
        let known = match codings.as_slice() {
            [] => return Ok(None),
            [one] => one.parse().ok(),
            _ => None,
        };
        known
            .map(Some)
            .ok_or_else(|| Problem::new(Code::UnsupportedEncoding))
    }

    /// The coding that a client prefers for the answer; `None` if it prefers no coding.
    pub(crate) fn preferred(headers: &HeaderMap) -> Option<Self> {
        if !headers.contains_key(ACCEPT_ENCODING) {
            return None;
        }
        let listed: Vec<_> = weighed(headers, &ACCEPT_ENCODING).collect();
        let weight = |name: &str| listed.iter().find(|(listed, _)| listed == name);
        let weight = |name: &str| weight(name).map(|(_, weight)| *weight);
        let plain = weight("identity").unwrap_or(0.0);
        let mut best = None;
        for coding in Self::OF_ANSWERS {
            let weight = weight(coding.as_str())
                .or_else(|| weight("*"))
                .unwrap_or(0.0);
            let at_least = best.map_or(plain, |(_, weight)| weight);
            if 0.0 < weight && at_least <= weight && best.is_none_or(|(_, best)| best < weight) {
                best = Some((coding, weight));
            }
        }
        best.map(|(coding, _)| coding)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::http::problem::CODINGS;

    fn headers(name: axum::http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_client_gets_the_coding_that_it_prefers() {
        for (accepted, expected) in [
            ("gzip", Some(Coding::Gzip)),
            ("gzip, deflate, br", Some(Coding::Brotli)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip;q=1.0, zstd;q=0.5", Some(Coding::Gzip)),
            ("GZIP;q=0.1", Some(Coding::Gzip)),
            ("*", Some(Coding::Zstd)),
            ("*, zstd;q=0, br;q=0", Some(Coding::Gzip)),
            ("gzip;q=0.5, identity", None),
            ("gzip;q=0", None),
            ("identity", None),
            ("deflate", None),
            ("identity;q=0", None),
            ("", None),
        ] {
            let found = Coding::preferred(&headers(ACCEPT_ENCODING, accepted));
            assert_eq!(found, expected, "{accepted}");
        }
        assert_eq!(Coding::preferred(&HeaderMap::new()), None);
    }

    #[test]
    fn a_body_may_have_one_known_coding() {
        let coding = |value| Coding::of_body(&headers(CONTENT_ENCODING, value));
        assert_eq!(Coding::of_body(&HeaderMap::new()), Ok(None));
        assert_eq!(coding("identity"), Ok(None));
        assert_eq!(coding("GZip"), Ok(Some(Coding::Gzip)));
        assert_eq!(coding("x-gzip, identity"), Ok(Some(Coding::Gzip)));
        assert_eq!(coding("deflate"), Ok(Some(Coding::Deflate)));
        for taken in CODINGS.to_str().unwrap().split(", ") {
            assert!(taken.parse::<Coding>().is_ok(), "{taken}");
        }
        for refused in ["compress", "gzip, gzip", "aws-chunked", "*"] {
            let problem = coding(refused).unwrap_err();
            assert_eq!(problem.code(), Code::UnsupportedEncoding, "{refused}");
        }
    }
}
