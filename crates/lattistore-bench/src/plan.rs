//! What to run, and the operations that it draws.

use std::sync::atomic::AtomicU64;

use super::record::Span;
use super::workload::{Kind, Operation, Random, Space, Workload};

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loop {
    Closed,
    /// So many operations a second, over all connections.
    Open(f64),
}

/// What to run.
pub(crate) struct Plan<'a> {
    pub(crate) workload: Workload,
    /// How many keys each put writes.
    pub(crate) writes: usize,
    pub(crate) space: &'a Space,
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    pub(crate) how: Loop,
    pub(crate) span: Span,
    /// Counts what is answered, for who watches.
    pub(crate) answered: &'a AtomicU64,
}

/// The keys and values of an operation; the memory of one serves the next.
#[derive(Default)]
pub(super) struct Put<'a> {
    key: String,
    value: &'a str,
    more: Vec<(String, &'a str)>,
}

impl<'a> Put<'a> {
    /// Takes the keys of these numbers; tells whether there was one.
    pub(super) fn set(&mut self, space: &'a Space, mut numbers: impl Iterator<Item = u64>) -> bool {
        let Some(first) = numbers.next() else { return false };
        space.key(first, &mut self.key);
        self.value = space.value(first);
        let mut more = 0;
        for number in numbers {
            if more == self.more.len() {
                self.more.push((String::new(), ""));
            }
            let (key, value) = &mut self.more[more];
            space.key(number, key);
            *value = space.value(number);
            more += 1;
        }
        self.more.truncate(more);
        true
    }

    pub(super) fn operation(&self, kind: Kind) -> Operation<'_> {
        Operation { kind, key: &self.key, value: self.value, more: &self.more }
    }
}

/// Draws operations.
pub(super) struct Source<'a> {
    workload: Workload,
    writes: usize,
    space: &'a Space,
    random: Random,
    put: Put<'a>,
}

impl<'a> Source<'a> {
    pub(super) fn new(plan: &Plan<'a>, lane: u32) -> Source<'a> {
        let random = Random::new(u64::from(lane) + 1);
        let Plan { workload, writes, space, .. } = *plan;
        Source { workload, writes, space, random, put: Put::default() }
    }

    pub(super) fn next(&mut self) -> Operation<'_> {
        let kind = self.workload.draw(&mut self.random);
        let keys = if kind == Kind::Put { self.writes } else { 1 };
        let (space, random) = (self.space, &mut self.random);
        self.put.set(space, (0..keys).map(|_| space.draw(random)));
        self.put.operation(kind)
    }
}
