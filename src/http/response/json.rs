//! Writes JSON text by hand, where building a tree or a serializer's detours would be the cost.
//!
//! The caller writes the punctuation; what is written here is one value at a time.

use crate::domain::Timestamp;

/// JSON text in the making.
#[derive(Debug, Default)]
pub(crate) struct Json(Vec<u8>);

impl Json {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Punctuation, names of members, or text that is known to be JSON.
    pub(crate) fn raw(&mut self, json: &str) {
        self.0.extend_from_slice(json.as_bytes());
    }

    /// The same, as bytes.
    pub(crate) fn bytes(&mut self, json: &[u8]) {
        self.0.extend_from_slice(json);
    }

    /// JSON text on one line: outside of strings an end of line is space, and inside there is none.
    pub(crate) fn raw_on_one_line(&mut self, json: &str) {
        let spaced = |byte: u8| {
            if matches!(byte, b'\n' | b'\r') {
                b' '
            } else {
                byte
            }
        };
        self.0.extend(json.bytes().map(spaced));
    }

    pub(crate) fn text(&mut self, text: &str) {
        // Without an early exit the scan runs on many bytes at once, and few texts need escapes.
        let escapes = text.bytes().fold(0, |escapes, byte| {
            escapes | u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\')
        });
        if escapes == 0 {
            self.0.reserve(text.len() + 2);
            self.0.push(b'"');
            self.0.extend_from_slice(text.as_bytes());
            self.0.push(b'"');
        } else {
            self.value(text);
        }
    }

    pub(crate) fn text_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.raw("null"),
        }
    }

    pub(crate) fn number_or_null(&mut self, number: Option<u64>) {
        self.value(&number);
    }

    pub(crate) fn time(&mut self, time: Timestamp) {
        self.0.push(b'"');
        self.0.extend_from_slice(&time.text());
        self.0.push(b'"');
    }

    pub(crate) fn time_or_null(&mut self, time: Option<Timestamp>) {
        match time {
            Some(time) => self.time(time),
            None => self.raw("null"),
        }
    }

    /// Any other value.
    pub(crate) fn value<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.0, value).expect("the API's own shapes are JSON");
    }
}
