//! The short form of the torture run. `examples/torture` runs as long as you like.

use std::time::Duration;

use crate::torture::plan::{Moment, Plan, Round};
use crate::torture::trouble::Troubles;
use crate::torture::{Mode, Options, run};

/// How long faults go on.
const DURATION: Duration = Duration::from_secs(20);

/// Runs one seed. The error says how to run it again.
fn run_short(mode: Mode, log: &str) {
    let options = Options {
        mode,
        seed: 1,
        duration: DURATION,
        // The process may have other tests, which these signals should end too.
        ends_at_signals: false,
        binary: env!("CARGO_BIN_EXE_session-ledger").into(),
        print: |line| println!("{line}"),
    };
    match run(&options) {
        Ok(report) => println!("{report}"),
        Err(finding) => panic!(
            "{finding}\nagain: cargo run --release --example torture -- --seed 1 --minutes 1 --log {log}"
        ),
    }
}

#[test]
fn all_promises_hold_under_faults_of_a_ledger_with_the_built_in_log() {
    run_short(Mode::Embedded, "embedded");
}

#[test]
fn all_promises_hold_under_faults_of_two_ledgers_on_one_nats_server() {
    run_short(Mode::Nats, "nats");
}

#[test]
fn a_seed_gives_the_same_faults_again() {
    for mode in [Mode::Embedded, Mode::Nats, Mode::Cluster] {
        let draw = |seed| {
            let mut plan = Plan::new(mode, seed);
            let rounds: Vec<_> = (0..20).map(|_| plan.next_round()).collect();
            let moments = rounds.iter().flat_map(Round::moments);
            moments
                .map(|moment: Moment| format!("{:?} {moment}", moment.at()))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}

#[test]
fn a_ledger_that_ends_by_itself_is_excused_only_by_a_fault_that_explains_it() {
    let [other, room, log] = [
        "error: the server ends: why",
        "error: the read model's file cannot be used: I/O error: File too large (os error 27)",
        "error: the log is unavailable: cannot connect to NATS: timed out",
    ];
    let mut troubles = Troubles::default();
    for last in [other, room, log] {
        assert!(!troubles.excuse(last, false), "no fault yet: {last}");
    }
    troubles.no_log.begin();
    assert!(troubles.excuse(log, false));
    assert!(!troubles.excuse(log, true), "it has served");
    assert!(!troubles.excuse(other, false));
    troubles.no_log.end();
    assert!(troubles.excuse(log, false), "a start waits for NATS");
    troubles.no_room.begin();
    for last in [other, room, log] {
        assert!(troubles.excuse(last, true), "it cannot write: {last}");
    }
}
