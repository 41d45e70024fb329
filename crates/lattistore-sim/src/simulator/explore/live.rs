//! A node that runs, with its disk and its clock: the core that ships, and an input after the other.

use super::super::audit::Audit;
use super::super::host::{node_id, place_of};
use super::super::register::{Command, Outcome, Register, Registers};
use super::scope::NODES;
use lattistore::lpaxos::{
    self, Config, Durable, Election, Heartbeat, MemberSet, Message, Node, NodeId, Output,
    PageLimits, Record, Request, RequestOutcome, Slot, Ticket, WriteToken,
};

/// With terms this long a node stands when its clock is set to its turn, and at no other time.
const TERM_MS: u64 = 1 << 40;

pub(super) type Msg = Message<Register, u64>;
pub(super) type Disk = Durable<Register, u64>;

/// What can happen to a node. Messages are named by their place in the list of all messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    /// It stands with a new ballot.
    Stand,
    /// Time passes: it sends again, commits, repairs.
    Tick,
    /// A client asks: a write, a deletion, a read, in turn.
    Ask(u8),
    /// It crashes and starts again from its disk.
    Crash,
    /// A message arrives.
    Deliver(u16),
    /// A message arrives, what needs no write leaves, and the node crashes before its write.
    DeliverAndCrash(u16),
    /// A write is over that the node went on beside.
    Written,
}

/// What a node hands out to be written.
#[derive(Debug)]
pub(super) struct Write {
    /// Which node, counted from 0.
    pub(super) place: usize,
    /// The records.
    pub(super) records: Vec<Record<Register, u64>>,
    /// Its disk before them.
    pub(super) before: Disk,
    /// Its own state, which they lead to.
    pub(super) state: Disk,
}

/// A message on its way.
#[derive(Debug)]
pub(super) struct Sent {
    /// From which node, counted from 1 as all ids are.
    pub(super) from: u64,
    /// To which node.
    pub(super) to: u64,
    /// The message.
    pub(super) message: Msg,
}

impl Sent {
    /// The receiver's place, counted from 0.
    pub(super) fn receiver(&self) -> usize {
        place_of(NodeId(self.to))
    }
}

/// What was seen of a node in a step.
pub(super) enum Seen {
    Send(NodeId, Msg),
    Write(Box<Write>),
    RequestOutcome(u8, Slot),
}

/// A node that runs, with its computer.
pub(super) struct Live {
    pub(super) id: u64,
    pub(super) node: Node<Registers>,
    pub(super) disk: Disk,
    /// The write that the node goes on beside.
    pub(super) writing: Option<(Write, WriteToken<Registers>)>,
    pub(super) clock_ms: u64,
    pub(super) audit: Audit,
}

impl Live {
    /// A node that starts from a disk. It is somebody else's turn, and all nodes hear each other.
    pub(super) fn start(id: u64, disk: Disk, clock_ms: u64) -> Live {
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
        let audit = Audit::new(NODES);
        let disk_now = disk.clone();
        let node = Node::new(NodeId(id), members(), config, Registers, disk_now, 1, clock_ms);
        let mut live = Live { id, node, disk, writing: None, clock_ms, audit };
        live.hear_all();
        live
    }

    /// Lets the node hear all others: who is heard makes no difference here.
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
        self.audit.arrives(place_of(NodeId(sent.from)), self.place(), &sent.message);
        self.node.message(self.clock_ms, NodeId(sent.from), sent.message.clone());
    }

    fn place(&self) -> usize {
        place_of(NodeId(self.id))
    }

    /// Takes an input, and does what the node wants done. What others see of it goes into `seen`.
    ///
    /// # Errors
    /// What must not leave the node.
    pub(super) fn take(
        &mut self,
        input: Input,
        messages: &[Sent],
        seen: &mut Vec<Seen>,
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
                self.audit.takes(self.place(), ticket.0);
                let request = Request { ticket, command, deadline_ms: u64::MAX };
                self.node.request(self.clock_ms, request);
            }
            Input::Deliver(message) => self.deliver(&messages[usize::from(message)]),
            Input::Crash => {
                *self = Live::start(self.id, self.disk.clone(), self.clock_ms);
                return Ok(());
            }
            Input::DeliverAndCrash(message) => {
                self.deliver(&messages[usize::from(message)]);
                let out = self.node.output();
                self.send(out.before_write, seen)?;
                *self = Live::start(self.id, self.disk.clone(), self.clock_ms);
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

    /// Does what the node wants done, in the order of the contract.
    fn act(&mut self, seen: &mut Vec<Seen>) -> Result<(), String> {
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
                    // Nothing of it is durable, and it is checked all the same.
                    let write = Write { place, records: Vec::new(), before, state };
                    seen.push(Seen::Write(Box::new(write)));
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
        seen: &mut Vec<Seen>,
    ) -> Result<(), String> {
        write.records.iter().for_each(|record| self.disk.change(record));
        seen.push(Seen::Write(Box::new(write)));
        let after_write = self.node.written(token, 0);
        self.send(after_write, seen)
    }

    fn send(&mut self, messages: Vec<(NodeId, Msg)>, seen: &mut Vec<Seen>) -> Result<(), String> {
        for (to, message) in messages {
            if !matches!(message, Message::Heartbeat(_)) {
                let complete = self.node.durable().replica.complete();
                self.audit.leaves(self.place(), &message, &self.disk, complete)?;
                seen.push(Seen::Send(to, message));
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        ticket: Ticket,
        answer: &RequestOutcome<Outcome>,
        seen: &mut Vec<Seen>,
    ) -> Result<(), String> {
        let place = self.place();
        if matches!(answer, RequestOutcome::Done(outcome) if outcome.position.place == 0) {
            let complete = self.node.durable().replica.complete();
            let is_majority =
                |_, nodes: u64| 2 * usize::try_from(nodes.count_ones()).unwrap_or(0) > NODES;
            self.audit.ran(place, ticket.0, complete, is_majority)?;
        }
        self.audit.answers(place, ticket.0);
        let RequestOutcome::Done(outcome) = answer else { return Ok(()) };
        let request = u8::try_from(ticket.0).unwrap_or(u8::MAX);
        seen.push(Seen::RequestOutcome(request, outcome.position.slot));
        Ok(())
    }
}

/// How many members take turns.
fn count() -> u64 {
    u64::try_from(NODES).unwrap_or(u64::MAX)
}

fn members() -> MemberSet {
    MemberSet::of_voters((0..NODES).map(node_id))
}
