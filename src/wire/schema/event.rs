//! One schema per event type, of the whole `CloudEvent`.

use serde_json::{Map, Value, json};

use crate::domain::agent::AgentTexts;
use crate::domain::limits::{BODY_BYTES_MAX, METADATA_DEPTH_MAX, TENANT_CHARS_MAX};
use crate::domain::session::Profile;
use crate::domain::{EventType, TextField};
use crate::wire::decode::SPEC_VERSION;
use crate::wire::field::TextRule;
use crate::wire::payload::SECRET_FIELDS;
use crate::wire::schema::DIALECT;
use crate::wire::schema::field::{
    metadata, named_id, opaque_id, optional, outcome, phase, scopes, share, source, text, time,
    ttl_seconds,
};
use crate::wire::subject::Subject;

/// Media types whose subtype is `json` or ends with `+json`.
const JSON_MEDIA_TYPE: &str = concat!(
    r"^[A-Za-z0-9!#$&^_.+-]+/([A-Za-z0-9!#$&^_.+-]+[+])?[Jj][Ss][Oo][Nn][ \t]*",
    r"(;[^\u0000-\u001f\u007f-\u009f]*)?$",
);

/// The data of a type: its fields, and which of them are required.
pub(super) struct Data {
    pub(super) fields: Vec<(&'static str, Value)>,
    pub(super) required: &'static [&'static str],
}

/// The schema of an event as the ledger decodes it: data as JSON, or as JSON in base64.
pub(super) fn schema(event_type: EventType) -> Value {
    let data = data(event_type);
    let needs_data = !data.required.is_empty();
    let mut schema = envelope(event_type, &optional(data_schema(data)), &[]);
    let encoded = optional(json!({
        "type": "string",
        "contentEncoding": "base64",
        "contentMediaType": "application/json",
        "description": "The data as JSON in base64 (RFC 4648, section 4). Not together with data.",
    }));
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("data_base64".to_owned(), encoded);
    }
    if let Some(schema) = schema.as_object_mut() {
        let names = json!({"pattern": "^([a-z0-9]+|data_base64)$"});
        schema.insert("propertyNames".to_owned(), names);
        schema.insert("not".to_owned(), wrong_data(needs_data));
    }
    schema
}

/// The schema of an event whose data is in the member `data`.
pub(super) fn with_plain_data(event_type: EventType) -> Value {
    let data = data(event_type);
    if data.required.is_empty() {
        return envelope(event_type, &optional(data_schema(data)), &[]);
    }
    envelope(event_type, &data_schema(data), &["data"])
}

fn envelope(event_type: EventType, data: &Value, also_required: &[&str]) -> Value {
    let name = event_type.as_str();
    let always = ["specversion", "id", "source", "type", "subject"];
    let required = [&always[..], also_required].concat();
    json!({
        "$schema": DIALECT,
        "$id": id(event_type),
        "title": name,
        "description": format!("{} {}", summary(event_type), about()),
        "type": "object",
        "required": required,
        "properties": {
            "specversion": {"const": SPEC_VERSION, "description": "The version of CloudEvents."},
            "id": opaque_id("Unique together with the source: the same pair twice is one event."),
            "source": source(),
            "type": {"const": name, "description": "Must match the NATS subject."},
            "subject": subject(event_type),
            "time": optional(time(
                "When the event happened, by the clock of the emitter. Without it, the time at which \
                 the log stores the event.",
            )),
            "tenantid": tenant(event_type),
            "datacontenttype": optional(json!({
                "type": "string",
                "pattern": JSON_MEDIA_TYPE,
                "description": "A media type of JSON. Without it, application/json.",
            })),
            "dataschema": optional(json!({
                "type": "string",
                "minLength": 1,
                "description": "The version of data, as a URI.",
            })),
            "data": data,
        },
        "propertyNames": {"pattern": "^[a-z0-9]+$"},
        "additionalProperties": {
            "type": ["string", "number", "boolean", "null"],
            "description": "Any other extension attribute of CloudEvents. The ledger stores it and \
                does not read it.",
        },
    })
}

/// The description that holds for every event.
pub fn about() -> String {
    format!(
        "A CloudEvent in structured JSON mode, in UTF-8, of at most {BODY_BYTES_MAX} bytes. A member \
         whose value is null counts as absent. No object may name a member twice, and no string may \
         hold an unpaired surrogate."
    )
}

/// Matches events that are invalid: with data in both members or, if the type needs data, in
/// neither.
fn wrong_data(needs_data: bool) -> Value {
    let given = json!({"not": {"type": "null"}});
    let both = json!({
        "type": "object",
        "required": ["data", "data_base64"],
        "properties": {"data": given, "data_base64": given},
    });
    if !needs_data {
        return both;
    }
    let absent = json!({"type": "null"});
    let neither = json!({
        "type": "object",
        "properties": {"data": absent, "data_base64": absent},
    });
    json!({"anyOf": [both, neither]})
}

pub(super) fn id(event_type: EventType) -> String {
    format!("urn:session-ledger:schema:event:v1:{}", event_type.as_str())
}

/// What an event of this type says, in one sentence.
pub(super) fn summary(event_type: EventType) -> &'static str {
    match event_type {
        EventType::SessionCreated => "A session was created.",
        EventType::SessionRefreshed => "A session was refreshed.",
        EventType::SessionHandedOff => {
            "A session ended, and its child was created for another agent."
        }
        EventType::SessionTerminated => "A session was terminated.",
        EventType::SessionExpired => {
            "The deadline of a session passed. Only the ledger writes this event."
        }
        EventType::AgentRegistered => "An agent was registered.",
        EventType::AgentUpdated => "Fields of an agent changed. The others stay.",
        EventType::AgentSuspended => "An agent may not act until it is reinstated.",
        EventType::AgentReinstated => "A suspended agent may act again.",
        EventType::AgentRevoked => "An agent may never act again.",
        EventType::Rules => {
            "From this record on, this version of the rules decides verdicts. Only the ledger writes \
             this event."
        }
    }
}

fn subject(event_type: EventType) -> Value {
    match event_type {
        EventType::SessionCreated
        | EventType::SessionRefreshed
        | EventType::SessionHandedOff
        | EventType::SessionTerminated
        | EventType::SessionExpired => named_id("The session."),
        EventType::AgentRegistered
        | EventType::AgentUpdated
        | EventType::AgentSuspended
        | EventType::AgentReinstated
        | EventType::AgentRevoked => named_id("The agent."),
        EventType::Rules => json!({"const": Subject::RULES_ID}),
    }
}

fn tenant(event_type: EventType) -> Value {
    if event_type == EventType::Rules {
        return json!({"type": "null", "description": "Must be absent: the rules concern every tenant."});
    }
    optional(json!({
        "type": "string",
        "pattern": format!("^[A-Za-z0-9_-]{{1,{TENANT_CHARS_MAX}}}$"),
        "description": format!(
            "The tenant, which must be that of the NATS subject or credential. 1 to \
             {TENANT_CHARS_MAX} characters."
        ),
    }))
}

fn data_schema(data: Data) -> Value {
    let has = |field: &str| data.fields.iter().any(|(name, _)| *name == field);
    let (has_deadline, has_extend) = (has("ttl_seconds"), has("extend"));
    let mut properties = Map::new();
    for (name, schema) in data.fields {
        let schema = if data.required.contains(&name) {
            schema
        } else {
            optional(schema)
        };
        properties.insert(name.to_owned(), schema);
    }
    for name in SECRET_FIELDS {
        let refused =
            json!({"not": {}, "description": "Rejected, because it would carry a secret."});
        properties.insert((*name).to_owned(), refused);
    }
    let mut schema = json!({
        "type": "object",
        "required": data.required,
        "properties": properties,
        "additionalProperties": true,
        "description": format!(
            "The ledger stores other fields and does not read them. Nested at most \
             {METADATA_DEPTH_MAX} levels deep."
        ),
    });
    if has_deadline && let Some(schema) = schema.as_object_mut() {
        schema.insert("not".to_owned(), two_deadlines(has_extend));
    }
    schema
}

/// More than one way to say when a session ends.
pub(super) fn two_deadlines(has_extend: bool) -> Value {
    let expires_at = ("expires_at", json!({"type": "string"}));
    let ttl_seconds = ("ttl_seconds", json!({"type": "integer"}));
    let extend = ("extend", json!({"const": true}));
    let both = |(a, a_schema): &(&str, Value), (b, b_schema): &(&str, Value)| {
        json!({
            "type": "object",
            "required": [a, b],
            "properties": {*a: a_schema, *b: b_schema},
        })
    };
    if !has_extend {
        return both(&expires_at, &ttl_seconds);
    }
    json!({"anyOf": [
        both(&expires_at, &ttl_seconds),
        both(&expires_at, &extend),
        both(&ttl_seconds, &extend),
    ]})
}

/// The names of the fields that the data of a type has.
pub(super) fn fields(event_type: EventType) -> Vec<&'static str> {
    let fields = data(event_type).fields;
    fields.into_iter().map(|(name, _)| name).collect()
}

pub(super) fn data(event_type: EventType) -> Data {
    match event_type {
        EventType::SessionCreated => created(),
        EventType::SessionRefreshed => refreshed(),
        EventType::SessionHandedOff => handed_off(),
        EventType::SessionTerminated => Data {
            fields: vec![("reason", reason()), ("outcome", outcome())],
            required: &[],
        },
        EventType::SessionExpired => Data {
            fields: vec![("expires_at", time("The deadline that passed."))],
            required: &["expires_at"],
        },
        EventType::AgentRegistered | EventType::AgentUpdated => agent(),
        EventType::AgentSuspended | EventType::AgentReinstated | EventType::AgentRevoked => Data {
            fields: vec![("reason", reason())],
            required: &[],
        },
        EventType::Rules => Data {
            fields: vec![(
                "version",
                json!({
                    "type": "integer",
                    "minimum": 1,
                    "maximum": u32::MAX,
                    "description": "The version of the rules from this record on.",
                }),
            )],
            required: &["version"],
        },
    }
}

fn created() -> Data {
    let mut fields = vec![
        (
            "agent_id",
            named_id("The agent of the session. An unknown agent becomes known by this event."),
        ),
        (
            "expires_at",
            time("The deadline of the session. Not together with ttl_seconds."),
        ),
        ("ttl_seconds", ttl_seconds("The deadline of the session.")),
        (
            "scopes",
            scopes(
                "What the session may do, within what its agent may. Without it, the list of the \
                 agent, or nothing if the agent has no list.",
            ),
        ),
        ("metadata", metadata("Data of the caller.")),
        (
            "parent_session_id",
            named_id(
                "Another session of the tenant, from which this session was created. It must exist.",
            ),
        ),
        (
            "project_id",
            opaque_id("The project of the session. A UUID is the same in any case."),
        ),
        ("phase", phase()),
    ];
    fields.extend(texts(<Profile>::FIELDS));
    Data {
        fields,
        required: &["agent_id"],
    }
}

fn refreshed() -> Data {
    let fields = vec![
        (
            "expires_at",
            time("The new deadline. Not together with ttl_seconds or extend."),
        ),
        ("ttl_seconds", ttl_seconds("The new deadline.")),
        (
            "extend",
            json!({
                "type": "boolean",
                "description": "With true, the new deadline is the time of the event plus the time to \
                    live with which the session was created. Without a time to live, the deadline stays.",
            }),
        ),
        ("phase", phase()),
        (
            "metadata",
            metadata("A merge patch (RFC 7396). The limits also hold for the result."),
        ),
    ];
    Data {
        fields,
        required: &[],
    }
}

fn handed_off() -> Data {
    let fields = vec![
        ("to_agent_id", named_id("The agent that takes over.")),
        ("session_id", named_id("The new id of the child session.")),
        (
            "scopes",
            scopes(
                "What the child may do, within what its parent and its agent may. Without it, what \
                 both its parent and its agent may; an agent without a list sets no bound.",
            ),
        ),
        ("metadata", metadata("The metadata of the child.")),
        (
            "expires_at",
            time("The deadline of the child, at most that of its parent."),
        ),
        (
            "ttl_seconds",
            ttl_seconds("The deadline of the child, at most that of its parent."),
        ),
        ("reason", reason()),
    ];
    Data {
        fields,
        required: &["to_agent_id", "session_id"],
    }
}

fn agent() -> Data {
    let mut fields = vec![
        (
            "scopes",
            scopes("The most that sessions of the agent may do. Without it, there is no bound."),
        ),
        (
            "metadata",
            metadata("Data of the caller. An update replaces it as a whole."),
        ),
        ("trust_score", share("How far the agent is trusted.")),
        ("expires_at", time("When the agent expires.")),
    ];
    fields.extend(texts(<AgentTexts>::FIELDS));
    Data {
        fields,
        required: &[],
    }
}

fn texts(fields: &'static [TextField]) -> impl Iterator<Item = (&'static str, Value)> {
    let schema = |field: &TextField| text(TextRule::of(field.kind), field.about);
    fields.iter().map(move |field| (field.name, schema(field)))
}

fn reason() -> Value {
    text(TextRule::REASON, "The reason, for people.")
}
