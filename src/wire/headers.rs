//! The headers of a stored message that concern its event, in an order that depends on nothing else.

/// Starts the header of each attribute of an event in binary mode.
pub const ATTRIBUTE_PREFIX: &str = "ce-";
/// Holds the media type of the body.
pub const CONTENT_TYPE: &str = "content-type";
/// The attribute whose header makes a message an event in binary mode.
const MODE_ATTRIBUTE: &str = "specversion";

/// Headers of a message: attributes and the content type. Empty unless the message has the header
/// `ce-specversion`, because without it all of the event stands in the body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers(Option<Box<[Header]>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    name: Box<str>,
    value: Box<str>,
}

impl Headers {
    /// Keeps those headers that concern the event. Values of one name stay in their order.
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

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The content type, by the first header of that name.
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

    /// The first value of each spelling of a name.
    pub(super) fn first_of_each(&self) -> Self {
        let mut headers = self.0.clone().unwrap_or_default().into_vec();
        headers.dedup_by(|later, earlier| later.name == earlier.name);
        Self(Some(headers.into()))
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.0.iter().flat_map(|headers| headers.iter());
        headers.map(|header| (&*header.name, &*header.value))
    }
}

/// The attribute that a header holds, by a name in any case.
fn attribute(name: &str) -> Option<&str> {
    let (prefix, attribute) = name.split_at_checked(ATTRIBUTE_PREFIX.len())?;
    prefix
        .eq_ignore_ascii_case(ATTRIBUTE_PREFIX)
        .then_some(attribute)
}
