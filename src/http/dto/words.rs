//! Closed sets of words, as named schemas of the API's document. The words are those of the domain.
//!
//! A field that holds one is a `String`, so that a client can read a word of a newer server.

use std::borrow::Cow;

use strum::VariantNames;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::auth;
use crate::domain::event;
use crate::domain::{self, session};
use crate::projection;
use crate::wire;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident: $about:literal, $words:expr;)*) => {
        $(
            $(#[$doc])*
            pub(crate) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let words: Vec<&str> = $words.into_iter().collect();
                    ObjectBuilder::new()
                        .schema_type(Type::String)
                        .description(Some($about))
                        .enum_values(Some(words))
                        .into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )*
    };
}

const PENDING: &str = "pending";

words! {
    /// The status of a session.
    SessionStatus: "The status of a session.", names::<session::Status>();
    /// The status of an agent.
    AgentStatus: "The status of an agent.",
        names::<domain::AgentStatus>();
    /// The status of a session or an agent.
    CurrentStatus: "The status of a session or an agent.", statuses();
    /// What an active session is doing.
    Phase: "What an active session is doing, as its runtime last reported.",
        names::<session::Phase>();
    /// How a session ended.
    Outcome: "How a terminated session ended.",
        names::<session::Outcome>();
    /// What the fold decided about an event.
    Verdict: "What the fold decided about an event. A parked event waits until its session is created.",
        names::<domain::Verdict>();
    /// What is known of the verdict on an event.
    VerdictSoFar: "What the fold decided about an event, or `pending` if it has not decided yet.",
        names::<domain::Verdict>().chain([PENDING]);
    /// What the fold decided about a command.
    CommandVerdict: "What the fold decided about a command. `duplicate` is a retry. `rejected` means that \
        an earlier command had the same effect.",
        names::<domain::Verdict>().take(3);
    /// What the fold decided about a command that gives out tokens.
    TokensVerdict: "What the fold decided about a command that gives out tokens. `duplicate` is a retry.",
        names::<domain::Verdict>().take(2);
    /// Why an event was rejected.
    Reason: "Why an event was rejected. A later version may add reasons.",
        domain::Reason::ALL.iter().map(|reason| reason.code());
    /// Why an event was rejected, or that it is parked.
    RejectionCode: "Why an event was rejected, or `parked`.",
        projection::RejectionCode::all().map(projection::RejectionCode::as_str);
    /// What failed about an event of a batch.
    BatchError: "Why the log may not have an event of a batch. After `unavailable` and `too_large` it \
        does not have the event. After `unconfirmed` nobody knows; it is safe to send the event again. \
        After `log_failed` an operator must look at the log.",
        ["unavailable", "unconfirmed", "too_large", "log_failed"];
    /// The type of an event.
    EventType: "The type of an event.", names::<domain::EventType>();
    /// Who states an event.
    Writer: "Who states an event: a runtime, or the ledger for commands and for what it observes.",
        names::<event::Writer>();
    /// How an event arrived.
    Via: "How an event arrived: through the API, directly through NATS, or from the ledger itself.",
        names::<wire::Via>();
    /// A role.
    Role: "What a credential may do. No role includes another.",
        names::<auth::Role>();
    /// What happened to a key.
    KeyChangeKind: "What happened to a key.", ["issued", "revoked"];
    /// The server is alive or ready.
    HealthStatus: "The server is alive, or ready.", ["ok"];
    /// The type of an access token.
    TokenType: "The type of an access token.", ["Bearer"];
}

fn names<T: VariantNames>() -> impl Iterator<Item = &'static str> {
    T::VARIANTS.iter().copied()
}

fn statuses() -> Vec<&'static str> {
    let mut words: Vec<_> = names::<session::Status>().collect();
    for word in names::<domain::AgentStatus>() {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}
