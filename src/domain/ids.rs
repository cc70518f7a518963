//! Ids: opaque texts that are checked once, where they enter.
//!
//! Ids are case-sensitive, except those of projects that are UUIDs. Callers may write an id that
//! the ledger made in another spelling of a UUID: `query::ids` finds it.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::domain::limits::{ID_CHARS_MAX, SOURCE_CHARS_MAX, TENANT_CHARS_MAX};

/// Words that are routes of the API, and path segments that clients remove.
const RESERVED: &[&str] = &["count", "introspect", "stream", ".", ".."];

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Too short or too long; the number is the most characters allowed.
    #[error("must have 1 to {0} characters")]
    Length(usize),
    /// A character that this kind of id may not hold.
    #[error("must not hold {0}")]
    Character(&'static str),
    /// A word that the API uses as a path segment.
    #[error("must not be a reserved word (count, introspect, stream, `.`, `..`)")]
    Reserved,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $read:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks a text.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                $read(text).map(Self)
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0)
            }
        }
    };
}

text_id!(
    /// A tenant: `[A-Za-z0-9_-]{1,64}`, so that every tenant is a valid token of a NATS subject.
    TenantId,
    tenant
);
text_id!(
    /// A session, unique within its tenant.
    SessionId,
    named
);
text_id!(
    /// An agent, unique within its tenant.
    AgentId,
    named
);
text_id!(
    /// A project, unique within its tenant. The case of a UUID does not matter (RFC 9562, section
    /// 4), so its digits are stored in lower case.
    ProjectId,
    project
);
text_id!(
    /// The `id` of an event: unique together with its source.
    EventId,
    opaque
);
text_id!(
    /// The `source` of an event.
    Source,
    source
);

/// The position of a record on the log: 1 for the first, without gaps. 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// The position with this number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! made_by_the_ledger {
    ($($name:ident)*) => {
        $(
            impl $name {
                /// This id in the ledger's spelling, if it is a UUID in another spelling.
                pub fn as_made(&self) -> Option<Self> {
                    as_made(&self.0).map(Self)
                }
            }
        )*
    };
}

made_by_the_ledger! { SessionId AgentId }

/// Returns a UUID in lower case with hyphens, if a text is a UUID in another spelling (RFC 9562,
/// section 4).
fn as_made(text: &str) -> Option<Box<str>> {
    let made = Uuid::try_parse(text).ok()?.to_string();
    (made != text).then(|| made.into())
}

fn tenant(text: &str) -> Result<Box<str>, IdError> {
    if text.is_empty() || TENANT_CHARS_MAX < text.len() {
        return Err(IdError::Length(TENANT_CHARS_MAX));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !text.bytes().all(allowed) {
        return Err(IdError::Character(
            "anything but A-Z, a-z, 0-9, `_` and `-`",
        ));
    }
    Ok(text.into())
}

/// An id that is a path segment of the API.
fn named(text: &str) -> Result<Box<str>, IdError> {
    check_printable(text, ID_CHARS_MAX)?;
    if text.contains('/') {
        return Err(IdError::Character("`/`"));
    }
    if RESERVED.contains(&text) {
        return Err(IdError::Reserved);
    }
    Ok(text.into())
}

fn opaque(text: &str) -> Result<Box<str>, IdError> {
    check_printable(text, ID_CHARS_MAX)?;
    Ok(text.into())
}

fn project(text: &str) -> Result<Box<str>, IdError> {
    let mut id = opaque(text)?;
    if is_uuid(&id) {
        id.make_ascii_lowercase();
    }
    Ok(id)
}

fn source(text: &str) -> Result<Box<str>, IdError> {
    check_printable(text, SOURCE_CHARS_MAX)?;
    Ok(text.into())
}

/// Whether a text is a UUID in its usual form, with hyphens.
pub fn is_uuid(text: &str) -> bool {
    text.len() == Hyphenated::LENGTH && Uuid::try_parse(text).is_ok()
}

fn check_printable(text: &str, chars_max: usize) -> Result<(), IdError> {
    // Nearly every id is plain ASCII, which needs no decoding. Without an early exit, the compiler
    // vectorizes the scan.
    let plain = text
        .bytes()
        .fold(true, |plain, b| plain & (0x20..0x7f).contains(&b));
    if plain && !text.is_empty() && text.len() <= chars_max {
        return Ok(());
    }
    // Bytes first: a text of `n` characters has at most `4 n` bytes, so the count is bounded.
    if text.is_empty() || 4 * chars_max < text.len() || chars_max < text.chars().count() {
        return Err(IdError::Length(chars_max));
    }
    if text.chars().any(is_unseen) {
        return Err(IdError::Character("control or invisible characters"));
    }
    Ok(())
}

/// Whether a character is a control character, is invisible, or changes the direction of text. With such
/// characters, two ids could look the same to a person. `wire::schema` repeats the list as a pattern.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), IdError>) {
        assert_eq!(SessionId::parse(text).map(|_| ()), expected, "{text:?}");
    }

    #[test]
    fn session_ids_are_opaque_printable_texts() {
        check("maip:t1234567:01HYX3KPZQ7RJGBN0WFMV8SDEH", Ok(()));
        check("0198c7a0-5e0f-7d3a-9c43-1f6a2b3c4d5e", Ok(()));
        check("\u{00e9}t\u{00e9} 1", Ok(()));
        check("", Err(IdError::Length(256)));
        check(&"x".repeat(256), Ok(()));
        check(&"x".repeat(257), Err(IdError::Length(256)));
        check("a/b", Err(IdError::Character("`/`")));
        let unseen = Err(IdError::Character("control or invisible characters"));
        for text in ["a\0b", "a\u{200b}", "a\u{202e}b", "\u{feff}a"] {
            check(text, unseen);
        }
        check("count", Err(IdError::Reserved));
        check("..", Err(IdError::Reserved));
    }

    #[test]
    fn a_project_that_is_a_uuid_is_the_same_in_any_case() {
        let lower = "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0";
        let read = |text: &str| ProjectId::parse(text).unwrap().to_string();
        assert_eq!(read(lower), lower);
        assert_eq!(read(&lower.to_ascii_uppercase()), lower);
        assert_eq!(read("2489E9ad-2ee2-8E00-8ec9-32d5f69181C0"), lower);
        // Other ids are opaque, also other spellings of the UUID.
        let plain = lower.replace('-', "").to_ascii_uppercase();
        let urn = format!("urn:uuid:{}", lower.to_ascii_uppercase());
        for other in ["Shop", &plain, &urn, "2489E9AD"] {
            assert_eq!(read(other), other);
        }
    }

    #[test]
    fn a_uuid_leads_to_the_spelling_in_which_the_ledger_makes_ids() {
        let made = "0198c7a0-5e0f-7d3a-9c43-1f6a2b3c4d5e";
        let of = |text: &str| SessionId::parse(text).unwrap().as_made();
        for other in [
            made.to_ascii_uppercase(),
            "0198C7a0-5e0f-7d3a-9c43-1f6a2b3c4d5e".to_owned(),
            made.replace('-', ""),
            format!("{{{made}}}"),
            format!("urn:uuid:{made}"),
        ] {
            assert_eq!(of(&other), Some(SessionId::parse(made).unwrap()), "{other}");
        }
        // It has that spelling already, or is no UUID.
        for other in [made, "s-1", "0198C7A0", &made[1..]] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn tenant_ids_are_subject_tokens() {
        assert!(TenantId::parse("acme_1-EU").is_ok());
        for wrong in ["", "a.b", "a b", "*", ">", "\u{00e9}", &"x".repeat(65)] {
            assert!(TenantId::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
