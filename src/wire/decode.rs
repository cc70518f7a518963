//! Decodes stored bytes into a domain event, or into the reason why they are not one.
//!
//! One pass reads the envelope and another its `data`. Both split the JSON into raw members that
//! borrow from the body, and build no tree. The first failed check decides the reason:
//!
//! 1. `too_large`, `not_json`,
//! 2. `subject_mismatch` for a subject that is not the ledger's,
//! 3. `invalid` for an attribute that occurs twice,
//! 4. `unknown_type`,
//! 5. `subject_mismatch` for a type that is not the subject's, `tenant_mismatch`,
//! 6. `invalid` for everything else, with every wrong field named.

use strum::VariantNames;

use crate::domain::event::Writer;
use crate::domain::ids::{EventId, Source};
use crate::domain::limits::BODY_BYTES_MAX;
use crate::domain::{Event, EventType, Private, Reason, Rules, TenantId, Timestamp};
use crate::wire::binary::is_json;
use crate::wire::field::{FieldError, Fields};
use crate::wire::json::{self, Member};
use crate::wire::not_json::not_an_object;
use crate::wire::{base64_data, payload, private, source, subject::Subject};

/// The attribute in which the ledger names the credential that sent a command.
const ACTOR: &str = "actor";
/// The version of `CloudEvents` that the ledger reads.
pub(super) const SPEC_VERSION: &str = "1.0";

/// A decoded event and its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The tenant; `None` for a change of the rules, which concerns all tenants.
    pub tenant: Option<TenantId>,
    /// The event.
    pub event: Event,
    /// Unknown members of `data`, as paths such as `data.ttl`; at most 16. They stay on the log and
    /// have no effect.
    pub ignored: Vec<String>,
}

/// Why a record is not a valid event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record is not a valid event: {}", reason.code())]
pub struct Undecodable {
    /// The tenant of the record's subject, if that is a subject of the ledger.
    pub tenant: Option<TenantId>,
    /// The reason of the verdict `rejected`.
    pub reason: Reason,
    /// The wrong fields; at most 16.
    pub errors: Vec<FieldError>,
}

impl Undecodable {
    /// The error of an event with more bytes than allowed.
    pub fn too_large() -> Self {
        Failed::too_large().of(None)
    }
}

/// Decodes a record by the rules that hold at its position. The private part may be empty.
pub fn decode(
    rules: Rules,
    subject: &str,
    private: &[u8],
    body: &[u8],
) -> Result<Decoded, Undecodable> {
    let Some(subject) = Subject::parse(subject) else {
        let failed = split(body).err().unwrap_or_else(|| {
            let message = "the event was not published on a subject of the ledger";
            Failed::new(Reason::SubjectMismatch, "", message)
        });
        return Err(failed.of(None));
    };
    let private = Part::read(rules, &subject, private);
    let opened = Opened::read(body).map_err(|failed| failed.of(subject.tenant()))?;
    opened.decode_part(rules, &subject, private)
}

/// An event whose attributes are split and not checked yet, so that its type can choose its subject.
#[derive(Debug, Clone)]
pub struct Opened<'a> {
    envelope: Envelope<'a>,
    event_type: Option<EventType>,
    /// The errors so far.
    fields: Fields,
}

impl<'a> Opened<'a> {
    /// Opens an event, and reads its type. Fails if the event is not JSON, or if its type is
    /// missing or unknown.
    pub fn of(body: &'a [u8]) -> Result<(EventType, Self), Undecodable> {
        let opened = Self::read(body).map_err(|failed| failed.of(None))?;
        match opened.event_type {
            Some(event_type) => Ok((event_type, opened)),
            None => Err(Failed::invalid(opened.fields).of(None)),
        }
    }

    /// Decodes it as a record on a subject of the ledger with this private part.
    pub fn decode(
        self,
        rules: Rules,
        subject: &Subject,
        private: Private,
    ) -> Result<Decoded, Undecodable> {
        self.decode_part(rules, subject, Part::Read(private))
    }

    fn decode_part(
        self,
        rules: Rules,
        subject: &Subject,
        private: Part,
    ) -> Result<Decoded, Undecodable> {
        let tenant = subject.tenant();
        match self.decode_on(rules, subject, private) {
            Ok((event, ignored)) => Ok(Decoded {
                tenant: tenant.cloned(),
                event,
                ignored,
            }),
            Err(failed) => Err(failed.of(tenant)),
        }
    }
}

/// The private part of a record.
enum Part {
    /// A valid private part, which may be empty.
    Read(Private),
    /// A private part that the ledger cannot have written.
    Invalid,
}

impl Part {
    /// Runtimes can send this header too, so it is not read on their subjects.
    fn read(rules: Rules, subject: &Subject, bytes: &[u8]) -> Self {
        if !bytes.is_empty() && subject.writer() != Writer::Ledger {
            return Self::Invalid;
        }
        private::decode(rules, bytes).map_or(Self::Invalid, Self::Read)
    }

    /// Whether a runtime sent the event through the API of a ledger.
    fn is_emitted(&self) -> bool {
        match self {
            Self::Read(private) => private.emitted,
            Self::Invalid => false,
        }
    }
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

    fn too_large() -> Self {
        let message = format!("must have at most {BODY_BYTES_MAX} bytes");
        Self::new(Reason::TooLarge, "", message)
    }

    fn invalid(fields: Fields) -> Self {
        Self {
            reason: Reason::Invalid,
            errors: fields.into_errors(),
        }
    }

    fn of(self, tenant: Option<&TenantId>) -> Undecodable {
        Undecodable {
            tenant: tenant.cloned(),
            reason: self.reason,
            errors: self.errors,
        }
    }
}

impl<'a> Opened<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Failed> {
        let members = split(body)?;
        let mut fields = Fields::default();
        fields.each_name_once(&members);
        if !fields.is_clean() {
            // With two types or tenants, it is unknown which one counts.
            return Err(Failed::invalid(fields));
        }
        let envelope = Envelope::read(&mut fields, &members);
        let event_type = read_type(&mut fields, &envelope)?;
        Ok(Self {
            envelope,
            event_type,
            fields,
        })
    }

    fn decode_on(
        self,
        rules: Rules,
        subject: &Subject,
        private_part: Part,
    ) -> Result<(Event, Vec<String>), Failed> {
        let Self {
            envelope,
            event_type,
            mut fields,
        } = self;
        check_subject(subject, event_type)?;
        check_tenant(subject, &envelope)?;
        let writer = writer(subject, &private_part);
        let head = envelope.head(&mut fields);
        if Rules::V2 <= rules && writer == Writer::Runtime {
            envelope.reject_claims_of_a_writer(&mut fields, head.as_ref());
        }
        let decoded_data = envelope.base64_data(rules, &mut fields);
        let payload = payload::read(
            &mut fields,
            subject.event_type(),
            envelope.subject,
            decoded_data.as_deref().or(envelope.data),
        );
        let private = match private_part {
            Part::Read(private) if subject.event_type().allows(writer) => Some(private),
            Part::Read(_) | Part::Invalid => {
                fields.enter("");
                let message = "must be absent: the private part of a record is the ledger's";
                fields.error("private", message);
                None
            }
        };
        match (head, payload, private) {
            (Some(head), Some(payload), Some(private)) if fields.is_clean() => {
                let Head { id, source, time } = head;
                let event = Event {
                    writer,
                    id,
                    source,
                    time,
                    payload,
                    private,
                };
                Ok((event, fields.into_ignored()))
            }
            _ => Err(Failed::invalid(fields)),
        }
    }
}

/// The writer of an event. If a runtime sent the event through the API, the writer is the runtime:
/// the event must be equal to one that the runtime publishes to NATS.
fn writer(subject: &Subject, private: &Part) -> Writer {
    if private.is_emitted() {
        return Writer::Runtime;
    }
    subject.writer()
}

fn split(body: &[u8]) -> Result<Vec<Member<'_>>, Failed> {
    if BODY_BYTES_MAX < body.len() {
        return Err(Failed::too_large());
    }
    std::str::from_utf8(body)
        .ok()
        .and_then(json::members)
        .ok_or_else(|| Failed::new(Reason::NotJson, "", not_an_object(body)))
}

fn read_type(fields: &mut Fields, envelope: &Envelope<'_>) -> Result<Option<EventType>, Failed> {
    let text = envelope
        .event_type
        .and_then(|raw| fields.string("type", raw));
    let Some(text) = fields.required("type", text) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_unknown| {
        let all = <EventType as VariantNames>::VARIANTS;
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
    // A tenant that is not a string is reported later, with the other wrong fields.
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
#[derive(Debug, Clone, Default)]
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
    actor: Option<&'a str>,
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
                    if extension != ACTOR {
                        continue;
                    }
                    &mut envelope.actor
                }
            };
            *attribute = Some(*raw).filter(|raw| *raw != "null");
        }
        envelope
    }

    /// Reads the attributes that every event has. `None` if a required one is missing or wrong.
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
        let id = fields.required("id", id);
        let source = fields.required("source", source);
        Some(Head {
            id: id?,
            source: source?,
            time,
        })
    }
}

impl Envelope<'_> {
    /// Decodes the JSON data in `data_base64`. An event has either `data` or `data_base64`
    /// (`CloudEvents` 1.0.2, JSON event format, section 3.1.2). The first rules reject
    /// `data_base64`.
    fn base64_data(&self, rules: Rules, fields: &mut Fields) -> Option<String> {
        let raw = self.data_base64?;
        if rules < Rules::V2 {
            let message = "must be absent: send data as JSON, with a JSON content type";
            fields.error("data_base64", message);
            return None;
        }
        if self.data.is_some() {
            fields.error("data_base64", "must not be given together with data");
            return None;
        }
        let text = fields.string("data_base64", raw)?;
        let decoded = base64_data::decode(&text);
        decoded
            .map_err(|wrong| fields.error("data_base64", wrong))
            .ok()
    }

    /// Rejects attributes of a runtime's event that claim another writer.
    fn reject_claims_of_a_writer(&self, fields: &mut Fields, head: Option<&Head>) {
        if self.actor.is_some() {
            let message = "must be absent: the ledger records which credential wrote an event";
            fields.error(ACTOR, message);
        }
        if head.is_some_and(|head| source::is_reserved(head.source.as_str())) {
            let message = format!(
                "must not start with {}: only the ledger uses such sources",
                source::PREFIX
            );
            fields.error("source", message);
        }
    }
}

/// Checks an extension attribute, which may have any value that `CloudEvents` allows. The rule for
/// names also catches misspelled attributes such as `tenantId`, and many fields that belong in
/// `data`.
fn check_extension(fields: &mut Fields, name: &str, raw: &str) {
    if name.is_empty()
        || !name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    {
        fields.error(
            name,
            "is not a valid attribute name: use only lowercase letters and digits, and put the \
             fields of the event into data",
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
