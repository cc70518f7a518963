//! Verdicts as messages to emitters, on `ledger.verdict.v1.<tenant>`, and marks for those left out.

use std::borrow::Cow;

use serde::Serialize;

use super::json;
use crate::domain::ids::{EventId, Source};
use crate::domain::{EventType, Position, Reason, SessionId, TenantId, Timestamp, Verdict};

/// What the subjects of verdicts begin with.
pub(super) const PREFIX: &str = "ledger.verdict.v1";

/// The subject of a tenant's verdicts.
pub fn verdict_subject(tenant: &TenantId) -> String {
    format!("{PREFIX}.{tenant}")
}

/// What became of a record. Fields of the event are absent if they could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerdictMessage<'a> {
    /// Where the record stands on the log.
    pub position: Position,
    /// When the log took it.
    pub recorded_at: Timestamp,
    /// `applied`, `duplicate`, `rejected` or `parked`.
    pub verdict: &'static str,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The position of the event that this one is a copy of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<Position>,
    /// Of an event that waited: the position of the record that ended its wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Position>,
    /// The event's `type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<&'static str>,
    /// The session or agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Cow<'a, str>>,
    /// The event's `id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// The event's `source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Cow<'a, str>>,
    /// Members of the event's data that its type does not know, as paths such as `data.ttl`. They have
    /// no effect.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub ignored: &'a [String],
}

impl<'a> VerdictMessage<'a> {
    /// A message that says nothing of the event itself yet.
    pub fn new(position: Position, recorded_at: Timestamp, verdict: Verdict) -> Self {
        let (reason, duplicate_of) = match verdict {
            Verdict::Rejected(reason) => (Some(Reason::code(reason)), None),
            Verdict::Duplicate(first) => (None, Some(first)),
            Verdict::Applied | Verdict::Parked => (None, None),
        };
        Self {
            position,
            recorded_at,
            verdict: verdict.as_str(),
            reason,
            duplicate_of,
            settled_at: None,
            r#type: None,
            subject: None,
            id: None,
            source: None,
            ignored: &[],
        }
    }

    /// Adds what the body says of the event, as far as it can be read, even if the event is not valid.
    #[must_use]
    pub fn identified_by(self, body: &'a [u8]) -> Self {
        let members = std::str::from_utf8(body).ok().and_then(json::members);
        let members = members.unwrap_or_default();
        let text = |name: &str| {
            let mut named = members.iter().filter(|member| member.name == name);
            match (named.next(), named.next()) {
                (Some(member), None) => json::string(member.raw),
                // Of two values nobody can tell which is meant.
                (Some(_), Some(_)) | (None, _) => None,
            }
        };
        Self {
            r#type: text("type")
                .and_then(|text| EventType::parse(&text))
                .map(EventType::as_str),
            subject: text("subject").filter(|text| SessionId::parse(text).is_ok()),
            id: text("id").filter(|text| EventId::parse(text).is_ok()),
            source: text("source").filter(|text| Source::parse(text).is_ok()),
            ..self
        }
    }

    /// The JSON text.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts are JSON")
    }
}

/// Says that verdicts were not told, and of which records. Between the two positions may be records
/// whose verdicts were told, and records of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GapMessage {
    /// How many were not told, at most.
    missed: u64,
    /// The first position among those records.
    from: Position,
    /// The last one.
    to: Position,
}

impl GapMessage {
    /// One verdict that was not told.
    pub fn at(position: Position) -> Self {
        Self {
            missed: 1,
            from: position,
            to: position,
        }
    }

    /// Adds those of another.
    pub fn merge(&mut self, other: Self) {
        self.missed = self.missed.saturating_add(other.missed);
        self.from = self.from.min(other.from);
        self.to = self.to.max(other.to);
    }

    /// The JSON text.
    pub fn to_json(self) -> Vec<u8> {
        serde_json::to_vec(&self).expect("numbers are JSON")
    }
}
