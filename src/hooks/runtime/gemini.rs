//! The hooks of Gemini CLI.
//!
//! Source: <https://geminicli.com/docs/hooks/reference> (google-gemini/gemini-cli,
//! `docs/hooks/reference.md`, commit 06c0d81, 2026). `session_id`, `hook_event_name` and an ISO 8601
//! `timestamp` are in every call. The CLI parses what a hook prints as JSON. It does not wait for
//! `SessionEnd`. It has no hooks for subagents.

use crate::hooks::runtime::{Format, Hook, Means, Table};

const NOTHING: &str = "{}";

pub(super) static TABLE: Table = Table {
    session: "session_id",
    time: Some("timestamp"),
    hooks: &[
        Hook {
            name: "SessionStart",
            means: Means::Starts,
            marks: &["timestamp"],
            answer: NOTHING,
        },
        Hook {
            name: "BeforeAgent",
            means: Means::Works,
            marks: &["timestamp"],
            answer: NOTHING,
        },
        Hook {
            name: "AfterAgent",
            means: Means::Rests,
            marks: &["timestamp"],
            answer: NOTHING,
        },
        Hook {
            name: "SessionEnd",
            means: Means::Ends,
            marks: &[],
            answer: NOTHING,
        },
    ],
    resumes: &["resume"],
    goes_on: &[],
    completed: &["exit", "clear", "logout", "prompt_input_exit"],
    failed: &[],
    // In milliseconds.
    format: Format::Groups { timeout: 2_000 },
    answer: NOTHING,
};
