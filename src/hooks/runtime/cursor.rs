//! The hooks of Cursor.
//!
//! Source: <https://cursor.com/docs/agent/hooks>, as of 2026. `conversation_id`, `generation_id`, `model`
//! and `hook_event_name` are in every call; `generation_id` changes with every message of the user. The
//! hooks answer with JSON, and `beforeSubmitPrompt` with `continue`. `subagentStop` does not say which
//! subagent stopped, so the table has no subagents.

use crate::hooks::runtime::{Format, Hook, Means, Table};

const NOTHING: &str = "{}";

pub(super) static TABLE: Table = Table {
    session: "conversation_id",
    time: None,
    hooks: &[
        Hook {
            name: "sessionStart",
            means: Means::Starts,
            marks: &[],
            answer: NOTHING,
        },
        Hook {
            name: "beforeSubmitPrompt",
            means: Means::Works,
            marks: &["generation_id"],
            answer: r#"{"continue":true}"#,
        },
        Hook {
            name: "stop",
            means: Means::Rests,
            marks: &["generation_id", "loop_count"],
            answer: NOTHING,
        },
        Hook {
            name: "sessionEnd",
            means: Means::Ends,
            marks: &[],
            answer: NOTHING,
        },
    ],
    resumes: &[],
    goes_on: &[],
    completed: &["completed", "window_close", "user_close"],
    failed: &["error"],
    format: Format::Commands,
    answer: NOTHING,
};
