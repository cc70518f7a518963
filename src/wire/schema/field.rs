//! Schemas of single fields, with the limits that [`crate::wire::field`] checks.
//!
//! Patterns use only features that every dialect of regular expressions has: no look-ahead, and no
//! named classes.

use serde_json::{Value, json};
use strum::VariantNames;

use crate::domain::limits::{
    ID_CHARS_MAX, METADATA_BYTES_MAX, METADATA_DEPTH_MAX, SCOPE_CHARS_MAX, SCOPES_MAX,
    SOURCE_CHARS_MAX, TTL_SECONDS_MAX,
};
use crate::domain::session::{Outcome, Phase};
use crate::wire::field::TextRule;

/// No control characters.
const PRINTABLE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// No control characters but tab, line feed and carriage return.
const LINES: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";
/// No control or invisible characters, as `domain::ids` has it.
const ID: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f",
    r"\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]*$",
);
/// No control or invisible characters, and no slash.
const SEGMENT: &str = concat!(
    r"^[^/\u0000-\u001f\u007f-\u009f",
    r"\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]*$",
);
/// RFC 3339 in the years 1 to 9999. `format` adds which days a month has.
const TIME: &str = concat!(
    "^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-",
    "(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]+)?",
    "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
);

/// Allows `null`, which counts as absent.
pub fn optional(mut schema: Value) -> Value {
    if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind, "null"]);
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.push(Value::Null);
    }
    schema
}

pub(super) fn text(rule: TextRule, description: &str) -> Value {
    let (chars_max, lines) = match rule {
        TextRule::Chars { max, lines } => (max, lines),
        TextRule::AgentId => return named_id(description),
    };
    let (pattern, except) = if lines {
        (LINES, " but tabs and ends of lines")
    } else {
        (PRINTABLE, "")
    };
    json!({
        "type": "string",
        "maxLength": chars_max,
        "pattern": pattern,
        "description": format!(
            "{description} At most {chars_max} characters; no control characters{except}."
        ),
    })
}

/// A session's or agent's id.
pub fn named_id(description: &str) -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": ID_CHARS_MAX,
        "pattern": SEGMENT,
        "not": {"enum": ["count", "introspect", "stream", ".", ".."]},
        "description": format!(
            "{description} Case-sensitive: 1 to {ID_CHARS_MAX} characters, no control or invisible \
             characters, no slash, and not a word that is a route of the API."
        ),
    })
}

/// An id that no path of the API contains.
pub fn opaque_id(description: &str) -> Value {
    printable(ID_CHARS_MAX, description)
}

pub(super) fn source() -> Value {
    source_text("The emitter of the event, such as a URI of the runtime.")
}

/// A source, with a description.
pub fn source_text(description: &str) -> Value {
    printable(SOURCE_CHARS_MAX, description)
}

fn printable(chars_max: usize, description: &str) -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": chars_max,
        "pattern": ID,
        "description": format!(
            "{description} 1 to {chars_max} characters, no control or invisible characters."
        ),
    })
}

/// A time.
pub fn time(description: &str) -> Value {
    json!({
        "type": "string",
        "format": "date-time",
        "pattern": TIME,
        "description": format!(
            "{description} RFC 3339 with any offset, years 1 to 9999; stored to the microsecond."
        ),
    })
}

pub(super) fn ttl_seconds(description: &str) -> Value {
    json!({
        "type": "integer",
        "minimum": 1,
        "maximum": TTL_SECONDS_MAX,
        "description": format!(
            "{description} In seconds after the time of the event, 1 to {TTL_SECONDS_MAX}."
        ),
    })
}

pub(super) fn scopes(description: &str) -> Value {
    json!({
        "type": "array",
        "maxItems": SCOPES_MAX,
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": SCOPE_CHARS_MAX,
            "pattern": PRINTABLE,
        },
        "description": format!(
            "{description} At most {SCOPES_MAX} scopes of 1 to {SCOPE_CHARS_MAX} characters, such \
             as `files:read`. `*` matches any characters, and a leading `!` denies."
        ),
    })
}

pub(super) fn metadata(description: &str) -> Value {
    json!({
        "type": "object",
        "description": format!(
            "{description} At most {METADATA_BYTES_MAX} bytes of JSON text, nested at most \
             {METADATA_DEPTH_MAX} levels deep, and no name twice in an object."
        ),
    })
}

pub(super) fn phase() -> Value {
    json!({
        "enum": <Phase as VariantNames>::VARIANTS,
        "description": "What the session is doing.",
    })
}

pub(super) fn outcome() -> Value {
    json!({
        "enum": <Outcome as VariantNames>::VARIANTS,
        "description": "How the session ended. `deleted` also deletes a session that has ended.",
    })
}

/// A number from 0 to 1, kept in thousandths.
pub(super) fn share(description: &str) -> Value {
    json!({
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": format!("{description} From 0 to 1, stored in thousandths."),
    })
}
