//! Medians, percentiles and spreads.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Serialize;

pub(crate) const MIB: u64 = 1024 * 1024;
/// Calls whose 95th percentile is a figure.
const CALLS: usize = 300;

/// A value and its spread over the rounds or slices of one run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// The number of rounds or slices. 1 for a value without a spread.
    pub(crate) rounds: usize,
}

impl Figure {
    /// Returns the figure of one value.
    pub(crate) fn one(value: f64) -> Self {
        Self::of(vec![value])
    }

    /// Returns the median, minimum and maximum of some values.
    pub(crate) fn of(values: Vec<f64>) -> Self {
        let sorted = sorted(values);
        Self {
            median: percentile(&sorted, 50),
            min: percentile(&sorted, 0),
            max: percentile(&sorted, 100),
            rounds: sorted.len(),
        }
    }
}

/// Sorts values.
pub(crate) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Returns a percentile of sorted values, or NaN if there are none.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(last * percent / 100)
        .copied()
        .unwrap_or(f64::NAN)
}

/// Returns the 95th percentile of many calls in microseconds, with the median and the maximum as its spread.
pub(crate) fn p95_us<R>(call: impl Fn() -> R) -> Figure {
    let times = (0..CALLS).map(|_| {
        let started = Instant::now();
        black_box(call());
        us(started.elapsed())
    });
    let times = sorted(times.collect());
    Figure {
        median: percentile(&times, 95),
        min: percentile(&times, 50),
        max: percentile(&times, 100),
        rounds: times.len(),
    }
}

/// Returns a rate per second.
pub(crate) fn per_second(count: u64, took: Duration) -> f64 {
    float(count) / took.as_secs_f64()
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(crate) fn us(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "15 digits are enough")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// Divides a growing count into slices and returns the rate per second in each. The samples are times and
/// counts. Between two samples the rate is assumed to be constant.
pub(crate) fn slice_rates(samples: &[(Duration, u64)], slice: u64) -> Vec<f64> {
    let (mut rates, mut since) = (Vec::new(), 0.0);
    let mut next = slice;
    for pair in samples.windows(2) {
        let [(from_time, from), (to_time, to)] = [pair[0], pair[1]];
        while from < next && next <= to {
            let share = float(next - from) / float(to - from);
            let at =
                from_time.as_secs_f64() + share * (to_time.as_secs_f64() - from_time.as_secs_f64());
            rates.push(float(slice) / (at - since));
            (since, next) = (at, next + slice);
        }
    }
    rates
}
