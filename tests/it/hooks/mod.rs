//! Hooks of agent runtimes: the command `hook` and the route `POST /v1/hooks/{runtime}`, with the
//! calls of a session of each runtime (`tests/fixtures/hooks/`).

mod any_input;
mod budget;
mod disturbed;
mod examples;
mod http;
mod model;
mod settings;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use session_ledger::app::clock::SystemClock;
use session_ledger::domain::Clock as _;
use session_ledger::hooks::Runtime;

use crate::support::cli::{Server, command, stderr, stdout};

/// A server, and the spool of the hooks that call it.
struct World {
    server: Server,
    dir: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("ledger"));
        Self { server, dir }
    }

    /// A directory without a server for the calls of hooks.
    fn spool(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    /// The command for a call of a hook.
    fn hook(&self, runtime: &str) -> Command {
        hook(runtime, self.server.url(), &self.spool())
    }

    /// Makes one call, which must succeed in silence but for what the runtime expects.
    #[track_caller]
    fn call(&self, runtime: &str, input: &str) {
        let output = with_input(&mut self.hook(runtime), input);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let unread = "the ledger does not read the hook";
        let said = stderr(&output);
        assert!(said.is_empty() || said.contains(unread), "{said}");
        assert_answer(runtime, &output);
    }

    fn call_all(&self, runtime: &str, calls: &[String]) {
        for input in calls {
            self.call(runtime, input);
        }
    }

    /// Calls a hook that means nothing until the spool is sent.
    fn flush(&self, runtime: &str, last: &str) {
        for _ in 0..50 {
            with_input(&mut self.hook(runtime), last);
            if spooled(&self.spool()).is_empty() {
                return;
            }
        }
        panic!("the spool stays: {:?}", spooled(&self.spool()));
    }

    /// What matters of each session, by its id: all but the times.
    fn sessions(&self) -> BTreeMap<String, String> {
        let listed = self.folded();
        let rows = listed["sessions"].as_array().unwrap().iter();
        let shown = rows.map(|row| {
            let id = row["session_id"].as_str().unwrap().to_owned();
            let names = [
                "agent_id",
                "status",
                "outcome",
                "phase",
                "parent_session_id",
                "project_id",
                "metadata",
            ];
            (id, names.map(|name| row[name].to_string()).join(" "))
        });
        shown.collect()
    }

    /// The newest sessions, once all events are folded: a hook does not wait for that.
    fn folded(&self) -> Value {
        loop {
            let listed = self.server.ok(&["list", "--json", "--limit", "200"]);
            let listed: Value = serde_json::from_str(&listed).unwrap();
            if listed["as_of"]["caught_up"] == true {
                return listed;
            }
        }
    }

    /// The events of hooks that were applied, in the order of the log.
    fn applied(&self) -> Vec<Value> {
        let events = self.events().into_iter();
        let applied = events.filter(|event| event["verdict"] == "applied");
        let events = applied.map(|event| event["event"].clone());
        let is_of_hooks = |event: &Value| {
            let source = event["source"].as_str().unwrap_or_default();
            source.starts_with("/hooks/")
        };
        events.filter(is_of_hooks).collect()
    }

    /// The events on the log, each with its verdict.
    fn events(&self) -> Vec<Value> {
        self.folded();
        let lines = self.server.ok(&["events"]);
        let lines = lines.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// The command for a call of a hook, without `HOME`.
fn hook(runtime: &str, url: &str, spool: &Path) -> Command {
    let spool = spool.to_str().unwrap();
    let args = ["hook", runtime, "--url", url, "--tenant", "acme"];
    let mut command = command(&[&args[..], &["--spool", spool]].concat());
    command.env_remove("HOME").env_remove("XDG_STATE_HOME");
    command
}

fn spawn(command: &mut Command, input: &str) -> Child {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    child
}

fn with_input(command: &mut Command, input: &str) -> Output {
    spawn(command, input).wait_with_output().unwrap()
}

/// Checks that a runtime gets nothing on stdout, or a JSON object.
#[track_caller]
fn assert_answer(runtime: &str, output: &Output) {
    let answer = stdout(output);
    if ["claude-code", "copilot"].contains(&runtime) {
        assert_eq!(answer, "", "{runtime}");
    } else {
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let quiet = ["{}", r#"{"continue":true}"#];
        assert!(quiet.contains(&answer.to_string().as_str()), "{answer}");
    }
}

/// The recorded calls of a runtime. Their times are moved to now, or the sessions would have expired.
fn recorded(runtime: &str) -> Vec<String> {
    let path = format!("tests/fixtures/hooks/{runtime}.ndjson");
    let calls = fs::read_to_string(path).unwrap();
    let mut time = SystemClock.now().plus_micros(-60_000_000);
    let calls = calls.lines().map(|line| {
        let mut call: Value = serde_json::from_str(line).unwrap();
        time = time.plus_micros(1_000_000);
        if call.get("timestamp").is_some() {
            call["timestamp"] = time.to_string().into();
        }
        call.to_string()
    });
    calls.collect()
}

/// The lines in all spools below a directory.
fn spooled(spool: &Path) -> Vec<String> {
    let ledgers = fs::read_dir(spool).into_iter().flatten();
    let texts = ledgers.map(|ledger| {
        let file = ledger.unwrap().path().join("events.ndjson");
        fs::read_to_string(file).unwrap_or_default()
    });
    let texts: Vec<String> = texts.collect();
    texts
        .iter()
        .flat_map(|text| text.lines())
        .map(str::to_owned)
        .collect()
}

fn runtimes() -> impl Iterator<Item = &'static str> {
    Runtime::ALL.iter().map(|runtime| runtime.as_str())
}
