//! Which problems each operation may answer with, for the API's document.
//!
//! An operation refers to one shared response for each status. Which codes it may answer with stands in
//! the descriptions of these references, from which the document makes the operation's `x-codes`.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::response::Response;
use utoipa::openapi::{Ref, RefOr};

use crate::domain::Reason;
use crate::http::problem::code::Code;
use crate::http::problem::responses::reference;

macro_rules! problem_sets {
    ($($(#[$doc:meta])* $name:ident: $($codes:expr),+;)*) => {
        $(
            $(#[$doc])*
            pub(crate) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    describe(&[$($codes),+])
                }
            }
        )*
    };
}

/// Codes that several operations share.
type Codes = &'static [Code];

/// Any route may answer with these, whatever the request.
const EVERYWHERE: Codes = &[
    Code::HostRequired,
    Code::UnknownHost,
    Code::ServerFull,
    Code::AnswersUnread,
    Code::InternalError,
];

/// The server says whether it is alive and ready even if it has no room for anything else.
const HEALTH: Codes = &[Code::HostRequired, Code::UnknownHost, Code::InternalError];

/// Reads of a past state.
const PAST: Codes = &[Code::HistoryOff];

/// The answers to callers without a fitting credential, and of every route to bad queries.
const CALLER: Codes = &[
    Code::TenantRequired,
    Code::InvalidTenant,
    Code::SeveralCredentials,
    Code::CredentialRequired,
    Code::InvalidCredential,
    Code::TenantForbidden,
    Code::RoleRequired,
    Code::RateLimited,
    Code::UnknownParameter,
    Code::InvalidParameter,
];

/// Reads that may wait for a position.
const READ: Codes = &[
    Code::PositionBeyondHead,
    Code::NotCaughtUp,
    Code::Degraded,
    Code::FoldStopped,
    Code::TooManyWaiters,
    Code::Unavailable,
    Code::LogFailed,
    Code::RecordLost,
];

/// Pages of listings.
const PAGE: Codes = &[Code::InvalidCursor, Code::CursorMismatch];

/// A credential that is bound to an agent may not do this.
const NOT_BOUND: Codes = &[Code::AgentBound];

/// Requests with a body.
const BODY: Codes = &[
    Code::UnreadableBody,
    Code::Event(Reason::NotJson),
    Code::Event(Reason::Invalid),
    Code::RequestTimeout,
    Code::RequestTooLarge,
    Code::UnsupportedMediaType,
    Code::UnsupportedEncoding,
    Code::NotReady,
];

/// Whatever appends to the log and waits for the verdict.
const WRITE: Codes = &[
    Code::Event(Reason::IdReused),
    Code::Event(Reason::TooLarge),
    Code::FoldBehind,
    Code::Degraded,
    Code::FoldStopped,
    Code::TooManyWaiters,
    Code::Unavailable,
    Code::Unconfirmed,
    Code::VerdictUnreadable,
    Code::LogFailed,
    Code::RecordLost,
];

/// Every command has an idempotency key.
const IDEMPOTENCY: Codes = &[Code::InvalidIdempotencyKey];

/// A command about something that must exist.
const EXISTING: Codes = &[Code::Event(Reason::NotFound)];

/// A step of an agent that may not act.
const MAY_ACT: Codes = &[
    Code::Event(Reason::AgentSuspended),
    Code::Event(Reason::AgentRevoked),
    Code::Event(Reason::AgentExpired),
];

/// A path that also fits a route with other methods, such as `/v1/agent-sessions/count`.
const SHARED_PATH: Codes = &[Code::MethodNotAllowed];

/// A key is changed.
const CHANGE_KEYS: Codes = &[
    Code::CredentialsOff,
    Code::AgentBound,
    Code::NotCaughtUp,
    Code::NotReady,
    Code::Unavailable,
    Code::Unconfirmed,
    Code::LogFailed,
];

problem_sets! {
    /// A route that any caller may use.
    OpenProblems: EVERYWHERE;
    /// A new sign-in code.
    SignInCodeProblems: EVERYWHERE, CALLER, &[Code::TooManySignInCodes];
    /// The use of a sign-in code.
    SignInProblems: EVERYWHERE, &[Code::InvalidSignIn];
    /// The question whether the server is alive, which it answers even if it is full.
    AliveProblems: HEALTH;
    /// The question whether the server is ready.
    ReadyProblems: HEALTH, &[Code::NotReady];
    /// A page of sessions.
    ListProblems: EVERYWHERE, CALLER, READ, PAST, PAGE, NOT_BOUND, &[
        Code::UnsupportedFilter, Code::TooManyEntries,
    ];
    /// A page of agents.
    AgentListProblems: EVERYWHERE, CALLER, READ, PAST, PAGE, NOT_BOUND, &[Code::TooManyEntries];
    /// A total of sessions.
    CountProblems: EVERYWHERE, CALLER, READ, PAST, NOT_BOUND, &[
        Code::UnsupportedFilter, Code::TooManyEntries,
    ];
    /// A stream of sessions.
    SessionStreamProblems: EVERYWHERE, CALLER, READ, NOT_BOUND, SHARED_PATH, &[
        Code::UnsupportedFilter, Code::TooManyFollowers,
    ];
    /// A stream of events.
    EventStreamProblems: EVERYWHERE, CALLER, READ, &[Code::TooManyFollowers];
    /// A session.
    GetSessionProblems: EVERYWHERE, CALLER, READ, PAST, NOT_BOUND, EXISTING, SHARED_PATH;
    /// The lineage of a session.
    LineageProblems: EVERYWHERE, CALLER, READ, PAST, EXISTING, NOT_BOUND;
    /// An agent.
    GetAgentProblems: EVERYWHERE, CALLER, READ, PAST, NOT_BOUND, EXISTING;
    /// An event, or the history of a session.
    GetProblems: EVERYWHERE, CALLER, READ, EXISTING;
    /// A page of events.
    EventListProblems: EVERYWHERE, CALLER, READ, PAST, NOT_BOUND;
    /// What an export is made of.
    ExportProblems: EVERYWHERE, CALLER, READ, PAST, NOT_BOUND;
    /// A page of events for an export.
    ExportEventsProblems: EVERYWHERE, CALLER, READ, NOT_BOUND;
    /// Counts, or a page of an index.
    EventsProblems: EVERYWHERE, CALLER, READ;
    /// A page of rejected events.
    RejectionsProblems: EVERYWHERE, CALLER, READ, NOT_BOUND;
    /// An append.
    AppendProblems: EVERYWHERE, CALLER, BODY, WRITE, NOT_BOUND, EXISTING, MAY_ACT, &[
        Code::InvalidBatch, Code::BatchTooLarge, Code::ReservedType,
        Code::Event(Reason::UnknownType), Code::Event(Reason::TenantMismatch),
        Code::Event(Reason::ScopeExceeded), Code::Event(Reason::NotActive),
        Code::Event(Reason::AlreadyEnded), Code::Event(Reason::SessionExpired),
        Code::Event(Reason::Superseded), Code::Event(Reason::ParkingFull),
        Code::Event(Reason::AlreadySuspended), Code::Event(Reason::NotSuspended),
        Code::Event(Reason::AlreadyRevoked), Code::Event(Reason::UnknownParent),
        Code::Event(Reason::MetadataTooLarge), Code::Event(Reason::AlreadyExists),
        Code::Event(Reason::DeadlineNotAfterTime),
    ];
    /// A call of a hook, or an export of traces. Verdicts are no problems.
    HookProblems: EVERYWHERE, CALLER, BODY, NOT_BOUND, &[
        Code::FoldBehind, Code::Degraded, Code::FoldStopped, Code::TooManyWaiters,
        Code::Unavailable, Code::Unconfirmed, Code::VerdictUnreadable, Code::LogFailed,
        Code::RecordLost,
    ];
    /// The creation of a session.
    CreateProblems: EVERYWHERE, CALLER, BODY, WRITE, IDEMPOTENCY, MAY_ACT, &[
        Code::Event(Reason::OtherAgent), Code::Event(Reason::ScopeExceeded),
        Code::Event(Reason::AlreadyExists), Code::Event(Reason::SessionExpired),
        Code::Event(Reason::UnknownParent), Code::Event(Reason::AgentNotRegistered),
        Code::Event(Reason::DeadlineNotAfterTime), Code::TokensOfAnotherNode,
    ];
    /// A refresh.
    RefreshProblems: EVERYWHERE, CALLER, BODY, WRITE, IDEMPOTENCY, EXISTING, MAY_ACT, &[
        Code::Event(Reason::NotActive), Code::Event(Reason::SessionExpired),
        Code::Event(Reason::TokenStale), Code::Event(Reason::MetadataTooLarge),
        Code::Event(Reason::DeadlineNotAfterTime), Code::TokensOfAnotherNode,
    ];
    /// A hand-off.
    HandOffProblems: EVERYWHERE, CALLER, BODY, WRITE, IDEMPOTENCY, EXISTING, MAY_ACT, &[
        Code::Event(Reason::ScopeExceeded), Code::Event(Reason::AlreadyExists),
        Code::Event(Reason::NotActive), Code::Event(Reason::SessionExpired),
        Code::Event(Reason::AgentNotRegistered), Code::Event(Reason::DeadlineNotAfterTime),
        Code::TokensOfAnotherNode,
    ];
    /// A termination.
    TerminateProblems: EVERYWHERE, CALLER, BODY, WRITE, IDEMPOTENCY, EXISTING, SHARED_PATH, &[
        Code::Event(Reason::NotActive),
    ];
    /// The registration of an agent.
    RegisterProblems: EVERYWHERE, CALLER, BODY, WRITE, IDEMPOTENCY, NOT_BOUND, &[
        Code::Event(Reason::AlreadyExists), Code::Event(Reason::DeadlineNotAfterTime),
    ];
    /// An update of an agent.
    UpdateProblems: EVERYWHERE, CALLER, BODY, WRITE, IDEMPOTENCY, NOT_BOUND, EXISTING, &[
        Code::Event(Reason::AgentRevoked), Code::Event(Reason::DeadlineNotAfterTime),
    ];
    /// A suspension.
    SuspendProblems: EVERYWHERE, CALLER, BODY, WRITE, IDEMPOTENCY, NOT_BOUND, EXISTING, &[
        Code::Event(Reason::AgentRevoked),
    ];
    /// A reinstatement.
    ReinstateProblems: EVERYWHERE, CALLER, BODY, WRITE, IDEMPOTENCY, NOT_BOUND, EXISTING, &[
        Code::Event(Reason::AgentRevoked), Code::Event(Reason::NotSuspended),
    ];
    /// A revocation of an agent.
    RevokeProblems: EVERYWHERE, CALLER, BODY, WRITE, IDEMPOTENCY, NOT_BOUND, EXISTING;
    /// The question whether a token is active.
    IntrospectProblems: EVERYWHERE, CALLER, BODY, READ;
    /// The issue of a key.
    IssueKeyProblems: EVERYWHERE, CALLER, BODY, CHANGE_KEYS, &[
        Code::TooManyKeys, Code::Event(Reason::DeadlineNotAfterTime),
        Code::Event(Reason::TooLarge),
    ];
    /// A page of keys.
    ListKeysProblems: EVERYWHERE, CALLER, NOT_BOUND;
    /// A page of changes of keys.
    KeyHistoryProblems: EVERYWHERE, CALLER, NOT_BOUND, &[
        Code::Unavailable, Code::LogFailed, Code::RecordLost,
    ];
    /// The revocation of a key.
    RevokeKeyProblems: EVERYWHERE, CALLER, CHANGE_KEYS, EXISTING, SHARED_PATH, &[
        Code::LastAdminKey, Code::Event(Reason::TooLarge),
    ];
}

/// A reference to the shared response of each status, described by the codes that it may have.
fn describe(groups: &[Codes]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for code in groups.iter().copied().flatten() {
        let words = by_status.entry(code.status().as_str().to_owned());
        words.or_default().push(code.as_str());
    }
    let referring = by_status.into_iter().map(|(status, mut words)| {
        words.sort_unstable();
        words.dedup();
        let mut response = Ref::new(reference(&status));
        response.description = words.join(", ");
        (status, RefOr::Ref(response))
    });
    referring.collect()
}
