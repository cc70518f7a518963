//! The promises of the fold, on random histories.

use std::path::Path;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use session_ledger::domain::Rules;
use session_ledger::projection::{Commit, Prepared, Store, verify};

use crate::fold::checks::{check_histories, check_rejections, check_verdicts, modelled};
use crate::fold::history::{Logged, history};
use crate::fold::{agents, listing};

/// Folds a history in batches that end where `cuts` say.
fn fold(dir: &Path, history: &[Logged], cuts: &[prop::sample::Index]) -> Store {
    let store = Store::open(&dir.join("model.redb")).unwrap();
    let mut ends: Vec<usize> = cuts
        .iter()
        .map(|cut| cut.index(history.len() + 1))
        .collect();
    ends.push(history.len());
    ends.sort_unstable();
    let mut done = 0;
    for end in ends {
        let batch: Vec<Prepared> = history[done..end]
            .iter()
            // One record in three is prepared by old rules, as by a reader that missed a switch.
            .map(|one| match one.position % 3 {
                0 => Prepared::new(Rules::V1, one.record()),
                _ => Prepared::new(Rules::from_number(one.rules).unwrap(), one.record()),
            })
            .collect();
        // Batches alternate between both ways to commit.
        let commit = if end % 2 == 0 {
            Commit::Visible
        } else {
            Commit::Durable
        };
        // A batch is folded in pieces, one after another in one transaction.
        let pieces = batch.chunks(end % 5 + 1);
        let write = store.write(|folding| {
            for piece in pieces {
                folding.fold(piece)?;
            }
            Ok(commit)
        });
        write.unwrap();
        done = end;
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_read_model_equals_a_naive_model(
        history in history(120),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        rows_max in 1_usize..9,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = fold(dir.path(), &history, &cuts);
        let snapshot = store.snapshot().unwrap();
        let model = modelled(&history);
        check_verdicts(&snapshot, &history, &model);
        check_histories(&snapshot, &model);
        check_rejections(&snapshot, &history, &model);
        listing::check(&snapshot, &model, rows_max);
        agents::check(&snapshot, &model, rows_max);
        prop_assert_eq!(verify::totals(&snapshot).unwrap(), vec![]);
    }

    #[test]
    fn batches_of_any_size_give_the_same_bytes(
        history in history(200),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..30),
    ) {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at_once = fold(one.path(), &history, &[]).snapshot().unwrap().digest().unwrap();
        let in_parts = fold(other.path(), &history, &cuts).snapshot().unwrap().digest().unwrap();
        prop_assert_eq!(at_once, in_parts);
    }
}

#[test]
fn another_history_has_another_digest() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let tree = history(50).new_tree(&mut runner).unwrap();
    let whole = tree.current();
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let shorter = &whole[..whole.len() - 1];
    let whole = fold(one.path(), &whole, &[])
        .snapshot()
        .unwrap()
        .digest()
        .unwrap();
    let shorter = fold(other.path(), shorter, &[])
        .snapshot()
        .unwrap()
        .digest()
        .unwrap();
    assert_ne!(whole, shorter);
}

/// Guards the properties: a generator that never reaches a verdict would prove nothing about it.
#[test]
fn random_histories_reach_every_possible_verdict() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut reached = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..300 {
        let tree = history(200).new_tree(&mut runner).unwrap();
        for (verdict, settled) in modelled(&tree.current()).verdicts.into_values() {
            let kind = verdict.split(' ').next().unwrap_or_default();
            let kind = if settled.is_some() {
                format!("{kind} later")
            } else {
                kind.to_owned()
            };
            *reached.entry(kind).or_default() += 1;
        }
    }
    let expected = [
        "agent_expired",
        "agent_not_registered",
        "agent_revoked",
        "agent_suspended",
        "already_ended",
        "already_exists",
        "already_revoked",
        "already_suspended",
        "applied",
        "applied later",
        "deadline_not_after_time",
        "duplicate",
        "id_reused",
        "invalid",
        "not_active",
        "not_due",
        "not_found",
        "not_json",
        "not_suspended",
        "other_agent",
        "parked",
        "parking_expired later",
        "refreshed_since",
        "scope_exceeded",
        "session_expired",
        "superseded",
        "tenant_mismatch",
        "token_stale",
        "unknown_parent",
        "unknown_type",
    ];
    for verdict in expected {
        assert!(
            reached.contains_key(verdict),
            "no history led to {verdict}: {reached:?}"
        );
    }
}
