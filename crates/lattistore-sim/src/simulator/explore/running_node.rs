//! A running node with its disk and its clock: the shipped core, which takes one input after the
//! other.

use super::super::durability;
use super::super::ids::{node_id, place_of};
use super::super::read_confirmations::ReadConfirmations;
use super::super::register::{Command, Outcome, Register, Registers};
use super::scope::NODES;
use lattistore::lpaxos::{
    self, Config, Durable, Election, Heartbeat, MemberSet, Message, Node, NodeId, Output,
    PageLimits, Record, Request, RequestOutcome, Slot, Ticket, WriteToken,
};

/// With terms this long, a node starts an election exactly when its clock is set to its term.
const TERM_MS: u64 = 1 << 40;

pub(super) type Msg = Message<Register, u64>;
pub(super) type Disk = Durable<Register, u64>;

/// An input of a node. A message is named by its index in the list of all messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    /// The node starts an election.
    Stand,
    /// Time passes: the node sends again, commits and repairs.
    Tick,
    /// A client sends a request: a write, a deletion and a read in turn.
    Ask(u8),
    /// The node crashes and starts again from its disk.
    Crash,
    /// A message arrives.
    Deliver(u16),
    /// A message arrives, the messages that need no write leave, and the node crashes before its
    /// write.
    DeliverAndCrash(u16),
    /// The write is complete that the node overlaps with other work.
    Written,
}

/// A write of a node.
#[derive(Debug)]
pub(super) struct Write {
    /// The node's index, counted from 0.
    pub(super) place: usize,
    /// The records.
    pub(super) records: Vec<Record<Register, u64>>,
    /// The node's disk before the write.
    pub(super) before: Disk,
    /// The node's own state, which the records lead to.
    pub(super) state: Disk,
}

/// A message in flight.
#[derive(Debug)]
pub(super) struct Sent {
    /// The sender's id, counted from 1.
    pub(super) from: u64,
    /// The receiver's id.
    pub(super) to: u64,
    /// The message.
    pub(super) message: Msg,
}

impl Sent {
    /// Returns the receiver's index, counted from 0.
    pub(super) fn receiver(&self) -> usize {
        place_of(NodeId(self.to))
    }
}

/// What a node does in a step, as the rest of the cluster sees it.
pub(super) enum Observation {
    Send(NodeId, Msg),
    Write(Box<Write>),
    RequestOutcome(u8, Slot),
}

/// A running node with its host.
pub(super) struct RunningNode {
    pub(super) id: u64,
    pub(super) node: Node<Registers>,
    pub(super) disk: Disk,
    /// The write that the node overlaps with other work.
    pub(super) writing: Option<(Write, WriteToken<Registers>)>,
    pub(super) clock_ms: u64,
    pub(super) read_confirmations: ReadConfirmations,
}

impl RunningNode {
    /// Starts a node from a disk. The term belongs to another node, and all nodes hear each other.
    pub(super) fn start(id: u64, disk: Disk, clock_ms: u64) -> RunningNode {
        let config = Config {
            election: Election::Rotating { term_ms: TERM_MS },
            unreachable_ms: u64::MAX / 4,
            tombstone_slots: 2,
            page: PageLimits { bytes: 1, examined: 16 },
            window_bytes: 1,
            busy_batch: 1,
            overlapping_batch: 1,
            slow_write_ms: 0,
            ..Config::default()
        };
        let term = clock_ms / TERM_MS;
        let is_own = term % count() == id - 1;
        let clock_ms = if is_own { (term + 1) * TERM_MS } else { clock_ms };
        let read_confirmations = ReadConfirmations::new(NODES);
        let disk_now = disk.clone();
        let node = Node::new(NodeId(id), members(), config, Registers, disk_now, 1, clock_ms);
        let mut running =
            RunningNode { id, node, disk, writing: None, clock_ms, read_confirmations };
        running.hear_all();
        running
    }

    /// Lets the node hear all others; failure detection is not explored.
    fn hear_all(&mut self) {
        for other in members().others(NodeId(self.id)) {
            let heartbeat = Heartbeat {
                hears: members().voters().to_vec(),
                has_quorum: true,
                ..Heartbeat::default()
            };
            self.node.message(self.clock_ms, other, Message::Heartbeat(heartbeat));
        }
    }

    fn tick(&mut self, now_ms: u64) {
        self.clock_ms = now_ms;
        self.hear_all();
        self.node.tick(now_ms);
    }

    fn deliver(&mut self, sent: &Sent) {
        self.read_confirmations.arrives(place_of(NodeId(sent.from)), self.place(), &sent.message);
        self.node.message(self.clock_ms, NodeId(sent.from), sent.message.clone());
    }

    fn place(&self) -> usize {
        place_of(NodeId(self.id))
    }

    /// Takes an input, and performs the node's output. What others see of it is added to `seen`.
    ///
    /// # Errors
    /// The rule that a message or a read breaks.
    pub(super) fn take(
        &mut self,
        input: Input,
        messages: &[Sent],
        seen: &mut Vec<Observation>,
    ) -> Result<(), String> {
        match input {
            Input::Stand => {
                let term = self.clock_ms / TERM_MS + 1;
                let turn = (term..).find(|term| term % count() == self.id - 1).unwrap_or(term);
                self.tick(turn * TERM_MS);
            }
            Input::Tick => self.tick(self.clock_ms + 10_000),
            Input::Ask(request) => {
                let command = match request % 3 {
                    0 => Command::put(0, 10 + u64::from(request)),
                    1 => Command::delete(0),
                    _ => Command::get([0]),
                };
                let ticket = Ticket(u64::from(request));
                self.read_confirmations.request_arrives(self.place(), ticket.0);
                let request = Request { ticket, command, deadline_ms: u64::MAX };
                self.node.request(self.clock_ms, request);
            }
            Input::Deliver(message) => self.deliver(&messages[usize::from(message)]),
            Input::Crash => {
                *self = RunningNode::start(self.id, self.disk.clone(), self.clock_ms);
                return Ok(());
            }
            Input::DeliverAndCrash(message) => {
                self.deliver(&messages[usize::from(message)]);
                let out = self.node.output();
                self.send(out.before_write, seen)?;
                *self = RunningNode::start(self.id, self.disk.clone(), self.clock_ms);
                return Ok(());
            }
            Input::Written => {
                if let Some((write, token)) = self.writing.take() {
                    self.write(write, token, seen)?;
                }
            }
        }
        self.act(seen)?;
        match self.writing.take_if(|_| self.node.must_wait()) {
            Some((write, token)) => {
                self.write(write, token, seen)?;
                self.act(seen)
            }
            None => Ok(()),
        }
    }

    /// Performs the node's output, in the order of the contract.
    fn act(&mut self, seen: &mut Vec<Observation>) -> Result<(), String> {
        loop {
            let out = self.node.output();
            if out.is_empty() {
                return Ok(());
            }
            let Output { applied: _, before_write, answers, write } = out;
            self.send(before_write, seen)?;
            for (ticket, answer) in answers {
                self.answer(ticket, &answer, seen)?;
            }
            let (before, state) = (self.disk.clone(), self.node.durable().clone());
            let place = self.place();
            match write {
                None if state == before => {}
                None => {
                    // Nothing became durable, but the change of state is checked nevertheless.
                    let write = Write { place, records: Vec::new(), before, state };
                    seen.push(Observation::Write(Box::new(write)));
                }
                Some(lpaxos::Write { records, overlaps, token }) => {
                    let write = Write { place, records, before, state };
                    if overlaps {
                        self.writing = Some((write, token));
                    } else {
                        self.write(write, token, seen)?;
                    }
                }
            }
        }
    }

    fn write(
        &mut self,
        write: Write,
        token: WriteToken<Registers>,
        seen: &mut Vec<Observation>,
    ) -> Result<(), String> {
        write.records.iter().for_each(|record| self.disk.change(record));
        seen.push(Observation::Write(Box::new(write)));
        let after_write = self.node.written(token, 0);
        self.send(after_write, seen)
    }

    fn send(
        &mut self,
        messages: Vec<(NodeId, Msg)>,
        seen: &mut Vec<Observation>,
    ) -> Result<(), String> {
        for (to, message) in messages {
            if !matches!(message, Message::Heartbeat(_)) {
                durability::check_message(&message, &self.disk)?;
                let (place, complete) = (self.place(), self.node.durable().replica.complete());
                // The members of this search are always the founders.
                self.read_confirmations.leaves(place, complete, complete, &message);
                seen.push(Observation::Send(to, message));
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        ticket: Ticket,
        answer: &RequestOutcome<Outcome>,
        seen: &mut Vec<Observation>,
    ) -> Result<(), String> {
        let place = self.place();
        if matches!(answer, RequestOutcome::Done(outcome) if outcome.position.place == 0) {
            let complete = self.node.durable().replica.complete();
            let is_majority =
                |_, nodes: u64| 2 * usize::try_from(nodes.count_ones()).unwrap_or(0) > NODES;
            self.read_confirmations.check_read(place, ticket.0, complete, is_majority)?;
        }
        self.read_confirmations.request_is_answered(place, ticket.0);
        let RequestOutcome::Done(outcome) = answer else { return Ok(()) };
        let request = u8::try_from(ticket.0).unwrap_or(u8::MAX);
        seen.push(Observation::RequestOutcome(request, outcome.position.slot));
        Ok(())
    }
}

/// Returns the number of members, which lead in turn.
fn count() -> u64 {
    u64::try_from(NODES).unwrap_or(u64::MAX)
}

fn members() -> MemberSet {
    MemberSet::of_voters((0..NODES).map(node_id))
}
