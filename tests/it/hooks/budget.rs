//! The time that a call of a hook takes, and the size of the spool.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::StatusCode;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use super::{World, hook, recorded, spooled, with_input};
use crate::support::cli::stderr;

const BUDGET: Duration = Duration::from_secs(1);
/// The machine may be busy, so the fastest of so many calls counts.
const TRIES: usize = 3;

/// Makes calls, and checks that they end with 0 and in time.
#[track_caller]
fn in_time(url: &str, spool: &Path) -> String {
    let call = &recorded("claude-code")[1];
    let mut fastest = Duration::MAX;
    let mut said = String::new();
    for _ in 0..TRIES {
        let started = Instant::now();
        let output = with_input(&mut hook("claude-code", url, spool), call);
        fastest = fastest.min(started.elapsed());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(output.stdout, b"");
        said = stderr(&output);
    }
    assert!(fastest < BUDGET, "{fastest:?}");
    said
}

#[test]
fn a_server_that_never_answers_costs_less_than_a_second() {
    let dir = tempfile::tempdir().unwrap();
    // The system accepts connections, and nobody reads them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let said = in_time(&url, dir.path());
    assert!(said.contains("did not answer in time"), "{said}");
    assert!(!spooled(dir.path()).is_empty());
}

#[test]
fn an_address_that_never_connects_costs_less_than_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let full = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.listen(1).unwrap()
    });
    let address: SocketAddr = full.local_addr().unwrap();
    // With a full queue, the system ignores further attempts to connect.
    let at_most = Duration::from_millis(200);
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, at_most) {
        waiting.push(stream);
    }
    in_time(&format!("http://{address}"), dir.path());
    assert!(!spooled(dir.path()).is_empty());
}

#[test]
fn an_address_without_a_server_costs_less_than_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let said = in_time("http://127.0.0.1:1", dir.path());
    assert!(said.contains("no answer from"), "{said}");
}

#[test]
fn an_input_that_does_not_end_costs_less_than_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = hook("gemini", "http://127.0.0.1:1", dir.path());
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let started = Instant::now();
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let open = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(open);
    assert!(started.elapsed() < BUDGET, "{:?}", started.elapsed());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"{}\n");
}

#[test]
fn a_key_file_that_blocks_costs_less_than_a_second_and_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("key");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let spool = dir.path().join("spool");
    let call = &recorded("claude-code")[1];
    let mut fastest = Duration::MAX;
    for _ in 0..TRIES {
        let mut command = hook("claude-code", "http://127.0.0.1:1", &spool);
        let started = Instant::now();
        let output = with_input(command.arg("--key-file").arg(&pipe), call);
        fastest = fastest.min(started.elapsed());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    assert!(fastest < BUDGET, "{fastest:?}");
    // Each call has opened the session or prolonged it.
    assert_eq!(spooled(&spool).len(), 1 + TRIES);
}

/// The file with the events of the only spool.
fn events_of(spool: &Path) -> PathBuf {
    let ledger = fs::read_dir(spool).unwrap().next().unwrap();
    ledger.unwrap().path().join("events.ndjson")
}

fn event(number: u32) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"e-{number}","source":"/hooks/test","type":"session.created","subject":"s-{number}","data":{{"agent_id":"a"}}}}"#
    )
}

/// The numbers of those events on the log, in its order.
fn numbers(world: &World) -> Vec<u32> {
    let events = world.events();
    let events = events.iter();
    let subjects = events.filter_map(|event| event["event"]["subject"].as_str());
    let spooled = subjects.filter_map(|subject| subject.strip_prefix("s-"));
    spooled.map(|number| number.parse().unwrap()).collect()
}

#[test]
fn only_an_event_that_the_ledger_can_never_take_is_dropped() {
    let world = World::start();
    world.call("claude-code", &recorded("claude-code")[0]);
    let mut events: Vec<String> = (0..100).map(event).collect();
    events[70] = r#"{"specversion":"0.1"}"#.to_owned();
    fs::write(events_of(&world.spool()), events.join("\n") + "\n").unwrap();
    let mut dropped = 0;
    while !spooled(&world.spool()).is_empty() {
        let output = with_input(&mut world.hook("claude-code"), &recorded("claude-code")[1]);
        dropped += stderr(&output).matches("an event was dropped").count();
    }
    assert_eq!(dropped, 1);
    let expected: Vec<u32> = (0..100).filter(|number| *number != 70).collect();
    assert_eq!(numbers(&world), expected);
}

#[test]
fn an_answer_that_is_not_one_of_a_ledger_removes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Such as the page on which a hotel's network asks for the number of the room.
    let page = axum::Router::new().fallback(async || axum::response::Html("<html>"));
    let _serving = runtime.spawn(axum::serve(listener, page).into_future());
    let said = in_time(&url, dir.path());
    assert!(said.contains("but not of a ledger"), "{said}");
    assert_eq!(spooled(dir.path()).len(), 1 + TRIES);
}

/// Starts a proxy before a server. Verdicts come late, or not at all.
fn proxy(runtime: &Runtime, server: &str, late: Duration, refuses: bool) -> String {
    drop(rustls::crypto::ring::default_provider().install_default());
    let (server, client) = (server.to_owned(), reqwest::Client::new());
    let forward = async move |request: Request| {
        let (server, client) = (server.clone(), client.clone());
        let target = request.uri().path_and_query().unwrap().to_string();
        let waits = !target.contains("wait=false");
        if waits {
            tokio::time::sleep(late).await;
        }
        if refuses && waits {
            let problem = r#"{"type":"about:blank","title":"t","status":503,"code":"fold_behind","detail":"d","instance":"i"}"#;
            return (StatusCode::SERVICE_UNAVAILABLE, problem.to_owned());
        }
        let headers = request.headers().clone();
        let body = axum::body::to_bytes(request.into_body(), usize::MAX).await;
        let sent = client.post(server + &target);
        let sent = sent.headers(headers).body(body.unwrap()).send().await;
        let answer = sent.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(forward);
    runtime.spawn(axum::serve(listener, app).into_future());
    url
}

/// Otherwise every call would append the same first events again, and the ones behind would wait for ever.
#[test]
fn a_spool_drains_without_many_copies_though_verdicts_are_late_or_missing() {
    let runtime = Runtime::new().unwrap();
    for (late_ms, refuses) in [(2_000, false), (0, true)] {
        let world = World::start();
        let late = Duration::from_millis(late_ms);
        let url = proxy(&runtime, world.server.url(), late, refuses);
        let calls = 6;
        for number in 0..calls {
            let call = format!(
                r#"{{"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt_id": "{number}"}}"#
            );
            let output = with_input(&mut hook("claude-code", &url, &world.spool()), &call);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
        }
        // The call that was cut last leaves its events to the next one.
        assert!(spooled(&world.spool()).len() <= 1, "{late_ms} {refuses}");
        let on_the_log = world.events().len();
        assert!(
            (calls..=2 * (calls + 1)).contains(&on_the_log),
            "{on_the_log}"
        );
    }
}

#[test]
fn a_large_spool_is_sent_by_several_calls_in_its_order() {
    let world = World::start();
    world.call("claude-code", &recorded("claude-code")[0]);
    let events: Vec<String> = (0..3_000).map(event).collect();
    fs::write(events_of(&world.spool()), events.join("\n") + "\n").unwrap();
    in_time(world.server.url(), &world.spool());
    world.flush("claude-code", &recorded("claude-code")[1]);
    let numbers = numbers(&world);
    assert_eq!(numbers.len(), 3_000);
    assert!(numbers.is_sorted());
}

#[test]
fn a_full_spool_and_a_damaged_one_break_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let url = "http://127.0.0.1:1";
    let call = &recorded("claude-code")[1];
    with_input(&mut hook("claude-code", url, dir.path()), call);
    let ledger = fs::read_dir(dir.path()).unwrap().next().unwrap();
    let ledger = ledger.unwrap().path();
    let full = "{}\n".repeat(4 * 1024 * 1024 / 3).into_bytes();
    fs::write(ledger.join("events.ndjson"), &full).unwrap();
    fs::write(ledger.join("runs.json"), "{\"sessions").unwrap();
    let output = with_input(&mut hook("claude-code", url, dir.path()), call);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("spool is full"), "{output:?}");
    assert!(fs::read(ledger.join("events.ndjson")).unwrap() == full);

    let world = World::start();
    world.call("claude-code", &recorded("claude-code")[0]);
    fs::write(events_of(&world.spool()), "{\"torn\":\n{}\nnothing\n").unwrap();
    world.flush("claude-code", call);
    assert_eq!(world.sessions().len(), 1);
}
