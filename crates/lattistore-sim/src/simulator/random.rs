//! The random numbers of a run: one seed, one sequence (SplitMix64).

use lattistore::splitmix64;

/// A source of random numbers that depends on its seed alone.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Returns a source; the streams of one seed are independent of each other.
    pub fn new(seed: u64, stream: u64) -> Random {
        let mut random = Random(seed ^ stream.wrapping_mul(0xa076_1d64_78bd_642f));
        random.next();
        random
    }

    /// Returns a number.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        splitmix64::next(&mut self.0)
    }

    /// Returns a number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// Returns a count from `low` to `high`, both included.
    pub fn count(&mut self, low: usize, high: usize) -> usize {
        let span = u64::try_from(high - low).unwrap_or(u64::MAX - 1) + 1;
        low + usize::try_from(self.next() % span).unwrap_or(0)
    }

    /// Returns true `per_10_000` times in ten thousand.
    pub fn happens(&mut self, per_10_000: u64) -> bool {
        self.next() % 10_000 < per_10_000
    }

    /// Returns true or false with equal chances.
    pub fn flip(&mut self) -> bool {
        self.next() & (1 << 40) != 0
    }

    /// Returns one of the elements.
    ///
    /// # Panics
    /// When there are none.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.count(0, all.len() - 1)]
    }
}
