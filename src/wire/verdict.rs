//! Verdicts as messages to emitters, on `ledger.verdict.v1.<tenant>`.

use serde::Serialize;

use crate::domain::{Position, Reason, TenantId, Timestamp, Verdict};

/// What the subjects of verdicts begin with.
pub(super) const PREFIX: &str = "ledger.verdict.v1";

/// The subject of a tenant's verdicts.
pub fn verdict_subject(tenant: &TenantId) -> String {
    format!("{PREFIX}.{tenant}")
}

/// What became of a record. Fields of the event are absent if it could not be decoded.
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
    /// The event's `type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<&'static str>,
    /// The session or agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<&'a str>,
    /// The event's `id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    /// The event's `source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'a str>,
}

impl VerdictMessage<'_> {
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
            r#type: None,
            subject: None,
            id: None,
            source: None,
        }
    }

    /// The JSON text.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts are JSON")
    }
}
