//! The hooks of GitHub Copilot, in its CLI and its cloud agent.
//!
//! Source: <https://docs.github.com/en/copilot/reference/hooks-reference> (github/docs, commit 2199f62,
//! 2026). A hook whose name begins with a capital letter gets members in `snake_case`, with
//! `hook_event_name` and an ISO 8601 `timestamp`. The other spelling does not name the hook in its input, so
//! the table uses the first. `subagentStart` has no id of the subagent, so the table has no subagents.

use crate::hooks::runtime::{Format, Hook, Means, Table};

pub(super) static TABLE: Table = Table {
    session: "session_id",
    time: Some("timestamp"),
    hooks: &[
        Hook {
            name: "SessionStart",
            means: Means::Starts,
            marks: &["timestamp"],
            answer: "",
        },
        Hook {
            name: "UserPromptSubmit",
            means: Means::Works,
            marks: &["timestamp"],
            answer: "",
        },
        Hook {
            name: "Stop",
            means: Means::Rests,
            marks: &["timestamp"],
            answer: "",
        },
        Hook {
            name: "SessionEnd",
            means: Means::Ends,
            marks: &[],
            answer: "",
        },
    ],
    resumes: &["resume"],
    goes_on: &[],
    completed: &["complete", "user_exit"],
    failed: &["error", "timeout"],
    format: Format::ShellCommands,
    answer: "",
};
