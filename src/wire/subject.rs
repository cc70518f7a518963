//! NATS subjects. A subject names the writer, the tenant and the event type.
//!
//! ```text
//! ledger.v1.<tenant>.<type>       runtimes
//! ledger.sys.v1.<tenant>.<type>   only the ledger: events from its API, and its own events
//! ledger.sys.v1.rules             only the ledger: changes of the rules, for all tenants
//! ledger.admin.v1.<tenant>.key.*  only the ledger: keys, on a log of their own; not a [`Subject`]
//! ```
//!
//! A type has two tokens, such as `session.created`. A subject is invalid if its writer may not
//! write events of its type.

use std::fmt;

use crate::domain::event::Writer;
use crate::domain::{EventType, TenantId};

const RUNTIME: &str = "ledger.v1";
const LEDGER: &str = "ledger.sys.v1";
const RULES: &str = "ledger.sys.v1.rules";

/// The subjects of `session.expired` events, with `*` for the tenant.
pub const EXPIRIES: &str = "ledger.sys.v1.*.session.expired";

/// The subjects of the second stream, which holds the keys, with `*` for the tenant.
pub const ADMIN_STREAM_SUBJECTS: [&str; 2] = [
    "ledger.admin.v1.*.key.issued",
    "ledger.admin.v1.*.key.revoked",
];

/// The subject of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Event {
        writer: Writer,
        tenant: TenantId,
        event_type: EventType,
    },
    Rules,
}

impl Subject {
    /// The subject of changes of the rules.
    pub const RULES: Self = Self(Kind::Rules);
    /// The `subject` attribute of changes of the rules.
    pub const RULES_ID: &str = "rules";

    /// The subject for a tenant's events of a type; `None` if this writer may not write them.
    pub fn new(writer: Writer, tenant: TenantId, event_type: EventType) -> Option<Self> {
        let allowed = event_type != EventType::Rules && event_type.allows(writer);
        allowed.then_some(Self(Kind::Event {
            writer,
            tenant,
            event_type,
        }))
    }

    /// Parses a subject; `None` if it is not one of the ledger's.
    pub fn parse(text: &str) -> Option<Self> {
        if text == RULES {
            return Some(Self::RULES);
        }
        let (writer, rest) = match text.strip_prefix(RUNTIME) {
            Some(rest) => (Writer::Runtime, rest),
            None => (Writer::Ledger, text.strip_prefix(LEDGER)?),
        };
        let (tenant, event_type) = rest.strip_prefix('.')?.split_once('.')?;
        Self::new(
            writer,
            TenantId::parse(tenant).ok()?,
            event_type.parse().ok()?,
        )
    }

    /// Whether a text is the subject of changes of the rules.
    pub fn is_rules(text: &str) -> bool {
        text == RULES
    }

    /// The writer of the subject's records.
    pub fn writer(&self) -> Writer {
        match &self.0 {
            Kind::Event { writer, .. } => *writer,
            Kind::Rules => Writer::Ledger,
        }
    }

    /// The tenant of the subject's events; `None` for changes of the rules.
    pub fn tenant(&self) -> Option<&TenantId> {
        match &self.0 {
            Kind::Event { tenant, .. } => Some(tenant),
            Kind::Rules => None,
        }
    }

    /// The type of the subject's events.
    pub fn event_type(&self) -> EventType {
        match &self.0 {
            Kind::Event { event_type, .. } => *event_type,
            Kind::Rules => EventType::Rules,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Event {
                writer,
                tenant,
                event_type,
            } => {
                write!(f, "{}.{tenant}.{}", prefix(*writer), event_type.as_str())
            }
            Kind::Rules => f.write_str(RULES),
        }
    }
}

/// The subjects of the stream, with `*` for the tenant. The list has no wildcard for types, so that
/// the stream stores no unknown types.
pub fn stream_subjects() -> Vec<String> {
    let mut subjects = Vec::new();
    for writer in [Writer::Runtime, Writer::Ledger] {
        for event_type in event_types(writer) {
            subjects.push(format!("{}.*.{}", prefix(writer), event_type.as_str()));
        }
    }
    subjects.push(RULES.to_owned());
    subjects
}

/// Whether a subject matches [`EXPIRIES`]. The tenant may be any token, as for NATS.
pub fn is_expiry(subject: &str) -> bool {
    let tenant = EXPIRIES.split_once('*').and_then(|(before, after)| {
        let rest = subject.strip_prefix(before)?;
        rest.strip_suffix(after)
    });
    tenant.is_some_and(|tenant| !tenant.is_empty() && !tenant.contains('.'))
}

/// The types that a writer may write for a tenant.
pub fn event_types(writer: Writer) -> impl Iterator<Item = EventType> {
    EventType::ALL
        .iter()
        .copied()
        .filter(move |event_type| *event_type != EventType::Rules && event_type.allows(writer))
}

/// The prefix of a writer's subjects.
pub(super) fn prefix(writer: Writer) -> &'static str {
    match writer {
        Writer::Runtime => RUNTIME,
        Writer::Ledger => LEDGER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(Writer, &str, EventType)>) {
        let parsed = Subject::parse(text);
        let parts = parsed.as_ref().map(|subject| {
            (
                subject.writer(),
                subject.tenant().map_or("", TenantId::as_str),
                subject.event_type(),
            )
        });
        assert_eq!(parts, expected, "{text:?}");
        if let Some(subject) = parsed {
            assert_eq!(subject.to_string(), text);
        }
    }

    #[test]
    fn a_subject_names_writer_tenant_and_type() {
        use Writer::{Ledger, Runtime};
        let created = EventType::SessionCreated;
        check(
            "ledger.v1.acme.session.created",
            Some((Runtime, "acme", created)),
        );
        check(
            "ledger.v1.sys.agent.revoked",
            Some((Runtime, "sys", EventType::AgentRevoked)),
        );
        let expired = EventType::SessionExpired;
        check(
            "ledger.sys.v1.acme.session.expired",
            Some((Ledger, "acme", expired)),
        );
        check(
            "ledger.sys.v1.rules.session.expired",
            Some((Ledger, "rules", expired)),
        );
        check("ledger.sys.v1.rules", Some((Ledger, "", EventType::Rules)));
        check(
            "ledger.sys.v1.acme.session.created",
            Some((Ledger, "acme", created)),
        );
    }

    #[test]
    fn a_subject_that_no_writer_may_use_is_invalid() {
        check("ledger.v1.acme.session.expired", None);
        check("ledger.sys.v1.acme.ledger.rules", None);
        check("ledger.v1.acme.ledger.rules", None);
        check("ledger.v1.rules", None);
        check("ledger.v1.a b.session.created", None);
        check("ledger.v1..session.created", None);
        check("ledger.v1.acme.session.created.more", None);
        check("ledger.v1acme.session.created", None);
        check("ledger.v2.acme.session.created", None);
        check("", None);
    }

    #[test]
    fn the_subject_of_an_expiry_may_have_any_tenant_token() {
        for expiry in ["acme", "rules", "t!"] {
            assert!(is_expiry(&format!(
                "ledger.sys.v1.{expiry}.session.expired"
            )));
        }
        for other in [
            "ledger.v1.acme.session.expired",
            "ledger.sys.v1.acme.session.terminated",
            "ledger.sys.v1..session.expired",
            "ledger.sys.v1.a.b.session.expired",
            "ledger.sys.v1.session.expired",
            "ledger.sys.v1.acme.session.expired.more",
        ] {
            assert!(!is_expiry(other), "{other}");
        }
        assert!(stream_subjects().contains(&EXPIRIES.to_owned()));
    }

    #[test]
    fn the_stream_lists_every_subject_without_open_wildcards() {
        let expected = "ledger.v1.*.session.created ledger.v1.*.session.refreshed \
            ledger.v1.*.session.handed_off ledger.v1.*.session.terminated \
            ledger.v1.*.agent.registered ledger.v1.*.agent.updated ledger.v1.*.agent.suspended \
            ledger.v1.*.agent.reinstated ledger.v1.*.agent.revoked \
            ledger.sys.v1.*.session.created ledger.sys.v1.*.session.refreshed \
            ledger.sys.v1.*.session.handed_off ledger.sys.v1.*.session.terminated \
            ledger.sys.v1.*.session.expired ledger.sys.v1.*.agent.registered \
            ledger.sys.v1.*.agent.updated ledger.sys.v1.*.agent.suspended \
            ledger.sys.v1.*.agent.reinstated ledger.sys.v1.*.agent.revoked \
            ledger.sys.v1.rules";
        assert_eq!(
            stream_subjects(),
            expected.split_whitespace().collect::<Vec<_>>()
        );
        for subject in stream_subjects() {
            assert!(
                Subject::parse(&subject.replace('*', "acme")).is_some(),
                "{subject}"
            );
        }
    }
}
