//! Error messages for text that is not JSON: the place, the cause, and often the correction.
//!
//! The text may contain secrets. So a message repeats at most one character of it, or a word such
//! as `NaN`.

use std::fmt;

use serde::de::IgnoredAny;
use serde_json::error::Category;

/// Words that some programs write for numbers, but that JSON does not have.
const NOT_NUMBERS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];

/// The error of a text that is not a JSON object in UTF-8, such as `is not JSON: at line 3, column
/// 14, a comma is not allowed before }`.
pub fn not_an_object(text: &[u8]) -> String {
    flaw(text).unwrap_or_else(|| "must be a JSON object".to_owned())
}

/// The first syntax error of a text, with its place; `None` if the text is JSON.
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
        return Some(format!(
            "is not in UTF-8: {place}, there is an invalid byte"
        ));
    }
    let error = serde_json::from_slice::<IgnoredAny>(text).err()?;
    if error.classify() == Category::Eof {
        let place = Place::after(text, text.len());
        return Some(format!("is not JSON: it ends unexpectedly {place}"));
    }
    // The column of the parser's error counts the wrong byte, from 1 in each line.
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    // For a control character inside a string, it counts only the bytes before it.
    let is_next = error.to_string().starts_with("control character");
    let at = before + error.column().saturating_sub(usize::from(!is_next));
    let place = Place::after(text, at);
    Some(format!("is not JSON: {place}, {}", cause(text, at)))
}

/// The reason why the grammar does not allow the byte at this place.
fn cause(text: &[u8], at: usize) -> String {
    let (before, rest) = text.split_at_checked(at).unwrap_or((text, b""));
    // The parser accepts the sign of `-Infinity` and reports the byte after it.
    let from_sign = text.get(at.saturating_sub(1)..).unwrap_or_default();
    let is_here =
        |word: &&&str| rest.starts_with(word.as_bytes()) || from_sign.starts_with(word.as_bytes());
    if let Some(word) = NOT_NUMBERS.iter().find(is_here) {
        return format!("{word} is not a JSON number; send null or a string");
    }
    match rest.first() {
        Some(b'\'') => "strings must be in double quotes".to_owned(),
        Some(end @ (b'}' | b']')) if before.trim_ascii_end().ends_with(b",") => {
            format!("a comma is not allowed before {}", char::from(*end))
        }
        Some(byte) if byte.is_ascii_control() => {
            "a control character must be written as an escape".to_owned()
        }
        Some(byte) if byte.is_ascii() => format!("`{}` is not allowed here", char::from(*byte)),
        Some(_) | None => "this character is not allowed here".to_owned(),
    }
}

fn is_utf16(text: &[u8]) -> bool {
    matches!(
        text,
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, _, ..] | [_, 0, ..]
    )
}

/// A place in a text. Line and column count from 1, as in editors.
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// The place after this many bytes.
    fn after(text: &[u8], bytes: usize) -> Self {
        let before = text.get(..bytes).unwrap_or(text);
        let last = before.rsplit(|byte| *byte == b'\n').next();
        let characters = last.unwrap_or_default().iter();
        Self {
            line: before.split(|byte| *byte == b'\n').count(),
            // Counts characters: all bytes except the continuation bytes of UTF-8.
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
    fn a_message_names_the_place_and_the_cause() {
        let not_json = |text: &str, cause: &str| check(text, &format!("is not JSON: {cause}"));
        not_json(
            r#"{"a": NaN}"#,
            "at line 1, column 7, NaN is not a JSON number; send null or a string",
        );
        not_json(
            "[\n  -Infinity]",
            "at line 2, column 4, -Infinity is not a JSON number; send null or a string",
        );
        not_json(
            "{\n  \"a\": 1,\n}",
            "at line 3, column 1, a comma is not allowed before }",
        );
        not_json(
            "[1, ]",
            "at line 1, column 5, a comma is not allowed before ]",
        );
        not_json(
            "{\"\u{e9}\u{1f600}\": 1, b}",
            "at line 1, column 11, `b` is not allowed here",
        );
        not_json(
            "{'a': 1}",
            "at line 1, column 2, strings must be in double quotes",
        );
        not_json("{} x", "at line 1, column 4, `x` is not allowed here");
        not_json(r#"{"a" 1}"#, "at line 1, column 6, `1` is not allowed here");
        not_json(
            "{\"a\": \"b\tc\"}",
            "at line 1, column 9, a control character must be written as an escape",
        );
        not_json(
            "[\u{e9}]",
            "at line 1, column 2, this character is not allowed here",
        );
        not_json("{\"a\":\n", "it ends unexpectedly at line 2, column 1");
    }

    #[test]
    fn a_message_names_another_encoding() {
        check("", "is empty; send JSON");
        check(" \n", "is empty; send JSON");
        check(
            b"{\"a\": \"\xff\"}",
            "is not in UTF-8: at line 1, column 8, there is an invalid byte",
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
    fn json_has_no_error_and_depth_does_not_overflow_the_stack() {
        for text in ["{}", " [1, null]\n", "\"a\""] {
            assert_eq!(flaw(text.as_bytes()), None);
        }
        assert_eq!(not_an_object(b"[]"), "must be a JSON object");
        check(
            "[".repeat(1 << 20),
            "is not JSON: it ends unexpectedly at line 1, column 1048577",
        );
    }
}
