//! A log that has lost a record in the middle: the way on, with and without another backup.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_nats::jetstream::{self, stream};
use serde_json::Value;
use session_ledger::app::backup::{self, BackedUp, Destination, Options, Sources};
use session_ledger::auth::{Role, Roles};
use session_ledger::backup::{LogReader, Origin};
use session_ledger::log::jetstream::JetStreamConfig;
use session_ledger::log::{EventLog, JetStreamLog, LogError};

use crate::log_conformance::new_records;
use crate::support::app::{App, grant};
use crate::support::cli::{Server, fails, ok, run, stderr, stdout, with_key};
use crate::support::faulty_log::UnreadLog;
use crate::support::nats::{NatsServer, replace_stream};

/// A stopped ledger whose record at position 3 is about to be lost, and a backup of it.
struct Ledger {
    place: tempfile::TempDir,
    /// The position, chain and digest of its read model.
    state: Value,
}

impl Ledger {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("old");
        let server = Server::start(&dir);
        for (id, agent) in [("first", "a-1"), ("doomed", "a-doomed"), ("third", "a-1")] {
            server.ok(&["emit", "session.created", id, "--agent", agent]);
        }
        server.ok(&["emit", "session.terminated", "doomed"]);
        server.terminate();
        let state = state(&dir);
        let ledger = Self { place, state };
        let args = ledger.backup("whole");
        ok(&texts(&args));
        ledger
    }

    fn path(&self, name: &str) -> String {
        self.place.path().join(name).to_str().unwrap().to_owned()
    }

    /// Damages the event that creates the session `doomed`.
    fn damage(&self) {
        self.damage_all(b"\"a-doomed\"");
    }

    /// Damages every event with a word.
    fn damage_all(&self, word: &[u8]) {
        let file = self.place.path().join("old/log.redb");
        let mut bytes = fs::read(&file).unwrap();
        let windows = bytes.windows(word.len()).enumerate();
        let places = windows.filter(|(_, window)| *window == word);
        let places: Vec<usize> = places.map(|(at, _)| at).collect();
        assert!(!places.is_empty());
        for at in places {
            bytes[at + 1] = bytes[at + 1].to_ascii_uppercase();
        }
        fs::write(&file, bytes).unwrap();
    }

    fn backup(&self, to: &str) -> Vec<String> {
        let args = ["backup", "--json", "--data-dir", &self.path("old"), "--to"];
        let args = args.iter().map(|text| (*text).to_owned());
        args.chain([self.path(to)]).collect()
    }

    fn restore(&self, from: &str, to: &str) -> Value {
        let to = self.path(to);
        ok(&["restore", &self.path(from), "--data-dir", &to]);
        state(Path::new(&to))
    }
}

fn state(dir: &Path) -> Value {
    let rebuilt = ok(&["rebuild", "--json", "--data-dir", dir.to_str().unwrap()]);
    let rebuilt: Value = serde_json::from_str(&rebuilt).unwrap();
    let fields = ["position", "chain", "digest"];
    fields
        .map(|name| rebuilt[name].clone())
        .into_iter()
        .collect()
}

fn texts(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn verify_and_rebuild_of_a_damaged_log_name_the_way_on() {
    let ledger = Ledger::new();
    ledger.damage();
    let old = ledger.path("old");
    let verified = run(&["verify", "--data-dir", &old]);
    assert_eq!(verified.status.code(), Some(1));
    let said = stdout(&verified);
    assert!(said.contains("session-ledger backup"), "{said}");
    for more in [&[][..], &["--accept-truncation"]] {
        let error = fails(&[&["rebuild", "--data-dir", &old], more].concat(), 1);
        assert!(error.contains("position 3"), "{error}");
        assert!(error.contains("session-ledger backup"), "{error}");
    }
}

#[test]
fn a_lost_record_is_named_and_taken_from_another_backup() {
    let ledger = Ledger::new();
    ledger.damage();
    let args = ledger.backup("rescued");
    let error = fails(&texts(&args), 1);
    assert!(error.contains("events cannot be read: 3 ("), "{error}");
    assert!(error.contains("--fill-from"), "{error}");
    let whole = ledger.path("whole");
    let filled = ok(&[&texts(&args)[..], &["--fill-from", &whole]].concat());
    let filled: Value = serde_json::from_str(&filled).unwrap();
    assert_eq!((&filled["filled"], &filled["lost"]), (&1.into(), &0.into()));
    assert_eq!(ledger.restore("rescued", "new"), ledger.state);
}

#[test]
fn a_lost_record_is_not_taken_from_a_backup_of_another_ledger() {
    let (ledger, other) = (Ledger::new(), Ledger::new());
    ledger.damage();
    let (args, whole) = (ledger.backup("rescued"), other.path("whole"));
    let error = fails(&[&texts(&args)[..], &["--fill-from", &whole]].concat(), 1);
    assert!(error.contains("another ledger"), "{error}");
}

#[test]
fn a_backup_that_has_lost_records_itself_fills_in_the_others() {
    let ledger = Ledger::new();
    ledger.damage();
    let args = ledger.backup("other");
    ok(&[&texts(&args)[..], &["--accept-loss"]].concat());
    ledger.damage_all(b"\"third\"");
    let (args, other) = (ledger.backup("rescued"), ledger.path("other"));
    let args = [&texts(&args)[..], &["--fill-from", &other]].concat();
    let error = fails(&args, 1);
    assert!(error.contains("events cannot be read: 3"), "{error}");
    let made = ok(&[&args[..], &["--accept-loss"]].concat());
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!((&made["filled"], &made["lost"]), (&1.into(), &1.into()));
    let new = ledger.path("new");
    ledger.restore("rescued", "new");
    // A ledger that was restored so fits the backup that has the record.
    let whole = ledger.path("whole");
    let next = ledger.path("next");
    ok(&[
        "backup",
        "--data-dir",
        &new,
        "--to",
        &next,
        "--fill-from",
        &whole,
    ]);
}

/// A server says which failures are losses, and `--accept-loss` replaces no other record.
#[test]
fn a_server_that_has_lost_a_record_is_backed_up_again_and_again() {
    let ledger = Ledger::new();
    let old = ledger.path("old");
    let issue = |role: &str| {
        let args = ["--tenant", "acme", "--role", role, "--data-dir", &old];
        let issued = ok(&[&["keys", "issue", "--json"], &args[..]].concat());
        let issued: Value = serde_json::from_str(&issued).unwrap();
        issued["key"].as_str().unwrap().to_owned()
    };
    let (operator, client) = (issue("operator"), issue("write"));
    ledger.damage();
    let server = Server::start_guarded(Path::new(&old), &[]);
    let to = ledger.path("rescued");
    let args = ["backup", "--json", "--url", server.url(), "--to", &to];
    let refused = with_key(&operator, &args);
    // It has taken the two keys.
    assert!(stderr(&refused).contains("read: 3 ("), "{refused:?}");
    let args = [&args[..], &["--accept-loss"]].concat();
    for (added, lost, next) in [(5, 1, "fourth"), (1, 0, "fifth")] {
        let made = with_key(&operator, &args);
        assert!(made.status.success(), "{}", stderr(&made));
        let made: Value = serde_json::from_str(&stdout(&made)).unwrap();
        assert_eq!(
            (&made["added"], &made["lost"]),
            (&added.into(), &lost.into())
        );
        assert_eq!(made["lost_records"], 1);
        let emit = ["emit", "session.created", next, "--agent", "a-1"];
        let emitted = with_key(&client, &[&emit[..], &["--url", server.url()]].concat());
        assert!(emitted.status.success(), "{}", stderr(&emitted));
    }
    server.terminate();
    ledger.restore("rescued", "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_fails_in_another_way_loses_nothing_whatever_is_accepted() {
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("b");
    let fail = |log| -> Arc<dyn EventLog> {
        let error = LogError::misconfigured("the test says so");
        Arc::new(UnreadLog { log, error })
    };
    let app = App::start_with_credentials_on(fail, |keys| keys, |keys_only| keys_only).await;
    let operator: Roles = [Role::Operator].into_iter().collect();
    let key = app.key(grant("acme", operator)).await;
    let to = to.to_str().unwrap();
    let url = format!("http://{}", app.host());
    let args = ["backup", "--accept-loss", "--url", &url, "--to", to];
    let failed = tokio::task::block_in_place(|| with_key(&key, &args));
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(stderr(&failed).contains("log_failed"), "{failed:?}");
    let checked = ok(&["restore", to, "--check", "--json"]);
    let checked: Value = serde_json::from_str(&checked).unwrap();
    assert_eq!(
        (&checked["position"], &checked["lost_records"]),
        (&0.into(), &0.into())
    );
    app.stop().await;
}

#[test]
fn an_accepted_loss_is_a_record_on_which_all_nodes_agree() {
    let ledger = Ledger::new();
    ledger.damage();
    let args = ledger.backup("rescued");
    let made = ok(&[&texts(&args)[..], &["--accept-loss"]].concat());
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!((&made["lost"], &made["position"]), (&1.into(), &5.into()));
    let checked = ok(&["restore", &ledger.path("rescued"), "--check", "--json"]);
    let checked: Value = serde_json::from_str(&checked).unwrap();
    assert_eq!(checked["lost_records"], 1);
    let manifest = fs::read_to_string(ledger.place.path().join("rescued/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let range = &manifest["events"]["lost"][0];
    assert_eq!((&range["first"], &range["last"]), (&3.into(), &3.into()));

    let (one, other) = (
        ledger.restore("rescued", "one"),
        ledger.restore("rescued", "other"),
    );
    assert_eq!(one, other);
    let new = ledger.path("one");
    ok(&["verify", "--data-dir", &new]);
    let server = Server::start(Path::new(&new));
    let page: Value = serde_json::from_str(&server.ok(&["list", "--json"])).unwrap();
    assert_eq!(page["total"], 2, "the sessions that were not lost");
    server.ok(&["emit", "session.created", "fourth", "--agent", "a-1"]);
    server.terminate();
    // The damaged log can still be backed up into the same directory: it has nothing new.
    let again = ok(&[&texts(&args)[..], &["--accept-loss"]].concat());
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["added"], 0);
}

/// Both logs on a NATS server, on which messages of the log of events can be deleted.
struct Streams {
    _nats: NatsServer,
    log: Arc<JetStreamLog>,
    keys: Arc<JetStreamLog>,
    messages: stream::Stream,
    place: tempfile::TempDir,
}

impl Streams {
    async fn start() -> Self {
        let nats = NatsServer::start().await;
        let config = JetStreamConfig::new(vec![nats.url().to_owned()]);
        let log = Arc::new(JetStreamLog::connect(&config, false).await.unwrap());
        let keys = Arc::new(log.connect_admin(&config, false).await.unwrap());
        let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
        let made = context.get_stream("LEDGER").await.unwrap();
        let settings = stream::Config {
            deny_delete: false,
            ..made.cached_info().config.clone()
        };
        let messages = replace_stream(&context, settings).await;
        Self {
            _nats: nats,
            log,
            keys,
            messages,
            place: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    async fn append(&self, numbers: Range<usize>) {
        self.log.append(new_records(numbers)).await;
    }

    async fn lose(&self, positions: impl IntoIterator<Item = u64>) {
        for position in positions {
            self.messages.delete_message(position).await.unwrap();
        }
    }

    async fn backup(&self, to: &str, options: Options) -> anyhow::Result<BackedUp> {
        let (log, keys) = (Arc::clone(&self.log), Arc::clone(&self.keys));
        let sources = Sources {
            events: Box::new(LogReader::new(log)),
            keys: Box::new(LogReader::new(keys)),
            origin: Origin::Nats,
        };
        let to = Destination::Directory(self.path(to));
        backup::from(sources, to, &options, |_step| {}).await
    }
}

fn filling_from(path: PathBuf) -> Options {
    Options {
        fill_from: Some(path),
        ..Options::default()
    }
}

#[tokio::test]
async fn lost_messages_of_a_stream_are_replaced_too() {
    let streams = Streams::start().await;
    streams.append(0..4).await;
    streams.backup("half", Options::default()).await.unwrap();
    streams.append(4..8).await;
    streams.backup("whole", Options::default()).await.unwrap();
    streams.lose([1, 4, 5, 7, 8]).await;
    let error = streams.backup("b", Options::default()).await.unwrap_err();
    let error = error.to_string();
    for range in ["1 (", "4 to 5 (", "7 to 8 ("] {
        assert!(error.contains(range), "{range}: {error}");
    }
    assert!(!error.contains("perhaps more"), "{error}");
    // Only those that the other backup lacks, too.
    let half = filling_from(streams.path("half"));
    let error = streams.backup("c", half).await.unwrap_err().to_string();
    assert!(error.contains("cannot be read: 5 ("), "{error}");
    assert!(error.contains(", 7 to 8 ("), "{error}");
    let accepting = Options {
        accept_loss: true,
        ..Options::default()
    };
    let made = streams.backup("b", accepting).await.unwrap();
    assert_eq!((made.backup.position.get(), made.lost), (8, 5));
    // A backup whose last record was filled in is continued.
    for filled in [5, 0] {
        let whole = filling_from(streams.path("whole"));
        let made = streams.backup("filled", whole).await.unwrap();
        assert_eq!(made.filled, filled);
    }
    let (from, new) = (streams.path("b"), streams.path("new"));
    let (from, new) = (from.to_str().unwrap(), new.to_str().unwrap());
    ok(&["restore", from, "--data-dir", new]);
    ok(&["rebuild", "--data-dir", new]);
    ok(&["verify", "--data-dir", new]);
    streams.log.close().await;
}

#[tokio::test]
async fn a_backup_whose_last_record_the_log_has_lost_is_continued_if_another_record_identifies_the_log()
 {
    let (streams, other) = (Streams::start().await, Streams::start().await);
    streams.append(0..4).await;
    streams.backup("two", Options::default()).await.unwrap();
    streams.append(4..8).await;
    other.append(0..8).await;
    other.backup("b", Options::default()).await.unwrap();
    for to in ["two", "one"] {
        let made = streams.backup(to, Options::default()).await.unwrap();
        assert_eq!(made.backup.position.get(), 8);
    }
    streams.append(8..10).await;
    streams.lose([8]).await;
    // Its first file ends with a record that the log still has.
    let made = streams.backup("two", Options::default()).await.unwrap();
    assert_eq!((made.added, made.lost), (2, 0));
    let error = streams.backup("one", Options::default()).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("cannot be read: 8 ("), "{error}");
    assert!(error.contains("--fill-from"), "{error}");
    // Nothing that the log still has could be compared with this one.
    let of_another = filling_from(other.path("b"));
    let error = streams.backup("one", of_another).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("another record at position 8"), "{error}");
    let two = filling_from(streams.path("two"));
    let made = streams.backup("one", two).await.unwrap();
    assert_eq!((made.added, made.filled, made.lost), (2, 0, 0));
    for of in [&streams, &other] {
        of.log.close().await;
    }
}

#[tokio::test]
async fn an_error_that_does_not_name_all_lost_records_says_so() {
    let streams = Streams::start().await;
    streams.append(0..203).await;
    streams.lose((1..=101).map(|half| half * 2)).await;
    let error = streams.backup("b", Options::default()).await.unwrap_err();
    let error = error.to_string();
    let end = "perhaps more after position 200. Take them";
    assert!(error.contains(end), "{error}");
    streams.log.close().await;
}
