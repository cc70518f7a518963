//! Numbers drawn by Zipf's law: the second is half as frequent as the first, the third a third.

use fastrand::Rng;

/// The weight of the first number: large, so that rounding does not matter.
const FIRST: u64 = 1 << 32;

/// A distribution over the numbers from 0.
pub(super) struct Zipf {
    up_to: Vec<u64>,
}

impl Zipf {
    pub(super) fn new(numbers: u64) -> Self {
        let weights = (1..=numbers).map(|rank| FIRST / rank);
        let add = |sum: &mut u64, weight| {
            *sum += weight;
            Some(*sum)
        };
        Self {
            up_to: weights.scan(0, add).collect(),
        }
    }

    pub(super) fn draw(&self, random: &mut Rng) -> u32 {
        let sum = *self.up_to.last().expect("there is a number to draw");
        let drawn = random.u64(..sum);
        let index = self.up_to.partition_point(|up_to| *up_to <= drawn);
        u32::try_from(index).expect("there are few numbers")
    }
}
