//! The origins whose pages may call the API from a browser (CORS).

use axum::http::HeaderValue;
use axum::http::uri::Uri;

/// An origin whose pages may call the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Every origin.
    Any,
    /// One origin as browsers send it, such as `https://app.example`.
    Site(HeaderValue),
}

/// The text is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write the scheme and the host as browsers send them, such as https://app.example or \
     http://localhost:5173, or write `*` for any origin"
)]
pub struct OriginError;

impl Origin {
    /// Parses an origin, or `*` for any.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let uri: Uri = text.parse().map_err(|_no_uri| OriginError)?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority().ok_or(OriginError)?;
        let scheme = uri.scheme_str().unwrap_or_default();
        // Browsers send no path, no capital letters and no default port.
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
    fn only_the_form_that_browsers_send_is_an_origin() {
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
