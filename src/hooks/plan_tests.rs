//! Tests of the plans: what each hook means, from what is known of its session.

use serde_json::{Value, json};

use super::*;
use crate::domain::Timestamp;
use crate::hooks::runtime::Runtime;

const OPTIONS: Options = Options {
    agent: None,
    project: None,
    ttl_seconds: 3600,
};

/// A hook and its `source`, the run that is known, the events, and the run if they change it.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("SessionStart", "startup", "-", &["s created ready"], "1 Open"),
    ("SessionStart", "startup", "1 Open", &["s created ready"], "-"),
    ("SessionStart", "startup", "1 Expired", &["s created ready"], "-"),
    ("SessionStart", "startup", "2 Open", &["s created ready"], "-"),
    ("SessionStart", "startup", "2 New", &["s created ready"], "-"),
    ("SessionStart", "startup", "3 Ended", &["s created ready"], "1 Open"),
    ("SessionStart", "resume", "2 New", &["s.2 created ready", "s.2 refreshed ready"], "2 Open"),
    ("UserPromptSubmit", "", "2 New", &["s.2 created ready", "s.2 refreshed running"], "2 Open"),
    ("SessionStart", "clear", "-", &["s created ready"], "1 Open"),
    ("SessionStart", "resume", "-", &["s created ready", "s refreshed ready"], "1 Open"),
    ("SessionStart", "resume", "1 Open", &["s refreshed ready"], "1 Open"),
    ("SessionStart", "resume", "1 Ended", &["s.2 created ready", "s.2 refreshed ready"], "2 Open"),
    ("SessionStart", "resume", "2 Expired", &["s.3 created ready", "s.3 refreshed ready"], "3 Open"),
    ("SessionStart", "compact", "1 Open", &["s refreshed running"], "1 Open"),
    ("UserPromptSubmit", "", "-", &["s created ready", "s refreshed running"], "1 Open"),
    ("UserPromptSubmit", "", "2 Open", &["s.2 refreshed running"], "2 Open"),
    ("UserPromptSubmit", "", "2 Expired", &["s.3 created ready", "s.3 refreshed running"], "3 Open"),
    ("UserPromptSubmit", "", "1 Ended", &[], "-"),
    ("Stop", "", "-", &["s created ready", "s refreshed ready"], "1 Open"),
    ("Stop", "", "1 Open", &["s refreshed ready"], "1 Open"),
    ("Stop", "", "1 Expired", &[], "-"),
    ("Stop", "", "1 Ended", &[], "-"),
    ("SessionEnd", "", "1 Open", &["s terminated -"], "1 Ended"),
    ("SessionEnd", "", "-", &["s created ready", "s terminated -"], "1 Ended"),
    ("SessionEnd", "", "2 Ended", &["s.2 terminated -"], "-"),
    ("SessionEnd", "", "2 Expired", &[], "-"),
    ("SubagentStart", "", "-", &["s created ready", "s:a created running"], "1 Open"),
    ("SubagentStart", "", "2 Open", &["s.2:a created running"], "-"),
    ("SubagentStart", "", "2 Ended", &[], "-"),
    ("SubagentStop", "", "1 Open", &["s:a terminated -"], "-"),
    ("SubagentStop", "", "1 Ended", &["s:a terminated -"], "-"),
    ("SubagentStop", "", "-", &[], "-"),
];

#[test]
fn each_hook_means_what_the_table_says() {
    for (hook, source, known, events, after) in TABLE {
        let input = json!({"hook_event_name": hook, "session_id": "s", "source": source,
            "agent_id": "a", "agent_type": "Explore", "reason": "other"});
        let found = planned(&input, run(known).unwrap_or(Run::FIRST));
        let expected = events.iter().map(|event| (*event).to_owned());
        let expected: Vec<String> = expected.collect();
        assert_eq!(found, (expected, run(after)), "{hook} {source} {known}");
    }
}

/// Runtimes that say when a hook was called make the same call at the same time.
#[test]
fn a_resumption_that_is_made_again_opens_no_other_run() {
    let input = json!({"hook_event_name": "SessionStart", "session_id": "s", "source": "resume",
        "timestamp": "2026-01-31T11:00:00Z"});
    let input = input.to_string();
    let now = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
    let call = Call::read(Runtime::Copilot, input.as_bytes(), now).unwrap();
    let known = run("1 Ended").unwrap();
    let first = plan(&call, known, &OPTIONS).unwrap();
    let ended = first.run.unwrap().now(Standing::Ended);
    let again = plan(&call, ended, &OPTIONS).unwrap();
    assert_eq!(
        (again.events, again.run),
        (first.events[..1].to_vec(), None)
    );
    assert_eq!(first.events[0].session.as_str(), "s.2");
}

#[test]
fn a_prompt_some_time_after_the_end_opens_the_next_run() {
    let ended = |since: &str| Run {
        since: Timestamp::parse(since),
        ..run("1 Ended").unwrap()
    };
    let input = json!({"hook_event_name": "UserPromptSubmit", "session_id": "s"});
    let next = ["s.2 created ready", "s.2 refreshed running"].map(str::to_owned);
    assert_eq!(planned(&input, ended("2026-01-31T11:59:51Z")).0, [""; 0]);
    assert_eq!(planned(&input, ended("2026-01-31T11:59:50Z")).0, next);
}

/// Gemini does not wait until the hook of an end has done its work.
#[test]
fn an_end_that_arrives_after_the_next_resumption_ends_nothing() {
    let at = |hook: &str, source: &str, time: &str, known: Run| {
        let input = json!({"hook_event_name": hook, "session_id": "s", "source": source,
            "timestamp": time, "reason": "exit"});
        let now = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        let call = Call::read(Runtime::Gemini, input.to_string().as_bytes(), now).unwrap();
        plan(&call, known, &OPTIONS).unwrap()
    };
    let open = run("1 Open").unwrap();
    let resumed = at("SessionStart", "resume", "2026-01-31T11:59:50Z", open);
    let resumed = resumed.run.unwrap();
    let late = at("SessionEnd", "", "2026-01-31T11:59:49Z", resumed);
    assert_eq!(late, Plan::default());
    let ended = at("SessionEnd", "", "2026-01-31T11:59:55Z", resumed);
    assert_eq!(ended.run.unwrap().standing, Standing::Ended);
}

/// The session, type and phase of each event, and the run if they change it.
fn planned(input: &Value, known: Run) -> (Vec<String>, Option<Run>) {
    let now = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
    let input = input.to_string();
    let call = Call::read(Runtime::ClaudeCode, input.as_bytes(), now).unwrap();
    let plan = plan(&call, known, &OPTIONS).unwrap();
    let shown = plan.events.iter().map(|event| {
        let json: Value = serde_json::from_str(&event.json).unwrap();
        let verb = json["type"].as_str().unwrap().replace("session.", "");
        let phase = json["data"]["phase"].as_str().unwrap_or("-").to_owned();
        format!("{} {verb} {phase}", event.session)
    });
    let run = plan.run.map(|run| Run { since: None, ..run });
    (shown.collect(), run)
}

/// Reads a run, such as `2 Ended`.
fn run(text: &str) -> Option<Run> {
    let (number, standing) = text.split_once(' ')?;
    let all = [
        Standing::New,
        Standing::Open,
        Standing::Ended,
        Standing::Expired,
    ];
    let standing = all.into_iter().find(|one| format!("{one:?}") == standing);
    Some(Run {
        number: number.parse().unwrap(),
        standing: standing.unwrap(),
        since: None,
    })
}
