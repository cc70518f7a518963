//! Attributes of an event that no index has.

use std::borrow::Cow;

use crate::wire::json::{members, string};

/// The texts in the attributes `source` and `actor`; `None` if the event has none, or no text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes<'a> {
    /// Where the event comes from.
    pub source: Option<Cow<'a, str>>,
    /// The credential that gave a command.
    pub actor: Option<Cow<'a, str>>,
}

impl<'a> Attributes<'a> {
    /// Reads the attributes of an event in structured JSON. One that is given twice counts as its last value,
    /// and an event that is not a JSON object has none.
    pub fn of(body: &'a [u8]) -> Self {
        let mut attributes = Self::default();
        let members = std::str::from_utf8(body).ok().and_then(members);
        for member in members.unwrap_or_default() {
            match &*member.name {
                "source" => attributes.source = string(member.raw),
                "actor" => attributes.actor = string(member.raw),
                _ => {}
            }
        }
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_other_values_are_none() {
        let read = |body: &str| {
            let Attributes { source, actor } = Attributes::of(body.as_bytes());
            let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
            (owned(source), owned(actor))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            read(r#"{"id":"1","source":"/a","data":{"actor":"x"},"actor":"\u0041"}"#),
            (some("/a"), some("A"))
        );
        assert_eq!(read(r#"{"source":"/a","source":"/b"}"#), (some("/b"), None));
        assert_eq!(read(r#"{"source":1,"actor":null}"#), (None, None));
        for unreadable in ["", "[]", "{", "\"source\""] {
            assert_eq!(read(unreadable), (None, None), "{unreadable}");
        }
        assert_eq!(Attributes::of(b"\xff"), Attributes::default());
    }
}
