//! The answer to an export: `ExportTraceServiceResponse`, in the encoding of the request.

use serde_json::json;

use crate::otlp::rejected::Rejected;

/// The answer to an export.
#[derive(Debug)]
pub struct Answer<'a>(pub &'a Rejected);

impl Answer<'_> {
    /// The answer in JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let Self(rejected) = self;
        let answer = match rejected.spans() {
            0 => json!({}),
            // A number of 64 bits is a text in the JSON of protobuf.
            spans => json!({"partialSuccess": {
                "rejectedSpans": spans.to_string(),
                "errorMessage": rejected.message(),
            }}),
        };
        answer.to_string().into_bytes()
    }

    /// The answer in protobuf.
    pub fn to_protobuf(&self) -> Vec<u8> {
        let Self(rejected) = self;
        if rejected.spans() == 0 {
            return Vec::new();
        }
        let mut partial = Vec::new();
        varint(&mut partial, 1 << 3);
        varint(&mut partial, rejected.spans());
        bytes(&mut partial, 2, rejected.message().as_bytes());
        let mut answer = Vec::new();
        bytes(&mut answer, 1, &partial);
        answer
    }
}

fn bytes(to: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(to, field << 3 | 2);
    varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn varint(to: &mut Vec<u8>, mut number: u64) {
    while 0x80 <= number {
        to.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.push((number & 0x7f) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_bytes_of_protobuf_and_the_json_of_otlp() {
        let mut rejected = Rejected::default();
        assert_eq!(Answer(&rejected).to_protobuf(), b"");
        assert_eq!(Answer(&rejected).to_json(), b"{}");
        rejected.add(300, "no");
        let expected = b"\x0a\x07\x08\xac\x02\x12\x02no";
        assert_eq!(Answer(&rejected).to_protobuf(), expected);
        let expected = br#"{"partialSuccess":{"errorMessage":"no","rejectedSpans":"300"}}"#;
        assert_eq!(Answer(&rejected).to_json(), expected);
    }
}
