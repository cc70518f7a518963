//! Stored bytes to a domain event, or to the reason why they are none.
//!
//! One pass reads the envelope, another its `data`, each as raw members that borrow from the body;
//! nothing is parsed into a tree. What is wrong first decides the reason, in this order: `too_large`,
//! `not_json`, a subject that is not the ledger's, `unknown_type`, `subject_mismatch`,
//! `tenant_mismatch`, and `invalid` for everything else, with every wrong field named.

use crate::domain::event::Writer;
use crate::domain::ids::{EventId, Source};
use crate::domain::limits::BODY_BYTES_MAX;
use crate::domain::{Event, EventType, Reason, TenantId, Timestamp};
use crate::wire::binary::is_json;
use crate::wire::field::{FieldError, Fields};
use crate::wire::json::{self, Member};
use crate::wire::{payload, private, subject::Subject};

/// The only version of `CloudEvents` that there is.
pub(super) const SPEC_VERSION: &str = "1.0";

/// An event and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Its tenant; `None` for a change of the rules, which concerns all.
    pub tenant: Option<TenantId>,
    /// The event.
    pub event: Event,
}

/// Why a record is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record is no event: {}", reason.code())]
pub struct Undecodable {
    /// The tenant of the subject that it came on, if that is a subject of the ledger.
    pub tenant: Option<TenantId>,
    /// The verdict on it.
    pub reason: Reason,
    /// What is wrong, field by field; at most 16.
    pub errors: Vec<FieldError>,
}

/// Decodes a record. The private part may be empty.
pub fn decode(subject: &str, private: &[u8], body: &[u8]) -> Result<Decoded, Undecodable> {
    let subject = Subject::parse(subject);
    let tenant = subject.as_ref().and_then(Subject::tenant).cloned();
    match decode_on(subject.as_ref(), private, body) {
        Ok(event) => Ok(Decoded { tenant, event }),
        Err(Failed { reason, errors }) => Err(Undecodable {
            tenant,
            reason,
            errors,
        }),
    }
}

/// The type of an event whose subject is yet to be chosen. An answer says nothing of the rest.
pub fn event_type(body: &[u8]) -> Result<EventType, Undecodable> {
    let typed = || {
        let members = split(body)?;
        let mut fields = Fields::default();
        fields.each_name_once(&members);
        let envelope = Envelope::read(&mut Fields::default(), &members);
        read_type(&mut fields, &envelope)?
            .filter(|_| fields.is_clean())
            .ok_or_else(|| Failed {
                reason: Reason::Invalid,
                errors: fields.into_errors(),
            })
    };
    typed().map_err(|Failed { reason, errors }| Undecodable {
        tenant: None,
        reason,
        errors,
    })
}

struct Failed {
    reason: Reason,
    errors: Vec<FieldError>,
}

impl Failed {
    fn new(reason: Reason, field: &str, message: impl Into<String>) -> Self {
        let errors = vec![FieldError {
            field: field.to_owned(),
            message: message.into(),
        }];
        Self { reason, errors }
    }
}

fn decode_on(subject: Option<&Subject>, private_part: &[u8], body: &[u8]) -> Result<Event, Failed> {
    let members = split(body)?;
    let Some(subject) = subject else {
        let message = "the event was not published on a subject of the ledger";
        return Err(Failed::new(Reason::SubjectMismatch, "", message));
    };
    let mut fields = Fields::default();
    fields.each_name_once(&members);
    if !fields.is_clean() {
        // Which of two types or tenants is meant cannot be told.
        return Err(Failed {
            reason: Reason::Invalid,
            errors: fields.into_errors(),
        });
    }
    let envelope = Envelope::read(&mut fields, &members);
    let event_type = read_type(&mut fields, &envelope)?;
    check_subject(subject, event_type)?;
    check_tenant(subject, &envelope)?;
    let head = envelope.head(&mut fields);
    let payload = payload::read(
        &mut fields,
        subject.event_type(),
        envelope.subject,
        envelope.data,
    );
    // Whoever may publish as a runtime can send a header as well, so nothing is read from it there.
    let by_ledger = private_part.is_empty() || subject.writer() == Writer::Ledger;
    let private = private::decode(private_part).filter(|_| by_ledger);
    if private.is_none() {
        fields.enter("");
        fields.error(
            "private",
            "must be absent: the private part of a record is the ledger's",
        );
    }
    match (head, payload, private) {
        (Some(head), Some(payload), Some(private)) if fields.is_clean() => {
            let Head { id, source, time } = head;
            Ok(Event {
                writer: subject.writer(),
                id,
                source,
                time,
                payload,
                private,
            })
        }
        _ => Err(Failed {
            reason: Reason::Invalid,
            errors: fields.into_errors(),
        }),
    }
}

fn split(body: &[u8]) -> Result<Vec<Member<'_>>, Failed> {
    if BODY_BYTES_MAX < body.len() {
        let message = format!("must have at most {BODY_BYTES_MAX} bytes");
        return Err(Failed::new(Reason::TooLarge, "", message));
    }
    std::str::from_utf8(body)
        .ok()
        .and_then(json::members)
        .ok_or_else(|| Failed::new(Reason::NotJson, "", "must be a JSON object in UTF-8"))
}

fn read_type(fields: &mut Fields, envelope: &Envelope<'_>) -> Result<Option<EventType>, Failed> {
    let text = envelope
        .event_type
        .and_then(|raw| fields.string("type", raw));
    let Some(text) = fields.required("type", text) else {
        return Ok(None);
    };
    EventType::parse(&text).map(Some).ok_or_else(|| {
        let all: Vec<&str> = EventType::ALL.iter().map(|known| known.as_str()).collect();
        let message = format!("must be one of: {}", all.join(", "));
        Failed::new(Reason::UnknownType, "type", message)
    })
}

fn check_subject(subject: &Subject, event_type: Option<EventType>) -> Result<(), Failed> {
    if event_type.is_some_and(|event_type| event_type != subject.event_type()) {
        let expected = subject.event_type().as_str();
        let message = format!("must be {expected}, as the NATS subject says");
        return Err(Failed::new(Reason::SubjectMismatch, "type", message));
    }
    Ok(())
}

fn check_tenant(subject: &Subject, envelope: &Envelope<'_>) -> Result<(), Failed> {
    // Anything but a string is an ordinary wrong field, noted with the others.
    let claimed = envelope.tenant.and_then(json::string);
    match (claimed, subject.tenant()) {
        (Some(claimed), Some(tenant)) if claimed != tenant.as_str() => {
            let message = "must be the tenant of the NATS subject or credential, or absent";
            Err(Failed::new(Reason::TenantMismatch, "tenantid", message))
        }
        (Some(_), None) => {
            let message = "must be absent: the rules concern every tenant";
            Err(Failed::new(Reason::TenantMismatch, "tenantid", message))
        }
        _ => Ok(()),
    }
}

/// Raw values of the context attributes; `None` if absent or null.
#[derive(Default)]
struct Envelope<'a> {
    spec_version: Option<&'a str>,
    id: Option<&'a str>,
    source: Option<&'a str>,
    event_type: Option<&'a str>,
    subject: Option<&'a str>,
    time: Option<&'a str>,
    tenant: Option<&'a str>,
    content_type: Option<&'a str>,
    schema: Option<&'a str>,
    data: Option<&'a str>,
    data_base64: Option<&'a str>,
}

struct Head {
    id: EventId,
    source: Source,
    time: Option<Timestamp>,
}

impl<'a> Envelope<'a> {
    fn read(fields: &mut Fields, members: &[Member<'a>]) -> Self {
        let mut envelope = Self::default();
        for Member { name, raw } in members {
            let attribute = match &**name {
                "specversion" => &mut envelope.spec_version,
                "id" => &mut envelope.id,
                "source" => &mut envelope.source,
                "type" => &mut envelope.event_type,
                "subject" => &mut envelope.subject,
                "time" => &mut envelope.time,
                "tenantid" => &mut envelope.tenant,
                "datacontenttype" => &mut envelope.content_type,
                "dataschema" => &mut envelope.schema,
                "data" => &mut envelope.data,
                "data_base64" => &mut envelope.data_base64,
                extension => {
                    check_extension(fields, extension, raw);
                    continue;
                }
            };
            *attribute = Some(*raw).filter(|raw| *raw != "null");
        }
        envelope
    }

    /// Reads what every type of event has. `None` if something required is missing or wrong.
    fn head(&self, fields: &mut Fields) -> Option<Head> {
        let version = self
            .spec_version
            .and_then(|raw| fields.string("specversion", raw));
        if fields
            .required("specversion", version)
            .is_some_and(|text| text != SPEC_VERSION)
        {
            fields.error("specversion", format!("must be \"{SPEC_VERSION}\""));
        }
        let id = self.id.and_then(|raw| fields.id("id", raw, EventId::parse));
        let source = self
            .source
            .and_then(|raw| fields.id("source", raw, Source::parse));
        let time = self.time.and_then(|raw| fields.time("time", raw));
        if let Some(raw) = self.tenant {
            fields.string("tenantid", raw);
        }
        if let Some(text) = self
            .content_type
            .and_then(|raw| fields.string("datacontenttype", raw))
            && !is_json(&text)
        {
            fields.error(
                "datacontenttype",
                "must be application/json or end with +json",
            );
        }
        if let Some(text) = self.schema.and_then(|raw| fields.string("dataschema", raw))
            && text.is_empty()
        {
            fields.error("dataschema", "must be a URI or absent");
        }
        if self.data_base64.is_some() {
            let message = "must be absent: send data as JSON, with a JSON content type";
            fields.error("data_base64", message);
        }
        let id = fields.required("id", id);
        let source = fields.required("source", source);
        Some(Head {
            id: id?,
            source: source?,
            time,
        })
    }
}

/// An extension attribute may be anything that `CloudEvents` allows. Its rule on names also catches
/// a misspelt attribute, such as `tenantId` or a field that belongs into `data`.
fn check_extension(fields: &mut Fields, name: &str, raw: &str) {
    if name.is_empty()
        || !name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    {
        fields.error(
            name,
            "is no attribute: names of attributes have lower-case letters and digits only, and the \
             event's own fields belong into data",
        );
    } else if raw.starts_with(['{', '[']) {
        fields.error(name, "must be a string, a number or a boolean");
    } else {
        fields.kept(name, raw);
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
