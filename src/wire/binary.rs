//! Converts `CloudEvents` from binary mode to structured mode. In binary mode, attributes are
//! headers and the data is the body.
//!
//! The conversion is total and deterministic. An invalid event becomes a structured text that
//! [`decode`](crate::wire::decode()) rejects with a reason, so that it gets a verdict.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::percent_decode;
use serde_json::value::RawValue;

use crate::domain::Rules;
use crate::wire::headers::Headers;

/// The prefix of the media types of structured modes. Receivers recognize the mode by it
/// (`CloudEvents` 1.0.2, NATS and HTTP bindings, section 3).
const STRUCTURED_MODES: &str = "application/cloudevents";

/// A context attribute of an event in binary mode.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attribute<'a> {
    /// Its name, without the prefix of the header.
    pub name: Cow<'a, str>,
    /// Its value. `Err` has the text of a header that is not a valid value.
    pub value: Result<Cow<'a, str>, Cow<'a, str>>,
}

impl Attribute<'_> {
    /// Makes the value invalid if the attribute is `data` or `data_base64`: in binary mode, the
    /// data is the body.
    fn invalidate_data(&mut self) {
        if ["data", "data_base64"].contains(&&*self.name)
            && let Ok(value) = &mut self.value
        {
            self.value = Err(std::mem::take(value));
        }
    }
}

/// Returns the structured text of a stored message. A message without headers is already
/// structured.
pub fn structured(rules: Rules, headers: &Headers, payload: &Bytes) -> Bytes {
    if headers.is_empty() {
        return payload.clone();
    }
    if rules < Rules::V2 {
        return structured_by_first_rules(headers, payload);
    }
    let content_type = headers.content_type();
    if content_type.is_some_and(is_structured_mode) {
        return payload.clone();
    }
    let attributes = headers.attributes().map(|(name, value)| Attribute {
        name: name.to_ascii_lowercase().into(),
        value: header_value(value.as_bytes())
            .map(Cow::Owned)
            .ok_or(Cow::Borrowed(value)),
    });
    to_structured(rules, attributes.collect(), content_type, payload).into()
}

/// Converts a message by the first version of the rules. It did not decode values, names were
/// case-sensitive, and only the attributes decided the mode.
fn structured_by_first_rules(headers: &Headers, payload: &Bytes) -> Bytes {
    if !headers.attributes().any(|(name, _)| name == "specversion") {
        return payload.clone();
    }
    let headers = headers.first_of_each();
    let attributes = headers.attributes().map(|(name, value)| Attribute {
        name: name.into(),
        value: Ok(value.into()),
    });
    let content_type = headers.content_type();
    to_structured(Rules::V1, attributes.collect(), content_type, payload).into()
}

fn is_structured_mode(content_type: &str) -> bool {
    let head = content_type.trim_start().get(..STRUCTURED_MODES.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(STRUCTURED_MODES))
}

/// Returns the structured text of an event in binary mode.
///
/// Attributes are sorted, because headers have no order. JSON data is copied byte for byte. Data
/// without a content type counts as JSON if it is valid JSON (not by the first rules). Other data
/// becomes `data_base64`, and an empty body means no data.
pub fn to_structured(
    rules: Rules,
    mut attributes: Vec<Attribute<'_>>,
    content_type: Option<&str>,
    data: &[u8],
) -> Vec<u8> {
    if Rules::V2 <= rules {
        // The header `content-type` overrides the attribute `datacontenttype`.
        attributes.retain(|one| one.name != "datacontenttype" || content_type.is_none());
        for attribute in &mut attributes {
            attribute.invalidate_data();
        }
    }
    attributes.sort_unstable();
    let mut json = String::with_capacity(512 + data.len());
    json.push('{');
    for Attribute { name, value } in attributes {
        let raw = match value {
            Ok(value) => text(&value),
            // No attribute may be an object, so the decoder reports it by name.
            Err(found) => format!("{{\"no_attribute\":{}}}", text(&found)),
        };
        push_member(&mut json, &name, &raw);
    }
    if let Some(content_type) = content_type {
        push_member(&mut json, "datacontenttype", &text(content_type));
    }
    match json_data(rules, content_type, data) {
        Some(raw) => push_member(&mut json, "data", raw),
        None if data.is_empty() => {}
        // Base64 needs no escapes in JSON.
        None => push_member(
            &mut json,
            "data_base64",
            &format!("\"{}\"", STANDARD.encode(data)),
        ),
    }
    json.push('}');
    json.into_bytes()
}

/// Decodes the value of a header into the text of an attribute (bindings for HTTP and NATS, section
/// 3.1.3.2): removes double quotes, then decodes percent-encoding once. `None` if the result is not
/// UTF-8.
pub fn header_value(value: &[u8]) -> Option<String> {
    let value = std::str::from_utf8(value).ok()?;
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let unquoted = quoted.map(unescape);
    let value = unquoted.as_deref().unwrap_or(value);
    let decoded = percent_decode(value.as_bytes()).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// Whether a content type means JSON: its subtype is `json` or ends with `+json`.
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

fn json_data<'a>(rules: Rules, content_type: Option<&str>, data: &'a [u8]) -> Option<&'a str> {
    match content_type {
        Some(content_type) if is_json(content_type) => {}
        None if Rules::V2 <= rules => {}
        Some(_) | None => return None,
    }
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

/// Removes the escaping backslashes from a quoted string.
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
        let attributes = attributes.iter().map(|(name, value)| Attribute {
            name: (*name).into(),
            value: Ok((*value).into()),
        });
        let json = to_structured(Rules::V1, attributes.collect(), content_type, data);
        assert_eq!(String::from_utf8(json).unwrap(), expected);
    }

    #[track_caller]
    fn check_message(rules: Rules, headers: &[(&str, &str)], payload: &str, expected: &str) {
        let headers = Headers::new(headers.iter().copied());
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        assert_eq!(structured(rules, &headers, &payload), expected, "{rules:?}");
    }

    #[test]
    fn the_second_rules_follow_the_binding_for_nats() {
        let headers = [
            ("Ce-SpecVersion", "1.0"),
            ("ce-id", "\"a b\""),
            ("ce-subject", "caf%C3%A9%20one"),
            ("ce-datacontenttype", "application/json"),
            ("other", "x"),
        ];
        let read = r#"{"datacontenttype":"application/json","id":"a b","specversion":"1.0","subject":"caf\u00e9 one","data":{"n":1}}"#;
        check_message(
            Rules::V2,
            &headers,
            r#"{"n":1}"#,
            &read.replace("\\u00e9", "\u{e9}"),
        );
        // The first rules compare names with case, so they see no binary mode here.
        check_message(Rules::V1, &headers, r#"{"n":1}"#, r#"{"n":1}"#);
    }

    #[test]
    fn the_first_rules_do_not_decode_values() {
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-id", "a%20b"),
            ("ce-id", "c"),
        ];
        check_message(
            Rules::V1,
            &headers,
            "",
            r#"{"id":"a%20b","specversion":"1.0"}"#,
        );
        let both = r#"{"id":"a b","id":"c","specversion":"1.0"}"#;
        check_message(Rules::V2, &headers, "", both);
    }

    #[test]
    fn the_content_type_decides_the_mode_before_the_attributes() {
        let event = r#"{"id":"inside"}"#;
        let mode = "Application/CloudEvents+json; charset=UTF-8";
        let headers = [("Content-Type", mode), ("ce-specversion", "1.0")];
        check_message(Rules::V2, &headers, event, event);
        let read = format!(r#"{{"specversion":"1.0","datacontenttype":"{mode}","data":{event}}}"#);
        check_message(Rules::V1, &headers, event, &read);
    }

    #[test]
    fn a_value_that_is_not_utf_8_is_invalid() {
        let headers = [("ce-specversion", "1.0"), ("ce-id", "%C0%A0")];
        let read = r#"{"id":{"no_attribute":"%C0%A0"},"specversion":"1.0"}"#;
        check_message(Rules::V2, &headers, "", read);
    }

    #[test]
    fn data_in_headers_is_invalid_and_the_content_type_header_wins() {
        let data = [("ce-specversion", "1.0"), ("ce-data_base64", "e30=")];
        let read = r#"{"data_base64":{"no_attribute":"e30="},"specversion":"1.0"}"#;
        check_message(Rules::V2, &data, "", read);
        let taken = r#"{"data_base64":"e30=","specversion":"1.0"}"#;
        check_message(Rules::V1, &data, "", taken);
        let twice = [
            ("ce-specversion", "1.0"),
            ("ce-datacontenttype", "text/plain"),
            ("content-type", "application/json"),
        ];
        let read = r#"{"specversion":"1.0","datacontenttype":"application/json","data":{}}"#;
        check_message(Rules::V2, &twice, "{}", read);
    }

    #[test]
    fn the_second_rules_accept_json_without_a_content_type() {
        let headers = [("ce-specversion", "1.0")];
        let read = r#"{"specversion":"1.0","data":{"a":1}}"#;
        check_message(Rules::V2, &headers, r#"{"a":1}"#, read);
        let bytes = r#"{"specversion":"1.0","data_base64":"eyJhIjoxfQ=="}"#;
        check_message(Rules::V1, &headers, r#"{"a":1}"#, bytes);
        let other = r#"{"specversion":"1.0","data_base64":"aGk="}"#;
        check_message(Rules::V2, &headers, "hi", other);
    }

    #[test]
    fn json_data_is_copied_byte_for_byte() {
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
            let decoded = header_value(value.as_bytes());
            assert_eq!(decoded.as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn the_subtype_decides_whether_a_content_type_means_json() {
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
        fn any_message_becomes_a_json_object(
            attributes in prop::collection::vec((".{0,8}", ".{0,8}"), 0..4),
            content_type in prop::option::of("(application/json|.{0,12})"),
            data in prop::collection::vec(any::<u8>(), 0..32),
        ) {
            let named = attributes.iter().map(|(name, value)| (format!("ce-{name}"), value));
            let named: Vec<_> = named.collect();
            let pairs = named.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let mode = content_type.iter().map(|value| ("content-type", value.as_str()));
            let headers = Headers::new(pairs.chain(mode).chain([("ce-specversion", "1.0")]));
            let payload = Bytes::from(data);
            for rules in Rules::ALL {
                let json = structured(rules, &headers, &payload);
                if json != payload {
                    let read: serde_json::Value = serde_json::from_slice(&json).unwrap();
                    prop_assert!(read.is_object());
                }
            }
        }
    }
}
