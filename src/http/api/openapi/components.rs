//! Parameters as components that operations refer to, the codes of each operation, and the members that
//! every answer has.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use serde_json::{Map, Value, json};

use crate::http::request::param::COMPONENT_EXTENSION;

/// Schemas of answers that always have all their members.
const COMPLETE: &[&str] = &[
    "Agent",
    "AgentList",
    "AsOf",
    "EventList",
    "ExportEnd",
    "Key",
    "KeyChange",
    "KeyHistory",
    "KeyList",
    "Rejections",
    "Session",
    "SessionEvents",
    "SessionList",
    "SignIn",
    "Status",
    "StatusCaller",
];

/// The operations of all paths.
pub(super) fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths.flat_map(|(_, item)| {
        let methods = item.as_object_mut().into_iter().flatten();
        methods.map(|(_, operation)| operation)
    })
}

/// Puts parameters in one place each, and references to them into the operations.
pub(super) fn refer_to_parameters(document: &mut Value) {
    let mut components = Map::new();
    let lists = operations(document).filter_map(|operation| operation.get_mut("parameters"));
    let parameters = lists.filter_map(Value::as_array_mut).flatten();
    for parameter in parameters {
        let members = parameter.as_object_mut();
        let name = members.and_then(|members| {
            if members.get("required") == Some(&json!(false)) {
                members.remove("required");
            }
            members.remove(COMPONENT_EXTENSION)
        });
        let Some(Value::String(name)) = name else {
            continue;
        };
        let reference = json!({"$ref": format!("#/components/parameters/{name}")});
        components.insert(name, mem::replace(parameter, reference));
    }
    document["components"]["parameters"] = components.into();
}

/// Lists the codes of each operation by status, and those of every operation in the shared responses. They
/// came as descriptions of references to these responses, where many programs expect no description.
pub(super) fn list_codes(document: &mut Value) {
    let mut of_all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for operation in operations(document) {
        let mut codes = Map::new();
        let responses = operation["responses"].as_object_mut().into_iter().flatten();
        for (status, response) in responses {
            let is_shared = response.get("$ref").is_some();
            let members = response.as_object_mut().filter(|_| is_shared);
            let words = members.and_then(|members| members.remove("description"));
            let Some(Value::String(words)) = words else {
                continue;
            };
            let set: BTreeSet<String> = words.split(", ").map(ToOwned::to_owned).collect();
            codes.insert(status.clone(), words.into());
            let common = of_all.entry(status.clone()).or_insert_with(|| set.clone());
            common.retain(|code| set.contains(code));
        }
        operation["x-codes"] = codes.into();
    }
    let is_common =
        |status: &str, code: &str| of_all.get(status).is_some_and(|of| of.contains(code));
    for operation in operations(document) {
        let codes = operation["x-codes"].as_object_mut();
        let codes = codes.map(mem::take).unwrap_or_default();
        let own = codes.into_iter().filter_map(|(status, words)| {
            let words = words.as_str()?.split(", ");
            let own: Vec<&str> = words.filter(|word| !is_common(&status, word)).collect();
            (!own.is_empty()).then(|| (status.clone(), own.join(", ").into()))
        });
        operation["x-codes"] = own.collect::<Map<_, _>>().into();
    }
    for (status, codes) in of_all.iter().filter(|(_, codes)| !codes.is_empty()) {
        let words: Vec<&str> = codes.iter().map(String::as_str).collect();
        document["components"]["responses"][status]["x-codes"] = words.join(", ").into();
    }
}

/// Puts the answer to a command without a verdict in one place.
pub(super) fn refer_to_pending(document: &mut Value) {
    let mut shared = None;
    for operation in operations(document) {
        let Some(response) = operation["responses"].get_mut("202") else {
            continue;
        };
        let schema = response.pointer("/content/application~1json/schema/$ref");
        if schema.is_some_and(|schema| schema == "#/components/schemas/CommandPending") {
            let reference = json!({"$ref": "#/components/responses/202"});
            shared = Some(mem::replace(response, reference));
        }
    }
    if let Some(shared) = shared {
        document["components"]["responses"]["202"] = shared;
    }
}

/// Says that members are always there. The library leaves out those that may be null.
pub(super) fn require_what_is_always_there(document: &mut Value) {
    for name in COMPLETE {
        let schema = &mut document["components"]["schemas"][name];
        let names: Option<Vec<Value>> = schema["properties"]
            .as_object()
            .map(|properties| properties.keys().map(|name| name.as_str().into()).collect());
        schema["required"] = names.unwrap_or_default().into();
    }
}
