//! Schemas that many parts of the document share. A part that equals one of them, apart from its
//! description, becomes a reference to it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::wire::schema::{optional, shared, shared_as_they_are};

/// Members that hold values, not schemas.
const VALUES: &[&str] = &[
    "default", "enum", "example", "examples", "mapping", "x-codes",
];
const DESCRIPTION: &str = "description";

/// A schema that parts of the document may refer to.
struct Shared {
    name: String,
    schema: Value,
    /// Whether the referring part also allows null.
    or_null: bool,
}

impl Shared {
    fn new(name: &str, schema: Value, or_null: bool) -> Self {
        let name = name.to_owned();
        Self {
            name,
            schema,
            or_null,
        }
    }
}

/// Finds the shared schema that equals a part of the document.
fn find<'s>(shared: &'s BTreeMap<String, Shared>, part: &Value) -> Option<&'s Shared> {
    let exactly = shared.get(&part.to_string());
    exactly.or_else(|| shared.get(&without_description(part).to_string()))
}

/// Replaces each part of the document that equals a shared schema by a reference.
pub(super) fn refer(document: &mut Value) {
    let mut by_keywords = BTreeMap::new();
    for (name, schema) in shared_as_they_are() {
        by_keywords.insert(schema.to_string(), Shared::new(name, schema, false));
    }
    let mut add = |name: &str, schema: Value, or_null: bool| {
        let key = without_description(&schema).to_string();
        by_keywords.insert(key, Shared::new(name, schema, or_null));
    };
    for (name, schema) in shared() {
        add(&format!("{name}OrNull"), optional(schema.clone()), false);
        add(name, schema, false);
    }
    // Sets of words are components already.
    let schemas = document["components"]["schemas"].as_object();
    for (name, schema) in schemas.into_iter().flatten() {
        if schema.get("enum").is_some() {
            add(name, optional(schema.clone()), true);
            add(name, schema.clone(), false);
        }
    }
    let mut used = BTreeSet::new();
    for part in ["schemas", "parameters", "responses"] {
        let components = document["components"][part].as_object_mut();
        for (name, component) in components.into_iter().flatten() {
            if find(&by_keywords, component).is_none_or(|shared| shared.name != *name) {
                replace(component, &by_keywords, &mut used);
            }
        }
    }
    replace(&mut document["paths"], &by_keywords, &mut used);
    // A shared schema may refer to others.
    let mut added = BTreeSet::new();
    while let Some(shared) = by_keywords.values().find(|shared| {
        !shared.or_null && used.contains(&shared.name) && !added.contains(&shared.name)
    }) {
        let mut schema = trimmed(shared.schema.clone());
        replace_within(&mut schema, &by_keywords, &mut used);
        document["components"]["schemas"][&shared.name] = schema;
        added.insert(shared.name.clone());
    }
}

fn replace(part: &mut Value, shared: &BTreeMap<String, Shared>, used: &mut BTreeSet<String>) {
    if part.is_object()
        && let Some(found) = find(shared, part)
    {
        used.insert(found.name.clone());
        *part = reference(found, part);
        return;
    }
    replace_within(part, shared, used);
}

fn replace_within(
    part: &mut Value,
    shared: &BTreeMap<String, Shared>,
    used: &mut BTreeSet<String>,
) {
    match part {
        Value::Object(members) => {
            for (name, member) in members {
                if !VALUES.contains(&name.as_str()) {
                    replace(member, shared, used);
                }
            }
        }
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| replace(element, shared, used)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A reference that keeps of a description what the shared schema does not say.
fn reference(shared: &Shared, part: &Value) -> Value {
    let target = json!({"$ref": format!("#/components/schemas/{}", shared.name)});
    let mut reference = if shared.or_null {
        json!({"oneOf": [target, {"type": "null"}]})
    } else {
        target
    };
    let said = shared.schema[DESCRIPTION].as_str().unwrap_or_default();
    let own = part[DESCRIPTION].as_str().unwrap_or_default();
    let own = own.strip_suffix(said).unwrap_or(own).trim();
    if !own.is_empty() {
        reference[DESCRIPTION] = own.into();
    }
    reference
}

fn without_description(schema: &Value) -> Value {
    let members = schema.as_object().into_iter().flatten();
    let others = members.filter(|(name, _)| *name != DESCRIPTION);
    let others = others.map(|(name, member)| (name.clone(), member.clone()));
    others.collect::<Map<_, _>>().into()
}

fn trimmed(mut schema: Value) -> Value {
    if let Some(Value::String(text)) = schema.get_mut(DESCRIPTION) {
        *text = text.trim().to_owned();
    }
    schema
}
