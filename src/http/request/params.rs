//! The query parameters of the API.
//!
//! A route reads and documents its parameters from the same list, so the two cannot differ.

use serde_json::{Value, json};

use crate::domain::limits::{
    EVENTS_PAGE_MAX, EXPORT_PAGE_EVENTS_DEFAULT, EXPORT_PAGE_EVENTS_MAX, FILTER_AGENTS_MAX,
    HOOK_TTL_SECONDS, OTLP_TTL_SECONDS, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, TEXT_CHARS_MAX,
    TTL_SECONDS_MAX,
};
use crate::domain::session::{Outcome, Status};
use crate::domain::{AgentStatus, EventType, VerdictKind};
use crate::http::request::param::{
    Flag, Number, OptionalFlag, Param, Range, Text, Texts, Time, Word, Words,
};
use crate::projection::{Order, RejectionCode};
use crate::wire::schema;

/// Events of a page without a limit in the request.
const EVENTS_PAGE_DEFAULT: u16 = 100;

/// A position or an offset, at most a signed number of 64 bits: many clients have no larger ones.
const COUNTER: Range = Range {
    min: 0,
    max: i64::MAX as u64,
};
const COUNTER_FROM_0: Number = Number {
    range: COUNTER,
    default: 0,
};

/// How many rows a page has at most.
const ROWS: Number = Number {
    range: Range {
        min: 1,
        max: PAGE_ROWS_MAX as u64,
    },
    default: PAGE_ROWS_DEFAULT as u64,
};

pub(crate) const AGENT_IDS: Param<Texts> = Param {
    name: "agent_id",
    about: "Only sessions of this agent; repeat it for several. Cannot be combined with project_id, \
            parent_session_id or user_id.",
    component: Some("AgentIds"),
    shape: Texts {
        one: an_id,
        max: FILTER_AGENTS_MAX,
    },
};
pub(crate) const PARENT_SESSION_ID: Param<Text> = Param {
    name: "parent_session_id",
    about: "Only sessions that this session opened, by creation or by a hand-off. Cannot be combined with \
            agent_id, project_id or user_id.",
    component: Some("ParentSessionId"),
    shape: Text(an_id),
};
pub(crate) const USER_ID: Param<Text> = Param {
    name: "user_id",
    about: "Only sessions that run for this person, as their events say. Cannot be combined with agent_id, \
            project_id or parent_session_id.",
    component: Some("UserId"),
    shape: Text(a_user),
};
pub(crate) const ROOT: Param<OptionalFlag> = Param {
    name: "root",
    about: "With true only sessions without a parent, with false only those that another session opened.",
    component: Some("Root"),
    shape: OptionalFlag,
};
pub(crate) const AGENT_ID: Param<Text> = Param {
    name: "agent_id",
    about: "Only events of this agent and its sessions.",
    component: Some("AgentId"),
    shape: Text(an_id),
};
pub(crate) const HOOK_AGENT: Param<Text> = Param {
    name: "agent_id",
    about: "The agent of the sessions; by default the name of the runtime.",
    component: Some("HookAgent"),
    shape: Text(an_id),
};
pub(crate) const HOOK_PROJECT: Param<Text> = Param {
    name: "project_id",
    about: "The project of the sessions.",
    component: Some("HookProject"),
    shape: Text(a_project),
};
pub(crate) const HOOK_TTL: Param<Number> = Param {
    name: "ttl_seconds",
    about: "How long after its last start, prompt or end of a turn a session expires.",
    component: Some("HookTtl"),
    shape: Number {
        range: Range {
            min: 1,
            max: TTL_SECONDS_MAX,
        },
        default: HOOK_TTL_SECONDS,
    },
};
pub(crate) const TRACE_AGENT: Param<Text> = Param {
    name: "agent_id",
    about: "The agent of sessions whose spans name neither an agent nor a service; by default `unknown`.",
    component: Some("TraceAgent"),
    shape: Text(an_id),
};
pub(crate) const TRACE_TTL: Param<Number> = Param {
    name: "ttl_seconds",
    about: "How long after its last span a session expires.",
    component: Some("TraceTtl"),
    shape: Number {
        range: Range {
            min: 1,
            max: TTL_SECONDS_MAX,
        },
        default: OTLP_TTL_SECONDS,
    },
};
pub(crate) const PROJECT_ID: Param<Text> = Param {
    name: "project_id",
    about: "Only sessions of this project. A UUID matches in any case. Cannot be combined with \
            agent_id, parent_session_id or user_id.",
    component: Some("ProjectId"),
    shape: Text(a_project),
};
pub(crate) const SESSION_ID: Param<Text> = Param {
    name: "session_id",
    about: "Only events about this session.",
    component: Some("SessionId"),
    shape: Text(an_id),
};
pub(crate) const STATUS: Param<Words<Status>> = Param {
    name: "status",
    about: "Only sessions in this status. Repeat it for several: status=active&status=expired.",
    component: Some("SessionStatus"),
    shape: Words::any(),
};
pub(crate) const OUTCOME: Param<Words<Outcome>> = Param {
    name: "outcome",
    about: "Only sessions that were terminated with this outcome. Repeat it for several. With status, sessions of \
            the other statuses that it names are listed as well.",
    component: Some("SessionOutcome"),
    shape: Words::any(),
};
pub(crate) const AGENT_TYPE: Param<Text> = Param {
    name: "agent_type",
    about: "Only agents of this type. Agents that only sessions have named have the type unknown.",
    component: Some("AgentType"),
    shape: Text(any_text),
};
pub(crate) const AGENT_STATUS: Param<Words<AgentStatus>> = Param {
    name: "status",
    about: "Only agents in this status. Repeat it for several: status=suspended&status=revoked.",
    component: Some("AgentStatus"),
    shape: Words::any(),
};
pub(crate) const TRUST_LEVEL: Param<Text> = Param {
    name: "trust_level",
    about: "Only agents of this trust level.",
    component: Some("TrustLevel"),
    shape: Text(any_text),
};
pub(crate) const CREATED_AFTER: Param<Time> = Param {
    name: "created_after",
    about: "Only sessions created at this time or later.",
    component: Some("CreatedAfter"),
    shape: Time,
};
pub(crate) const CREATED_BEFORE: Param<Time> = Param {
    name: "created_before",
    about: "Only sessions created before this time.",
    component: Some("CreatedBefore"),
    shape: Time,
};
pub(crate) const ROWS_LIMIT: Param<Number> = Param {
    name: "limit",
    about: "The most rows of the page.",
    component: Some("RowsLimit"),
    shape: ROWS,
};
pub(crate) const WINDOW: Param<Number> = Param {
    name: "window",
    about: "How many of the newest rows to follow. With 0, only the totals.",
    component: Some("Window"),
    shape: Number {
        range: Range {
            min: 0,
            max: PAGE_ROWS_MAX as u64,
        },
        default: PAGE_ROWS_DEFAULT as u64,
    },
};
pub(crate) const FOLLOW: Param<Flag> = Param {
    name: "follow",
    about: "Whether the stream goes on when the client has everything. With false it ends there.",
    component: Some("Follow"),
    shape: Flag(true),
};
pub(crate) const EVENTS_LIMIT: Param<Number> = Param {
    name: "limit",
    about: "The most events of the page.",
    component: Some("EventsLimit"),
    shape: Number {
        range: Range {
            min: 1,
            max: EVENTS_PAGE_MAX as u64,
        },
        default: EVENTS_PAGE_DEFAULT as u64,
    },
};
pub(crate) const OFFSET: Param<Number> = Param {
    name: "offset",
    about: "How many rows to skip, newest first. The cost is the same at any depth, but new rows \
            move the others. Use cursor to see each row once.",
    component: Some("Offset"),
    shape: COUNTER_FROM_0,
};
pub(crate) const KEYS_LIMIT: Param<Number> = Param {
    name: "limit",
    about: "The most keys of the page.",
    component: Some("KeysLimit"),
    shape: ROWS,
};
pub(crate) const KEYS_OFFSET: Param<Number> = Param {
    name: "offset",
    about: "How many keys to skip, newest first.",
    component: Some("KeysOffset"),
    shape: COUNTER_FROM_0,
};
pub(crate) const CHANGES_LIMIT: Param<Number> = Param {
    name: "limit",
    about: "The most changes of the page.",
    component: Some("ChangesLimit"),
    shape: ROWS,
};
pub(crate) const CHANGES_AFTER: Param<Number> = Param {
    name: "after",
    about: "How many changes to skip: next_after of the previous page.",
    component: Some("ChangesAfter"),
    shape: COUNTER_FROM_0,
};
pub(crate) const CURSOR: Param<Text> = Param {
    name: "cursor",
    about: "next_cursor of the previous page, with the same filters. Only the offset 0 may be \
            given beside it.",
    component: Some("Cursor"),
    shape: Text(a_cursor),
};
pub(crate) const MIN_POSITION: Param<Range> = Param {
    name: "min_position",
    about: "The server waits until it shows this position. Give the position from the answer to a \
            write to read what you wrote.",
    component: Some("MinPosition"),
    shape: COUNTER,
};
pub(crate) const AS_OF: Param<Text> = Param {
    name: "as_of",
    about: "Show the state at a past position or RFC 3339 time, or the present one (now). The cursors \
            of its pages keep that state, whatever happens meanwhile.",
    component: Some("AsOf"),
    shape: Text(a_state),
};
pub(crate) const UNTIL_STATE: Param<Text> = Param {
    name: "until",
    about: "The end of the export: a position, an RFC 3339 time by the clock of the log, or now, which is the \
            default.",
    component: Some("UntilState"),
    shape: Text(a_state),
};
pub(crate) const UNTIL_POSITION: Param<Range> = Param {
    name: "until",
    about: "Only events up to this position, with the verdicts that they had there. By default the last \
            position that the server shows. Give the same for all pages of an export.",
    component: Some("UntilPosition"),
    shape: COUNTER,
};
pub(crate) const EXPORT_LIMIT: Param<Number> = Param {
    name: "limit",
    about: "The most events of the page.",
    component: Some("ExportLimit"),
    shape: Number {
        range: Range {
            min: 1,
            max: EXPORT_PAGE_EVENTS_MAX as u64,
        },
        default: EXPORT_PAGE_EVENTS_DEFAULT as u64,
    },
};
pub(crate) const AFTER_POSITION: Param<Number> = Param {
    name: "after",
    about: "Only events after this position: next_after of the previous page.",
    component: Some("AfterPosition"),
    shape: COUNTER_FROM_0,
};
pub(crate) const AFTER_NUMBER: Param<Number> = Param {
    name: "after",
    about: "How many events of the session to skip: next_after of the previous page.",
    component: Some("AfterNumber"),
    shape: COUNTER_FROM_0,
};
pub(crate) const AFTER_SESSION: Param<Text> = Param {
    name: "after",
    about: "The last descendant of the previous page: its next_after.",
    component: Some("AfterSession"),
    shape: Text(an_id),
};
pub(crate) const RECORDED_AFTER: Param<Time> = Param {
    name: "recorded_after",
    about: "Only events that the log recorded at this time or later.",
    component: None,
    shape: Time,
};
pub(crate) const RECORDED_BEFORE: Param<Time> = Param {
    name: "recorded_before",
    about: "Only events that the log recorded before this time.",
    component: None,
    shape: Time,
};
pub(crate) const BEFORE_POSITION: Param<Range> = Param {
    name: "before",
    about: "Only events before this position: next_before of the previous page.",
    component: Some("BeforePosition"),
    shape: COUNTER,
};
pub(crate) const ORDER: Param<Word<Order>> = Param {
    name: "order",
    about: "Which events come first, by position: by default the oldest. With newest, give next_before \
            of this page as before to read the next page.",
    component: Some("EventsOrder"),
    shape: Word::any(),
};
pub(crate) const TYPES: Param<Words<EventType>> = Param {
    name: "type",
    about: "Only events of this type. Repeat it for several.",
    component: Some("EventTypes"),
    shape: Words::any(),
};
pub(crate) const VERDICTS: Param<Words<VerdictKind>> = Param {
    name: "verdict",
    about: "Only events with this verdict. Repeat it for several.",
    component: Some("Verdicts"),
    shape: Words::any(),
};
pub(crate) const REASONS: Param<Words<RejectionCode>> = Param {
    name: "reason",
    about: "Only events that were rejected for this reason, or parked events. Repeat it for several.",
    component: Some("RejectionReasons"),
    shape: Words::any_of(rejection_codes),
};
pub(crate) const EVENTS_PROJECT: Param<Text> = Param {
    name: "project_id",
    about: "Only events about sessions of this project. A UUID matches in any case.",
    component: Some("EventsProjectId"),
    shape: Text(a_project),
};
pub(crate) const SOURCE: Param<Text> = Param {
    name: "source",
    about: "Only events with exactly this source. The ledger reads each event to compare it, at most 1,000 for a \
            page.",
    component: Some("EventSource"),
    shape: Text(a_source),
};
pub(crate) const ACTOR: Param<Text> = Param {
    name: "actor",
    about: "Only events with exactly this actor. The ledger reads each event to compare it, at most 1,000 for a \
            page.",
    component: Some("EventActor"),
    shape: Text(a_user),
};
pub(crate) const WAIT: Param<Flag> = Param {
    name: "wait",
    about: "Whether to wait for the verdicts. With false the server answers as soon as the log has \
            stored the events.",
    component: Some("Wait"),
    shape: Flag(true),
};

pub(crate) const STRICT: Param<Flag> = Param {
    name: "strict",
    about: "Whether to reject events whose data has members that their type does not know. By \
            default such members have no effect, and the answer lists them as `ignored`.",
    component: Some("Strict"),
    shape: Flag(false),
};

fn rejection_codes() -> Vec<&'static str> {
    RejectionCode::all().map(RejectionCode::as_str).collect()
}

fn any_text() -> Value {
    json!({"type": "string"})
}

/// The id of a session or an agent.
pub(crate) fn an_id() -> Value {
    schema::for_clients(schema::named_id(""))
}

/// Reads a text of any characters.
pub(crate) fn a_text(text: &str) -> Result<Box<str>, String> {
    if TEXT_CHARS_MAX < text.chars().count() {
        return Err(format!("must have at most {TEXT_CHARS_MAX} characters"));
    }
    Ok(text.into())
}

fn a_user() -> Value {
    json!({"type": "string", "maxLength": TEXT_CHARS_MAX})
}

fn a_source() -> Value {
    schema::for_clients(schema::source_text(""))
}

fn a_project() -> Value {
    schema::for_clients(schema::opaque_id(""))
}

/// In base64url without padding: 25 bytes, or 49 of a past state. The first is the version.
fn a_cursor() -> Value {
    json!({"type": "string", "pattern": "^A([Q-Za-f][A-Za-z0-9_-]{31}[AQgw]|[g-v][A-Za-z0-9_-]{63}[AQgw])$"})
}
fn a_state() -> Value {
    json!({"anyOf": [
        {"type": "string", "pattern": "^(now|[0-9]{1,19})$"},
        {"type": "string", "format": "date-time"},
    ]})
}
