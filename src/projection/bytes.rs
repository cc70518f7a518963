//! Writing and checked reading of stored bytes. Big-endian; texts carry their length.

use crate::projection::error::StoreError;

/// Length that stands for "no text".
const NO_TEXT: u16 = u16::MAX;
/// Number of microseconds that stands for "no time".
pub(crate) const NO_TIME: i64 = i64::MIN;

/// Appends values to a buffer.
#[derive(Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let out = Vec::with_capacity(bytes);
        Self { out }
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.out.extend(value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.out.extend(value.to_be_bytes());
    }

    /// A number that may be absent: 0 means none.
    pub(crate) fn optional_u32(&mut self, value: Option<u32>) {
        self.u32(value.unwrap_or(0));
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.out.extend(value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.out.extend(value.to_be_bytes());
    }

    /// A number in one to ten bytes: seven bits in each, the lowest first, and the highest bit set in all
    /// but the last.
    pub(crate) fn varint(&mut self, mut value: u64) {
        while 0x80 <= value {
            let [.., lowest] = value.to_be_bytes();
            self.out.push(lowest | 0x80);
            value >>= 7;
        }
        let [.., lowest] = value.to_be_bytes();
        self.out.push(lowest);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
    }

    /// A text that may be absent. Every text that is stored has passed a limit far below 64 KiB.
    pub(crate) fn text(&mut self, text: Option<&str>) {
        let Some(text) = text else {
            return self.u16(NO_TEXT);
        };
        let bytes = u16::try_from(text.len())
            .ok()
            .filter(|length| *length != NO_TEXT);
        self.u16(bytes.expect("every limit on a text is below 64 KiB"));
        self.raw(text.as_bytes());
    }

    /// Replaces four bytes that were written before.
    pub(crate) fn set_u32(&mut self, at: usize, value: usize) {
        let value = u32::try_from(value).expect("a row is short");
        self.out[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// Takes values off the front of some bytes.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// The name of the stored value, for the error.
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (head, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, StoreError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, StoreError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, StoreError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A number that may be absent: 0 means none.
    pub(crate) fn optional_u32(&mut self) -> Result<Option<u32>, StoreError> {
        let value = self.u32()?;
        Ok((value != 0).then_some(value))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, StoreError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, StoreError> {
        self.array().map(i64::from_be_bytes)
    }

    /// A number that [`Writer::varint`] wrote.
    pub(crate) fn varint(&mut self) -> Result<u64, StoreError> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits.leading_zeros() < shift {
                return Err(self.damaged());
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.damaged())
    }

    /// Whether everything was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8], StoreError> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn text(&mut self) -> Result<Option<&'a str>, StoreError> {
        match self.u16()? {
            NO_TEXT => Ok(None),
            length => {
                let bytes = self.raw(usize::from(length))?;
                let text = std::str::from_utf8(bytes).map_err(|_not_utf8| self.damaged())?;
                Ok(Some(text))
            }
        }
    }

    /// A text that must be present.
    pub(crate) fn required(&mut self) -> Result<&'a str, StoreError> {
        self.text()?.ok_or_else(|| self.damaged())
    }

    /// The public part of a row: the only part that other modules may read. Rows begin with their
    /// version (1) and the length (4) of that part.
    pub(crate) fn public_part(mut self) -> Result<&'a [u8], StoreError> {
        let row = self.rest;
        let (_version, length) = (self.u8()?, self.u32()?);
        let length = usize::try_from(length).map_err(|_too_long| self.damaged())?;
        row.get(..length).ok_or_else(|| self.damaged())
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Fails unless everything was read.
    pub(crate) fn end(self) -> Result<(), StoreError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.damaged())
        }
    }

    pub(crate) fn damaged(&self) -> StoreError {
        StoreError::Damaged(self.what)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_varint_leads_back(value: u64, shift in 0_u32..64) {
            let value = value >> shift;
            let mut out = Writer::default();
            out.varint(value);
            let bytes = out.finish();
            prop_assert_eq!(bytes.len(), (64 - (value | 1).leading_zeros()).div_ceil(7) as usize);
            let mut from = Reader::new(&bytes, "a number");
            prop_assert_eq!(from.varint().unwrap(), value);
            prop_assert!(from.end().is_ok());
        }

        #[test]
        fn bytes_that_are_no_varint_are_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Ok(value) = Reader::new(&bytes, "a number").varint() {
                let mut out = Writer::default();
                out.varint(value);
                let again = Reader::new(&out.finish(), "a number").varint();
                prop_assert_eq!(again.unwrap(), value);
            }
        }
    }
}
