//! Whose pages may call the API from a browser (CORS).

use axum::http::HeaderValue;
use axum::http::uri::Uri;

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
