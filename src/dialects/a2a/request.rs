//! The parameters of `ListTasks`, from a query or from the params of JSON-RPC.

use serde_json::{Value, json};

use super::state::TaskState;
use crate::dialects::sdk::fields::Fields;
use crate::domain::{SessionId, Timestamp};
use crate::http::problem::Problem;
use crate::http::request::extract::{QueryParams, Values};
use crate::http::request::param::{AnyParam, Flag, Number, Param, Range, Text, Time, Word};

/// The most tasks of a page, and how many it has by default: the numbers of A2A's documents.
const PAGE_TASKS: Number = Number {
    range: Range { min: 1, max: 100 },
    default: 50,
};
/// The largest number of 32 bits with a sign, as A2A has it.
const NUMBER_MAX: u64 = i32::MAX as u64;

const CONTEXT_ID: Param<Text> = Param {
    name: "contextId",
    about: "Only tasks of this context.",
    component: None,
    shape: Text(any_text),
};
const STATUS: Param<Word<TaskState>> = Param {
    name: "status",
    about: "Only tasks in this state.",
    component: None,
    shape: Word::any(),
};
const PAGE_SIZE: Param<Number> = Param {
    name: "pageSize",
    about: "Most tasks of the page.",
    component: None,
    shape: PAGE_TASKS,
};
const PAGE_TOKEN: Param<Text> = Param {
    name: "pageToken",
    about: "Where the page starts.",
    component: None,
    shape: Text(any_text),
};
const HISTORY_LENGTH: Param<Range> = Param {
    name: "historyLength",
    about: "Most messages of a task. There are none.",
    component: None,
    shape: Range {
        min: 0,
        max: NUMBER_MAX,
    },
};
const SINCE: Param<Time> = Param {
    name: "statusTimestampAfter",
    about: "Only tasks that have had their state since this time or later.",
    component: None,
    shape: Time,
};
const ARTIFACTS: Param<Flag> = Param {
    name: "includeArtifacts",
    about: "Whether tasks have a list of artifacts.",
    component: None,
    shape: Flag(false),
};

fn any_text() -> Value {
    json!({"type": "string"})
}

/// Which tasks to list.
#[derive(Debug)]
pub(super) struct ListTasks {
    pub(super) context: Option<Context>,
    pub(super) state: TaskState,
    pub(super) since: Option<Timestamp>,
    pub(super) page_size: u16,
    /// Where the page starts; `None` for the first page.
    pub(super) token: Option<String>,
    pub(super) artifacts: bool,
}

/// The context whose tasks to list.
#[derive(Debug)]
pub(super) enum Context {
    /// The tree of a root.
    Tree(SessionId),
    /// A text that no session has as its id.
    Unknown,
}

impl Context {
    /// Clients leave out what is empty, and so do servers.
    fn of(text: &str) -> Option<Self> {
        let tree = || SessionId::parse(text).map_or(Self::Unknown, Self::Tree);
        (!text.is_empty()).then(tree)
    }
}

impl QueryParams for ListTasks {
    const PARAMS: &'static [&'static dyn AnyParam] = &[
        &CONTEXT_ID,
        &STATUS,
        &PAGE_SIZE,
        &PAGE_TOKEN,
        &HISTORY_LENGTH,
        &SINCE,
        &ARTIFACTS,
    ];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let _none_to_show = values.optional_number(&HISTORY_LENGTH);
        let context = values.text(&CONTEXT_ID);
        Ok(Self {
            context: context.as_deref().and_then(Context::of),
            state: values.word(&STATUS).unwrap_or(TaskState::Unspecified),
            since: values.time(&SINCE),
            page_size: values.limit(&PAGE_SIZE),
            token: values.text(&PAGE_TOKEN).filter(|text| !text.is_empty()),
            artifacts: values.flag(&ARTIFACTS),
        })
    }
}

impl ListTasks {
    /// Reads the params of JSON-RPC.
    pub(super) fn of_params(params: &Fields<'_>) -> Result<Self, Problem> {
        check_history_length(params)?;
        let text = |param: &Param<Text>| {
            let text = params.text(param.name)?;
            Ok::<_, Problem>(text.filter(|text| !text.is_empty()))
        };
        let state = |text: &str| {
            let state = text.parse();
            state.map_err(|_unknown| params.wrong(STATUS.name, STATUS.shape.expected()))
        };
        let time = |text: &str| {
            let message = "must be a time as in RFC 3339, such as 2026-01-31T23:59:59Z";
            Timestamp::parse(text).ok_or_else(|| params.wrong(SINCE.name, message))
        };
        let flag = |raw: &str| {
            let flag = raw.parse();
            flag.map_err(|_other| params.wrong(ARTIFACTS.name, "must be true or false"))
        };
        let (status, since) = (params.text(STATUS.name)?, params.text(SINCE.name)?);
        let status = status.as_deref().map(state).transpose()?;
        let artifacts = params.raw(ARTIFACTS.name).map(flag).transpose()?;
        Ok(Self {
            context: text(&CONTEXT_ID)?.as_deref().and_then(Context::of),
            state: status.unwrap_or(TaskState::Unspecified),
            since: since.as_deref().map(time).transpose()?,
            page_size: page_size(params)?,
            token: text(&PAGE_TOKEN)?.map(Into::into),
            artifacts: artifacts.unwrap_or(false),
        })
    }
}

fn page_size(params: &Fields<'_>) -> Result<u16, Problem> {
    let Number { range, default } = PAGE_TASKS;
    let Range { min, max } = range;
    let wanted = params.number(PAGE_SIZE.name)?.unwrap_or(default);
    let fits = (min..=max).contains(&wanted);
    let size = u16::try_from(wanted).ok().filter(|_| fits);
    let message = || format!("must be a whole number from {min} to {max}");
    size.ok_or_else(|| params.wrong(PAGE_SIZE.name, message()))
}

/// Checks `historyLength` of JSON-RPC, which changes no answer: tasks of the ledger have no messages.
pub(super) fn check_history_length(params: &Fields<'_>) -> Result<(), Problem> {
    let name = HISTORY_LENGTH.name;
    match params.number(name)? {
        Some(length) if NUMBER_MAX < length => {
            Err(params.wrong(name, format!("must be at most {NUMBER_MAX}")))
        }
        Some(_) | None => Ok(()),
    }
}
