//! The hooks of Claude Code.
//!
//! Source: <https://code.claude.com/docs/en/hooks>, as of October 2026 (2.1.285). `session_id`,
//! `transcript_path`, `cwd` and `hook_event_name` are in every call, and `prompt_id` is in every call after
//! the first prompt. `SessionStart` runs commands only; the other hooks also speak HTTP. A `SessionEnd`
//! hook has 1.5 s by default. What a hook prints may become context of the model, so the command prints
//! nothing.

use crate::hooks::runtime::{Format, Hook, Means, Table};

pub(super) static TABLE: Table = Table {
    session: "session_id",
    time: None,
    hooks: &[
        Hook {
            name: "SessionStart",
            means: Means::Starts,
            marks: &[],
            answer: "",
        },
        Hook {
            name: "UserPromptSubmit",
            means: Means::Works,
            marks: &["prompt_id"],
            answer: "",
        },
        Hook {
            name: "Stop",
            means: Means::Rests,
            marks: &["prompt_id"],
            answer: "",
        },
        Hook {
            name: "SubagentStart",
            means: Means::ChildStarts,
            marks: &[],
            answer: "",
        },
        Hook {
            name: "SubagentStop",
            means: Means::ChildEnds,
            marks: &[],
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
    goes_on: &["compact"],
    // `other` is the reason of a process that was killed too, so it says nothing about the work.
    completed: &["clear", "resume", "logout", "prompt_input_exit"],
    failed: &[],
    format: Format::Groups { timeout: 2 },
    answer: "",
};
