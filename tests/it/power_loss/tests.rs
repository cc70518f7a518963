//! The power failures that every test run tries. `examples/simulate` tries any number.

use crate::power_loss::{CUTS_PER_LIFE, Cuts, events, keys};

/// Runs lives of disks. Returns what they came to together.
fn run_all(life: fn(u64) -> Cuts) -> Cuts {
    let mut all = Cuts::default();
    for seed in 0..10 {
        println!("again: cargo run --release --example simulate -- --from {seed} --cuts 5");
        all += life(seed);
    }
    assert_eq!(all.made, 10 * CUTS_PER_LIFE);
    all
}

#[test]
fn power_failures_lose_no_acknowledged_record() {
    let all = run_all(events);
    assert!(0 < all.acknowledged, "{all:?}");
}

#[test]
fn power_failures_bring_no_revoked_key_back() {
    let all = run_all(keys);
    assert!(0 < all.acknowledged, "{all:?}");
}
