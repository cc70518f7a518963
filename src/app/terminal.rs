//! Makes text safe for a terminal: writes control characters, and characters that hide or reorder
//! text, as JSON escapes.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::domain::ids::is_unseen;

/// Escapes text for one line or one cell of a table.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_deceptive)
}

/// Escapes text but keeps its line ends.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_deceptive(c) && c != '\n')
}

/// Escapes JSON without changing its value. Outside of strings the only control characters of JSON
/// are line ends and tabs, which become spaces.
pub fn json(text: &str) -> Cow<'_, str> {
    if text.contains(['\n', '\r', '\t']) {
        let spaced = text.replace(['\n', '\r', '\t'], " ");
        return Cow::Owned(one_line(&spaced).into_owned());
    }
    one_line(text)
}

fn escaped(text: &str, must_go: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&must_go) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            _ if !must_go(letter) => out.push(letter),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    Cow::Owned(out)
}

/// Whether a character controls the terminal, or hides or reorders text: the characters that ids
/// must not contain, and the invisible tag characters.
fn is_deceptive(letter: char) -> bool {
    is_unseen(letter) || ('\u{e0000}'..='\u{e007f}').contains(&letter)
}

/// Writes log lines to stderr, and escapes what they repeat of requests and events.
#[derive(Debug)]
pub struct LogLines {
    /// Whether the lines contain our own color codes. Escape characters in fields are escaped
    /// before.
    pub colors: bool,
}

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let ours = |c| c == '\n' || (self.colors && c == '\u{1b}');
        let shown = escaped(&text, |c| is_deceptive(c) && !ours(c));
        io::stderr().write_all(shown.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_deceptive_characters_are_escaped() {
        assert_eq!(
            one_line("a\u{1b}[31m\u{9b}2J\0\u{7f}"),
            r"a\u001b[31m\u009b2J\u0000\u007f"
        );
        assert_eq!(
            one_line("\u{202e}x\u{2066}y\u{200b}\u{feff}"),
            r"\u202ex\u2066y\u200b\ufeff"
        );
        assert_eq!(one_line("\u{e0041}"), r"\udb40\udc41");
        assert_eq!(one_line("a\nb\tc\r"), r"a\nb\tc\r");
        assert_eq!(lines("a\nb\tc"), "a\nb\\tc");
        let plain = "caf\u{e9} \u{65e5}\u{672c} \u{1f600} \"q\" \\";
        assert_eq!(one_line(plain), plain);
    }

    #[test]
    fn escaped_json_keeps_its_value() {
        let text = "{\"a\":\t\"\\\\\u{9b}\u{202e}\u{e0041}\",\r\n\"b\":1}";
        let shown = json(text);
        assert!(shown.is_ascii(), "{shown}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&shown), read(text));
    }
}
