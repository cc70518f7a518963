//! Verdict messages for emitters on `ledger.verdict.v1.<tenant>`, and gap messages for verdicts
//! that were not sent.

use std::borrow::Cow;

use serde::Serialize;

use super::json;
use crate::domain::ids::{EventId, Source};
use crate::domain::{EventType, Position, Reason, SessionId, TenantId, Timestamp, Verdict};

/// The prefix of the subjects of verdicts.
pub(super) const PREFIX: &str = "ledger.verdict.v1";

/// The subject of a tenant's verdicts.
pub fn verdict_subject(tenant: &TenantId) -> String {
    format!("{PREFIX}.{tenant}")
}

/// The verdict on a record. Fields of the event are absent if they are not readable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerdictMessage<'a> {
    /// The position of the record.
    pub position: Position,
    /// The time at which the log stored the record.
    pub recorded_at: Timestamp,
    /// `applied`, `duplicate`, `rejected` or `parked`.
    pub verdict: &'static str,
    /// The reason code of the verdict `rejected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// For a duplicate: the position of the first copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<Position>,
    /// For an event that was parked: the position of the record that ended its wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Position>,
    /// The event's `type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<&'static str>,
    /// The id of the session or agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Cow<'a, str>>,
    /// The event's `id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// The event's `source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Cow<'a, str>>,
    /// Unknown members of the event's data, as paths such as `data.ttl`. They have no effect.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub ignored: &'a [String],
}

impl<'a> VerdictMessage<'a> {
    /// A message without the fields of the event.
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

    /// Adds the readable fields of the event, even if the event is not valid.
    #[must_use]
    pub fn identified_by(self, body: &'a [u8]) -> Self {
        let members = std::str::from_utf8(body).ok().and_then(json::members);
        let members = members.unwrap_or_default();
        let text = |name: &str| {
            let mut named = members.iter().filter(|member| member.name == name);
            match (named.next(), named.next()) {
                (Some(member), None) => json::string(member.raw),
                // A member that occurs twice is ambiguous.
                (Some(_), Some(_)) | (None, _) => None,
            }
        };
        Self {
            r#type: text("type")
                .and_then(|text| text.parse().ok())
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

/// Says that the ledger did not send the verdicts on some records of a tenant. Records between the
/// two positions may have their verdicts sent, or belong to other tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GapMessage {
    /// The maximum number of verdicts that were not sent.
    missed: u64,
    /// The first position of such a record.
    from: Position,
    /// The last position of such a record.
    to: Position,
}

impl GapMessage {
    /// A gap of one verdict.
    pub fn at(position: Position) -> Self {
        Self {
            missed: 1,
            from: position,
            to: position,
        }
    }

    /// Adds another gap.
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
