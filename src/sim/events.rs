//! What will happen in the simulated world, in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::absence::Absence;
use super::host::Msg;
use super::workload::Workload;

/// What will happen.
#[derive(Debug)]
pub(super) enum Event<W: Workload> {
    /// A message arrives.
    Arrive { from: usize, to: usize, message: Msg<W> },
    /// A node takes in what waits.
    Wake { node: usize, life: u64 },
    /// A write is over.
    Written { node: usize, life: u64 },
    /// A node's clock ticks.
    Tick { node: usize, life: u64 },
    /// A node comes back.
    Restart { node: usize },
    /// A client does something.
    Client { client: usize, sent: Option<usize> },
    /// The next big fault.
    Fault,
    /// The next part of a schedule of absences.
    Absence(Absence),
    /// All faults are over.
    Heal,
}

/// Orders events by time, then by the order in which they were planned.
#[derive(Debug)]
struct Planned<W: Workload>(u64, u64, Event<W>);

impl<W: Workload> PartialEq for Planned<W> {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl<W: Workload> Eq for Planned<W> {}
impl<W: Workload> PartialOrd for Planned<W> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<W: Workload> Ord for Planned<W> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// The events to come.
#[derive(Debug)]
pub(super) struct Agenda<W: Workload> {
    events: BinaryHeap<Reverse<Planned<W>>>,
    planned: u64,
}

impl<W: Workload> Agenda<W> {
    /// Nothing is planned yet.
    pub(super) fn new() -> Agenda<W> {
        Agenda { events: BinaryHeap::new(), planned: 0 }
    }

    /// Plans an event for a time, in microseconds.
    pub(super) fn plan(&mut self, at_us: u64, event: Event<W>) {
        self.planned += 1;
        self.events.push(Reverse(Planned(at_us, self.planned, event)));
    }

    /// Takes out the next event, with its time in microseconds.
    pub(super) fn next(&mut self) -> Option<(u64, Event<W>)> {
        self.events.pop().map(|Reverse(Planned(at_us, _, event))| (at_us, event))
    }
}
