//! One schema per event type, of the whole `CloudEvent`.

use serde_json::{Map, Value, json};

use crate::domain::EventType;
use crate::domain::limits::{BODY_BYTES_MAX, METADATA_DEPTH_MAX, TENANT_CHARS_MAX};
use crate::domain::session::Profile;
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

/// The data of a type: its fields, and which of them must be there.
pub(super) struct Data {
    pub(super) fields: Vec<(&'static str, Value)>,
    pub(super) required: &'static [&'static str],
}

pub(super) fn schema(event_type: EventType) -> Value {
    let name = event_type.as_str();
    let data = data(event_type);
    let mut required = vec!["specversion", "id", "source", "type", "subject"];
    let data_schema = if data.required.is_empty() {
        optional(data_schema(data))
    } else {
        required.push("data");
        data_schema(data)
    };
    json!({
        "$schema": DIALECT,
        "$id": id(event_type),
        "title": name,
        "description": format!(
            "{} A CloudEvent in structured JSON mode, in UTF-8, of at most {BODY_BYTES_MAX} bytes. \
             A member whose value is null counts as absent. No object may name a member twice, and \
             no string may hold an unpaired surrogate.",
            summary(event_type),
        ),
        "type": "object",
        "required": required,
        "properties": {
            "specversion": {"const": SPEC_VERSION, "description": "The version of CloudEvents."},
            "id": opaque_id("Unique together with the source: the same pair twice is one event."),
            "source": source(),
            "type": {"const": name, "description": "Must match the NATS subject."},
            "subject": subject(event_type),
            "time": optional(time(
                "When it happened, by the emitter's clock. Absent means when the log takes it.",
            )),
            "tenantid": tenant(event_type),
            "datacontenttype": optional(json!({
                "type": "string",
                "pattern": JSON_MEDIA_TYPE,
                "description": "A media type of JSON; absent means application/json.",
            })),
            "dataschema": optional(json!({
                "type": "string",
                "minLength": 1,
                "description": "The version of data, as a URI.",
            })),
            "data": data_schema,
            "data_base64": {"type": "null", "description": "Data must be JSON, in `data`."},
        },
        "propertyNames": {"pattern": "^([a-z0-9]+|data_base64)$"},
        "additionalProperties": {
            "type": ["string", "number", "boolean", "null"],
            "description": "Any other extension attribute of CloudEvents; kept and not read.",
        },
    })
}

pub(super) fn id(event_type: EventType) -> String {
    format!("urn:session-ledger:schema:event:v1:{}", event_type.as_str())
}

/// What an event of this type says, in one sentence.
pub(super) fn summary(event_type: EventType) -> &'static str {
    match event_type {
        EventType::SessionCreated => "A session opened.",
        EventType::SessionRefreshed => "A session showed a sign of life.",
        EventType::SessionHandedOff => {
            "A session ended, and a child session opened for another agent."
        }
        EventType::SessionTerminated => "A session was ended.",
        EventType::SessionExpired => "A session's deadline passed. Written by the ledger alone.",
        EventType::AgentRegistered => "An agent became known.",
        EventType::AgentUpdated => "Fields of an agent changed; those left out stay.",
        EventType::AgentSuspended => "An agent may not act until it is reinstated.",
        EventType::AgentReinstated => "A suspended agent may act again.",
        EventType::AgentRevoked => "An agent may never act again.",
        EventType::Rules => {
            "From here on, the log is folded by this version of the rules. Written by the ledger \
             alone."
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
        return json!({"type": "null", "description": "The rules concern every tenant."});
    }
    optional(json!({
        "type": "string",
        "pattern": format!("^[A-Za-z0-9_-]{{1,{TENANT_CHARS_MAX}}}$"),
        "description": format!(
            "The tenant. Must equal that of the NATS subject or credential. 1 to \
             {TENANT_CHARS_MAX} characters."
        ),
    }))
}

fn data_schema(data: Data) -> Value {
    let deadline = data.fields.iter().any(|(name, _)| *name == "ttl_seconds");
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
        let refused = json!({"not": {}, "description": "Refused: it would carry a secret."});
        properties.insert((*name).to_owned(), refused);
    }
    let mut schema = json!({
        "type": "object",
        "required": data.required,
        "properties": properties,
        "additionalProperties": true,
        "description": format!(
            "Other fields are kept and not read; nested at most {METADATA_DEPTH_MAX} levels deep."
        ),
    });
    if deadline && let Some(schema) = schema.as_object_mut() {
        schema.insert("not".to_owned(), two_deadlines());
    }
    schema
}

/// More than one way to say when a session ends.
pub(super) fn two_deadlines() -> Value {
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
    let [agent_name, agent_key_id, caller @ ..] =
        <Profile>::FIELDS.map(|(name, description)| (name, text(TextRule::TEXT, description)));
    let mut fields = vec![
        (
            "agent_id",
            named_id("Whose session it is. An unknown agent becomes known by it."),
        ),
        (
            "expires_at",
            time("When the session ends by itself. Not together with ttl_seconds."),
        ),
        (
            "ttl_seconds",
            ttl_seconds("When the session ends by itself."),
        ),
        (
            "scopes",
            scopes(
                "What the session may do; within what its agent may. Absent means just what the \
                 agent's list says, which is nothing if it has none.",
            ),
        ),
        ("metadata", metadata("The caller's own data.")),
        agent_name,
        agent_key_id,
        (
            "parent_session_id",
            named_id("The session that it came from: open already, in the same tenant, another."),
        ),
        (
            "project_id",
            opaque_id("The project that it belongs to. A UUID is the same in any case."),
        ),
    ];
    fields.extend(caller);
    fields.push(("phase", phase()));
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
                "description": "true: the new deadline is the event's time plus the time to live \
                    that the session opened with; without one, the deadline stays.",
            }),
        ),
        ("phase", phase()),
        (
            "metadata",
            metadata("A merge patch (RFC 7396). The limits hold for the result as well."),
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
        (
            "session_id",
            named_id("The child session that opens for it: a new id."),
        ),
        (
            "scopes",
            scopes("What the child may do; absent means what its parent may."),
        ),
        ("metadata", metadata("The child's metadata.")),
        (
            "expires_at",
            time("The child's deadline; never later than its parent's."),
        ),
        (
            "ttl_seconds",
            ttl_seconds("The child's deadline; never later than its parent's."),
        ),
        ("reason", reason()),
    ];
    Data {
        fields,
        required: &["to_agent_id", "session_id"],
    }
}

fn agent() -> Data {
    let fields = vec![
        (
            "agent_type",
            text(TextRule::TEXT, "What kind of agent it is."),
        ),
        ("display_name", text(TextRule::NAME, "Its name.")),
        (
            "description",
            text(TextRule::DESCRIPTION, "What it is for."),
        ),
        (
            "scopes",
            scopes("What its sessions may do; absent sets no bound."),
        ),
        (
            "metadata",
            metadata("The caller's own data; an update replaces it whole."),
        ),
        (
            "trust_level",
            text(TextRule::TEXT, "How far it is trusted, in a word."),
        ),
        ("trust_score", share("How far it is trusted.")),
        ("public_key", text(TextRule::PUBLIC_KEY, "Its public key.")),
        ("key_id", text(TextRule::TEXT, "The id of that key.")),
        ("parent_agent_id", named_id("The agent that it came from.")),
        (
            "created_by_user_id",
            text(TextRule::TEXT, "Who registered it."),
        ),
        ("expires_at", time("When it ends by itself.")),
    ];
    Data {
        fields,
        required: &[],
    }
}

fn reason() -> Value {
    text(TextRule::REASON, "Why, for people.")
}
