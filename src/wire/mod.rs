//! The wire layer: converts stored bytes to domain events and back, and has the schemas of valid
//! events.
//!
//! An event is a `CloudEvent` 1.0 in structured JSON mode, on a subject that names its writer,
//! tenant and type. Decoding is total: every body becomes an event or a reason. The result depends
//! only on the bytes and the version of the rules. Error messages of parser libraries stay inside
//! this module.
#![warn(missing_docs)]
#![warn(clippy::indexing_slicing)]
#![warn(clippy::wildcard_enum_match_arm)]

mod attributes;
mod base64_data;
pub mod binary;
mod check;
pub mod command;
pub mod data;
pub mod decode;
pub mod encode;
mod field;
pub mod headers;
mod json;
mod not_json;
mod origin;
mod payload;
pub mod private;
pub mod schema;
pub mod source;
pub mod subject;
mod trace;
pub mod verdict;

pub use attributes::Attributes;
pub use check::check;
pub use decode::{Decoded, Opened, Undecodable, decode};
pub use encode::{Envelope, Notes, encode};
pub use field::{FieldError, ValueError, metadata, time};
pub use headers::Headers;
pub use json::{Member, integer, members, string};
pub use not_json::{flaw, not_an_object};
pub use origin::{Origin, Via};
pub use subject::{
    ADMIN_STREAM_SUBJECTS, EXPIRIES, Subject, event_types, is_expiry, stream_subjects,
};
pub use trace::trace_id;
pub use verdict::{GapMessage, VerdictMessage, verdict_subject};
