//! The JSON Schemas of what this layer accepts and writes.
//!
//! They are built from the constants that decoding uses, so that no limit is written twice. What
//! JSON Schema cannot say is in the descriptions: sizes in bytes, depth, names given twice, unpaired
//! surrogates, and that two fields must differ.

mod asyncapi;
mod command;
mod event;
mod field;
mod shared;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::domain::EventType;

pub use command::{CommandKind, command_schema, event_component, for_clients};
pub use event::about as about_events;
pub use field::{named_id, opaque_id, optional, source_text, time};
pub use shared::{shared, shared_as_they_are};

/// A file of the directory `schemas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its path there.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// Every schema that belongs to the wire.
pub fn documents() -> Vec<Document> {
    let mut documents: Vec<Document> = EventType::ALL
        .iter()
        .map(|event_type| document(event_path(*event_type), &event::schema(*event_type)))
        .collect();
    documents.push(document(VERDICT_PATH.to_owned(), &asyncapi::verdict()));
    documents.push(document(GAP_PATH.to_owned(), &asyncapi::gap()));
    documents.push(document("asyncapi.json".to_owned(), &asyncapi::asyncapi()));
    documents
}

/// The names of the fields of an event's data. Cached, because every command needs them.
pub(super) fn data_fields(event_type: EventType) -> &'static [&'static str] {
    static FIELDS: LazyLock<BTreeMap<EventType, Vec<&'static str>>> = LazyLock::new(|| {
        let fields = |event_type: &EventType| (*event_type, event::fields(*event_type));
        EventType::ALL.iter().map(fields).collect()
    });
    FIELDS.get(&event_type).map_or(&[], Vec::as_slice)
}

const VERDICT_PATH: &str = "verdict.json";
const GAP_PATH: &str = "verdict_gap.json";
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

fn event_path(event_type: EventType) -> String {
    format!("events/{}.json", event_type.as_str())
}

fn document(path: String, schema: &Value) -> Document {
    let mut text = serde_json::to_string_pretty(schema).expect("a value is JSON");
    text.push('\n');
    Document { path, text }
}
