//! The bodies of the API as Rust types. The OpenAPI document describes them, the command line parses
//! them, and handlers write them except for rows of listings, which are written by hand for speed.
//!
//! Every field of an answer is always present, and null if it has no value. Exceptions say so.

mod agent;
mod common;
mod event;
mod frame;
mod hook;
mod key;
mod request;
mod session;
mod sign_in;
mod trace;
pub(crate) mod words;

pub use agent::{Agent, AgentChanged, AgentList};
pub use common::{
    AsOf, CommandPending, ExportEnd, FieldError, Health, LogEnd, LogEnds, Problem, Status,
    StatusCaller, Totals,
};
pub use event::{
    AppendAnswer, Appended, BatchItem, BatchResult, Event, EventList, EventSeen, Rejections,
    SessionEvents,
};
pub use frame::{Bye, EventFrame, ServerSentEvent, SessionFrame};
pub use hook::{HookInput, HookOutput};
pub use key::{IssuedKey, Key, KeyChange, KeyHistory, KeyList, NewKey};
pub use request::{
    ChangeAgent, CreateSession, EventOrBatch, HandOffSession, IntrospectToken, IssueKey,
    RefreshSession, RegisterAgent, TerminateSession, UpdateAgent,
};
pub use session::{
    Descendant, Introspection, Lineage, Session, SessionCount, SessionEnded, SessionList,
    SessionTokens,
};
pub use sign_in::{SignIn, SignInCode};
pub use trace::{ExportTraceRequest, ExportTraceResponse, PartialSuccess};
