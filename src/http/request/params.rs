//! Query parameters as data: what each is called, what it takes, and how it is described.
//!
//! A route reads and documents its parameters from the same list, so the two cannot differ.

use serde_json::{Value, json};
use strum::VariantNames;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
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

/// Events of a page without a limit in the request.
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
    /// Its JSON Schema.
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

/// The words of an enum.
fn names<T: VariantNames>() -> Vec<&'static str> {
    T::VARIANTS.to_vec()
}

/// A position or an offset, at most a signed number of 64 bits: many clients have no larger ones.
const COUNTER: IntegerRange = IntegerRange {
    min: 0,
    max: i64::MAX as u64,
    default: None,
};

pub(crate) const AGENT_ID: Param = Param {
    name: "agent_id",
    about: "Only sessions or events of this agent.",
    shape: Shape::Text(an_id),
};
pub(crate) const PROJECT_ID: Param = Param {
    name: "project_id",
    about: "Only sessions of this project. A UUID matches in any case. Cannot be combined with \
            agent_id.",
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
    shape: Shape::Words(names::<Status>),
};
pub(crate) const AGENT_TYPE: Param = Param {
    name: "agent_type",
    about: "Only agents of this type. Agents that only sessions have named have the type unknown.",
    shape: Shape::Text(any_text),
};
pub(crate) const AGENT_STATUS: Param = Param {
    name: "status",
    about: "Only agents in this status. Repeat it for several: status=suspended&status=revoked.",
    shape: Shape::Words(names::<AgentStatus>),
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
pub(crate) const ROWS_LIMIT: Param = limit_of_rows("The most rows of the page.");
pub(crate) const EVENTS_LIMIT: Param = Param {
    name: "limit",
    about: "The most events of the page.",
    shape: Shape::Integer(IntegerRange {
        min: 1,
        max: EVENTS_PAGE_MAX as u64,
        default: Some(EVENTS_PAGE_DEFAULT as u64),
    }),
};
pub(crate) const OFFSET: Param = Param {
    name: "offset",
    about: "How many rows to skip, newest first. The cost is the same at any depth, but new rows \
            move the others. Use cursor to see each row once.",
    shape: Shape::Integer(IntegerRange {
        default: Some(0),
        ..COUNTER
    }),
};
pub(crate) const KEYS_LIMIT: Param = limit_of_rows("The most keys of the page.");
pub(crate) const KEYS_OFFSET: Param = Param {
    name: "offset",
    about: "How many keys to skip, newest first.",
    shape: Shape::Integer(IntegerRange {
        default: Some(0),
        ..COUNTER
    }),
};
pub(crate) const CHANGES_LIMIT: Param = limit_of_rows("The most changes of the page.");
pub(crate) const CHANGES_AFTER: Param = Param {
    name: "after",
    about: "How many changes to skip: next_after of the previous page.",
    shape: Shape::Integer(IntegerRange {
        default: Some(0),
        ..COUNTER
    }),
};
pub(crate) const CURSOR: Param = Param {
    name: "cursor",
    about: "next_cursor of the previous page, with the same filters. Only the offset 0 may be \
            given beside it.",
    shape: Shape::Text(a_cursor),
};
pub(crate) const MIN_POSITION: Param = Param {
    name: "min_position",
    about: "The server waits until it shows this position. Give the position from the answer to a \
            write to read what you wrote.",
    shape: Shape::Integer(COUNTER),
};
pub(crate) const AFTER_POSITION: Param = Param {
    name: "after",
    about: "Only events after this position: next_after of the previous page.",
    shape: Shape::Integer(IntegerRange {
        default: Some(0),
        ..COUNTER
    }),
};
pub(crate) const AFTER_NUMBER: Param = Param {
    name: "after",
    about: "How many events of the session to skip: next_after of the previous page.",
    shape: Shape::Integer(IntegerRange {
        default: Some(0),
        ..COUNTER
    }),
};
pub(crate) const BEFORE_POSITION: Param = Param {
    name: "before",
    about: "Only events before this position: next_before of the previous page.",
    shape: Shape::Integer(COUNTER),
};
pub(crate) const TYPE: Param = Param {
    name: "type",
    about: "Only events of this type.",
    shape: Shape::Word(names::<EventType>),
};
pub(crate) const REASON: Param = Param {
    name: "reason",
    about: "Only events that were rejected for this reason, or parked events.",
    shape: Shape::Word(|| RejectionCode::all().map(RejectionCode::as_str).collect()),
};
pub(crate) const WAIT: Param = Param {
    name: "wait",
    about: "Whether to wait for the verdicts. With false the server answers as soon as the log has \
            stored the events.",
    shape: Shape::Boolean { default: true },
};

pub(crate) const STRICT: Param = Param {
    name: "strict",
    about: "Whether to reject events whose data has members that their type does not know. By \
            default such members have no effect, and the answer lists them as `ignored`.",
    shape: Shape::Boolean { default: false },
};

/// The names of the parameters in the API's document, where operations refer to them. Several have the
/// same name in queries, and differ.
const COMPONENTS: &[(&str, Param)] = &[
    ("AgentId", AGENT_ID),
    ("ProjectId", PROJECT_ID),
    ("SessionId", SESSION_ID),
    ("SessionStatus", STATUS),
    ("AgentType", AGENT_TYPE),
    ("AgentStatus", AGENT_STATUS),
    ("TrustLevel", TRUST_LEVEL),
    ("CreatedAfter", CREATED_AFTER),
    ("CreatedBefore", CREATED_BEFORE),
    ("RowsLimit", ROWS_LIMIT),
    ("EventsLimit", EVENTS_LIMIT),
    ("Offset", OFFSET),
    ("KeysLimit", KEYS_LIMIT),
    ("KeysOffset", KEYS_OFFSET),
    ("ChangesLimit", CHANGES_LIMIT),
    ("ChangesAfter", CHANGES_AFTER),
    ("Cursor", CURSOR),
    ("MinPosition", MIN_POSITION),
    ("AfterPosition", AFTER_POSITION),
    ("AfterNumber", AFTER_NUMBER),
    ("BeforePosition", BEFORE_POSITION),
    ("EventType", TYPE),
    ("RejectionReason", REASON),
    ("Wait", WAIT),
    ("Strict", STRICT),
];

/// Carries the name of a parameter's component from its description to the document.
pub(crate) const COMPONENT_EXTENSION: &str = "x-component";

/// The extension of a parameter that is a component with this name.
pub(crate) fn component(name: &str) -> Extensions {
    Extensions::from_iter([(COMPONENT_EXTENSION, name)])
}

fn any_text() -> Value {
    json!({"type": "string"})
}

/// The id of a session or an agent.
pub(crate) fn an_id() -> Value {
    schema::for_clients(schema::named_id(""))
}

fn a_project() -> Value {
    schema::for_clients(schema::opaque_id(""))
}

/// 25 bytes in base64url without padding; the first is the version.
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
        let known =
            |(_, param): &&(&str, Self)| (param.name, param.about) == (self.name, self.about);
        let name = COMPONENTS.iter().find(known).map(|(name, _)| *name);
        let parameter = ParameterBuilder::new()
            .extensions(name.map(component))
            .name(self.name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(self.about))
            .schema(Some(self.shape.schema()));
        // A list is repeated in a query, unless its style says something else.
        parameter.build()
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
