//! Past positions: every answer as of a position is that of a ledger whose log ends there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde_json::json;
use session_ledger::domain::session::Status;
use session_ledger::domain::{
    Position, Rules, SessionFilter, SessionId, StatusSet, TenantId, TimeRange, Timestamp,
};
use session_ledger::projection::{
    Commit, Past, PastSnapshot, Prepared, Snapshot, Store, StoreError, past,
};
use session_ledger::query::{LineageStart, PageStart, QueryError, Sight, lineage, sessions};

use crate::fold::checks::modelled;
use crate::fold::history::{Logged, TENANTS, history};
use crate::fold::{agents, listing};

/// What happens to the history file after a batch of the fold.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// It stays behind.
    Nothing,
    /// One pass takes the changes of at most so many records.
    Pass(u64),
    /// The server starts again.
    Restart,
    /// The file is lost.
    Delete,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Nothing),
        5 => (1_u64..40).prop_map(Step::Pass),
        1 => Just(Step::Restart),
        1 => Just(Step::Delete),
    ]
}

/// A read model, and the history file that trails it.
struct World {
    store: Store,
    past: Past,
    file: PathBuf,
}

impl World {
    fn new(dir: &Path) -> Self {
        let file = dir.join("history.redb");
        Self {
            store: Store::open(&dir.join("model.redb")).unwrap(),
            past: Past::new(&file),
            file,
        }
    }

    /// The same files, whose answers read at most so many entries.
    fn bounded(self, entries_max: u64) -> Self {
        let (page, count) = (entries_max, entries_max);
        let past = Past::new(&self.file).with_bounds(past::Bounds { page, count });
        Self { past, ..self }
    }

    fn fold(&self, records: &[Logged]) {
        let prepared =
            |one: &Logged| Prepared::new(Rules::from_number(one.rules).unwrap(), one.record());
        let batch: Vec<Prepared> = records.iter().map(prepared).collect();
        self.store.fold(&batch, Commit::Visible).unwrap();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Pass(records_max) => {
                let now = self.store.snapshot().unwrap();
                let commit = if records_max % 2 == 0 {
                    Commit::Visible
                } else {
                    Commit::Durable
                };
                self.past.advance(&now, records_max, commit).unwrap();
            }
            Step::Restart => self.past = Past::new(&self.file),
            Step::Delete => {
                self.past = Past::new(&self.file);
                if self.file.exists() {
                    std::fs::remove_file(&self.file).unwrap();
                }
            }
        }
    }

    /// Lets the history file catch up.
    fn past(&self) -> Arc<PastSnapshot> {
        let now = self.store.snapshot().unwrap();
        while self.past.advance(&now, 50, Commit::Visible).unwrap() < now.position() {}
        self.past.snapshot().unwrap()
    }
}

/// Folds a history in batches that end where the cuts say, with a step of the history file after each.
fn folded(dir: &Path, history: &[Logged], cuts: &[(prop::sample::Index, Step)]) -> World {
    let mut world = World::new(dir);
    let mut cuts: Vec<(usize, Step)> = cuts
        .iter()
        .map(|(cut, step)| (cut.index(history.len() + 1), *step))
        .collect();
    cuts.sort_by_key(|(end, _)| *end);
    let mut done = 0;
    for (end, step) in cuts {
        world.fold(&history[done..end]);
        world.step(step);
        done = end;
    }
    world.fold(&history[done..]);
    world
}

fn cuts() -> impl Strategy<Value = Vec<(prop::sample::Index, Step)>> {
    prop::collection::vec((any::<prop::sample::Index>(), step()), 0..24)
}

fn at(world: &World, past: &Arc<PastSnapshot>, position: usize) -> Snapshot {
    let now = world.store.snapshot().unwrap();
    now.at(Arc::clone(past), Position::new(position as u64))
        .unwrap()
}

/// Compares the reads of single sessions and agents, and the lineages, with those of a ledger whose log ends at
/// the position.
fn check_single(then: &Snapshot, ended: &Snapshot, all: &crate::fold::model::Model) {
    let start = LineageStart {
        after: None,
        rows_max: 100,
    };
    for tenant in TENANTS {
        let tenant = TenantId::parse(tenant).unwrap();
        let sight = Sight::of_tenant(&tenant);
        for session in &all.sessions {
            let id = SessionId::parse(&session.id).unwrap();
            let get = |snapshot: &Snapshot| sessions::get(snapshot, sight, &id).unwrap();
            assert_eq!(get(then), get(ended), "{id}");
            let of = |snapshot: &Snapshot| {
                let lineage = lineage::of_session(snapshot, sight, &id, start).unwrap();
                format!("{lineage:?}")
            };
            assert_eq!(of(then), of(ended), "lineage of {id}");
        }
    }
    for agent in &all.agents {
        let get = |snapshot: &Snapshot| format!("{:?}", agents::get(snapshot, agent));
        assert_eq!(get(then), get(ended), "{}", agent.id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn each_answer_as_of_a_position_is_that_of_a_ledger_whose_log_ends_there(
        history in history(120),
        cuts in cuts(),
        rows_max in 1_usize..9,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let world = folded(dir.path(), &history, &cuts);
        let past = world.past();
        let all = modelled(&history);
        let elsewhere = tempfile::tempdir().unwrap();
        let ended = World::new(elsewhere.path());
        for position in 0..=history.len() {
            if let Some(last) = position.checked_sub(1) {
                ended.fold(&history[last..position]);
            }
            let then = at(&world, &past, position);
            let model = modelled(&history[..position]);
            listing::check_some(&then, &model, rows_max, (position * 31 % 211, 211));
            agents::check_some(&then, &model, rows_max, (position * 31 % 53, 53));
            check_single(&then, &ended.store.snapshot().unwrap(), &all);
        }
    }

    #[test]
    fn a_search_that_ends_at_its_bound_goes_on_with_the_next_page(
        history in history(120),
        entries_max in 1_u64..12,
        rows_max in 1_usize..9,
        position in any::<prop::sample::Index>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let world = folded(dir.path(), &history, &[]);
        let position = position.index(history.len() + 1);
        let past = world.past();
        let whole = at(&world, &past, position);
        let elsewhere = tempfile::tempdir().unwrap();
        let other = folded(elsewhere.path(), &history, &[]).bounded(entries_max);
        let bounded = at(&other, &other.past(), position);
        for tenant in TENANTS {
            let tenant = TenantId::parse(tenant).unwrap();
            for status in Status::ALL {
                let filter = SessionFilter {
                    statuses: StatusSet::only(*status),
                    ..SessionFilter::default()
                };
                let page = |snapshot: &Snapshot, start, rows_max| {
                    sessions::list(snapshot, Sight::of_tenant(&tenant), &filter, start, rows_max)
                };
                let expected = page(&whole, PageStart::Offset(0), 200).unwrap();
                let (mut rows, mut start) = (Vec::new(), PageStart::Offset(0));
                loop {
                    let page = page(&bounded, start, rows_max).unwrap();
                    prop_assert_eq!(page.total, expected.total);
                    rows.extend(page.rows);
                    match page.next {
                        Some(cursor) => start = cursor.into(),
                        None => break,
                    }
                }
                prop_assert_eq!(&rows, &expected.rows);
            }
        }
    }

    #[test]
    fn a_history_file_has_the_same_entries_however_it_came_about(
        history in history(200),
        cuts in cuts(),
    ) {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let in_parts = folded(one.path(), &history, &cuts);
        let at_once = folded(other.path(), &history, &[]);
        let digest = |world: &World| world.past().digest().unwrap();
        prop_assert_eq!(digest(&in_parts), digest(&at_once));
    }

    #[test]
    fn a_time_leads_to_the_last_position_that_the_log_had_then(
        history in history(80),
        cuts in cuts(),
        ticks in prop::collection::vec(0_i64..60_000_000_000, 20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let past = folded(dir.path(), &history, &cuts).past();
        let mut latest = Timestamp::MIN;
        let mut times = Vec::new();
        for (index, one) in history.iter().enumerate() {
            latest = latest.max(one.record().recorded_at);
            times.push(latest);
            let position = Position::new(index as u64 + 1);
            prop_assert_eq!(past.time_of(position).unwrap(), Some(latest));
        }
        let some = ticks.into_iter().map(|ticks| {
            Timestamp::from_micros_clamped(crate::fold::history::START_US - 1_000_000_000 + ticks)
        });
        for time in some.chain(times.clone()) {
            let expected = times.iter().filter(|one| **one <= time).count();
            prop_assert_eq!(past.position_at(time).unwrap(), Position::new(expected as u64));
        }
    }
}

#[test]
fn a_file_of_another_ledger_or_a_damaged_one_is_made_again() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut world = || {
        let dir = tempfile::tempdir().unwrap();
        let history = history(60).new_tree(&mut runner).unwrap().current();
        let world = folded(dir.path(), &history, &[]);
        let digest = world.past().digest().unwrap();
        (dir, world, digest)
    };
    let (_one, mut one, expected) = world();
    let (_other, other, different) = world();
    assert_ne!(expected, different);
    let damaged = {
        let mut bytes = std::fs::read(&other.file).unwrap();
        bytes.truncate(bytes.len() / 2);
        bytes
    };
    for file in [
        std::fs::read(&other.file).unwrap(),
        damaged,
        b"no database".to_vec(),
    ] {
        one.past = Past::new(&one.file);
        std::fs::write(&one.file, file).unwrap();
        assert_eq!(one.past().digest().unwrap(), expected);
    }
}

/// Records that open sessions of one tenant and end all but the first, which opened at position 1.
fn one_of_many(sessions: u64) -> Vec<Logged> {
    let mut records = Vec::new();
    let mut add = |kind: &'static str, session: u64, data: serde_json::Value| {
        let position = records.len() as u64 + 1;
        records.push(Logged::plain(position, kind, &format!("s{session}"), data));
    };
    for session in 0..sessions {
        add("session.created", session, json!({"agent_id": "a0"}));
        if 0 < session {
            add("session.terminated", session, json!({}));
        }
    }
    records
}

#[test]
fn a_search_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let world = folded(dir.path(), &one_of_many(30), &[]).bounded(10);
    let then = at(&world, &world.past(), 59);
    let tenant = TenantId::parse(TENANTS[0]).unwrap();
    let list = |filter: &SessionFilter, start| {
        sessions::list(&then, Sight::of_tenant(&tenant), filter, start, 5)
    };
    let active = SessionFilter {
        statuses: StatusSet::only(Status::Active),
        ..SessionFilter::default()
    };
    let first = list(&active, PageStart::Offset(0)).unwrap();
    assert_eq!(
        (first.total, first.rows.len()),
        (1, 0),
        "the search was cut short"
    );
    assert!(first.next.is_some());
    let too_many = |page: Result<_, QueryError>| {
        matches!(page, Err(QueryError::Store(StoreError::TooManyEntries(10))))
    };
    assert!(too_many(list(
        &SessionFilter::default(),
        PageStart::Offset(20)
    )));
    let since = SessionFilter {
        created: TimeRange {
            after: Some(Timestamp::MIN),
            before: None,
        },
        ..active
    };
    assert!(too_many(list(&since, PageStart::Offset(0))));
}

#[test]
fn a_row_with_a_long_history_is_right_at_each_position() {
    let mut records = vec![Logged::plain(
        1,
        "session.created",
        "s0",
        json!({"agent_id": "a0"}),
    )];
    for number in 2..=100_u64 {
        let metadata = if number % 7 == 0 {
            json!({"n": number})
        } else {
            json!({})
        };
        let data = json!({"metadata": metadata});
        records.push(Logged::plain(number, "session.refreshed", "s0", data));
    }
    let dir = tempfile::tempdir().unwrap();
    let world = folded(dir.path(), &records, &[]);
    let past = world.past();
    let all = modelled(&records);
    let elsewhere = tempfile::tempdir().unwrap();
    let ended = World::new(elsewhere.path());
    for position in 1..=records.len() {
        ended.fold(&records[position - 1..position]);
        let then = at(&world, &past, position);
        check_single(&then, &ended.store.snapshot().unwrap(), &all);
    }
}
