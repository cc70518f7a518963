//! Reads JSON bodies. Skips a byte order mark, and reports syntax errors with line and column.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::{Reason, metadata};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::wire::{self, Member};

/// Most levels that are read of a body whose fields are read one by one: as many as `serde_json`
/// reads.
const NESTED_MAX: usize = 128;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The body without the byte order mark that some programs put before UTF-8. RFC 8259, section 8.1
/// allows a reader to skip it.
pub(crate) fn without_mark(body: Bytes) -> Bytes {
    if body.starts_with(BYTE_ORDER_MARK) {
        return body.slice(BYTE_ORDER_MARK.len()..);
    }
    body
}

/// Whether a JSON body is an array. Looks only at its first character.
pub(crate) fn is_array(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'[')
}

/// Returns the members of a body, which must be a JSON object.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    serde_json::from_slice(body).map_err(|_reported_by_flaw| not_an_object(body))
}

/// The members of a body that must be an object, each with the text of its value.
pub(crate) fn members(body: &[u8]) -> Result<Vec<Member<'_>>, Problem> {
    let text = std::str::from_utf8(body).ok();
    let text = text.ok_or_else(|| not_an_object(body))?;
    if NESTED_MAX < metadata::depth(text) {
        return Err(refused(format!(
            "must be nested at most {NESTED_MAX} levels deep"
        )));
    }
    wire::members(text).ok_or_else(|| not_an_object(body))
}

/// Reads a body that must be an array.
pub(crate) fn array<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|_reported_by_flaw| match wire::flaw(body) {
        Some(flaw) => refused(flaw),
        None => refused(
            "must be a JSON array of events; send application/cloudevents+json for one event"
                .to_owned(),
        ),
    })
}

/// The problem of a body that is not a JSON object: where it breaks the syntax of JSON, if it does.
pub(crate) fn not_an_object(body: &[u8]) -> Problem {
    refused(wire::not_an_object(body))
}

/// The problem of a body that is an array although its content type says one event.
pub(crate) fn not_one_event() -> Problem {
    refused(
        "must be one event, but is an array; send application/cloudevents-batch+json for a batch"
            .to_owned(),
    )
}

fn refused(flaw: String) -> Problem {
    Problem::new(Code::Event(Reason::NotJson))
        .with_detail(format!("the body {flaw}"))
        .with_error("", flaw)
}
