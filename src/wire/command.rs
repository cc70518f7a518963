//! Reads the bodies of commands: the data of an event, and fields that the log does not store, such
//! as a refresh token.
//!
//! The readers that decode events also read these bodies. But here an unknown field is an error, so
//! that a client notices a typo in its request. An event may have unknown fields.

use crate::domain::agent::AgentProfile;
use crate::domain::command::{HandOff, NewAgent, NewSession, Refresh, Terminate};
use crate::domain::event::Renewal;
use crate::domain::limits::{BODY_BYTES_MAX, TOKEN_CHARS_MAX};
use crate::domain::{AgentId, EventType, Reason};
use crate::wire::decode::Undecodable;
use crate::wire::field::{ERRORS_MAX, FieldError, Fields};
use crate::wire::json::{self, Member};
use crate::wire::not_json::not_an_object;
use crate::wire::{payload, schema};

/// Reads the body of a command that opens a session: data of `session.created`, and `session_id`.
/// If the body names no agent, the session belongs to `agent_default`.
pub fn new_session(
    body: &[u8],
    agent_default: Option<&AgentId>,
) -> Result<NewSession, Undecodable> {
    let mut body = Body::parse(body, EventType::SessionCreated, &["session_id"])?;
    let id = body
        .take("session_id")
        .and_then(|raw| body.fields.session_id("session_id", raw));
    let created = payload::created(&mut body.fields, id.as_ref(), &body.members, agent_default);
    body.finish(created.map(|created| NewSession { id, created }))
}

/// Reads the body of a refresh: `refresh_token`, and data of `session.refreshed`. If the data says
/// nothing about the deadline, the session is extended by its time to live.
pub fn refresh(body: &[u8]) -> Result<Refresh, Undecodable> {
    let mut body = Body::parse(body, EventType::SessionRefreshed, &["refresh_token"])?;
    let presented = body
        .take("refresh_token")
        .and_then(|raw| body.fields.string("refresh_token", raw));
    match &presented {
        Some(token) if TOKEN_CHARS_MAX < token.len() => {
            let message = format!("must have at most {TOKEN_CHARS_MAX} characters");
            body.fields.error("refresh_token", message);
        }
        None if body.fields.is_clean() => {
            let message = "is required: the latest one that create, refresh or handoff gave out";
            body.fields.error("refresh_token", message);
        }
        Some(_) | None => {}
    }
    let mut refreshed = payload::refreshed(&mut body.fields, &body.members);
    if !body.has_any(&["expires_at", "ttl_seconds", "extend"]) {
        refreshed.renewal = Some(Renewal::ByTtl);
    }
    body.finish(presented.map(|token| Refresh {
        presented: Some(token.into_owned()),
        refreshed,
    }))
}

/// Reads the body of a hand-off: data of `session.handed_off`, in which `session_id` may be left
/// out.
pub fn hand_off(body: &[u8]) -> Result<HandOff, Undecodable> {
    let mut body = Body::parse(body, EventType::SessionHandedOff, &[])?;
    let hand_off = payload::hand_off(&mut body.fields, None, &body.members, false);
    body.finish(hand_off)
}

/// Reads the body of a termination: data of `session.terminated`.
pub fn terminate(body: &[u8]) -> Result<Terminate, Undecodable> {
    let mut body = Body::parse(body, EventType::SessionTerminated, &[])?;
    let terminate = payload::terminate(&mut body.fields, &body.members);
    body.finish(Some(terminate))
}

/// Reads the body of a registration: data of `agent.registered`, and `agent_id`.
pub fn new_agent(body: &[u8]) -> Result<NewAgent, Undecodable> {
    let mut body = Body::parse(body, EventType::AgentRegistered, &["agent_id"])?;
    let id = body
        .take("agent_id")
        .and_then(|raw| body.fields.agent_id("agent_id", raw));
    let profile = payload::agent_profile(&mut body.fields, &body.members);
    body.finish(Some(NewAgent { id, profile }))
}

/// Reads the fields of an agent that change: data of `agent.updated`, and at least one field.
pub fn agent_update(body: &[u8]) -> Result<AgentProfile, Undecodable> {
    let mut body = Body::parse(body, EventType::AgentUpdated, &[])?;
    body.refuse_nulls();
    if body.members.is_empty() {
        let message = "must name at least one field to change";
        body.fields.error("", message);
    }
    let profile = payload::agent_profile(&mut body.fields, &body.members);
    body.finish(Some(profile))
}

/// Reads the reason for a change of an agent's status: data of `agent.suspended`,
/// `agent.reinstated` and `agent.revoked`.
pub fn agent_reason(body: &[u8]) -> Result<Option<Box<str>>, Undecodable> {
    let mut body = Body::parse(body, EventType::AgentSuspended, &[])?;
    body.refuse_nulls();
    let reason = payload::reason(&mut body.fields, &body.members);
    body.finish(Some(reason))
}

/// The error of an event whose data has members that its type does not know, given as paths.
pub fn unknown_members(event_type: EventType, paths: Vec<String>) -> Undecodable {
    let known = schema::data_fields(event_type).join(", ");
    let errors = paths.into_iter().map(|field| FieldError {
        field,
        message: format!(
            "is no member of the data of {}; it takes {known}",
            event_type.as_str()
        ),
    });
    undecodable(Reason::Invalid, errors.collect())
}

/// The members of a body, and the errors in them so far.
struct Body<'a> {
    members: Vec<Member<'a>>,
    fields: Fields,
}

impl<'a> Body<'a> {
    /// Reads a body: the data of an event of this type, and some other fields. An empty body and
    /// `null` count as an object without members.
    fn parse(body: &'a [u8], event_type: EventType, beside: &[&str]) -> Result<Self, Undecodable> {
        let fields = Fields::default();
        if matches!(body.trim_ascii(), b"" | b"null") {
            let members = Vec::new();
            return Ok(Self { members, fields });
        }
        if BODY_BYTES_MAX < body.len() {
            return Err(Undecodable::too_large());
        }
        let members = std::str::from_utf8(body).ok().and_then(json::members);
        let members = members.ok_or_else(|| refused(Reason::NotJson, "", not_an_object(body)))?;
        if let Some(name) = json::name_given_twice(&members) {
            return Err(refused(Reason::Invalid, name, "must be given once"));
        }
        let known = [schema::data_fields(event_type), beside].concat();
        let unknown = members.iter().filter(|one| !known.contains(&&*one.name));
        let errors: Vec<FieldError> = unknown
            .take(ERRORS_MAX)
            .map(|one| FieldError {
                field: one.name.to_string(),
                message: format!("is no field of this request; it takes {}", known.join(", ")),
            })
            .collect();
        if !errors.is_empty() {
            return Err(undecodable(Reason::Invalid, errors));
        }
        Ok(Self { members, fields })
    }

    /// Removes and returns a field that the log does not store.
    fn take(&mut self, name: &str) -> Option<&'a str> {
        let index = self.members.iter().position(|one| one.name == name)?;
        Some(self.members.remove(index).raw)
    }

    /// Whether any of these fields has a value.
    fn has_any(&self, names: &[&str]) -> bool {
        let mut given = self.members.iter().filter(|one| one.raw != "null");
        given.any(|one| names.contains(&&*one.name))
    }

    /// Rejects fields that are null, because a client could mean to remove them.
    fn refuse_nulls(&mut self) {
        let nulls = self.members.iter().filter(|one| one.raw == "null");
        for null in nulls {
            let message = "must not be null: a field can be changed, but not taken away";
            self.fields.error(&null.name, message);
        }
    }

    /// Returns the command, or the errors in the body.
    fn finish<T>(self, command: Option<T>) -> Result<T, Undecodable> {
        match command {
            Some(command) if self.fields.is_clean() => Ok(command),
            Some(_) | None => Err(undecodable(Reason::Invalid, self.fields.into_errors())),
        }
    }
}

fn refused(reason: Reason, field: &str, message: impl Into<String>) -> Undecodable {
    let (field, message) = (field.to_owned(), message.into());
    undecodable(reason, vec![FieldError { field, message }])
}

fn undecodable(reason: Reason, errors: Vec<FieldError>) -> Undecodable {
    Undecodable {
        tenant: None,
        reason,
        errors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SessionId;
    use crate::domain::event::Deadline;
    use crate::domain::session::Outcome;

    fn agent(id: &str) -> AgentId {
        AgentId::parse(id).unwrap()
    }

    #[track_caller]
    fn check_refused<T>(read: Result<T, Undecodable>, reason: Reason, fields: &[&str]) {
        let failed = read.err().unwrap();
        let named: Vec<&str> = failed.errors.iter().map(|one| &*one.field).collect();
        assert_eq!((failed.reason, &*named), (reason, fields), "{failed:?}");
    }

    #[test]
    fn a_session_has_the_values_of_its_body() {
        let body = br#"{"session_id": "s\u00e91", "agent_id": "a\"1", "ttl_seconds": 60.0,
            "metadata":{"a": [1,  2.50]}, "scopes": null, "user_id": "u"}"#;
        let NewSession { id, created } = new_session(body, None).unwrap();
        assert_eq!(id, SessionId::parse("s\u{e9}1").ok());
        assert_eq!(created.agent_id, agent("a\"1"));
        assert_eq!(created.deadline, Some(Deadline::after_seconds(60)));
        assert_eq!(created.metadata.json(), r#"{"a": [1,  2.50]}"#);
        assert_eq!(created.scopes, None);
        assert_eq!(created.profile.user_id.as_deref(), Some("u"));
    }

    #[test]
    fn a_session_is_the_default_agents_unless_the_body_names_one() {
        let default = agent("bound");
        for (body, expected) in [
            ("", "bound"),
            (r#"{"agent_id": null}"#, "bound"),
            (r#"{"agent_id": "a"}"#, "a"),
        ] {
            let read = new_session(body.as_bytes(), Some(&default)).unwrap();
            assert_eq!(read.created.agent_id, agent(expected), "{body}");
        }
        let wrong = new_session(br#"{"agent_id": "a/b"}"#, Some(&default));
        check_refused(wrong, Reason::Invalid, &["agent_id"]);
    }

    #[test]
    fn a_refresh_extends_by_the_time_to_live_unless_the_body_says_otherwise() {
        let to = |seconds| Some(Renewal::To(Deadline::after_seconds(seconds)));
        for (more, expected) in [
            ("", Some(Renewal::ByTtl)),
            (r#", "ttl_seconds": null"#, Some(Renewal::ByTtl)),
            (r#", "extend": true"#, Some(Renewal::ByTtl)),
            (r#", "extend": false"#, None),
            (r#", "ttl_seconds": 5"#, to(5)),
        ] {
            let body = format!(r#"{{"refresh_token": "t"{more}}}"#);
            let read = refresh(body.as_bytes()).unwrap();
            assert_eq!(read.presented.as_deref(), Some("t"));
            assert_eq!(read.refreshed.renewal, expected, "{body}");
        }
    }

    #[test]
    fn a_refresh_needs_a_token_of_a_possible_length() {
        for body in ["", r#"{"refresh_token": null}"#, r#"{"refresh_token": 5}"#] {
            check_refused(
                refresh(body.as_bytes()),
                Reason::Invalid,
                &["refresh_token"],
            );
        }
        let long = format!(
            r#"{{"refresh_token": "{}"}}"#,
            "x".repeat(TOKEN_CHARS_MAX + 1)
        );
        check_refused(
            refresh(long.as_bytes()),
            Reason::Invalid,
            &["refresh_token"],
        );
    }

    #[test]
    fn a_hand_off_may_leave_out_the_child_and_keeps_its_reason() {
        let read = hand_off(br#"{"to_agent_id": "b", "reason": "r"}"#).unwrap();
        assert_eq!((read.to, read.child), (agent("b"), None));
        assert_eq!(read.reason.as_deref(), Some("r"));
        check_refused(hand_off(b"{}"), Reason::Invalid, &["to_agent_id"]);
    }

    #[test]
    fn nothing_and_null_are_an_empty_object() {
        for body in ["", "  \n", "null", " null\n", "{}"] {
            let read = terminate(body.as_bytes()).unwrap();
            assert_eq!(read, Terminate::default(), "{body:?}");
            assert_eq!(agent_reason(body.as_bytes()).unwrap(), None);
            assert_eq!(new_agent(body.as_bytes()).unwrap(), NewAgent::default());
        }
        let read = terminate(br#"{"reason": "r", "outcome": "completed"}"#).unwrap();
        assert_eq!(read.outcome, Some(Outcome::Completed));
        assert_eq!(read.reason.as_deref(), Some("r"));
    }

    #[test]
    fn a_change_of_an_agent_takes_no_null_and_at_least_one_field() {
        let read = agent_update(br#"{"trust_score": 0.25}"#).unwrap();
        assert_eq!(read.trust_score_milli, Some(250));
        check_refused(agent_update(b"{}"), Reason::Invalid, &[""]);
        let null = br#"{"description": "d", "trust_level": null}"#;
        check_refused(agent_update(null), Reason::Invalid, &["trust_level"]);
        let null = br#"{"reason": null}"#;
        check_refused(agent_reason(null), Reason::Invalid, &["reason"]);
    }

    #[test]
    fn what_is_no_such_request_is_refused_with_the_field() {
        let read = |body: &str| new_session(body.as_bytes(), None);
        for body in ["[]", "{"] {
            check_refused(read(body), Reason::NotJson, &[""]);
        }
        let twice = r#"{"agent_id":"a","agent_id":"b"}"#;
        check_refused(read(twice), Reason::Invalid, &["agent_id"]);
        check_refused(read(r#"{"ttl":1}"#), Reason::Invalid, &["ttl"]);
        check_refused(read(r#"{"token":"x"}"#), Reason::Invalid, &["token"]);
        check_refused(read(&" x".repeat(BODY_BYTES_MAX)), Reason::TooLarge, &[""]);
        let several = r#"{"agent_id": 7, "session_id": "a/b", "ttl_seconds": "5"}"#;
        let fields = ["session_id", "agent_id", "ttl_seconds"];
        check_refused(read(several), Reason::Invalid, &fields);
    }
}
