//! Text of a token for the server's log: quoted, escaped and shortened.

use std::fmt;

use crate::domain::limits::LOGGED_WORD_CHARS_MAX;

/// Displays text from outside so that it cannot break a log line.
pub(super) struct Quoted<'t>(pub(super) &'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(LOGGED_WORD_CHARS_MAX) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}..", &self.0[..end]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_escaped_and_cut() {
        assert_eq!(
            Quoted("a\n\"b\"\u{202e}").to_string(),
            r#""a\n\"b\"\u{202e}""#
        );
        let long = "\u{e9}".repeat(LOGGED_WORD_CHARS_MAX + 1);
        let quoted = Quoted(&long).to_string();
        assert_eq!(
            quoted.chars().count(),
            LOGGED_WORD_CHARS_MAX + 4,
            "{quoted}"
        );
        assert!(quoted.ends_with("\".."));
    }
}
