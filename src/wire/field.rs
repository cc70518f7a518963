//! Readers of single fields. Each reads the raw value of a member and collects the error, so that
//! an answer names every wrong field and not only the first.
//!
//! JSON `null` counts as absent: the readers return `None` without an error.

use std::borrow::Cow;
use std::str::FromStr;

use strum::VariantNames;

use crate::domain::ids::IdError;
use crate::domain::limits::{
    DESCRIPTION_CHARS_MAX, DISPLAY_NAME_CHARS_MAX, METADATA_BYTES_MAX, PUBLIC_KEY_CHARS_MAX,
    REASON_CHARS_MAX, TEXT_CHARS_MAX,
};
use crate::domain::metadata::MetadataError;
use crate::domain::{AgentId, Metadata, Scopes, SessionId, TextKind, Timestamp};
use crate::wire::json::{self, Member};

/// The most errors that are reported for one event.
pub(super) const ERRORS_MAX: usize = 16;
/// The most characters of a member's name that an error repeats.
const NAME_CHARS_MAX: usize = 64;

/// An error in a field of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The path of the field, such as `data.expires_at`. Empty for the whole body.
    pub field: String,
    /// What is wrong and what is allowed, as text for people.
    pub message: String,
}

/// The texts that a field accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextRule {
    /// At most so many characters. Tabs and line breaks are allowed only with `lines`. Other control
    /// characters never are.
    Chars { max: usize, lines: bool },
    /// The id of an agent.
    AgentId,
}

impl TextRule {
    pub(super) const REASON: Self = Self::Chars {
        max: REASON_CHARS_MAX,
        lines: true,
    };

    /// The rule for a descriptive text.
    pub(super) fn of(kind: TextKind) -> Self {
        let (max, lines) = match kind {
            TextKind::Text => (TEXT_CHARS_MAX, false),
            TextKind::Name => (DISPLAY_NAME_CHARS_MAX, false),
            TextKind::Description => (DESCRIPTION_CHARS_MAX, true),
            TextKind::PublicKey => (PUBLIC_KEY_CHARS_MAX, true),
            TextKind::AgentId => return Self::AgentId,
        };
        Self::Chars { max, lines }
    }

    /// Checks a text. The error says which texts are allowed.
    pub(super) fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Chars { max, lines } if has_only(text, max, lines) => Ok(()),
            Self::Chars { max, lines } => {
                let except = if lines {
                    " except tabs and line breaks"
                } else {
                    ""
                };
                Err(format!(
                    "must have at most {max} characters and no control characters{except}"
                ))
            }
            Self::AgentId => match AgentId::parse(text) {
                Ok(_) => Ok(()),
                Err(wrong) => Err(wrong.to_string()),
            },
        }
    }
}

fn has_only(text: &str, chars_max: usize, lines: bool) -> bool {
    // Without an early end, so that the compiler can look at many bytes at a time.
    let plain = text
        .bytes()
        .fold(true, |plain, b| plain & (0x20..0x7f).contains(&b));
    if plain && text.len() <= chars_max {
        return true;
    }
    let forbidden = |c: char| c.is_control() && !(lines && matches!(c, '\t' | '\n' | '\r'));
    text.chars().count() <= chars_max && !text.contains(forbidden)
}

/// Reads fields and collects the errors in them.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    prefix: &'static str,
    errors: Vec<FieldError>,
    ignored: Vec<String>,
}

impl Fields {
    /// Sets the prefix of field names in errors, such as `data.`.
    pub(super) fn enter(&mut self, prefix: &'static str) {
        self.prefix = prefix;
    }

    pub(super) fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    /// The paths of the unknown members.
    pub(super) fn into_ignored(self) -> Vec<String> {
        self.ignored
    }

    pub(super) fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn error(&mut self, name: &str, message: impl Into<String>) {
        if self.errors.len() < ERRORS_MAX {
            let field = self.path(name);
            self.errors.push(FieldError {
                field,
                message: message.into(),
            });
        }
    }

    /// Adds an error if the value is missing, unless the field already has an error.
    pub(super) fn required<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            let field = self.path(name);
            if !self.errors.iter().any(|error| error.field == field) {
                self.error(name, "is required");
            }
        }
        value
    }

    pub(super) fn each_name_once(&mut self, members: &[Member<'_>]) {
        if let Some(name) = json::name_given_twice(members) {
            self.error(name, "must be given once");
        }
    }

    pub(super) fn string<'a>(&mut self, name: &str, raw: &'a str) -> Option<Cow<'a, str>> {
        if raw == "null" {
            return None;
        }
        let string = json::string(raw);
        if string.is_none() {
            self.error(name, "must be a string of Unicode characters");
        }
        string
    }

    pub(super) fn text(&mut self, name: &str, raw: &str, rule: TextRule) -> Option<Box<str>> {
        let text = self.string(name, raw)?;
        if let Err(wrong) = rule.check(&text) {
            self.error(name, wrong);
            return None;
        }
        Some(text.into())
    }

    pub(super) fn id<T>(
        &mut self,
        name: &str,
        raw: &str,
        parse: impl Fn(&str) -> Result<T, IdError>,
    ) -> Option<T> {
        let text = self.string(name, raw)?;
        parse(&text)
            .map_err(|wrong| self.error(name, wrong.to_string()))
            .ok()
    }

    pub(super) fn session_id(&mut self, name: &str, raw: &str) -> Option<SessionId> {
        self.id(name, raw, SessionId::parse)
    }

    pub(super) fn agent_id(&mut self, name: &str, raw: &str) -> Option<AgentId> {
        self.id(name, raw, AgentId::parse)
    }

    pub(super) fn time(&mut self, name: &str, raw: &str) -> Option<Timestamp> {
        let text = self.string(name, raw)?;
        time(&text)
            .map_err(|wrong| self.error(name, wrong.to_string()))
            .ok()
    }

    pub(super) fn integer(&mut self, name: &str, raw: &str, max: u64) -> Option<u64> {
        if raw == "null" {
            return None;
        }
        let integer = json::integer(raw).filter(|integer| (1..=max).contains(integer));
        if integer.is_none() {
            self.error(name, format!("must be an integer from 1 to {max}"));
        }
        integer
    }

    pub(super) fn boolean(&mut self, name: &str, raw: &str) -> Option<bool> {
        match raw {
            "null" => None,
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.error(name, "must be true or false");
                None
            }
        }
    }

    /// Reads a number from 0 to 1, in thousandths.
    pub(super) fn share_milli(&mut self, name: &str, raw: &str) -> Option<u16> {
        if raw == "null" {
            return None;
        }
        let Some(share) = json::number(raw).filter(|share| (0.0..=1.0).contains(share)) else {
            self.error(name, "must be a number from 0 to 1");
            return None;
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1000"
        )]
        Some((share * 1000.0).round() as u16)
    }

    /// Reads one of the words of an enum.
    pub(super) fn word<T: FromStr + VariantNames>(&mut self, name: &str, raw: &str) -> Option<T> {
        let found = self.string(name, raw)?.parse().ok();
        if found.is_none() {
            self.error(name, format!("must be one of: {}", T::VARIANTS.join(", ")));
        }
        found
    }

    pub(super) fn scopes(&mut self, name: &str, raw: &str) -> Option<Scopes> {
        if raw == "null" {
            return None;
        }
        let Ok(list) = serde_json::from_str::<Vec<Scope<'_>>>(raw) else {
            self.error(name, "must be an array of strings");
            return None;
        };
        Scopes::parse(&list)
            .map_err(|wrong| self.error(name, wrong.to_string()))
            .ok()
    }

    pub(super) fn metadata(&mut self, name: &str, raw: &str) -> Option<Metadata> {
        if raw == "null" {
            return None;
        }
        metadata(raw)
            .map_err(|wrong| self.error(name, wrong.to_string()))
            .ok()
    }

    /// Checks that every reader can parse a field that the ledger stores but does not read.
    pub(super) fn kept(&mut self, name: &str, raw: &str) {
        if let Err(flaw) = json::check_value(raw) {
            self.error(name, flaw.to_string());
        }
    }

    /// Adds an unknown member.
    pub(super) fn ignored(&mut self, name: &str) {
        if self.ignored.len() < ERRORS_MAX {
            let path = self.path(name);
            self.ignored.push(path);
        }
    }

    fn path(&self, name: &str) -> String {
        let printable = |c: char| if c.is_control() { '?' } else { c };
        let name = name.chars().take(NAME_CHARS_MAX).map(printable);
        self.prefix.chars().chain(name).collect()
    }
}

/// The error of an invalid value. The message says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

/// Reads metadata from the text of a JSON value, and keeps the text.
pub fn metadata(json: &str) -> Result<Metadata, ValueError> {
    let wrong = if !json.starts_with('{') {
        MetadataError::Object.to_string()
    } else if METADATA_BYTES_MAX < json.len() {
        MetadataError::Size.to_string()
    } else if let Err(flaw) = json::check_value(json) {
        flaw.to_string()
    } else {
        return Ok(Metadata::from_checked(json));
    };
    Err(ValueError(wrong))
}

/// Reads a time from a text, as events have it.
pub fn time(text: &str) -> Result<Timestamp, ValueError> {
    let message = "must be an RFC 3339 time of the years 1 to 9999, such as 2026-01-31T23:59:59Z";
    parse_time(text).ok_or_else(|| ValueError(message.to_owned()))
}

/// One scope, borrowed unless it holds an escape.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Scope<'a>(#[serde(borrow)] Cow<'a, str>);

impl AsRef<str> for Scope<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Parses strict RFC 3339. `Timestamp::parse` also accepts a space instead of the `T`, and U+2212
/// instead of the minus sign.
fn parse_time(text: &str) -> Option<Timestamp> {
    let strict = text.is_ascii() && matches!(text.as_bytes().get(10), Some(b'T' | b't'));
    strict.then(|| Timestamp::parse(text)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_rfc_3339_to_the_letter() {
        assert!(parse_time("2026-01-31T23:59:59Z").is_some());
        assert!(parse_time("2026-01-31t23:59:59.123456789z").is_some());
        assert!(parse_time("2026-01-31T23:59:59-08:00").is_some());
        for wrong in [
            "2026-01-31 23:59:59Z",
            "2026-01-31T23:59:59",
            "2026-01-31T23:59Z",
            "2026-02-30T00:00:00Z",
            "2026-01-31T23:59:59+24:00",
            "2026-01-31T23:59:59\u{2212}08:00",
            " 2026-01-31T23:59:59Z",
            "1769903999",
            "",
        ] {
            assert_eq!(parse_time(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn texts_are_counted_in_characters_and_may_hold_no_control_characters() {
        let allows = |text: &str, lines| TextRule::Chars { max: 3, lines }.check(text).is_ok();
        for (text, allowed) in [
            ("", true),
            ("abc", true),
            ("abcd", false),
            ("\u{1f600}\u{1f600}\u{1f600}", true),
            ("a\nb", false),
            ("a\u{85}", false),
        ] {
            assert_eq!(allows(text, false), allowed, "{text:?}");
        }
        assert!(allows("a\nb", true) && allows("\r\t", true));
        assert!(!allows("a\0b", true));
    }

    #[test]
    fn errors_repeat_little_of_what_an_emitter_sent() {
        let mut fields = Fields::default();
        fields.enter("data.");
        for _ in 0..100 {
            fields.error(&"\u{1b}x".repeat(100), "is wrong");
        }
        let errors = fields.into_errors();
        assert_eq!(errors.len(), ERRORS_MAX);
        let expected = format!("data.{}", "?x".repeat(32));
        assert!(errors.iter().all(|error| error.field == expected));
    }
}
