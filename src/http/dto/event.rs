//! Shapes of events: what became of them, and their replay.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::common::{AsOf, FieldError};
use super::request::any_of;
use crate::http::raw_schema::raw;

/// What became of an event that is on the log. Members without a value are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Appended {
    /// Where it stands on the log: give it as `min_position` to read what it did.
    #[schema(example = 4711)]
    pub position: u64,
    /// `applied`, `duplicate`, `rejected`, `parked`, or `pending` if the fold is not there yet.
    #[schema(example = "applied")]
    pub verdict: String,
    /// The reason code of a rejected event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Where the first copy of a duplicate stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_position: Option<u64>,
    /// What became of that first copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_verdict: Option<String>,
    /// For an event that waited for its session: where its waiting ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<u64>,
    /// Members of the event's data that its type does not know, as paths such as `data.ttl`. They are
    /// kept on the log and have no effect: check them for typos.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
}

/// What became of one event of a batch. Members without a value are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchItem {
    /// The status that the event alone would have been answered with.
    pub status: u16,
    /// If it is on the log: where, and what became of it.
    #[serde(flatten)]
    pub appended: Option<Appended>,
    /// If it may not be on the log: `unavailable` (it is not) or `unconfirmed` (nobody knows;
    /// sending it again is safe).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// All in one object: clients that are generated from an object and another that may be absent lose the
/// members of the latter.
impl PartialSchema for BatchItem {
    fn schema() -> RefOr<Schema> {
        let mut schema = serde_json::to_value(Appended::schema()).unwrap_or_default();
        schema["description"] = json!(
            "What became of one event of a batch. If it is on the log: where, and its verdict. Members \
             without a value are absent."
        );
        schema["required"] = json!(["status"]);
        schema["properties"]["status"] = json!({
            "type": "integer",
            "minimum": 200,
            "maximum": 599,
            "description": "The status that the event alone would have been answered with.",
            "example": 201,
        });
        schema["properties"]["error"] = json!({
            "type": "string",
            "enum": ["unavailable", "unconfirmed"],
            "description": "If it may not be on the log: `unavailable` (it is not) or `unconfirmed` \
                (nobody knows; sending it again is safe).",
        });
        raw(schema).into()
    }
}

impl ToSchema for BatchItem {}

/// What became of a batch, in the order of its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchResult {
    /// One for each event.
    pub results: Vec<BatchItem>,
    /// How far the ledger had come.
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
    /// Where it stands on the log.
    pub position: u64,
    /// When the log took it.
    #[schema(format = DateTime)]
    pub recorded_at: String,
    /// `applied`, `duplicate`, `rejected` or `parked`.
    pub verdict: String,
    /// The reason code of a rejected event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What is wrong field by field, with an event that breaks its schema.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Where the first copy of a duplicate stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_position: Option<u64>,
    /// For an event that waited for its session: where its waiting ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<u64>,
    /// Whose statement the event is: `runtime`, or `ledger` for a command and for what the ledger
    /// states by itself. Null if its NATS subject is none of the ledger's.
    pub writer: Option<String>,
    /// The credential that gave the event or the command to a ledger: the id of a key, or `iss|sub` of
    /// a token. The ledger notes it where no client can write, so nobody can forge it. Null if there
    /// was none (`via` is not `api`, or the server asks for no credentials).
    #[serde(default)]
    pub written_by: Option<String>,
    /// How the event came: `api` through a ledger, `nats` published directly to NATS, `ledger` stated
    /// by the ledger itself. Null for events under the first version of the rules, which did not say.
    #[serde(default)]
    pub via: Option<String>,
    /// Its type; null if nobody can tell.
    pub r#type: Option<String>,
    /// The event as it came, to the byte; null if that is not JSON.
    #[schema(value_type = Option<Object>)]
    pub event: Option<Value>,
    /// The bytes of an event that is not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_base64: Option<String>,
}

/// An event at a position, as far as the credential is shown it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EventSeen {
    /// To the role `audit`.
    Whole(Event),
    /// To the role `write`, of what it wrote itself.
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

/// A page of the tenant's events, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    /// The page. It may have fewer events than the limit and yet not be the last.
    pub events: Vec<Event>,
    /// The limit that was used.
    pub limit: u16,
    /// Where to go on; null if there is nothing more by now. Then `as_of.position` is where to go on
    /// later.
    pub next_after: Option<u64>,
    /// The state that the page shows.
    pub as_of: AsOf,
}

/// A page of a session's history, in the order in which its events took effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionEvents {
    /// The page.
    pub events: Vec<Event>,
    /// How many events the session has, over all pages.
    pub total: u64,
    /// The limit that was used.
    pub limit: u16,
    /// Where to go on; null after the last.
    pub next_after: Option<u64>,
    /// The state that the page shows.
    pub as_of: AsOf,
}

/// A page of rejected and parked events, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rejections {
    /// The page.
    pub events: Vec<Event>,
    /// How many match the filter, over all pages.
    pub total: u64,
    /// How many there are of each code, whatever the filter.
    pub by_reason: BTreeMap<String, u64>,
    /// The limit that was used.
    pub limit: u16,
    /// Where to go on; null after the last.
    pub next_before: Option<u64>,
    /// The state that the page shows.
    pub as_of: AsOf,
}
