//! Exports of traces: any bytes, read as an export, and the events that they mean.

use std::collections::BTreeSet;
use std::convert::Infallible;

use crate::domain::limits::{OTLP_EVENTS_MAX, OTLP_SPANS_MAX};
use crate::domain::{AgentId, Rules, SessionId, Timestamp};
use crate::otlp::{Known, Options, Plan, Spans, State, plan};
use crate::wire;

/// Reads an export. The first byte chooses the encoding, and what the ledger knows of each session.
pub(super) fn export(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else {
        return;
    };
    let now = Timestamp::parse("2026-01-31T12:00:00Z").expect("a time");
    let read = || match choice & 1 {
        0 => Spans::from_protobuf(body, now),
        _ => Spans::from_json(body, now),
    };
    let Ok(spans) = read() else {
        return;
    };
    let again = read().expect("what was read can be read again");
    let (made, again) = (planned(*choice, &spans, now), planned(*choice, &again, now));
    let mut ids = BTreeSet::new();
    let mut count = 0;
    for (one, other) in made.conversations.iter().zip(&again.conversations) {
        assert_eq!(one.events, other.events);
        for event in &one.events {
            check(&event.json, &mut ids);
            count += 1;
        }
    }
    assert!(count <= OTLP_EVENTS_MAX);
    let known: u64 = made.conversations.iter().map(|one| one.spans).sum();
    assert!(known <= OTLP_SPANS_MAX as u64);
}

fn planned(choice: u8, spans: &Spans, now: Timestamp) -> Plan {
    let options = Options {
        agent: AgentId::parse("unknown").expect("an id"),
        project: None,
        ttl_seconds: 3600,
    };
    let state = match choice >> 1 & 3 {
        0 => None,
        1 => Some(State::Open { deadline: None }),
        2 => Some(State::Ended { at: now }),
        // A session that leads back to itself cannot be, and must not hang the ledger either.
        _ => Some(State::HandedOff {
            at: now,
            child: SessionId::parse("s").expect("an id"),
        }),
    };
    let known = state.map(|state| Known {
        opened_at: Timestamp::MIN,
        active_at: Timestamp::MIN,
        state,
    });
    let look = |_: &SessionId| Ok::<_, Infallible>(known.clone());
    match plan(spans, &options, look) {
        Ok(plan) => plan,
        Err(never) => match never {},
    }
}

/// Each event can be decoded, and its id is its own.
fn check(json: &str, ids: &mut BTreeSet<String>) {
    let event: serde_json::Value = serde_json::from_str(json).expect("an event is JSON");
    let subject = format!("ledger.v1.acme.{}", event["type"].as_str().expect("a type"));
    let decoded = wire::decode(Rules::LATEST, &subject, &[], json.as_bytes());
    let decoded = decoded.unwrap_or_else(|wrong| panic!("{wrong:?}: {json}"));
    assert!(decoded.ignored.is_empty(), "{json}");
    assert!(
        ids.insert(format!("{} {}", event["subject"], event["id"])),
        "{json}"
    );
}
