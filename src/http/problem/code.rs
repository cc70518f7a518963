//! Codes and statuses: the one place that decides how a failure or a verdict looks to a client.
//!
//! | status | when |
//! |---|---|
//! | 400 | the request or the event is not well formed |
//! | 401 | there is no credential, or none that is valid |
//! | 403 | the credential, the tenant, the agent or its scopes do not allow it |
//! | 404 | there is no such thing, or it is another tenant's |
//! | 408 | the request's body took too long to arrive |
//! | 409 | the request contradicts what the ledger knows by now |
//! | 413, 415 | too large, or a content type that is not taken |
//! | 421 | a host name that is not this machine's own, while there are no credentials |
//! | 422 | well formed, but it refers to or amounts to something impossible |
//! | 429 | the credential makes more requests than it may |
//! | 503 | try again; `Retry-After` says when |

use axum::http::StatusCode;

use crate::domain::{Reason, Verdict};
use crate::ledger::command::CommandError;
use crate::ledger::{AppendError, Refused};
use crate::log::{LogError, WithCauses};
use crate::query::{CursorError, QueryError};

use crate::http::problem::Problem;
use crate::projection::StoreError;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $code:literal $status:ident $advice:literal;)*) => {
        /// What went wrong, as a word that clients can rely on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $($(#[$doc])* $name,)*
            /// The fold's own reasons, also where an event is refused before it is written.
            Event(Reason),
        }

        impl Code {
            /// Every code but those of events.
            #[cfg(test)]
            pub(crate) const OF_REQUESTS: &'static [Self] = &[$(Self::$name,)*];

            /// The stable word.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                    Self::Event(reason) => reason.code(),
                }
            }

            /// What is wrong and what to do, where no more is known.
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
    TenantRequired "tenant_required" BAD_REQUEST "send the header X-Tenant-ID with the tenant's id";
    /// What it names is no tenant id.
    InvalidTenant "invalid_tenant" BAD_REQUEST "X-Tenant-ID must be given once and hold 1 to 64 of the characters A-Z, a-z, 0-9, `_` and `-`";
    /// Two credentials that differ.
    SeveralCredentials "several_credentials" BAD_REQUEST "the request shows two different credentials; send one, in X-API-Key or in Authorization";
    /// Nobody in particular asks.
    CredentialRequired "credential_required" UNAUTHORIZED "send an API key as `X-API-Key: KEY` or `Authorization: Bearer KEY`, or a token as `Authorization: Bearer TOKEN`";
    /// Unknown, revoked, expired or malformed: it is not told which.
    InvalidCredential "invalid_credential" UNAUTHORIZED "the credential is not valid here, or no longer; ask who gave it to you for another one";
    /// The credential is another tenant's.
    TenantForbidden "tenant_forbidden" FORBIDDEN "X-Tenant-ID names a tenant that the credential is not for; leave the header out, or use that tenant's credential";
    /// The credential may not do this.
    RoleRequired "role_required" FORBIDDEN "the credential lacks the role that this route needs";
    /// The credential may act for one agent alone.
    AgentBound "agent_bound" FORBIDDEN "the credential is bound to an agent: it sees and runs the sessions of that agent, and does nothing else";
    /// Nobody in particular asks for a change of keys.
    CredentialsOff "credentials_off" FORBIDDEN "this server asks nobody for credentials, so it changes no keys: whoever reaches it could make one that outlives it; use `session-ledger keys` with --data-dir or --nats-url, or a server that asks for credentials";
    /// The tenant has as many keys as it may have.
    TooManyKeys "too_many_keys" CONFLICT "the tenant has 1000 keys that are not revoked, and may not have more; revoke those that nobody uses, expired ones too";
    /// Nobody with a key could change keys any more.
    LastAdminKey "last_admin_key" CONFLICT "it is the tenant's last key with the role admin, and nobody with a key could issue another; issue one first, or revoke it by `session-ledger keys` with --data-dir or --nats-url";
    /// The credential asks too often.
    RateLimited "rate_limited" TOO_MANY_REQUESTS "the credential makes more requests than it may; the header Retry-After says in how many seconds the next one is answered";
    /// A query parameter that the route does not have.
    UnknownParameter "unknown_parameter" BAD_REQUEST "the request has a query parameter that this route does not know";
    /// A parameter with a value that it cannot have.
    InvalidParameter "invalid_parameter" BAD_REQUEST "a parameter has a value that it cannot have; `errors` names it";
    /// A pair of filters without an index.
    UnsupportedFilter "unsupported_filter" BAD_REQUEST "agent_id and project_id cannot be combined; filter by one and select by the other from the answer";
    /// Not a cursor.
    InvalidCursor "invalid_cursor" BAD_REQUEST "the cursor is not one of this API; take next_cursor from a page as it is";
    /// A cursor of another listing.
    CursorMismatch "cursor_mismatch" BAD_REQUEST "the cursor belongs to a listing with other filters; start this one without a cursor";
    /// A position that the log has not reached.
    PositionBeyondHead "position_beyond_head" CONFLICT "min_position is beyond the end of the log; use a position that an append answered with";
    /// Not a key for retries.
    InvalidIdempotencyKey "invalid_idempotency_key" BAD_REQUEST "Idempotency-Key must be given once and hold 1 to 255 visible characters of ASCII";
    /// A batch with events that are unfit.
    InvalidBatch "invalid_batch" BAD_REQUEST "nothing was written, because some events of the batch are unfit; `errors` names them by index";
    /// The body broke off.
    UnreadableBody "unreadable_body" BAD_REQUEST "the request's body could not be read to its end";
    /// An event that the ledger alone may write.
    ReservedType "reserved_type" FORBIDDEN "events of this type are written by the ledger alone";
    /// No such route.
    RouteNotFound "route_not_found" NOT_FOUND "there is no such route; /openapi.json lists those there are";
    /// No such method on this route.
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "the route does not take this method; the header Allow lists those it takes";
    /// The body did not arrive.
    RequestTimeout "request_timeout" REQUEST_TIMEOUT "nothing was written, because the request's body did not arrive within 30 s; send it again";
    /// Not one name, as HTTP/1.1 demands.
    HostRequired "host_required" BAD_REQUEST "a request of HTTP/1.1 needs the header Host once, with the host name of the server";
    /// A name that is not this machine's own.
    UnknownHost "unknown_host" MISDIRECTED_REQUEST "without credentials the server answers only to localhost and loopback addresses; use one of these, or start it with --trust-network";
    /// The body is too long.
    RequestTooLarge "request_too_large" PAYLOAD_TOO_LARGE "the request's body is longer than 8388608 bytes";
    /// The batch has too many events.
    BatchTooLarge "batch_too_large" PAYLOAD_TOO_LARGE "the batch has more than 1000 events; send it in parts";
    /// A content type that is not taken.
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "send application/cloudevents+json, application/cloudevents-batch+json or application/json in UTF-8, or an event in binary mode with ce- headers";
    /// A coding of content that is not taken.
    UnsupportedEncoding "unsupported_content_encoding" UNSUPPORTED_MEDIA_TYPE "the body is coded in a way that is not taken here, or several times; send it as it is, or as one of those that the header Accept-Encoding lists";
    /// A retry whose first answer came from a node that makes other tokens.
    TokensOfAnotherNode "tokens_of_another_node" CONFLICT "this command was applied before, through a server with another token secret, which alone can tell its tokens again; retry there, and give all servers of a ledger the same --token-secret-file";
    /// The server cannot serve yet, or no more.
    NotReady "not_ready" SERVICE_UNAVAILABLE "the server is not ready";
    /// The fold is too far behind for a verdict in time.
    FoldBehind "fold_behind" SERVICE_UNAVAILABLE "nothing was written, because the fold is too far behind to give a verdict in time; try again, or send with wait=false";
    /// The fold has stopped.
    FoldStopped "fold_stopped" SERVICE_UNAVAILABLE "the fold has stopped; the server's log says why";
    /// The read model has not reached the position asked for.
    NotCaughtUp "not_caught_up" SERVICE_UNAVAILABLE "the read model has not reached that position in time; try again";
    /// The server has no room for the connection.
    ServerFull "server_full" SERVICE_UNAVAILABLE "nothing was done: the server has as many connections as it may, and all of them are in use; try again";
    /// The client, or clients together, do not read.
    AnswersUnread "answers_unread" SERVICE_UNAVAILABLE "nothing was done: the answers that this connection has not read are as many as the server keeps; read them, then try again";
    /// Too many requests wait.
    TooManyWaiters "too_many_waiters" SERVICE_UNAVAILABLE "too many requests wait for the fold; try again";
    /// The log is down. Nothing was written.
    Unavailable "unavailable" SERVICE_UNAVAILABLE "the log is unavailable and nothing was written; try again";
    /// The log may have written it.
    Unconfirmed "unconfirmed" SERVICE_UNAVAILABLE "the log did not confirm the append in time, so it may or may not be written; sending it again with the same source and id is safe";
    /// The events are written, but nobody can say what became of them.
    VerdictUnreadable "verdict_unreadable" INTERNAL_SERVER_ERROR "the events are written, but their verdicts could not be read; sending them again with the same source and id is safe";
    /// The log is damaged.
    LogFailed "log_failed" INTERNAL_SERVER_ERROR "the log failed in a way that an operator must look at";
    /// A bug, or a read model that cannot be read.
    InternalError "internal_error" INTERNAL_SERVER_ERROR "the server failed; its log has the reason under this request's id";
}

/// Status of an event that was rejected, or that is refused because it would be.
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

/// Status of an event that is on the log; `None` is no verdict yet.
pub(crate) fn verdict_status(verdict: Option<Verdict>) -> StatusCode {
    match verdict {
        Some(Verdict::Applied) => StatusCode::CREATED,
        Some(Verdict::Duplicate(_)) => StatusCode::OK,
        Some(Verdict::Parked) | None => StatusCode::ACCEPTED,
        Some(Verdict::Rejected(reason)) => reason_status(reason),
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
        LogError::Held(_)
        | LogError::Gap { .. }
        | LogError::Truncated { .. }
        | LogError::Misconfigured(_)
        | LogError::Damaged(_) => Code::LogFailed,
    }
}

/// For those who did not want to write.
const UNAVAILABLE_TO_READ: &str = "the log is unavailable; try again";

impl Problem {
    /// Of a request that writes nothing.
    pub(crate) fn of_read(error: LogError) -> Self {
        match log_code(&error) {
            Code::Unavailable => Self::from(error).with_detail(UNAVAILABLE_TO_READ),
            _ => Self::from(error),
        }
    }

    /// Of a read that waited in vain.
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
                tracing::debug!("the log refuses writes: {}", WithCauses(&why));
                Self::new(code).with_detail(format!(
                    "nothing was written, because the log refuses writes at present: {why}; try again"
                ))
            }
            LogError::TooLarge { bytes_max } => {
                tracing::warn!("the log did not do as asked: {error}");
                Self::new(code).with_detail(format!(
                    "nothing was written, because the event is longer than the log takes: {bytes_max} \
                     bytes with its headers"
                ))
            }
            _ if code == Code::LogFailed => {
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
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(
            error.cause = cause,
            "reading the read model failed: {error}"
        );
        Self::new(Code::InternalError)
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Store(error) => error.into(),
            QueryError::Log(error) => Self::of_read(error),
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
            AppendError::Verdict(error) => {
                tracing::error!("reading verdicts failed: {error}");
                Self::new(Code::VerdictUnreadable)
            }
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(refused) => Self::from(refused).for_command(),
            CommandError::AgentBound => Self::new(Code::AgentBound),
            CommandError::Read(error) => error.into(),
            CommandError::Reused(position) => {
                let detail = format!(
                    "this Idempotency-Key came before with another refresh token, or with a \
                     credential for another agent, for the command at position {position}; give \
                     every command its own key"
                );
                Self::new(Code::Event(Reason::IdReused)).with_detail(detail)
            }
            CommandError::Append(error) => Self::from(error).for_command(),
            CommandError::Log(error) => Self::from(error).for_command(),
            CommandError::OtherSecret(position) => Self::new(Code::TokensOfAnotherNode)
                .with_detail(format!(
                    "{} (its event stands at position {position})",
                    Code::TokensOfAnotherNode.advice()
                )),
        }
    }
}

impl Problem {
    /// A command has no source and id of its own to be sent again with.
    pub(crate) fn for_command(self) -> Self {
        let detail = match self.code() {
            Code::Unconfirmed => {
                "the log did not confirm the command in time, so it may or may not be written; \
                 giving it again with the same Idempotency-Key is safe"
            }
            Code::VerdictUnreadable => {
                "the command is written, but its verdict could not be read; giving it again with \
                 the same Idempotency-Key is safe"
            }
            Code::FoldBehind => {
                "nothing was written, because the fold is too far behind to give a verdict in \
                 time; try again"
            }
            Code::Event(Reason::Invalid) => {
                "the request is not what this call takes; `errors` names the fields; nothing was \
                 written"
            }
            _ => return self,
        };
        self.with_detail(detail)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
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

/// The code of an event that is not fit for the log, and what is wrong field by field.
pub(crate) fn refused_parts(refused: &Refused) -> (Code, Vec<(String, String)>) {
    match refused {
        Refused::Undecodable(undecodable) => {
            let errors = undecodable.errors.iter();
            let pairs = errors.map(|error| (error.field.clone(), error.message.clone()));
            (Code::Event(undecodable.reason), pairs.collect())
        }
        Refused::Reserved(_) => {
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

    #[test]
    fn codes_are_unique_and_failures_are_errors() {
        let all: Vec<Code> = Code::OF_REQUESTS
            .iter()
            .copied()
            .chain(Reason::ALL.iter().copied().map(Code::Event))
            .collect();
        let mut words: Vec<&str> = all.iter().map(|code| code.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all.len());
        for code in all {
            assert!(code.status().is_client_error() || code.status().is_server_error());
            assert!(!code.advice().is_empty());
        }
    }

    #[test]
    fn a_title_is_the_code_as_words() {
        assert_eq!(Code::Event(Reason::IdReused).title(), "Id reused");
    }
}
