//! How an event came onto the log, and which credential sent it.
//!
//! Runtimes can publish on `ledger.v1.<tenant>` themselves, so records there name no credential. A
//! ledger writes on `ledger.sys.v1.<tenant>`, where runtimes may not publish, and puts the
//! credential into the private part. So a writer cannot forge its identity.

use crate::domain::Rules;
use crate::domain::event::Writer;
use crate::wire::subject::Subject;
use crate::wire::{decode, private, source};

/// How an event came onto the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Via {
    /// A runtime published it to NATS.
    Nats,
    /// A client sent it to the API of a ledger.
    Api,
    /// The ledger wrote it without a request, such as an expiry.
    Ledger,
}

impl Via {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The origin of an event, as far as the log proves it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The writer of the event; `None` if its subject is not one of the ledger's.
    pub writer: Option<Writer>,
    /// How the event came onto the log; `None` if the record does not say, as by the first rules.
    pub via: Option<Via>,
    /// The credential that sent the event to the API; `None` if there was none or the record does
    /// not say.
    pub written_by: Option<Box<str>>,
}

impl Origin {
    /// The origin of a record.
    pub fn of(rules: Rules, subject: &str, private_part: &[u8], body: &[u8]) -> Self {
        match Subject::parse(subject).map(|subject| subject.writer()) {
            None => Self::default(),
            // By the first rules, ledgers wrote on these subjects too.
            Some(Writer::Runtime) => Self {
                writer: Some(Writer::Runtime),
                via: (Rules::V2 <= rules).then_some(Via::Nats),
                written_by: None,
            },
            Some(Writer::Ledger) => {
                let private = private::decode(rules, private_part).unwrap_or_default();
                let by_request = private.emitted
                    || private.written_by.is_some()
                    || is_command(rules, subject, private_part, body);
                let writer = if private.emitted {
                    Writer::Runtime
                } else {
                    Writer::Ledger
                };
                Self {
                    writer: Some(writer),
                    via: Some(if by_request { Via::Api } else { Via::Ledger }),
                    written_by: private.written_by,
                }
            }
        }
    }
}

/// Whether the event is a command of an API client. Works also for servers that require no
/// credentials, because it looks at the event's source.
fn is_command(rules: Rules, subject: &str, private: &[u8], body: &[u8]) -> bool {
    decode(rules, subject, private, body)
        .is_ok_and(|decoded| decoded.event.source.as_str() == source::API)
}
