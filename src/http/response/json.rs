//! A writer of JSON text, for hot paths where a tree of values or a serializer would cost too much.
//!
//! Callers write the punctuation themselves. Each method but [`Json::elements`] and
//! [`Json::texts`] writes one value.

use crate::domain::{TextField, Timestamp};

/// A buffer of JSON text.
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

    /// Writes text unchanged: punctuation, names of members, or valid JSON.
    pub(crate) fn raw(&mut self, json: &str) {
        self.0.extend_from_slice(json.as_bytes());
    }

    /// Writes bytes unchanged; see [`Self::raw`].
    pub(crate) fn bytes(&mut self, json: &[u8]) {
        self.0.extend_from_slice(json);
    }

    /// Writes JSON text on one line. Line breaks become spaces: in JSON they occur only outside of
    /// strings.
    pub(crate) fn raw_on_one_line(&mut self, json: impl AsRef<[u8]>) {
        let spaced = |byte: u8| {
            if matches!(byte, b'\n' | b'\r') {
                b' '
            } else {
                byte
            }
        };
        self.0.extend(json.as_ref().iter().copied().map(spaced));
    }

    /// Writes the elements of an array, without its brackets.
    pub(crate) fn elements<T, E>(
        &mut self,
        elements: &[T],
        mut write: impl FnMut(&mut Self, &T) -> Result<(), E>,
    ) -> Result<(), E> {
        for (index, element) in elements.iter().enumerate() {
            if 0 < index {
                self.raw(",");
            }
            write(self, element)?;
        }
        Ok(())
    }

    pub(crate) fn text(&mut self, text: &str) {
        // Without an early exit, the compiler vectorizes the scan. Few texts need escapes.
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

    /// Writes descriptive texts as members of an object, with a comma before each.
    pub(crate) fn texts<const N: usize>(&mut self, fields: [(&TextField, Option<&&str>); N]) {
        for (field, text) in fields {
            self.raw(",\"");
            self.raw(field.name);
            self.raw("\":");
            self.text_or_null(text.copied());
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

    /// Writes any serializable value.
    pub(crate) fn value<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.0, value).expect("the API's own shapes are JSON");
    }
}
