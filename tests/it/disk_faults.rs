//! Disks that flip bits, fill up, or hold a copy that was taken at the wrong moment.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use session_ledger::app::clock::SystemClock;
use session_ledger::app::{Config, Running, start};
use session_ledger::domain::Position;
use session_ledger::domain::limits::LOG_CACHE_BYTES;
use session_ledger::log::{EmbeddedLog, EventLog, LogError, NewRecord};
use session_ledger::projection::{FoldError, Projection, Store, StoreError, runner};
use session_ledger::storage::{CheckedFile, Failure, Health};
use tokio_util::sync::CancellationToken;

use crate::log_conformance::{assert_gapless, new_records, next};
use crate::support::cli::{Server, ok, run, stdout};
use crate::support::client::{Client, created, event};
use crate::support::nats_ledger::{CREATED, until_ready_is};

const TIME: &str = "2026-01-31T12:00:00Z";
/// Sessions of the ledger whose read model is damaged. Their file has some hundred blocks.
pub(crate) const SESSIONS: usize = 1_000;

/// Writes the log of a ledger with many sessions of a few agents.
async fn write_log(dir: &Path) {
    let log = EmbeddedLog::open(&dir.join("log.redb"), Arc::new(SystemClock)).unwrap();
    let records = (0..SESSIONS).map(|number| NewRecord {
        subject: CREATED.into(),
        private: bytes::Bytes::new(),
        body: created(&format!("s{number}"), &format!("a{}", number % 7), TIME)
            .to_string()
            .into(),
    });
    let appended = log.append(records.collect()).await;
    assert!(appended.iter().all(Result::is_ok));
    log.close().await;
}

pub(crate) async fn ledger(dir: &Path) -> Running {
    let config = Config::local(dir.to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)));
    Box::pin(start(config)).await.unwrap()
}

/// Reads that touch most tables.
fn reads() -> Vec<String> {
    let mut reads = vec![
        "/v1/agent-sessions/count".to_owned(),
        "/v1/agents".to_owned(),
        "/v1/events?limit=20".to_owned(),
    ];
    for offset in (0..SESSIONS).step_by(100) {
        reads.push(format!("/v1/agent-sessions?limit=100&offset={offset}"));
        reads.push(format!("/v1/agent-sessions/s{offset}"));
    }
    for agent in 0..7 {
        reads.push(format!(
            "/v1/agent-sessions?agent_id=a{agent}&status=active&limit=50&offset=100"
        ));
    }
    reads
}

/// Reads until the answer is not that the read model is being mended.
async fn answer(client: &Client, path: &str) -> String {
    loop {
        let answer = client.get(path).await;
        match answer.status {
            200 => return answer.text,
            _ if answer.text.contains("\"degraded\"") => drop(answer.problem(503, "degraded")),
            _ => drop(answer.problem(503, "not_caught_up")),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_the_read_model_is_never_an_answer_and_the_server_mends_it() {
    let whole = tempfile::tempdir().unwrap();
    write_log(whole.path()).await;
    let server = ledger(whole.path()).await;
    let client = Client::new(&server.url(), "acme");
    until_ready_is(&client, 200).await;
    let mut expected = Vec::new();
    for path in reads() {
        expected.push((answer(&client, &path).await, path));
    }
    server.stop().await.unwrap();

    let len = fs::metadata(whole.path().join("model.redb")).unwrap().len();
    let mut random = fastrand::Rng::with_seed(16);
    let mut mended = 0;
    for _ in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        for file in ["log.redb", "model.redb", "admin.redb", "token.secret"] {
            fs::copy(whole.path().join(file), dir.path().join(file)).unwrap();
        }
        let model = dir.path().join("model.redb");
        let mut bytes = fs::read(&model).unwrap();
        // Behind redb's header, which has its own checksums and its own test.
        let place = usize::try_from(random.u64(8_192..len)).unwrap();
        bytes[place] ^= 1 << random.u8(0..8);
        fs::write(&model, bytes).unwrap();

        let server = ledger(dir.path()).await;
        let client = Client::new(&server.url(), "acme");
        for (expected, path) in &expected {
            assert_eq!(
                &answer(&client, path).await,
                expected,
                "{path}, byte {place}"
            );
        }
        until_ready_is(&client, 200).await;
        server.stop().await.unwrap();
        mended += usize::from(dir.path().join("model.damaged.redb").exists());
    }
    assert!(
        mended > 2,
        "only {mended} flips were in blocks that a read uses"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_that_no_build_can_open_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path()).await;
    let model = dir.path().join("model.redb");
    // A file of redb without checksums, as earlier builds wrote; no file of redb; a torn file.
    drop(redb::Database::create(&model).unwrap());
    for _ in 0..3 {
        let server = ledger(dir.path()).await;
        let client = Client::new(&server.url(), "acme");
        until_ready_is(&client, 200).await;
        let count = client.get("/v1/agent-sessions/count").await.ok();
        assert_eq!(count["total"], SESSIONS, "{count}");
        server.stop().await.unwrap();
        assert!(dir.path().join("model.damaged.redb").exists());
        let whole = fs::read(&model).unwrap();
        match whole.len() {
            ..=9_000 => fs::write(&model, &whole[..5_000]).unwrap(),
            _ => fs::write(&model, [b"no file of redb".as_slice(); 600].concat()).unwrap(),
        }
    }
}

/// A ledger that has folded its log, and that no process has open.
pub(crate) async fn folded() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path()).await;
    let server = ledger(dir.path()).await;
    until_ready_is(&Client::new(&server.url(), "acme"), 200).await;
    server.stop().await.unwrap();
    dir
}

/// Changes the tables of a read model that no process has open. The checksums stay right.
fn change_model(dir: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let model = fs::File::options()
        .read(true)
        .write(true)
        .open(dir.join("model.redb"));
    let backend = redb::backends::FileBackend::new(model.unwrap()).unwrap();
    let database = redb::Database::builder()
        .create_with_backend(CheckedFile::new(backend, Health::default()))
        .unwrap();
    let mut txn = database.begin_write().unwrap();
    txn.set_quick_repair(true);
    change(&txn);
    txn.commit().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_whose_progress_makes_no_sense_is_made_again() {
    let dir = folded().await;
    change_model(dir.path(), |txn| {
        let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
        let mut table = txn.open_table(meta).unwrap();
        table.insert("fold", b"?".as_slice()).unwrap();
    });
    let server = ledger(dir.path()).await;
    let client = Client::new(&server.url(), "acme");
    until_ready_is(&client, 200).await;
    let count = client.get("/v1/agent-sessions/count").await.ok();
    assert_eq!(count["total"], SESSIONS, "{count}");
    server.stop().await.unwrap();
    assert!(dir.path().join("model.damaged.redb").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_whose_rows_make_no_sense_to_the_fold_is_made_again() {
    let dir = folded().await;
    change_model(dir.path(), |txn| {
        let sessions = redb::TableDefinition::<u64, &[u8]>::new("sessions");
        let mut table = txn.open_table(sessions).unwrap();
        for ordinal in 0..=SESSIONS as u64 {
            table.insert(ordinal, b"?".as_slice()).unwrap();
        }
    });
    let server = ledger(dir.path()).await;
    let client = Client::new(&server.url(), "acme");
    until_ready_is(&client, 200).await;
    // The fold reads the row of the session.
    let refreshed = event("e1", "session.refreshed", "s7", &serde_json::json!({}));
    let emitted = client.emit(&refreshed).await;
    assert!([201, 202].contains(&emitted.status), "{}", emitted.text);
    let position = emitted.json()["position"].as_u64().unwrap();
    let path = format!("/v1/agent-sessions/s7?min_position={position}");
    let session: serde_json::Value = serde_json::from_str(&answer(&client, &path).await).unwrap();
    assert_eq!(session["session_id"], "s7", "{session}");
    server.stop().await.unwrap();
    assert!(dir.path().join("model.damaged.redb").exists());
    ok(&["verify", "--data-dir", dir.path().to_str().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_an_entry_that_the_log_does_not_give() {
    let dir = folded().await;
    let path = dir.path().to_str().unwrap();
    let files = || fs::read_dir(path).unwrap().count();
    let before = files();
    let said = ok(&["verify", "--data-dir", path]);
    assert!(said.contains("ok: "), "{said}");
    assert_eq!(files(), before);

    // An entry with the right checksum that no total counts.
    change_model(dir.path(), |txn| {
        let children = redb::TableDefinition::<&[u8; 16], ()>::new("children");
        let mut table = txn.open_table(children).unwrap();
        table.insert(&[7; 16], ()).unwrap();
    });
    let found = run(&["verify", "--data-dir", path]);
    assert_eq!(found.status.code(), Some(1));
    let said = stdout(&found);
    assert!(
        said.contains("the table children is not what the log gives"),
        "{said}"
    );
    let said = ok(&["rebuild", "--data-dir", path]);
    assert!(said.contains("DIFFERENT: "), "{said}");
    ok(&["verify", "--data-dir", path]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_log_that_was_being_written_opens_whole_or_fails_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log.redb");
    let log = Arc::new(EmbeddedLog::open(&file, Arc::new(SystemClock)).unwrap());
    log.append(new_records(0..2_000)).await;
    let writing = Arc::clone(&log);
    let (mut damaged, mut whole) = (0, 0);
    let copying = async {
        for number in 0..40 {
            let copy = dir.path().join(format!("copy-{number}.redb"));
            let (from, to) = (file.clone(), copy.clone());
            tokio::task::spawn_blocking(move || fs::copy(from, to))
                .await
                .unwrap()
                .unwrap();
            // A panic fails the test.
            match EmbeddedLog::open(&copy, Arc::new(SystemClock)) {
                Err(error) => {
                    assert!(matches!(error, LogError::Damaged(_)), "{error:?}");
                    damaged += 1;
                }
                Ok(opened) => {
                    let read = read_all(&opened).await;
                    damaged += usize::from(read.is_err());
                    whole += usize::from(read.is_ok());
                    opened.close().await;
                }
            }
            fs::remove_file(&copy).unwrap();
        }
    };
    tokio::select! {
        () = copying => {}
        () = async { loop { writing.append(new_records(0..50)).await; } } => {}
    }
    assert_eq!(damaged + whole, 40);
    log.close().await;
}

/// Reads a log to its head. The records have no gap.
async fn read_all(log: &EmbeddedLog) -> Result<(), LogError> {
    let mut tail = log.tail(Position::ZERO).await?;
    let mut last = 0;
    while last < log.known_head().get() {
        let records = next(&mut *tail, 1_000).await?;
        assert_gapless(&records, last);
        last += records.len() as u64;
    }
    Ok(())
}

/// An event of some 40 kB, so that a file grows fast.
fn large(number: usize) -> serde_json::Value {
    let session = format!("large-{number}");
    let data = serde_json::json!({
        "agent_id": "a1",
        "metadata": {"filler": "x".repeat(12_000)},
    });
    event(&format!("e-{number}"), "session.created", &session, &data)
}

#[tokio::test]
async fn a_full_disk_refuses_events_and_the_server_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let client = Client::new(server.url(), "acme");
    client.apply(&created("s1", "a1", TIME)).await;
    until_ready_is(&client, 200).await;

    let log_bytes = fs::metadata(dir.path().join("log.redb")).unwrap().len();
    server.limit_files(Some(log_bytes + 100_000));
    let mut accepted = vec!["s1".to_owned()];
    let mut refused = 0;
    for number in 0..400 {
        let answer = client.emit(&large(number)).await;
        match answer.status {
            // On a busy machine, the verdict may come later.
            201 | 202 => accepted.push(format!("large-{number}")),
            // Not written, or written and folded later.
            503 => refused += 1,
            _ => panic!("{}", answer.text),
        }
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "the limit was never reached");
    // The log tries again each second, because the disk says that it has room. So the server is not ready
    // after each failure.
    let mut number = 400;
    loop {
        number += 1;
        if [201, 202].contains(&client.emit(&large(number)).await.status) {
            accepted.push(format!("large-{number}"));
        }
        let said = client.get("/readyz").await.text;
        if said.contains("refuses writes") || said.contains("the fold waits") {
            break;
        }
    }

    server.limit_files(None);
    until_ready_is(&client, 200).await;
    let position = client.apply(&created("last", "a1", TIME)).await;
    accepted.push("last".to_owned());
    for session in accepted {
        let path = format!("/v1/agent-sessions/{session}?min_position={position}");
        client.get(&path).await.ok();
    }
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");
    ok(&["verify", "--data-dir", dir.path().to_str().unwrap()]);
}

#[tokio::test]
async fn a_server_starts_and_answers_reads_when_its_files_cannot_grow() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let client = Client::new(server.url(), "acme");
    client.apply(&created("s1", "a1", TIME)).await;
    drop(server.terminate());
    let bytes = |file: &str| fs::metadata(dir.path().join(file)).unwrap().len();
    let most = bytes("log.redb").max(bytes("model.redb"));

    let server = Server::start_limited(dir.path(), most);
    let client = Client::new(server.url(), "acme");
    client.get("/v1/agent-sessions/s1").await.ok();
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");
}

/// Storage in memory whose operations fail while the test says so.
#[derive(Debug, Clone, Default)]
struct FailingDisk {
    bytes: Arc<InMemoryBackend>,
    fault: Arc<Mutex<Option<(Operation, ErrorKind)>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Read,
    Sync,
}

impl FailingDisk {
    fn fail(&self, fault: Option<(Operation, ErrorKind)>) {
        *self.fault.lock().unwrap() = fault;
    }

    fn check(&self, operation: Operation) -> io::Result<()> {
        match *self.fault.lock().unwrap() {
            Some((failing, kind)) if failing == operation => Err(kind.into()),
            _ => Ok(()),
        }
    }

    fn log(&self) -> EmbeddedLog {
        let disk = self.clone();
        EmbeddedLog::open_on(move || disk.clone(), Arc::new(SystemClock)).unwrap()
    }
}

impl StorageBackend for FailingDisk {
    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check(Operation::Read)?;
        self.bytes.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check(Operation::Sync)?;
        self.bytes.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.bytes.write(offset, data)
    }
}

#[tokio::test]
async fn a_log_whose_disk_confirms_no_sync_acknowledges_nothing_and_says_that_the_process_must_end()
{
    // A sync can also fail because the disk is full, after the kernel has dropped what it could not write.
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        let disk = FailingDisk::default();
        let log = disk.log();
        assert!(log.append(new_records(0..1)).await[0].is_ok());
        disk.fail(Some((Operation::Sync, kind)));
        let appended = log.append(new_records(1..2)).await;
        assert!(
            matches!(appended[0], Err(LogError::Unconfirmed(_))),
            "{appended:?}"
        );
        assert!(matches!(log.watch().await, LogError::NotSynced(_)));
        // A sync that succeeds again proves nothing about the one that failed.
        disk.fail(None);
        let appended = log.append(new_records(1..2)).await;
        assert!(
            matches!(appended[0], Err(LogError::Refusing(_))),
            "{appended:?}"
        );
        assert_eq!(log.known_head(), Position::new(1));
    }
}

#[test]
fn a_failed_sync_counts_also_after_a_failed_read() {
    let health = Health::default();
    let noted = [
        Failure::Read("a".to_owned()),
        Failure::Write("b".to_owned()),
        Failure::Sync("c".to_owned()),
        Failure::Read("d".to_owned()),
    ];
    let counts: Vec<_> = noted
        .into_iter()
        .map(|failure| {
            health.note(failure);
            health.failure().unwrap().to_string()
        })
        .collect();
    assert!(
        counts[0].contains("(a)") && counts[1].contains("(a)"),
        "{counts:?}"
    );
    assert!(
        counts[2].contains("(c)") && counts[3].contains("(c)"),
        "{counts:?}"
    );
}

#[tokio::test]
async fn a_log_whose_disk_failed_to_read_goes_on_once_the_disk_reads_again() {
    let disk = FailingDisk::default();
    let log = disk.log();
    // More than the cache holds, so that the first record must be read from the disk.
    let large = NewRecord {
        body: "x".repeat(60_000).into(),
        ..new_records(0..1).remove(0)
    };
    let records = u64::try_from(2 * LOG_CACHE_BYTES / large.body.len()).unwrap();
    for _ in 0..records {
        assert!(log.append(vec![large.clone()]).await[0].is_ok());
    }
    let reading = async {
        disk.fail(Some((Operation::Read, ErrorKind::Other)));
        let first = log.get(vec![Position::new(1)]).await;
        assert!(matches!(first, Err(LogError::Unavailable(_))), "{first:?}");
        disk.fail(None);
        // Without a write that finds the failure too.
        while log.get(vec![Position::new(1)]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let appended = log.append(vec![large]).await;
        assert!(
            matches!(appended[..], [Ok(position)] if position == Position::new(records + 1)),
            "{appended:?}"
        );
        read_all(&log).await.unwrap();
    };
    tokio::select! {
        ended = log.watch() => panic!("{ended}"),
        () = reading => {}
    }
}

#[tokio::test]
async fn a_fold_whose_disk_confirms_no_sync_ends_with_that_error() {
    let disk = FailingDisk::default();
    let log: Arc<dyn EventLog> = Arc::new(FailingDisk::default().log());
    let projection = Arc::new(Projection::of(Store::open_on(disk.clone()).unwrap()).unwrap());
    disk.fail(Some((Operation::Sync, ErrorKind::Other)));
    log.append(new_records(0..10)).await;
    let stop = CancellationToken::new();
    let ended = runner::run(projection, log, Arc::default(), stop).await;
    assert!(
        matches!(ended, Err(FoldError::Store(StoreError::NotSynced(_)))),
        "{ended:?}"
    );
}
