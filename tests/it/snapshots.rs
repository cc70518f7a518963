//! Snapshots of the read model: a new node starts from one, and has the state of a node that folded all.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use session_ledger::app::{Config, Running, Snapshots, start};

use crate::support::cli::Server;
use crate::support::client::{Client, created};
use crate::support::nats::NatsServer;
use crate::support::nats_ledger::until_ready_is;

const TIME: &str = "2026-01-31T12:00:00Z";

async fn node(dir: &Path, shared: &Path) -> Running {
    let mut config = Config::local(dir.to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)));
    config.snapshots = Some(Snapshots {
        dir: shared.to_owned(),
        every_records: 5,
    });
    Box::pin(start(config)).await.unwrap()
}

/// The files of a directory with this ending, sorted.
fn files(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|found| found == kind))
        .collect();
    files.sort_unstable();
    files
}

async fn until_snapshots(dir: &Path, count: usize, last: &str) {
    loop {
        let found = files(dir, "json");
        let name = found.last().map(|path| path.display().to_string());
        if found.len() == count && name.is_some_and(|name| name.contains(last)) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Puts the log of a ledger into a new directory, without its read model.
fn log_of(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(dir.join("log.redb"), copy.path().join("log.redb")).unwrap();
    copy
}

async fn sessions(running: &Running) -> String {
    let client = Client::new(&running.url(), "acme");
    until_ready_is(&client, 200).await;
    client
        .get("/v1/agent-sessions?limit=100")
        .await
        .ok()
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_read_model_starts_from_the_newest_snapshot_that_fits() {
    let (dir, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = node(dir.path(), shared.path()).await;
    let client = Client::new(&first.url(), "acme");
    for number in 1..=16 {
        client
            .apply(&created(&format!("s{number}"), "a1", TIME))
            .await;
        // The rules are the record at position 1.
        match number {
            4 => until_snapshots(shared.path(), 1, "0005").await,
            9 => until_snapshots(shared.path(), 2, "0010").await,
            14 => until_snapshots(shared.path(), 2, "0015").await,
            _ => {}
        }
    }
    let expected = sessions(&first).await;
    first.stop().await.unwrap();
    assert_eq!(files(shared.path(), "redb").len(), 2);

    // A folder for each node from here on, so that no node replaces what the next one is to find.
    let with = |change: &dyn Fn(&[PathBuf])| {
        let copy = tempfile::tempdir().unwrap();
        for file in fs::read_dir(shared.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        change(&files(copy.path(), "redb"));
        copy
    };
    let flip = |file: &PathBuf| {
        let mut bytes = fs::read(file).unwrap();
        bytes[20_000] ^= 1;
        fs::write(file, bytes).unwrap();
    };
    for (change, from) in [
        (&(|_: &[PathBuf]| {}) as &dyn Fn(&[PathBuf]), Some(15)),
        (&|files: &[PathBuf]| flip(&files[1]), Some(10)),
        (
            &|files: &[PathBuf]| fs::remove_file(&files[1]).unwrap(),
            Some(10),
        ),
        (&|files: &[PathBuf]| files.iter().for_each(flip), None),
        (
            &|files: &[PathBuf]| edit(&files[1], |manifest| manifest["layout"] = 1.into()),
            Some(10),
        ),
        (
            &|files: &[PathBuf]| edit(&files[1], |manifest| manifest["rules"] = 99.into()),
            Some(10),
        ),
        (
            &|files: &[PathBuf]| fs::write(files[1].with_extension("json"), "{").unwrap(),
            Some(10),
        ),
    ] {
        let (dir, shared) = (log_of(dir.path()), with(change));
        let node = node(dir.path(), shared.path()).await;
        assert_eq!(sessions(&node).await, expected);
        assert_eq!(folded(&node).await, 17 - from.unwrap_or(0));
        node.stop().await.unwrap();
    }

    // Another ledger's log, which is longer.
    let (dir, shared) = (tempfile::tempdir().unwrap(), with(&|_| {}));
    another(dir.path()).await.stop().await.unwrap();
    let dir = log_of(dir.path());
    let node = node(dir.path(), shared.path()).await;
    let listed = sessions(&node).await;
    assert!(
        listed.contains("other-19") && !listed.contains("\"s1\""),
        "{listed}"
    );
    assert_eq!(folded(&node).await, 21);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_snapshots_cannot_be_read_folds_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let first = another(dir.path()).await;
    let expected = sessions(&first).await;
    first.stop().await.unwrap();
    // In the place of the folder.
    let file = tempfile::NamedTempFile::new().unwrap();
    let log = log_of(dir.path());
    let node = node(log.path(), file.path()).await;
    assert_eq!(sessions(&node).await, expected);
    node.stop().await.unwrap();
}

/// Changes the manifest of a snapshot.
fn edit(snapshot: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let file = snapshot.with_extension("json");
    let mut manifest = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(file, manifest.to_string()).unwrap();
}

/// A ledger with 20 sessions, and without snapshots.
async fn another(dir: &Path) -> Running {
    let config = Config::local(dir.to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)));
    let running = Box::pin(start(config)).await.unwrap();
    let client = Client::new(&running.url(), "acme");
    for number in 0..20 {
        client
            .apply(&created(&format!("other-{number}"), "a1", TIME))
            .await;
    }
    running
}

/// The records that a node has folded since its start. It does not fold again what a snapshot has.
async fn folded(running: &Running) -> u64 {
    let client = Client::new(&running.url(), "acme");
    let metrics = client.get("/metrics").await.text;
    let counts = metrics.lines().filter_map(|line| {
        let count = line.strip_prefix("session_ledger_verdicts_total")?;
        count.rsplit_once(' ')?.1.parse::<u64>().ok()
    });
    counts.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_nats_starts_from_the_snapshot_of_another_node() {
    let nats = NatsServer::start().await;
    let place = tempfile::tempdir().unwrap();
    let [shared, first, second] = ["shared", "1", "2"].map(|name| place.path().join(name));
    let (shared, url) = (shared.to_str().unwrap(), nats.url());
    let on_nats = [
        "--nats-url",
        url,
        "--snapshots",
        shared,
        "--snapshot-records",
        "1000",
    ];
    let first = Server::start_with(&first, &on_nats);
    let client = Client::new(first.url(), "acme");
    let event = |number: u32| created(&format!("s{number}"), "a1", TIME);
    let post = async |batch: std::ops::Range<u32>| {
        let events: Vec<_> = batch.map(event).collect();
        let body = serde_json::Value::from(events).to_string();
        let posted = client.post("/v1/events", "application/cloudevents-batch+json", body);
        posted.await.ok();
    };
    post(0..1_000).await;
    first.until_logged("wrote a snapshot at position");
    // The second node folds these.
    post(1_000..1_100).await;
    let second = Server::start_with(&second, &on_nats);
    second.until_logged("started from the snapshot at position");
    let mut pages = Vec::new();
    for server in [&first, &second] {
        let client = Client::new(server.url(), "acme");
        until_ready_is(&client, 200).await;
        pages.push(
            client
                .get("/v1/agent-sessions?limit=200&offset=900")
                .await
                .ok(),
        );
    }
    assert_eq!(pages[0]["total"], 1_100);
    assert_eq!(pages[0], pages[1]);
}
