//! Says what is wrong with a text that is not JSON: where, and what to do about it.
//!
//! A message repeats at most a word such as `NaN` of the text, which may hold secrets.

use std::fmt;

use serde::de::IgnoredAny;
use serde_json::error::Category;

/// Words that programs write for numbers that JSON does not have.
const NO_NUMBERS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];

/// What is wrong with a text that is not a JSON object in UTF-8, such as `is not JSON: at line 3,
/// column 14, a comma must not stand before }`.
pub fn not_an_object(text: &[u8]) -> String {
    flaw(text).unwrap_or_else(|| "must be a JSON object".to_owned())
}

/// Where a text breaks the grammar of JSON, and how; `None` if it does not.
pub fn flaw(text: &[u8]) -> Option<String> {
    if text.trim_ascii().is_empty() {
        return Some("is empty; send JSON".to_owned());
    }
    if text.starts_with(b"\xEF\xBB\xBF") {
        return Some("begins with a byte order mark; leave it out".to_owned());
    }
    if is_utf16(text) {
        return Some("is in UTF-16; send JSON in UTF-8".to_owned());
    }
    if let Err(error) = std::str::from_utf8(text) {
        let place = Place::after(text, error.valid_up_to());
        return Some(format!("is not in UTF-8: {place}, there is another byte"));
    }
    let error = serde_json::from_slice::<IgnoredAny>(text).err()?;
    if error.classify() == Category::Eof {
        let place = Place::after(text, text.len());
        return Some(format!("is not JSON: it breaks off {place}"));
    }
    // The parser counts the byte that it stumbled over, from 1 in each line.
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    // But for a control character inside a string: there it counts those before.
    let is_next = error.to_string().starts_with("control character");
    let at = before + error.column().saturating_sub(usize::from(!is_next));
    let place = Place::after(text, at);
    Some(format!("is not JSON: {place}, {}", cause(text, at)))
}

/// Why the grammar does not allow the byte at this place.
fn cause(text: &[u8], at: usize) -> String {
    let (before, rest) = text.split_at_checked(at).unwrap_or((text, b""));
    // Of `-Infinity` the parser takes the sign before it stumbles.
    let from_sign = text.get(at.saturating_sub(1)..).unwrap_or_default();
    let is_here =
        |word: &&&str| rest.starts_with(word.as_bytes()) || from_sign.starts_with(word.as_bytes());
    if let Some(word) = NO_NUMBERS.iter().find(is_here) {
        return format!("{word} is no number in JSON; send null or a string");
    }
    match rest.first() {
        Some(b'\'') => "strings must stand in double quotes".to_owned(),
        Some(end @ (b'}' | b']')) if before.trim_ascii_end().ends_with(b",") => {
            format!("a comma must not stand before {}", char::from(*end))
        }
        Some(byte) if byte.is_ascii_control() => {
            "a control character must be written as an escape".to_owned()
        }
        Some(byte) if byte.is_ascii() => format!("`{}` cannot stand there", char::from(*byte)),
        Some(_) | None => "this character cannot stand there".to_owned(),
    }
}

fn is_utf16(text: &[u8]) -> bool {
    matches!(
        text,
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, _, ..] | [_, 0, ..]
    )
}

/// A place in a text, as editors count.
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// After so many bytes.
    fn after(text: &[u8], bytes: usize) -> Self {
        let before = text.get(..bytes).unwrap_or(text);
        let last = before.rsplit(|byte| *byte == b'\n').next();
        let characters = last.unwrap_or_default().iter();
        Self {
            line: before.split(|byte| *byte == b'\n').count(),
            // Every byte but those that continue a character of UTF-8.
            column: characters.filter(|byte| **byte & 0xC0 != 0x80).count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at line {}, column {}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: impl AsRef<[u8]>, expected: &str) {
        assert_eq!(flaw(text.as_ref()).as_deref(), Some(expected));
    }

    #[test]
    fn the_place_and_the_cause_are_said() {
        let not_json = |text: &str, cause: &str| check(text, &format!("is not JSON: {cause}"));
        not_json(
            r#"{"a": NaN}"#,
            "at line 1, column 7, NaN is no number in JSON; send null or a string",
        );
        not_json(
            "[\n  -Infinity]",
            "at line 2, column 4, -Infinity is no number in JSON; send null or a string",
        );
        not_json(
            "{\n  \"a\": 1,\n}",
            "at line 3, column 1, a comma must not stand before }",
        );
        not_json(
            "[1, ]",
            "at line 1, column 5, a comma must not stand before ]",
        );
        not_json(
            "{\"\u{e9}\u{1f600}\": 1, b}",
            "at line 1, column 11, `b` cannot stand there",
        );
        not_json(
            "{'a': 1}",
            "at line 1, column 2, strings must stand in double quotes",
        );
        not_json("{} x", "at line 1, column 4, `x` cannot stand there");
        not_json(r#"{"a" 1}"#, "at line 1, column 6, `1` cannot stand there");
        not_json(
            "{\"a\": \"b\tc\"}",
            "at line 1, column 9, a control character must be written as an escape",
        );
        not_json(
            "[\u{e9}]",
            "at line 1, column 2, this character cannot stand there",
        );
        not_json("{\"a\":\n", "it breaks off at line 2, column 1");
    }

    #[test]
    fn another_encoding_is_named() {
        check("", "is empty; send JSON");
        check(" \n", "is empty; send JSON");
        check(
            b"{\"a\": \"\xff\"}",
            "is not in UTF-8: at line 1, column 8, there is another byte",
        );
        check(
            b"\xef\xbb\xbf{}",
            "begins with a byte order mark; leave it out",
        );
        for text in [&b"{\0}\0"[..], b"\xff\xfe{\0}\0", b"\0{\0}"] {
            check(text, "is in UTF-16; send JSON in UTF-8");
        }
    }

    #[test]
    fn json_has_no_flaw_and_depth_needs_no_stack() {
        for text in ["{}", " [1, null]\n", "\"a\""] {
            assert_eq!(flaw(text.as_bytes()), None);
        }
        assert_eq!(not_an_object(b"[]"), "must be a JSON object");
        check(
            "[".repeat(1 << 20),
            "is not JSON: it breaks off at line 1, column 1048577",
        );
    }
}
