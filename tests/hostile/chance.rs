//! Choices that are made by bytes. A fuzzer that changes one byte changes one choice.

/// A sequence of choices. When the bytes are used up, each choice is the first alternative.
#[derive(Debug)]
pub(crate) struct Chance<'a>(&'a [u8]);

impl<'a> Chance<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Chance<'a> {
        Chance(bytes)
    }

    /// Whether there are bytes left.
    pub(crate) fn is_left(&self) -> bool {
        !self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// Returns a number below `bound`, which is at most 256.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    pub(crate) fn flip(&mut self) -> bool {
        self.below(2) == 1
    }

    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}
