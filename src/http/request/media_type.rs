//! The media type of a request body, which must be in UTF-8.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};

use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::extract::echo;

pub(crate) const JSON: &str = "application/json";

/// Names of UTF-8 and of its subset ASCII. JSON has no charset parameter (RFC 8259), but clients
/// send these.
const UTF8: [&str; 5] = ["utf-8", "utf8", "us-ascii", "ascii", "ansi_x3.4-1968"];

/// Returns the media type in lower case and without parameters; `None` if the request has no
/// content type. A problem if its charset is not UTF-8.
pub(crate) fn of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::to_str);
    match content_type {
        None => Ok(None),
        Some(Ok(text)) => parse(text).map(Some),
        Some(Err(_not_ascii)) => Err(Problem::new(Code::UnsupportedMediaType)),
    }
}

fn parse(content_type: &str) -> Result<String, Problem> {
    let mut parts = content_type.split(';');
    let media_type = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        let charset = value.trim().trim_matches('"');
        let is_utf8 = UTF8.iter().any(|known| known.eq_ignore_ascii_case(charset));
        if name.trim().eq_ignore_ascii_case("charset") && !is_utf8 {
            let charset = echo(charset);
            return Err(Problem::new(Code::UnsupportedMediaType).with_detail(format!(
                "the charset `{charset}` is not supported; send the body in UTF-8, without a charset"
            )));
        }
    }
    Ok(media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_utf_8_is_accepted() {
        for content_type in [
            "application/json",
            "Application/JSON",
            "application/json;",
            "application/json;charset=utf-8",
            "application/json; charset=\"UTF-8\"",
            "application/json; Charset=utf8",
            "application/json ; charset = US-ASCII; v=1",
            "application/json; charset=ANSI_X3.4-1968",
        ] {
            assert_eq!(parse(content_type).as_deref(), Ok(JSON), "{content_type}");
        }
    }

    #[test]
    fn an_error_names_an_unsupported_charset() {
        for charset in ["utf-16", "UTF-16LE", "latin1", "\"utf-32\"", ""] {
            let refused = parse(&format!("application/json; charset={charset}")).unwrap_err();
            assert_eq!(refused.code(), Code::UnsupportedMediaType, "{charset}");
            let expected = format!("the charset `{}` is not", charset.trim_matches('"'));
            assert!(refused.detail().starts_with(&expected), "{refused:?}");
        }
    }
}
