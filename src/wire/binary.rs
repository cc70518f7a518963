//! `CloudEvents` in binary mode to structured mode: attributes come as headers, the data as a body.
//!
//! The conversion is total and deterministic: what makes no event becomes a structured text that
//! [`decode`](crate::wire::decode()) refuses with a reason, so that it gets its verdict like any
//! other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;

/// The structured text of a binary-mode event.
///
/// Attributes are named without their `ce-` prefix and sorted, because a set of headers has no
/// order. JSON data is taken to the byte; other data becomes `data_base64`; no bytes are no data.
pub fn to_structured<'a>(
    attributes: impl Iterator<Item = (&'a str, &'a str)>,
    content_type: Option<&str>,
    data: &[u8],
) -> Vec<u8> {
    let mut attributes: Vec<_> = attributes.collect();
    attributes.sort_unstable();
    let mut json = String::with_capacity(512 + data.len());
    json.push('{');
    for (name, value) in attributes {
        push_member(&mut json, name, &text(value));
    }
    if let Some(content_type) = content_type {
        push_member(&mut json, "datacontenttype", &text(content_type));
    }
    match json_data(content_type, data) {
        Some(raw) => push_member(&mut json, "data", raw),
        None if data.is_empty() => {}
        // Base64 has no character that JSON escapes.
        None => push_member(
            &mut json,
            "data_base64",
            &format!("\"{}\"", STANDARD.encode(data)),
        ),
    }
    json.push('}');
    json.into_bytes()
}

/// Decodes the value of an HTTP header into an attribute's text, as the HTTP binding says in
/// 3.1.3.2: double quotes are taken off, then percent-encoding once. `None` if the result is not
/// UTF-8.
pub fn percent_decode_header(value: &str) -> Option<String> {
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let unquoted = quoted.map(unescape);
    let value = unquoted.as_deref().unwrap_or(value);
    percent_decode_str(value).decode_utf8().ok().map(Into::into)
}

/// Whether a content type is one of JSON: its subtype is `json` or ends with `+json`.
pub fn is_json(content_type: &str) -> bool {
    let (media_type, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let Some((kind, subtype)) = media_type.trim_end_matches([' ', '\t']).split_once('/') else {
        return false;
    };
    let is_token = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
    };
    let lower = subtype.to_ascii_lowercase();
    !kind.is_empty()
        && is_token(kind)
        && is_token(subtype)
        && (lower == "json"
            || lower
                .strip_suffix("+json")
                .is_some_and(|name| !name.is_empty()))
        && !parameters.contains(char::is_control)
}

fn json_data<'a>(content_type: Option<&str>, data: &'a [u8]) -> Option<&'a str> {
    content_type.filter(|content_type| is_json(content_type))?;
    serde_json::from_slice::<&RawValue>(data)
        .ok()
        .map(RawValue::get)
}

fn push_member(json: &mut String, name: &str, raw: &str) {
    if json.len() != 1 {
        json.push(',');
    }
    json.push_str(&text(name));
    json.push(':');
    json.push_str(raw);
}

fn text(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

/// Takes the backslashes out of a quoted string.
fn unescape(quoted: &str) -> String {
    let mut escaped = false;
    quoted
        .chars()
        .filter(|c| {
            escaped = *c == '\\' && !escaped;
            !escaped
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JSON: Option<&str> = Some("application/json");

    #[track_caller]
    fn check(attributes: &[(&str, &str)], content_type: Option<&str>, data: &[u8], expected: &str) {
        let json = to_structured(attributes.iter().copied(), content_type, data);
        assert_eq!(String::from_utf8(json).unwrap(), expected);
    }

    #[test]
    fn json_data_is_taken_to_the_byte() {
        let expected = r#"{"id":"1","datacontenttype":"application/json","data":{"n" :1.0}}"#;
        check(&[("id", "1")], JSON, b" {\"n\" :1.0}\n", expected);
    }

    #[test]
    fn other_data_becomes_base64() {
        check(&[], None, b"hi", r#"{"data_base64":"aGk="}"#);
        check(
            &[],
            JSON,
            b"{",
            r#"{"datacontenttype":"application/json","data_base64":"ew=="}"#,
        );
        let bytes = r#"{"datacontenttype":"a/b","data_base64":"/w=="}"#;
        check(&[], Some("a/b"), b"\xff", bytes);
        check(&[], JSON, b"", r#"{"datacontenttype":"application/json"}"#);
        check(&[], None, b"", "{}");
    }

    #[test]
    fn the_order_of_headers_makes_no_difference() {
        let expected = r#"{"a":"1","a":"2","b":"\"\n"}"#;
        check(
            &[("b", "\"\n"), ("a", "2"), ("a", "1")],
            None,
            b"",
            expected,
        );
        check(
            &[("a", "1"), ("b", "\"\n"), ("a", "2")],
            None,
            b"",
            expected,
        );
    }

    #[test]
    fn header_values_are_unquoted_and_percent_decoded_once() {
        for (value, expected) in [
            ("plain", Some("plain")),
            (
                "Euro%20%E2%82%AC%20%F0%9F%98%80",
                Some("Euro \u{20ac} \u{1f600}"),
            ),
            ("%2541", Some("%41")),
            ("100%", Some("100%")),
            (r#""a \"b\" \\ c""#, Some(r#"a "b" \ c"#)),
            ("\"", Some("\"")),
            ("%C0%A0", None),
            ("%FF", None),
        ] {
            assert_eq!(percent_decode_header(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn json_is_told_by_its_subtype() {
        for json in [
            "application/json",
            "Application/JSON ; charset=utf-8",
            "application/cloudevents+json",
            "text/json",
            "a/x.y+JSON;",
        ] {
            assert!(is_json(json), "{json}");
        }
        for other in [
            "",
            "json",
            "/json",
            "application/xml",
            "a/b/json",
            "a/+json",
            "a/ json",
        ] {
            assert!(!is_json(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_becomes_a_json_object(
            attributes in prop::collection::vec((".{0,8}", ".{0,8}"), 0..4),
            content_type in prop::option::of("(application/json|.{0,12})"),
            data in prop::collection::vec(any::<u8>(), 0..32),
        ) {
            let pairs = attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let json = to_structured(pairs, content_type.as_deref(), &data);
            let read: serde_json::Value = serde_json::from_slice(&json).unwrap();
            prop_assert!(read.is_object());
        }
    }
}
