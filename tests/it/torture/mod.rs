//! A torture run: real ledgers and NATS servers as processes, clients that write and read all the time, and
//! faults that a seed draws.
//!
//! The run has rounds. In a round, processes are killed and paused, connections cut, disks filled and files of
//! read models damaged. Then all faults end, and the ledgers must become quiet within [`QUIET_MAX`]. After the
//! last round, nothing that a client was told may be wrong. A seed always gives the same faults at the same
//! times, but not the same run: the operating system decides how the processes interleave.

mod address;
mod book;
mod client_http;
mod client_nats;
mod client_revoke;
mod damage;
mod end;
mod ledger;
mod log_check;
mod plan;
mod readers;
mod report;
#[cfg(test)]
mod tests;
mod trouble;
mod verify;
mod way;
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use address::Address;
use book::Book;
use client_http::Writer;
use client_nats::Publisher;
use plan::{Moment, Plan, Round};
use readers::Reader;
pub(crate) use report::Report;
use world::World;

/// The tenant of all clients.
const TENANT: &str = "acme";
/// How long everything may take to become quiet after the faults of a round, and at the end. A ledger may have
/// to fold its whole log again in this time, and a cluster to elect leaders.
const QUIET_MAX: Duration = Duration::from_mins(2);
/// The pause between two looks at processes and tasks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Clients that write events over HTTP, clients that give commands, and clients that publish on NATS.
const WRITERS: u64 = 3;

/// Where the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One ledger with the built-in log.
    Embedded,
    /// Two ledgers on one NATS server.
    Nats,
    /// Two ledgers on a cluster of three NATS servers.
    Cluster,
}

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) seed: u64,
    /// New rounds begin for so long.
    pub(crate) duration: Duration,
    /// Whether SIGINT and SIGTERM end the run and its processes.
    pub(crate) ends_at_signals: bool,
    /// The program `session-ledger`.
    pub(crate) binary: PathBuf,
    /// Gets a line for each fault.
    pub(crate) print: fn(&str),
}

/// A promise that does not hold, or an answer that no client can use.
#[derive(Debug)]
pub(crate) struct Finding(pub(crate) String);

/// Runs the faults of a seed. The error names the seed, the faults so far, and what was expected and seen.
pub(crate) fn run(options: &Options) -> Result<Report, String> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(Box::pin(Run::all(options)))
}

/// The state of a run.
struct Run<'a> {
    options: &'a Options,
    plan: Plan,
    world: World,
    book: Arc<Book>,
    address: Arc<Address>,
    clients: JoinSet<Result<(), Finding>>,
    report: Report,
}

impl<'a> Run<'a> {
    async fn all(options: &'a Options) -> Result<Report, String> {
        let world = Box::pin(World::start(options)).await;
        let doors = world.doors();
        let book = Arc::new(Book::new(doors.len()));
        let mut run = Self {
            options,
            plan: Plan::new(options.mode, options.seed),
            address: Arc::new(Address::new(doors, world.key(), Arc::clone(&book))),
            book,
            world,
            clients: JoinSet::new(),
            report: Report::default(),
        };
        let result = tokio::select! {
            result = Box::pin(run.rounds_and_end()) => result,
            // The processes of the run end when it is dropped.
            name = interrupted(options.ends_at_signals) => return Err(format!("the run was ended by {name}")),
        };
        match result {
            Ok(()) => Ok(run.report),
            Err(finding) => Err(Box::pin(run.explain(&finding)).await),
        }
    }

    async fn rounds_and_end(&mut self) -> Result<(), Finding> {
        self.until_quiet(None).await?;
        self.start_clients().await;
        self.until_quiet(Some(Instant::now())).await?;
        let until = Instant::now() + self.options.duration;
        while Instant::now() < until {
            let round = self.plan.next_round();
            Box::pin(self.round(&round)).await?;
        }
        Box::pin(end::end(self)).await
    }

    async fn start_clients(&mut self) {
        let seed = self.options.seed;
        for number in 0..WRITERS {
            let (address, book) = (&self.address, &self.book);
            let writer = Writer::new(number, seed, address, book);
            self.clients.spawn(writer.events());
            let writer = Writer::new(number, seed, address, book);
            self.clients.spawn(writer.commands());
            if let Some(url) = self.world.runtime_url() {
                let publisher = Publisher::connect(number, seed, &url, address, book).await;
                self.clients.spawn(publisher.run());
            }
        }
        let (address, book) = (&self.address, &self.book);
        let writer = Writer::new(WRITERS, seed, address, book);
        self.clients.spawn(writer.revocations());
        let reader = |number: u64| Reader::new(seed ^ (number + 100), address, book);
        self.clients.spawn(reader(0).totals());
        self.clients.spawn(reader(1).walks());
        self.clients.spawn(reader(2).verdicts());
    }

    /// Lets the faults of a round happen, and waits until all is quiet again.
    async fn round(&mut self, round: &Round) -> Result<(), Finding> {
        let began = Instant::now();
        let mut last = None;
        for moment in round.moments() {
            while began.elapsed() < moment.at() {
                self.look().await?;
            }
            let at = self.book.elapsed();
            let line = format!(
                "{:8.1} s  round {}: {moment}",
                at.as_secs_f64(),
                round.number
            );
            (self.options.print)(&line);
            self.report.note(line);
            let took_place = Box::pin(self.world.apply(&moment)).await;
            match moment {
                Moment::Begin(planned) if took_place => self.report.count(planned.fault),
                Moment::Begin(planned) => {
                    let line = format!("{:12}nothing to do for: {}", "", planned.fault);
                    (self.options.print)(&line);
                    self.report.note(line);
                }
                Moment::End(_) => {}
            }
            last = Some(moment.fault());
        }
        self.report.count_round();
        let since = Instant::now();
        self.until_quiet(Some(since)).await?;
        self.world.check_mended()?;
        if let Some(fault) = last {
            self.report.recovered(fault, &self.book.recovery());
        }
        Ok(())
    }

    /// Looks at processes and clients, and then waits for a moment.
    async fn look(&mut self) -> Result<(), Finding> {
        self.world.look().await?;
        while let Some(ended) = self.clients.try_join_next() {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(finding)) => return Err(finding),
                Err(error) => return Err(Finding(format!("a client of the run failed: {error}"))),
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        Ok(())
    }

    /// Waits until all ledgers are ready. With `since`, also until a write and a read that were sent after it have
    /// succeeded at each of them.
    async fn until_quiet(&mut self, since: Option<Instant>) -> Result<(), Finding> {
        let began = Instant::now();
        if let Some(since) = since {
            self.book.calm_since(since);
        }
        loop {
            self.look().await?;
            let ready = self.address.all_ready().await;
            if ready.is_ok() {
                self.book.all_are_ready();
                if since.is_none() || self.book.is_calm() {
                    return Ok(());
                }
            }
            if QUIET_MAX < began.elapsed() {
                let state = ready.err().unwrap_or_else(|| self.book.what_is_missing());
                let expected = "expected: after all faults have ended, ready ledgers, and a write and a read at each";
                return Err(Finding(format!(
                    "{expected} within {QUIET_MAX:?}; seen: {state}"
                )));
            }
        }
    }

    async fn explain(&mut self, finding: &Finding) -> String {
        let kept = self.world.keep_files().await;
        let seconds = self.book.elapsed().as_secs_f64();
        format!(
            "FINDING with seed {} on {:?}, {seconds:.1} s after the start: {}\nThe faults so far:\n{}\n{}\nThe \
             files are kept in {}",
            self.options.seed,
            self.options.mode,
            finding.0,
            self.report.faults().join("\n"),
            self.book.summary(),
            kept.display()
        )
    }
}

/// Waits for SIGINT or SIGTERM if it should, and returns its name.
async fn interrupted(listens: bool) -> &'static str {
    if !listens {
        return std::future::pending().await;
    }
    let [mut interrupt, mut terminate] =
        [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).unwrap());
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}
