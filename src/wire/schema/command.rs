//! The bodies of commands: the data of an event, and other fields.
//!
//! They are for the API's document, so they use only what generators of clients can read.

use serde_json::{Map, Value, json};

use crate::domain::EventType;
use crate::domain::limits::TOKEN_CHARS_MAX;
use crate::wire::payload::SECRET_FIELDS;
use crate::wire::schema::event::{self, Data};
use crate::wire::schema::field::{named_id, optional};

/// A command with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    /// Creates a session.
    CreateSession,
    /// Refreshes it.
    RefreshSession,
    /// Hands it off to another agent.
    HandOffSession,
    /// Terminates it.
    TerminateSession,
    /// Registers an agent.
    RegisterAgent,
    /// Changes its fields.
    UpdateAgent,
    /// Suspends, reinstates or revokes it.
    ChangeAgent,
}

/// The JSON Schema of a command's body.
pub fn command_schema(kind: CommandKind) -> Value {
    let event_type = match kind {
        CommandKind::CreateSession => EventType::SessionCreated,
        CommandKind::RefreshSession => EventType::SessionRefreshed,
        CommandKind::HandOffSession => EventType::SessionHandedOff,
        CommandKind::TerminateSession => EventType::SessionTerminated,
        CommandKind::RegisterAgent => EventType::AgentRegistered,
        CommandKind::UpdateAgent => EventType::AgentUpdated,
        CommandKind::ChangeAgent => EventType::AgentSuspended,
    };
    let Data { fields, required } = event::data(event_type);
    let mut properties: Map<String, Value> = Map::new();
    let mut required: Vec<&str> = required.to_vec();
    // These reject null: it could mean to remove the field.
    let takes_nulls = !matches!(kind, CommandKind::UpdateAgent | CommandKind::ChangeAgent);
    let may_be_null = |schema| {
        if takes_nulls {
            optional(schema)
        } else {
            schema
        }
    };
    for (name, schema) in fields {
        let schema = if required.contains(&name) {
            schema
        } else {
            may_be_null(schema)
        };
        properties.insert(name.to_owned(), schema);
    }
    let mut beside = |name: &str, schema| properties.insert(name.to_owned(), schema);
    match kind {
        CommandKind::CreateSession => {
            let about = "The id of the session. Without it, the server makes one.";
            beside("session_id", optional(named_id(about)));
        }
        CommandKind::RefreshSession => {
            beside("refresh_token", refresh_token());
            required.push("refresh_token");
        }
        CommandKind::HandOffSession => {
            let about = "The id of the child. Without it, the server makes one.";
            beside("session_id", optional(named_id(about)));
            required.retain(|name| *name != "session_id");
        }
        CommandKind::RegisterAgent => {
            let about = "The id of the agent. Without it, the server makes one.";
            beside("agent_id", optional(named_id(about)));
        }
        CommandKind::TerminateSession | CommandKind::UpdateAgent | CommandKind::ChangeAgent => {}
    }
    let has_deadline = properties.contains_key("ttl_seconds");
    let has_extend = properties.contains_key("extend");
    let mut schema = json!({
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    });
    if let Some(schema) = schema.as_object_mut() {
        if has_deadline {
            schema.insert("not".to_owned(), event::two_deadlines(has_extend));
        }
        if kind == CommandKind::UpdateAgent {
            schema.insert("minProperties".to_owned(), json!(1));
        }
    }
    for_clients(schema)
}

/// The JSON Schema of an event, as a part of the API's document. It leaves out `data_base64`, so that
/// generated clients need `data` where its type does.
pub fn event_component(event_type: EventType) -> Value {
    let mut schema = event::with_plain_data(event_type);
    if let Some(schema) = schema.as_object_mut() {
        // The description of `CloudEvent` says what all types have in common.
        schema.insert("description".to_owned(), event::summary(event_type).into());
        schema.remove("$schema");
        // It would change what references are relative to.
        schema.remove("$id");
        schema.remove("title");
    }
    // This document has nothing to do with NATS.
    if let Some(Value::Object(kind)) = schema.pointer_mut("/properties/type") {
        kind.remove("description");
    }
    if let Some(data) = schema
        .pointer_mut("/properties/data")
        .and_then(Value::as_object_mut)
    {
        refuse_by_name(data);
    }
    for_clients(schema)
}

/// Moves forbidden fields to the rule on names: a client that knows such a field sends null.
fn refuse_by_name(data: &mut Map<String, Value>) {
    if let Some(properties) = data.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !SECRET_FIELDS.contains(&name.as_str()));
    }
    let names = json!({"not": {"type": "string", "enum": SECRET_FIELDS}});
    data.insert("propertyNames".to_owned(), names);
}

/// A schema in words that generators of clients can read.
pub fn for_clients(mut schema: Value) -> Value {
    simplify(&mut schema);
    schema
}

fn simplify(part: &mut Value) {
    match part {
        Value::Object(members) => {
            // Generators parse such a text as a date, and then match the pattern against the date.
            if members
                .get("format")
                .is_some_and(|format| format == "date-time")
            {
                members.remove("pattern");
            }
            // Generators know neither a constant nor a list of words without a type.
            if let Some(word) = members.remove("const") {
                members.insert("enum".to_owned(), json!([word]));
            }
            if let Some(words) = members.get("enum").and_then(Value::as_array)
                && !members.contains_key("type")
            {
                let mut types: Vec<&str> = words.iter().map(type_of).collect();
                types.dedup();
                let types = match types.as_slice() {
                    [one] => json!(one),
                    several => json!(several),
                };
                members.insert("type".to_owned(), types);
            }
            members.values_mut().for_each(simplify);
        }
        Value::Array(elements) => elements.iter_mut().for_each(simplify),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn refresh_token() -> Value {
    json!({
        "type": "string",
        "maxLength": TOKEN_CHARS_MAX,
        "description": "The latest refresh token of the session.",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Writer;
    use crate::wire::event_types;

    /// Every part of a schema that is an object.
    fn parts(part: &Value) -> Vec<&Map<String, Value>> {
        let (own, below): (_, Vec<&Value>) = match part {
            Value::Object(members) => (Some(members), members.values().collect()),
            Value::Array(elements) => (None, elements.iter().collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                (None, Vec::new())
            }
        };
        own.into_iter()
            .chain(below.into_iter().flat_map(parts))
            .collect()
    }

    #[test]
    fn generators_find_types_and_no_pattern_of_times() {
        for event_type in event_types(Writer::Runtime) {
            let schema = event_component(event_type);
            for part in parts(&schema) {
                assert!(!part.contains_key("const"), "{part:?}");
                let is_list = part.get("enum").is_some_and(Value::is_array);
                assert!(!is_list || part.contains_key("type"), "{part:?}");
                let is_time = part
                    .get("format")
                    .is_some_and(|format| format == "date-time");
                assert!(!is_time || !part.contains_key("pattern"), "{part:?}");
            }
            let names = schema.pointer("/properties/data/propertyNames/not/enum");
            assert_eq!(names, Some(&json!(SECRET_FIELDS)));
            assert_eq!(schema.pointer("/properties/data/properties/token"), None);
        }
    }

    #[test]
    fn commands_demand_what_they_cannot_do_without_and_take_nothing_else() {
        for (kind, required) in [
            (CommandKind::CreateSession, json!(["agent_id"])),
            (CommandKind::RefreshSession, json!(["refresh_token"])),
            (CommandKind::HandOffSession, json!(["to_agent_id"])),
            (CommandKind::TerminateSession, json!([])),
            (CommandKind::RegisterAgent, json!([])),
            (CommandKind::UpdateAgent, json!([])),
            (CommandKind::ChangeAgent, json!([])),
        ] {
            let schema = command_schema(kind);
            assert_eq!(schema.get("required"), Some(&required), "{kind:?}");
            let others = schema.get("additionalProperties");
            assert_eq!(others, Some(&json!(false)), "{kind:?}");
        }
        let reason = |kind| {
            let schema = command_schema(kind);
            schema.pointer("/properties/reason/type").cloned()
        };
        let nullable = json!(["string", "null"]);
        assert_eq!(reason(CommandKind::TerminateSession), Some(nullable));
        // A change of null could mean to remove the field.
        assert_eq!(reason(CommandKind::ChangeAgent), Some(json!("string")));
    }
}
