//! The log of events and the read model under power failures.

use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use futures_util::future::join_all;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use session_ledger::domain::{Position, Rules};
use session_ledger::log::{EmbeddedLog, EventLog, NewRecord, Record};
use session_ledger::projection::{Commit, Prepared, Store, verify};

use crate::fold::history::{Logged, START_US, sent};
use crate::power_loss::{CUTS_PER_LIFE, Cuts, Still, now, runtime};
use crate::simulation::disk::Disk;

/// The disks of a server, and what it must find on them.
struct Server {
    rng: Rng,
    sents: TestRunner,
    log: Disk,
    model: Disk,
    /// The records that must be on the log, in order.
    records: Vec<NewRecord>,
    cuts: Cuts,
}

/// An append whose answer was not `Ok`, or has not come.
type Unanswered = Vec<NewRecord>;

/// Runs one life: the power fails some times, and each time everything acknowledged is there.
pub(crate) fn events(seed: u64) -> Cuts {
    let mut rng = Rng::with_seed(seed);
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    let sents = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut server = Server {
        rng,
        sents: TestRunner::new_with_rng(Config::default(), sents),
        log: Disk::default(),
        model: Disk::default(),
        records: Vec::new(),
        cuts: Cuts::default(),
    };
    runtime().block_on(async {
        // A new log gets its name only when it is complete, which is a matter of the file system.
        let log = EmbeddedLog::open_on(server.log.opener(), Arc::new(Still));
        log.unwrap().close().await;
        for _ in 0..CUTS_PER_LIFE {
            let unanswered = server.run_until_cut().await;
            server.lose_power();
            server.check(unanswered).await;
        }
    });
    server.cuts
}

impl Server {
    /// Appends and folds until the power fails.
    async fn run_until_cut(&mut self) -> Vec<Unanswered> {
        self.log.cut_after(self.rng.u64(..120));
        self.model.cut_after(self.rng.u64(..500));
        let mut unanswered = Vec::new();
        let Ok(log) = EmbeddedLog::open_on(self.log.opener(), Arc::new(Still)) else {
            self.cuts.at_open += 1;
            assert!(self.log.is_off(), "the log does not open");
            return unanswered;
        };
        let model = Store::open_on(self.model.clone());
        let mut model = model
            .map_err(|error| assert!(self.model.is_off(), "{error}"))
            .ok();
        while !self.log.is_off() {
            let appends: Vec<_> = (0..self.rng.u8(1..4)).map(|_| self.draw_append()).collect();
            let answers = join_all(appends.iter().map(|one| log.append(one.clone()))).await;
            let mut acknowledged = Vec::new();
            for (append, answer) in appends.into_iter().zip(answers) {
                let positions: Option<Vec<Position>> = answer.into_iter().map(Result::ok).collect();
                match positions {
                    Some(positions) => acknowledged.extend(positions.into_iter().zip(append)),
                    None => unanswered.push(append),
                }
            }
            acknowledged.sort_by_key(|(position, _)| *position);
            for (position, record) in acknowledged {
                self.cuts.acknowledged += 1;
                self.records.push(record);
                assert_eq!(
                    position.get(),
                    self.records.len() as u64,
                    "positions have no gaps"
                );
            }
            if let Some(store) = &model
                && self.rng.bool()
                && let Err(error) = self.fold(store)
            {
                assert!(self.model.is_off(), "{error}");
                model = None;
            }
        }
        log.close().await;
        unanswered
    }

    fn lose_power(&mut self) {
        self.cuts.made += 1;
        self.log = Disk::with(self.log.cut(&mut self.rng));
        self.model = Disk::with(self.model.cut(&mut self.rng));
    }

    /// Opens what is left.
    async fn check(&mut self, unanswered: Vec<Unanswered>) {
        let log = EmbeddedLog::open_on(self.log.opener(), Arc::new(Still)).unwrap();
        let found = log.get((1..=log.known_head().get()).map(Position::new).collect());
        let found = found.await.unwrap();
        for (number, record) in found.iter().enumerate() {
            assert_eq!(record.position.get(), number as u64 + 1);
            assert_eq!(record.recorded_at, now());
        }
        let found: Vec<NewRecord> = found.into_iter().map(as_new).collect();
        let kept = self.records.len();
        assert!(
            kept <= found.len(),
            "{kept} were acknowledged, {} are left",
            found.len()
        );
        assert!(
            self.records == found[..kept],
            "an acknowledged record has changed"
        );
        check_whole(&found[kept..], unanswered);
        self.cuts.unacknowledged += (found.len() - kept) as u64;
        self.records = found;
        let next = self.draw_append();
        let appended = log.append(next.clone()).await;
        let first = appended[0].as_ref().unwrap();
        assert_eq!(
            first.get(),
            self.records.len() as u64 + 1,
            "the log goes on"
        );
        self.records.extend(next);
        let store = self.open_model();
        assert_eq!(verify::totals(&store.snapshot().unwrap()).unwrap(), []);
        self.fold(&store).unwrap();
        let rebuilt = Store::open_on(Disk::default()).unwrap();
        self.fold(&rebuilt).unwrap();
        let digest = |store: &Store| store.snapshot().unwrap().digest().unwrap();
        assert_eq!(
            digest(&store),
            digest(&rebuilt),
            "a read model after a power failure"
        );
        log.close().await;
    }

    /// Opens the read model. If it cannot be read, its error must say that a rebuild helps.
    fn open_model(&mut self) -> Store {
        Store::open_on(self.model.clone()).unwrap_or_else(|error| {
            assert!(error.is_mended_by_a_rebuild(), "{error:?}");
            self.cuts.rebuilt += 1;
            self.model = Disk::default();
            Store::open_on(self.model.clone()).unwrap()
        })
    }

    /// Folds what the read model lacks, in batches.
    fn fold(&mut self, store: &Store) -> Result<(), session_ledger::projection::FoldError> {
        let folded = store.snapshot()?.progress().position.get();
        let mut left = &self.records[usize::try_from(folded).unwrap()..];
        let mut position = folded;
        while !left.is_empty() {
            let (batch, rest) = left.split_at(self.rng.usize(1..=left.len()));
            left = rest;
            let prepared = batch.iter().map(|record| {
                position += 1;
                Prepared::new(Rules::V1, logged(position, record))
            });
            let commit = if self.rng.u8(..3) == 0 {
                Commit::Durable
            } else {
                Commit::Visible
            };
            store.fold(&prepared.collect::<Vec<_>>(), commit)?;
        }
        Ok(())
    }

    fn draw_append(&mut self) -> Vec<NewRecord> {
        (0..self.rng.u8(1..4)).map(|_| self.draw()).collect()
    }

    fn draw(&mut self) -> NewRecord {
        if self.rng.bool() {
            let sent = sent().new_tree(&mut self.sents).unwrap().current();
            return as_new(Logged::new(1, START_US, 1, sent).record());
        }
        let most = [20, 600, 6_000, 64_000][self.rng.usize(..4)];
        let mut bytes = |most: usize| {
            let mut bytes = vec![0; self.rng.usize(..=most)];
            self.rng.fill(&mut bytes);
            Bytes::from(bytes)
        };
        NewRecord {
            subject: "ledger.v1.acme.session.created".into(),
            private: bytes(100),
            body: bytes(most),
        }
    }
}

/// What was not acknowledged is on the log as a whole append, or not at all.
#[track_caller]
fn check_whole(mut found: &[NewRecord], mut unanswered: Vec<Unanswered>) {
    while !found.is_empty() {
        let whole = unanswered
            .iter()
            .position(|append| found.starts_with(append));
        let whole = whole.expect("a part of an append is on the log, or what nobody appended");
        found = &found[unanswered.swap_remove(whole).len()..];
    }
}

fn as_new(record: Record) -> NewRecord {
    NewRecord {
        subject: record.subject,
        private: record.private,
        body: record.payload,
    }
}

fn logged(position: u64, record: &NewRecord) -> Record {
    Record {
        position: Position::new(position),
        recorded_at: now(),
        subject: record.subject.clone(),
        private: record.private.clone(),
        headers: session_ledger::wire::Headers::default(),
        payload: record.body.clone(),
    }
}
