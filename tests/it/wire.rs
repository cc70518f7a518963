//! Properties of the wire: encoding and decoding are inverse, and decoding never panics.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use session_ledger::domain::event::Writer;
use session_ledger::domain::{AgentEvent, Event, Metadata, Payload, Rules, SessionEvent};
use session_ledger::wire::{Notes, decode, encode, private};

use crate::support::events::{Ids, event, rules_event, subject_of, tenant_id};

/// An edit of the bytes of a body.
#[derive(Debug, Clone)]
enum Edit {
    Put(usize, u8),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(br#"{}[]",:\u09-.eEtfn d"#.to_vec()),
    ];
    prop_oneof![
        3 => (any::<usize>(), byte).prop_map(|(at, byte)| Edit::Put(at, byte)),
        1 => (any::<usize>(), 1..40_usize).prop_map(|(at, len)| Edit::Remove(at, len)),
        1 => (any::<usize>(), 1..40_usize).prop_map(|(at, len)| Edit::Repeat(at, len)),
    ]
}

fn apply(body: &mut Vec<u8>, edit: &Edit) {
    let body_len = body.len();
    let range = |at: usize, len: usize| {
        let start = at % body_len.max(1);
        start..(start + len).min(body_len)
    };
    match *edit {
        Edit::Put(at, byte) => {
            if let Some(old) = body.get_mut(range(at, 1).start) {
                *old = byte;
            }
        }
        Edit::Remove(at, len) => drop(body.drain(range(at, len))),
        Edit::Repeat(at, len) => {
            let copied = body.get(range(at, len)).unwrap_or_default().to_vec();
            body.extend(copied);
        }
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![9 => event(Ids::Any), 9 => event(Ids::Few(3)), 1 => rules_event()]
}

fn metadata_of(event: &Event) -> Option<&Metadata> {
    match &event.payload {
        Payload::Session(_, SessionEvent::Created(created)) => Some(&created.metadata),
        Payload::Session(_, SessionEvent::Refreshed(refreshed)) => refreshed.metadata.as_ref(),
        Payload::Session(_, SessionEvent::HandedOff(handed_off)) => Some(&handed_off.metadata),
        Payload::Agent(_, AgentEvent::Registered(agent) | AgentEvent::Updated(agent)) => {
            agent.metadata.as_ref()
        }
        _ => None,
    }
}

proptest! {
    #[test]
    fn an_encoded_event_decodes_to_itself(
        event in any_event(),
        tenant in tenant_id(),
        name_tenant: bool,
        existing: bool,
    ) {
        let mut event = event;
        event.private.existing = existing && event.writer == Writer::Ledger;
        let subject = subject_of(&event, &tenant);
        let body = encode(subject.tenant().filter(|_| name_tenant), &event, Notes::default());
        let decoded = decode(Rules::LATEST, &subject.to_string(), &private::encode(&event.private), &body);
        let decoded = decoded.map_err(|failed| TestCaseError::fail(format!("{failed:?}")))?;
        prop_assert_eq!(decoded.tenant.as_ref(), subject.tenant());
        prop_assert_eq!(&decoded.event, &event);
        prop_assert_eq!(encode(subject.tenant(), &decoded.event, Notes::default()), encode(subject.tenant(), &event, Notes::default()));
    }

    #[test]
    fn any_bytes_have_an_answer(
        subject in "(ledger[.](sys[.])?v1[.]acme[.](session[.]created|agent[.]updated)|.{0,20})",
        private in vec(any::<u8>(), 0..20),
        body in vec(any::<u8>(), 0..200),
    ) {
        let _ = decode(Rules::LATEST, &subject, &private, &body);
    }

    /// If decoding accepts a body, it parses as JSON, and its metadata can be merged.
    #[test]
    fn a_damaged_event_is_rejected_or_readable(
        event in any_event(),
        tenant in tenant_id(),
        edits in vec(edit(), 1..6),
    ) {
        let subject = subject_of(&event, &tenant);
        let mut body = encode(None, &event, Notes::default());
        for edit in &edits {
            apply(&mut body, edit);
        }
        match decode(Rules::LATEST, &subject.to_string(), b"", &body) {
            Ok(decoded) => {
                prop_assert!(serde_json::from_slice::<Value>(&body).is_ok());
                if let Some(metadata) = metadata_of(&decoded.event) {
                    let parsed = Metadata::parse(metadata.json());
                    prop_assert_eq!(parsed.as_ref(), Ok(metadata));
                }
            }
            Err(failed) => {
                prop_assert_eq!(failed.tenant.as_ref(), subject.tenant());
                prop_assert!((1..=16).contains(&failed.errors.len()));
            }
        }
    }
}
