//! A ledger as a process: starts, signals, limits, and what it logs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinSet;

use crate::torture::plan::{Damage, Room};
use crate::torture::trouble::Troubles;
use crate::torture::way::Way;
use crate::torture::{Finding, LOOK_AGAIN, damage};

/// The pause before a ledger starts again that ended by itself.
const START_AGAIN: Duration = Duration::from_millis(500);
/// Most reasons for which a ledger ended that are told apart, and the characters of each.
const WHYS_MAX: usize = 20;
const WHY_CHARS_MAX: usize = 200;
/// What a ledger logs when it has set a damaged read model aside.
const SET_ASIDE: &str = "the old file of the read model is kept as";
/// What a ledger logs that starts from a snapshot of the read model.
const FROM_SNAPSHOT: &str = "started from the snapshot at position";
/// What a thread or a task logs that panics.
const PANICKED: &str = "panicked";
/// The exit code of the ledger after an error.
const FAILED: i32 = 1;

/// A ledger. Its process is killed when this is dropped.
pub(crate) struct Ledger {
    binary: PathBuf,
    arguments: Vec<String>,
    dir: PathBuf,
    door: Arc<Way>,
    child: Option<Child>,
    /// Whether a fault keeps the process from running.
    held_down: bool,
    file_limit: Option<u64>,
    pub(crate) troubles: Troubles,
    /// The inode of the file of the read model whose bytes were flipped last.
    damaged: Option<u64>,
    /// How often the read model was set aside before damage that the ledger must notice.
    must_set_aside: Option<u64>,
    ended_at: Instant,
    seen: Arc<Seen>,
    readers: JoinSet<()>,
    ended: BTreeMap<String, u64>,
    pub(crate) counts: Counts,
}

/// What happened to a ledger.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) starts: u64,
    /// Bytes of its read model that were flipped.
    pub(crate) flipped: u64,
    /// How often the running process had its read model damaged.
    damaged_running: u64,
}

/// What a ledger has logged.
struct Seen {
    file: Mutex<File>,
    set_aside: AtomicU64,
    from_snapshot: AtomicU64,
    /// Whether the process has begun to serve.
    served: AtomicBool,
    /// The last line of the process.
    last: Mutex<String>,
    /// The first line about a panic.
    panic: Mutex<Option<String>>,
}

impl Ledger {
    /// A ledger that is not started yet. `arguments` are those of `serve` behind the data directory.
    pub(crate) async fn new(binary: &Path, dir: PathBuf, arguments: Vec<String>) -> Self {
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.with_extension("log"));
        let seen = Seen {
            file: Mutex::new(log.unwrap()),
            set_aside: AtomicU64::new(0),
            from_snapshot: AtomicU64::new(0),
            served: AtomicBool::new(false),
            last: Mutex::default(),
            panic: Mutex::default(),
        };
        Self {
            binary: binary.to_owned(),
            arguments,
            dir,
            door: Arc::new(Way::start().await),
            child: None,
            held_down: false,
            file_limit: None,
            troubles: Troubles::default(),
            damaged: None,
            must_set_aside: None,
            ended_at: Instant::now(),
            seen: Arc::new(seen),
            readers: JoinSet::new(),
            ended: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// The relay through which clients reach it.
    pub(crate) fn door(&self) -> &Arc<Way> {
        &self.door
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command of the program, without the variables of the environment that are its settings.
    pub(crate) fn command(binary: &Path) -> Command {
        let mut command = Command::new(binary);
        command.stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"SESSION_LEDGER_") {
                command.env_remove(name);
            }
        }
        command
    }

    pub(crate) fn start(&mut self) {
        let mut command = Self::command(&self.binary);
        command.arg("serve").arg("--data-dir").arg(&self.dir);
        command.args(&self.arguments);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = OwnedFd::from(child.stderr.take().unwrap());
        let pipe = Receiver::from_owned_fd(stderr).unwrap();
        let (seen, door) = (Arc::clone(&self.seen), Arc::clone(&self.door));
        self.seen.served.store(false, Ordering::Relaxed);
        self.readers.spawn(follow(pipe, seen, door));
        self.child = Some(child);
        self.held_down = false;
        self.counts.starts += 1;
        self.counts.damaged_running = 0;
        self.limit();
    }

    /// Waits until everything is read that a process has logged which has ended.
    async fn heard(&mut self) {
        while self.readers.join_next().await.is_some() {}
    }

    /// Whether there is a process that has not ended.
    fn runs(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// A panic of any thread is a finding, also one that does not end the process.
    pub(crate) fn check_panic(&self) -> Result<(), Finding> {
        match self.seen.panic.lock().unwrap().take() {
            Some(line) => Err(Finding(format!(
                "expected: no panic of the ledger in {}; seen: {line}",
                self.dir.display()
            ))),
            None => Ok(()),
        }
    }

    /// Starts the process again if it ended by itself. That is a finding, unless a fault excuses it.
    pub(crate) async fn look(&mut self) -> Result<(), Finding> {
        if let Some(child) = &mut self.child
            && let Some(status) = child.try_wait().unwrap()
        {
            self.child = None;
            self.ended_at = Instant::now();
            self.heard().await;
            self.door.aim(0);
            self.count_end();
            self.note(&format!("the process ended by itself: {status}"));
            self.check_panic()?;
            let last = self.seen.last.lock().unwrap().clone();
            let has_served = self.seen.served.load(Ordering::Relaxed);
            if status.code() != Some(FAILED) || !self.troubles.excuse(&last, has_served) {
                return Err(Finding(format!(
                    "expected: a ledger that runs; seen: the ledger in {} ended by itself, {status}, without a \
                     fault that explains it: {last}",
                    self.dir.display()
                )));
            }
        }
        self.check_panic()?;
        if self.child.is_none() && !self.held_down && START_AGAIN < self.ended_at.elapsed() {
            self.start();
        }
        Ok(())
    }

    /// Counts an end without a signal of this run, by the last line of the process. Numbers in it are left out.
    fn count_end(&mut self) {
        let last = self.seen.last.lock().unwrap().clone();
        let words = last.split(|letter: char| letter.is_ascii_digit());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        let why: String = words.join("N").chars().take(WHY_CHARS_MAX).collect();
        if self.ended.contains_key(&why) || self.ended.len() < WHYS_MAX {
            *self.ended.entry(why).or_insert(0) += 1;
        }
    }

    /// Why the process ended without a signal of this run, and how often.
    pub(crate) fn ended(&self) -> &BTreeMap<String, u64> {
        &self.ended
    }

    /// Writes a line of this run into the log of the ledger.
    fn note(&self, line: &str) {
        let mut file = self.seen.file.lock().unwrap();
        writeln!(file, "-- torture: {line}").unwrap();
    }

    /// Ends the process at once (SIGKILL) and keeps it down until [`Ledger::start`].
    /// Returns whether there was a process.
    pub(crate) async fn kill(&mut self) -> bool {
        let ran = self.runs();
        self.end_process();
        self.heard().await;
        // Another process may get its port.
        self.door.aim(0);
        ran
    }

    fn end_process(&mut self) {
        self.held_down = true;
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
            self.note("killed");
        }
    }

    /// Sends SIGSTOP or SIGCONT.
    fn signal(&mut self, signal: Signal) {
        if self.runs()
            && let Some(child) = &self.child
        {
            kill_process(Pid::from_child(child), signal).unwrap();
            self.note(&format!("signal {}", signal.as_raw()));
        }
    }

    /// Returns whether there was a process.
    pub(crate) fn pause(&mut self) -> bool {
        // It may miss answers of NATS.
        self.troubles.no_log.begin();
        let ran = self.runs();
        self.signal(Signal::STOP);
        ran
    }

    pub(crate) fn go_on(&mut self) {
        self.troubles.no_log.end();
        self.signal(Signal::CONT);
    }

    /// Ends the process gracefully (SIGTERM). Returns `None` if it takes longer than `at_most`.
    pub(crate) async fn terminate(&mut self, at_most: Duration) -> Option<ExitStatus> {
        self.held_down = true;
        self.signal(Signal::TERM);
        let until = Instant::now() + at_most;
        while Instant::now() < until {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait().unwrap()
            {
                self.child = None;
                self.heard().await;
                return Some(status);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        None
    }

    /// Lets no write of the ledger go beyond a place in its files. Returns whether there was a process.
    pub(crate) fn fill_disk(&mut self, room: Room) -> bool {
        let len = |name: &str| fs::metadata(self.dir.join(name)).map_or(0, |file| file.len());
        let largest = len("log.redb").max(len("model.redb"));
        let limit = match room {
            Room::Bytes(more) => largest + more,
            Room::Percent(percent) => largest * percent / 100,
        };
        self.file_limit = Some(limit);
        self.troubles.no_room.begin();
        self.note(&format!("no write beyond {limit} bytes of {largest}"));
        self.limit();
        self.runs()
    }

    pub(crate) fn empty_disk(&mut self) {
        self.file_limit = None;
        self.troubles.no_room.end();
        self.note("files may grow");
        self.limit();
    }

    /// A process that ends just now needs no limit.
    fn limit(&mut self) {
        let limit = Rlimit {
            current: self.file_limit,
            maximum: None,
        };
        if self.runs()
            && let Some(child) = &self.child
        {
            match prlimit(Some(Pid::from_child(child)), Resource::Fsize, limit) {
                Ok(_) | Err(Errno::SRCH) => {}
                Err(error) => panic!("a limit of the ledger cannot be set: {error}"),
            }
        }
    }

    /// Flips bytes of the read model. A running ledger mends it up to three times, so this damages it at most
    /// twice before the next start. Returns whether a byte was flipped.
    pub(crate) fn damage(&mut self, extent: Damage) -> bool {
        if self.child.is_some() {
            self.counts.damaged_running += 1;
            if 2 < self.counts.damaged_running {
                return false;
            }
        }
        let flipped = damage::damage(&self.model(), extent).unwrap();
        self.note(&format!("{flipped} bytes of the read model flipped"));
        self.counts.flipped += flipped;
        if flipped != 0 {
            self.damaged = self.inode();
        }
        let is_certain = self.child.is_none() && matches!(extent, Damage::EveryBlock(_));
        if is_certain && flipped != 0 {
            self.must_set_aside = Some(self.set_aside());
        }
        flipped != 0
    }

    fn model(&self) -> PathBuf {
        self.dir.join("model.redb")
    }

    fn inode(&self) -> Option<u64> {
        Some(fs::metadata(self.model()).ok()?.ino())
    }

    /// Whether bytes of the read model that it has now were flipped. The ledger makes another file when it notices.
    pub(crate) fn may_be_damaged(&self) -> bool {
        self.damaged.is_some() && self.damaged == self.inode()
    }

    /// Checks, once all is quiet, that the ledger has noticed damage that no start can overlook.
    pub(crate) fn check_mended(&mut self) -> Result<(), Finding> {
        match self.must_set_aside.take() {
            Some(before) if self.set_aside() <= before => Err(Finding(format!(
                "expected: a new read model, because every block of the old one in {} was damaged; seen: the \
                 ledger is ready with the old one",
                self.dir.display()
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// How often it has set its read model aside.
    pub(crate) fn set_aside(&self) -> u64 {
        self.seen.set_aside.load(Ordering::Relaxed)
    }

    /// How often it has started from a snapshot.
    pub(crate) fn starts_from_snapshots(&self) -> u64 {
        self.seen.from_snapshot.load(Ordering::Relaxed)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.end_process();
    }
}

/// Reads what a process logs until it ends, and points the door at its address.
async fn follow(pipe: Receiver, seen: Arc<Seen>, door: Arc<Way>) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, url)) = line.split_once("serving on http://127.0.0.1:")
            && let Some(Ok(port)) = url.split_whitespace().next().map(str::parse)
        {
            door.aim(port);
            seen.served.store(true, Ordering::Relaxed);
        }
        if line.contains(SET_ASIDE) {
            seen.set_aside.fetch_add(1, Ordering::Relaxed);
        }
        if line.contains(FROM_SNAPSHOT) {
            seen.from_snapshot.fetch_add(1, Ordering::Relaxed);
        }
        if line.contains(PANICKED) {
            seen.panic.lock().unwrap().get_or_insert(line.clone());
        }
        writeln!(seen.file.lock().unwrap(), "{line}").unwrap();
        *seen.last.lock().unwrap() = line;
    }
}
