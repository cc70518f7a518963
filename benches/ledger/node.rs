//! A ledger as a user runs it: the built binary, in its own process.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::child::{Running, WAIT_MAX, disk_bytes};
use crate::http::{self, Connection};

/// The pause between two checks of the fold's position.
const LOOK: Duration = Duration::from_millis(10);

/// A data directory, the address of its log, and keys of its tenants.
pub(crate) struct Ledger {
    dir: TempDir,
    nats_url: Option<String>,
}

/// A running server. Killed when dropped.
pub(crate) struct Node {
    process: Running,
    pub(crate) addr: SocketAddr,
}

/// The server's metrics about its fold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metrics {
    pub(crate) position: u64,
    pub(crate) head: u64,
}

impl Ledger {
    /// Returns a ledger with its log on a NATS server, or in its directory without a URL.
    pub(crate) fn new(nats_url: Option<&str>) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            nats_url: nats_url.map(str::to_owned),
        }
    }

    /// Issues a key, as an operator does before the first start.
    pub(crate) fn issue_key(&self, tenant: &str) -> String {
        let mut command = self.command(&["keys", "issue", "--json", "--tenant", tenant]);
        command.args(["--role", "read", "--role", "write", "--role", "audit"]);
        if self.nats_url.is_none() {
            command.arg("--data-dir").arg(self.dir.path());
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let issued: Value = serde_json::from_slice(&output.stdout).unwrap();
        issued["key"].as_str().expect("an issued key").to_owned()
    }

    /// Starts a server on its previous port, without waiting until it serves.
    pub(crate) fn start_again(&self, addr: SocketAddr) -> Node {
        let mut command = self.serve(&addr.to_string());
        let process = Running::spawn(command.stderr(Stdio::null()));
        Node { process, addr }
    }

    /// Starts a server on a free port.
    pub(crate) fn start(&self) -> Node {
        let mut command = self.serve("127.0.0.1:0");
        let mut process = Running::spawn(command.stderr(Stdio::piped()));
        let mut lines = BufReader::new(process.0.stderr.take().unwrap());
        let (mut line, mut said) = (String::new(), String::new());
        let addr = loop {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "{said}");
            if let Some((_, addr)) = line.split_once("serving on http://") {
                break addr.split_whitespace().next().unwrap().parse().unwrap();
            }
            said.push_str(&line);
        };
        // The thread reads the log to the end, so that the pipe never fills.
        #[expect(clippy::disallowed_methods, reason = "it ends with the process")]
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        Node { process, addr }
    }

    /// Returns the bytes of the read model.
    pub(crate) fn model_bytes(&self) -> u64 {
        disk_bytes(&self.model())
    }

    fn model(&self) -> PathBuf {
        self.dir.path().join("model.redb")
    }

    fn serve(&self, listen: &str) -> Command {
        let mut command = self.command(&["serve", "--listen", listen]);
        command.arg("--data-dir").arg(self.dir.path());
        command
    }

    /// Returns the command, without the `SESSION_LEDGER_` variables of the environment.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_session-ledger"));
        command.args(args).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"SESSION_LEDGER_") {
                command.env_remove(name);
            }
        }
        if let Some(url) = &self.nats_url {
            command.args(["--nats-url", url]);
        }
        command
    }
}

impl Node {
    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.addr).await.unwrap()
    }

    /// Waits until a position is folded. Returns the positions that it saw while it waited, each with
    /// its time.
    pub(crate) async fn caught_up(&self, head: u64, since: Instant) -> Vec<(Duration, u64)> {
        let mut connection = self.connect().await;
        let mut samples = vec![(Duration::ZERO, 0)];
        loop {
            let Metrics { position, .. } = metrics(&mut connection).await;
            samples.push((since.elapsed(), position));
            if head <= position {
                return samples;
            }
            assert!(
                since.elapsed() < WAIT_MAX * 10,
                "the fold stands at {position}"
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Returns the metrics as text for Prometheus.
    pub(crate) async fn metrics_text(&self) -> String {
        self.connect().await.text(&http::get("/metrics", "")).await
    }

    /// Returns the resident memory in bytes, now and at its peak.
    pub(crate) fn memory(&self) -> [u64; 2] {
        self.process.memory()
    }

    /// Stops the server gracefully. After that, everything that it folded is durable.
    pub(crate) fn stop(mut self) {
        self.process.stop("TERM");
    }

    /// Kills the server, as a crash.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }
}

/// Reads the fold's metrics.
pub(crate) async fn metrics(connection: &mut Connection) -> Metrics {
    let text = connection.text(&http::get("/metrics", "")).await;
    let gauge = |name: &str| metric(&text, name).expect("a metric");
    Metrics {
        position: gauge("session_ledger_position"),
        head: gauge("session_ledger_log_head"),
    }
}

/// Returns the whole number of a metric with this name (and labels).
pub(crate) fn metric(text: &str, name: &str) -> Option<u64> {
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
    values.find_map(|value| value.strip_prefix(' ')?.parse().ok())
}

/// Returns all counts of verdicts: verdict, reason and count.
pub(crate) fn verdicts(text: &str) -> Vec<(String, u64)> {
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("session_ledger_verdicts_total"));
    let counts = lines.filter_map(|line| {
        let (labels, count) = line.rsplit_once(' ')?;
        Some((labels.to_owned(), count.parse().ok()?))
    });
    counts.collect()
}
