//! Reads `ExportTraceServiceRequest` from protobuf.
//!
//! A field is read where it lies in the body, and a field that the ledger does not need is passed over. So
//! prompts and answers are never copied, and a body of empty messages takes no more memory than its bytes.

use std::borrow::Cow;

use crate::otlp::raw::{Attribute, Attributes, RawSpan, Text};
use crate::otlp::span::{Collector, NotSpans};

/// Status code `STATUS_CODE_ERROR`.
const STATUS_ERROR: u64 = 2;
/// A varint of 64 bits has at most this many bytes.
const VARINT_BYTES_MAX: usize = 10;

/// Reads all spans of a request.
pub(super) fn read(body: &[u8], spans: &mut Collector) -> Result<(), NotSpans> {
    for field in Fields(body) {
        if let (1, Value::Bytes(resource_spans)) = field? {
            resource(resource_spans, spans)?;
        }
    }
    Ok(())
}

/// Reads `ResourceSpans`. The resource may stand behind its spans.
fn resource(message: &[u8], spans: &mut Collector) -> Result<(), NotSpans> {
    let mut attributes = Attributes::default();
    for field in Fields(message) {
        if let (1, Value::Bytes(resource)) = field? {
            for field in Fields(resource) {
                if let (1, Value::Bytes(pair)) = field? {
                    attribute(pair, &mut attributes)?;
                }
            }
        }
    }
    spans.begin_resource(&attributes);
    for field in Fields(message) {
        if let (2, Value::Bytes(scope_spans)) = field? {
            for field in Fields(scope_spans) {
                if let (2, Value::Bytes(one)) = field?
                    && spans.takes_another()
                {
                    spans.push(&span(one)?);
                }
            }
        }
    }
    Ok(())
}

fn span(message: &[u8]) -> Result<RawSpan<'_>, NotSpans> {
    let mut span = RawSpan::default();
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(id)) => span.trace_id = id.try_into().ok(),
            (2, Value::Bytes(id)) => span.span_id = id.try_into().ok(),
            (4, Value::Bytes(id)) => span.parent_id = id.try_into().ok(),
            (5, Value::Bytes(name)) => span.name = text(name),
            (7, Value::Fixed64(start)) => span.start_ns = start,
            (8, Value::Fixed64(end)) => span.end_ns = end,
            (9, Value::Bytes(pair)) => attribute(pair, &mut span.attributes)?,
            (15, Value::Bytes(status)) => {
                for field in Fields(status) {
                    if let (3, Value::Varint(code)) = field? {
                        span.failed = code == STATUS_ERROR;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(span)
}

fn attribute<'a>(pair: &'a [u8], attributes: &mut Attributes<'a>) -> Result<(), NotSpans> {
    let (mut key, mut value) = (&[][..], Text::Other);
    for field in Fields(pair) {
        match field? {
            (1, Value::Bytes(name)) => key = name,
            (2, Value::Bytes(any)) => {
                for field in Fields(any) {
                    if let (1, Value::Bytes(string)) = field? {
                        value = text(string);
                    }
                }
            }
            _ => {}
        }
    }
    if let Some(attribute) = Attribute::named(key) {
        attributes.set(attribute, value);
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Text<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Text::Is(Cow::Borrowed(text)),
        Err(_not_utf8) => Text::Other,
    }
}

/// The fields of a message, in the order of its bytes.
struct Fields<'a>(&'a [u8]);

/// The value of a field.
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), NotSpans>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>), NotSpans> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                let bytes = self.take(8)?.iter().rev();
                Value::Fixed64(bytes.fold(0, |number, byte| number << 8 | u64::from(*byte)))
            }
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                Value::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            other => return Err(NotSpans::Protobuf(format!("has a field of type {other}"))),
        };
        match key >> 3 {
            0 => Err(NotSpans::Protobuf("has a field with the number 0".into())),
            number => Ok((number, value)),
        }
    }

    fn varint(&mut self) -> Result<u64, NotSpans> {
        let mut number = 0;
        for index in 0..VARINT_BYTES_MAX {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(NotSpans::Protobuf("has a number that does not end".into()))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], NotSpans> {
        let Some((taken, rest)) = self.0.split_at_checked(length) else {
            return Err(NotSpans::Protobuf("ends within a field".into()));
        };
        self.0 = rest;
        Ok(taken)
    }
}
