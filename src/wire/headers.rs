//! The headers of a stored message that belong to its event, in a deterministic order.

/// The prefix of the headers that carry attributes of an event in binary mode.
pub const ATTRIBUTE_PREFIX: &str = "ce-";
/// The header with the media type of the body.
pub const CONTENT_TYPE: &str = "content-type";
/// The attribute whose header makes a message an event in binary mode.
const MODE_ATTRIBUTE: &str = "specversion";

/// The attributes and the content type in the headers of a message. Empty unless the message has
/// the header `ce-specversion`: without it, the body is the complete event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers(Option<Box<[Header]>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    name: Box<str>,
    value: Box<str>,
}

impl Headers {
    /// Keeps the headers that belong to the event. Values with one name stay in their order.
    pub fn new<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let concerns =
            |name: &str| attribute(name).is_some() || name.eq_ignore_ascii_case(CONTENT_TYPE);
        let mut kept: Vec<Header> = headers
            .filter(|(name, _)| concerns(name))
            .map(|(name, value)| Header {
                name: name.into(),
                value: value.into(),
            })
            .collect();
        let is_binary = kept.iter().any(|header| {
            attribute(&header.name).is_some_and(|name| name.eq_ignore_ascii_case(MODE_ATTRIBUTE))
        });
        if !is_binary {
            return Self::default();
        }
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        Self(Some(kept.into()))
    }

    /// Whether the event has no headers.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The content type: the value of the first such header.
    pub(super) fn content_type(&self) -> Option<&str> {
        self.iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE))
            .map(|(_, value)| value)
    }

    /// Attributes without their prefix, as the headers spell them, and their values.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter()
            .filter_map(|(name, value)| Some((attribute(name)?, value)))
    }

    /// Keeps the first value of each name. Names that differ in case are different.
    pub(super) fn first_of_each(&self) -> Self {
        let mut headers = self.0.clone().unwrap_or_default().into_vec();
        headers.dedup_by(|later, earlier| later.name == earlier.name);
        Self(Some(headers.into()))
    }

    /// All of them: names as the message spells them, and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.0.iter().flat_map(|headers| headers.iter());
        headers.map(|header| (&*header.name, &*header.value))
    }
}

/// The name of the attribute in a header; the prefix may be in any case.
fn attribute(name: &str) -> Option<&str> {
    let (prefix, attribute) = name.split_at_checked(ATTRIBUTE_PREFIX.len())?;
    prefix
        .eq_ignore_ascii_case(ATTRIBUTE_PREFIX)
        .then_some(attribute)
}
