//! What must hold while the simulation runs, and when everything has calmed down.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use session_ledger::domain::{Rules, Verdict};
use session_ledger::projection::{
    Commit, Prepared, Projection, Snapshot, Store, StoreError, verify,
};
use tokio::time::sleep;

use crate::fold::checks::{check_histories, check_rejections, check_verdicts, modelled};
use crate::fold::history::{Logged, TICK_US};
use crate::fold::model::Model;
use crate::fold::{agents, listing};
use crate::simulation::disk::Disk;
use crate::simulation::operation::Learned;
use crate::simulation::world::{World, settle};

/// The ledgers must have written everything that is due by then.
const PATIENCE: Duration = Duration::from_mins(30);

/// What a node shows; `None` while it has just started.
fn shown(projection: &Projection) -> Option<Arc<Snapshot>> {
    match projection.snapshot() {
        Err(StoreError::Behind { stopped: false, .. }) => None,
        snapshot => Some(snapshot.unwrap()),
    }
}

impl World {
    /// Compares one node with the naive model, and with nodes that have been at its position.
    pub(crate) fn check(&mut self) {
        let number = self.rng.usize(..self.nodes.len());
        let node = &self.nodes[number];
        if let Some(up) = node.up.as_ref().filter(|_| node.disk.has_power()) {
            let Some(snapshot) = shown(&up.projection) else {
                return;
            };
            let first = self.rng.usize(..401);
            self.counts.checkpoints += 1;
            self.check_one(number, &snapshot, (first, 401));
        }
    }

    fn check_one(&mut self, node: usize, snapshot: &Snapshot, some: (usize, usize)) -> Model {
        let position = snapshot.progress().position.get();
        let digest = snapshot.digest().unwrap();
        self.note(format_args!(
            "node {node} has {} at {position}",
            hex::encode(digest)
        ));
        let known = self.digests.entry(position).or_insert(digest);
        assert_eq!(
            *known, digest,
            "node {node} at {position} differs from another"
        );
        let history = &self.oracle.history()[..usize::try_from(position).unwrap()];
        let model = modelled(history);
        check_verdicts(snapshot, history, &model);
        check_histories(snapshot, &model);
        check_rejections(snapshot, history, &model);
        listing::check_some(snapshot, &model, 3, some);
        agents::check_some(snapshot, &model, 3, some);
        assert_eq!(
            verify::totals(snapshot).unwrap(),
            [],
            "totals of node {node}"
        );
        model
    }

    /// Ends all faults, waits until everything is done, and checks all promises.
    pub(crate) async fn finish(&mut self) {
        self.note("no more faults");
        for number in 0..self.nodes.len() {
            if self.nodes[number].disk.is_off() {
                self.lose(number);
            }
            self.nodes[number].disk.keep_power();
        }
        self.calm("the log is folded", World::is_folded).await;
        let last = self.latest_deadline();
        let late = last.map_or(0, |last| last - self.time.now_us());
        // Clocks are slow by up to five minutes.
        self.time.jump(late.max(0) + TICK_US);
        self.calm("nothing is due", World::is_settled).await;
        self.check_all().await;
    }

    /// Goes on without faults until a condition holds.
    async fn calm(&mut self, until: &str, done: fn(&World) -> bool) {
        let (began, mut pause) = (tokio::time::Instant::now(), 0);
        while began.elapsed() < PATIENCE {
            self.counts.steps += 1;
            settle().await;
            self.reap();
            self.restart();
            let ready = self.log.ready();
            if self.log.late_count() != 0 {
                self.write_late();
            } else if !ready.is_empty() {
                pause = 0;
                let caller = ready[self.rng.usize(..ready.len())];
                self.answer(caller, false);
            } else if done(self) {
                return;
            } else {
                pause = (pause * 2 + 1).min(1000);
            }
            sleep(Duration::from_millis(pause + 1)).await;
        }
        let waiting = self.log.ready();
        let nodes: Vec<_> = self
            .nodes
            .iter()
            .map(crate::simulation::node::Node::position)
            .collect();
        panic!(
            "never happens: {until}; head {}, nodes {nodes:?}, {waiting:?}",
            self.log.head()
        );
    }

    fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        let up = self.nodes.iter().filter_map(|node| node.up.as_ref());
        up.filter_map(|up| shown(&up.projection)).collect()
    }

    fn is_folded(&self) -> bool {
        let head = self.log.head();
        let snapshots = self.snapshots();
        let all = snapshots
            .iter()
            .all(|one| one.progress().position.get() == head);
        all && snapshots.len() == self.nodes.len() && !self.is_busy()
    }

    fn is_settled(&self) -> bool {
        let nothing = |snapshot: &Snapshot| {
            let all = snapshot.of_all_tenants();
            all.deadlines(1).unwrap().is_empty() && all.revoked_agents(1).unwrap().is_empty()
        };
        self.is_folded() && self.snapshots().iter().all(|one| nothing(one))
    }

    fn latest_deadline(&self) -> Option<i64> {
        let of = |snapshot: &Snapshot| snapshot.of_all_tenants().deadlines(usize::MAX).unwrap();
        let deadlines = self
            .snapshots()
            .iter()
            .flat_map(|one| of(one))
            .collect::<Vec<_>>();
        deadlines
            .into_iter()
            .map(|(deadline, _)| deadline.micros())
            .max()
    }

    async fn check_all(&mut self) {
        let mut model = None;
        let first = self.rng.usize(..53);
        for (number, snapshot) in self.snapshots().into_iter().enumerate() {
            if model.is_none() {
                model = Some(self.check_one(number, &snapshot, (first, 53)));
            } else {
                let position = snapshot.progress().position.get();
                let digest = snapshot.digest().unwrap();
                assert_eq!(self.digests[&position], digest, "node {number} differs");
            }
        }
        let model = model.expect("a simulation has nodes");
        self.check_rebuilt();
        self.check_learned(&model);
        self.check_effects(&model);
        for number in 0..self.nodes.len() {
            self.nodes[number].stop().await;
            let store = Store::open_on(self.nodes[number].disk.clone()).unwrap();
            let digest = store.snapshot().unwrap().digest().unwrap();
            assert_eq!(
                self.digests[&self.log.head()],
                digest,
                "node {number} after its end"
            );
        }
    }

    /// A new read model, folded at once, equals those that grew.
    fn check_rebuilt(&self) {
        let store = Store::open_on(Disk::default()).unwrap();
        let records = self.log.records_after(0).into_iter();
        let batch: Vec<_> = records.map(|one| Prepared::new(Rules::V1, one)).collect();
        store.fold(&batch, Commit::Durable).unwrap();
        let digest = store.snapshot().unwrap().digest().unwrap();
        assert_eq!(self.digests[&self.log.head()], digest, "a rebuild differs");
    }

    /// What clients have learned is true, and still is.
    fn check_learned(&self, model: &Model) {
        let history = self.oracle.history();
        for (operation, learned) in &self.operations {
            for one in learned {
                let (Learned::Stored(position) | Learned::Judged(position, ..)) = one else {
                    continue;
                };
                let logged = position.get().checked_sub(1).and_then(|at| {
                    let at = usize::try_from(at).unwrap();
                    history.get(at)
                });
                let logged = logged.unwrap_or_else(|| panic!("{position} is not on the log"));
                if let Some(body) = operation.body() {
                    let same = body == logged.sent.body.as_bytes();
                    assert!(same, "{operation:?} is not at {position}");
                }
                if let Learned::Judged(_, verdict, _) = one {
                    let (last, settled) = &model.verdicts[&position.get()];
                    let first = settled.is_some() && *verdict == Verdict::Parked;
                    assert!(
                        first || text(*verdict) == *last,
                        "{verdict:?} became {last}"
                    );
                }
            }
        }
    }

    /// Each event has its effect once, and each expiry is written once.
    fn check_effects(&self, model: &Model) {
        let mut applied = HashMap::<_, u64>::new();
        let mut expiries = BTreeMap::<_, Vec<&Logged>>::new();
        for one in self
            .oracle
            .history()
            .iter()
            .filter(|one| !one.sent.is_switch())
        {
            let (verdict, _) = &model.verdicts[&one.position];
            let sent = &one.sent;
            if verdict == "applied" {
                let key = (
                    sent.tenant,
                    &sent.subject,
                    sent.by_ledger(),
                    &sent.source,
                    &sent.id,
                );
                let earlier = applied.insert(key, one.position);
                assert_eq!(earlier, None, "applied twice: {one:?}");
            }
            if sent.kind == "session.expired" {
                let deadline = sent.data["expires_at"].as_str().unwrap();
                expiries
                    .entry((sent.tenant, &sent.subject, deadline))
                    .or_default()
                    .push(one);
            }
        }
        for (expiry, written) in expiries {
            let verdict = |one: &&Logged| model.verdicts[&one.position].0.clone();
            let verdicts: Vec<_> = written.iter().map(verdict).collect();
            let (last, before) = verdicts.split_last().unwrap();
            // A clock that is ahead writes an expiry before it is due, which has no effect.
            let early = before.iter().all(|verdict| verdict == "not_due");
            assert!(
                early && !last.starts_with("duplicate"),
                "{expiry:?}: {verdicts:?}"
            );
        }
    }
}

fn text(verdict: Verdict) -> String {
    match verdict {
        Verdict::Duplicate(first) => format!("duplicate {first}"),
        Verdict::Rejected(reason) => reason.code().to_owned(),
        Verdict::Applied | Verdict::Parked => verdict.as_str().to_owned(),
    }
}
