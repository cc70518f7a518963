//! What the ledger knows: ids, events, commands, the session and agent state machines, and their
//! limits.
//!
//! Nothing here does I/O, reads a clock or is asynchronous. Every function depends only on its
//! arguments, so the read model depends only on the log.
#![warn(missing_docs)]
#![warn(clippy::wildcard_enum_match_arm)]

pub mod agent;
pub mod backoff;
pub mod causes;
pub mod command;
pub mod event;
pub mod filter;
pub mod ids;
pub mod limits;
pub mod metadata;
pub mod private;
mod profile;
pub mod rules;
pub mod scopes;
pub mod session;
pub mod time;
pub mod tls_failure;
pub mod verdict;

pub use agent::{Agent, AgentStatus};
pub use backoff::backoff;
pub use causes::WithCauses;
pub use event::{AgentEvent, Event, EventKey, EventType, Payload, SessionEvent};
pub use filter::{AgentFilter, AgentIds, OutcomeSet, SessionFilter, StatusSet, TimeRange};
pub use ids::{AgentId, EventId, Position, ProjectId, SessionId, Source, TenantId};
pub use metadata::Metadata;
pub use private::{Private, TokenHash, TokenHashes};
pub use profile::{TextField, TextKind};
pub use rules::{Rules, RulesHistory};
pub use scopes::Scopes;
pub use session::{Session, SessionStatus};
pub use time::{Clock, Moment, Timestamp};
pub use tls_failure::{TlsFailure, tls_failure};
pub use verdict::{Reason, Verdict, VerdictKind};
