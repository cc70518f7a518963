//! One call of a hook: the members of its JSON that the ledger reads. All others are dropped here.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::domain::limits::{
    HOOK_ID_CHARS_MAX, HOOK_MARK_US, HOOK_WORD_CHARS_MAX, TIME_AHEAD_US_MAX, TIME_EARLIEST_US,
};
use crate::domain::{AgentId, SessionId, Timestamp};
use crate::hooks::runtime::{Hook, Runtime, Table};

/// How many bytes of a hash tell two calls of a hook apart.
const MARK_BYTES: usize = 8;

/// A call of a hook that means something for a session.
#[derive(Debug)]
pub struct Call {
    pub(super) runtime: Runtime,
    pub(super) table: &'static Table,
    pub(super) hook: &'static Hook,
    /// The id of the runtime's session.
    pub(super) session: SessionId,
    /// When the hook was called.
    pub(super) at: Timestamp,
    /// Whether the runtime says so: then the same call has the same time when it is made again.
    pub(super) is_timed: bool,
    /// Tells this call of the hook from others in the session.
    pub(super) mark: String,
    /// Why the session starts, or goes on.
    pub(super) source: Option<String>,
    /// Why the session ends.
    pub(super) reason: Option<String>,
    /// The model.
    pub(super) model: Option<String>,
    /// The subagent's id.
    pub(super) child: Option<String>,
    /// The subagent's kind.
    pub(super) child_agent: Option<AgentId>,
}

/// Why the JSON of a hook means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It is not a JSON object.
    #[error("the input is not a JSON object")]
    NotAnObject,
    /// The name of the hook is no text.
    #[error("`hook_event_name` must be a text")]
    Name,
    /// The ledger does not read this hook.
    #[error("the ledger does not read the hook {0:?} of this runtime")]
    UnknownHook(String),
    /// It does not name the session, or not by an id that the ledger takes.
    #[error("`{0}` must be a text that the ledger takes as the id of a session")]
    Session(&'static str),
    /// It does not name the subagent, or not by an id that the ledger takes.
    #[error("`agent_id` must be a text that the ledger takes as a part of the id of a session")]
    Child,
}

impl Call {
    /// Reads the JSON of a hook that was called `now`, unless the JSON says when.
    pub fn read(runtime: Runtime, input: &[u8], now: Timestamp) -> Result<Self, Unread> {
        let members: Map<String, Value> =
            serde_json::from_slice(input).map_err(|_not_an_object| Unread::NotAnObject)?;
        let table = runtime.table();
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let name = match members.get("hook_event_name") {
            None => "",
            Some(name) => name.as_str().ok_or(Unread::Name)?,
        };
        let hook = table.hooks.iter().find(|hook| hook.name == name);
        let hook = hook.ok_or_else(|| Unread::UnknownHook(shortened(name)))?;
        let session = text(table.session).filter(|id| is_short(id));
        let session = session.and_then(|id| SessionId::parse(id).ok());
        let session = session.ok_or(Unread::Session(table.session))?;
        let claimed = table.time.and_then(text).and_then(Timestamp::parse);
        // The ledger replaces a time out of its bounds by its own.
        let (earliest, ahead) = (
            TIME_EARLIEST_US,
            now.micros().saturating_add(TIME_AHEAD_US_MAX),
        );
        let claimed = claimed.filter(|at| (earliest..=ahead).contains(&at.micros()));
        let at = claimed.unwrap_or(now);
        let word = |name| text(name).and_then(word);
        Ok(Self {
            runtime,
            table,
            hook,
            session,
            at,
            is_timed: claimed.is_some(),
            mark: mark(hook, &members, at),
            source: word("source"),
            reason: word("reason"),
            model: word("model"),
            child: text("agent_id")
                .filter(|id| is_short(id))
                .map(str::to_owned),
            child_agent: text("agent_type").and_then(|kind| AgentId::parse(kind).ok()),
        })
    }

    /// The runtime.
    pub fn runtime(&self) -> Runtime {
        self.runtime
    }

    /// The id of the runtime's session.
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// When the hook was called.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// What the command prints: nothing, or JSON that changes nothing in the runtime.
    pub fn answer(&self) -> &'static str {
        self.hook.answer
    }
}

/// A hash of the members that tell two calls of a hook apart. Without such a member, calls in the same span of
/// a few seconds count as one: the hook may be installed twice.
///
/// It is no hash of the whole input, which has the prompt: a reader of the event could guess short prompts.
fn mark(hook: &Hook, members: &Map<String, Value>, at: Timestamp) -> String {
    let mut hash = Sha256::new();
    let mut any = false;
    for name in hook.marks {
        if let Some(value) = members.get(*name).filter(|value| !value.is_null()) {
            any = true;
            hash.update(format!("{name}={value}\n"));
        }
    }
    // A hook of the user has made the agent go on: the turn stops again, under its old id.
    let stops_again = members.get("stop_hook_active") == Some(&Value::Bool(true));
    if !any || stops_again {
        let span = at.micros().div_euclid(HOOK_MARK_US);
        hash.update(format!("span={span}"));
    }
    let hash = hash.finalize();
    hex::encode(hash.get(..MARK_BYTES).unwrap_or(&hash))
}

/// A short word of the runtime, such as `startup` or the name of a model. Anything else is dropped: it may be
/// a text of the user.
fn word(text: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._:/@+-[]".contains(c);
    let is_word = (1..=HOOK_WORD_CHARS_MAX).contains(&text.len()) && text.chars().all(fits);
    // A local model may be named by its file, or by an address with a password.
    let is_place = text.starts_with(['/', '.']) || text.contains(":/");
    (is_word && !is_place).then(|| text.to_owned())
}

/// Whether an id of a runtime leaves room for what the ledger adds to it.
fn is_short(id: &str) -> bool {
    (1..=HOOK_ID_CHARS_MAX).contains(&id.chars().count())
}

fn shortened(text: &str) -> String {
    text.chars().take(HOOK_WORD_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(runtime: Runtime, input: &Value, now: &str) -> Result<Call, Unread> {
        let now = Timestamp::parse(now).unwrap();
        Call::read(runtime, input.to_string().as_bytes(), now)
    }

    const NOON: &str = "2026-01-31T12:00:00Z";

    #[test]
    fn what_is_no_call_of_a_known_hook_is_named() {
        let runtime = Runtime::ClaudeCode;
        let now = Timestamp::parse(NOON).unwrap();
        for broken in ["", "{", "[]", "null", "\"text\"", "\u{0}"] {
            let read = Call::read(runtime, broken.as_bytes(), now);
            assert_eq!(read.unwrap_err(), Unread::NotAnObject, "{broken:?}");
        }
        let unknown = read(runtime, &json!({"hook_event_name": "PreToolUse"}), NOON);
        assert_eq!(
            unknown.unwrap_err(),
            Unread::UnknownHook("PreToolUse".to_owned())
        );
        for id in [json!(null), json!(7), json!(""), json!("a/b"), json!("..")] {
            let input = json!({"hook_event_name": "Stop", "session_id": id});
            let unread = read(runtime, &input, NOON).unwrap_err();
            assert_eq!(unread, Unread::Session("session_id"), "{input}");
        }
    }

    #[test]
    fn a_call_is_told_from_others_by_its_marks_and_not_by_the_prompt() {
        let prompt = |id: Value, prompt: &str, now: &str| {
            let input = json!({"hook_event_name": "UserPromptSubmit", "session_id": "s",
                "prompt_id": id, "prompt": prompt});
            read(Runtime::ClaudeCode, &input, now).unwrap().mark
        };
        let later = "2026-01-31T12:00:11Z";
        let first = prompt(json!("p-1"), "yes", NOON);
        assert_eq!(first, prompt(json!("p-1"), "no", later));
        assert_ne!(first, prompt(json!("p-2"), "yes", NOON));
        let unmarked = prompt(json!(null), "yes", NOON);
        assert_eq!(unmarked, prompt(json!(null), "no", "2026-01-31T12:00:09Z"));
        assert_ne!(unmarked, prompt(json!(null), "yes", later));
    }

    #[test]
    fn the_time_of_a_call_is_the_one_that_it_names() {
        let input = |time: Value| {
            json!({"hook_event_name": "BeforeAgent", "session_id": "s",
                "timestamp": time})
        };
        let at = |time| {
            let call = read(Runtime::Gemini, &input(time), NOON);
            call.unwrap().at.to_string()
        };
        assert_eq!(
            at(json!("2026-01-31T11:59:00.5Z")),
            "2026-01-31T11:59:00.500000Z"
        );
        assert_eq!(at(json!("soon")), "2026-01-31T12:00:00.000000Z");
        for odd in [
            json!(7),
            json!("2099-01-01T00:00:00Z"),
            json!("1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(at(odd), "2026-01-31T12:00:00.000000Z");
        }
    }

    #[test]
    fn only_short_words_are_kept() {
        assert_eq!(word("claude-opus-4-8[1m]").unwrap(), "claude-opus-4-8[1m]");
        let places = ["/home/ada/m.gguf", "./m", "https://u:p@h/m"];
        let others = ["", "two words", "tab\t", "\u{e9}", &"x".repeat(65)];
        for text in places.into_iter().chain(others) {
            assert_eq!(word(text), None, "{text:?}");
        }
    }
}
