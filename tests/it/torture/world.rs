//! The processes of a run and the ways between them, and how faults change them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::support::nats::NatsServer;
use crate::support::nats_cluster::{NODES, NatsCluster};
use crate::torture::ledger::Ledger;
use crate::torture::plan::{Fault, Moment};
use crate::torture::trouble::Trouble;
use crate::torture::way::Way;
use crate::torture::{Finding, Mode, Options, TENANT};

/// The size from which a NATS server begins another file of its log, in bytes.
const BROKER_LOG_BYTES: u64 = 20_000_000;

/// A ledger writes a snapshot of its read model when the last one is so many records behind.
const SNAPSHOT_RECORDS: &str = "1000";

/// What a NATS server says about its streams and consumers.
const DETAILS: &str = "/jsz?streams=true&consumers=true&config=true&raft=true";

/// All processes of a run. They are killed when this is dropped.
pub(crate) struct World {
    pub(crate) ledgers: Vec<Ledger>,
    brokers: Brokers,
    /// From each ledger to each NATS server; the last row is from the clients that publish.
    ways: Vec<Vec<Way>>,
    dir: Option<tempfile::TempDir>,
    /// The API key of all clients.
    key: String,
    pub(crate) binary: PathBuf,
}

enum Brokers {
    None,
    One(NatsServer),
    Cluster(NatsCluster),
}

impl World {
    pub(crate) async fn start(options: &Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let log_of = |number: usize| {
            format!(
                "log_file: \"{path}/nats-{number}.log\"\nlog_size_limit: {BROKER_LOG_BYTES}\nlog_max_num: 2\n"
            )
        };
        let brokers = match options.mode {
            Mode::Embedded => Brokers::None,
            Mode::Nats => Brokers::One(NatsServer::start_with(&log_of(0)).await),
            Mode::Cluster => Brokers::Cluster(Box::pin(NatsCluster::start_with(log_of)).await),
        };
        let ledgers = match brokers {
            Brokers::None => 1,
            Brokers::One(_) | Brokers::Cluster(_) => 2,
        };
        let mut ways = Vec::new();
        for _ in 0..=ledgers {
            let mut row = Vec::new();
            for url in brokers.urls() {
                row.push(Way::to(port_of(&url)).await);
            }
            ways.push(row);
        }
        let secret = dir.path().join("token.secret");
        fs::write(&secret, "5a".repeat(32)).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let mut world = Self {
            ledgers: Vec::new(),
            brokers,
            ways,
            key: String::new(),
            binary: options.binary.clone(),
            dir: None,
        };
        // The built-in log of the keys is in the directory of the one ledger.
        world.key = world.issue_key(&dir.path().join("ledger-0"));
        let snapshots = dir.path().join("snapshots");
        fs::create_dir(&snapshots).unwrap();
        for number in 0..ledgers {
            let place = dir.path().join(format!("ledger-{number}"));
            let mut arguments: Vec<String> = [
                "--listen",
                "127.0.0.1:0",
                "--token-secret-file",
                secret.to_str().unwrap(),
                "--snapshots",
                snapshots.to_str().unwrap(),
                "--snapshot-records",
                SNAPSHOT_RECORDS,
            ]
            .map(str::to_owned)
            .into();
            arguments.extend(world.nats_arguments(&world.ways[number]));
            let mut ledger = Ledger::new(&options.binary, place, arguments).await;
            ledger.start();
            world.ledgers.push(ledger);
        }
        world.dir = Some(dir);
        world
    }

    /// Issues a key for all clients, before a ledger runs.
    fn issue_key(&self, dir: &Path) -> String {
        let mut command = Ledger::command(&self.binary);
        command.args(["keys", "issue", "--json", "--tenant", TENANT]);
        for role in ["admin", "read", "write", "audit"] {
            command.args(["--role", role]);
        }
        match &self.brokers {
            Brokers::None => command.arg("--data-dir").arg(dir),
            Brokers::One(_) | Brokers::Cluster(_) => {
                command.args(self.nats_arguments(&self.ways[0]))
            }
        };
        let issued = command.output().unwrap();
        assert!(issued.status.success(), "{issued:?}");
        let issued: serde_json::Value = serde_json::from_slice(&issued.stdout).unwrap();
        issued["key"].as_str().unwrap().to_owned()
    }

    /// The API key of all clients.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The options with which a command of the ledger finds the log through these ways.
    fn nats_arguments(&self, ways: &[Way]) -> Vec<String> {
        let replicas = match self.brokers {
            Brokers::None => return Vec::new(),
            Brokers::One(_) => 1,
            Brokers::Cluster(_) => NODES,
        };
        let [urls, replicas] = [urls(ways), replicas.to_string()];
        vec![
            "--nats-url".to_owned(),
            urls,
            "--nats-replicas".to_owned(),
            replicas,
        ]
    }

    /// The options with which a command on the directory of a ledger finds the log.
    pub(crate) fn offline_arguments(&self, ledger: usize) -> Vec<String> {
        self.nats_arguments(&self.ways[ledger])
    }

    /// The addresses of the ledgers for clients.
    pub(crate) fn doors(&self) -> Vec<String> {
        let doors = self.ledgers.iter().map(|ledger| ledger.door().port());
        doors
            .map(|port| format!("http://127.0.0.1:{port}"))
            .collect()
    }

    /// The addresses of NATS for clients that publish; `None` if there is no NATS server.
    pub(crate) fn runtime_url(&self) -> Option<String> {
        let ways = self.ways.last()?;
        (!ways.is_empty()).then(|| urls(ways))
    }

    pub(crate) async fn look(&mut self) -> Result<(), Finding> {
        for ledger in &mut self.ledgers {
            ledger.look().await?;
        }
        Ok(())
    }

    pub(crate) fn check_mended(&mut self) -> Result<(), Finding> {
        self.ledgers.iter_mut().try_for_each(Ledger::check_mended)
    }

    /// Begins or ends a fault. Returns whether it took place: a ledger that ended by itself cannot be paused.
    pub(crate) async fn apply(&mut self, moment: &Moment) -> bool {
        match moment {
            Moment::Begin(planned) => self.begin(planned.fault).await,
            Moment::End(planned) => {
                self.end(planned.fault).await;
                true
            }
        }
    }

    /// The ledgers that a fault keeps from NATS.
    fn without_log(&mut self, fault: Fault) -> impl Iterator<Item = &mut Trouble> {
        let ledgers = self.ledgers.iter_mut().enumerate();
        ledgers.filter_map(move |(ledger, state)| {
            let is_hit = match fault {
                Fault::LedgerWithoutLog(number) => number == ledger,
                Fault::BrokerKilled(_) | Fault::BrokerPaused(_) | Fault::BrokerCutOff(_) => true,
                Fault::LedgerKilled(_)
                | Fault::LedgerPaused(_)
                | Fault::LedgerCutOff(_)
                | Fault::DiskFull(..)
                | Fault::DamagedRunning(..)
                | Fault::DamagedStopped(..) => false,
            };
            is_hit.then_some(&mut state.troubles.no_log)
        })
    }

    async fn begin(&mut self, fault: Fault) -> bool {
        self.without_log(fault).for_each(Trouble::begin);
        match fault {
            Fault::LedgerKilled(number) => return self.ledgers[number].kill().await,
            Fault::LedgerPaused(number) => return self.ledgers[number].pause(),
            Fault::LedgerCutOff(number) => self.ledgers[number].door().cut(),
            Fault::LedgerWithoutLog(number) => self.ways[number].iter().for_each(Way::cut),
            Fault::DiskFull(number, room) => return self.ledgers[number].fill_disk(room),
            Fault::DamagedRunning(number, damage) => return self.ledgers[number].damage(damage),
            Fault::DamagedStopped(number, damage) => {
                self.ledgers[number].kill().await;
                return self.ledgers[number].damage(damage);
            }
            Fault::BrokerKilled(number) => match &mut self.brokers {
                Brokers::None => return false,
                Brokers::One(server) => server.kill(),
                Brokers::Cluster(cluster) => cluster.kill(number),
            },
            Fault::BrokerPaused(number) => match &self.brokers {
                Brokers::None => return false,
                Brokers::One(server) => server.pause(),
                Brokers::Cluster(cluster) => cluster.pause(number),
            },
            Fault::BrokerCutOff(number) => match &self.brokers {
                Brokers::None => return false,
                Brokers::One(_) => self.ways.iter().flatten().for_each(Way::cut),
                Brokers::Cluster(cluster) => cluster.cut_off(number),
            },
        }
        true
    }

    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::LedgerKilled(number) | Fault::DamagedStopped(number, _) => {
                self.ledgers[number].start();
            }
            Fault::LedgerPaused(number) => self.ledgers[number].go_on(),
            Fault::LedgerCutOff(number) => self.ledgers[number].door().heal(),
            Fault::LedgerWithoutLog(number) => self.ways[number].iter().for_each(Way::heal),
            Fault::DiskFull(number, _) => self.ledgers[number].empty_disk(),
            // It is over as soon as it has begun.
            Fault::DamagedRunning(..) => {}
            Fault::BrokerKilled(number) => match &mut self.brokers {
                Brokers::None => {}
                Brokers::One(server) => server.restart().await,
                Brokers::Cluster(cluster) => cluster.restart(number).await,
            },
            Fault::BrokerPaused(number) => match &self.brokers {
                Brokers::None => {}
                Brokers::One(server) => server.go_on(),
                Brokers::Cluster(cluster) => cluster.go_on(number),
            },
            Fault::BrokerCutOff(number) => match &self.brokers {
                Brokers::None => {}
                Brokers::One(_) => self.ways.iter().flatten().for_each(Way::heal),
                Brokers::Cluster(cluster) => cluster.heal(number),
            },
        }
        self.without_log(fault).for_each(Trouble::end);
    }

    /// Keeps the files after the end of the run, with what the servers of a cluster say about their streams and
    /// consumers. Returns their directory.
    pub(crate) async fn keep_files(&mut self) -> PathBuf {
        let kept = self.dir.take().map(tempfile::TempDir::keep);
        let kept = kept.unwrap_or_default();
        if let Brokers::Cluster(cluster) = &self.brokers {
            for node in 0..NODES {
                let told = cluster.monitored(node, DETAILS).await.unwrap_or_default();
                fs::write(kept.join(format!("nats-{node}.json")), told).unwrap();
            }
        }
        kept
    }
}

impl Brokers {
    fn urls(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::One(server) => vec![server.url().to_owned()],
            Self::Cluster(cluster) => cluster.urls(),
        }
    }
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().parse().unwrap()
}

fn urls(ways: &[Way]) -> String {
    let urls = ways
        .iter()
        .map(|way| format!("nats://127.0.0.1:{}", way.port()));
    urls.collect::<Vec<_>>().join(",")
}
