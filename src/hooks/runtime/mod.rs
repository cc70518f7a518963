//! The runtimes whose hooks the ledger reads, each as a table.

mod claude_code;
mod codex;
mod copilot;
mod cursor;
mod gemini;

use strum::VariantArray as _;

/// A runtime whose hooks are documented.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Runtime {
    /// Claude Code.
    ClaudeCode,
    /// Codex CLI.
    Codex,
    /// Cursor.
    Cursor,
    /// GitHub Copilot CLI and its cloud agent.
    Copilot,
    /// Gemini CLI.
    Gemini,
}

/// The table of a runtime.
#[derive(Debug)]
pub(super) struct Table {
    /// The member with the id of the session.
    pub(super) session: &'static str,
    /// The member with the time of the call, if the runtime sends one.
    pub(super) time: Option<&'static str>,
    /// The hooks that mean something for a session.
    pub(super) hooks: &'static [Hook],
    /// Words of `source` that say that a session goes on which may have ended before.
    pub(super) resumes: &'static [&'static str],
    /// Words of `source` that say that a session goes on which has not ended.
    pub(super) goes_on: &'static [&'static str],
    /// Words of `reason` that say that the session did its work.
    pub(super) completed: &'static [&'static str],
    /// Words of `reason` that say that the session failed.
    pub(super) failed: &'static [&'static str],
    /// How the settings of the runtime are written.
    pub(super) format: Format,
    /// What the command prints for a hook that is not in the table.
    pub(super) answer: &'static str,
}

/// A hook.
#[derive(Debug)]
pub(super) struct Hook {
    /// Its name in `hook_event_name`, and in the settings.
    pub(super) name: &'static str,
    /// What it means.
    pub(super) means: Means,
    /// The members that differ between two calls of the hook in one session.
    pub(super) marks: &'static [&'static str],
    /// What the command prints: nothing, or JSON that changes nothing in the runtime.
    pub(super) answer: &'static str,
}

/// What a hook means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// The session starts or goes on, as `source` says.
    Starts,
    /// The agent begins a turn.
    Works,
    /// The agent has finished a turn.
    Rests,
    /// The session ends.
    Ends,
    /// A subagent starts.
    ChildStarts,
    /// A subagent ends.
    ChildEnds,
}

/// How the settings of a runtime are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Groups of hooks, with a timeout in this unit.
    Groups {
        /// The timeout of a hook: two seconds.
        timeout: u64,
    },
    /// Commands, with a timeout in seconds, in a file that has a version.
    Commands,
    /// Commands for a shell, with `timeoutSec`, in a file that has a version.
    ShellCommands,
}

impl Runtime {
    /// Every runtime.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The word for it, as in the command line and in the path of the route.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Reads the word for a runtime.
    pub fn parse(word: &str) -> Option<Self> {
        word.parse().ok()
    }

    /// What the command prints for a call that it cannot read.
    pub fn answer(self) -> &'static str {
        self.table().answer
    }

    pub(super) fn table(self) -> &'static Table {
        match self {
            Self::ClaudeCode => &claude_code::TABLE,
            Self::Codex => &codex::TABLE,
            Self::Cursor => &cursor::TABLE,
            Self::Copilot => &copilot::TABLE,
            Self::Gemini => &gemini::TABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_leads_back_to_its_runtime() {
        for runtime in Runtime::ALL {
            assert_eq!(Runtime::parse(runtime.as_str()), Some(*runtime));
        }
        assert_eq!(Runtime::parse("claude"), None);
    }

    #[test]
    fn each_answer_is_empty_or_a_json_object() {
        for runtime in Runtime::ALL {
            let table = runtime.table();
            let hooks = table.hooks.iter().map(|hook| hook.answer);
            for answer in hooks.chain([table.answer]) {
                let object = serde_json::from_str::<serde_json::Value>(answer);
                assert!(answer.is_empty() || object.unwrap().is_object());
            }
        }
    }
}
