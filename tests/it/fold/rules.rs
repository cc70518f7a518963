//! The switch to newer rules: earlier records are read as before, and later records follow the new
//! rules.

use serde_json::{Value, json};
use session_ledger::domain::{AgentId, Position, Private, Reason, Rules, Timestamp, Verdict};
use session_ledger::log::Record;
use session_ledger::projection::{Commit, Prepared};
use session_ledger::query::{Sight, agents, sessions};
use session_ledger::wire::{Headers, private};

use crate::fold::world::{World, acme, id};

/// A log of the last build before the second rules: random histories, and messages and events that the
/// second rules read differently. The last line has the digest of that build's read model and its chain.
const OLD_LOG: &str = include_str!("../../fixtures/rules-1.ndjson");

fn old_record(line: &str, position: u64) -> Record {
    let stored: Value = serde_json::from_str(line).unwrap();
    let text = |name: &str| stored[name].as_str().unwrap_or_default().to_owned();
    let pairs: Vec<(String, String)> =
        serde_json::from_value(stored.get("headers").cloned().unwrap_or(json!([]))).unwrap();
    let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
    Record {
        position: Position::new(position),
        recorded_at: Timestamp::from_micros(stored["recorded_at"].as_i64().unwrap()).unwrap(),
        subject: text("subject").into(),
        private: text("private").into(),
        headers: Headers::new(pairs),
        payload: text("payload").into(),
    }
}

#[test]
fn a_log_of_an_older_build_folds_to_the_same_bytes() {
    let mut world = World::new();
    let (records, expected) = OLD_LOG.trim_end().rsplit_once('\n').unwrap();
    for line in records.lines() {
        world.position += 1;
        world.fold(old_record(line, world.position));
    }
    let expected: Value = serde_json::from_str(expected).unwrap();
    let snapshot = world.store.snapshot().unwrap();
    let found = (
        hex::encode(snapshot.progress().chain),
        hex::encode(snapshot.digest().unwrap()),
    );
    let text = |name: &str| expected[name].as_str().unwrap().to_owned();
    assert_eq!(found, (text("chain"), text("digest")));
}

/// Folds a message in binary mode. Returns its verdict.
fn binary(world: &mut World, headers: &[(&str, &str)], payload: &str) -> Verdict {
    world.position += 1;
    let usual = [
        ("ce-specversion", "1.0"),
        ("ce-source", "/b"),
        ("ce-type", "session.created"),
    ];
    world.fold(Record {
        position: Position::new(world.position),
        recorded_at: Timestamp::from_micros(world.now).unwrap(),
        subject: "ledger.v1.acme.session.created".into(),
        private: bytes::Bytes::new(),
        headers: Headers::new(headers.iter().copied().chain(usual)),
        payload: payload.to_owned().into(),
    })
}

#[test]
fn messages_after_the_switch_are_read_by_the_bindings() {
    let agent = r#"{"agent_id":"a1"}"#;
    let json_data = ("ce-datacontenttype", "application/json");
    let mut world = World::with_newest_rules();
    for (headers, session) in [
        (
            vec![
                ("ce-id", "b1"),
                ("ce-subject", "caf%C3%A9%20one"),
                json_data,
            ],
            "caf\u{e9} one",
        ),
        (
            vec![("Ce-Id", "b2"), ("CE-SUBJECT", "\"q\""), json_data],
            "q",
        ),
        (vec![("ce-id", "b3"), ("ce-subject", "plain")], "plain"),
    ] {
        assert_eq!(binary(&mut world, &headers, agent), Verdict::Applied);
        let snapshot = world.store.snapshot().unwrap();
        let found = sessions::get(&snapshot, Sight::of_tenant(&acme()), &id(session)).unwrap();
        assert!(found.is_some(), "{session}");
    }
    let not_text = [("ce-id", "%C0%A0"), ("ce-subject", "b4")];
    let invalid = Verdict::Rejected(Reason::Invalid);
    assert_eq!(binary(&mut world, &not_text, agent), invalid);
    let twice = [("ce-id", "b5"), ("Ce-Id", "b6"), ("ce-subject", "b5")];
    assert_eq!(binary(&mut world, &twice, agent), invalid);

    let structured = json!({
        "specversion": "1.0", "id": "b7", "source": "/b", "type": "session.created",
        "subject": "inside", "data": {"agent_id": "a1"},
    });
    let mode = [
        ("Content-Type", "application/cloudevents+json"),
        ("ce-id", "other"),
    ];
    let verdict = binary(&mut world, &mode, &structured.to_string());
    assert_eq!(verdict, Verdict::Applied);
}

#[test]
fn data_in_base64_is_read_as_json_after_the_switch() {
    let fold = |world: &mut World, more: Value| {
        let record = world.record(
            "session.created",
            &format!("s{}", world.position),
            &Value::Null,
        );
        let mut event: Value = serde_json::from_slice(&record.payload).unwrap();
        event["datacontenttype"] = json!("application/json");
        event.as_object_mut().unwrap().remove("data");
        event
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let payload = event.to_string().into();
        world.fold(Record { payload, ..record })
    };
    let good = json!({"data_base64": "eyJhZ2VudF9pZCI6ImExIn0="});
    let invalid = Verdict::Rejected(Reason::Invalid);
    assert_eq!(fold(&mut World::new(), good.clone()), invalid);
    let mut world = World::with_newest_rules();
    assert_eq!(fold(&mut world, good), Verdict::Applied);
    for wrong in [
        json!({"data_base64": "eyJhZ2VudF9pZCI6ImExIn0=", "data": {"agent_id": "a1"}}),
        json!({"data_base64": "bm8="}),
        json!({"data_base64": "!"}),
        json!({"data_base64": 1}),
    ] {
        assert_eq!(fold(&mut world, wrong.clone()), invalid, "{wrong}");
    }
}

#[test]
fn a_runtime_cannot_name_a_writer_after_the_switch() {
    for (name, value) in [
        ("actor", json!("0123456789abcdef")),
        ("source", json!("urn:session-ledger:api")),
        ("source", json!("urn:session-ledger:anything")),
    ] {
        for (mut world, expected) in [
            (World::new(), Verdict::Applied),
            (
                World::with_newest_rules(),
                Verdict::Rejected(Reason::Invalid),
            ),
        ] {
            let record = world.record("session.created", "s", &json!({"agent_id": "a"}));
            let mut event: Value = serde_json::from_slice(&record.payload).unwrap();
            event[name] = value.clone();
            let payload = event.to_string().into();
            let verdict = world.fold(Record { payload, ..record });
            assert_eq!(verdict, expected, "{name}: {value}");
        }
    }
}

/// Returns the record of an event that a runtime emitted through a ledger.
fn emitted(record: Record, written_by: &str) -> Record {
    let subject = record.subject.replace("ledger.v1.", "ledger.sys.v1.");
    Record {
        subject: subject.into(),
        private: private::encode(&Private::of_emitted(Some(written_by))).into(),
        ..record
    }
}

#[test]
fn an_event_emitted_through_a_ledger_and_directly_is_one_event() {
    let mut world = World::with_newest_rules();
    let first = world.record("session.created", "s", &json!({"agent_id": "a"}));
    let position = first.position;
    assert_eq!(world.fold(emitted(first.clone(), "key")), Verdict::Applied);
    world.position += 1;
    let copy = Record {
        position: Position::new(world.position),
        ..first
    };
    assert_eq!(world.fold(copy.clone()), Verdict::Duplicate(position));
    // Only the ledger may record a writer.
    world.position += 1;
    let forged = Record {
        position: Position::new(world.position),
        private: private::encode(&Private::of_emitted(Some("key"))).into(),
        ..copy
    };
    assert_eq!(world.fold(forged), Verdict::Rejected(Reason::Invalid));
    // A runtime may not write an expiry, not even through a ledger.
    let expiry = json!({"expires_at": "2023-11-14T22:20:00Z"});
    let expired = world.record("session.expired", "s", &expiry);
    let verdict = world.fold(emitted(expired, "key"));
    assert_eq!(verdict, Verdict::Rejected(Reason::Invalid));
}

#[test]
fn a_late_refresh_or_termination_does_not_set_times_back() {
    let at = |record: Record, time: &str| {
        let mut event: Value = serde_json::from_slice(&record.payload).unwrap();
        event["time"] = json!(time);
        let payload = event.to_string().into();
        Record { payload, ..record }
    };
    let mut world = World::with_newest_rules();
    let lasting = json!({"agent_id": "a", "ttl_seconds": 7200});
    let opened = world.record("session.created", "s", &lasting);
    let opened_at = opened.recorded_at;
    world.fold(opened);
    let late = world.record("session.refreshed", "s", &json!({"ttl_seconds": 3600}));
    assert_eq!(
        world.fold(at(late, "2020-01-01T00:00:00Z")),
        Verdict::Applied
    );
    let row = |world: &World| {
        let snapshot = world.store.snapshot().unwrap();
        let found = sessions::get(&snapshot, Sight::of_tenant(&acme()), &id("s"))
            .unwrap()
            .unwrap();
        let row = found.row().unwrap();
        (
            row.expires_at,
            row.refreshed_at,
            row.terminated_at,
            row.time_adjusted,
        )
    };
    // The refresh's time is before the opening, so the deadline counts from the opening.
    let an_hour_on = Some(opened_at.plus_micros(3600 * 1_000_000));
    assert_eq!(row(&world), (an_hour_on, Some(opened_at), None, true));

    let explicit = json!({"expires_at": opened_at.plus_micros(1)});
    let late = world.record("session.refreshed", "s", &explicit);
    world.fold(at(late, &opened_at.to_string()));
    assert_eq!(row(&world).0, an_hour_on, "a passed deadline is ignored");

    let ended = world.record("session.terminated", "s", &json!({}));
    assert_eq!(
        world.fold(at(ended, "2020-01-01T00:00:00Z")),
        Verdict::Applied
    );
    assert_eq!(row(&world).2, Some(opened_at));
}

#[test]
fn an_agent_cannot_get_a_passed_deadline() {
    let mut world = World::with_newest_rules();
    let rejected = Verdict::Rejected(Reason::DeadlineNotAfterTime);
    let passed = json!({"expires_at": "0001-01-01T00:00:00Z"});
    let registered = world.record("agent.registered", "a", &passed);
    assert_eq!(world.fold(registered), rejected);
    let registered = world.record("agent.registered", "a", &json!({}));
    assert_eq!(world.fold(registered), Verdict::Applied);
    let updated = world.record("agent.updated", "a", &passed);
    assert_eq!(world.fold(updated), rejected);
    let snapshot = world.store.snapshot().unwrap();
    let agent = AgentId::parse("a").unwrap();
    let found = agents::get(&snapshot, Sight::of_tenant(&acme()), &agent)
        .unwrap()
        .unwrap();
    assert_eq!(found.row().unwrap().expires_at, None);
}

#[test]
fn a_hand_off_without_scopes_gives_the_scopes_that_both_sides_have() {
    let mut world = World::with_newest_rules();
    let may = json!({"scopes": ["mail:read", "files:*"]});
    let registered = world.record("agent.registered", "b", &may);
    world.fold(registered);
    let wide = json!({"agent_id": "a", "scopes": ["mail:*", "files:read"]});
    let opened = world.record("session.created", "s", &wide);
    world.fold(opened);
    let to = json!({"to_agent_id": "b", "session_id": "child"});
    let handed_off = world.record("session.handed_off", "s", &to);
    assert_eq!(world.fold(handed_off), Verdict::Applied);
    let snapshot = world.store.snapshot().unwrap();
    let child = sessions::get(&snapshot, Sight::of_tenant(&acme()), &id("child"))
        .unwrap()
        .unwrap();
    assert_eq!(child.row().unwrap().scopes, r#"["files:read","mail:read"]"#);
}

#[test]
fn an_agent_bound_credential_cannot_open_a_child_of_another_agents_session() {
    let mut world = World::with_newest_rules();
    let opened = world.record("session.created", "of-b", &json!({"agent_id": "b"}));
    world.fold(opened);
    let data = json!({"agent_id": "a", "parent_session_id": "of-b"});
    let record = world.record("session.created", "s", &data);
    let bound = Private {
        agent: Some(AgentId::parse("a").unwrap()),
        ..Private::default()
    };
    let subject = record.subject.replace("ledger.v1.", "ledger.sys.v1.");
    let verdict = world.fold(Record {
        subject: subject.into(),
        private: private::encode(&bound).into(),
        ..record
    });
    // The parent looks missing.
    assert_eq!(verdict, Verdict::Rejected(Reason::UnknownParent));
}

/// A parked event follows the rules at its own position, even if its session opens under newer rules.
#[test]
fn an_event_parked_across_a_switch_keeps_its_rules() {
    let mut world = World::new();
    let ancient = world.record("session.terminated", "s", &json!({}));
    let mut event: Value = serde_json::from_slice(&ancient.payload).unwrap();
    event["time"] = json!("1999-01-01T00:00:00Z");
    let payload = event.to_string().into();
    assert_eq!(world.fold(Record { payload, ..ancient }), Verdict::Parked);
    let switch = world.record("ledger.rules", "rules", &json!({"version": 2}));
    let subject = "ledger.sys.v1.rules".into();
    // The opening is prepared by rules that no longer apply when it is folded, so the fold reads it again.
    world.fold(Record { subject, ..switch });
    let opened = world.record("session.created", "s", &json!({"agent_id": "a"}));
    let batch = [Prepared::new(Rules::V1, opened)];
    let folded = world.store.fold(&batch, Commit::Visible).unwrap();
    assert_eq!(folded.verdicts, [Verdict::Applied]);
    let snapshot = world.store.snapshot().unwrap();
    let found = sessions::get(&snapshot, Sight::of_tenant(&acme()), &id("s"))
        .unwrap()
        .unwrap();
    let terminated_at = found.row().unwrap().terminated_at;
    assert_eq!(terminated_at, Timestamp::parse("1999-01-01T00:00:00Z"));
}
