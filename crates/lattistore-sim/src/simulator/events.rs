//! What will happen in the simulated world, in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

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
    /// A node that waits for a write repeats its last heartbeat.
    Pulse { node: usize, life: u64, write: u64 },
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
    /// An operator does something about the members.
    Members,
    /// All faults are over.
    Heal,
}

/// A schedule of absences under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absence {
    /// Who goes first.
    pub(super) first: usize,
    /// Who goes while the first is away; the same node where two may not be missing.
    pub(super) second: usize,
    /// What comes next.
    pub(super) stage: Stage,
}

/// What comes next in a schedule of absences.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    SecondGoes,
    FirstReturns,
    /// All others hear only this one node, so that nobody else can lead.
    Leads(usize),
    AllReturn,
}

/// When an event will happen, in microseconds; which it is in the order of planning, for those of one
/// time; and its place in the store of events.
type Planned = (u64, u64, usize);

/// The events to come.
///
/// Events are large, and a heap moves what it holds about: so it holds their places alone.
#[derive(Debug)]
pub(super) struct Agenda<W: Workload> {
    order: BinaryHeap<Reverse<Planned>>,
    events: Vec<Option<Event<W>>>,
    /// Places of `events` that hold none.
    free: Vec<usize>,
    planned: u64,
}

impl<W: Workload> Agenda<W> {
    /// Nothing is planned yet.
    pub(super) fn new() -> Agenda<W> {
        Agenda { order: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), planned: 0 }
    }

    /// Plans an event for a time, in microseconds.
    pub(super) fn plan(&mut self, at_us: u64, event: Event<W>) {
        self.planned += 1;
        let place = match self.free.pop() {
            Some(place) => {
                self.events[place] = Some(event);
                place
            }
            None => {
                self.events.push(Some(event));
                self.events.len() - 1
            }
        };
        self.order.push(Reverse((at_us, self.planned, place)));
    }

    /// Takes out the next event, with its time in microseconds.
    pub(super) fn next(&mut self) -> Option<(u64, Event<W>)> {
        let Reverse((at_us, _, place)) = self.order.pop()?;
        self.free.push(place);
        self.events[place].take().map(|event| (at_us, event))
    }
}
