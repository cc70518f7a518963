//! Authors: who issued or revoked a key, as recorded on the log of keys.

use std::fmt;
use std::sync::Arc;

use crate::auth::{KeyId, Principal};
use crate::domain::limits::TEXT_CHARS_MAX;

/// The stored form of [`Author::Operator`]. It cannot be confused with the other authors: a key id
/// has 16 hexadecimal digits, and the id of a token contains `|`.
const OPERATOR: &str = "operator";

/// Who issued or revoked a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author {
    /// A caller with this key.
    Key(KeyId),
    /// A caller with a token, as `issuer|subject`.
    Token(Arc<str>),
    /// An operator who wrote to the log of keys directly, through the data directory or with the
    /// ledger's NATS user. No credential identifies the person.
    Operator,
}

impl Author {
    /// Returns the author that a principal is; `None` if the server requires no credentials.
    pub fn of(principal: &Principal) -> Option<Self> {
        let id = principal.id.as_ref()?;
        Some(KeyId::parse(id).map_or_else(|| Self::Token(Arc::clone(id)), Self::Key))
    }

    /// Reads an author. Returns `None` for a kind of author that only a later build knows.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // Room for an issuer, `|` and a subject.
        let fits = || text.chars().count() <= 2 * TEXT_CHARS_MAX + 1;
        match KeyId::parse(text) {
            Some(id) => Some(Self::Key(id)),
            None if text == OPERATOR => Some(Self::Operator),
            None if text.contains('|') && fits() && !text.contains(char::is_control) => {
                Some(Self::Token(text.into()))
            }
            None => None,
        }
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::Token(bearer) => f.write_str(bearer),
            Self::Operator => f.write_str(OPERATOR),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TenantId;

    #[test]
    fn every_author_reads_back() {
        let id = KeyId::parse("0123456789abcdef").unwrap();
        for author in [
            Author::Key(id),
            Author::Token("https://issuer.example|ci".into()),
            Author::Token("|ci".into()),
            Author::Operator,
        ] {
            assert_eq!(Author::parse(&author.to_string()), Some(author));
        }
        let long = format!("|{}", "s".repeat(2 * TEXT_CHARS_MAX + 1));
        for nobody in ["", "somebody", "0123456789ABCDEF", "a|b\n", &long] {
            assert_eq!(Author::parse(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn the_author_follows_from_the_credential() {
        let mut principal = Principal::anonymous(TenantId::parse("acme").unwrap());
        assert_eq!(Author::of(&principal), None);
        principal.id = Some("0123456789abcdef".into());
        assert!(matches!(Author::of(&principal), Some(Author::Key(_))));
        principal.id = Some("|operator".into());
        assert!(matches!(Author::of(&principal), Some(Author::Token(_))));
    }
}
