//! The `data` of an event, by type.
//!
//! Fields that a type does not know are kept on the log and not read. A field with the name of a
//! token is rejected: every caller who may read the tenant's history sees the bodies.

use crate::domain::agent::AgentProfile;
use crate::domain::command::{HandOff, Terminate};
use crate::domain::event::{Created, Deadline, HandedOff, Refreshed, Renewal, Terminated};
use crate::domain::limits::TTL_SECONDS_MAX;
use crate::domain::session::Profile;
use crate::domain::{
    AgentEvent, AgentId, EventType, Payload, ProjectId, SessionEvent, SessionId, Timestamp,
};
use crate::wire::field::{Fields, TextRule};
use crate::wire::json::{self, Member};
use crate::wire::subject::Subject;

/// Fields of `data` that would carry a secret.
pub(super) const SECRET_FIELDS: &[&str] = &[
    "token",
    "access_token",
    "refresh_token",
    "token_hash",
    "access_token_hash",
    "refresh_token_hash",
    "token_sha256",
    "access_token_sha256",
    "refresh_token_sha256",
];

/// Reads the payload of an event of this type. `None` if it has errors, which the fields collect.
pub(super) fn read(
    fields: &mut Fields,
    event_type: EventType,
    subject: Option<&str>,
    data: Option<&str>,
) -> Option<Payload> {
    match event_type {
        EventType::SessionCreated
        | EventType::SessionRefreshed
        | EventType::SessionHandedOff
        | EventType::SessionTerminated
        | EventType::SessionExpired => {
            let id = subject.and_then(|raw| fields.session_id("subject", raw));
            let id = fields.required("subject", id);
            let data = split(fields, data);
            let event = session_event(fields, event_type, id.as_ref(), &data);
            Some(Payload::Session(id?, event?))
        }
        EventType::AgentRegistered
        | EventType::AgentUpdated
        | EventType::AgentSuspended
        | EventType::AgentReinstated
        | EventType::AgentRevoked => {
            let id = subject.and_then(|raw| fields.agent_id("subject", raw));
            let id = fields.required("subject", id);
            let data = split(fields, data);
            let event = agent_event(fields, event_type, &data);
            Some(Payload::Agent(id?, event?))
        }
        EventType::Rules => {
            let id = subject.and_then(|raw| fields.string("subject", raw));
            let id = fields.required("subject", id);
            if id.is_some_and(|id| id != Subject::RULES_ID) {
                fields.error("subject", format!("must be {}", Subject::RULES_ID));
            }
            let data = split(fields, data);
            let version = rules(fields, &data);
            version.map(|version| Payload::Rules { version })
        }
    }
}

fn split<'a>(fields: &mut Fields, data: Option<&'a str>) -> Vec<Member<'a>> {
    let Some(raw) = data else {
        fields.enter("data.");
        return Vec::new();
    };
    let members = json::members(raw);
    if members.is_none() {
        fields.error(
            "data",
            "must be a JSON object whose names are Unicode characters",
        );
    }
    fields.enter("data.");
    let members = members.unwrap_or_default();
    fields.each_name_once(&members);
    members
}

fn session_event(
    fields: &mut Fields,
    event_type: EventType,
    id: Option<&SessionId>,
    data: &[Member<'_>],
) -> Option<SessionEvent> {
    match event_type {
        EventType::SessionCreated => {
            created(fields, id, data, None).map(|created| SessionEvent::Created(Box::new(created)))
        }
        EventType::SessionRefreshed => Some(SessionEvent::Refreshed(refreshed(fields, data))),
        EventType::SessionHandedOff => handed_off(fields, id, data).map(SessionEvent::HandedOff),
        EventType::SessionTerminated => {
            let Terminate { outcome, reason: _ } = terminate(fields, data);
            Some(SessionEvent::Terminated(Terminated { outcome }))
        }
        EventType::SessionExpired => {
            expired(fields, data).map(|expires_at| SessionEvent::Expired { expires_at })
        }
        EventType::AgentRegistered
        | EventType::AgentUpdated
        | EventType::AgentSuspended
        | EventType::AgentReinstated
        | EventType::AgentRevoked
        | EventType::Rules => None,
    }
}

fn agent_event(
    fields: &mut Fields,
    event_type: EventType,
    data: &[Member<'_>],
) -> Option<AgentEvent> {
    let bare = match event_type {
        EventType::AgentRegistered => {
            return Some(AgentEvent::Registered(Box::new(agent_profile(
                fields, data,
            ))));
        }
        EventType::AgentUpdated => {
            return Some(AgentEvent::Updated(Box::new(agent_profile(fields, data))));
        }
        EventType::AgentSuspended => AgentEvent::Suspended,
        EventType::AgentReinstated => AgentEvent::Reinstated,
        EventType::AgentRevoked => AgentEvent::Revoked,
        EventType::SessionCreated
        | EventType::SessionRefreshed
        | EventType::SessionHandedOff
        | EventType::SessionTerminated
        | EventType::SessionExpired
        | EventType::Rules => return None,
    };
    reason(fields, data);
    Some(bare)
}

/// The data of a session that opens. If the data names no agent, the session belongs to
/// `agent_default`.
pub(super) fn created(
    fields: &mut Fields,
    id: Option<&SessionId>,
    data: &[Member<'_>],
    agent_default: Option<&AgentId>,
) -> Option<Created> {
    let mut agent_id = None;
    let mut deadline = DeadlineFields::default();
    let (mut scopes, mut metadata, mut parent, mut project) = (None, None, None, None);
    let (mut phase, mut profile) = (None, Profile::default());
    for Member { name, raw } in data {
        match &**name {
            "agent_id" => agent_id = fields.agent_id(name, raw),
            "expires_at" => deadline.expires_at = fields.time(name, raw),
            "ttl_seconds" => deadline.ttl_seconds = fields.integer(name, raw, TTL_SECONDS_MAX),
            "scopes" => scopes = fields.scopes(name, raw),
            "metadata" => metadata = fields.metadata(name, raw),
            "parent_session_id" => parent = fields.session_id(name, raw),
            "project_id" => project = fields.id(name, raw, ProjectId::parse),
            "phase" => phase = fields.word(name, raw),
            _ => match profile.get_mut(name) {
                Some((kind, text)) => *text = fields.text(name, raw, TextRule::of(kind)),
                None => kept(fields, name, raw),
            },
        }
    }
    check_parent(fields, parent.as_ref(), id);
    let agent_id = agent_id.or_else(|| agent_default.cloned());
    Some(Created {
        deadline: deadline.check(fields),
        agent_id: fields.required("agent_id", agent_id)?,
        scopes,
        metadata: metadata.unwrap_or_default(),
        parent,
        project,
        phase,
        profile,
    })
}

/// Adds an error if a session names itself as its parent.
pub(super) fn check_parent(
    fields: &mut Fields,
    parent: Option<&SessionId>,
    id: Option<&SessionId>,
) {
    if parent.is_some() && parent == id {
        fields.error(
            "parent_session_id",
            "must be another session than the one that opens",
        );
    }
}

pub(super) fn refreshed(fields: &mut Fields, data: &[Member<'_>]) -> Refreshed {
    let mut refreshed = Refreshed::default();
    let mut deadline = DeadlineFields::default();
    let mut extend = false;
    for Member { name, raw } in data {
        match &**name {
            "expires_at" => deadline.expires_at = fields.time(name, raw),
            "ttl_seconds" => deadline.ttl_seconds = fields.integer(name, raw, TTL_SECONDS_MAX),
            "extend" => extend = fields.boolean(name, raw).unwrap_or(false),
            "phase" => refreshed.phase = fields.word(name, raw),
            "metadata" => refreshed.metadata = fields.metadata(name, raw),
            _ => kept(fields, name, raw),
        }
    }
    let deadline = deadline.check(fields);
    if extend && deadline.is_some() {
        fields.error(
            "extend",
            "must not be given together with expires_at or ttl_seconds",
        );
    }
    refreshed.renewal = if extend {
        Some(Renewal::ByTtl)
    } else {
        deadline.map(Renewal::To)
    };
    refreshed
}

fn handed_off(
    fields: &mut Fields,
    id: Option<&SessionId>,
    data: &[Member<'_>],
) -> Option<HandedOff> {
    let HandOff {
        to,
        child,
        scopes,
        metadata,
        deadline,
        reason: _,
    } = hand_off(fields, id, data, true)?;
    Some(HandedOff {
        to,
        child: child?,
        scopes,
        metadata,
        deadline,
    })
}

/// Adds an error if a session would be handed off to itself.
pub(super) fn check_child(fields: &mut Fields, child: Option<&SessionId>, id: Option<&SessionId>) {
    if child.is_some() && child == id {
        fields.error(
            "session_id",
            "must be a new session, not the one that is handed off",
        );
    }
}

/// The data of a hand-off of a session. A command may leave out the child's id, and an event may not.
pub(super) fn hand_off(
    fields: &mut Fields,
    id: Option<&SessionId>,
    data: &[Member<'_>],
    needs_child: bool,
) -> Option<HandOff> {
    let (mut to, mut child, mut scopes, mut metadata) = (None, None, None, None);
    let (mut deadline, mut reason) = (DeadlineFields::default(), None);
    for Member { name, raw } in data {
        match &**name {
            "to_agent_id" => to = fields.agent_id(name, raw),
            "session_id" => child = fields.session_id(name, raw),
            "scopes" => scopes = fields.scopes(name, raw),
            "metadata" => metadata = fields.metadata(name, raw),
            "expires_at" => deadline.expires_at = fields.time(name, raw),
            "ttl_seconds" => deadline.ttl_seconds = fields.integer(name, raw, TTL_SECONDS_MAX),
            "reason" => reason = fields.text(name, raw, TextRule::REASON),
            _ => kept(fields, name, raw),
        }
    }
    check_child(fields, child.as_ref(), id);
    let to = fields.required("to_agent_id", to);
    if needs_child {
        fields.required("session_id", child.as_ref());
    }
    let deadline = deadline.check(fields);
    Some(HandOff {
        to: to?,
        child,
        scopes,
        metadata: metadata.unwrap_or_default(),
        deadline,
        reason,
    })
}

pub(super) fn terminate(fields: &mut Fields, data: &[Member<'_>]) -> Terminate {
    let (mut outcome, mut reason) = (None, None);
    for Member { name, raw } in data {
        match &**name {
            "reason" => reason = fields.text(name, raw, TextRule::REASON),
            "outcome" => outcome = fields.word(name, raw),
            _ => kept(fields, name, raw),
        }
    }
    Terminate { outcome, reason }
}

fn expired(fields: &mut Fields, data: &[Member<'_>]) -> Option<Timestamp> {
    let mut expires_at = None;
    for Member { name, raw } in data {
        match &**name {
            "expires_at" => expires_at = fields.time(name, raw),
            _ => kept(fields, name, raw),
        }
    }
    fields.required("expires_at", expires_at)
}

pub(super) fn agent_profile(fields: &mut Fields, data: &[Member<'_>]) -> AgentProfile {
    let mut agent = AgentProfile::default();
    for Member { name, raw } in data {
        match &**name {
            "scopes" => agent.scopes = fields.scopes(name, raw),
            "metadata" => agent.metadata = fields.metadata(name, raw),
            "trust_score" => agent.trust_score_milli = fields.share_milli(name, raw),
            "expires_at" => agent.expires_at = fields.time(name, raw),
            _ => match agent.texts.get_mut(name) {
                Some((kind, text)) => *text = fields.text(name, raw, TextRule::of(kind)),
                None => kept(fields, name, raw),
            },
        }
    }
    agent
}

/// Data of an event that carries at most a reason.
pub(super) fn reason(fields: &mut Fields, data: &[Member<'_>]) -> Option<Box<str>> {
    let mut reason = None;
    for Member { name, raw } in data {
        match &**name {
            "reason" => reason = fields.text(name, raw, TextRule::REASON),
            _ => kept(fields, name, raw),
        }
    }
    reason
}

fn rules(fields: &mut Fields, data: &[Member<'_>]) -> Option<u32> {
    let mut version = None;
    for Member { name, raw } in data {
        match &**name {
            "version" => version = fields.integer(name, raw, u32::MAX.into()),
            _ => kept(fields, name, raw),
        }
    }
    fields
        .required("version", version)
        .and_then(|version| version.try_into().ok())
}

fn kept(fields: &mut Fields, name: &str, raw: &str) {
    if SECRET_FIELDS.contains(&name) {
        fields.error(
            name,
            "must not be sent: events are kept forever and shown to readers, and this field \
             carries a secret",
        );
    } else {
        fields.kept(name, raw);
        fields.ignored(name);
    }
}

/// The two ways to say when a session ends.
#[derive(Default)]
struct DeadlineFields {
    expires_at: Option<Timestamp>,
    ttl_seconds: Option<u64>,
}

impl DeadlineFields {
    fn check(self, fields: &mut Fields) -> Option<Deadline> {
        match (self.expires_at, self.ttl_seconds) {
            (Some(_), Some(_)) => {
                fields.error("ttl_seconds", "must not be given together with expires_at");
                None
            }
            (Some(time), None) => Some(Deadline::At(time)),
            (None, Some(seconds)) => Some(Deadline::after_seconds(seconds)),
            (None, None) => None,
        }
    }
}
