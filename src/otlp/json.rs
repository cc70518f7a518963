//! Reads `ExportTraceServiceRequest` from JSON, in the encoding of OTLP: ids are hexadecimal, and numbers of
//! 64 bits may be texts. Unknown members are passed over.
//!
//! The lists are read one level at a time, each element as a part of the body. So the memory that a body
//! takes has a bound, however many empty objects it has.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use crate::domain::limits::OTLP_SPANS_MAX;
use crate::otlp::raw::{Attribute, Attributes, RawSpan, Text};
use crate::otlp::span::{Collector, NotSpans};

/// Status code `STATUS_CODE_ERROR`.
const STATUS_ERROR: u64 = 2;

type List<'a> = Option<Elements<'a>>;

/// The first elements of an array, and how many follow: an array may have millions.
#[derive(Default)]
struct Elements<'a> {
    first: Vec<&'a RawValue>,
    more: u64,
}

impl<'a> Elements<'a> {
    /// All of them. Lists of resources and scopes are not longer than what a request may have of spans.
    fn all(self) -> Result<Vec<&'a RawValue>, serde_json::Error> {
        if 0 < self.more {
            return Err(serde_json::Error::custom(
                "a list is too long; export smaller batches",
            ));
        }
        Ok(self.first)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ArrayVisitor;
        impl<'de> Visitor<'de> for ArrayVisitor {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut elements = Elements::default();
                while elements.first.len() < OTLP_SPANS_MAX {
                    match seq.next_element()? {
                        Some(element) => elements.first.push(element),
                        None => return Ok(elements),
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    elements.more += 1;
                }
                Ok(elements)
            }
        }
        deserializer.deserialize_seq(ArrayVisitor)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow, default)]
    resource_spans: List<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    #[serde(default)]
    resource: Option<Resource>,
    #[serde(borrow, default)]
    scope_spans: List<'a>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    attributes: Option<Pairs>,
}

#[derive(Deserialize)]
struct ScopeSpans<'a> {
    #[serde(borrow, default)]
    spans: List<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpanObject {
    #[serde(default)]
    trace_id: Option<String>,
    #[serde(default)]
    span_id: Option<String>,
    #[serde(default)]
    parent_span_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    start_time_unix_nano: Option<Number>,
    #[serde(default)]
    end_time_unix_nano: Option<Number>,
    #[serde(default)]
    attributes: Option<Pairs>,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: Option<Number>,
}

#[derive(Deserialize)]
struct Pair {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<AnyValue>,
}

/// A value of any type. Only a text is kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyValue {
    #[serde(default)]
    string_value: Option<String>,
}

/// Reads all spans of a request.
pub(super) fn read(body: &[u8], spans: &mut Collector) -> Result<(), NotSpans> {
    let body: &RawValue = serde_json::from_slice(body)?;
    let request: Request<'_> = object(body)?;
    for resource_spans in request.resource_spans.unwrap_or_default().all()? {
        let resource_spans: ResourceSpans<'_> = object(resource_spans)?;
        let attributes = resource_spans.resource.and_then(|one| one.attributes);
        spans.begin_resource(&attributes.unwrap_or_default().0);
        for scope_spans in resource_spans.scope_spans.unwrap_or_default().all()? {
            let scope_spans: ScopeSpans<'_> = object(scope_spans)?;
            let list = scope_spans.spans.unwrap_or_default();
            spans.too_many(list.more);
            for span in list.first {
                if !spans.takes_another() {
                    continue;
                }
                match object(span) {
                    Ok(span) => spans.push(&raw(span)),
                    Err(error) => spans.reject(&format!("a span cannot be read: {error}")),
                }
            }
        }
    }
    Ok(())
}

/// Reads an object. Without this check, an array would count as one with its members in order.
fn object<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Result<T, serde_json::Error> {
    if value.get().starts_with('{') {
        return serde_json::from_str(value.get());
    }
    Err(serde_json::Error::custom("expected an object"))
}

fn raw(span: SpanObject) -> RawSpan<'static> {
    let text = |text| Text::Is(Cow::Owned(text));
    RawSpan {
        trace_id: id(span.trace_id),
        span_id: id(span.span_id),
        parent_id: id(span.parent_span_id),
        name: span.name.map_or(Text::Absent, text),
        start_ns: span.start_time_unix_nano.map_or(0, |number| number.0),
        end_ns: span.end_time_unix_nano.map_or(0, |number| number.0),
        failed: span.status.and_then(|status| status.code) == Some(Number(STATUS_ERROR)),
        attributes: span.attributes.unwrap_or_default().0,
    }
}

fn id<const N: usize>(text: Option<String>) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text?, &mut bytes).ok()?;
    Some(bytes)
}

/// A list of attributes, read from an array of pairs.
#[derive(Default)]
struct Pairs(Attributes<'static>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of attributes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Pairs, A::Error> {
                let mut attributes = Attributes::default();
                while let Some(pair) = seq.next_element::<Pair>()? {
                    let Some(key) = pair.key else { continue };
                    if let Some(attribute) = Attribute::named(key.as_bytes()) {
                        let text = pair.value.and_then(|any| any.string_value);
                        let text = text.map_or(Text::Other, |text| Text::Is(Cow::Owned(text)));
                        attributes.set(attribute, text);
                    }
                }
                Ok(Pairs(attributes))
            }
        }
        deserializer.deserialize_seq(PairsVisitor)
    }
}

/// A number that may be written as a text. The names of codes are allowed where a number is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a number as a text")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                match text {
                    "STATUS_CODE_UNSET" => Ok(Number(0)),
                    "STATUS_CODE_OK" => Ok(Number(1)),
                    "STATUS_CODE_ERROR" => Ok(Number(STATUS_ERROR)),
                    _ => {
                        let number = text.parse().map(Number);
                        number.map_err(|_not| E::invalid_value(Unexpected::Str(text), &self))
                    }
                }
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}
