//! Operations, keys and values. This file does not depend on the measured system, so all systems
//! get the same operations.

use lattistore::splitmix64;

/// The kind of operations of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Write a value.
    Put,
    /// Read a value, strictly.
    Get,
    /// Read a value, then write one, as one transaction.
    Rmw,
    /// Write a value if the present one is as expected; it always is.
    Cas,
    /// Half `Put`, half `Get`.
    Mixed,
}

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Put,
    Get,
    /// Read, modify and write.
    Rmw,
    /// Compare and set.
    Cas,
}

/// An operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation<'a> {
    pub(crate) kind: Kind,
    pub(crate) key: &'a str,
    /// The value to write. A key always gets the same value, so it is also the expected one.
    pub(crate) value: &'a str,
    /// What a put also writes, in the same transaction.
    pub(crate) more: &'a [(String, &'a str)],
}

impl<'a> Operation<'a> {
    /// Returns all keys, with their values.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let more = self.more.iter().map(|(key, value)| (key.as_str(), *value));
        std::iter::once((self.key, self.value)).chain(more)
    }
}

impl Workload {
    pub(crate) const NAMES: [(&'static str, Workload); 5] = [
        ("put", Workload::Put),
        ("get", Workload::Get),
        ("rmw", Workload::Rmw),
        ("cas", Workload::Cas),
        ("mixed", Workload::Mixed),
    ];

    pub(crate) fn name(self) -> &'static str {
        Workload::NAMES.iter().find(|(_, other)| *other == self).map_or("", |(name, _)| name)
    }

    pub(crate) fn parse(name: &str) -> Result<Workload, String> {
        let found = Workload::NAMES.iter().find(|(other, _)| *other == name);
        found
            .map(|(_, workload)| *workload)
            .ok_or("expected put, get, rmw, cas or mixed".to_owned())
    }
}

impl Kind {
    pub(crate) fn writes(self) -> bool {
        self != Kind::Get
    }
}

/// How often each key is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// All keys equally often.
    Uniform,
    /// As in YCSB: the n-th most popular key in proportion to n^-0.99; popular keys are spread over
    /// the key space.
    Zipfian,
}

impl Distribution {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Distribution::Uniform => "uniform",
            Distribution::Zipfian => "zipfian",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Distribution, String> {
        match name {
            "uniform" => Ok(Distribution::Uniform),
            "zipfian" => Ok(Distribution::Zipfian),
            _ => Err("expected uniform or zipfian".to_owned()),
        }
    }
}

/// The keys and values, and how keys are drawn.
#[derive(Clone, Debug)]
pub(crate) struct KeySpace {
    pub(crate) keys: u64,
    pub(crate) key_bytes: usize,
    pub(crate) value_bytes: usize,
    pub(crate) distribution: Distribution,
    zipf: Zipf,
    /// The values are parts of this text.
    text: String,
}

/// The number of different values.
const VALUES: usize = 1_024;

impl KeySpace {
    pub(crate) fn new(
        keys: u64,
        key_bytes: usize,
        value_bytes: usize,
        distribution: Distribution,
    ) -> KeySpace {
        let mut random = Random::new(7);
        let letter = |_| char::from(b'!' + u8::try_from(random.below(90)).unwrap_or(0));
        let text = (0..value_bytes + VALUES).map(letter).collect();
        let zipf = match distribution {
            Distribution::Uniform => Zipf::default(),
            Distribution::Zipfian => Zipf::new(keys),
        };
        KeySpace { keys, key_bytes, value_bytes, distribution, zipf, text }
    }

    /// Writes the key of this number: `k`, zeros and the number; at least `key_bytes` long.
    pub(crate) fn key(&self, number: u64, to: &mut String) {
        use std::fmt::Write;
        to.clear();
        // Writing to memory does not fail.
        let _ = write!(to, "k{number:0width$}", width = self.key_bytes.saturating_sub(1));
    }

    /// Returns the value of the key of this number.
    pub(crate) fn value(&self, number: u64) -> &str {
        let start = usize::try_from(number).unwrap_or(0) % VALUES;
        &self.text[start..start + self.value_bytes]
    }

    /// Draws the number of a key.
    pub(crate) fn draw(&self, random: &mut Random) -> u64 {
        match self.distribution {
            Distribution::Uniform => random.below(self.keys),
            Distribution::Zipfian => scramble(self.zipf.draw(random)) % self.keys,
        }
    }
}

impl Workload {
    /// Draws the kind of the next operation.
    pub(crate) fn draw(self, random: &mut Random) -> Kind {
        match self {
            Workload::Put => Kind::Put,
            Workload::Get => Kind::Get,
            Workload::Rmw => Kind::Rmw,
            Workload::Cas => Kind::Cas,
            Workload::Mixed if random.below(2) == 0 => Kind::Get,
            Workload::Mixed => Kind::Put,
        }
    }
}

/// Zipf's law by the method of Gray et al., "Quickly generating billion-record synthetic
/// databases".
#[derive(Clone, Copy, Debug, Default)]
struct Zipf {
    items: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

const THETA: f64 = 0.99;

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
impl Zipf {
    fn new(items: u64) -> Zipf {
        let zeta = |n: u64| (1..=n).map(|i| (i as f64).powf(-THETA)).sum::<f64>();
        let (all, two) = (zeta(items), zeta(2));
        let n = items as f64;
        let eta = (1.0 - (2.0 / n).powf(1.0 - THETA)) / (1.0 - two / all);
        Zipf { items: n, zeta: all, alpha: 1.0 / (1.0 - THETA), eta }
    }

    fn draw(&self, random: &mut Random) -> u64 {
        let u = random.unit();
        let uz = u * self.zeta;
        if uz < 1.0 {
            return 0;
        }
        if uz < 1.0 + 0.5f64.powf(THETA) {
            return 1;
        }
        (self.items * (self.eta * u - self.eta + 1.0).powf(self.alpha)) as u64
    }
}

/// Spreads numbers over all 64 bits.
fn scramble(number: u64) -> u64 {
    Random::new(number).next()
}

/// The SplitMix64 generator: each run draws the same keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        splitmix64::next(&mut self.0)
    }

    /// Returns a number below `below`.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.next() % below.max(1)
    }

    /// Returns a number from 0 up to, but not including, 1.
    #[allow(clippy::cast_precision_loss)]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_have_their_sizes() {
        let space = KeySpace::new(1_000, 16, 256, Distribution::Uniform);
        let mut key = String::new();
        space.key(999, &mut key);
        assert_eq!((key.as_str(), key.len()), ("k000000000000999", 16));
        assert!((0..3_000).all(|number| space.value(number).len() == 256));
        assert_ne!(space.value(1), space.value(2));
    }

    #[test]
    fn the_most_popular_key_has_its_share() {
        let space = KeySpace::new(1_000, 16, 1, Distribution::Zipfian);
        let mut random = Random::new(1);
        let mut counts = vec![0u32; 1_000];
        for _ in 0..100_000 {
            counts[usize::try_from(space.draw(&mut random)).expect("below 1,000")] += 1;
        }
        // 1 / zeta(1000, 0.99) is 12.8 %.
        let most = counts.iter().max().copied().unwrap_or(0);
        assert!((11_000..15_500).contains(&most), "{most}");
    }
}
