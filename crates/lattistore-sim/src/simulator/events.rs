//! The planned events of the simulated world, in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::host::Msg;
use super::workload::Workload;
use lattistore::lpaxos::Slot;

/// A planned event.
#[derive(Debug)]
pub(super) enum Event<W: Workload> {
    /// A message arrives.
    Arrive { from: usize, to: usize, message: Msg<W> },
    /// A node takes inputs from its inbox.
    Wake { node: usize, incarnation: u64 },
    /// A write is complete.
    Written { node: usize, incarnation: u64 },
    /// A node that waits for a write repeats its last heartbeat.
    HeartbeatDuringWrite { node: usize, incarnation: u64, write: u64 },
    /// A node's clock ticks.
    Tick { node: usize, incarnation: u64 },
    /// A stopped node starts again.
    Restart { node: usize },
    /// A client sends its next request (`sent` is `None`), or loses patience with a request.
    Client { client: usize, sent: Option<usize> },
    /// The nemesis injects a fault.
    Fault,
    /// The next stage of a schedule of absences.
    Absence(Absence),
    /// An operator changes the members, or a disk is lost.
    Members,
    /// The next stage of a schedule about a change of the members.
    MemberStage(MemberStage),
    /// All faults end.
    Heal,
}

/// What is to happen to a change of the voters.
#[derive(Clone, Copy, Debug)]
pub(super) enum MemberStage {
    /// The node, which has proposed a change, is cut off with a minority.
    LeaderIsCutOff(usize),
    /// Voters that hold the slot stop.
    HoldersStop(Slot),
    /// Only a node that does not know the members set by the slot can lead.
    StaleLeads(Slot),
    /// The disk of a member is lost.
    DiskIsLost,
    /// The voter that was away is connected again, just when the node `leader` has proposed a
    /// change; another voter is cut off.
    VoterReturns { leader: usize, back: usize },
    /// The leader is cut off from the voter that returned and the one that was cut off after it.
    LeaderGoes(usize),
    /// All links work again.
    LinksWork,
}

/// A schedule of absences that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absence {
    /// The node that is cut off first.
    pub(super) first: usize,
    /// The node that is cut off while the first one is; the same node if the cluster is too small
    /// for two to be missing.
    pub(super) second: usize,
    /// The next stage.
    pub(super) stage: Stage,
}

/// The next stage of a schedule of absences.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    SecondGoes,
    FirstReturns,
    /// All other nodes hear only this node, so that no other can lead.
    Leads(usize),
    AllReturn,
}

/// The time of an event in microseconds, its number in the order of planning, and its index in the
/// store of events.
type Planned = (u64, u64, usize);

/// A queue of events, ordered by time.
///
/// Events are large, and a heap moves its elements: so the heap holds indexes alone.
#[derive(Debug)]
pub(super) struct EventQueue<W: Workload> {
    order: BinaryHeap<Reverse<Planned>>,
    events: Vec<Option<Event<W>>>,
    /// Free indexes of `events`.
    free: Vec<usize>,
    planned: u64,
}

impl<W: Workload> EventQueue<W> {
    /// Returns an empty queue.
    pub(super) fn new() -> EventQueue<W> {
        EventQueue { order: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), planned: 0 }
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

    /// Removes the next event, and returns it with its time in microseconds.
    pub(super) fn next(&mut self) -> Option<(u64, Event<W>)> {
        let Reverse((at_us, _, place)) = self.order.pop()?;
        self.free.push(place);
        self.events[place].take().map(|event| (at_us, event))
    }
}
