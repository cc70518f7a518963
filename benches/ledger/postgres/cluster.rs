//! A PostgreSQL cluster in a temporary directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use crate::child::{Running, WAIT_MAX};
use crate::machine::first_line;

/// The directory in which Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The user to run as if we are root, because PostgreSQL refuses to run as root.
const UNPRIVILEGED: &str = "postgres";
const USER: &str = "ledger";
const LOOK: Duration = Duration::from_millis(20);
/// Typical settings of a small server: memory, few checkpoints, every commit on disk.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "shared_buffers=1GB",
    "effective_cache_size=4GB",
    "work_mem=64MB",
    "maintenance_work_mem=512MB",
    "max_wal_size=16GB",
    "checkpoint_timeout=15min",
    "wal_compression=on",
    "fsync=on",
    "synchronous_commit=on",
    "random_page_cost=1.1",
    "jit=off",
];

/// A running server. It is stopped, and its files removed, when dropped.
pub(crate) struct Cluster {
    process: Running,
    dir: TempDir,
}

/// A connection.
pub(crate) struct Client {
    pub(crate) client: tokio_postgres::Client,
    /// The task that drives the connection until it is dropped.
    _connection: JoinSet<()>,
}

impl Cluster {
    /// Returns the version, or `None` if there is no PostgreSQL.
    pub(crate) fn version() -> Option<String> {
        first_line(Command::new(programs()?.join("postgres")).arg("--version"))
    }

    /// Starts an empty cluster. Returns `None` if there is no PostgreSQL.
    pub(crate) async fn start() -> Option<Self> {
        let programs = programs()?;
        let dir = tempfile::tempdir().unwrap();
        let user = unprivileged(dir.path());
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        if let Some((uid, gid)) = user {
            fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
            chown(dir.path(), Some(uid), Some(gid)).unwrap();
            chown(&data, Some(uid), Some(gid)).unwrap();
        }
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command
                .current_dir("/")
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            command.stderr(Stdio::null()).arg("-D").arg(&data);
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        let mut init = command("initdb");
        init.args([
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "--username",
            USER,
        ]);
        assert!(init.status().unwrap().success(), "initdb failed");
        let mut serve = command("postgres");
        serve.arg("-k").arg(dir.path());
        for setting in SETTINGS {
            serve.args(["-c", setting]);
        }
        let process = Running::spawn(&mut serve);
        let cluster = Self { process, dir };
        let started = Instant::now();
        while cluster.try_connect().await.is_none() {
            assert!(started.elapsed() < WAIT_MAX, "PostgreSQL does not start");
            tokio::time::sleep(LOOK).await;
        }
        Some(cluster)
    }

    pub(crate) async fn connect(&self) -> Client {
        self.try_connect()
            .await
            .expect("PostgreSQL takes connections")
    }

    async fn try_connect(&self) -> Option<Client> {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(self.dir.path())
            .user(USER)
            .dbname("postgres");
        let (client, connection) = config.connect(NoTls).await.ok()?;
        let mut moving = JoinSet::new();
        moving.spawn(async move { drop(connection.await) });
        Some(Client {
            client,
            _connection: moving,
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGQUIT ends the server at once, but lets it end its children and free its shared memory.
        let id = self.process.0.id().to_string();
        drop(Command::new("kill").args(["-s", "QUIT", &id]).status());
        drop(self.process.0.wait());
    }
}

/// Returns the directory with the programs of the newest PostgreSQL.
#[expect(
    clippy::disallowed_methods,
    reason = "the PostgreSQL to compare with is not a setting of the ledger"
)]
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path);
    let entries = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    debian.sort_by_key(|dir| dir.file_name()?.to_str()?.parse::<u32>().ok());
    let debian = debian.into_iter().rev().map(|dir| dir.join("bin"));
    on_path
        .chain(debian)
        .find(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file())
}

/// Returns the user and group to run as, if our directory belongs to root.
fn unprivileged(dir: &Path) -> Option<(u32, u32)> {
    if fs::metadata(dir).unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users
        .lines()
        .find(|line| line.split(':').next() == Some(UNPRIVILEGED));
    let mut ids = line
        .expect("a user `postgres`, as root cannot run it")
        .split(':')
        .skip(2);
    let mut id = || ids.next()?.parse().ok();
    id().zip(id())
}
