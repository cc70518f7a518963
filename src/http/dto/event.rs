//! Shapes of events: the verdicts on them, and their replay.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::common::{AsOf, FieldError};
use super::request::{any_of, reference};
use super::words::{BatchError, EventType, Reason, Verdict, VerdictSoFar, Via, Writer};
use crate::http::raw_schema::raw;

/// The verdict on an event that is on the log. Members without a value are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Appended {
    /// The position of the event on the log. Give it as `min_position` to read the change.
    #[schema(example = 4711)]
    pub position: u64,
    /// The verdict, or `pending` if there is none yet.
    #[schema(value_type = VerdictSoFar, example = "applied")]
    pub verdict: String,
    /// Why the event was rejected. Only for a rejected event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Reason>, nullable = false)]
    pub reason: Option<String>,
    /// The reason in words. Only for a rejected event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// The position of the first copy. Only for a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub first_position: Option<u64>,
    /// The verdict on the first copy. Only for a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Verdict>, nullable = false)]
    pub first_verdict: Option<String>,
    /// The position of the record that ended the wait. Only for an event that was parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub settled_at: Option<u64>,
    /// Members of the event's data that its type does not know, as paths such as `data.ttl`. They stay
    /// on the log and have no effect. Check them for typos.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
}

/// The result for one event of a batch. Members without a value are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchItem {
    /// The HTTP status that the event would get in a request of its own.
    pub status: u16,
    /// The position and the verdict, if the event is on the log.
    #[serde(flatten)]
    pub appended: Option<Appended>,
    /// Why the log may not have the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// All members in one object: generated clients lose the members of an object that may be absent.
impl PartialSchema for BatchItem {
    fn schema() -> RefOr<Schema> {
        let mut schema = serde_json::to_value(Appended::schema()).unwrap_or_default();
        schema["description"] = json!(
            "The result for one event of a batch: its position and verdict, if it is on the log. \
             Members without a value are absent."
        );
        schema["required"] = json!(["status"]);
        schema["properties"]["status"] = json!({
            "type": "integer",
            "minimum": 200,
            "maximum": 599,
            "description": "The HTTP status that the event would get in a request of its own.",
            "example": 201,
        });
        schema["properties"]["error"] = json!({
            "$ref": reference(&BatchError::name()),
            "description": "Only if the log may not have the event.",
        });
        raw(schema).into()
    }
}

impl ToSchema for BatchItem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((BatchError::name().into_owned(), BatchError::schema()));
    }
}

/// The results of a batch, in the order of its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchResult {
    /// One result for each event.
    pub results: Vec<BatchItem>,
    /// The state of the ledger after the batch.
    pub as_of: AsOf,
}

/// The answer to an append: for one event, or for a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum AppendAnswer {
    /// For a batch.
    Batch(BatchResult),
    /// For one event.
    One(Appended),
}

/// An event with its verdict. Members without a value are absent, `event` excepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
pub struct Event {
    /// The position of the event on the log.
    pub position: u64,
    /// When the log stored the event.
    #[schema(format = DateTime)]
    pub recorded_at: String,
    /// The verdict on the event.
    #[schema(value_type = Verdict)]
    pub verdict: String,
    /// Why the event was rejected. Only for a rejected event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Reason>, nullable = false)]
    pub reason: Option<String>,
    /// The reason in words. Only for a rejected event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// What is wrong field by field. Only for an event that breaks its schema.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The position of the first copy. Only for a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub first_position: Option<u64>,
    /// The position of the record that ended the wait. Only for an event that was parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub settled_at: Option<u64>,
    /// Who states the event. Null if its NATS subject is not one of the ledger's.
    #[schema(value_type = Option<Writer>)]
    pub writer: Option<String>,
    /// The credential that sent the event or the command to a ledger: the id of a key, or `iss|sub` of a
    /// token. No client can forge it. Null if there was no credential: `via` is not `api`, or the server
    /// needs no credentials.
    #[serde(default)]
    pub written_by: Option<String>,
    /// How the event arrived. Null for events under the first version of the rules.
    #[serde(default)]
    #[schema(value_type = Option<Via>)]
    pub via: Option<String>,
    /// The type of the event; null if it cannot be read.
    #[schema(value_type = Option<EventType>)]
    pub r#type: Option<String>,
    /// The trace that the event names in its attribute `traceparent`: 32 hexadecimal digits. Only for an
    /// event that names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "0af7651916cd43dd8448eb211c80319c")]
    pub trace_id: Option<String>,
    /// The event as the log has it, unchanged; null if that is not JSON.
    #[schema(value_type = Option<Object>)]
    pub event: Option<Value>,
    /// The bytes of an event that is not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub raw_base64: Option<String>,
}

/// An event at a position, as far as the credential may see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EventSeen {
    /// For the role `audit`: the whole event.
    Whole(Event),
    /// For the role `write`: the verdict on an event that this credential wrote.
    Verdict(Appended),
}

// By hand: an event has all members of a verdict, so it is valid as both.
impl PartialSchema for EventSeen {
    fn schema() -> RefOr<Schema> {
        any_of(&["Event", "Appended"])
    }
}

impl ToSchema for EventSeen {
    fn name() -> Cow<'static, str> {
        "EventSeen".into()
    }
}

/// A page of the tenant's events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    /// The events of this page. It may have fewer events than the limit although more pages follow.
    pub events: Vec<Event>,
    /// The limit of this page.
    pub limit: u16,
    /// Give it as `after` to read the next page; null on the last page for now, and with the newest first.
    /// To read new events later, give `as_of.position`.
    pub next_after: Option<u64>,
    /// With the newest first: give it as `before` to read the next page; null on the last page.
    #[serde(default)]
    pub next_before: Option<u64>,
    /// The state that the page shows.
    pub as_of: AsOf,
}

/// A page of a session's history, in the order in which its events took effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionEvents {
    /// The events of this page.
    pub events: Vec<Event>,
    /// The number of events of the session, over all pages.
    pub total: u64,
    /// The limit of this page.
    pub limit: u16,
    /// Give it as `after` to read the next page; null on the last page.
    pub next_after: Option<u64>,
    /// The state that the page shows.
    pub as_of: AsOf,
}

/// A page of rejected and parked events, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rejections {
    /// The events of this page.
    pub events: Vec<Event>,
    /// The number of events that match the filter, over all pages.
    pub total: u64,
    /// The number of events for each code, without the filter.
    pub by_reason: BTreeMap<String, u64>,
    /// The limit of this page.
    pub limit: u16,
    /// Give it as `before` to read the next page; null on the last page.
    pub next_before: Option<u64>,
    /// The state that the page shows.
    pub as_of: AsOf,
}
