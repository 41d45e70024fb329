//! Every order of events in a small scope, on the core that ships: breadth first, each state once.
//!
//! Three nodes; a message that was sent stays deliverable for ever, so loss, delay, repetition and
//! reordering are all covered by what is delivered when. Nodes stand, clients ask, leaders tick and
//! nodes crash, before or after a write, at any time, as often as the scope allows. Two states are the
//! same when nodes, disks, votes and messages are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::model::Model;
use super::register::{Command, Outcome, Registers};
use crate::lpaxos::{
    Answer, Config, Durable, Election, Heartbeat, Members, Message, Node, NodeId, Output,
    PageLimits, Record, Request, Slot, Ticket,
};

/// With terms this long a node stands when its clock is set to its turn, and at no other time.
const TERM_MS: u64 = 1 << 40;
const NODES: u64 = 3;

type Msg = Message<super::Register, u64>;
type State = Durable<super::Register, u64>;

/// How often what may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// A node stands.
    pub stands: u8,
    /// A client asks: a write, a deletion, a read, in turn.
    pub requests: u8,
    /// Time passes at a leader: it commits, sends again and repairs.
    pub ticks: u8,
    /// A node crashes, having written or not, and restarts.
    pub crashes: u8,
}

/// What was covered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Steps taken between them.
    pub steps: u64,
    /// Most events on the shortest way to a state.
    pub depth: usize,
    /// Whether all states of the scope were seen.
    pub is_all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Stand(u64),
    Ask(u64),
    Tick(u64),
    Crash(u64),
    Deliver(usize),
    /// The receiver sends what needs no write, and crashes before its write.
    DeliverAndCrash(usize),
}

struct Sent {
    from: u64,
    to: u64,
    digest: u64,
    message: Msg,
}

struct Small {
    left: Scope,
    nodes: BTreeMap<u64, Node<Registers>>,
    disks: BTreeMap<u64, State>,
    clocks: BTreeMap<u64, u64>,
    sent: Vec<Sent>,
    digests: BTreeSet<u64>,
    model: Model<Registers>,
    /// For each request, the last slot that was answered when it was made.
    asked: Vec<Slot>,
    answered: Slot,
}

/// Explores the scope, up to so many states.
///
/// # Errors
/// The events that lead to a state that breaks an invariant, and which.
pub fn explore(scope: Scope, states_most: usize) -> Result<Explored, String> {
    let mut seen = BTreeSet::new();
    let mut frontier = VecDeque::from([Vec::new()]);
    let mut explored = Explored::default();
    while let Some(path) = frontier.pop_front() {
        let small = Small::replay(scope, &path)?;
        if !seen.insert(small.digest()) {
            continue;
        }
        explored.states += 1;
        explored.depth = explored.depth.max(path.len());
        if explored.states >= states_most {
            return Ok(explored);
        }
        for event in small.possible() {
            let mut longer = path.clone();
            longer.push(event);
            let next = Small::replay(scope, &longer)?;
            explored.steps += 1;
            if !seen.contains(&next.digest()) {
                frontier.push_back(longer);
            }
        }
    }
    explored.is_all = true;
    Ok(explored)
}

impl Small {
    fn replay(scope: Scope, path: &[Event]) -> Result<Small, String> {
        let mut small = Small::new(scope);
        for event in path {
            let done =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| small.step(*event)));
            let done = done.unwrap_or_else(|_| Err("a node stopped".into()));
            done.map_err(|why| format!("{why}, after {path:?}"))?;
        }
        Ok(small)
    }

    fn new(scope: Scope) -> Small {
        let ids = || 1..=NODES;
        let mut small = Small {
            left: scope,
            nodes: BTreeMap::new(),
            disks: ids().map(|node| (node, Durable::default())).collect(),
            clocks: ids().map(|node| (node, if node == 1 { TERM_MS } else { 0 })).collect(),
            sent: Vec::new(),
            digests: BTreeSet::new(),
            model: Model::new(3),
            asked: Vec::new(),
            answered: Slot::ZERO,
        };
        ids().for_each(|node| small.restart(node));
        small
    }

    fn restart(&mut self, node: u64) {
        let config = Config {
            election: Election::Rotating { term_ms: TERM_MS },
            unreachable_ms: u64::MAX / 4,
            tombstone_slots: 2,
            page: PageLimits { bytes: 1, examined: 16 },
            window_bytes: 1,
            ..Config::default()
        };
        // It is somebody else's turn, and all nodes hear each other.
        let term = self.clocks[&node] / TERM_MS;
        let term = if term % NODES == node - 1 { term + 1 } else { term };
        let now_ms = self.clocks[&node].max(term * TERM_MS);
        self.clocks.insert(node, now_ms);
        let members = Members::new((1..=NODES).map(NodeId).collect());
        let disk = self.disks[&node].clone();
        let place = usize::try_from(node - 1).unwrap_or(0);
        self.model.restarted(place, &disk);
        let mut fresh =
            Node::new(NodeId(node), members.clone(), config, Registers, disk, 1, now_ms);
        for other in members.others(NodeId(node)) {
            let heartbeat = Heartbeat {
                hears: members.iter().collect(),
                has_quorum: true,
                follows: None,
                round: 0,
                complete: Slot::ZERO,
            };
            fresh.message(now_ms, other, Message::Heartbeat(heartbeat));
        }
        self.nodes.insert(node, fresh);
    }

    fn possible(&self) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        for place in 0..self.sent.len() {
            events.push(Event::Deliver(place));
            if self.left.crashes > 0 {
                events.push(Event::DeliverAndCrash(place));
            }
        }
        for (node, running) in &self.nodes {
            let leads = running.leads().is_some();
            events.extend((self.left.stands > 0).then_some(Event::Stand(*node)));
            events.extend((self.left.crashes > 0).then_some(Event::Crash(*node)));
            events.extend((leads && self.left.requests > 0).then_some(Event::Ask(*node)));
            events.extend((leads && self.left.ticks > 0).then_some(Event::Tick(*node)));
        }
        events
    }

    fn step(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Stand(node) => {
                self.left.stands -= 1;
                let term = self.clocks[&node] / TERM_MS + 1;
                let turn = (term..).find(|term| term % NODES == node - 1).unwrap_or(term);
                self.tick(node, turn * TERM_MS)
            }
            Event::Tick(node) => {
                self.left.ticks -= 1;
                self.tick(node, self.clocks[&node] + 10_000)
            }
            Event::Ask(node) => {
                self.left.requests -= 1;
                let command = match self.asked.len() % 3 {
                    0 => Command::put(0, 10 + u64::from(self.left.requests)),
                    1 => Command::delete(0),
                    _ => Command::get([0]),
                };
                let ticket = Ticket(self.asked.len() as u64);
                self.asked.push(self.answered);
                let (now_ms, deadline_ms) = (self.clocks[&node], u64::MAX);
                if let Some(node) = self.nodes.get_mut(&node) {
                    node.request(now_ms, Request { ticket, command, deadline_ms });
                }
                self.act(node)
            }
            Event::Crash(node) => {
                self.left.crashes -= 1;
                self.restart(node);
                Ok(())
            }
            Event::Deliver(place) => {
                let to = self.give(place);
                self.act(to)
            }
            Event::DeliverAndCrash(place) => {
                self.left.crashes -= 1;
                let to = self.give(place);
                if let Some(out) = self.nodes.get_mut(&to).map(Node::output) {
                    self.send(to, out.early)?;
                }
                self.restart(to);
                Ok(())
            }
        }
    }

    fn tick(&mut self, node: u64, now_ms: u64) -> Result<(), String> {
        self.clocks.insert(node, now_ms);
        if let Some(node) = self.nodes.get_mut(&node) {
            node.tick(now_ms);
        }
        self.act(node)
    }

    fn give(&mut self, place: usize) -> u64 {
        let Sent { from, to, message, .. } = &self.sent[place];
        if let Some(node) = self.nodes.get_mut(to) {
            node.message(self.clocks[to], NodeId(*from), message.clone());
        }
        *to
    }

    /// Does what a node wants done, in the order of the contract.
    fn act(&mut self, node: u64) -> Result<(), String> {
        let place = usize::try_from(node - 1).unwrap_or(0);
        loop {
            let Some(running) = self.nodes.get_mut(&node) else { return Ok(()) };
            let out = running.output();
            if out.is_empty() {
                return Ok(());
            }
            let Output { early, answers, records, late } = out;
            self.send(node, early)?;
            for (ticket, answer) in answers {
                self.answer(ticket, &answer)?;
            }
            let durable = self.nodes[&node].durable();
            self.model.check(place, durable)?;
            self.model.accepted(durable, &records)?;
            for record in &records {
                self.disks.entry(node).or_default().change(record);
                if let Record::Accept(proposal) = record {
                    self.model.voted(place, proposal)?;
                }
            }
            if let Some(running) = self.nodes.get_mut(&node) {
                running.written();
            }
            self.send(node, late)?;
        }
    }

    fn send(&mut self, from: u64, messages: Vec<(NodeId, Msg)>) -> Result<(), String> {
        for (to, message) in messages {
            if let Message::Accept(accept) = &message {
                self.model.proposed(accept.slot)?;
            }
            let digest = digest(&(from, to, format!("{message:?}")));
            let is_heartbeat = matches!(message, Message::Heartbeat(_));
            if !is_heartbeat && self.digests.insert(digest) {
                self.sent.push(Sent { from, to: to.0, digest, message });
            }
        }
        Ok(())
    }

    fn answer(&mut self, ticket: Ticket, answer: &Answer<Outcome>) -> Result<(), String> {
        let Answer::Done(outcome) = answer else { return Ok(()) };
        let place = usize::try_from(ticket.0).unwrap_or(usize::MAX);
        let slot = outcome.position.slot;
        if slot > self.model.last() {
            return Err(format!(
                "7: {outcome:?} is answered, slot {} is chosen",
                self.model.last()
            ));
        }
        if self.asked.get(place).is_none_or(|before| slot < *before) {
            return Err(format!("8: {outcome:?} is older than what was answered before"));
        }
        self.answered = self.answered.max(slot);
        Ok(())
    }

    fn digest(&self) -> u64 {
        let nodes = format!("{:?}{:?}{:?}", self.nodes, self.disks, self.model);
        let sent: u64 = self.sent.iter().fold(0, |sum, sent| sum.wrapping_add(sent.digest));
        digest(&(self.left, nodes, sent, self.answered, &self.asked))
    }
}

fn digest(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
