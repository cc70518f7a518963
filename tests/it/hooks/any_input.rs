//! No input of a hook, and no wrong use of the command, makes it fail.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use session_ledger::domain::{Rules, TenantId, Timestamp};
use session_ledger::hooks::{Call, Options, Run, Runtime, Standing, plan};
use session_ledger::ledger::{Emitter, Submission};

use super::{hook, runtimes, with_input};
use crate::support::cli::{command, ok, stderr};

/// Names and words of the runtimes, so that inputs come near to real ones.
const WORDS: &[&str] = &[
    "SessionStart",
    "UserPromptSubmit",
    "Stop",
    "SubagentStart",
    "SubagentStop",
    "SessionEnd",
    "sessionStart",
    "beforeSubmitPrompt",
    "BeforeAgent",
    "AfterAgent",
    "startup",
    "resume",
    "compact",
    "other",
    "error",
    "s-1",
    "2026-11-30T10:00:00Z",
    "9999-12-31T23:59:59Z",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => prop::sample::select(WORDS).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => "\\PC{0,300}".prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop::collection::vec(inner, 0..3).prop_map(Value::from)
    })
}

/// Members that the ledger reads, of any runtime.
const NAMES: &[&str] = &[
    "hook_event_name",
    "session_id",
    "conversation_id",
    "source",
    "reason",
    "model",
    "agent_id",
    "agent_type",
    "prompt_id",
    "turn_id",
    "timestamp",
];

fn input() -> impl Strategy<Value = Value> {
    let object = prop::collection::btree_map(prop::sample::select(NAMES), value(), 0..12);
    let object = object.prop_map(|members| {
        let members = members.into_iter();
        let members: Map<String, Value> = members
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Value::Object(members)
    });
    prop_oneof![9 => object, 1 => value()]
}

fn known() -> impl Strategy<Value = Run> {
    let all = &[
        Standing::New,
        Standing::Open,
        Standing::Ended,
        Standing::Expired,
    ];
    let standing = prop::sample::select(&all[..]);
    (1_u32.., standing).prop_map(|(number, standing)| Run {
        number,
        standing,
        since: None,
    })
}

proptest! {
    #[test]
    fn the_ledger_accepts_every_event_that_any_input_means(
        input in input(),
        runtime in prop::sample::select(Runtime::ALL),
        known in known(),
    ) {
        let now = Timestamp::parse("2026-11-30T10:00:00Z").unwrap();
        let options = Options { agent: None, project: None, ttl_seconds: 60 };
        if let Ok(call) = Call::read(runtime, input.to_string().as_bytes(), now)
            && let Ok(plan) = plan(&call, known, &options)
        {
            let tenant = TenantId::parse("acme").unwrap();
            let emitter = Emitter { tenant: &tenant, credential: None };
            for event in plan.events {
                prop_assert!(!event.json.contains('\n'));
                let checked = Submission::check(Rules::LATEST, emitter, Bytes::from(event.json.clone()));
                let strict = checked.and_then(Submission::strictly);
                prop_assert!(strict.is_ok(), "{}: {:?}", event.json, strict);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let now = Timestamp::parse("2026-11-30T10:00:00Z").unwrap();
        prop_assert!(Call::read(Runtime::Codex, &bytes, now).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn the_command_exits_with_0_for_any_input(
        input in input(),
        runtime in prop::sample::select(Runtime::ALL),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut command = hook(runtime.as_str(), "http://127.0.0.1:1", dir.path());
        let output = with_input(&mut command, &input.to_string());
        prop_assert_eq!(output.status.code(), Some(0));
        super::assert_answer(runtime.as_str(), &output);
    }
}

#[test]
fn the_command_exits_with_0_for_any_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below_a_file = file.join("spool");
    let start = json!({"hook_event_name": "SessionStart", "session_id": "s"}).to_string();
    for (args, said) in [
        (&["hook"][..], "RUNTIME"),
        (&["hook", "emacs"], "emacs"),
        (&["hook", "codex", "--colour"], "--colour"),
        (&["hook", "codex", "--ttl", "0"], "--ttl"),
        (&["hook", "codex", "--agent", "a/b"], "--agent"),
        (&["hook", "codex", "--key", "slk_x"], "--key"),
        (
            &["hook", "codex", "--url", "nowhere", "--tenant", "a"],
            "--url",
        ),
        (&["hook", "codex"], "key is required"),
        (
            &["hook", "codex", "--key-file", "/nowhere/key"],
            "/nowhere/key",
        ),
        (
            &["hook", "codex", "--spool", below_a_file.to_str().unwrap()],
            "spool",
        ),
    ] {
        let mut command = command(args);
        command.env("XDG_STATE_HOME", dir.path());
        let output = with_input(&mut command, &start);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert!(stderr(&output).contains(said), "{args:?}: {output:?}");
        assert!(!stderr(&output).contains("slk_x"));
    }
}

/// Keys may be of different tenants.
#[test]
fn events_wait_for_the_key_with_which_they_were_to_be_sent() {
    let dir = tempfile::tempdir().unwrap();
    let start = json!({"hook_event_name": "SessionStart", "session_id": "s"}).to_string();
    for key in ["slk_one", "slk_two", "slk_one"] {
        let mut hook = hook("codex", "http://127.0.0.1:1", dir.path());
        with_input(hook.env("SESSION_LEDGER_KEY", key), &start);
    }
    let spools = std::fs::read_dir(dir.path()).unwrap();
    assert_eq!(spools.count(), 2);
}

#[test]
fn an_input_that_is_too_long_is_read_to_its_end_and_dropped() {
    let dir = tempfile::tempdir().unwrap();
    for runtime in runtimes() {
        let long = json!({"hook_event_name": "Stop", "prompt": "x".repeat(3 * 1024 * 1024)});
        let mut command = hook(runtime, "http://127.0.0.1:1", dir.path());
        let output = with_input(&mut command, &long.to_string());
        assert_eq!(output.status.code(), Some(0));
        assert!(stderr(&output).contains("longer than"), "{output:?}");
    }
}

#[test]
fn the_help_goes_to_stdout_only_if_it_is_asked_for() {
    assert!(ok(&["hook", "--help"]).contains("--print-settings"));
}
