//! The sessions that the recorded calls of each runtime make.

use super::{World, recorded, runtimes, spooled};

#[test]
fn the_calls_of_each_runtime_make_its_sessions() {
    for (runtime, expected) in [
        (
            "claude-code",
            &[
                (
                    "7b0b1c5e-6f0e-4f0c-9a0e-3d8f1f2b6a11",
                    r#""claude-code" "terminated" "completed" "ready" null null {"model":"claude-sonnet-4-6","runtime":"claude-code","source":"startup"}"#,
                ),
                (
                    "7b0b1c5e-6f0e-4f0c-9a0e-3d8f1f2b6a11.2",
                    r#""claude-code" "terminated" null "ready" null null {"model":"claude-sonnet-4-6","resumes":"7b0b1c5e-6f0e-4f0c-9a0e-3d8f1f2b6a11","run":2,"runtime":"claude-code","source":"resume"}"#,
                ),
                (
                    "7b0b1c5e-6f0e-4f0c-9a0e-3d8f1f2b6a11:a8a5aea3b68767861",
                    r#""Explore" "terminated" "completed" "running" "7b0b1c5e-6f0e-4f0c-9a0e-3d8f1f2b6a11" null {"runtime":"claude-code"}"#,
                ),
            ][..],
        ),
        (
            "codex",
            &[
                (
                    "019a3c50-55d1-7b10-9d0e-7f4a6c1c2b22",
                    r#""codex" "active" null "running" null null {"model":"gpt-5-codex","runtime":"codex","source":"startup"}"#,
                ),
                (
                    "019a3c50-55d1-7b10-9d0e-7f4a6c1c2b22:019a3c51-0001",
                    r#""reviewer" "terminated" "completed" "running" "019a3c50-55d1-7b10-9d0e-7f4a6c1c2b22" null {"model":"gpt-5-codex","runtime":"codex"}"#,
                ),
            ],
        ),
        (
            "cursor",
            &[(
                "c2d1a9b0-1111-4c0f-9f6e-2b7a8c9d0e33",
                r#""cursor" "terminated" "error" "running" null null {"model":"default","runtime":"cursor"}"#,
            )],
        ),
        (
            "copilot",
            &[
                (
                    "5d9f0e7a-2222-4e0b-8b6c-9a1b2c3d4e44",
                    r#""copilot" "terminated" "completed" "ready" null null {"runtime":"copilot","source":"new"}"#,
                ),
                (
                    "5d9f0e7a-2222-4e0b-8b6c-9a1b2c3d4e44.2",
                    r#""copilot" "terminated" null "ready" null null {"resumes":"5d9f0e7a-2222-4e0b-8b6c-9a1b2c3d4e44","run":2,"runtime":"copilot","source":"resume"}"#,
                ),
            ],
        ),
        (
            "gemini",
            &[(
                "b7e6d5c4-3333-4a0a-9c8d-1e2f3a4b5c55",
                r#""gemini" "terminated" "completed" "ready" null null {"runtime":"gemini","source":"startup"}"#,
            )],
        ),
    ] {
        let world = World::start();
        world.call_all(runtime, &recorded(runtime));
        let expected = expected
            .iter()
            .map(|(id, row)| (*id).to_owned() + " " + row);
        let expected: Vec<String> = expected.collect();
        let sessions = world.sessions().into_iter();
        let sessions: Vec<String> = sessions.map(|(id, row)| id + " " + &row).collect();
        assert_eq!(sessions, expected, "{runtime}");
        assert!(spooled(&world.spool()).is_empty());
    }
}

#[test]
fn calls_that_are_made_twice_give_the_same_sessions() {
    for runtime in runtimes() {
        let world = World::start();
        let calls = recorded(runtime);
        world.call_all(runtime, &calls);
        let once = world.sessions();
        world.call_all(runtime, &calls);
        assert_eq!(world.sessions(), once, "{runtime}: all calls twice");
        let world = World::start();
        for call in &calls {
            world.call(runtime, call);
            world.call(runtime, call);
        }
        assert_eq!(world.sessions(), once, "{runtime}: each call twice");
    }
}

/// The log keeps everything forever, so it must not get what a user typed.
#[test]
fn no_event_has_a_prompt_an_answer_or_a_path() {
    for runtime in runtimes() {
        let world = World::start();
        let calls = recorded(runtime);
        assert!(calls.join("").contains("secret-word"), "{runtime}");
        world.call_all(runtime, &calls);
        let applied = format!("{:?}", world.applied());
        for secret in ["secret-word", "/home", "shop", "ada@", ".jsonl"] {
            assert!(
                !applied.contains(secret),
                "{runtime}: {secret} in {applied}"
            );
        }
    }
}

#[test]
fn the_options_decide_how_the_sessions_look() {
    let world = World::start();
    let calls = recorded("codex");
    for call in &calls[..2] {
        let mut hook = world.hook("codex");
        hook.args(["--agent", "codex-ada", "--project", "shop", "--ttl", "60"]);
        super::with_input(&mut hook, call);
    }
    let sessions = world.sessions();
    let row = &sessions["019a3c50-55d1-7b10-9d0e-7f4a6c1c2b22"];
    assert!(row.starts_with(r#""codex-ada" "active""#), "{row}");
    assert!(row.contains(r#""shop""#), "{row}");
    let opened = &world.applied()[0];
    assert_eq!(opened["data"]["ttl_seconds"], 60);
}
