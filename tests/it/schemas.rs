//! The committed schemas are current, and agree with decoding.
//!
//! The comparison leaves out what a JSON Schema cannot express: what base64 holds, sizes in bytes, depth,
//! duplicate names, unpaired surrogates, that two fields must differ, that a tenant is the subject's, leap
//! seconds at odd times, and times whose offset leads out of the years 1 to 9999.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};
use session_ledger::domain::event::Writer;
use session_ledger::domain::{EventType, Rules, TenantId, limits};
use session_ledger::wire::schema::{Document, documents};
use session_ledger::wire::verdict::VerdictMessage;
use session_ledger::wire::{Notes, Subject, decode, encode, stream_subjects};

use crate::support::events::{Ids, event, rules_event, subject_of};

const REFRESH: &str = "cargo run -- schema --write schemas";
const TENANT: &str = "acme";

/// Every attribute and field of any type, some unknown ones, and some that are not allowed.
const NAMES: &[&str] = &[
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "tenantid",
    "datacontenttype",
    "dataschema",
    "data",
    "data_base64",
    "traceparent",
    "X",
    "agent_id",
    "",
    "data.agent_id",
    "data.expires_at",
    "data.ttl_seconds",
    "data.scopes",
    "data.metadata",
    "data.agent_name",
    "data.user_agent",
    "data.parent_session_id",
    "data.project_id",
    "data.phase",
    "data.to_agent_id",
    "data.session_id",
    "data.reason",
    "data.outcome",
    "data.agent_type",
    "data.display_name",
    "data.description",
    "data.trust_level",
    "data.trust_score",
    "data.public_key",
    "data.key_id",
    "data.parent_agent_id",
    "data.created_by_user_id",
    "data.version",
    "data.own",
    "data.token",
    "data.refresh_token_hash",
];

/// Values that are valid for some fields and invalid for others, as a sequence of JSON texts.
const VALUES: &str = r#"
    null true 0 1 -1 0.5 1.5 60.0 1e3 1e300 3155760000 3155760001 4294967295 4294967296
    18446744073709551615 "" "x" "a/b" "count" ".." "a\nb" "a\u0000b" "\u0085" "\ud83d\ude00"
    "1.0" "1" "acme" "a.b" "application/json" "application/x+json; charset=utf-8" "text/plain"
    "a/+json" "running" "completed" "rules" "session.created" "session.made"
    "2026-01-31T23:59:59Z" "2026-01-31t23:59:59.5+01:00" "2026-02-30T00:00:00Z"
    "2024-02-29T00:00:00Z" "2026-01-31 00:00:00Z" "0000-01-01T00:00:00Z" "2026-01-31T24:00:00Z"
    "2026-01-31" "2026-01-31T00:00:00+24:00" [] {} {"a": [1, {"b": null}]} ["a"] [""] [1] ["a\tb"]
    {"agent_id": "a1"} {"expires_at": "2026-01-31T00:00:00Z", "ttl_seconds": 5, "agent_id": "a1"}
"#;

/// Returns `VALUES`, and texts and lists at each limit and just beyond.
fn values() -> Vec<Value> {
    let parsed = serde_json::Deserializer::from_str(VALUES).into_iter();
    let mut values: Vec<Value> = parsed.map(Result::unwrap).collect();
    for chars_max in [
        limits::TENANT_CHARS_MAX,
        limits::SCOPE_CHARS_MAX,
        limits::ID_CHARS_MAX,
        limits::DISPLAY_NAME_CHARS_MAX,
        limits::TEXT_CHARS_MAX,
        limits::SOURCE_CHARS_MAX,
        limits::REASON_CHARS_MAX,
        limits::DESCRIPTION_CHARS_MAX,
        limits::PUBLIC_KEY_CHARS_MAX,
    ] {
        for chars in [chars_max, chars_max + 1] {
            values.push(json!("\u{e9}".repeat(chars)));
            values.push(json!(["\u{e9}".repeat(chars)]));
        }
    }
    values.push(json!(vec!["a"; limits::SCOPES_MAX]));
    values.push(json!(vec!["a"; limits::SCOPES_MAX + 1]));
    values
}

fn subject(event_type: EventType) -> Subject {
    let tenant = || TenantId::parse(TENANT).unwrap();
    [Writer::Ledger, Writer::Runtime]
        .into_iter()
        .find_map(|writer| Subject::new(writer, tenant(), event_type))
        .unwrap_or(Subject::RULES)
}

fn validator(event_type: EventType) -> Validator {
    let options = jsonschema::options().should_validate_formats(true);
    let schema = schema(&format!("events/{}.json", event_type.as_str()));
    options.build(&schema).unwrap()
}

fn example(event_type: EventType) -> Value {
    let data = match event_type {
        EventType::SessionCreated => json!({"agent_id": "a1"}),
        EventType::SessionHandedOff => json!({"to_agent_id": "a2", "session_id": "s2"}),
        EventType::SessionExpired => json!({"expires_at": "2026-01-31T23:59:59Z"}),
        EventType::Rules => json!({"version": 1}),
        _ => json!({}),
    };
    json!({
        "specversion": "1.0", "id": "e1", "source": "/runtime/1", "type": event_type.as_str(),
        "subject": if event_type == EventType::Rules { "rules" } else { "s1" }, "data": data,
    })
}

/// Sets or removes the member with this name. Does nothing if its parent does not exist.
fn change(body: &mut Value, name: &str, value: Option<&Value>) {
    let (object, name) = match name.strip_prefix("data.") {
        Some(name) => (body.get_mut("data").and_then(Value::as_object_mut), name),
        None => (body.as_object_mut(), name),
    };
    match (object, value) {
        (Some(object), Some(value)) => drop(object.insert(name.to_owned(), value.clone())),
        (Some(object), None) => drop(object.remove(name)),
        (None, _) => {}
    }
}

#[track_caller]
fn check(event_type: EventType, validator: &Validator, body: &Value) {
    // Decoding rejects the name of another tenant. A schema cannot know that.
    let tenants = [None, Some(&Value::Null), Some(&json!(TENANT))].map(Option::<&Value>::cloned);
    let foreign = !tenants.contains(&body.get("tenantid").cloned());
    if foreign && body["tenantid"].is_string() && event_type != EventType::Rules {
        return;
    }
    let mut read = body.clone();
    if body["data_base64"].is_string() {
        // What is inside the base64 is more than a schema can say.
        let data = example(event_type)["data"].to_string();
        read["data_base64"] = json!(STANDARD.encode(data));
    }
    let decoded = decode(
        Rules::LATEST,
        &subject(event_type).to_string(),
        b"",
        read.to_string().as_bytes(),
    );
    let wrong: Vec<String> = validator
        .iter_errors(body)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(
        decoded.is_ok(),
        wrong.is_empty(),
        "{body}\n{decoded:?}\n{wrong:?}"
    );
}

#[test]
fn the_committed_schemas_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    if option_env!("UPDATE_SCHEMAS").is_some() {
        for document in documents() {
            let path = root.join(&document.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, document.text).unwrap();
        }
    }
    for document in documents() {
        let committed = fs::read_to_string(root.join(&document.path)).unwrap_or_default();
        assert!(
            committed == document.text,
            "schemas/{} is not what the code describes: run `{REFRESH}`",
            document.path
        );
    }
}

#[test]
fn every_schema_is_valid() {
    for document in documents()
        .iter()
        .filter(|document| document.path != "asyncapi.json")
    {
        let schema: Value = serde_json::from_str(&document.text).unwrap();
        assert!(
            jsonschema::draft202012::meta::is_valid(&schema),
            "{}",
            document.path
        );
        assert!(
            schema["$id"]
                .as_str()
                .unwrap()
                .starts_with("urn:session-ledger:")
        );
    }
}

#[test]
fn a_schema_and_decoding_agree_on_every_field_and_value() {
    let values = values();
    for event_type in EventType::ALL.iter().copied() {
        let validator = validator(event_type);
        let example = example(event_type);
        check(event_type, &validator, &example);
        for name in NAMES {
            let mut without = example.clone();
            change(&mut without, name, None);
            check(event_type, &validator, &without);
            for value in &values {
                let mut changed = example.clone();
                change(&mut changed, name, Some(value));
                check(event_type, &validator, &changed);
            }
        }
    }
}

#[test]
fn a_schema_and_decoding_agree_on_where_data_is() {
    for event_type in EventType::ALL.iter().copied() {
        let validator = validator(event_type);
        let data = example(event_type)["data"].clone();
        for plain in [None, Some(Value::Null), Some(json!(1)), Some(data)] {
            for encoded in [None, Some(Value::Null), Some(json!(1)), Some(json!("e30="))] {
                let mut body = example(event_type);
                change(&mut body, "data", plain.as_ref());
                change(&mut body, "data_base64", encoded.as_ref());
                check(event_type, &validator, &body);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_schema_accepts_what_is_encoded(event in prop_oneof![event(Ids::Any), rules_event()]) {
        let tenant = TenantId::parse(TENANT).unwrap();
        let subject = subject_of(&event, &tenant);
        let body: Value = serde_json::from_slice(&encode(subject.tenant(), &event, Notes::default())).unwrap();
        check(event.event_type(), &validator(event.event_type()), &body);
    }

    #[test]
    fn a_schema_and_decoding_agree_on_several_changes(
        event in prop_oneof![event(Ids::Few(1)), rules_event()],
        changes in prop::collection::vec(
            (prop::sample::select(NAMES), prop::option::of(prop::sample::select(values()))),
            2..5,
        ),
    ) {
        let mut body: Value = serde_json::from_slice(&encode(None, &event, Notes::default())).unwrap();
        for (name, value) in &changes {
            change(&mut body, name, value.as_ref());
        }
        check(event.event_type(), &validator(event.event_type()), &body);
    }
}

/// Collects every `$ref` in a value.
fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members
                .values()
                .for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_of_the_asyncapi_document_resolves() {
    let documents = documents();
    let text = &documents
        .iter()
        .find(|document| document.path == "asyncapi.json")
        .unwrap()
        .text;
    let asyncapi: Value = serde_json::from_str(text).unwrap();
    let mut found = Vec::new();
    references(&asyncapi, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let resolves = match reference.strip_prefix('#') {
            Some(pointer) => asyncapi.pointer(pointer).is_some(),
            None => documents.iter().any(|document| document.path == reference),
        };
        assert!(resolves, "{reference}");
    }
}

#[test]
fn the_asyncapi_document_has_every_subject_and_uses_every_channel() {
    let text = documents().pop().unwrap().text;
    let asyncapi: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(asyncapi["asyncapi"], "3.0.0");
    let channels = asyncapi["channels"].as_object().unwrap();
    let mut addresses: Vec<String> = channels
        .values()
        .map(|channel| {
            channel["address"]
                .as_str()
                .unwrap()
                .replace("{tenant}", "*")
        })
        .filter(|address| !address.starts_with("ledger.verdict."))
        .collect();
    let mut subjects = stream_subjects();
    addresses.sort();
    subjects.sort();
    assert_eq!(addresses, subjects);
    for (name, channel) in channels {
        let has_tenant = channel["address"].as_str().unwrap().contains("{tenant}");
        assert_eq!(channel.get("parameters").is_some(), has_tenant, "{name}");
        let used = |operation: &Value| operation["channel"]["$ref"] == format!("#/channels/{name}");
        assert!(
            asyncapi["operations"]
                .as_object()
                .unwrap()
                .values()
                .any(used),
            "{name}"
        );
    }
}

fn message_validator(path: &str) -> Validator {
    jsonschema::validator_for(&schema(path)).unwrap()
}

fn schema(path: &str) -> Value {
    static DOCUMENTS: LazyLock<Vec<Document>> = LazyLock::new(documents);
    let found = DOCUMENTS.iter().find(|document| document.path == path);
    serde_json::from_str(&found.unwrap().text).unwrap()
}

#[test]
fn the_notice_of_a_gap_follows_its_schema_and_no_verdict_does() {
    use session_ledger::domain::{Position, Timestamp, Verdict};
    let gap = session_ledger::wire::GapMessage::at(Position::new(2)).to_json();
    let gap: Value = serde_json::from_slice(&gap).unwrap();
    let verdict = VerdictMessage::new(Position::new(2), Timestamp::MAX, Verdict::Parked);
    let verdict: Value = serde_json::from_slice(&verdict.to_json()).unwrap();
    assert!(message_validator("verdict_gap.json").is_valid(&gap));
    assert!(!message_validator("verdict_gap.json").is_valid(&verdict));
    assert!(!message_validator("verdict.json").is_valid(&gap));
}

#[test]
fn a_verdict_message_follows_its_schema() {
    use session_ledger::domain::{Position, Reason, Timestamp, Verdict};
    let validator = message_validator("verdict.json");
    let first = Position::new(1);
    for verdict in [
        Verdict::Applied,
        Verdict::Parked,
        Verdict::Duplicate(first),
        Verdict::Rejected(Reason::Invalid),
    ] {
        let mut message = VerdictMessage::new(Position::new(2), Timestamp::MAX, verdict);
        message.r#type = Some(EventType::AgentRevoked.as_str());
        message.subject = Some("a1".into());
        let ignored = ["data.ttl".to_owned()];
        message.ignored = &ignored;
        let json: Value = serde_json::from_slice(&message.to_json()).unwrap();
        assert!(validator.is_valid(&json), "{json}");
    }
}
