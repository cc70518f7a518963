//! Calls of hooks that are killed, made at the same time, or made while the ledger is away.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{World, hook, recorded, runtimes, spawn, spooled, with_input};
use crate::support::cli::{Server, stderr};

/// The sessions of calls that nothing disturbs.
fn undisturbed(runtime: &str, calls: &[String]) -> BTreeMap<String, String> {
    let world = World::start();
    world.call_all(runtime, calls);
    world.sessions()
}

#[test]
fn calls_that_are_killed_and_made_again_give_the_same_sessions() {
    for runtime in runtimes() {
        let world = World::start();
        let calls = recorded(runtime);
        for (number, call) in calls.iter().enumerate() {
            for attempt in 0..3 {
                let mut child = spawn(&mut world.hook(runtime), call);
                let wait_ms = (number * 7 + attempt * 13) % 40;
                thread::park_timeout(Duration::from_millis(u64::try_from(wait_ms).unwrap()));
                child.kill().unwrap();
                child.wait().unwrap();
            }
            world.call(runtime, call);
        }
        let expected = undisturbed(runtime, &calls);
        assert_eq!(world.sessions(), expected, "{runtime}");
    }
}

#[test]
fn calls_while_the_ledger_is_away_are_sent_in_their_order_when_it_is_back() {
    for runtime in runtimes() {
        let World { server, dir } = World::start();
        let calls = recorded(runtime);
        let (data, spool) = (dir.path().join("ledger"), dir.path().join("spool"));
        let url = server.url().to_owned();
        let split = calls.len() / 3;
        for call in &calls[..split] {
            with_input(&mut hook(runtime, &url, &spool), call);
        }
        assert_eq!(server.terminate().0, Some(0));
        for call in &calls[split..calls.len() - 1] {
            let output = with_input(&mut hook(runtime, &url, &spool), call);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
        }
        assert!(!spooled(&spool).is_empty(), "{runtime}");
        let address = url.strip_prefix("http://").unwrap();
        let server = Server::start_at(&data, address);
        let world = World { server, dir };
        world.call(runtime, &calls[calls.len() - 1]);
        assert!(spooled(&spool).is_empty(), "{runtime}");

        let quiet = World::start();
        quiet.call_all(runtime, &calls);
        assert_eq!(world.sessions(), quiet.sessions(), "{runtime}");
        assert_eq!(
            order(&world.applied()),
            order(&quiet.applied()),
            "{runtime}"
        );
    }
}

/// What happened, without the times.
fn order(events: &[Value]) -> Vec<String> {
    let shown = events.iter().map(|event| {
        let (subject, data) = (&event["subject"], &event["data"]);
        format!("{} {subject} {data}", event["type"])
    });
    shown.collect()
}

#[test]
fn calls_at_the_same_time_lose_nothing_and_keep_the_order_of_each_session() {
    let world = World::start();
    let calls = recorded("codex");
    let numbers: Vec<usize> = (0..6).collect();
    let id = "019a3c50-55d1-7b10-9d0e-7f4a6c1c2b22";
    thread::scope(|scope| {
        for number in &numbers {
            let (world, calls) = (&world, &calls);
            scope.spawn(move || {
                for call in calls {
                    let call = call.replace(id, &format!("session-{number}"));
                    let output = with_input(&mut world.hook("codex"), &call);
                    assert_eq!(output.status.code(), Some(0), "{output:?}");
                }
            });
        }
    });
    world.flush(
        "codex",
        r#"{"hook_event_name": "Stop", "session_id": "session-0"}"#,
    );
    let applied = world.applied();
    for number in numbers {
        let session = format!("session-{number}");
        let own = applied.iter().filter(|event| {
            let subject = event["subject"].as_str().unwrap();
            subject == session || subject.starts_with(&format!("{session}:"))
        });
        let own: Vec<String> = own
            .map(|event| {
                let verb = event["type"].as_str().unwrap().replace("session.", "");
                format!("{verb} {}", event["data"]["phase"].as_str().unwrap_or("-"))
            })
            .collect();
        let expected = [
            "created ready",
            "refreshed running",
            "created running",
            "terminated -",
            "refreshed ready",
            "refreshed running",
        ];
        // The flush made one more call for the first session.
        assert_eq!(own[..expected.len()], expected, "{session}");
    }
}

/// A prompt in the session `s`.
fn prompt(number: u32) -> String {
    format!(
        r#"{{"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt_id": "p-{number}"}}"#
    )
}

fn statuses(world: &World) -> BTreeMap<String, String> {
    let listed = world.folded();
    let rows = listed["sessions"].as_array().unwrap().iter();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows.map(|row| (text(row, "session_id"), text(row, "status")))
        .collect()
}

/// The ledger could not know that the session goes on, so it has expired it.
#[test]
fn a_prompt_after_an_outage_longer_than_the_deadline_opens_the_next_run() {
    let World { server, dir } = World::start();
    let (data, spool) = (dir.path().join("ledger"), dir.path().join("spool"));
    let url = server.url().to_owned();
    let call = |number| {
        let output = with_input(
            hook("claude-code", &url, &spool).args(["--ttl", "1"]),
            &prompt(number),
        );
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    };
    call(1);
    assert_eq!(server.terminate().0, Some(0));
    let address = url.strip_prefix("http://").unwrap();
    // The system accepts connections, and nobody reads them: the calls are cut.
    let silent = TcpListener::bind(address).unwrap();
    for number in 2..5 {
        call(number);
    }
    drop(silent);
    let server = Server::start_at(&data, address);
    let world = World { server, dir };
    call(5);
    let expected = [("s", "expired"), ("s.2", "active")];
    let expected = expected.map(|(id, status)| (id.to_owned(), status.to_owned()));
    assert_eq!(statuses(&world), BTreeMap::from(expected));
}

#[test]
fn runs_that_are_lost_are_found_again_by_the_verdicts() {
    let world = World::start();
    let start = |source: &str| {
        format!(r#"{{"hook_event_name": "SessionStart", "session_id": "s", "source": "{source}"}}"#)
    };
    let end = r#"{"hook_event_name": "SessionEnd", "session_id": "s", "reason": "other"}"#;
    for call in [&start("startup"), end, &start("resume"), end] {
        world.call("claude-code", call);
    }
    let ledger = fs::read_dir(world.spool()).unwrap().next().unwrap();
    fs::remove_file(ledger.unwrap().path().join("runs.json")).unwrap();
    world.call("claude-code", &prompt(1));
    let expected = [
        ("s", "terminated"),
        ("s.2", "terminated"),
        ("s.3", "active"),
    ];
    let expected = expected.map(|(id, status)| (id.to_owned(), status.to_owned()));
    assert_eq!(statuses(&world), BTreeMap::from(expected));
}

#[test]
fn a_session_that_the_ledger_does_not_have_is_opened_again() {
    let World { server, dir } = World::start();
    let (data, spool) = (dir.path().join("ledger"), dir.path().join("spool"));
    let url = server.url().to_owned();
    let call = |number| {
        let output = with_input(&mut hook("claude-code", &url, &spool), &prompt(number));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    };
    call(1);
    assert_eq!(server.terminate().0, Some(0));
    fs::remove_dir_all(&data).unwrap();
    let address = url.strip_prefix("http://").unwrap();
    let server = Server::start_at(&data, address);
    let world = World { server, dir };
    call(2);
    assert_eq!(statuses(&world)["s"], "active");
}

/// A full disk, or a mistake of the user.
#[test]
fn no_event_is_lost_because_the_file_of_runs_cannot_be_written() {
    let world = World::start();
    world.call("claude-code", &prompt(1));
    let ledger = fs::read_dir(world.spool()).unwrap().next().unwrap();
    let runs = ledger.unwrap().path().join("runs.json");
    fs::remove_file(&runs).unwrap();
    fs::create_dir(&runs).unwrap();
    let output = with_input(&mut world.hook("claude-code"), &prompt(2));
    assert!(stderr(&output).contains("file of runs"), "{output:?}");
    let prompts = world.applied().into_iter();
    let prompts = prompts.filter(|event| event["type"] == "session.refreshed");
    assert_eq!(prompts.count(), 2);
}
