//! Authors: who issues and revokes keys, as the log of keys keeps it.

use std::fmt;
use std::sync::Arc;

use crate::auth::{KeyId, Principal};
use crate::domain::limits::TEXT_CHARS_MAX;

/// The word for [`Author::Operator`], which neither a key's id nor a token's bearer can be.
const OPERATOR: &str = "operator";

/// Who issues or revokes a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author {
    /// Who has a key.
    Key(KeyId),
    /// Who has a token: `issuer|subject`.
    Token(Arc<str>),
    /// Who has the data directory, or the ledger's NATS user, and works on the log of keys itself. No
    /// credential says who that is.
    Operator,
}

impl Author {
    /// Who a principal is; `None` where nobody is asked for credentials.
    pub fn of(principal: &Principal) -> Option<Self> {
        let id = principal.id.as_ref()?;
        Some(KeyId::parse(id).map_or_else(|| Self::Token(Arc::clone(id)), Self::Key))
    }

    /// Reads an author. Other builds may write others, which are nobody that this one knows.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // Issuer, `|` and subject, each as long as tokens have them.
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
    fn an_author_is_who_asks() {
        let mut principal = Principal::anonymous(TenantId::parse("acme").unwrap());
        assert_eq!(Author::of(&principal), None);
        principal.id = Some("0123456789abcdef".into());
        assert!(matches!(Author::of(&principal), Some(Author::Key(_))));
        principal.id = Some("|operator".into());
        assert!(matches!(Author::of(&principal), Some(Author::Token(_))));
    }
}
