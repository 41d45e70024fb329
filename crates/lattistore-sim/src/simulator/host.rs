//! A simulated computer: the node, its disk, its clock, and what waits to be taken in.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::history::RunOf;
use super::journal::Journaled;
use super::observed::{Numbered, Observed, Runs};
use super::workload::Workload;
use lattistore::lpaxos::{
    Ballot, Config, Durable, Machine, MemberChange, MemberSet, Message, Node, NodeId, Record,
    Request, Slot, Ticket, Write,
};

/// A node's machine, seen through glass.
pub(super) type Seen<W> = Observed<<W as Workload>::Machine>;
/// Keys of the machine.
pub(super) type Key<W> = <<W as Workload>::Machine as Machine>::Key;
/// Values of the machine.
pub(super) type Value<W> = <<W as Workload>::Machine as Machine>::Value;
/// Commands of the machine.
pub(super) type Command<W> = <<W as Workload>::Machine as Machine>::Command;
/// Messages between nodes.
pub(super) type Msg<W> = Message<Key<W>, Value<W>>;

/// So much may wait at a node.
const MAX_INBOX: usize = 200;

/// What a node takes in.
#[derive(Debug)]
pub(super) enum Input<W: Workload> {
    /// A message of another node.
    Message(usize, Msg<W>),
    /// A request of a client: its number, its command, and how long it may take, in milliseconds.
    Request(usize, Rc<Command<W>>, u64),
    /// A request of an operator: its number, and the change.
    Members(usize, MemberChange),
    /// Time passed.
    Tick,
}

/// A write that was under way when the node stopped.
#[derive(Debug)]
pub(super) struct Unsure<W: Workload> {
    /// What was written.
    pub(super) records: Vec<Record<Key<W>, Value<W>>>,
    /// Whether it had begun, and was torn or not yet synced.
    pub(super) is_torn: bool,
}

/// Batches that a leader ran and did not propose yet, by the slots that they are for.
#[derive(Debug)]
pub(super) struct Open<W: Workload> {
    batches: BTreeMap<Slot, Vec<RunOf<W>>>,
    /// The ballot that the node leads with.
    ballot: Option<Ballot>,
}

impl<W: Workload> Open<W> {
    fn new() -> Open<W> {
        Open { batches: BTreeMap::new(), ballot: None }
    }

    /// Adds what ran; gives whether a batch that was never proposed is forgotten for it.
    pub(super) fn add(&mut self, run: RunOf<W>, ballot: Option<Ballot>) -> bool {
        let other_ballot = self.ballot != ballot;
        let forgotten = other_ballot && !std::mem::take(&mut self.batches).is_empty();
        self.ballot = ballot;
        self.batches.entry(run.position.slot).or_default().push(run);
        forgotten
    }

    /// What ran, if what was proposed there was made of it.
    pub(super) fn close(&mut self, ballot: Ballot, slot: Slot) -> Option<Vec<RunOf<W>>> {
        self.batches.remove(&slot).filter(|_| self.ballot == Some(ballot))
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

/// The computer.
#[derive(Debug)]
pub(super) struct Host<W: Workload> {
    /// The node; none while it is down.
    pub(super) node: Option<Node<Seen<W>>>,
    /// What the node ran since it was last looked at.
    pub(super) runs: Runs<W::Machine>,
    /// The batch that it ran and did not propose yet.
    pub(super) open: Open<W>,
    /// What is durable, as somebody knows who saw every write.
    pub(super) disk: Durable<Key<W>, Value<W>>,
    /// The real journal that must hold the same, in runs that have one.
    pub(super) journal: Option<Box<dyn Journaled<Key<W>, Value<W>>>>,
    /// Records that a crash interrupted: the next start shows whether they are durable.
    pub(super) unsure: Option<Unsure<W>>,
    /// The write under way.
    pub(super) writing: Option<Write<Seen<W>>>,
    /// The next write fails.
    pub(super) fails_next: bool,
    /// Counts starts, so that events of an earlier life do not count.
    pub(super) life: u64,
    /// It stands still until then, in microseconds.
    pub(super) paused_until_us: u64,
    /// Its disk is slow until then, in microseconds.
    pub(super) slow_until_us: u64,
    /// How much longer its writes take then, in microseconds, at the least and at the most.
    pub(super) slow_us: (u64, u64),
    /// How long its writes take, in microseconds, at the least and at the most, in place of the usual.
    pub(super) write_us: Option<(u64, u64)>,
    /// Its writes do not end.
    pub(super) hangs: bool,
    /// How many writes it has begun.
    pub(super) writes: u64,
    /// How often it proposed since it began the last one.
    pub(super) proposed: u64,
    /// When it began the last one, in microseconds.
    pub(super) write_began_us: u64,
    /// One step takes so long, in microseconds.
    pub(super) step_us: u64,
    /// How far its clock is ahead, in milliseconds.
    pub(super) ahead_ms: u64,
    /// Its clock's speed, in thousandths.
    pub(super) clock_rate: u64,
    /// Whether the node is to lead only where no other can; it learns of it at its next tick.
    pub(super) is_reluctant: bool,
    /// The last slot that the node told to be applied.
    pub(super) applied: Slot,
    /// Whether the node led before its last step.
    pub(super) led: bool,
    /// So much may wait for it; more is dropped, as the protocol sends it again.
    pub(super) max_inbox: usize,
    /// Whether it was not started yet.
    pub(super) is_spare: bool,
    /// Whether it never comes back: its disk is lost.
    pub(super) is_lost: bool,
    /// Whether an operator switched it off, as it is no member any more.
    pub(super) is_off: bool,
    /// Whether it will take in what waits.
    pub(super) is_woken: bool,
    pub(super) inbox: VecDeque<Input<W>>,
}

impl<W: Workload> Host<W> {
    /// A computer with an empty disk, still off.
    pub(super) fn new(step_us: u64, ahead_ms: u64, clock_rate: u64) -> Host<W> {
        Host {
            node: None,
            runs: Runs::<W::Machine>::default(),
            open: Open::new(),
            disk: Durable::default(),
            journal: None,
            unsure: None,
            writing: None,
            fails_next: false,
            life: 0,
            paused_until_us: 0,
            slow_until_us: 0,
            slow_us: (0, 0),
            write_us: None,
            hangs: false,
            writes: 0,
            proposed: 0,
            write_began_us: 0,
            step_us,
            ahead_ms,
            clock_rate,
            is_reluctant: false,
            applied: Slot::ZERO,
            led: false,
            max_inbox: MAX_INBOX,
            is_spare: false,
            is_lost: false,
            is_off: false,
            is_woken: false,
            inbox: VecDeque::new(),
        }
    }

    /// What its clock shows, in milliseconds.
    pub(super) fn clock_ms(&self, now_us: u64) -> u64 {
        now_us * self.clock_rate / 1_000_000 + self.ahead_ms
    }

    /// Starts the node from its disk.
    pub(super) fn start(
        &mut self,
        me: NodeId,
        members: MemberSet,
        config: Config,
        machine: W::Machine,
        seed: u64,
        now_us: u64,
    ) {
        let (machine, runs) = Observed::new(machine);
        let (disk, now_ms) = (self.disk.clone(), self.clock_ms(now_us));
        self.runs = runs;
        self.open = Open::new();
        self.applied = disk.replica.complete();
        self.life += 1;
        self.is_woken = false;
        self.node = Some(Node::new(me, members, config, machine, disk, seed, now_ms));
    }

    /// Stops the node: what is not on the disk is gone.
    pub(super) fn stop(&mut self) -> Option<Write<Seen<W>>> {
        self.node = None;
        self.life += 1;
        self.fails_next = false;
        self.paused_until_us = 0;
        self.inbox.clear();
        self.writing.take()
    }

    /// Whether the node runs and one more input may wait for it.
    pub(super) fn has_room(&self) -> bool {
        self.node.is_some() && self.inbox.len() < self.max_inbox
    }

    /// Puts an input where the node will find it, if there is room.
    pub(super) fn put(&mut self, input: Input<W>) {
        if self.has_room() {
            self.inbox.push_back(input);
        }
    }

    /// Whether the node can take something in now.
    pub(super) fn can_step(&self, now_us: u64) -> bool {
        self.node.is_some() && !self.waits_for_disk() && self.paused_until_us <= now_us
    }

    /// Whether the node does nothing until a write is over.
    pub(super) fn waits_for_disk(&self) -> bool {
        let must_wait = self.node.as_ref().is_some_and(Node::must_wait);
        self.writing.as_ref().is_some_and(|write| !write.overlaps || must_wait)
    }

    /// Whether something waits for the node.
    pub(super) fn has_input(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Gives the node up to `most` of what waits; `taken` is told of each request.
    pub(super) fn take_in(&mut self, most: usize, now_us: u64, mut taken: impl FnMut(Ticket)) {
        let now_ms = self.clock_ms(now_us);
        let Some(node) = &mut self.node else { return };
        for _ in 0..most {
            match self.inbox.pop_front() {
                None => return,
                Some(Input::Tick) => {
                    node.set_reluctant(now_ms, self.is_reluctant);
                    node.tick(now_ms);
                }
                Some(Input::Message(from, message)) => {
                    node.message(now_ms, node_id(from), message);
                }
                Some(Input::Members(request, command)) => {
                    let (ticket, deadline_ms) = (change_ticket(request), now_ms + CHANGE_MS);
                    node.change_members(now_ms, Request { ticket, command, deadline_ms });
                }
                Some(Input::Request(request, command, within_ms)) => {
                    let ticket = ticket_of(request);
                    taken(ticket);
                    let command = Numbered { request: Some(request), command };
                    let deadline_ms = now_ms + within_ms;
                    node.request(now_ms, Request { ticket, command, deadline_ms });
                }
            }
        }
    }
}

/// The tickets of changes of the members are above all others.
const FIRST_CHANGE: u64 = 1 << 32;

/// An operator waits this long for an answer, in milliseconds.
const CHANGE_MS: u64 = 3_000;

/// The ticket of a change of the members.
pub(super) fn change_ticket(request: usize) -> Ticket {
    Ticket(FIRST_CHANGE + u64::try_from(request).unwrap_or(u64::MAX))
}

/// The number of the change of the members that has this ticket.
pub(super) fn change_of(ticket: Ticket) -> Option<usize> {
    usize::try_from(ticket.0.checked_sub(FIRST_CHANGE)?).ok()
}

/// The ticket of a request.
pub(super) fn ticket_of(request: usize) -> Ticket {
    Ticket(u64::try_from(request).unwrap_or(u64::MAX))
}

/// The id of the node at a place.
pub(super) fn node_id(place: usize) -> NodeId {
    NodeId(u64::try_from(place).unwrap_or(u64::MAX) + 1)
}

/// The place of a node.
pub(super) fn place_of(node: NodeId) -> usize {
    usize::try_from(node.0 - 1).unwrap_or(usize::MAX)
}
