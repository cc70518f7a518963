//! The hooks of Codex CLI.
//!
//! Source: <https://developers.openai.com/codex/hooks>, and the JSON Schemas of the inputs in
//! <https://github.com/openai/codex> (`codex-rs/hooks/schema/generated/`, commit bde5e18, 2026). All but
//! `SessionStart` have a `turn_id`. There is no hook for the end of a session. A hook that prints nothing
//! and one that prints `{}` both change nothing; the documentation of `Stop` asks for JSON.

use crate::hooks::runtime::{Format, Hook, Means, Table};

const NOTHING: &str = "{}";

pub(super) static TABLE: Table = Table {
    session: "session_id",
    time: None,
    hooks: &[
        Hook {
            name: "SessionStart",
            means: Means::Starts,
            marks: &[],
            answer: NOTHING,
        },
        Hook {
            name: "UserPromptSubmit",
            means: Means::Works,
            marks: &["turn_id"],
            answer: NOTHING,
        },
        Hook {
            name: "Stop",
            means: Means::Rests,
            marks: &["turn_id"],
            answer: NOTHING,
        },
        Hook {
            name: "SubagentStart",
            means: Means::ChildStarts,
            marks: &[],
            answer: NOTHING,
        },
        Hook {
            name: "SubagentStop",
            means: Means::ChildEnds,
            marks: &[],
            answer: NOTHING,
        },
    ],
    resumes: &["resume"],
    goes_on: &["compact"],
    completed: &[],
    failed: &[],
    format: Format::Groups { timeout: 2 },
    answer: NOTHING,
};
