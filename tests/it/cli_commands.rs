//! The session and agent commands as processes: arguments, output and exit codes. `transitions` tests
//! what they do to sessions and agents.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::cli::{Server, command, fails, ok, run, stderr, stdout, with_input};

const REFRESH_TOKEN: &str = "SESSION_LEDGER_REFRESH_TOKEN";
const TOKEN: &str = "SESSION_LEDGER_TOKEN";

/// A server with the agents `a-1` and `a-2`.
struct World {
    server: Server,
    _dir: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path());
        for agent in ["a-1", "a-2"] {
            server.ok(&["agents", "register", agent]);
        }
        Self { server, _dir: dir }
    }

    /// Runs a command, which must succeed, and returns its answer.
    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        json(&self.server.ok(&[args, &["--json"]].concat()))
    }

    fn with_variable(&self, name: &str, value: &str, args: &[&str]) -> Output {
        let mut command = command(&self.server.args(args));
        command.env(name, value).output().unwrap()
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap()
}

/// Returns the value of a field that is printed on its own line.
#[track_caller]
fn field<'a>(shown: &'a str, name: &str) -> &'a str {
    let mut fields = shown.lines().filter_map(|line| line.split_once("  "));
    let found = fields.find(|(field, _)| *field == name);
    found.unwrap_or_else(|| panic!("{name}: {shown}")).1.trim()
}

#[test]
fn commands_print_their_result_field_by_field() {
    let world = World::start();
    let created = world.server.ok(&[
        "sessions",
        "create",
        "s-1",
        "--agent",
        "a-1",
        "--expires-at",
        "2999-01-31T00:00:00Z",
        "--data",
        r#"{"user_id": "u-1", "phase": "ready"}"#,
        "--phase",
        "running",
    ]);
    assert_eq!(field(&created, "session_id"), "s-1");
    assert_eq!(field(&created, "expires_at"), "2999-01-31T00:00:00.000000Z");
    assert_eq!(field(&created, "user_id"), "u-1");
    assert_eq!(field(&created, "phase"), "running", "options win");
    assert_eq!(field(&created, "position"), "4");
    assert!(field(&created, "token").starts_with("slat_"));
    assert!(field(&created, "refresh_token").starts_with("slrt_"));

    let made_up = world.json(&["sessions", "create", "--agent", "a-1", "--parent", "s-1"]);
    assert_eq!(made_up["session"]["parent_session_id"], "s-1");
    assert_ne!(made_up["session"]["session_id"], "s-1");

    let child = world
        .server
        .ok(&["sessions", "handoff", "s-1", "--to-agent", "a-2"]);
    assert_eq!(field(&child, "agent_id"), "a-2");
    assert_eq!(field(&child, "parent_session_id"), "s-1");
    let id = field(&child, "session_id");
    let tree = world.server.ok(&["show", id, "--tree"]);
    let tree: Vec<Vec<&str>> = tree
        .lines()
        .map(|line| line.split_whitespace().take(4).collect())
        .collect();
    assert_eq!(tree[1][..3], ["s-1", "a-1", "handed_off"]);
    assert_eq!(tree[2][..], ["|-", "*", id, "a-2"]);
    let lineage = world.json(&["show", "s-1", "--tree"]);
    assert_eq!(lineage["holder"]["session_id"], id);
    assert_eq!(lineage["descendants"].as_array().unwrap().len(), 2);
    let ended = world.server.ok(&["sessions", "terminate", id]);
    assert_eq!(field(&ended, "status"), "terminated");
    assert!(!ended.contains("token"), "{ended}");

    let opened = world.json(&["show", "s-1"])["events"][0]["position"].to_string();
    let then = world.json(&["list", "--as-of", &opened, "--all"]);
    let only = &then["sessions"][0];
    assert_eq!(
        (&then["total"], &only["session_id"]),
        (&json!(1), &json!("s-1"))
    );
    assert_eq!(only["status"], "active");
    let then = world.json(&["show", "s-1", "--tree", "--as-of", &opened]);
    assert_eq!(then["descendants"], json!([]));
    let then = world.json(&["show", "s-1", "--as-of", &opened]);
    assert_eq!(then["session"]["status"], "active");
    assert!(
        1 < then["events"].as_array().unwrap().len(),
        "its events are all"
    );
    let then = world.json(&["agents", "show", "a-1", "--as-of", &opened]);
    assert_eq!(then["session_count"], 1);
    let then = world.json(&["agents", "list", "--as-of", "1h"]);
    assert_eq!(then["total"], 0);
    let wrong = run(&world.server.args(&["list", "--as-of", "soon"]));
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));

    let registered = world.server.ok(&["agents", "register", "--type", "bot"]);
    assert_eq!(field(&registered, "agent_type"), "bot");
    let id = field(&registered, "agent_id");
    let suspended = world.server.ok(&["agents", "suspend", id]);
    assert_eq!(field(&suspended, "status"), "suspended");
}

#[test]
fn a_refresh_token_is_read_from_a_variable_or_from_stdin() {
    let world = World::start();
    let created = world.json(&["sessions", "create", "s-1", "--agent", "a-1"]);
    let first = text(&created, "refresh_token");
    let refresh = ["sessions", "refresh", "s-1", "--json"];
    let refreshed = world.with_variable(REFRESH_TOKEN, first, &refresh);
    assert!(refreshed.status.success(), "{}", stderr(&refreshed));
    let refreshed = json(&stdout(&refreshed));
    let second = text(&refreshed, "refresh_token");
    let from_stdin = world
        .server
        .args(&["sessions", "refresh", "s-1", "--refresh-token", "-"]);
    let (code, shown) = with_input(&from_stdin, &format!("{second}\n"));
    assert_eq!(code, Some(0));
    assert_ne!(field(&shown, "refresh_token"), second);

    let stale = world.with_variable(REFRESH_TOKEN, first, &refresh);
    assert_eq!(stale.status.code(), Some(1));
    assert!(stderr(&stale).contains("(token_stale)"), "{stale:?}");
    for said in [stderr(&stale), stdout(&stale)] {
        assert!(!said.contains(first), "{said}");
    }
    let none = fails(&world.server.args(&refresh), 2);
    assert!(none.contains("--refresh-token"), "{none}");
    let empty = world.with_variable(REFRESH_TOKEN, "", &refresh);
    assert_eq!(empty.status.code(), Some(2), "an empty variable is unset");
    assert_eq!(with_input(&from_stdin, "\n").0, Some(2));
}

#[test]
fn introspecting_an_inactive_token_exits_with_1() {
    let world = World::start();
    let created = world.json(&["sessions", "create", "s-1", "--agent", "a-1"]);
    let token = text(&created, "token");
    let introspect = ["sessions", "introspect"];
    let active = world.with_variable(TOKEN, token, &introspect);
    assert!(active.status.success(), "{}", stderr(&active));
    let shown = stdout(&active);
    assert_eq!(field(&shown, "active"), "true");
    assert_eq!(field(&shown, "session_id"), "s-1");
    let from_stdin = [&introspect[..], &["-", "--json"]].concat();
    let from_stdin = world.server.args(&from_stdin);
    let (code, told) = with_input(&from_stdin, token);
    assert_eq!(
        (code, &json(&told)["active"]),
        (Some(0), &Value::Bool(true))
    );

    world.server.ok(&["sessions", "terminate", "s-1"]);
    let dead = world.with_variable(TOKEN, token, &introspect);
    assert_eq!(dead.status.code(), Some(1));
    assert_eq!(
        (stdout(&dead).trim(), &*stderr(&dead)),
        ("active  false", "")
    );
    let (code, told) = with_input(&from_stdin, token);
    assert_eq!((code, told.trim()), (Some(1), r#"{"active":false}"#));
    assert!(fails(&world.server.args(&introspect), 2).contains("<TOKEN>"));
}

#[test]
fn terminating_twice_succeeds_and_a_rejected_command_fails() {
    let world = World::start();
    world.json(&["sessions", "create", "s-1", "--agent", "a-1"]);
    let terminate = ["sessions", "terminate", "s-1", "--outcome", "error"];
    let first = world.json(&terminate);
    assert_eq!(world.json(&terminate)["session"], first["session"]);
    let refused = run(&world
        .server
        .args(&["sessions", "handoff", "s-1", "--to-agent", "a-2"]));
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(stdout(&refused), "");
    let said = stderr(&refused);
    assert!(said.contains("it is terminated (not_active)"), "{said}");
    let unknown = ["agents", "suspend", "nobody", "--json"];
    let unknown = run(&world.server.args(&unknown));
    assert_eq!(unknown.status.code(), Some(1));
    let problem = json(&stdout(&unknown));
    assert_eq!(
        (&problem["code"], &problem["verdict"]),
        (&Value::from("not_found"), &Value::from("rejected"))
    );
    let unfit = ["sessions", "create", "--agent", "a-1", "--phase", "asleep"];
    let unfit = fails(&world.server.args(&unfit), 1);
    assert!(unfit.contains("phase"), "{unfit}");
    let nothing = fails(&world.server.args(&["agents", "update", "a-1"]), 1);
    assert!(nothing.contains("at least one field"), "{nothing}");
}

#[test]
fn a_retry_with_its_idempotency_key_gets_the_same_session_and_tokens() {
    let world = World::start();
    let create = |key| {
        let args = ["sessions", "create", "--agent", "a-1"];
        world.json(&[&args[..], &["--idempotency-key", key]].concat())
    };
    let (first, again) = (create("k-1"), create("k-1"));
    for same in ["session", "token", "refresh_token"] {
        assert_eq!(first[same], again[same], "{same}");
    }
    assert_ne!(first["session"], create("k-2")["session"]);
    for (option, value) in [
        ("--idempotency-key", "\u{e9}"),
        ("--data", "[]"),
        ("--metadata", "{"),
        ("--ttl", "soon"),
    ] {
        let args = ["sessions", "create", "--agent", "a-1", option, value];
        let error = fails(&world.server.args(&args), 2);
        assert!(error.contains(option), "{error}");
    }
    let score = ["agents", "register", "--trust-score", "high"];
    assert!(fails(&world.server.args(&score), 2).contains("not a number"));
}

#[test]
fn commands_without_a_server_use_the_token_secret_of_the_directory() {
    let world = World::start();
    let World { server, _dir: dir } = world;
    server.terminate();
    let path = dir.path().to_str().unwrap();
    let offline = ["--tenant", "acme", "--data-dir", path, "--json"];
    let create = ["sessions", "create", "s-1", "--agent", "a-1"];
    let created = json(&ok(&[&create[..], &offline].concat()));
    let server = Server::start(dir.path());
    let args = server.args(&["sessions", "introspect", "-"]);
    assert_eq!(with_input(&args, text(&created, "token")).0, Some(0));
}

/// The command is on the log. Its tokens become valid when it is applied.
#[tokio::test]
async fn a_command_without_a_verdict_yet_prints_its_position() {
    let app = App::start_without_fold().await;
    let url = format!("http://{}", app.host());
    let give = move |json: bool| {
        let mut args = vec!["sessions", "create", "s-1", "--agent", "a-1"];
        args.extend(["--tenant", "acme", "--url", &url]);
        args.extend(json.then_some("--json"));
        run(&args)
    };
    let again = give.clone();
    let [shown, told] = [
        tokio::task::spawn_blocking(move || give(false)),
        tokio::task::spawn_blocking(move || again(true)),
    ];
    let (shown, told) = (shown.await.unwrap(), told.await.unwrap());
    let (fields, answer) = (stdout(&shown), json(&stdout(&told)));
    assert_eq!(field(&fields, "verdict"), "pending");
    assert!(field(&fields, "token").starts_with("slat_"));
    let positions = [field(&fields, "position"), &answer["position"].to_string()];
    for (position, output) in positions.into_iter().zip([&shown, &told]) {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = stderr(output);
        let expected = format!("on the log at position {position} and has no verdict yet");
        assert!(said.contains(&expected), "{said}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_reported_and_not_followed() {
    let followed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&followed);
    let moved = || async { axum::response::Redirect::temporary("/elsewhere") };
    let elsewhere = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready("{}")
    };
    let router = axum::Router::new()
        .route("/elsewhere", axum::routing::any(elsewhere))
        .fallback(moved);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    let target = ["--url", &url, "--tenant", "acme"];
    for args in [&["list"][..], &["agents", "register", "a-1"]] {
        let args = [args, &target].concat();
        let told = tokio::task::block_in_place(|| fails(&args, 1));
        assert!(
            told.contains("307") && told.contains("/elsewhere"),
            "{told}"
        );
    }
    assert_eq!(followed.load(Ordering::SeqCst), 0);
}
