//! Checks the values of an event that was not read from JSON, as decoding checks the JSON.
//!
//! The types of ids, scopes, metadata and times check their values. This module checks the rest:
//! texts, lengths of time, and ids that must differ.

use crate::domain::agent::AgentProfile;
use crate::domain::event::{Deadline, Renewal};
use crate::domain::limits::TTL_SECONDS_MAX;
use crate::domain::{AgentEvent, Payload, Reason, SessionEvent, SessionId, TextField};
use crate::wire::decode::Undecodable;
use crate::wire::field::{Fields, TextRule};
use crate::wire::payload;

/// Checks the payload of an event, and its reason. The error names every wrong field.
pub fn check(payload: &Payload, reason: Option<&str>) -> Result<(), Undecodable> {
    let mut fields = Fields::default();
    text(&mut fields, "reason", reason, TextRule::REASON);
    match payload {
        Payload::Session(id, event) => session(&mut fields, id, event),
        Payload::Agent(_, event) => agent(&mut fields, event),
        Payload::Rules { .. } => {}
    }
    if fields.is_clean() {
        return Ok(());
    }
    Err(Undecodable {
        tenant: None,
        reason: Reason::Invalid,
        errors: fields.into_errors(),
    })
}

fn session(fields: &mut Fields, id: &SessionId, event: &SessionEvent) {
    match event {
        SessionEvent::Created(created) => {
            payload::check_parent(fields, created.parent.as_ref(), Some(id));
            deadline(fields, created.deadline);
            texts(fields, created.profile.each());
        }
        SessionEvent::Refreshed(refreshed) => match refreshed.renewal {
            Some(Renewal::To(to)) => deadline(fields, Some(to)),
            Some(Renewal::ByTtl) | None => {}
        },
        SessionEvent::HandedOff(handed_off) => {
            payload::check_child(fields, Some(&handed_off.child), Some(id));
            deadline(fields, handed_off.deadline);
        }
        SessionEvent::Terminated(_) | SessionEvent::Expired { .. } => {}
    }
}

fn agent(fields: &mut Fields, event: &AgentEvent) {
    match event {
        AgentEvent::Registered(profile) | AgentEvent::Updated(profile) => {
            agent_profile(fields, profile);
        }
        AgentEvent::Suspended | AgentEvent::Reinstated | AgentEvent::Revoked => {}
    }
}

fn deadline(fields: &mut Fields, deadline: Option<Deadline>) {
    let Some(Deadline::After(micros)) = deadline else {
        return;
    };
    let Deadline::After(micros_max) = Deadline::after_seconds(TTL_SECONDS_MAX) else {
        return;
    };
    if !(1..=micros_max).contains(&micros) {
        let message = format!("must be an integer from 1 to {TTL_SECONDS_MAX}");
        fields.error("ttl_seconds", message);
    }
}

fn agent_profile(fields: &mut Fields, profile: &AgentProfile) {
    texts(fields, profile.texts.each());
    if profile.trust_score_milli.is_some_and(|milli| 1000 < milli) {
        fields.error("trust_score", "must be a number from 0 to 1");
    }
}

fn texts<'t, T: AsRef<str> + 't>(
    fields: &mut Fields,
    texts: impl IntoIterator<Item = (&'static TextField, Option<&'t T>)>,
) {
    for (field, value) in texts {
        let rule = TextRule::of(field.kind);
        text(fields, field.name, value.map(AsRef::as_ref), rule);
    }
}

fn text(fields: &mut Fields, name: &str, value: Option<&str>, rule: TextRule) {
    if let Some(Err(wrong)) = value.map(|text| rule.check(text)) {
        fields.error(name, wrong);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::domain::agent::AgentTexts;
    use crate::domain::event::{Created, HandedOff, Refreshed, Writer};
    use crate::domain::session::Profile;
    use crate::domain::{AgentId, Event, EventId, Metadata, Private, Rules, Source, TenantId};
    use crate::wire::{FieldError, Notes, Subject, decode, encode, source};

    fn session_id() -> SessionId {
        SessionId::parse("s").unwrap()
    }

    fn agent_id() -> AgentId {
        AgentId::parse("a").unwrap()
    }

    fn created() -> Created {
        Created::new(agent_id())
    }

    fn opened(created: Created) -> Payload {
        Payload::Session(session_id(), SessionEvent::Created(Box::new(created)))
    }

    fn updated(profile: AgentProfile) -> Payload {
        Payload::Agent(agent_id(), AgentEvent::Updated(Box::new(profile)))
    }

    /// The errors of decoding these values, without the prefix of the fields.
    fn decoded(payload: &Payload, reason: Option<&str>) -> Vec<FieldError> {
        let event = Event {
            writer: Writer::Ledger,
            id: EventId::parse("e").unwrap(),
            source: Source::parse(source::API).unwrap(),
            time: None,
            payload: payload.clone(),
            private: Private::default(),
        };
        let tenant = TenantId::parse("acme").unwrap();
        let notes = Notes {
            actor: None,
            reason,
        };
        let body = encode(Some(&tenant), &event, notes);
        let subject = Subject::new(Writer::Ledger, tenant, event.event_type()).unwrap();
        let failed = decode(Rules::LATEST, &subject.to_string(), b"", &body);
        let mut errors = failed.err().map_or(Vec::new(), |failed| failed.errors);
        for error in &mut errors {
            error.field = error.field.replace("data.", "");
        }
        errors
    }

    #[track_caller]
    fn check_like_decoding(payload: &Payload, reason: Option<&str>, fields: &[&str]) {
        let failed = check(payload, reason);
        let errors = failed.err().map_or(Vec::new(), |failed| failed.errors);
        let named: Vec<&str> = errors.iter().map(|error| &*error.field).collect();
        assert_eq!(named, fields, "{payload:?}");
        let mut from_json = decoded(payload, reason);
        let mut from_values = errors;
        let by_field = |a: &FieldError, b: &FieldError| a.field.cmp(&b.field);
        from_json.sort_by(by_field);
        from_values.sort_by(by_field);
        assert_eq!(from_values, from_json);
    }

    #[test]
    fn values_within_their_bounds_are_fine() {
        check_like_decoding(&opened(created()), None, &[]);
        let deadline = Some(Deadline::after_seconds(TTL_SECONDS_MAX));
        check_like_decoding(
            &opened(Created {
                deadline,
                ..created()
            }),
            None,
            &[],
        );
        let text = |chars| Some("x".repeat(chars).into());
        let texts = AgentTexts {
            agent_type: text(512),
            display_name: text(256),
            description: Some("a\nb".into()),
            public_key: text(2048),
            parent_agent_id: text(256),
            ..AgentTexts::default()
        };
        let profile = AgentProfile {
            texts,
            trust_score_milli: Some(1000),
            ..AgentProfile::default()
        };
        check_like_decoding(&updated(profile), None, &[]);
        let suspended = Payload::Agent(agent_id(), AgentEvent::Suspended);
        check_like_decoding(&suspended, Some(&"x".repeat(1024)), &[]);
    }

    #[test]
    fn every_text_of_a_session_is_checked_as_decoding_checks_it() {
        let long = |_: &TextField| Ok::<_, Infallible>(Some("x".repeat(513).into()));
        let mut profile = Profile::read(long).unwrap();
        profile.ip_address = Some("a\nb".into());
        let fields = <Profile>::FIELDS.map(|field| field.name);
        check_like_decoding(
            &opened(Created {
                profile,
                ..created()
            }),
            None,
            &fields,
        );
    }

    #[test]
    fn every_text_of_an_agent_is_checked_as_decoding_checks_it() {
        let longer_than = |chars: usize| Some("x".repeat(chars + 1).into());
        let texts = AgentTexts {
            agent_type: longer_than(512),
            display_name: longer_than(256),
            description: longer_than(2048),
            trust_level: longer_than(512),
            public_key: longer_than(2048),
            key_id: longer_than(512),
            parent_agent_id: Some("a/b".into()),
            created_by_user_id: longer_than(512),
        };
        let profile = AgentProfile {
            texts,
            trust_score_milli: Some(1001),
            ..AgentProfile::default()
        };
        let names = <AgentTexts>::FIELDS.map(|field| field.name);
        let fields = [&names[..], &["trust_score"]].concat();
        check_like_decoding(&updated(profile), None, &fields);
        let long = "x".repeat(1025);
        for event in [
            AgentEvent::Suspended,
            AgentEvent::Reinstated,
            AgentEvent::Revoked,
        ] {
            let payload = Payload::Agent(agent_id(), event);
            check_like_decoding(&payload, Some(&long), &["reason"]);
        }
    }

    #[test]
    fn a_session_comes_from_another_one_and_lives_for_some_time() {
        let parent = Some(session_id());
        check_like_decoding(
            &opened(Created {
                parent,
                ..created()
            }),
            None,
            &["parent_session_id"],
        );
        let handed_off = Payload::Session(
            session_id(),
            SessionEvent::HandedOff(HandedOff {
                to: agent_id(),
                child: session_id(),
                scopes: None,
                metadata: Metadata::default(),
                deadline: None,
            }),
        );
        check_like_decoding(&handed_off, None, &["session_id"]);
        for seconds in [0, TTL_SECONDS_MAX + 1] {
            let deadline = Deadline::after_seconds(seconds);
            check_like_decoding(
                &opened(Created {
                    deadline: Some(deadline),
                    ..created()
                }),
                None,
                &["ttl_seconds"],
            );
            let refreshed = Refreshed {
                renewal: Some(Renewal::To(deadline)),
                ..Refreshed::default()
            };
            let refreshed = Payload::Session(session_id(), SessionEvent::Refreshed(refreshed));
            check_like_decoding(&refreshed, None, &["ttl_seconds"]);
        }
    }
}
