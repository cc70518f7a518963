//! The attribute `data_base64`: JSON data of an event, encoded in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::wire::json;

/// Decodes the text of a JSON object. The error says what is wrong.
pub(super) fn decode(text: &str) -> Result<String, &'static str> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|_not_base64| "must be base64 (RFC 4648, section 4)")?;
    let text = String::from_utf8(bytes).ok();
    text.filter(|text| json::members(text).is_some())
        .ok_or("must contain a JSON object in UTF-8")
}
