//! A simulated host: a node with its disk, its clock and its inbox.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::answers::ExecutionOf;
use super::ids::node_id;
use super::journal::Journaled;
use super::observed::{Executions, Observed, TaggedCommand};
use super::workload::Workload;
use lattistore::lpaxos::{
    Ballot, Config, Durable, Machine, MemberChange, MemberSet, Message, Node, NodeId, Record,
    Request, Slot, Ticket, Write,
};

/// A node's machine, which records what it runs.
pub(super) type ObservedMachine<W> = Observed<<W as Workload>::Machine>;
/// Keys of the machine.
pub(super) type Key<W> = <<W as Workload>::Machine as Machine>::Key;
/// Values of the machine.
pub(super) type Value<W> = <<W as Workload>::Machine as Machine>::Value;
/// Commands of the machine.
pub(super) type Command<W> = <<W as Workload>::Machine as Machine>::Command;
/// Messages between nodes.
pub(super) type Msg<W> = Message<Key<W>, Value<W>>;

/// The most inputs that may wait at a node.
const MAX_INBOX: usize = 200;

/// An input of a node.
#[derive(Debug)]
pub(super) enum Input<W: Workload> {
    /// A message of another node.
    Message(usize, Msg<W>),
    /// A request of a client: its number, its command, and its time to the deadline in
    /// milliseconds.
    Request(usize, Rc<Command<W>>, u64),
    /// A request of an operator: its number, and the change.
    Members(usize, MemberChange),
    /// Time passed.
    Tick,
}

/// A write that was not complete when its node stopped.
#[derive(Debug)]
pub(super) struct UncertainWrite<W: Workload> {
    /// The records.
    pub(super) records: Vec<Record<Key<W>, Value<W>>>,
    /// Whether the write had begun, and was torn or not synced.
    pub(super) is_torn: bool,
}

/// Batches that a leader ran and has not yet proposed, by their slots.
#[derive(Debug)]
pub(super) struct OpenBatches<W: Workload> {
    batches: BTreeMap<Slot, Vec<ExecutionOf<W>>>,
    /// The ballot with which the node leads.
    ballot: Option<Ballot>,
}

impl<W: Workload> OpenBatches<W> {
    fn new() -> OpenBatches<W> {
        OpenBatches { batches: BTreeMap::new(), ballot: None }
    }

    /// Adds an execution; returns whether a batch that was never proposed is forgotten because the
    /// ballot changed.
    pub(super) fn add(&mut self, execution: ExecutionOf<W>, ballot: Option<Ballot>) -> bool {
        let other_ballot = self.ballot != ballot;
        let forgotten = other_ballot && !std::mem::take(&mut self.batches).is_empty();
        self.ballot = ballot;
        self.batches.entry(execution.position.slot).or_default().push(execution);
        forgotten
    }

    /// Removes the batch of a slot; returns it if it belongs to the proposal of this ballot.
    pub(super) fn close(&mut self, ballot: Ballot, slot: Slot) -> Option<Vec<ExecutionOf<W>>> {
        self.batches.remove(&slot).filter(|_| self.ballot == Some(ballot))
    }

    /// Whether no batch is open.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

/// A simulated host.
#[derive(Debug)]
pub(super) struct Host<W: Workload> {
    /// The node; `None` while it is down.
    pub(super) node: Option<Node<ObservedMachine<W>>>,
    /// What the node ran since the simulator last collected it.
    pub(super) executions: Executions<W::Machine>,
    /// The batches that the node ran and has not yet proposed.
    pub(super) open_batches: OpenBatches<W>,
    /// The durable state, as the simulator knows it from every write.
    pub(super) disk: Durable<Key<W>, Value<W>>,
    /// The shipped journal, which must hold the same state; `None` in runs without it.
    pub(super) journal: Option<Box<dyn Journaled<Key<W>, Value<W>>>>,
    /// A write that a crash interrupted: the next start shows whether it is durable.
    pub(super) uncertain: Option<UncertainWrite<W>>,
    /// The current write.
    pub(super) writing: Option<Write<ObservedMachine<W>>>,
    /// Whether the next write fails.
    pub(super) fails_next: bool,
    /// The number of starts and stops: events that were planned in an earlier incarnation are
    /// ignored.
    pub(super) incarnation: u64,
    /// The node pauses until this time, in microseconds.
    pub(super) paused_until_us: u64,
    /// The disk is slow until this time, in microseconds.
    pub(super) slow_until_us: u64,
    /// The time added to each write while the disk is slow: minimum and maximum, in microseconds.
    pub(super) slow_us: (u64, u64),
    /// The time of a write instead of the scenario's: minimum and maximum, in microseconds.
    pub(super) write_us: Option<(u64, u64)>,
    /// Whether writes never complete.
    pub(super) hangs: bool,
    /// The number of writes begun.
    pub(super) writes: u64,
    /// The number of steps in which the node proposed during the current write.
    pub(super) proposed: u64,
    /// The start of the current write, in microseconds.
    pub(super) write_began_us: u64,
    /// The longest time between an input and the step that takes it, in microseconds.
    pub(super) step_us: u64,
    /// The offset of the clock, in milliseconds.
    pub(super) ahead_ms: u64,
    /// The rate of the clock, in thousandths of simulated time.
    pub(super) clock_rate: u64,
    /// Whether the node is to lead only if no other can; the node learns of it at its next tick.
    pub(super) is_reluctant: bool,
    /// The last slot that the node reported as applied.
    pub(super) applied: Slot,
    /// Whether the node led before its last step.
    pub(super) led: bool,
    /// The most inputs that may wait; more are dropped, because the protocol sends them again.
    pub(super) max_inbox: usize,
    /// Whether it was not started yet: a computer for a node that may be added.
    pub(super) is_spare: bool,
    /// Whether its disk is lost, so that it never runs again.
    pub(super) is_lost: bool,
    /// Whether an operator switched it off, since it is not a member any longer.
    pub(super) is_off: bool,
    /// Whether a `Wake` event is planned.
    pub(super) is_woken: bool,
    pub(super) inbox: VecDeque<Input<W>>,
}

impl<W: Workload> Host<W> {
    /// Returns a host with an empty disk and a node that is down.
    pub(super) fn new(step_us: u64, ahead_ms: u64, clock_rate: u64) -> Host<W> {
        Host {
            node: None,
            executions: Executions::<W::Machine>::default(),
            open_batches: OpenBatches::new(),
            disk: Durable::default(),
            journal: None,
            uncertain: None,
            writing: None,
            fails_next: false,
            incarnation: 0,
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

    /// Returns the time of the host's clock, in milliseconds.
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
        let (machine, executions) = Observed::new(machine);
        let (disk, now_ms) = (self.disk.clone(), self.clock_ms(now_us));
        self.executions = executions;
        self.open_batches = OpenBatches::new();
        self.applied = disk.replica.complete();
        self.incarnation += 1;
        self.is_woken = false;
        self.node = Some(Node::new(me, members, config, machine, disk, seed, now_ms));
    }

    /// Stops the node, which loses everything but its disk; returns the write that was interrupted.
    pub(super) fn stop(&mut self) -> Option<Write<ObservedMachine<W>>> {
        self.node = None;
        self.incarnation += 1;
        self.fails_next = false;
        self.paused_until_us = 0;
        self.inbox.clear();
        self.writing.take()
    }

    /// Whether the node runs and its inbox has room.
    pub(super) fn has_room(&self) -> bool {
        self.node.is_some() && self.inbox.len() < self.max_inbox
    }

    /// Puts an input into the inbox, if it has room.
    pub(super) fn put(&mut self, input: Input<W>) {
        if self.has_room() {
            self.inbox.push_back(input);
        }
    }

    /// Whether the node can take inputs at this time.
    pub(super) fn can_step(&self, now_us: u64) -> bool {
        self.node.is_some() && !self.waits_for_disk() && self.paused_until_us <= now_us
    }

    /// Whether the node does nothing until its write is complete.
    pub(super) fn waits_for_disk(&self) -> bool {
        let must_wait = self.node.as_ref().is_some_and(Node::must_wait);
        self.writing.as_ref().is_some_and(|write| !write.overlaps || must_wait)
    }

    /// Whether the inbox holds an input.
    pub(super) fn has_input(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Lets the node take up to `max` inputs; calls `taken` for each request among them.
    pub(super) fn take_in(&mut self, max: usize, now_us: u64, mut taken: impl FnMut(Ticket)) {
        let now_ms = self.clock_ms(now_us);
        let Some(node) = &mut self.node else { return };
        for _ in 0..max {
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
                    let (ticket, deadline_ms) =
                        (change_ticket(request), now_ms + CHANGE_TIMEOUT_MS);
                    node.change_members(now_ms, Request { ticket, command, deadline_ms });
                }
                Some(Input::Request(request, command, within_ms)) => {
                    let ticket = ticket_of(request);
                    taken(ticket);
                    let command = TaggedCommand { request: Some(request), command };
                    let deadline_ms = now_ms + within_ms;
                    node.request(now_ms, Request { ticket, command, deadline_ms });
                }
            }
        }
    }
}

/// The tickets of changes of the members are above all others.
const FIRST_CHANGE: u64 = 1 << 32;

/// How long an operator waits for an answer, in milliseconds.
const CHANGE_TIMEOUT_MS: u64 = 3_000;

/// Returns the ticket of a change of the members.
pub(super) fn change_ticket(request: usize) -> Ticket {
    Ticket(FIRST_CHANGE + u64::try_from(request).unwrap_or(u64::MAX))
}

/// Returns the number of the change of the members that has this ticket.
pub(super) fn change_of(ticket: Ticket) -> Option<usize> {
    usize::try_from(ticket.0.checked_sub(FIRST_CHANGE)?).ok()
}

/// Returns the ticket of a request.
pub(super) fn ticket_of(request: usize) -> Ticket {
    Ticket(u64::try_from(request).unwrap_or(u64::MAX))
}
