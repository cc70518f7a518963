//! Stories: what happens to one session or agent, step by step, and what each step must leave
//! behind.
//!
//! Rows are given as JSON. Times in them are `$opened`, when the story's first step came onto the
//! log, and `$now`, when this one did; `+60` adds seconds.

use serde_json::{Map, Value, json};
use session_ledger::domain::Timestamp;

/// What happens to one session or agent.
pub(super) struct Story {
    pub(super) id: &'static str,
    pub(super) steps: Vec<Step>,
}

/// One event, the verdict on it, and what it changes.
pub(super) struct Step {
    pub(super) event: &'static str,
    pub(super) data: Value,
    pub(super) expect: Expect,
    /// Members of the row that are other ones afterwards, if it is applied; all others stay.
    pub(super) changes: Value,
    pub(super) told_by: ToldBy,
    /// Whether the row is looked at afterwards.
    pub(super) shown: bool,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    Applied,
    Rejected(&'static str),
    /// Rejected as `not_found` if it is a command. What a runtime says is parked: events may come in
    /// any order.
    TooEarly,
}

/// Who brings the event onto the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToldBy {
    /// Whoever executes the story.
    Anyone,
    /// A runtime: the event says that it happened when the story began, which no command can.
    RuntimeAtOpening,
    /// A session of the agent, the first thing that is heard of it.
    FirstSession,
    /// The ledger.
    Ledger,
}

impl Step {
    pub(super) fn new(event: &'static str, data: Value) -> Self {
        Self {
            event,
            data,
            expect: Expect::Applied,
            changes: json!({}),
            told_by: ToldBy::Anyone,
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

    pub(super) fn told_by(self, told_by: ToldBy) -> Self {
        Self { told_by, ..self }
    }

    /// Leaves the row alone, which the clock may change at any moment.
    pub(super) fn unseen(self) -> Self {
        let shown = false;
        Self { shown, ..self }
    }
}

/// A row with other members.
pub(super) fn with(row: &Value, members: &Value) -> Value {
    let mut row = row.as_object().cloned().unwrap_or_default();
    row.extend(members.as_object().unwrap().clone());
    Value::Object(row)
}

/// A row with times in place of their names.
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
