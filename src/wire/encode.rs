//! Encodes domain events as structured JSON, for the ledger's own events and for its clients.
//!
//! Members come in a fixed order and without space between them, so that the same event has the
//! same bytes on every node.

use serde::Serialize;

use crate::domain::{
    AgentEvent, Event, EventId, EventType, Payload, SessionEvent, Source, TenantId, Timestamp,
};
use crate::wire::data::{
    AgentProfileData, AgentReasonData, RulesData, SessionCreatedData, SessionExpiredData,
    SessionHandedOffData, SessionRefreshedData, SessionTerminatedData,
};
use crate::wire::decode::SPEC_VERSION;
use crate::wire::subject::Subject;

/// An event to be written.
#[derive(Debug, Clone)]
pub struct Envelope<'a, D> {
    /// Unique together with the source.
    pub id: &'a EventId,
    /// The source that writes it.
    pub source: &'a Source,
    /// The type and the details of the event.
    pub event_type: EventType,
    /// The session or agent; `rules` for a change of the rules.
    pub subject: &'a str,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// The tenant; `None` if only the subject of the record names it.
    pub tenant: Option<&'a TenantId>,
    /// The credential on whose behalf the ledger writes it, if any.
    pub actor: Option<&'a str>,
    /// The details: a shape of [`data`](crate::wire::data), or anything else that becomes a JSON
    /// object.
    pub data: D,
}

impl<D: Serialize> Envelope<'_, D> {
    /// The structured JSON text.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Members<'a, D> {
            specversion: &'static str,
            id: &'a EventId,
            source: &'a Source,
            r#type: &'static str,
            subject: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            time: Option<Timestamp>,
            #[serde(skip_serializing_if = "Option::is_none")]
            tenantid: Option<&'a TenantId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            actor: Option<&'a str>,
            data: &'a D,
        }
        let members = Members {
            specversion: SPEC_VERSION,
            id: self.id,
            source: self.source,
            r#type: self.event_type.as_str(),
            subject: self.subject,
            time: self.time,
            tenantid: self.tenant,
            actor: self.actor,
            data: &self.data,
        };
        serde_json::to_vec(&members).expect("data is a struct or a map by text")
    }
}

/// The parts of an event that are for people. The fold does not read them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notes<'a> {
    /// The credential on whose behalf the ledger writes the event.
    pub actor: Option<&'a str>,
    /// Why it happened. Sessions that open and changes of an agent's fields have no reason.
    pub reason: Option<&'a str>,
}

/// The structured JSON text of an event, without its private part.
pub fn encode(tenant: Option<&TenantId>, event: &Event, notes: Notes<'_>) -> Vec<u8> {
    let Notes { actor, reason } = notes;
    match &event.payload {
        Payload::Session(id, what) => {
            let head = Head {
                tenant,
                event,
                actor,
                subject: id.as_str(),
            };
            match what {
                SessionEvent::Created(created) => head.with(SessionCreatedData::from(&**created)),
                SessionEvent::Refreshed(refreshed) => {
                    head.with(SessionRefreshedData::from(refreshed))
                }
                SessionEvent::HandedOff(handed_off) => head.with(SessionHandedOffData {
                    reason,
                    ..SessionHandedOffData::from(handed_off)
                }),
                SessionEvent::Terminated(terminated) => head.with(SessionTerminatedData {
                    reason,
                    ..SessionTerminatedData::from(*terminated)
                }),
                SessionEvent::Expired { expires_at } => head.with(SessionExpiredData {
                    expires_at: *expires_at,
                }),
            }
        }
        Payload::Agent(id, what) => {
            let head = Head {
                tenant,
                event,
                actor,
                subject: id.as_str(),
            };
            match what {
                AgentEvent::Registered(profile) | AgentEvent::Updated(profile) => {
                    head.with(AgentProfileData::from(&**profile))
                }
                AgentEvent::Suspended | AgentEvent::Reinstated | AgentEvent::Revoked => {
                    head.with(AgentReasonData { reason })
                }
            }
        }
        Payload::Rules { version } => {
            let head = Head {
                tenant,
                event,
                actor,
                subject: Subject::RULES_ID,
            };
            head.with(RulesData { version: *version })
        }
    }
}

struct Head<'a> {
    tenant: Option<&'a TenantId>,
    event: &'a Event,
    actor: Option<&'a str>,
    subject: &'a str,
}

impl Head<'_> {
    fn with(self, data: impl Serialize) -> Vec<u8> {
        let Event {
            id, source, time, ..
        } = self.event;
        let event_type = self.event.event_type();
        Envelope {
            id,
            source,
            event_type,
            subject: self.subject,
            time: *time,
            tenant: self.tenant,
            actor: self.actor,
            data,
        }
        .to_json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_a_fixed_order() {
        let id = EventId::parse("e1").unwrap();
        let source = Source::parse("/ledger/expiry").unwrap();
        let tenant = TenantId::parse("acme").unwrap();
        let time = Timestamp::parse("2026-01-31T23:59:59Z").unwrap();
        let envelope = Envelope {
            id: &id,
            source: &source,
            event_type: EventType::SessionExpired,
            subject: "s1",
            time: Some(time),
            tenant: Some(&tenant),
            actor: None,
            data: SessionExpiredData { expires_at: time },
        };
        let expected = concat!(
            r#"{"specversion":"1.0","id":"e1","source":"/ledger/expiry","type":"session.expired","#,
            r#""subject":"s1","time":"2026-01-31T23:59:59.000000Z","tenantid":"acme","#,
            r#""data":{"expires_at":"2026-01-31T23:59:59.000000Z"}}"#,
        );
        assert_eq!(String::from_utf8(envelope.to_json()).unwrap(), expected);
    }
}
