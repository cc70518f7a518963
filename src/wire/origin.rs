//! How an event came onto the log, and which credential gave it to a ledger.
//!
//! Runtimes can publish on `ledger.v1.<tenant>` themselves, so nothing that stands there names a
//! credential. What a ledger writes stands on `ledger.sys.v1.<tenant>`, which no runtime may publish on,
//! with the credential in the private part. So a writer cannot forge who it is.

use crate::domain::Rules;
use crate::domain::event::Writer;
use crate::wire::subject::Subject;
use crate::wire::{decode, private, source};

/// How an event came onto the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A runtime published it to NATS.
    Nats,
    /// A client gave it to the API of a ledger.
    Api,
    /// The ledger stated it by itself.
    Ledger,
}

impl Via {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Api => "api",
            Self::Ledger => "ledger",
        }
    }
}

/// Where an event came from, as far as the log proves it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// Whose statement it is; `None` if its subject is none of the ledger's.
    pub writer: Option<Writer>,
    /// How it came; `None` if the log does not say, as by the first version of the rules.
    pub via: Option<Via>,
    /// The credential that gave it to a ledger; `None` if there was none or the log does not say.
    pub written_by: Option<Box<str>>,
}

impl Origin {
    /// The origin of a record.
    pub fn of(rules: Rules, subject: &str, private_part: &[u8], body: &[u8]) -> Self {
        match Subject::parse(subject).map(|subject| subject.writer()) {
            None => Self::default(),
            // By the first rules a ledger wrote there as well.
            Some(Writer::Runtime) => Self {
                writer: Some(Writer::Runtime),
                via: (Rules::V2 <= rules).then_some(Via::Nats),
                written_by: None,
            },
            Some(Writer::Ledger) => {
                let private = private::decode(rules, private_part).unwrap_or_default();
                let given = private.emitted
                    || private.written_by.is_some()
                    || is_command(rules, subject, private_part, body);
                let writer = if private.emitted {
                    Writer::Runtime
                } else {
                    Writer::Ledger
                };
                Self {
                    writer: Some(writer),
                    via: Some(if given { Via::Api } else { Via::Ledger }),
                    written_by: private.written_by,
                }
            }
        }
    }
}

/// Whether a client gave the event to the API as a command, also where nobody is asked for credentials.
fn is_command(rules: Rules, subject: &str, private: &[u8], body: &[u8]) -> bool {
    decode(rules, subject, private, body)
        .is_ok_and(|decoded| decoded.event.source.as_str() == source::API)
}
