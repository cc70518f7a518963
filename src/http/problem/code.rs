//! Codes and statuses: the one place that decides how a failure looks to a client.
//!
//! | status | when |
//! |---|---|
//! | 400 | the request or the event is not well formed |
//! | 401 | there is no credential, or none that is valid |
//! | 403 | the credential, the tenant, the agent or its scopes do not allow it |
//! | 404 | there is no such thing, or it belongs to another tenant |
//! | 408 | the body of the request took too long to arrive |
//! | 409 | the request contradicts the current state of the ledger |
//! | 413, 415 | too large, or a content type that the route does not accept |
//! | 421 | the host name is not one of this machine, on a server without credentials |
//! | 422 | well formed, but it refers to something that does not exist, or its result is not allowed |
//! | 429 | the credential sends more requests than its limit allows |
//! | 503 | try again; `Retry-After` says when |

use axum::http::StatusCode;

use crate::domain::{Reason, WithCauses};
use crate::ledger::command::CommandError;
use crate::ledger::{AppendError, SubmissionError};
use crate::log::LogError;
use crate::query::{CursorError, QueryError};

use crate::http::problem::Problem;
use crate::projection::StoreError;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $code:literal $status:ident $advice:literal;)*) => {
        /// What went wrong, as a stable word that clients can act on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $($(#[$doc])* $name,)*
            /// A reason of the fold, also where an event is rejected before it is written.
            Event(Reason),
        }

        impl Code {
            /// Every code but those of events.
            const OF_REQUESTS: &'static [Self] = &[$(Self::$name,)*];

            /// Every code.
            pub(crate) fn all() -> impl Iterator<Item = Self> {
                let of_events = Reason::ALL.iter().copied().map(Self::Event);
                Self::OF_REQUESTS.iter().copied().chain(of_events)
            }

            /// The stable word.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                    Self::Event(reason) => reason.code(),
                }
            }

            /// What is wrong and what to do, if nothing more specific is known.
            pub(crate) fn advice(self) -> &'static str {
                match self {
                    $(Self::$name => $advice,)*
                    Self::Event(reason) => reason.advice(),
                }
            }

            /// Whether the caller is rejected (401, 403).
            pub(crate) fn rejects_caller(self) -> bool {
                matches!(self.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            }

            pub(crate) fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)*
                    Self::Event(reason) => reason_status(reason),
                }
            }
        }
    };
}

codes! {
    /// The request names no tenant.
    TenantRequired "tenant_required" BAD_REQUEST "send the header X-Tenant-ID with the id of the tenant";
    /// The header names no valid tenant id.
    InvalidTenant "invalid_tenant" BAD_REQUEST "X-Tenant-ID must be given once and hold 1 to 64 of the characters A-Z, a-z, 0-9, `_` and `-`";
    /// Two credentials that differ.
    SeveralCredentials "several_credentials" BAD_REQUEST "the request has two different credentials; send one, in X-API-Key or in Authorization";
    /// The request has no credential.
    CredentialRequired "credential_required" UNAUTHORIZED "send an API key as `X-API-Key: KEY` or `Authorization: Bearer KEY`, or a token as `Authorization: Bearer TOKEN`";
    /// Unknown, revoked, expired or malformed. The caller does not learn which.
    InvalidCredential "invalid_credential" UNAUTHORIZED "the credential is not valid on this server, or no longer valid; ask its issuer for another one";
    /// The credential belongs to another tenant.
    TenantForbidden "tenant_forbidden" FORBIDDEN "the credential is not for the tenant in X-Tenant-ID; leave the header out, or use a credential of that tenant";
    /// The credential lacks the role.
    RoleRequired "role_required" FORBIDDEN "the credential lacks the role that this route needs";
    /// The credential may act for one agent only.
    AgentBound "agent_bound" FORBIDDEN "the credential is bound to an agent: it may only read and run the sessions of that agent";
    /// A server without credentials does not know who changes a key.
    CredentialsOff "credentials_off" FORBIDDEN "this server accepts every caller, so it changes no keys; use `session-ledger keys` with --data-dir or --nats-url, or a server that needs credentials";
    /// The tenant has as many keys as it may have.
    TooManyKeys "too_many_keys" CONFLICT "the tenant has 1000 keys that are not revoked, which is the limit; revoke unused and expired keys first";
    /// After this, no key could change keys.
    LastAdminKey "last_admin_key" CONFLICT "this is the tenant's last key with the role admin, and no other key could issue a new one; issue one first, or revoke this one by `session-ledger keys` with --data-dir or --nats-url";
    /// Not a code that this server has made, or no longer valid. The caller does not learn which.
    InvalidSignIn "invalid_sign_in_code" UNPROCESSABLE_ENTITY "this server knows no such sign-in code: a code is valid once, for 60 s, and only on the server that made it; `session-ledger ui` prints a link with another one";
    /// Too many sign-in codes are valid.
    TooManySignInCodes "too_many_sign_in_codes" SERVICE_UNAVAILABLE "too many sign-in codes are valid; try again when some have expired, which takes up to 60 s";
    /// The credential sends too many requests.
    RateLimited "rate_limited" TOO_MANY_REQUESTS "the credential sends more requests than its limit allows; wait for as many seconds as the header Retry-After says";
    /// A query parameter that the route does not have.
    UnknownParameter "unknown_parameter" BAD_REQUEST "the request has a query parameter that this route does not know";
    /// A parameter with a value that it cannot have.
    InvalidParameter "invalid_parameter" BAD_REQUEST "a parameter has a value that is not allowed; `errors` names it";
    /// A pair of filters without an index.
    UnsupportedFilter "unsupported_filter" BAD_REQUEST "these filters cannot be combined; filter by one of them, and select by the other in the client";
    /// Not a cursor.
    InvalidCursor "invalid_cursor" BAD_REQUEST "the cursor is not one of this API; send next_cursor of a page unchanged";
    /// A cursor of another listing.
    CursorMismatch "cursor_mismatch" BAD_REQUEST "the cursor belongs to a listing with other filters; start this listing without a cursor";
    /// A past state, on a server that keeps none.
    HistoryOff "history_off" BAD_REQUEST "this server runs with --no-history, so it knows the present only; leave as_of out, or ask another node";
    /// A past state whose answer would take too long.
    TooManyEntries "too_many_entries" UNPROCESSABLE_ENTITY "the answer as of this position would take too long; page by cursor instead of by offset, or narrow the range of creation times";
    /// A position that the log has not reached.
    PositionBeyondHead "position_beyond_head" CONFLICT "a position in the query is beyond the end of the log; use one from an answer of this ledger";
    /// Not an idempotency key.
    InvalidIdempotencyKey "invalid_idempotency_key" BAD_REQUEST "Idempotency-Key must be given once and have 1 to 255 visible ASCII characters";
    /// A batch with invalid events.
    InvalidBatch "invalid_batch" BAD_REQUEST "nothing was written, because some events of the batch are invalid; `errors` names them by index";
    /// The body broke off.
    UnreadableBody "unreadable_body" BAD_REQUEST "the server could not read the body of the request to its end";
    /// An event that only the ledger may write.
    ReservedType "reserved_type" FORBIDDEN "only the ledger itself writes events of this type";
    /// No such route.
    RouteNotFound "route_not_found" NOT_FOUND "there is no such route; /openapi.json lists all routes";
    /// No such method on this route.
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "the route does not accept this method; the header Allow lists the methods that it accepts";
    /// The body did not arrive.
    RequestTimeout "request_timeout" REQUEST_TIMEOUT "nothing was written, because the body of the request did not arrive within 30 s; send the request again";
    /// No host name, or several.
    HostRequired "host_required" BAD_REQUEST "a request of HTTP/1.1 needs the header Host once, with the host name of the server";
    /// A host name other than those of this machine.
    UnknownHost "unknown_host" MISDIRECTED_REQUEST "without credentials the server answers only to localhost and loopback addresses; use one of these, or start the server with --trust-network";
    /// The body is too long.
    RequestTooLarge "request_too_large" PAYLOAD_TOO_LARGE "the body of the request is longer than 8388608 bytes";
    /// The batch has too many events.
    BatchTooLarge "batch_too_large" PAYLOAD_TOO_LARGE "the batch has more than 1000 events; send it in parts";
    /// A content type that the route does not accept.
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "send application/cloudevents+json, application/cloudevents-batch+json or application/json in UTF-8, or an event in binary mode with ce- headers";
    /// A content encoding that the server does not accept.
    UnsupportedEncoding "unsupported_content_encoding" UNSUPPORTED_MEDIA_TYPE "the server does not accept this Content-Encoding, or the body is encoded several times; send the body without one, or with one that the header Accept-Encoding lists";
    /// A retry whose first answer came from a node with another token secret.
    TokensOfAnotherNode "tokens_of_another_node" CONFLICT "this command was applied through a server with another token secret, and only that server can repeat its tokens; send the retry there, and give all servers of a ledger the same --token-secret-file";
    /// The server is starting or stopping.
    NotReady "not_ready" SERVICE_UNAVAILABLE "the server is not ready";
    /// The fold is too far behind for a verdict in time.
    FoldBehind "fold_behind" SERVICE_UNAVAILABLE "nothing was written, because the fold is too far behind to give a verdict in time; try again, or send with wait=false";
    /// The fold has stopped.
    FoldStopped "fold_stopped" SERVICE_UNAVAILABLE "the fold has stopped; the log of the server says why";
    /// The read model has not reached the position of the request.
    NotCaughtUp "not_caught_up" SERVICE_UNAVAILABLE "the read model has not reached that position in time; try again";
    /// The file of the read model failed.
    Degraded "degraded" SERVICE_UNAVAILABLE "the file of the read model has failed, and the server is mending it from its log; try again";
    /// The server has no room for the connection.
    ServerFull "server_full" SERVICE_UNAVAILABLE "nothing was done, because all connections of the server are in use; try again";
    /// The client, or clients together, do not read.
    AnswersUnread "answers_unread" SERVICE_UNAVAILABLE "nothing was done, because this connection has too many answers that the client has not read; read them, then try again";
    /// Too many requests wait.
    TooManyWaiters "too_many_waiters" SERVICE_UNAVAILABLE "too many requests wait for the fold; try again";
    /// Too many streams are open.
    TooManyFollowers "too_many_followers" SERVICE_UNAVAILABLE "too many streams are open; try again, or read pages";
    /// The log is down. Nothing was written.
    Unavailable "unavailable" SERVICE_UNAVAILABLE "the log is unavailable and nothing was written; try again";
    /// The log may have written it.
    Unconfirmed "unconfirmed" SERVICE_UNAVAILABLE "the log did not confirm the append in time, so it may or may not be written; it is safe to send it again with the same source and id";
    /// The events are written, but their verdicts cannot be read.
    VerdictUnreadable "verdict_unreadable" INTERNAL_SERVER_ERROR "the events are written, but their verdicts could not be read; it is safe to send them again with the same source and id";
    /// The log failed, and a retry at once does not help.
    LogFailed "log_failed" INTERNAL_SERVER_ERROR "the log failed in a way that an operator must look at";
    /// A record is missing or damaged.
    RecordLost "record_lost" INTERNAL_SERVER_ERROR "a record of the log is missing or damaged, and an operator must look at the log; `session-ledger backup` names every such record";
    /// A bug, or a read model that cannot be read.
    InternalError "internal_error" INTERNAL_SERVER_ERROR "the server failed; its log has the reason under the id of this request";
}

/// The status of an event that was rejected, or would be.
fn reason_status(reason: Reason) -> StatusCode {
    match reason {
        Reason::NotJson | Reason::Invalid | Reason::UnknownType | Reason::SubjectMismatch => {
            StatusCode::BAD_REQUEST
        }
        Reason::TenantMismatch
        | Reason::AgentSuspended
        | Reason::AgentRevoked
        | Reason::AgentExpired
        | Reason::OtherAgent
        | Reason::ScopeExceeded => StatusCode::FORBIDDEN,
        Reason::NotFound => StatusCode::NOT_FOUND,
        // A stale token is a lost race between two refreshes, not a missing credential: 409, as 401
        // would ask the client to authenticate.
        Reason::IdReused
        | Reason::AlreadyExists
        | Reason::NotActive
        | Reason::AlreadyEnded
        | Reason::SessionExpired
        | Reason::Superseded
        | Reason::RefreshedSince
        | Reason::NotDue
        | Reason::ParkingFull
        | Reason::ParkingExpired
        | Reason::TokenStale
        | Reason::AlreadySuspended
        | Reason::NotSuspended
        | Reason::AlreadyRevoked => StatusCode::CONFLICT,
        Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::UnknownParent
        | Reason::AgentNotRegistered
        | Reason::MetadataTooLarge
        | Reason::DeadlineNotAfterTime => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

impl Code {
    /// When to try again, in seconds.
    pub(crate) fn retry_after_s(self) -> Option<u8> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1)
    }

    /// The code as words.
    pub(crate) fn title(self) -> String {
        let mut title = self.as_str().replace('_', " ");
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        title
    }
}

/// The code of one record's failure.
pub(crate) fn log_code(error: &LogError) -> Code {
    match error {
        // No request appends under a guard; if one did, it could try again.
        LogError::Unavailable(_) | LogError::Refusing(_) | LogError::Overtaken => Code::Unavailable,
        LogError::Unconfirmed(_) => Code::Unconfirmed,
        LogError::TooLarge { .. } => Code::Event(Reason::TooLarge),
        LogError::Gap { .. } | LogError::Erased { .. } | LogError::Damaged(_) => Code::RecordLost,
        LogError::Held(_)
        | LogError::Truncated { .. }
        | LogError::Replaced { .. }
        | LogError::Misconfigured(_)
        | LogError::NotSynced(_) => Code::LogFailed,
    }
}

/// The detail of a read: it has nothing to write.
const UNAVAILABLE_TO_READ: &str = "the log is unavailable; try again";

impl Problem {
    /// The problem of a request that writes nothing.
    pub(crate) fn of_read(error: LogError) -> Self {
        match log_code(&error) {
            Code::Unavailable => Self::from(error).with_detail(UNAVAILABLE_TO_READ),
            _ => Self::from(error),
        }
    }

    /// The problem of a read that waited in vain.
    pub(crate) fn not_reached(log_is_available: bool) -> Self {
        if log_is_available {
            return Self::new(Code::NotCaughtUp);
        }
        Self::new(Code::Unavailable).with_detail(UNAVAILABLE_TO_READ)
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        let code = log_code(&error);
        match error {
            // The log itself says when that begins and when it ends.
            LogError::Refusing(why) => {
                let why = WithCauses(&why);
                tracing::debug!("the log refuses writes: {why}");
                Self::new(code).with_detail(format!(
                    "nothing was written, because the log refuses writes now: {why}; try again"
                ))
            }
            LogError::TooLarge { bytes_max } => {
                tracing::warn!("the log did not do as asked: {error}");
                Self::new(code).with_detail(format!(
                    "nothing was written, because the event is longer than the log accepts: \
                     {bytes_max} bytes with its headers"
                ))
            }
            _ if matches!(code, Code::LogFailed | Code::RecordLost) => {
                tracing::error!("the log failed: {}", WithCauses(&error));
                Self::new(code)
            }
            _ => {
                tracing::warn!("the log did not do as asked: {}", WithCauses(&error));
                Self::new(code)
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Behind { stopped: true, .. } => return Self::new(Code::FoldStopped),
            // The fold logs when that begins and when it ends.
            StoreError::Mending => return Self::new(Code::Degraded),
            StoreError::History(cause) => {
                tracing::warn!("the history file cannot be read: {}", WithCauses(&cause));
                return Self::new(Code::NotCaughtUp).with_detail(
                    "the history file is being opened or made again; try again, or leave as_of out",
                );
            }
            StoreError::TooManyEntries(_) => {
                return Self::new(Code::TooManyEntries).with_detail(error.to_string());
            }
            StoreError::Behind { .. } => {
                return Self::new(Code::NotCaughtUp).with_detail(format!("{error}; try again"));
            }
            _ => {}
        }
        tracing::error!("reading the read model failed: {}", WithCauses(&error));
        if error.is_being_mended() {
            return Self::new(Code::Degraded);
        }
        Self::new(Code::InternalError)
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Store(error) => error.into(),
            QueryError::Log(error) => Self::of_read(error),
            QueryError::NoDescendant => {
                Self::new(Code::InvalidParameter).with_error("after", error.to_string())
            }
            QueryError::OtherRecords { .. } => {
                tracing::error!("{error}");
                Self::new(Code::LogFailed).with_detail(error.to_string())
            }
            QueryError::TreeTooLarge => {
                Self::new(Code::UnsupportedFilter).with_detail(error.to_string())
            }
            QueryError::OneAgent => Self::new(Code::AgentBound).with_detail(error.to_string()),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Behind(lag) => {
                let lag_ms = lag.as_millis();
                Self::new(Code::FoldBehind).with_detail(format!(
                    "nothing was written, because the fold is {lag_ms} ms behind and could not give \
                     a verdict in time; try again, or send with wait=false"
                ))
            }
            AppendError::Starting => Self::new(Code::FoldBehind).with_detail(
                "nothing was written, because the server has just started and is still reading its \
                 log; try again",
            ),
            AppendError::Busy => Self::new(Code::TooManyWaiters),
            AppendError::Stopped => Self::new(Code::FoldStopped),
            AppendError::Verdict(_) | AppendError::Panicked(_) => {
                tracing::error!("an answer has no verdicts: {}", WithCauses(&error));
                Self::new(Code::VerdictUnreadable)
            }
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Submission(refused) => Self::from(refused).for_command(),
            CommandError::AgentBound => Self::new(Code::AgentBound),
            CommandError::Read(error) => error.into(),
            CommandError::Reused(position) => {
                let detail = format!(
                    "this Idempotency-Key was used before, for the command at position {position}, \
                     with another refresh token or a credential for another agent; give every \
                     command its own key"
                );
                Self::new(Code::Event(Reason::IdReused)).with_detail(detail)
            }
            CommandError::Append(error) => Self::from(error).for_command(),
            CommandError::Log(error) => Self::from(error).for_command(),
            CommandError::OtherSecret(position) => Self::new(Code::TokensOfAnotherNode)
                .with_detail(format!(
                    "{} (its event is at position {position})",
                    Code::TokensOfAnotherNode.advice()
                )),
        }
    }
}

impl Problem {
    /// The problem in the words of a command, which a client sends again by its idempotency key.
    pub(crate) fn for_command(self) -> Self {
        let detail = match self.code() {
            Code::Unconfirmed => {
                "the log did not confirm the command in time, so it may or may not be written; \
                 it is safe to send it again with the same Idempotency-Key"
            }
            Code::VerdictUnreadable => {
                "the command is written, but its verdict could not be read; it is safe to send it \
                 again with the same Idempotency-Key"
            }
            Code::FoldBehind => {
                "nothing was written, because the fold is too far behind to give a verdict in \
                 time; try again"
            }
            Code::Event(Reason::Invalid) => {
                "the body of the request is not valid for this call; `errors` names the fields; \
                 nothing was written"
            }
            _ => return self,
        };
        self.with_detail(detail)
    }
}

impl From<SubmissionError> for Problem {
    fn from(refused: SubmissionError) -> Self {
        let (code, errors) = refused_parts(&refused);
        let detail = match (code, errors.as_slice()) {
            (Code::Event(Reason::NotJson), [(_, flaw)]) => format!("the body {flaw}"),
            _ => code.advice().to_owned(),
        };
        Self::new(code)
            .with_detail(format!("{detail}; nothing was written"))
            .with_errors(errors)
    }
}

/// The code of an event that is rejected before it is written, and what is wrong field by field.
pub(crate) fn refused_parts(refused: &SubmissionError) -> (Code, Vec<(String, String)>) {
    match refused {
        SubmissionError::Undecodable(undecodable) => {
            let errors = undecodable.errors.iter();
            let pairs = errors.map(|error| (error.field.clone(), error.message.clone()));
            (Code::Event(undecodable.reason), pairs.collect())
        }
        SubmissionError::Reserved(_) => {
            let error = ("type".to_owned(), refused.to_string());
            (Code::ReservedType, vec![error])
        }
    }
}

impl From<CursorError> for Problem {
    fn from(error: CursorError) -> Self {
        let code = match error {
            CursorError::Malformed => Code::InvalidCursor,
            CursorError::OtherListing => Code::CursorMismatch,
        };
        Self::new(code).with_error("cursor", error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::{
        BATCH_EVENTS_MAX, BODY_BYTES_MAX, IDEMPOTENCY_KEY_CHARS_MAX, KEYS_PER_TENANT_MAX,
        PARKED_US_MAX, REQUEST_BODY_WAIT_MS, REQUEST_BYTES_MAX, SIGN_IN_CODE_US, TENANT_CHARS_MAX,
    };

    #[test]
    fn codes_are_unique_and_failures_are_errors() {
        let all: Vec<Code> = Code::all().collect();
        let mut words: Vec<&str> = all.iter().map(|code| code.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all.len());
        for code in all {
            assert!(code.status().is_client_error() || code.status().is_server_error());
            assert!(!code.advice().is_empty());
        }
    }

    /// Every number in a text, and the limit that it must be.
    #[test]
    fn the_numbers_in_texts_are_the_limits() {
        for code in Code::all() {
            let expected: &[u64] = match code {
                Code::InvalidTenant => &[1, TENANT_CHARS_MAX as u64, 0, 9],
                Code::InvalidIdempotencyKey => &[1, IDEMPOTENCY_KEY_CHARS_MAX as u64],
                Code::TooManyKeys => &[KEYS_PER_TENANT_MAX as u64],
                Code::RequestTimeout => &[REQUEST_BODY_WAIT_MS / 1000],
                Code::RequestTooLarge => &[REQUEST_BYTES_MAX as u64],
                Code::BatchTooLarge => &[BATCH_EVENTS_MAX as u64],
                Code::Event(Reason::TooLarge) => &[BODY_BYTES_MAX as u64],
                Code::Event(Reason::ParkingExpired) => &[PARKED_US_MAX as u64 / 3_600_000_000],
                Code::InvalidSignIn | Code::TooManySignInCodes => {
                    &[SIGN_IN_CODE_US.unsigned_abs() / 1_000_000]
                }
                // HTTP/1.1 and UTF-8.
                Code::HostRequired => &[1, 1],
                Code::UnsupportedMediaType | Code::Event(Reason::NotJson) => &[8],
                _ => &[],
            };
            let numbers = code.advice().split(|c: char| !c.is_ascii_digit());
            let numbers: Vec<u64> = numbers.filter_map(|text| text.parse().ok()).collect();
            assert_eq!(numbers, expected, "{}", code.advice());
        }
    }

    #[test]
    fn a_log_that_refuses_writes_says_why_with_all_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot write segment 7")]
        struct CannotWrite(#[source] std::io::Error);

        let full = CannotWrite(std::io::Error::other("no space left"));
        let problem = Problem::from(LogError::refusing(full));
        let why = "cannot write segment 7: no space left";
        assert!(problem.detail().contains(why), "{}", problem.detail());
    }

    #[test]
    fn a_title_is_the_code_as_words() {
        assert_eq!(Code::Event(Reason::IdReused).title(), "Id reused");
    }
}
