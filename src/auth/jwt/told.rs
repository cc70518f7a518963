//! Texts of a token as the server's log tells them: in quotes, escaped, and not long.

use std::fmt;

use crate::domain::limits::LOGGED_WORD_CHARS_MAX;

/// A text of somebody else. A log line that held it as it came could be broken by it.
pub(super) struct Told<'t>(pub(super) &'t str);

impl fmt::Display for Told<'_> {
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
            Told("a\n\"b\"\u{202e}").to_string(),
            r#""a\n\"b\"\u{202e}""#
        );
        let long = "\u{e9}".repeat(LOGGED_WORD_CHARS_MAX + 1);
        let told = Told(&long).to_string();
        assert_eq!(told.chars().count(), LOGGED_WORD_CHARS_MAX + 4, "{told}");
        assert!(told.ends_with("\".."));
    }
}
