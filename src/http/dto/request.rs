//! Bodies of requests as named schemas of the API's document, with the bounds that decoding checks.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::auth::Role;
use crate::domain::EventType;
use crate::domain::event::Writer;
use crate::domain::limits::{BATCH_EVENTS_MAX, KEY_NAME_CHARS_MAX};
use crate::http::raw_schema::raw;
use crate::wire::event_types;
use crate::wire::schema::{
    CommandKind, about_events, command_schema, event_component, for_clients, named_id, optional,
    time,
};

const CLOUD_EVENT: &str = "CloudEvent";
const CLOUD_EVENT_BATCH: &str = "CloudEventBatch";

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident = $schema:expr;)*) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    raw($schema).into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )*
    };
}

bodies! {
    /// Creates a session.
    CreateSession = command_schema(CommandKind::CreateSession);
    /// Refreshes a session.
    RefreshSession = command_schema(CommandKind::RefreshSession);
    /// Hands a session off to another agent.
    HandOffSession = command_schema(CommandKind::HandOffSession);
    /// Terminates a session.
    TerminateSession = command_schema(CommandKind::TerminateSession);
    /// Registers an agent.
    RegisterAgent = command_schema(CommandKind::RegisterAgent);
    /// Updates an agent.
    UpdateAgent = command_schema(CommandKind::UpdateAgent);
    /// Suspends, reinstates or revokes an agent.
    ChangeAgent = command_schema(CommandKind::ChangeAgent);
    /// Issues a key.
    IssueKey = issue_key();
    /// Asks whether a token is active.
    IntrospectToken = json!({
        "type": "object",
        "required": ["token"],
        "properties": {"token": {
            "type": "string",
            "minLength": 1,
            "description": "The access token.",
        }},
        "additionalProperties": true,
    });
}

/// One event, or a batch.
pub struct EventOrBatch;

impl PartialSchema for EventOrBatch {
    fn schema() -> RefOr<Schema> {
        any_of(&[CLOUD_EVENT, CLOUD_EVENT_BATCH])
    }
}

impl ToSchema for EventOrBatch {
    fn name() -> Cow<'static, str> {
        "EventOrBatch".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let types = || event_types(Writer::Runtime);
        let one_of: Vec<Value> = types()
            .map(|event_type| json!({"$ref": reference(&event_name(event_type))}))
            .collect();
        let mapping = types().map(|event_type| {
            let target = reference(&event_name(event_type));
            (event_type.as_str().to_owned(), Value::from(target))
        });
        let about = about_events();
        let event = json!({
            "description": format!("{about} Data may also be in `data_base64`, as JSON in base64."),
            "oneOf": one_of,
            "discriminator": {"propertyName": "type", "mapping": mapping.collect::<Map<_, _>>()},
        });
        let batch = json!({
            "type": "array",
            "items": {"$ref": reference(CLOUD_EVENT)},
            "maxItems": BATCH_EVENTS_MAX,
        });
        schemas.push((CLOUD_EVENT.to_owned(), raw(event).into()));
        schemas.push((CLOUD_EVENT_BATCH.to_owned(), raw(batch).into()));
        for event_type in types() {
            let schema = raw(event_component(event_type));
            schemas.push((event_name(event_type), schema.into()));
        }
    }
}

/// A schema that is met by what meets any of these components.
pub(crate) fn any_of(names: &[&str]) -> RefOr<Schema> {
    let references = names.iter().map(|name| json!({"$ref": reference(name)}));
    raw(json!({"anyOf": references.collect::<Vec<_>>()})).into()
}

/// Such as `SessionHandedOffEvent`.
fn event_name(event_type: EventType) -> String {
    let words = event_type.as_str().split(['.', '_']);
    let mut name: String = words
        .flat_map(|word| {
            let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
            [first.to_ascii_uppercase(), rest.to_owned()]
        })
        .collect();
    name.push_str("Event");
    name
}

/// The address of a named schema.
pub(crate) fn reference(name: &str) -> String {
    Ref::from_schema_name(name).ref_location
}

fn issue_key() -> Value {
    let roles = Role::words_of_tenant();
    for_clients(json!({
        "type": "object",
        "required": ["roles"],
        "properties": {
            "name": optional(json!({
                "type": "string",
                "minLength": 1,
                "maxLength": KEY_NAME_CHARS_MAX,
                "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
                "description": "A name for people.",
            })),
            "roles": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "enum": roles},
                "description": "What the key may do. No role includes another.",
                "examples": [["read", "write"]],
            },
            "agent_id": optional(named_id(
                "The agent to which the key is bound: it reads and runs only this agent and its \
                 sessions. Without it, the key is not bound. A bound key cannot have the role `admin`.",
            )),
            "expires_at": optional(time("When the key expires; without it, never.")),
        },
        "additionalProperties": false,
        "not": {
            "type": "object",
            "required": ["agent_id", "roles"],
            "properties": {
                "agent_id": {"type": "string"},
                "roles": {"type": "array", "contains": {"const": Role::Admin.as_str()}},
            },
        },
    }))
}
