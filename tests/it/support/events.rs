//! Proptest strategies for domain events.

use std::convert::Infallible;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Value, json};
use session_ledger::domain::agent::{AgentProfile, AgentTexts};
use session_ledger::domain::event::{
    Created, Deadline, HandedOff, Refreshed, Renewal, Terminated, Writer,
};
use session_ledger::domain::session::{Outcome, Phase, Profile};
use session_ledger::domain::{
    AgentEvent, AgentId, Event, EventId, Metadata, Payload, Private, ProjectId, Scopes,
    SessionEvent, SessionId, Source, TenantId, Timestamp,
};
use session_ledger::wire::Subject;

/// 2026-01-31T00:00:00Z. The times of `Ids::Few` begin here.
const START_US: i64 = 1_769_817_600_000_000;
const MINUTE_US: i64 = 60_000_000;
const SECOND_US: i64 = 1_000_000;

/// The range of ids and times.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ids {
    /// All that are allowed.
    Any,
    /// `s0`, `a0` and so on up to this number, and whole minutes of one hour, so that events often concern
    /// one session at one time.
    Few(u8),
}

pub(crate) fn tenant_id() -> impl Strategy<Value = TenantId> {
    "[A-Za-z0-9_-]{1,64}".prop_map(|text| TenantId::parse(&text).unwrap())
}

pub(crate) fn session_id(ids: Ids) -> impl Strategy<Value = SessionId> {
    name(ids, "s").prop_filter_map("reserved", |text| SessionId::parse(&text).ok())
}

pub(crate) fn agent_id(ids: Ids) -> impl Strategy<Value = AgentId> {
    name(ids, "a").prop_filter_map("reserved", |text| AgentId::parse(&text).ok())
}

pub(crate) fn time(ids: Ids) -> BoxedStrategy<Timestamp> {
    match ids {
        Ids::Any => (Timestamp::MIN.micros()..=Timestamp::MAX.micros())
            .prop_map(Timestamp::from_micros_clamped)
            .boxed(),
        Ids::Few(_) => (0..60_i64)
            .prop_map(|minute| Timestamp::from_micros_clamped(START_US + minute * MINUTE_US))
            .boxed(),
    }
}

/// Any event except a change of the rules.
pub(crate) fn event(ids: Ids) -> impl Strategy<Value = Event> {
    let payload = prop_oneof![4 => session_payload(ids), 1 => agent_payload(ids)];
    enveloped(ids, payload)
}

/// A change of the rules.
pub(crate) fn rules_event() -> impl Strategy<Value = Event> {
    enveloped(
        Ids::Any,
        (1..=u32::MAX).prop_map(|version| Payload::Rules { version }),
    )
}

/// Returns the subject of an event.
pub(crate) fn subject_of(event: &Event, tenant: &TenantId) -> Subject {
    Subject::new(event.writer, tenant.clone(), event.event_type()).unwrap_or(Subject::RULES)
}

pub(crate) fn session_event(ids: Ids) -> impl Strategy<Value = SessionEvent> {
    let outcome = of(prop::sample::select(Outcome::ALL.to_vec()));
    prop_oneof![
        created(ids).prop_map(|created| SessionEvent::Created(Box::new(created))),
        refreshed(ids).prop_map(SessionEvent::Refreshed),
        handed_off(ids).prop_map(SessionEvent::HandedOff),
        outcome.prop_map(|outcome| SessionEvent::Terminated(Terminated { outcome })),
        time(ids).prop_map(|expires_at| SessionEvent::Expired { expires_at }),
    ]
}

pub(crate) fn agent_event(ids: Ids) -> impl Strategy<Value = AgentEvent> {
    prop_oneof![
        agent_profile(ids).prop_map(|profile| AgentEvent::Registered(Box::new(profile))),
        agent_profile(ids).prop_map(|profile| AgentEvent::Updated(Box::new(profile))),
        Just(AgentEvent::Suspended),
        Just(AgentEvent::Reinstated),
        Just(AgentEvent::Revoked),
    ]
}

pub(crate) fn scopes(ids: Ids) -> BoxedStrategy<Scopes> {
    let scope = match ids {
        Ids::Any => "\\PC{1,128}",
        Ids::Few(_) => "!?(files|net|[*]):(read|write|[*])",
    };
    vec(scope, 0..5)
        .prop_map(|list| Scopes::parse(&list).unwrap())
        .boxed()
}

pub(crate) fn metadata() -> impl Strategy<Value = Metadata> {
    btree_map(".{0,8}", json_value(), 0..4)
        .prop_map(|members| Metadata::parse(&json!(members).to_string()).unwrap())
}

/// Any JSON value of modest size.
pub(crate) fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(".{0,8}", inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

prop_compose! {
    fn created(ids: Ids)(
        agent_id in agent_id(ids),
        deadline in of(deadline(ids)),
        scopes in of(scopes(ids)),
        metadata in metadata(),
        parent in of(session_id(ids)),
        project in of("[^\\p{C}\\p{Zl}\\p{Zp}]{1,20}"),
        phase in of(phase()),
        profile in profile(),
    ) -> Created {
        let project = project.map(|text| ProjectId::parse(&text).unwrap());
        Created { agent_id, deadline, scopes, metadata, parent, project, phase, profile }
    }
}

prop_compose! {
    fn refreshed(ids: Ids)(
        renewal in of(renewal(ids)),
        phase in of(phase()),
        metadata in of(metadata()),
    ) -> Refreshed {
        Refreshed { renewal, phase, metadata }
    }
}

prop_compose! {
    fn handed_off(ids: Ids)(
        to in agent_id(ids),
        child in session_id(ids),
        scopes in of(scopes(ids)),
        metadata in metadata(),
        deadline in of(deadline(ids)),
    ) -> HandedOff {
        HandedOff { to, child, scopes, metadata, deadline }
    }
}

prop_compose! {
    fn profile()(texts in vec(of(text()), <Profile>::FIELDS.len())) -> Profile {
        let mut texts = texts.into_iter();
        Profile::read(|_field| Ok::<_, Infallible>(texts.next().flatten())).unwrap()
    }
}

prop_compose! {
    fn agent_profile(ids: Ids)(
        texts in vec(of(text()), <AgentTexts>::FIELDS.len()),
        scopes in of(scopes(ids)),
        metadata in of(metadata()),
        trust_score_milli in of(0..=1000_u16),
        parent in of(agent_id(ids)),
        expires_at in of(time(ids)),
    ) -> AgentProfile {
        let mut texts = texts.into_iter();
        let mut texts = AgentTexts::read(|_field| Ok::<_, Infallible>(texts.next().flatten())).unwrap();
        texts.parent_agent_id = parent.map(|id| id.as_str().into());
        AgentProfile { texts, scopes, metadata, trust_score_milli, expires_at }
    }
}

fn session_payload(ids: Ids) -> BoxedStrategy<Payload> {
    (session_id(ids), session_event(ids))
        .prop_filter_map("a session is not its own parent", |(id, mut event)| {
            match &mut event {
                SessionEvent::Created(created) if created.parent.as_ref() == Some(&id) => {
                    created.parent = None;
                }
                SessionEvent::HandedOff(handed_off) if handed_off.child == id => return None,
                _ => {}
            }
            Some(Payload::Session(id, event))
        })
        .boxed()
}

fn agent_payload(ids: Ids) -> BoxedStrategy<Payload> {
    (agent_id(ids), agent_event(ids))
        .prop_map(|(id, event)| Payload::Agent(id, event))
        .boxed()
}

fn enveloped(ids: Ids, payload: impl Strategy<Value = Payload>) -> impl Strategy<Value = Event> {
    let (id, source) = match ids {
        Ids::Any => (
            "[^\\p{C}\\p{Zl}\\p{Zp}]{1,256}",
            "[^\\p{C}\\p{Zl}\\p{Zp}]{1,512}",
        ),
        Ids::Few(_) => ("e[0-9]{1,2}", "/runtime/[0-9]"),
    };
    let parts = (id, source, of(time(ids)), payload, any::<bool>());
    parts.prop_map(|(id, source, time, payload, commanded)| Event {
        writer: writer(&payload, commanded),
        id: EventId::parse(&id).unwrap(),
        source: Source::parse(&source).unwrap(),
        time,
        payload,
        private: Private::default(),
    })
}

/// Returns the writer of an event.
fn writer(payload: &Payload, commanded: bool) -> Writer {
    match payload {
        _ if commanded => Writer::Ledger,
        Payload::Session(_, SessionEvent::Expired { .. }) | Payload::Rules { .. } => Writer::Ledger,
        Payload::Session(..) | Payload::Agent(..) => Writer::Runtime,
    }
}

fn name(ids: Ids, prefix: &'static str) -> BoxedStrategy<String> {
    match ids {
        Ids::Any => "[^/\\p{C}\\p{Zl}\\p{Zp}]{1,256}".boxed(),
        Ids::Few(max) => (0..=max)
            .prop_map(move |number| format!("{prefix}{number}"))
            .boxed(),
    }
}

fn deadline(ids: Ids) -> impl Strategy<Value = Deadline> {
    let seconds_max = match ids {
        Ids::Any => 3_155_760_000_i64,
        Ids::Few(_) => 3600,
    };
    let after = (1..=seconds_max).prop_map(|seconds| Deadline::After(seconds * SECOND_US));
    prop_oneof![time(ids).prop_map(Deadline::At), after]
}

fn renewal(ids: Ids) -> impl Strategy<Value = Renewal> {
    prop_oneof![3 => deadline(ids).prop_map(Renewal::To), 1 => Just(Renewal::ByTtl)]
}

fn phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(Phase::ALL.to_vec())
}

fn text() -> impl Strategy<Value = Box<str>> {
    "[^\\p{Cc}]{0,40}".prop_map(Into::into)
}
