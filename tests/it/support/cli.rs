//! The `session-ledger` program as a user runs it: processes, pipes and signals.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a test waits for a line of a server's log.
const LOG_WAIT: Duration = Duration::from_secs(30);

/// Returns the command, without the settings in the environment.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-ledger"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let is_setting = [&b"SESSION_LEDGER_"[..], b"OTEL_"];
        let name_bytes = name.as_encoded_bytes();
        if is_setting
            .iter()
            .any(|prefix| name_bytes.starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the command until it exits.
pub(crate) fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

/// Runs the command, which must succeed. Returns its stdout.
#[track_caller]
pub(crate) fn ok(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

/// Runs the command, which must exit with this code. Returns its stderr.
#[track_caller]
pub(crate) fn fails(args: &[&str], code: i32) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    stderr(&output)
}

/// Runs a client command with a key in the environment.
pub(crate) fn with_key(key: &str, args: &[&str]) -> Output {
    command(args)
        .env("SESSION_LEDGER_KEY", key)
        .output()
        .unwrap()
}

/// Runs the command with some input. Returns its exit code and its stdout.
pub(crate) fn with_input(args: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    (output.status.code(), stdout(&output))
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A running `serve`. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
    started: String,
    log: Arc<Log>,
    reading: Option<JoinHandle<()>>,
}

/// What a server has logged since it served.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    more: Condvar,
}

impl Server {
    /// Starts a server on a free port, without credentials.
    pub(crate) fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[])
    }

    /// Starts a server without credentials, with more arguments.
    pub(crate) fn start_with(dir: &Path, more: &[&str]) -> Self {
        Self::start_guarded(dir, &[&["--no-auth"], more].concat())
    }

    /// Starts a server without credentials, whose files may not grow beyond this size.
    pub(crate) fn start_limited(dir: &Path, bytes: u64) -> Self {
        let serve = command(&Self::serve(dir, &["--no-auth"]));
        let mut limited = Command::new("prlimit");
        limited.arg(format!("--fsize={bytes}:unlimited"));
        limited.arg(serve.get_program()).args(serve.get_args());
        Self::spawn(limited)
    }

    /// Starts a server without credentials, with more variables in its environment.
    pub(crate) fn start_in(dir: &Path, variables: &[(&str, PathBuf)]) -> Self {
        let mut serve = command(&Self::serve(dir, &["--no-auth"]));
        serve.envs(variables.iter().cloned());
        Self::spawn(serve)
    }

    /// Starts a server with these arguments and variables, and with no other settings for traces.
    pub(crate) fn start_with_variables(
        dir: &Path,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut serve = command(&Self::serve(dir, more));
        serve.envs(variables.iter().copied());
        Self::spawn(serve)
    }

    /// Starts a server without credentials at an address that an earlier one has left.
    pub(crate) fn start_at(dir: &Path, address: &str) -> Self {
        let dir = dir.to_str().unwrap();
        let args = ["serve", "--data-dir", dir, "--no-auth", "--listen", address];
        Self::spawn(command(&args))
    }

    /// Starts a server that requires credentials.
    pub(crate) fn start_guarded(dir: &Path, more: &[&str]) -> Self {
        Self::spawn(command(&Self::serve(dir, more)))
    }

    fn serve<'a>(dir: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
        let dir = dir.to_str().unwrap();
        let serve = ["serve", "--data-dir", dir, "--listen", "127.0.0.1:0"];
        [&serve, more].concat()
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let (mut line, mut said) = (String::new(), String::new());
        while !line.contains("serving on http") {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "{said}");
            said.push_str(&line);
        }
        let started = said;
        let (_, url) = line.split_once("serving on ").unwrap();
        let url = url.split_whitespace().next().unwrap().to_owned();
        line.clear();
        let log = Arc::<Log>::default();
        let written = Arc::clone(&log);
        // The thread reads the log to the end, so that the pipe never fills.
        #[expect(clippy::disallowed_methods, reason = "it ends with the process")]
        let reading = std::thread::spawn(move || {
            while lines.read_line(&mut line).unwrap() != 0 {
                written.text.lock().unwrap().push_str(&line);
                written.more.notify_all();
                line.clear();
            }
        });
        Self {
            child,
            url,
            started,
            log,
            reading: Some(reading),
        }
    }

    /// Waits until the server has logged this text.
    #[track_caller]
    pub(crate) fn until_logged(&self, text: &str) {
        if self.started.contains(text) {
            return;
        }
        let seen = self.log.text.lock().unwrap();
        let is_missing = |seen: &mut String| !seen.contains(text);
        let waited = self.log.more.wait_timeout_while(seen, LOG_WAIT, is_missing);
        let (seen, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "{text} is not in: {seen}");
    }

    /// Returns what the server logged until it served.
    pub(crate) fn started(&self) -> &str {
        &self.started
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Runs a client command against this server, for the tenant `acme`. Returns its stdout.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        ok(&self.args(args))
    }

    /// Adds the arguments that name this server and the tenant `acme`.
    pub(crate) fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [args, &["--url", &self.url, "--tenant", "acme"]].concat()
    }

    /// Lets no file of the server grow beyond this size, or lifts that limit.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let id = self.child.id().to_string();
        let set = Command::new("prlimit")
            .args(["--pid", &id, &format!("--fsize={limit}:unlimited")])
            .status();
        assert!(set.unwrap().success());
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Sends SIGTERM and waits. Returns the exit code and the log.
    pub(crate) fn terminate(self) -> (Option<i32>, String) {
        self.signal("TERM");
        self.wait()
    }

    /// Waits until the server ends by itself. Returns the exit code and the log.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        self.reading.take().unwrap().join().unwrap();
        let logged = std::mem::take(&mut *self.log.text.lock().unwrap());
        (status.code(), logged)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
