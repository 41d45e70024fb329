//! The plan of a run, and the operations that it draws.

use std::time::Duration;

use super::workload::{KeySpace, Kind, Operation, Random, Workload};

/// How operations are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loop {
    /// The next one when one is answered.
    Closed,
    /// At this many operations a second, over all connections.
    Open(f64),
}

/// The plan of a run.
pub(crate) struct Plan<'a> {
    pub(crate) workload: Workload,
    /// How many keys each put writes.
    pub(crate) writes: usize,
    pub(crate) space: &'a KeySpace,
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    pub(crate) how: Loop,
    /// The time before the measurement, under the same load.
    pub(crate) warm_up: Duration,
    /// The time that is measured.
    pub(crate) duration: Duration,
}

/// The keys and values of an operation; its memory is reused for the next one.
#[derive(Default)]
pub(super) struct PutBuffer<'a> {
    key: String,
    value: &'a str,
    more: Vec<(String, &'a str)>,
}

impl<'a> PutBuffer<'a> {
    /// Sets the keys of these numbers; returns whether there was one.
    pub(super) fn set(
        &mut self,
        space: &'a KeySpace,
        mut numbers: impl Iterator<Item = u64>,
    ) -> bool {
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

/// Draws the operations of a connection.
pub(super) struct OperationSource<'a> {
    workload: Workload,
    writes: usize,
    space: &'a KeySpace,
    random: Random,
    put: PutBuffer<'a>,
}

impl<'a> OperationSource<'a> {
    pub(super) fn new(plan: &Plan<'a>, connection: u32) -> OperationSource<'a> {
        let random = Random::new(u64::from(connection) + 1);
        let Plan { workload, writes, space, .. } = *plan;
        OperationSource { workload, writes, space, random, put: PutBuffer::default() }
    }

    pub(super) fn next(&mut self) -> Operation<'_> {
        let kind = self.workload.draw(&mut self.random);
        let keys = if kind == Kind::Put { self.writes } else { 1 };
        let (space, random) = (self.space, &mut self.random);
        self.put.set(space, (0..keys).map(|_| space.draw(random)));
        self.put.operation(kind)
    }
}
