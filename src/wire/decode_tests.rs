//! Tests of the decoder, as tables of bodies and their wrong fields.

#![expect(clippy::indexing_slicing, reason = "a failed test should panic")]

use serde_json::{Value, json};

use super::*;
use crate::domain::event::{Created, Deadline, Writer};
use crate::domain::{Payload, Rules, SessionEvent, limits};

const CREATED: &str = "ledger.v1.acme.session.created";
/// The subject on which a command writes `session.created`.
const COMMANDED: &str = "ledger.sys.v1.acme.session.created";

const RULES: Rules = Rules::LATEST;

fn created_body() -> Value {
    json!({
        "specversion": "1.0",
        "id": "e1",
        "source": "/runtime/1",
        "type": "session.created",
        "subject": "s1",
        "data": {"agent_id": "a1"},
    })
}

/// The example with some members replaced: attributes, or members of `data`.
fn with(changes: &[(&str, Value)]) -> Vec<u8> {
    let mut body = created_body();
    for (name, value) in changes {
        match name.strip_prefix("data.") {
            Some(name) => body["data"][name] = value.clone(),
            None => body[name] = value.clone(),
        }
    }
    body.to_string().into_bytes()
}

/// Decodes on the subject of the type in the body.
fn decode_typed(body: &[u8]) -> Result<Event, Undecodable> {
    let (event_type, _) = Opened::of(body)?;
    let tenant = || TenantId::parse("acme").unwrap();
    let subject = [Writer::Runtime, Writer::Ledger]
        .into_iter()
        .find_map(|writer| Subject::new(writer, tenant(), event_type))
        .unwrap_or(Subject::RULES)
        .to_string();
    decode(RULES, &subject, b"", body).map(|decoded| decoded.event)
}

/// `wrong` lists the reported fields in order; it is empty for a valid event.
#[track_caller]
fn check(body: &[u8], reason: Option<Reason>, wrong: &[&str]) {
    let failed = decode_typed(body).err();
    let text = String::from_utf8_lossy(body);
    assert_eq!(
        failed.as_ref().map(|failed| failed.reason),
        reason,
        "{text} {failed:?}"
    );
    let errors = failed.map(|failed| failed.errors).unwrap_or_default();
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, wrong, "{text}");
    assert!(errors.iter().all(|error| !error.message.is_empty()));
}

#[track_caller]
fn check_fine(changes: &[(&str, Value)]) {
    check(&with(changes), None, &[]);
}

#[track_caller]
fn check_invalid(changes: &[(&str, Value)], wrong: &[&str]) {
    check(&with(changes), Some(Reason::Invalid), wrong);
}

/// The example with another type and other data.
fn typed(event_type: &str, data: &Value) -> Vec<u8> {
    with(&[("type", json!(event_type)), ("data", data.clone())])
}

fn text(chars: usize) -> Value {
    json!("\u{e9}".repeat(chars))
}

#[test]
fn a_created_session_has_all_its_fields() {
    let data = json!({
        "agent_id": "a\u{e9}1", "ttl_seconds": 60.0, "scopes": ["a:b", "\"q\""],
        "metadata": {"k": [1, {"n": null}]}, "agent_name": "name", "agent_key_id": "key",
        "user_id": "u", "machine_id": "m", "caller_role": "r", "caller_origin": "o",
        "ip_address": "::1", "user_agent": "ua/1", "parent_session_id": "s0", "project_id": "p/1",
        "phase": "running", "own": {"x": 1},
    });
    let body = with(&[
        ("data", data),
        ("time", json!("2026-01-31T23:59:59.5+01:00")),
        ("tenantid", json!("acme")),
        ("datacontenttype", json!("application/json; charset=utf-8")),
        ("dataschema", json!("urn:x")),
        ("traceparent", json!("00-1")),
        ("sampledrate", json!(5)),
    ]);
    let decoded = decode(RULES, COMMANDED, b"{\"existing\":true}", &body).unwrap();
    assert_eq!(decoded.tenant.unwrap().as_str(), "acme");
    let event = decoded.event;
    assert_eq!(
        (event.id.as_str(), event.source.as_str()),
        ("e1", "/runtime/1")
    );
    assert_eq!(
        event.time.unwrap().to_string(),
        "2026-01-31T22:59:59.500000Z"
    );
    assert!(event.private.existing);
    let Payload::Session(id, SessionEvent::Created(created)) = event.payload else {
        panic!("another payload")
    };
    let Created {
        agent_id,
        deadline,
        scopes,
        metadata,
        parent,
        project,
        phase,
        profile,
    } = *created;
    assert_eq!((id.as_str(), agent_id.as_str()), ("s1", "a\u{e9}1"));
    assert_eq!(deadline, Some(Deadline::After(60_000_000)));
    assert_eq!(scopes.as_ref().unwrap().json(), r#"["a:b","\"q\""]"#);
    assert_eq!(metadata.json(), r#"{"k":[1,{"n":null}]}"#);
    assert_eq!(
        (parent.unwrap().as_str(), project.unwrap().as_str()),
        ("s0", "p/1")
    );
    assert_eq!(phase.unwrap().as_str(), "running");
    let texts = profile.each().map(|(_field, text)| &**text.unwrap());
    assert_eq!(texts.join(" "), "name key u m r o ::1 ua/1");
}

#[test]
fn text_that_is_not_json_is_rejected_by_cause() {
    let reason = |body: &[u8]| decode(RULES, CREATED, b"", body).unwrap_err().reason;
    for body in [
        "",
        "[]",
        "null",
        "{",
        "{}x",
        "{'a':1}",
        "{\"a\":NaN}",
        "\u{feff}{}",
    ] {
        assert_eq!(reason(body.as_bytes()), Reason::NotJson, "{body:?}");
    }
    assert_eq!(reason(b"{\"a\":\"\xff\"}"), Reason::NotJson);
    assert_eq!(reason(b"{}"), Reason::Invalid);
    let long = |len: usize| format!("{{{}}}", " ".repeat(len - 2)).into_bytes();
    assert_eq!(reason(&long(BODY_BYTES_MAX)), Reason::Invalid);
    assert_eq!(reason(&long(BODY_BYTES_MAX + 1)), Reason::TooLarge);
}

#[test]
fn type_subject_and_tenant_must_agree() {
    #[track_caller]
    fn check(subject: &str, changes: &[(&str, Value)], expected: (Reason, Option<&str>)) {
        let failed = decode(RULES, subject, b"", &with(changes)).unwrap_err();
        let tenant = failed.tenant.as_ref().map(TenantId::as_str);
        assert_eq!((failed.reason, tenant), expected, "{subject} {changes:?}");
        assert_eq!(failed.errors.len(), 1);
    }
    let acme = Some("acme");
    check(
        CREATED,
        &[("type", json!("session.made"))],
        (Reason::UnknownType, acme),
    );
    check(
        CREATED,
        &[("type", json!("agent.revoked"))],
        (Reason::SubjectMismatch, acme),
    );
    check(
        "ledger.v1.acme.agent.revoked",
        &[],
        (Reason::SubjectMismatch, acme),
    );
    check(
        "ledger.v1.acme.session.expired",
        &[],
        (Reason::SubjectMismatch, None),
    );
    check("elsewhere", &[], (Reason::SubjectMismatch, None));
    check(
        CREATED,
        &[("tenantid", json!("other"))],
        (Reason::TenantMismatch, acme),
    );
    check(
        CREATED,
        &[("tenantid", json!("a.b"))],
        (Reason::TenantMismatch, acme),
    );
    check(CREATED, &[("type", json!(7))], (Reason::Invalid, acme));
    check(CREATED, &[("tenantid", json!(7))], (Reason::Invalid, acme));
    let rules = [
        ("type", json!("ledger.rules")),
        ("subject", json!("rules")),
        ("data", json!({"version": 1})),
        ("tenantid", json!("acme")),
    ];
    check(
        "ledger.sys.v1.rules",
        &rules,
        (Reason::TenantMismatch, None),
    );
    assert!(
        decode(RULES, "ledger.sys.v1.rules", b"", &with(&rules[..3]))
            .unwrap()
            .tenant
            .is_none()
    );
}

#[test]
fn every_wrong_field_is_named() {
    check(
        b"{\"type\":\"session.created\"}",
        Some(Reason::Invalid),
        &["specversion", "id", "source", "subject", "data.agent_id"],
    );
    check_invalid(
        &[
            ("specversion", json!("0.3")),
            ("id", json!("")),
            ("source", json!(1)),
            ("subject", json!("a/b")),
            ("time", json!("yesterday")),
            ("datacontenttype", json!("text/plain")),
            ("dataschema", json!("")),
            ("data_base64", json!("e30=")),
            ("data.agent_id", json!("count")),
            ("data.phase", json!("stopped")),
            ("data.scopes", json!(["ok", 1])),
        ],
        &[
            "specversion",
            "id",
            "source",
            "time",
            "datacontenttype",
            "dataschema",
            "data_base64",
            "subject",
            "data.agent_id",
            "data.phase",
            "data.scopes",
        ],
    );
    let many: Vec<(String, Value)> = (0..40).map(|n| (format!("X{n}"), json!(1))).collect();
    let many: Vec<(&str, Value)> = many.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
    assert_eq!(
        decode(RULES, CREATED, b"", &with(&many))
            .unwrap_err()
            .errors
            .len(),
        16
    );
}

#[test]
fn null_counts_as_absent() {
    let optional = [
        "time",
        "tenantid",
        "datacontenttype",
        "dataschema",
        "data_base64",
        "anything",
        "data.expires_at",
        "data.ttl_seconds",
        "data.scopes",
        "data.metadata",
        "data.agent_name",
        "data.parent_session_id",
        "data.project_id",
        "data.phase",
        "data.own",
    ];
    check_fine(&optional.map(|name| (name, Value::Null)));
    check_invalid(&[("id", Value::Null)], &["id"]);
    check_invalid(&[("data.agent_id", Value::Null)], &["data.agent_id"]);
    check_invalid(&[("data", Value::Null)], &["data.agent_id"]);
}

#[test]
fn invalid_attribute_names_are_rejected() {
    check_fine(&[("abc1", json!(true)), ("n", json!(-1.5))]);
    check_invalid(&[("tenantId", json!("acme"))], &["tenantId"]);
    check_invalid(&[("agent_id", json!("a1"))], &["agent_id"]);
    check_invalid(&[("ext", json!({}))], &["ext"]);
}

#[test]
fn limits_are_in_characters_and_inclusive() {
    for (field, chars_max) in [
        ("id", limits::ID_CHARS_MAX),
        ("subject", limits::ID_CHARS_MAX),
        ("source", limits::SOURCE_CHARS_MAX),
        ("data.agent_id", limits::ID_CHARS_MAX),
        ("data.agent_name", limits::TEXT_CHARS_MAX),
        ("data.user_agent", limits::TEXT_CHARS_MAX),
    ] {
        check_fine(&[(field, text(chars_max))]);
        check_invalid(&[(field, text(chars_max + 1))], &[field]);
    }
    let scopes = |count: usize, chars: usize| json!(vec![text(chars); count]);
    check_fine(&[(
        "data.scopes",
        scopes(limits::SCOPES_MAX, limits::SCOPE_CHARS_MAX),
    )]);
    check_invalid(
        &[("data.scopes", scopes(limits::SCOPES_MAX + 1, 1))],
        &["data.scopes"],
    );
    check_invalid(
        &[("data.scopes", scopes(1, limits::SCOPE_CHARS_MAX + 1))],
        &["data.scopes"],
    );
    let metadata = |bytes: usize| json!({"k": "x".repeat(bytes - 8)});
    check_fine(&[("data.metadata", metadata(limits::METADATA_BYTES_MAX))]);
    check_invalid(
        &[("data.metadata", metadata(limits::METADATA_BYTES_MAX + 1))],
        &["data.metadata"],
    );
}

#[test]
fn a_deadline_has_only_one_form() {
    check_fine(&[("data.expires_at", json!("2026-01-31T00:00:00Z"))]);
    check_fine(&[("data.ttl_seconds", json!(limits::TTL_SECONDS_MAX))]);
    let both = [
        ("data.ttl_seconds", json!(1)),
        ("data.expires_at", json!("2026-01-31T00:00:00Z")),
    ];
    check_invalid(&both, &["data.ttl_seconds"]);
    for wrong in [
        json!(0),
        json!(-1),
        json!(1.5),
        json!("60"),
        json!(limits::TTL_SECONDS_MAX + 1),
    ] {
        check_invalid(&[("data.ttl_seconds", wrong)], &["data.ttl_seconds"]);
    }
}

#[test]
fn secrets_are_rejected_by_name_even_if_null() {
    for name in payload::SECRET_FIELDS {
        let field = format!("data.{name}");
        check_invalid(&[(&field, json!("s"))], &[&field]);
        check_invalid(&[(&field, Value::Null)], &[&field]);
        let data = json!({ *name: "s" });
        check(
            &typed("agent.revoked", &data),
            Some(Reason::Invalid),
            &[&field],
        );
    }
    check_fine(&[("data.own", json!({"token": "a caller's own affair"}))]);
}

#[test]
fn a_repeated_name_is_rejected_at_every_depth() {
    let body = |top: &str, data: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"e","source":"s","type":"session.created","subject":"s1"{top},"data":{{"agent_id":"a"{data}}}}}"#
        )
    };
    let check = |top: &str, data: &str, wrong: &[&str]| {
        check(
            body(top, data).as_bytes(),
            (!wrong.is_empty()).then_some(Reason::Invalid),
            wrong,
        );
    };
    check("", "", &[]);
    check(r#","\u0069d":"e""#, "", &["id"]);
    check(r#","ext":1,"ext":1"#, "", &["ext"]);
    check("", r#","agent_id":"a""#, &["data.agent_id"]);
    check("", r#","own":1,"own":1"#, &["data.own"]);
    check("", r#","own":[{"a":1,"a":1}]"#, &["data.own"]);
    check("", r#","metadata":{"a":1,"a":1}"#, &["data.metadata"]);
    check("", r#","metadata":{"m":{"a":1,"a":1}}"#, &["data.metadata"]);
    check("", r#","metadata":{"m":"\ud800"}"#, &["data.metadata"]);
    check("", r#","agent_name":"\ud800""#, &["data.agent_name"]);
    check("", r#","scopes":["\ud800"]"#, &["data.scopes"]);
    check("", r#","\ud800":1"#, &["data", "data.agent_id"]);
}

#[test]
fn nesting_is_bounded() {
    let deep = |depth: usize| {
        let value = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        serde_json::from_str::<Value>(&value).unwrap()
    };
    for name in ["data.metadata", "data.own"] {
        check_fine(&[(name, deep(limits::METADATA_DEPTH_MAX))]);
        check_invalid(&[(name, deep(limits::METADATA_DEPTH_MAX + 1))], &[name]);
    }
    let brackets = "[".repeat(30_000) + &"]".repeat(30_000);
    let body = with(&[("data.own", json!("DEEP"))]);
    let body = String::from_utf8(body)
        .unwrap()
        .replace("\"DEEP\"", &brackets);
    check(body.as_bytes(), Some(Reason::Invalid), &["data.own"]);
}

/// Checks bodies of one type. The table has the text of their data and the wrong fields.
#[track_caller]
fn check_data(event_type: &str, table: &[(&str, &[&str])]) {
    for (data, wrong) in table {
        let data = serde_json::from_str(data).unwrap();
        check(
            &typed(event_type, &data),
            (!wrong.is_empty()).then_some(Reason::Invalid),
            wrong,
        );
    }
}

#[test]
fn the_other_session_events_read_their_data() {
    check_data(
        "session.refreshed",
        &[
            ("{}", &[]),
            ("null", &[]),
            (
                r#"{"phase":"paused","metadata":{"a":null},"ttl_seconds":5}"#,
                &[],
            ),
            (r#"{"metadata":[]}"#, &["data.metadata"]),
        ],
    );
    check_data(
        "session.handed_off",
        &[
            ("{}", &["data.to_agent_id", "data.session_id"]),
            (
                r#"{"to_agent_id":"a2","session_id":"s2","ttl_seconds":5}"#,
                &[],
            ),
            (
                r#"{"to_agent_id":"a2","session_id":"s1"}"#,
                &["data.session_id"],
            ),
        ],
    );
    check_data(
        "session.terminated",
        &[
            ("{}", &[]),
            (r#"{"outcome":"completed","reason":"a\nb"}"#, &[]),
            (
                r#"{"outcome":"won","reason":1}"#,
                &["data.outcome", "data.reason"],
            ),
        ],
    );
    check_data(
        "session.expired",
        &[
            ("{}", &["data.expires_at"]),
            (r#"{"expires_at":"2026-01-31T00:00:00Z"}"#, &[]),
        ],
    );
    check_invalid(
        &[("data.parent_session_id", json!("s1"))],
        &["data.parent_session_id"],
    );
}

#[test]
fn the_agent_events_read_their_data() {
    check_data(
        "agent.registered",
        &[
            ("{}", &[]),
            (r#"{"display_name":"A","trust_score":0.5}"#, &[]),
            (r#"{"display_name":"\u0001"}"#, &["data.display_name"]),
        ],
    );
    check_data(
        "agent.updated",
        &[
            (r#"{"public_key":"-----\nAB\n-----"}"#, &[]),
            (r#"{"trust_score":1.1}"#, &["data.trust_score"]),
            (r#"{"parent_agent_id":"a/b"}"#, &["data.parent_agent_id"]),
        ],
    );
    check_data("agent.suspended", &[("null", &[])]);
    check_data("agent.reinstated", &[(r#"{"reason":"ok"}"#, &[])]);
    check_data("agent.revoked", &[("[]", &["data"])]);
    check_data("ledger.rules", &[(r#"{"version":1}"#, &["subject"])]);
}

#[test]
fn trust_is_kept_in_thousandths() {
    for (score, milli) in [
        (json!(0), 0),
        (json!(0.5), 500),
        (json!(0.0005), 1),
        (json!(1.0), 1000),
    ] {
        let event = decode_typed(&typed("agent.updated", &json!({"trust_score": score}))).unwrap();
        let Payload::Agent(_, crate::domain::AgentEvent::Updated(profile)) = event.payload else {
            panic!("another payload")
        };
        assert_eq!(profile.trust_score_milli, Some(milli), "{score}");
    }
}

#[test]
fn an_invalid_private_part_is_reported_without_detail() {
    let private = b"{\"refresh_token\":\"5ec4e7\"}";
    let failed = decode(RULES, COMMANDED, private, &with(&[])).unwrap_err();
    assert_eq!(
        (failed.reason, failed.errors[0].field.as_str()),
        (Reason::Invalid, "private")
    );
    assert!(!format!("{failed:?} {failed}").contains("5ec4e7"));
}

#[test]
fn a_runtime_writes_no_private_part() {
    let private = b"{\"existing\":true}";
    assert!(decode(RULES, COMMANDED, private, &with(&[])).is_ok());
    assert!(decode(RULES, CREATED, b"", &with(&[])).is_ok());
    let failed = decode(RULES, CREATED, private, &with(&[])).unwrap_err();
    assert_eq!(
        (failed.reason, failed.errors[0].field.as_str()),
        (Reason::Invalid, "private")
    );
}
