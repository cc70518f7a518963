//! A real `nats-server` with `JetStream`, one per test, on a free port.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind};
use async_nats::jetstream::{Context, ErrorCode, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long a server may take to start listening.
const START_MAX: Duration = Duration::from_secs(20);
/// The pause between two checks whether it listens.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A running server. It is killed, and its store removed, when dropped.
pub(crate) struct NatsServer {
    process: Child,
    url: String,
    port: u16,
    setup: Setup,
    dir: tempfile::TempDir,
}

/// The configuration and environment of a server.
pub(crate) struct Setup {
    /// The configuration. `{PORT}` and `{DIR}` are replaced when the server starts.
    pub(crate) config: String,
    /// Variables that the configuration uses.
    pub(crate) env: Vec<(String, String)>,
    /// The name and text of a file that the configuration includes, with the same replacements.
    pub(crate) included: Option<(&'static str, String)>,
}

impl NatsServer {
    /// Starts a server with an empty store.
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts a server with more text in its configuration.
    pub(crate) async fn start_with(extra: &str) -> Self {
        let config = format!(
            "listen: \"127.0.0.1:{{PORT}}\"\njetstream {{ store_dir: \"{{DIR}}\" }}\n{extra}\n"
        );
        let (env, included) = (Vec::new(), None);
        Self::start_as(Setup {
            config,
            env,
            included,
        })
        .await
    }

    /// Starts a server with another configuration.
    pub(crate) async fn start_as(setup: Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let process = spawn(dir.path(), -1, &setup);
        let (url, port) = listening(dir.path()).await;
        Self {
            process,
            url,
            port,
            setup,
            dir,
        }
    }

    /// Returns the server's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Restarts the server on its store and another port. Kills it first if it still runs.
    pub(crate) async fn restart_elsewhere(&mut self) {
        if self.process.try_wait().unwrap().is_none() {
            self.kill();
        }
        self.process = spawn(self.dir.path(), -1, &self.setup);
        (self.url, self.port) = listening(self.dir.path()).await;
    }

    /// Ends the process gracefully (SIGTERM).
    pub(crate) fn terminate(&mut self) {
        self.signal("TERM");
        // It removes the file with its ports.
        self.process.wait().unwrap();
    }

    /// Returns the port on which the server listens for `nats`, `cluster` or `monitoring`.
    pub(crate) fn port_for(&self, part: &str) -> u16 {
        let file = ports_files(self.dir.path()).remove(0);
        let ports: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        port_of(ports[part][0].as_str().unwrap())
    }

    /// Whether the server has begun to listen and was not ended by this test.
    pub(crate) fn is_listening(&self) -> bool {
        !ports_files(self.dir.path()).is_empty()
    }

    /// Makes the process hang (SIGSTOP): it keeps its connections and does not answer.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets a paused process go on (SIGCONT).
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Restarts the server with another configuration.
    pub(crate) async fn restart_as(&mut self, config: &str) {
        config.clone_into(&mut self.setup.config);
        self.restart().await;
    }

    /// Ends the process at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        // SIGKILL, to this process only.
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        for file in ports_files(self.dir.path()) {
            fs::remove_file(file).unwrap();
        }
    }

    /// Kills the server, copies its store, and restarts it.
    pub(crate) async fn copy_store(&mut self) -> tempfile::TempDir {
        self.kill();
        let copy = tempfile::tempdir().unwrap();
        copy_dir(&self.dir.path().join("jetstream"), copy.path());
        self.restart().await;
        copy
    }

    /// Kills the server, and replaces its store by a copy.
    pub(crate) fn replace_store(&mut self, copy: &Path) {
        self.kill();
        let store = self.dir.path().join("jetstream");
        fs::remove_dir_all(&store).unwrap();
        copy_dir(copy, &store);
    }

    /// Kills the server, replaces its store by a copy, and restarts it on another port, where its old
    /// clients do not find it. Returns that address.
    pub(crate) async fn restart_hidden_with(&mut self, copy: &Path) -> String {
        self.replace_store(copy);
        self.process = spawn(self.dir.path(), -1, &self.setup);
        listening(self.dir.path()).await.0
    }

    /// Restarts the server on the same port and store. Kills it first if it still runs.
    pub(crate) async fn restart(&mut self) {
        if self.process.try_wait().unwrap().is_none() {
            self.kill();
        }
        self.process = spawn(self.dir.path(), self.port.into(), &self.setup);
        listening(self.dir.path()).await;
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn spawn(dir: &Path, port: i32, setup: &Setup) -> Child {
    let (config, path) = (dir.join("server.conf"), dir.to_str().unwrap());
    let filled = |text: &str| {
        let text = text.replace("{PORT}", &port.to_string());
        text.replace("{DIR}", path)
    };
    if let Some((name, text)) = &setup.included {
        fs::write(dir.join(name), filled(text)).unwrap();
    }
    let text = filled(&setup.config);
    fs::write(&config, format!("ports_file_dir: \"{path}\"\n{text}")).unwrap();
    let spawned = Command::new(binary())
        .arg("--config")
        .arg(config)
        .envs(setup.env.clone())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    spawned.unwrap_or_else(|error| {
        panic!(
            "these tests need a nats-server, on the PATH or named by \
             SESSION_LEDGER_TEST_NATS_SERVER: {error}"
        )
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server to test against is not a setting of the ledger"
)]
fn binary() -> PathBuf {
    std::env::var_os("SESSION_LEDGER_TEST_NATS_SERVER")
        .map_or_else(|| PathBuf::from("nats-server"), PathBuf::from)
}

/// The server writes `nats-server_PID.ports` once it listens.
async fn listening(dir: &Path) -> (String, u16) {
    let give_up_at = Instant::now() + START_MAX;
    loop {
        for file in ports_files(dir) {
            // The file may be half written.
            if let Ok(ports) = serde_json::from_slice::<serde_json::Value>(&fs::read(file).unwrap())
                && let Some(url) = ports["nats"][0].as_str()
            {
                return (url.to_owned(), port_of(url));
            }
        }
        assert!(
            Instant::now() < give_up_at,
            "nats-server did not start in {START_MAX:?}"
        );
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().parse().unwrap()
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.as_ref().unwrap(), to);
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn ports_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "ports")
        })
        .collect()
}

/// Publishes a message that client libraries would reject.
pub(crate) async fn publish_raw(
    server: &NatsServer,
    subject: &str,
    headers: &[u8],
    payload: &[u8],
) {
    let mut socket = tokio::net::TcpStream::connect(server.url().trim_start_matches("nats://"))
        .await
        .unwrap();
    let mut text = b"CONNECT {\"headers\":true,\"verbose\":false}\r\n".to_vec();
    let (headers_len, total_len) = (headers.len(), headers.len() + payload.len());
    text.extend(format!("HPUB {subject} {headers_len} {total_len}\r\n").as_bytes());
    text.extend([headers, payload, b"\r\nPING\r\n"].concat());
    socket.write_all(&text).await.unwrap();
    let mut answers = Vec::new();
    while !answers.ends_with(b"PONG\r\n") {
        assert_ne!(socket.read_buf(&mut answers).await.unwrap(), 0);
    }
}

/// Replaces a stream by one with its name. A server under load may still remove the files of the old one when
/// it makes the new one, and then fails with "error creating store for stream".
pub(crate) async fn replace_stream(nats: &Context, config: stream::Config) -> stream::Stream {
    nats.delete_stream(&config.name).await.unwrap();
    let ends = Instant::now() + START_MAX;
    loop {
        match nats.create_stream(config.clone()).await {
            Ok(stream) => return stream,
            Err(error) if Instant::now() < ends && is_unmade(&error) => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn is_unmade(error: &CreateStreamError) -> bool {
    let kind = error.kind();
    matches!(kind, CreateStreamErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_CREATE)
}
