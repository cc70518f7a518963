//! A NATS server with the shipped configuration, two tenants, and a ledger.

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{PublishError, UpdateStreamError};
use async_nats::jetstream::{self, publish::PublishAck, stream};
use async_nats::{Client, ConnectOptions, Event, HeaderMap, ServerError};
use session_ledger::log::jetstream::{Credentials, JetStreamConfig};
use session_ledger::log::{EventLog as _, JetStreamLog, Record};
use tokio::sync::{Mutex, mpsc};

use super::cli::{command, stderr};
use super::nats::{NatsServer, Setup};
use super::nats_cluster::{NOWHERE, NatsCluster};

const SHIPPED: &str = include_str!("../../../deploy/nats/nats-server.conf");
const SHIPPED_CLUSTER: &str = include_str!("../../../deploy/nats/cluster.conf");
/// Users and their passwords.
const PASSWORDS: [(&str, &str); 5] = [
    ("ledger", "12345678"),
    ("ledger-setup", "set up"),
    ("ledger-backup", "backup"),
    ("acme", r#"ac#me; {x} "y""#),
    ("globex", "globex"),
];
/// The streams of the ledger.
pub(crate) const STREAMS: [&str; 2] = ["LEDGER", "LEDGER_ADMIN"];
/// How long a test waits for a message.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A server with the shipped configuration and a second tenant, and a ledger on it.
pub(crate) struct World {
    server: NatsServer,
    pub(crate) ledger: Arc<JetStreamLog>,
    pub(crate) admin: JetStreamLog,
}

/// A client, and the server's errors for it.
pub(crate) struct User {
    pub(crate) client: Client,
    complaints: Mutex<mpsc::Receiver<String>>,
}

/// Returns the shipped configuration with another port, store and interface.
fn shipped() -> String {
    let mut config = SHIPPED.to_owned();
    for (shipped, tested) in [
        ("listen: 0.0.0.0:4222", "listen: \"127.0.0.1:{PORT}\""),
        ("http: 0.0.0.0:8222", "http: \"127.0.0.1:-1\""),
        ("store_dir: /data", "store_dir: \"{DIR}\""),
    ] {
        assert_eq!(config.matches(shipped).count(), 1, "{shipped}");
        config = config.replace(shipped, tested);
    }
    config
}

/// Adds a tenant as the comments in the configuration say: copies the lines about `acme` and replaces
/// the name.
fn add_tenant(config: &str, tenant: &str) -> String {
    let renamed = |text: &str| {
        let lower = text.replace("acme", tenant);
        lower.replace("ACME", &tenant.to_uppercase())
    };
    let (start, end) = ("  ACME {\n", "\n  }\n");
    let start = config.find(start).unwrap();
    let end = start + config[start..].find(end).unwrap() + end.len();
    let mut copied = String::new();
    for line in config[..start].lines() {
        copied.extend([line, "\n"]);
        if line.contains("accounts: [ACME]") {
            copied.extend([&renamed(line), "\n"]);
        }
    }
    let account = &config[start..end];
    copied + account + &renamed(account) + &config[end..]
}

fn password(user: &str) -> &'static str {
    let (_, password) = PASSWORDS.iter().find(|(name, _)| *name == user).unwrap();
    password
}

/// Returns the prefix of the inboxes that a user may subscribe to.
fn inbox_prefix(user: &str) -> &'static str {
    match user {
        "ledger-setup" => "_INBOX_ledger-setup",
        "ledger-backup" => "_INBOX_ledger-backup",
        _ => "_INBOX",
    }
}

/// Adds the user for backups as the comments in the configuration say.
fn add_backup_user(config: &str) -> String {
    let lines = config
        .lines()
        .map(|line| line.replacen("      #", "      ", 1));
    let (mut added, mut is_user) = (String::new(), false);
    for (line, uncommented) in config.lines().zip(lines) {
        is_user |= line == "      #{";
        added.extend([if is_user { &uncommented } else { line }, "\n"]);
        is_user &= line != "      #}";
    }
    assert!(added.contains("\n        user: ledger-backup\n"));
    added
}

/// Starts a server with the shipped configuration and a second tenant, and without streams.
pub(crate) async fn server() -> NatsServer {
    start(add_tenant(&shipped(), "globex")).await
}

async fn start(config: String) -> NatsServer {
    let quoted = PASSWORDS.map(|(user, password)| variable(user, password));
    let (env, included) = (quoted.to_vec(), None);
    NatsServer::start_as(Setup {
        config,
        env,
        included,
    })
    .await
}

/// Starts three servers with the shipped configuration of a cluster, and without streams.
pub(crate) async fn cluster() -> NatsCluster {
    NatsCluster::start_servers(|number, routes| {
        let routes = routes.iter().map(|url| {
            let url = url.replace("nats://", "nats://routes:r@");
            format!("'{url}'")
        });
        let routes = format!("[{}]", routes.collect::<Vec<_>>().join(", "));
        let advertise = format!("  no_advertise: true\n  advertise: \"{NOWHERE}\"\n");
        let mut config = SHIPPED_CLUSTER.to_owned();
        for (shipped, tested) in [
            ("listen: 0.0.0.0:6222", "listen: \"127.0.0.1:-1\""),
            ("  no_advertise: true\n", advertise.as_str()),
        ] {
            assert_eq!(config.matches(shipped).count(), 1, "{shipped}");
            config = config.replace(shipped, tested);
        }
        let passwords = PASSWORDS
            .iter()
            .map(|(user, password)| variable(user, password));
        let name = ("NATS_SERVER_NAME".to_owned(), format!("nats-{number}"));
        let routes = ("NATS_ROUTES".to_owned(), routes);
        let more = [variable("routes", "r"), name, routes];
        let env = passwords.chain(more).collect();
        Setup {
            config,
            env,
            included: Some(("nats-server.conf", shipped())),
        }
    })
    .await
}

/// Returns the variable with a user's password, quoted as the compose file does.
fn variable(user: &str, password: &str) -> (String, String) {
    let name = format!("{}_NATS_PASSWORD", user.to_uppercase().replace('-', "_"));
    (name, format!("'{password}'"))
}

/// Returns a command of the program that logs in to the server as a user.
pub(crate) fn command_as(server: &NatsServer, user: &str, args: &[&str]) -> Command {
    command_at(server.url(), user, args)
}

/// Returns a command of the program that logs in at these addresses as a user.
pub(crate) fn command_at(urls: &str, user: &str, args: &[&str]) -> Command {
    let mut command = command(args);
    command.env("SESSION_LEDGER_NATS_URL", urls);
    command.env("SESSION_LEDGER_NATS_USER", user);
    command.env("SESSION_LEDGER_NATS_PASSWORD", password(user));
    command.env("SESSION_LEDGER_NATS_INBOX_PREFIX", inbox_prefix(user));
    command
}

/// Runs `streams create` as the user that may.
pub(crate) fn create_streams(server: &NatsServer, more: &[&str]) -> Output {
    let args = [&["streams", "create"], more].concat();
    command_as(server, "ledger-setup", &args).output().unwrap()
}

/// Connects to the server as a user.
pub(crate) async fn connect(server: &NatsServer, name: &str) -> User {
    let (sender, complaints) = mpsc::channel(1000);
    let client = ConnectOptions::with_user_and_password(name.to_owned(), password(name).to_owned())
        .custom_inbox_prefix(inbox_prefix(name))
        .event_callback(move |event| {
            if let Event::ServerError(ServerError::Other(text)) = event {
                sender.try_send(text).unwrap();
            }
            std::future::ready(())
        })
        .connect(server.url())
        .await
        .unwrap();
    User {
        client,
        complaints: Mutex::new(complaints),
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_on(server().await).await
    }

    /// Starts the server with the user for backups.
    pub(crate) async fn start_with_backup_user() -> Self {
        Self::start_on(start(add_backup_user(&shipped())).await).await
    }

    async fn start_on(server: NatsServer) -> Self {
        let created = create_streams(&server, &[]);
        assert!(created.status.success(), "{}", stderr(&created));
        let config = JetStreamConfig {
            credentials: Credentials::UserPassword {
                user: "ledger".to_owned(),
                password: password("ledger").to_owned(),
            },
            ..JetStreamConfig::new(vec![server.url().to_owned()])
        };
        let ledger = JetStreamLog::connect(&config, false).await.unwrap();
        let admin = ledger.connect_admin(&config, false).await.unwrap();
        let ledger = Arc::new(ledger);
        Self {
            server,
            ledger,
            admin,
        }
    }

    /// The address of the server, with the login of a user.
    pub(crate) fn url_as(&self, user: &str) -> String {
        let login = format!("nats://{user}:{}@", password(user));
        self.server.url().replace("nats://", &login)
    }

    pub(crate) async fn user(&self, name: &str) -> User {
        connect(&self.server, name).await
    }

    /// Returns the last positions of both streams.
    pub(crate) async fn stored(&self) -> [u64; 2] {
        [
            self.ledger.head().await.unwrap().get(),
            self.admin.head().await.unwrap().get(),
        ]
    }

    /// Returns the first position that the stream of events still has.
    pub(crate) async fn first_position(&self) -> u64 {
        let context = jetstream::new(self.user("ledger").await.client);
        let stream = context.get_stream("LEDGER").await.unwrap();
        stream.cached_info().state.first_sequence
    }

    pub(crate) async fn last_record(&self) -> Record {
        let head = self.ledger.head().await.unwrap();
        self.ledger.get(vec![head]).await.unwrap().remove(0)
    }
}

impl User {
    /// Returns the settings of a stream.
    pub(crate) async fn settings(&self, stream: &str) -> stream::Config {
        let context = jetstream::new(self.client.clone());
        let stream = context.get_stream(stream).await.unwrap();
        stream.cached_info().config.clone()
    }

    /// Changes the settings of a stream.
    pub(crate) async fn change(&self, settings: stream::Config) -> Result<(), UpdateStreamError> {
        let context = jetstream::new(self.client.clone());
        context.update_stream(settings).await.map(|_| ())
    }

    /// Waits for the server's next error, which must be about publishing or subscribing to this subject.
    pub(crate) async fn complains(&self, of: &str, subject: &str) {
        let mut complaints = self.complaints.lock().await;
        let complaint = complaints.recv();
        let complaint = tokio::time::timeout(SOON, complaint)
            .await
            .unwrap()
            .unwrap();
        let expected = format!("permissions violation for {of} to \"{subject}\"");
        assert_eq!(complaint.to_lowercase(), expected.to_lowercase());
    }

    /// Sends a request to JetStream, which the server must deny. `<>` stands for the stream.
    pub(crate) async fn cannot_request(&self, request: &str, stream: &str, body: &str) {
        let subject = format!("$JS.API.{}", request.replace("<>", stream));
        let sent = self.client.publish(subject.clone(), body.to_owned().into());
        sent.await.unwrap();
        self.complains("publish", &subject).await;
    }

    /// Sends a request. Returns the answer.
    pub(crate) async fn request(&self, subject: &str, body: &str) -> String {
        let (subject, body) = (subject.to_owned(), body.to_owned());
        let answer = self.client.request(subject, body.into()).await.unwrap();
        String::from_utf8(answer.payload.to_vec()).unwrap()
    }

    /// Publishes a message, which a stream must store.
    pub(crate) async fn store(&self, subject: &str, headers: &[(&str, &str)]) -> PublishAck {
        self.try_store(subject, headers).await.unwrap()
    }

    pub(crate) async fn try_store(
        &self,
        subject: &str,
        headers: &[(&str, &str)],
    ) -> Result<PublishAck, PublishError> {
        let context = jetstream::new(self.client.clone());
        let (subject, headers) = (subject.to_owned(), header_map(headers));
        let sent = context.publish_with_headers(subject, headers, "{}".into());
        sent.await.unwrap().await
    }
}

pub(crate) fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, *value);
    }
    map
}
