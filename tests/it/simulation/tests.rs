//! The seeds that every test run tries. `examples/simulate` tries any number.

use std::panic::catch_unwind;

use crate::simulation::run;

/// Runs seeds. Says how to run the first one again that fails.
fn run_all(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        if let Err(panic) = catch_unwind(|| run(seed, false)) {
            println!(
                "again: cargo run --release --example simulate -- --from {seed} --seeds 1 --trace"
            );
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in [1, 2, 3, 5, 8, 13, 21, 34] {
        assert_eq!(run(seed, false), run(seed, false), "seed {seed}");
    }
}

#[test]
fn all_promises_hold_for_the_first_fifty_seeds() {
    run_all(0..50);
}

#[test]
fn all_promises_hold_for_the_second_fifty_seeds() {
    run_all(50..100);
}

#[test]
fn all_promises_hold_for_the_third_fifty_seeds() {
    run_all(100..150);
}

#[test]
fn all_promises_hold_for_the_fourth_fifty_seeds() {
    run_all(150..200);
}
