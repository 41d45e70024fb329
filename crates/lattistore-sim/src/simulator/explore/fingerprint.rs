//! Fingerprints: a state is recognized by a number computed from it.
//!
//! Two different states with the same fingerprint would be taken for one. With n states and 64 bits
//! the chance of that is about n²/2^65: one in a thousand for two hundred million states.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Debug, Write};
use std::hash::{BuildHasherDefault, Hasher};

use lattistore::splitmix64;

/// A hash of what is written to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fingerprint {
    low: u64,
    high: u64,
}

impl Fingerprint {
    /// Returns the fingerprint of nothing.
    pub(super) fn new() -> Fingerprint {
        Fingerprint { low: 0x243f_6a88_85a3_08d3, high: 0x1319_8a2e_0370_7344 }
    }

    /// Returns the fingerprint of a value's `Debug` text.
    pub(super) fn of(value: &impl Debug) -> u128 {
        let mut fingerprint = Fingerprint::new();
        let _ = write!(fingerprint, "{value:?}");
        fingerprint.long()
    }

    /// Adds a number.
    pub(super) fn add(&mut self, number: u64) {
        self.low = splitmix64::nth(self.low ^ number, 1);
        self.high = splitmix64::nth(self.high.rotate_left(29) ^ number, 1);
    }

    /// Returns all 128 bits.
    pub(super) fn long(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }

    /// Returns half of the bits.
    pub(super) fn short(self) -> u64 {
        self.low
    }
}

impl Write for Fingerprint {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut chunks = text.as_bytes().chunks_exact(8);
        for chunk in &mut chunks {
            self.add(chunk.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
        }
        // The rest is added with its length, so that the boundary of two texts matters.
        let rest = chunks.remainder();
        let length = u64::try_from(rest.len()).unwrap_or(0) << 56;
        self.add(rest.iter().fold(length, |sum, byte| sum << 8 | u64::from(*byte)));
        Ok(())
    }
}

/// Hashes small numbers by one multiplication, and is good enough for fingerprints.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.0 ^= self.0 >> 29;
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u128(&mut self, number: u128) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "half of a fingerprint is enough here"
        )]
        self.write_u64(number as u64);
    }
}

/// A map with numbers as keys.
pub(super) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;
/// A set of numbers.
pub(super) type NumberSet<K> = HashSet<K, BuildHasherDefault<NumberHasher>>;
