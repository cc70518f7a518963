//! Parts that many schemas of the API's document share, by name.

use serde_json::Value;

use crate::domain::{EventType, TextKind};
use crate::wire::field::TextRule;
use crate::wire::schema::command::{event_component, for_clients};
use crate::wire::schema::field::{
    metadata, named_id, opaque_id, scopes, share, source, text, time, ttl_seconds,
};

/// Parts that occur with exactly this description.
pub fn shared_as_they_are() -> Vec<(&'static str, Value)> {
    let mut event = event_component(EventType::SessionTerminated);
    let mut part = |pointer: &str| {
        event
            .pointer_mut(pointer)
            .map(Value::take)
            .unwrap_or_default()
    };
    vec![
        ("EventId", part("/properties/id")),
        ("EventTime", part("/properties/time")),
    ]
}

/// The shared parts. The description of a field that uses one comes before the part's own
/// description.
pub fn shared() -> Vec<(&'static str, Value)> {
    let event = event_component(EventType::SessionTerminated);
    let part = |pointer: &str| event.pointer(pointer).cloned().unwrap_or_default();
    let data = |event_type| {
        let mut event = event_component(event_type);
        let data = event.pointer_mut("/properties/data");
        data.map(Value::take).unwrap_or_default()
    };
    let fields = [
        ("Id", named_id("")),
        ("OpaqueId", opaque_id("")),
        ("Source", source()),
        ("Text", text(TextRule::of(TextKind::Text), "")),
        ("NameText", text(TextRule::of(TextKind::Name), "")),
        ("LongText", text(TextRule::of(TextKind::Description), "")),
        ("ReasonText", text(TextRule::REASON, "")),
        ("Time", time("")),
        ("TtlSeconds", ttl_seconds("")),
        ("Scopes", scopes("")),
        ("Metadata", metadata("")),
        ("Share", share("")),
        ("SpecVersion", part("/properties/specversion")),
        ("EventTenant", part("/properties/tenantid")),
        ("JsonMediaType", part("/properties/datacontenttype")),
        ("DataSchema", part("/properties/dataschema")),
        ("DataName", part("/properties/data/propertyNames")),
        ("EventExtension", part("/additionalProperties")),
        ("AgentData", data(EventType::AgentUpdated)),
        ("ReasonData", data(EventType::AgentRevoked)),
    ];
    let for_clients = |(name, schema)| (name, for_clients(schema));
    fields.map(for_clients).into()
}
