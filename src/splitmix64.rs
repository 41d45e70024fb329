//! The generator SplitMix64, for everything that needs numbers that look random and depend on a
//! seed alone: salts of the journal, the simulator, tests and the load generator. It is not for
//! secrets.
//!
//! Source: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.

/// The difference between two successive states.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Advances a generator, of which `state` is the seed at first, and returns its next number.
pub fn next(state: &mut u64) -> u64 {
    let number = nth(*state, 1);
    *state = state.wrapping_add(STEP);
    number
}

/// Returns the number with this index, counted from 1, of the generator with this seed. Every bit
/// of it depends on every bit of the seed and of the index.
pub fn nth(seed: u64, index: u64) -> u64 {
    let mut mixed = seed.wrapping_add(index.wrapping_mul(STEP));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_reference_implementation() {
        let mut state = 0;
        let numbers = [next(&mut state), next(&mut state), next(&mut state)];
        assert_eq!(numbers, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
        assert_eq!(numbers, [nth(0, 1), nth(0, 2), nth(0, 3)]);
    }
}
