//! The committed document of the API is current, and describes the whole API.

use std::collections::BTreeSet;
use std::fs;

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::Roles;
use session_ledger::http::openapi;

use crate::support::app::App;
use crate::support::client::created;
use crate::support::documented;

const FILE: &str = "schemas/openapi.json";
const REFRESH: &str = "cargo run -- schema --write schemas";

fn document() -> Value {
    serde_json::from_str(&openapi::text()).unwrap()
}

/// What a part refers to, or the part itself.
fn resolved<'d>(document: &'d Value, part: &'d Value) -> &'d Value {
    match part["$ref"].as_str() {
        Some(target) => document.pointer(target.trim_start_matches('#')).unwrap(),
        None => part,
    }
}

/// The parameters of an operation.
fn parameters<'d>(document: &'d Value, operation: &'d Value) -> Vec<&'d Value> {
    let listed = operation["parameters"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    listed.iter().map(|one| resolved(document, one)).collect()
}

/// Method, path and description of every route.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    operations
}

#[test]
fn the_committed_document_is_current() {
    let committed = fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        committed == openapi::text(),
        "{FILE} is out of date; run `{REFRESH}`"
    );
}

#[test]
fn every_route_is_described_in_full() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} is used twice");
        assert!(!operation["summary"].is_null(), "{method} {path}");
        assert!(!operation["description"].is_null(), "{method} {path}");
        let parameters = parameters(&document, &operation);
        let has_tenant = parameters.iter().any(|one| one["name"] == "X-Tenant-ID");
        assert_eq!(has_tenant, path.starts_with("/v1/"), "{method} {path}");
        assert!(
            parameters.iter().all(|one| !one["description"].is_null()),
            "{method} {path}"
        );
        for (status, response) in operation["responses"].as_object().unwrap() {
            let wanted = if status.starts_with('2') {
                "/"
            } else {
                "application/problem+json"
            };
            let response = resolved(&document, response);
            let Some(content) = response["content"].as_object() else {
                assert_eq!(status, "304", "{method} {path}");
                continue;
            };
            assert!(
                content.keys().all(|media_type| media_type.contains(wanted)),
                "{path} {status}"
            );
        }
    }
    assert_eq!(ids.len(), 42);
}

#[test]
fn the_document_stays_small() {
    let operations: usize = document()["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|path| path.as_object().unwrap().len())
        .sum();
    let bytes = openapi::text().len();
    assert!(bytes < 5_100 * operations, "{bytes} for {operations}");
}

/// Each code that an operation lists has a status that the operation describes, and is one of all codes.
#[test]
fn operations_list_the_codes_of_their_problems() {
    let document = document();
    let known = document["components"]["schemas"]["ProblemCode"]["enum"]
        .as_array()
        .unwrap();
    let mut used = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        for status in operation["x-codes"].as_object().unwrap().keys() {
            assert!(
                !operation["responses"][status].is_null(),
                "{method} {path} {status}"
            );
        }
        for status in operation["responses"].as_object().unwrap().keys() {
            let codes = documented::codes(&operation, status);
            assert_eq!(
                codes.is_empty(),
                status.starts_with(['2', '3']),
                "{method} {path} {status}"
            );
            used.extend(codes.into_iter().map(ToOwned::to_owned));
        }
    }
    // No operation answers with these: they are of unknown routes, of NATS, or of other verdicts.
    let unused = [
        "not_due",
        "parking_expired",
        "refreshed_since",
        "route_not_found",
        "subject_mismatch",
    ];
    let missing = known.iter().map(|code| code.as_str().unwrap());
    let missing: Vec<&str> = missing.filter(|code| !used.contains(*code)).collect();
    assert_eq!(missing, unused);
}

#[test]
fn creations_link_to_what_may_follow() {
    let document = document();
    for (path, expected) in [
        (
            "/v1/agent-sessions",
            &[
                "get_session",
                "hand_off_session",
                "refresh_session",
                "terminate_session",
            ][..],
        ),
        (
            "/v1/agents",
            &[
                "get_agent",
                "reinstate_agent",
                "revoke_agent",
                "suspend_agent",
                "update_agent",
            ],
        ),
    ] {
        let links = &document["paths"][path]["post"]["responses"]["201"]["links"];
        let links = links.as_object().unwrap().values();
        let targets = links.map(|link| resolved(&document, link)["operationId"].as_str().unwrap());
        let mut targets: Vec<&str> = targets.collect();
        targets.sort_unstable();
        assert_eq!(targets, expected);
    }
}

/// Generators of clients name a body's type after its schema, and send null where it may be null.
#[test]
fn bodies_have_named_schemas_and_are_never_null() {
    let document = document();
    let (mut optional, mut names) = (0, BTreeSet::new());
    for (method, path, operation) in operations(&document) {
        let Some(body) = operation.get("requestBody") else {
            continue;
        };
        optional += usize::from(body["required"] != true);
        for content in body["content"].as_object().unwrap().values() {
            let target = content["schema"]["$ref"].as_str();
            let target = target.unwrap_or_else(|| panic!("{method} {path}: {content}"));
            let schema = document.pointer(target.trim_start_matches('#')).unwrap();
            assert!(schema.is_object(), "{target}");
            names.insert(target.rsplit('/').next().unwrap().to_owned());
        }
    }
    assert_eq!(optional, 5);
    let expected = [
        "ChangeAgent",
        "CreateSession",
        "EventOrBatch",
        "ExportTraceRequest",
        "HandOffSession",
        "HookInput",
        "IntrospectToken",
        "IssueKey",
        "RefreshSession",
        "RegisterAgent",
        "TerminateSession",
        "UpdateAgent",
    ];
    assert!(names.iter().eq(expected), "{names:?}");
    let either = &document["components"]["schemas"]["EventOrBatch"]["anyOf"];
    let names = ["CloudEvent", "CloudEventBatch"];
    let references = names.map(|name| json!({"$ref": format!("#/components/schemas/{name}")}));
    assert_eq!(either, &json!(references));
}

#[test]
fn headers_that_clients_follow_are_described() {
    let document = document();
    for (path, method, status, name) in [
        ("/v1/events", "get", "200", "X-Next-After"),
        ("/v1/events", "get", "200", "X-As-Of-Position"),
        ("/v1/agent-sessions", "get", "200", "ETag"),
        ("/v1/agent-sessions", "get", "200", "Link"),
        ("/v1/agents", "get", "200", "Link"),
        ("/v1/events", "post", "200", "Location"),
        ("/v1/events", "post", "201", "Location"),
        ("/v1/events", "post", "202", "Location"),
        ("/v1/hooks/{runtime}", "post", "200", "Location"),
    ] {
        let header = &document["paths"][path][method]["responses"][status]["headers"][name];
        assert!(
            header["description"].is_string(),
            "{method} {path} {status} {name}"
        );
    }
}

#[test]
fn every_reference_resolves() {
    fn check(document: &Value, part: &Value) {
        match part {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    let found = document.pointer(target.trim_start_matches('#'));
                    assert!(found.is_some(), "{target}");
                }
                members.values().for_each(|member| check(document, member));
            }
            Value::Array(elements) => elements.iter().for_each(|one| check(document, one)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    check(&document(), &document());
}

/// Routes are added only together with their descriptions, so every route is in the document. The
/// routes of dialects are in the documents of their vendors, and files of the dashboard are no calls.
#[test]
fn every_route_is_in_the_document() {
    let mut pending = vec![std::path::PathBuf::from("src/http")];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("dialects") && !path.ends_with("http/ui") {
                    pending.push(path);
                }
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for call in [
                ".route(",
                ".route_service(",
                ".nest_service(",
                ".merge(axum",
            ] {
                assert!(!text.contains(call), "{}: {call}", path.display());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_described_route_is_served_with_its_parameters() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let client = app.client_with_key("acme", Roles::ALL).await;
    client
        .apply(&created("s1", "a1", "2026-01-31T12:00:00Z"))
        .await;
    let served = client.get("/openapi.json").await;
    assert_eq!(served.text, openapi::text());
    let document = document();
    for (method, path, operation) in operations(&document) {
        let id = if path.contains("/keys/") {
            "0123456789abcdef"
        } else {
            "s1"
        };
        let path = path.replace("{id}", id).replace("{position}", "1");
        let path = path.replace("{runtime}", "codex");
        let names: BTreeSet<&str> = parameters(&document, &operation)
            .into_iter()
            .filter(|one| one["in"] == "query")
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        let method: Method = method.parse().unwrap();
        // Without it, the answer of a stream does not end.
        let ends = if names.contains("follow") {
            "?follow=false"
        } else {
            ""
        };
        let once = format!("{path}{ends}");
        let answer = client.send(method.clone(), &once, &[], Vec::new()).await;
        let documented = answer.status.to_string();
        assert!(
            operation["responses"].get(&documented).is_some(),
            "{method} {path}: {documented}"
        );
        if path.starts_with("/v1/") {
            let unknown = format!("{path}?unknown=1");
            let answer = client.send(method, &unknown, &[], Vec::new()).await;
            let problem = answer.problem(400, "unknown_parameter");
            assert_eq!(problem["errors"][0]["field"], json!("unknown"));
            let detail = problem["detail"].as_str().unwrap();
            assert!(names.iter().all(|name| detail.contains(name)), "{detail}");
        }
    }
    app.stop().await;
}
