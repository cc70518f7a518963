//! Query parameters as data: what each is called, what it takes, and how it is described.
//!
//! A route reads and documents its parameters from the same list, so the two cannot differ.

use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::openapi::{RefOr, Required};

use crate::domain::limits::{EVENTS_PAGE_MAX, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::domain::session::Status;
use crate::domain::{AgentStatus, EventType};
use crate::http::raw_schema::raw;
use crate::projection::RejectionCode;
use crate::wire::schema;

/// Events of a page when the caller names no number.
const EVENTS_PAGE_DEFAULT: u16 = 100;

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) shape: Shape,
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// What may be in it is described by a JSON Schema.
    Text(fn() -> Value),
    Time,
    Boolean {
        default: bool,
    },
    Integer(IntegerRange),
    Word(fn() -> Vec<&'static str>),
    /// May be given more than once.
    Words(fn() -> Vec<&'static str>),
}

/// Which numbers a parameter takes, and which one it is if absent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IntegerRange {
    pub(crate) min: u64,
    pub(crate) max: u64,
    pub(crate) default: Option<u64>,
}

/// Every position or offset: up to what a signed number of 64 bits holds, as many clients have.
const COUNTER: IntegerRange = IntegerRange {
    min: 0,
    max: i64::MAX as u64,
    default: None,
};

pub(crate) const AGENT_ID: Param = Param {
    name: "agent_id",
    about: "Only what concerns this agent.",
    shape: Shape::Text(an_id),
};
pub(crate) const PROJECT_ID: Param = Param {
    name: "project_id",
    about: "Only sessions of this project; a UUID in any case. Cannot be combined with agent_id.",
    shape: Shape::Text(a_project),
};
pub(crate) const SESSION_ID: Param = Param {
    name: "session_id",
    about: "Only events about this session.",
    shape: Shape::Text(an_id),
};
pub(crate) const STATUS: Param = Param {
    name: "status",
    about: "Only sessions in this status. Repeat it for several: status=active&status=expired.",
    shape: Shape::Words(|| Status::ALL.iter().map(|status| status.as_str()).collect()),
};
pub(crate) const AGENT_TYPE: Param = Param {
    name: "agent_type",
    about: "Only agents of this type. Those that only sessions speak of have the type unknown.",
    shape: Shape::Text(any_text),
};
pub(crate) const AGENT_STATUS: Param = Param {
    name: "status",
    about: "Only agents in this status. Repeat it for several: status=suspended&status=revoked.",
    shape: Shape::Words(|| {
        AgentStatus::ALL
            .iter()
            .map(|status| status.as_str())
            .collect()
    }),
};
pub(crate) const TRUST_LEVEL: Param = Param {
    name: "trust_level",
    about: "Only agents of this trust level.",
    shape: Shape::Text(any_text),
};
pub(crate) const CREATED_AFTER: Param = Param {
    name: "created_after",
    about: "Only sessions created at this time or later.",
    shape: Shape::Time,
};
pub(crate) const CREATED_BEFORE: Param = Param {
    name: "created_before",
    about: "Only sessions created before this time.",
    shape: Shape::Time,
};
pub(crate) const ROWS_LIMIT: Param = limit_of_rows("Most rows of the page.");
pub(crate) const EVENTS_LIMIT: Param = Param {
    name: "limit",
    about: "Most events of the page.",
    shape: Shape::Integer(IntegerRange {
        min: 1,
        max: EVENTS_PAGE_MAX as u64,
        default: Some(EVENTS_PAGE_DEFAULT as u64),
    }),
};
pub(crate) const OFFSET: Param = Param {
    name: "offset",
    about: "How many rows to skip, newest first. Costs the same at any depth, but what \
            arrives meanwhile moves the rows: use cursor to see each row once.",
    shape: Shape::Integer(IntegerRange {
        default: Some(0),
        ..COUNTER
    }),
};
pub(crate) const KEYS_LIMIT: Param = limit_of_rows("Most keys of the page.");
pub(crate) const KEYS_OFFSET: Param = Param {
    name: "offset",
    about: "How many keys to skip, those issued last first.",
    shape: Shape::Integer(IntegerRange {
        default: Some(0),
        ..COUNTER
    }),
};
pub(crate) const CHANGES_LIMIT: Param = limit_of_rows("Most changes of the page.");
pub(crate) const CHANGES_AFTER: Param = Param {
    name: "after",
    about: "How many changes to skip: next_after of the page before.",
    shape: Shape::Integer(IntegerRange {
        default: Some(0),
        ..COUNTER
    }),
};
pub(crate) const CURSOR: Param = Param {
    name: "cursor",
    about: "next_cursor of the page before, of a listing with the same filters. Cannot be combined \
            with another offset than 0.",
    shape: Shape::Text(a_cursor),
};
pub(crate) const MIN_POSITION: Param = Param {
    name: "min_position",
    about: "Answer only once the ledger shows this position: give the position that an append \
            answered with to read your own write.",
    shape: Shape::Integer(COUNTER),
};
pub(crate) const AFTER_POSITION: Param = Param {
    name: "after",
    about: "Only events after this position: next_after of the page before.",
    shape: Shape::Integer(IntegerRange {
        default: Some(0),
        ..COUNTER
    }),
};
pub(crate) const AFTER_NUMBER: Param = Param {
    name: "after",
    about: "How many of the session's events to skip: next_after of the page before.",
    shape: Shape::Integer(IntegerRange {
        default: Some(0),
        ..COUNTER
    }),
};
pub(crate) const BEFORE_POSITION: Param = Param {
    name: "before",
    about: "Only events before this position: next_before of the page before.",
    shape: Shape::Integer(COUNTER),
};
pub(crate) const TYPE: Param = Param {
    name: "type",
    about: "Only events of this type.",
    shape: Shape::Word(|| EventType::ALL.iter().map(|known| known.as_str()).collect()),
};
pub(crate) const REASON: Param = Param {
    name: "reason",
    about: "Only events rejected for this reason, or those that are parked.",
    shape: Shape::Word(|| RejectionCode::all().map(RejectionCode::as_str).collect()),
};
pub(crate) const WAIT: Param = Param {
    name: "wait",
    about: "Whether to wait for the verdicts. With false the answer comes as soon as the log keeps \
            the events.",
    shape: Shape::Boolean { default: true },
};

pub(crate) const STRICT: Param = Param {
    name: "strict",
    about: "Whether to refuse events whose data has members that their type does not know. Without it \
            they are kept, have no effect, and the answer names them as `ignored`.",
    shape: Shape::Boolean { default: false },
};

fn any_text() -> Value {
    json!({"type": "string"})
}

/// The id of a session or an agent.
pub(crate) fn an_id() -> Value {
    schema::named_id("")
}

fn a_project() -> Value {
    schema::opaque_id("")
}

/// 25 bytes, of which the first is the version, in base64url without padding.
fn a_cursor() -> Value {
    json!({"type": "string", "pattern": "^A[Q-Za-f][A-Za-z0-9_-]{31}[AQgw]$"})
}

/// How many rows a page has at most.
const fn limit_of_rows(about: &'static str) -> Param {
    Param {
        name: "limit",
        about,
        shape: Shape::Integer(IntegerRange {
            min: 1,
            max: PAGE_ROWS_MAX as u64,
            default: Some(PAGE_ROWS_DEFAULT as u64),
        }),
    }
}

impl Param {
    /// Its description for the API's document.
    pub(crate) fn describe(&self) -> Parameter {
        let parameter = ParameterBuilder::new()
            .name(self.name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(self.about))
            .schema(Some(self.shape.schema()));
        match self.shape {
            Shape::Words(_) => parameter
                .style(Some(ParameterStyle::Form))
                .explode(Some(true))
                .build(),
            Shape::Text(_)
            | Shape::Time
            | Shape::Boolean { .. }
            | Shape::Integer(_)
            | Shape::Word(_) => parameter.build(),
        }
    }
}

impl Shape {
    fn schema(self) -> RefOr<Schema> {
        let typed = |schema_type| ObjectBuilder::new().schema_type(schema_type);
        match self {
            Self::Text(schema) => raw(schema()).into(),
            Self::Time => typed(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
                .into(),
            Self::Boolean { default } => typed(Type::Boolean)
                .default(Some(Value::Bool(default)))
                .into(),
            Self::Integer(range) => typed(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                .minimum(Some(range.min))
                .maximum(Some(range.max))
                .default(range.default.map(Value::from))
                .into(),
            Self::Word(words) => typed(Type::String).enum_values(Some(words())).into(),
            Self::Words(words) => ArrayBuilder::new()
                .items(typed(Type::String).enum_values(Some(words())))
                .into(),
        }
    }
}
