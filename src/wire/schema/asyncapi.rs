//! The subjects as an `AsyncAPI` 3.0 document, seen from the ledger: it receives what runtimes
//! publish, and sends what it writes itself and its verdicts.

use serde_json::{Map, Value, json};
use strum::VariantNames;

use crate::domain::event::Writer;
use crate::domain::limits::{LOG_MESSAGE_BYTES_MAX, TENANT_CHARS_MAX};
use crate::domain::{EventType, Position, Reason, Rules, Verdict};
use crate::wire::schema::{DIALECT, GAP_PATH, VERDICT_PATH, event, event_path, field};
use crate::wire::subject::{Subject, event_types, prefix};
use crate::wire::verdict::PREFIX as VERDICT_PREFIX;

const EVENT_MEDIA_TYPE: &str = "application/cloudevents+json";
const VERDICT: &str = "verdict";
const GAP: &str = "verdict_gap";
const SCHEMA_FORMAT: &str = "application/schema+json;version=2020-12";

pub(super) fn asyncapi() -> Value {
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for writer in [Writer::Runtime, Writer::Ledger] {
        for event_type in event_types(writer) {
            let (role, action) = match writer {
                Writer::Runtime => ("runtime", "receive"),
                Writer::Ledger => ("ledger", "send"),
            };
            let name = event_type.as_str();
            let key = format!("{role}.{name}");
            let address = format!("{}.{{tenant}}.{name}", prefix(writer));
            channels.insert(key.clone(), channel(&address, &[name], true));
            operations.insert(format!("{action}.{key}"), operation(action, &key, &[name]));
        }
    }
    let rules = EventType::Rules.as_str();
    channels.insert(
        rules.to_owned(),
        channel(&Subject::RULES.to_string(), &[rules], false),
    );
    operations.insert(format!("send.{rules}"), operation("send", rules, &[rules]));
    let verdicts = format!("{VERDICT_PREFIX}.{{tenant}}");
    let told = [VERDICT, GAP];
    channels.insert(VERDICT.to_owned(), channel(&verdicts, &told, true));
    operations.insert(format!("send.{VERDICT}"), operation("send", VERDICT, &told));
    json!({
        "asyncapi": "3.0.0",
        "id": "urn:session-ledger:asyncapi",
        "info": {
            "title": "Session Ledger",
            "version": Rules::LATEST.number().to_string(),
            "description": format!(
                "Lifecycle events of agent sessions, as CloudEvents 1.0 on NATS JetStream. Publish \
                 with a request, so that the log acknowledges the event, and retry with the same id \
                 and source until it does: copies have one effect. A message has at most \
                 {LOG_MESSAGE_BYTES_MAX} bytes with its headers. Send no Nats-Msg-Id."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": EVENT_MEDIA_TYPE,
        "servers": {"nats": server()},
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages(),
            "parameters": {"tenant": {
                "description": format!(
                    "The tenant: 1 to {TENANT_CHARS_MAX} letters, digits, `_` and `-`. A user may \
                     publish for its own tenant only."
                ),
                "examples": ["acme"],
            }},
            "securitySchemes": {"user": {
                "type": "userPassword",
                "description": "A NATS user whose permissions name its tenant.",
            }},
        },
    })
}

/// The schema of a verdict as a message.
pub(super) fn verdict() -> Value {
    let verdicts = [
        Verdict::Applied,
        Verdict::Duplicate(Position::ZERO),
        Verdict::Rejected(Reason::Invalid),
        Verdict::Parked,
    ];
    let codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    let types = <EventType as VariantNames>::VARIANTS;
    let position =
        |description: &str| json!({"type": "integer", "minimum": 1, "description": description});
    json!({
        "$schema": DIALECT,
        "$id": "urn:session-ledger:schema:verdict:v1",
        "title": VERDICT,
        "description": "What became of a record that was rejected or waits, and, when its wait ends, \
            what became of it then. Fields of the event are absent if they could not be read.",
        "type": "object",
        "required": ["position", "recorded_at", "verdict"],
        "properties": {
            "position": position("Where the record stands on the log."),
            "recorded_at": field::time("When the log took it."),
            "verdict": {
                "enum": verdicts.map(Verdict::as_str),
                "description": "`parked` is provisional: another verdict follows.",
            },
            "reason": {"enum": codes, "description": "Why it was rejected."},
            "duplicate_of": position("The position of the event that this one is a copy of."),
            "settled_at": position(
                "Of an event that waited: the position of the record that ended its wait.",
            ),
            "type": {"enum": types},
            "subject": {"type": "string", "description": "The session or agent."},
            "id": {"type": "string", "description": "The event's id."},
            "source": {"type": "string", "description": "The event's source."},
            "ignored": {
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "description": "Members of the event's data that its type does not know, as paths such \
                    as data.ttl. They have no effect: check them for typos. An event with such members is \
                    told also when it is applied.",
            },
        },
        "if": {"properties": {"verdict": {"const": "rejected"}}},
        "then": {"required": ["reason"]},
        "additionalProperties": true,
    })
}

/// The schema of a gap message, for verdicts that were not sent.
pub(super) fn gap() -> Value {
    let number =
        |description: &str| json!({"type": "integer", "minimum": 1, "description": description});
    json!({
        "$schema": DIALECT,
        "$id": "urn:session-ledger:schema:verdict_gap:v1",
        "title": GAP,
        "description": "Verdicts were not told: too many came at once, or the fold was catching up. \
            Read what became of the tenant's events between the two positions.",
        "type": "object",
        "required": ["missed", "from", "to"],
        "properties": {
            "missed": number("How many verdicts were not told, at most."),
            "from": number("The first position of their records."),
            "to": number("The last position of their records."),
        },
        "additionalProperties": true,
    })
}

fn server() -> Value {
    json!({
        "host": "{host}:{port}",
        "protocol": "nats",
        "description": "A NATS server with JetStream, 2.12.3 or later.",
        "variables": {
            "host": {"default": "localhost"},
            "port": {"default": "4222"},
        },
        "security": [{"$ref": "#/components/securitySchemes/user"}],
    })
}

fn channel(address: &str, names: &[&str], has_tenant: bool) -> Value {
    let mut messages = Map::new();
    for name in names {
        let reference = format!("#/components/messages/{name}");
        messages.insert((*name).to_owned(), json!({"$ref": reference}));
    }
    let mut channel = json!({"address": address, "messages": messages});
    if has_tenant && let Some(channel) = channel.as_object_mut() {
        let tenant = json!({"tenant": {"$ref": "#/components/parameters/tenant"}});
        channel.insert("parameters".to_owned(), tenant);
    }
    channel
}

fn operation(action: &str, channel: &str, names: &[&str]) -> Value {
    let reference = |name| json!({"$ref": format!("#/channels/{channel}/messages/{name}")});
    let messages: Vec<Value> = names.iter().map(reference).collect();
    json!({
        "action": action,
        "channel": {"$ref": format!("#/channels/{channel}")},
        "messages": messages,
    })
}

fn messages() -> Map<String, Value> {
    let mut messages = Map::new();
    for event_type in EventType::ALL {
        let schema = event_path(*event_type);
        let message = message(event_type.as_str(), event::summary(*event_type), &schema);
        messages.insert(event_type.as_str().to_owned(), message);
    }
    for (name, summary, schema) in [
        (VERDICT, "What became of a record.", VERDICT_PATH),
        (GAP, "Verdicts that were not told.", GAP_PATH),
    ] {
        messages.insert(name.to_owned(), message(name, summary, schema));
    }
    messages
}

fn message(name: &str, summary: &str, schema: &str) -> Value {
    let content_type = match name {
        VERDICT | GAP => "application/json",
        _event => EVENT_MEDIA_TYPE,
    };
    json!({
        "contentType": content_type,
        "name": name,
        "title": name,
        "summary": summary,
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": schema}},
    })
}
