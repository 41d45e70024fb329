//! What a single node does, each thing once: its state after an input depends on nothing but its state
//! before and the input. A cluster of three has few states of single nodes and very many of all three,
//! so a step of the cluster is mostly looking up what was found before.
//!
//! A node cannot be copied: where it is needed, it is made again from its inputs since its last start.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::audit::Audit;
use super::super::host::{node_id, place_of};
use super::super::register::{Command, Outcome, Register, Registers};
use super::fingerprint::{Fingerprint, QuickMap};
use super::scope::NODES;
use crate::lpaxos::{
    Answer, Config, Durable, Election, Heartbeat, Members, Message, Node, NodeId, Output,
    PageLimits, Record, Request, Slot, Ticket,
};

/// With terms this long a node stands when its clock is set to its turn, and at no other time.
const TERM_MS: u64 = 1 << 40;

pub(super) type Msg = Message<Register, u64>;
pub(super) type Disk = Durable<Register, u64>;

/// What can happen to a node. Messages are named by their place in [`Nodes::messages`].
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
}

/// What a step does beside changing the node, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// A message leaves.
    Send(u16),
    /// Something is written: a place in [`Nodes::writes`].
    Write(u32),
    /// A request is answered with a result as of a slot.
    Answer(u8, Slot),
}

/// What comes of an input.
#[derive(Debug)]
pub(super) struct Step {
    /// Its number.
    pub(super) number: u32,
    /// The state after it.
    pub(super) to: u32,
    /// What else it does.
    pub(super) effects: Box<[Effect]>,
    /// Whether the node writes in it.
    pub(super) writes: bool,
    /// What is wrong with it.
    pub(super) fault: Option<String>,
}

impl Step {
    /// Whether nothing comes of it, in this state of its node.
    pub(super) fn is_idle(&self, before: u32) -> bool {
        self.to == before && self.effects.is_empty() && self.fault.is_none()
    }
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

/// A state of a node: how to make it.
#[derive(Debug)]
struct Known {
    /// The state before, and what happened; none where the node just started.
    came: Option<(u32, Input)>,
    start: (u64, Disk, u64),
    leads: bool,
}

/// All states of single nodes, all messages and all writes that were seen.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    known: Vec<Known>,
    places: QuickMap<u128, u32>,
    steps: Vec<Step>,
    step_places: QuickMap<(u32, Input), u32>,
    /// Messages by number.
    pub(super) messages: Vec<Sent>,
    message_places: QuickMap<u128, u16>,
    /// Writes by number.
    pub(super) writes: Vec<Write>,
    write_places: QuickMap<u128, u32>,
}

impl Nodes {
    /// The state of a node that starts with an empty disk.
    pub(super) fn fresh(&mut self, id: u64) -> u32 {
        let clock_ms = if id == 1 { TERM_MS } else { 0 };
        let live = Live::start(id, Disk::default(), clock_ms);
        self.number(&live, None)
    }

    /// How many states of single nodes there are.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// Whether a node leads in this state.
    pub(super) fn leads(&self, state: u32) -> bool {
        self.known[state as usize].leads
    }

    /// What an input does to a node in this state.
    pub(super) fn step(&mut self, state: u32, input: Input) -> &Step {
        let number = match self.step_places.get(&(state, input)) {
            Some(number) => *number,
            None => {
                let number = short(self.steps.len());
                let step = self.make(number, state, input);
                self.steps.push(step);
                self.step_places.insert((state, input), number);
                number
            }
        };
        self.step_of(number)
    }

    /// The step with a number.
    pub(super) fn step_of(&self, number: u32) -> &Step {
        &self.steps[number as usize]
    }

    fn make(&mut self, number: u32, state: u32, input: Input) -> Step {
        let mut live = self.live(state);
        let mut seen = Vec::new();
        let done = catch_unwind(AssertUnwindSafe(|| live.take(input, &self.messages, &mut seen)));
        let (to, fault) = match done {
            Err(_) => (state, Some("a node stopped".into())),
            Ok(done) => {
                let has_crashed = matches!(input, Input::Crash | Input::DeliverAndCrash(_));
                (self.number(&live, (!has_crashed).then_some((state, input))), done.err())
            }
        };
        let writes = seen.iter().any(|seen| matches!(seen, Seen::Write(_)));
        let effects = seen.into_iter().map(|seen| self.effect(live.id, seen)).collect();
        Step { number, to, effects, writes, fault }
    }

    /// Makes the node of a state again.
    fn live(&self, state: u32) -> Live {
        let mut inputs = Vec::new();
        let mut known = &self.known[state as usize];
        while let Some((before, input)) = known.came {
            inputs.push(input);
            known = &self.known[before as usize];
        }
        let (id, disk, clock_ms) = known.start.clone();
        let mut live = Live::start(id, disk, clock_ms);
        for input in inputs.into_iter().rev() {
            // It went well the first time.
            let _ = live.take(input, &self.messages, &mut Vec::new());
        }
        live
    }

    fn number(&mut self, live: &Live, came: Option<(u32, Input)>) -> u32 {
        let Live { id, node, disk, clock_ms, audit } = live;
        let place = self.places.entry(Fingerprint::of(&(id, node, disk, clock_ms, audit)));
        *place.or_insert_with(|| {
            self.known.push(Known {
                came,
                start: (*id, disk.clone(), *clock_ms),
                leads: node.leads().is_some(),
            });
            short(self.known.len() - 1)
        })
    }

    fn effect(&mut self, id: u64, seen: Seen) -> Effect {
        match seen {
            Seen::Answer(request, slot) => Effect::Answer(request, slot),
            Seen::Send(to, message) => {
                let place = self.message_places.entry(Fingerprint::of(&(id, to, &message)));
                Effect::Send(*place.or_insert_with(|| {
                    self.messages.push(Sent { from: id, to: to.0, message });
                    u16::try_from(self.messages.len() - 1).expect("a small scope has few messages")
                }))
            }
            Seen::Write(write) => {
                let Write { place, records, before, state } = &write;
                let place =
                    self.write_places.entry(Fingerprint::of(&(place, records, before, state)));
                Effect::Write(*place.or_insert_with(|| {
                    self.writes.push(write);
                    short(self.writes.len() - 1)
                }))
            }
        }
    }
}

fn short(place: usize) -> u32 {
    u32::try_from(place).expect("there are fewer than four billion")
}

/// What was seen of a node in a step.
enum Seen {
    Send(NodeId, Msg),
    Write(Write),
    Answer(u8, Slot),
}

/// A node that runs, with its computer.
struct Live {
    id: u64,
    node: Node<Registers>,
    disk: Disk,
    clock_ms: u64,
    audit: Audit,
}

impl Live {
    /// A node that starts from a disk. It is somebody else's turn, and all nodes hear each other.
    fn start(id: u64, disk: Disk, clock_ms: u64) -> Live {
        let config = Config {
            election: Election::Rotating { term_ms: TERM_MS },
            unreachable_ms: u64::MAX / 4,
            tombstone_slots: 2,
            page: PageLimits { bytes: 1, examined: 16 },
            window_bytes: 1,
            ..Config::default()
        };
        let term = clock_ms / TERM_MS;
        let is_own = term % count() == id - 1;
        let clock_ms = if is_own { (term + 1) * TERM_MS } else { clock_ms };
        let audit = Audit::new(NODES);
        let disk_now = disk.clone();
        let node = Node::new(NodeId(id), members(), config, Registers, disk_now, 1, clock_ms);
        let mut live = Live { id, node, disk, clock_ms, audit };
        live.hear_all();
        live
    }

    /// Lets the node hear all others: who is heard makes no difference here.
    fn hear_all(&mut self) {
        for other in members().others(NodeId(self.id)) {
            let heartbeat = Heartbeat {
                hears: members().iter().collect(),
                has_quorum: true,
                follows: None,
                round: 0,
                complete: Slot::ZERO,
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

    fn take(
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
                self.send(out.early, seen)?;
                *self = Live::start(self.id, self.disk.clone(), self.clock_ms);
                return Ok(());
            }
        }
        self.act(seen)
    }

    /// Does what the node wants done, in the order of the contract.
    fn act(&mut self, seen: &mut Vec<Seen>) -> Result<(), String> {
        loop {
            let out = self.node.output();
            if out.is_empty() {
                return Ok(());
            }
            let Output { early, answers, records, late } = out;
            self.send(early, seen)?;
            for (ticket, answer) in answers {
                self.answer(ticket, &answer, seen)?;
            }
            let state = self.node.durable();
            if !records.is_empty() || *state != self.disk {
                let (before, state) = (self.disk.clone(), state.clone());
                records.iter().for_each(|record| self.disk.change(record));
                seen.push(Seen::Write(Write { place: self.place(), records, before, state }));
            }
            self.node.written();
            self.send(late, seen)?;
        }
    }

    fn send(&mut self, messages: Vec<(NodeId, Msg)>, seen: &mut Vec<Seen>) -> Result<(), String> {
        for (to, message) in messages {
            if !matches!(message, Message::Heartbeat(_)) {
                self.audit.leaves(self.place(), &message, &self.disk)?;
                seen.push(Seen::Send(to, message));
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        ticket: Ticket,
        answer: &Answer<Outcome>,
        seen: &mut Vec<Seen>,
    ) -> Result<(), String> {
        let Answer::Done(outcome) = answer else { return Ok(()) };
        if outcome.position.place == 0 {
            self.audit.reads(self.place(), NODES)?;
        }
        let request = u8::try_from(ticket.0).unwrap_or(u8::MAX);
        seen.push(Seen::Answer(request, outcome.position.slot));
        Ok(())
    }
}

/// How many members take turns.
fn count() -> u64 {
    u64::try_from(NODES).unwrap_or(u64::MAX)
}

fn members() -> Members {
    Members::new((0..NODES).map(node_id).collect())
}
