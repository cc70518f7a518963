//! Which problems a route may answer with, for the API's document: by status, each with an example.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::IntoResponses;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{Ref, RefOr};

use crate::domain::Reason;
use crate::http::problem::code::Code;
use crate::http::problem::{CONTENT_TYPE_PROBLEM, TYPE_PREFIX};

macro_rules! problem_sets {
    ($($(#[$doc:meta])* $name:ident: [$($code:expr),* $(,)?];)*) => {
        $(
            $(#[$doc])*
            pub(crate) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    describe(&[CALLER, &[$($code),*]].concat())
                }
            }
        )*
    };
}

problem_sets! {
    /// Of a page of sessions.
    ListProblems: [
        Code::UnknownParameter, Code::InvalidParameter,
        Code::UnsupportedFilter, Code::InvalidCursor, Code::CursorMismatch,
        Code::PositionBeyondHead, Code::NotCaughtUp, Code::FoldStopped, Code::TooManyWaiters,
        Code::Unavailable, Code::InternalError, Code::LogFailed,
    ];
    /// Of a page of agents.
    AgentListProblems: [
        Code::TenantRequired, Code::InvalidTenant, Code::UnknownParameter, Code::InvalidParameter,
        Code::InvalidCursor, Code::CursorMismatch, Code::PositionBeyondHead, Code::NotCaughtUp,
        Code::FoldStopped, Code::TooManyWaiters, Code::Unavailable, Code::InternalError,
        Code::LogFailed,
    ];
    /// Of a total of sessions.
    CountProblems: [
        Code::UnknownParameter, Code::InvalidParameter,
        Code::UnsupportedFilter, Code::PositionBeyondHead, Code::NotCaughtUp, Code::FoldStopped,
        Code::TooManyWaiters, Code::Unavailable, Code::InternalError, Code::LogFailed,
    ];
    /// Of a read of one thing.
    GetProblems: [
        Code::UnknownParameter, Code::InvalidParameter,
        Code::PositionBeyondHead, Code::Event(Reason::NotFound), Code::MethodNotAllowed, Code::NotCaughtUp,
        Code::FoldStopped, Code::TooManyWaiters, Code::Unavailable, Code::InternalError,
        Code::LogFailed,
    ];
    /// Of a page of events.
    EventsProblems: [
        Code::UnknownParameter, Code::InvalidParameter,
        Code::PositionBeyondHead, Code::NotCaughtUp, Code::FoldStopped, Code::TooManyWaiters,
        Code::Unavailable, Code::InternalError, Code::LogFailed,
    ];
    /// Of an append.
    AppendProblems: [
        Code::UnknownParameter, Code::InvalidParameter,
        Code::UnreadableBody, Code::InvalidBatch,
        Code::Event(Reason::NotJson), Code::Event(Reason::Invalid),
        Code::Event(Reason::UnknownType),
        Code::ReservedType, Code::Event(Reason::TenantMismatch),
        Code::Event(Reason::AgentSuspended), Code::Event(Reason::AgentRevoked),
        Code::Event(Reason::ScopeExceeded),
        Code::Event(Reason::NotFound),
        Code::Event(Reason::IdReused), Code::Event(Reason::AlreadyExists),
        Code::Event(Reason::NotActive), Code::Event(Reason::AlreadyEnded),
        Code::Event(Reason::SessionExpired), Code::Event(Reason::Superseded),
        Code::Event(Reason::ParkingFull), Code::Event(Reason::AlreadySuspended),
        Code::Event(Reason::NotSuspended), Code::Event(Reason::AlreadyRevoked),
        Code::RequestTimeout, Code::RequestTooLarge, Code::BatchTooLarge, Code::Event(Reason::TooLarge),
        Code::UnsupportedMediaType,
        Code::Event(Reason::UnknownParent), Code::Event(Reason::MetadataTooLarge),
        Code::Event(Reason::DeadlineNotAfterTime),
        Code::FoldBehind, Code::FoldStopped, Code::TooManyWaiters, Code::NotReady,
        Code::Unavailable, Code::Unconfirmed, Code::VerdictUnreadable, Code::LogFailed, Code::InternalError,
    ];
    /// Of a command.
    CommandProblems: [
        Code::UnknownParameter, Code::InvalidParameter,
        Code::InvalidIdempotencyKey, Code::UnreadableBody,
        Code::Event(Reason::NotJson), Code::Event(Reason::Invalid),
        Code::Event(Reason::AgentSuspended), Code::Event(Reason::AgentRevoked),
        Code::Event(Reason::AgentExpired), Code::Event(Reason::OtherAgent),
        Code::Event(Reason::ScopeExceeded),
        Code::Event(Reason::NotFound), Code::MethodNotAllowed,
        Code::Event(Reason::IdReused), Code::Event(Reason::AlreadyExists),
        Code::Event(Reason::NotActive), Code::Event(Reason::SessionExpired),
        Code::Event(Reason::Superseded), Code::Event(Reason::TokenStale),
        Code::Event(Reason::AlreadySuspended), Code::Event(Reason::NotSuspended),
        Code::Event(Reason::AlreadyRevoked), Code::TokensOfAnotherNode,
        Code::RequestTimeout, Code::RequestTooLarge, Code::Event(Reason::TooLarge),
        Code::UnsupportedMediaType,
        Code::Event(Reason::UnknownParent), Code::Event(Reason::AgentNotRegistered),
        Code::Event(Reason::MetadataTooLarge), Code::Event(Reason::DeadlineNotAfterTime),
        Code::FoldBehind, Code::FoldStopped, Code::TooManyWaiters, Code::NotReady,
        Code::Unavailable, Code::Unconfirmed, Code::VerdictUnreadable, Code::LogFailed, Code::InternalError,
    ];
    /// Of asking about a token.
    IntrospectProblems: [
        Code::UnknownParameter, Code::InvalidParameter,
        Code::UnreadableBody, Code::Event(Reason::NotJson), Code::Event(Reason::Invalid),
        Code::PositionBeyondHead, Code::RequestTimeout, Code::RequestTooLarge,
        Code::UnsupportedMediaType, Code::NotCaughtUp, Code::FoldStopped, Code::TooManyWaiters,
        Code::NotReady, Code::Unavailable, Code::InternalError, Code::LogFailed,
    ];
    /// Of issuing a key.
    IssueKeyProblems: [
        Code::UnknownParameter, Code::UnreadableBody, Code::Event(Reason::NotJson),
        Code::Event(Reason::Invalid), Code::CredentialsOff, Code::TooManyKeys,
        Code::RequestTimeout,
        Code::RequestTooLarge, Code::UnsupportedMediaType,
        Code::Event(Reason::DeadlineNotAfterTime), Code::NotCaughtUp, Code::NotReady,
        Code::Unavailable, Code::Unconfirmed, Code::InternalError, Code::LogFailed,
    ];
    /// Of a page of keys.
    ListKeysProblems: [Code::UnknownParameter, Code::InvalidParameter];
    /// Of changes of keys.
    KeyHistoryProblems: [
        Code::UnknownParameter, Code::InvalidParameter, Code::Unavailable,
        Code::InternalError, Code::LogFailed,
    ];
    /// Of revoking a key.
    RevokeKeyProblems: [
        Code::UnknownParameter, Code::InvalidParameter, Code::CredentialsOff,
        Code::Event(Reason::NotFound), Code::LastAdminKey, Code::NotCaughtUp, Code::NotReady,
        Code::Unavailable, Code::Unconfirmed, Code::InternalError, Code::LogFailed,
    ];
}

/// What any route of the API may answer, before it looks at anything but the caller.
const CALLER: &[Code] = &[
    Code::TenantRequired,
    Code::InvalidTenant,
    Code::SeveralCredentials,
    Code::CredentialRequired,
    Code::InvalidCredential,
    Code::TenantForbidden,
    Code::RoleRequired,
    Code::AgentBound,
    Code::RateLimited,
];

/// Of asking whether the server is ready, which anybody may.
pub(crate) struct ReadyProblems;

impl IntoResponses for ReadyProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        describe(&[Code::NotReady])
    }
}

fn describe(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<String, Vec<Code>> = BTreeMap::new();
    for code in codes {
        let status = code.status().as_str().to_owned();
        let codes = by_status.entry(status).or_default();
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    let described = by_status.into_iter().map(|(status, codes)| {
        let words: Vec<String> = codes
            .iter()
            .map(|code| format!("`{}`", code.as_str()))
            .collect();
        let examples = codes.iter().map(|code| {
            let example = ExampleBuilder::new()
                .summary(code.title())
                .value(Some(example(*code)));
            (code.as_str(), example)
        });
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .examples_from_iter(examples);
        let response = ResponseBuilder::new()
            .description(words.join(", "))
            .content(CONTENT_TYPE_PROBLEM, content.build());
        (status, response.into())
    });
    described.collect()
}

fn example(code: Code) -> serde_json::Value {
    json!({
        "type": format!("{TYPE_PREFIX}{}", code.as_str()),
        "title": code.title(),
        "status": code.status().as_u16(),
        "detail": code.advice(),
        "code": code.as_str(),
        "instance": "0198c7a0-5e0f-7d3a-9c43-1f6a2b3c4d5e",
    })
}
