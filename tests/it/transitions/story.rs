//! Stories: the events of one session or agent, step by step, and the expected result of each step.
//!
//! Rows are JSON. `$opened` is the time on the log of the story's first step, and `$now` that of the
//! current step; `+60` adds seconds.

use serde_json::{Map, Value, json};
use session_ledger::domain::Timestamp;

/// The events of one session or agent.
pub(super) struct Story {
    pub(super) id: &'static str,
    pub(super) steps: Vec<Step>,
}

/// One event, its verdict, and its changes of the row.
pub(super) struct Step {
    pub(super) event: &'static str,
    pub(super) data: Value,
    pub(super) expect: Expect,
    /// The members of the row that change if the event is applied.
    pub(super) changes: Value,
    pub(super) sent_by: SentBy,
    /// Whether the row is checked after the step.
    pub(super) shown: bool,
}

/// The expected verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    Applied,
    Rejected(&'static str),
    /// A command is rejected as `not_found`. An event of a runtime is parked, because events may arrive in
    /// any order.
    TooEarly,
}

/// Who sends the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SentBy {
    /// The driver of the story.
    Anyone,
    /// A runtime. The event has the time at which the story began, which a command cannot set.
    RuntimeAtOpening,
    /// A session of the agent, which makes the agent known.
    FirstSession,
    /// The ledger itself.
    Ledger,
}

impl Step {
    pub(super) fn new(event: &'static str, data: Value) -> Self {
        Self {
            event,
            data,
            expect: Expect::Applied,
            changes: json!({}),
            sent_by: SentBy::Anyone,
            shown: true,
        }
    }

    pub(super) fn changes(self, changes: Value) -> Self {
        Self { changes, ..self }
    }

    pub(super) fn refused(self, reason: &'static str) -> Self {
        let expect = Expect::Rejected(reason);
        Self { expect, ..self }
    }

    pub(super) fn too_early(self) -> Self {
        let expect = Expect::TooEarly;
        Self { expect, ..self }
    }

    pub(super) fn sent_by(self, sent_by: SentBy) -> Self {
        Self { sent_by, ..self }
    }

    /// Skips the check of the row, because it may expire at any moment.
    pub(super) fn unseen(self) -> Self {
        let shown = false;
        Self { shown, ..self }
    }
}

/// Returns a row with some members replaced.
pub(super) fn with(row: &Value, members: &Value) -> Value {
    let mut row = row.as_object().cloned().unwrap_or_default();
    row.extend(members.as_object().unwrap().clone());
    Value::Object(row)
}

/// Returns a row with the names of times replaced by the times.
pub(super) fn at_times(row: &Value, opened: Timestamp, now: Timestamp) -> Value {
    let time = |value: &Value| {
        let name = value.as_str()?.strip_prefix('$')?;
        let (name, seconds) = name.split_once('+').unwrap_or((name, "0"));
        let start = match name {
            "opened" => opened,
            "now" => now,
            other => panic!("no time is called {other}"),
        };
        let micros = seconds.parse::<i64>().unwrap() * 1_000_000;
        Some(json!(start.plus_micros(micros)))
    };
    let members = row.as_object().unwrap().iter();
    let named = members.map(|(name, value)| {
        let value = time(value).unwrap_or_else(|| value.clone());
        (name.clone(), value)
    });
    Value::Object(named.collect::<Map<String, Value>>())
}
