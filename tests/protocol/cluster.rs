//! A cluster of pure cores. A test controls their network, disks and clocks.
//!
//! `step` is the driver: it takes the output of a node and does what the contract of the core asks
//! for, in its order: send, answer, write, then send what depends on the write. Messages stay in
//! `wire` until the test delivers or loses them. A disk is the durable state to which the records
//! of each finished write were applied; a restarted node begins from it.

use std::collections::{BTreeMap, BTreeSet};

use lattistore::lpaxos::{
    Ballot, Config, Durable, Election, Entries, Machine, MemberChange, MemberEntry, MemberSet,
    Message, Node, NodeId, Output, PageLimits, Record, Replica, Request, RequestOutcome, Slot,
    Ticket, ToAcceptor, Write,
};
use lattistore_sim::simulator::{Command, Outcome, Register, Registers, describe};

pub(crate) type Msg = Message<Register, u64>;
pub(crate) type Records = Vec<Record<Register, u64>>;

/// The term of rotating leaders. It is so long that only `turn`, which sets the clock of a node,
/// changes the leader.
const TERM_MS: u64 = 1 << 40;

/// A term that is a multiple of this names the voter with the least id, and j terms later the one
/// at place j, of as many as eight voters or fewer: a change of the voters behind that place leaves
/// the turn to the same node.
const TERMS_PER_ROUND: u64 = 840;

/// A message in flight.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) message: Msg,
}

impl Envelope {
    pub(crate) fn kind(&self) -> &'static str {
        describe::kind(&self.message)
    }

    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind() == kind
    }
}

pub(crate) fn page_of(entries: usize) -> PageLimits {
    PageLimits { bytes: 16 * entries, examined: 1_000 }
}

/// A machine with the keys, values and commands of [`Registers`].
pub(crate) trait RegisterMachine:
    Machine<Key = Register, Value = u64, Command = Command, Outcome = Outcome> + Default
{
}

impl<M> RegisterMachine for M where
    M: Machine<Key = Register, Value = u64, Command = Command, Outcome = Outcome> + Default
{
}

/// The cluster. Nodes are 1 to n, and those that join.
pub(crate) struct Cluster<M: RegisterMachine = Registers> {
    pub(crate) nodes: BTreeMap<u64, Node<M>>,
    pub(crate) disks: BTreeMap<u64, Durable<Register, u64>>,
    pub(crate) wire: Vec<Envelope>,
    pub(crate) answers: BTreeMap<Ticket, RequestOutcome<Outcome>>,
    /// The requests that were answered by one output together, oldest output first.
    pub(crate) together: Vec<BTreeSet<Ticket>>,
    /// Pairs (from, to) between which every message is lost.
    pub(crate) cut: BTreeSet<(u64, u64)>,
    /// The nodes with a slow disk, each with the overlapping write that is under way.
    pub(crate) slow: BTreeMap<u64, Option<Write<M>>>,
    /// Every ballot for which a `Prepare` was sent.
    pub(crate) ballots: BTreeSet<Ballot>,
    /// The member sets of all proposals that were sent, by the slot.
    pub(crate) proposed_members: BTreeMap<u64, MemberSet>,
    /// The set with which each node starts while its disk holds no member entry.
    founders: BTreeMap<u64, MemberSet>,
    clocks: BTreeMap<u64, u64>,
    config: Config,
    tickets: u64,
}

/// Returns the durable state of a node of a cluster that knows its members as an entry, so that the
/// first slot is that of the first request.
pub(crate) fn formed(count: u64) -> Durable<Register, u64> {
    let members = MemberSet::of_voters((1..=count).map(NodeId));
    let entry = MemberEntry { members, version: Slot(1) };
    let replica = Replica::restore(Entries::default(), Some(entry), Slot::ZERO, Slot::ZERO);
    Durable { replica, ..Durable::default() }
}

impl Cluster {
    /// Nodes that lead only when the test says so.
    pub(crate) fn new(count: u64) -> Cluster {
        Cluster::with(count, |_| ())
    }

    /// The same, with a changed configuration.
    pub(crate) fn with(count: u64, change: impl FnOnce(&mut Config)) -> Cluster {
        Cluster::manual(count, formed(count), change)
    }

    /// Nodes that lead only when the test says so, and that know their founders only: no decree has
    /// set the members.
    pub(crate) fn bare(count: u64) -> Cluster {
        Cluster::manual(count, Durable::default(), |_| ())
    }

    /// Nodes that elect their leader by heartbeats.
    pub(crate) fn elected(count: u64) -> Cluster {
        Cluster::elected_with(count, |_| ())
    }

    /// The same, with a changed configuration.
    pub(crate) fn elected_with(count: u64, change: impl FnOnce(&mut Config)) -> Cluster {
        let mut config = Config::default();
        change(&mut config);
        Cluster::start(count, &formed(count), config)
    }

    /// Nodes that lead in turn, by clocks that agree.
    pub(crate) fn rotating(count: u64, term_ms: u64) -> Cluster {
        let election = Election::Rotating { term_ms };
        Cluster::elected_with(count, |config| config.election = election)
    }

    /// Nodes that elect their leader by heartbeats, and continue during each write of a leader.
    pub(crate) fn elected_and_overlapping(count: u64) -> Cluster {
        Cluster::elected_with(count, |config| config.overlapping_batch = 1)
    }
}

impl<M: RegisterMachine> Cluster<M> {
    /// Nodes that lead only when the test says so, and that start from this disk.
    pub(crate) fn manual(
        count: u64,
        disk: Durable<Register, u64>,
        change: impl FnOnce(&mut Config),
    ) -> Cluster<M> {
        let mut config = Config {
            election: Election::Rotating { term_ms: TERM_MS },
            unreachable_ms: u64::MAX / 4,
            tombstone_slots: 2,
            ..Config::default()
        };
        change(&mut config);
        let mut cluster = Cluster::start(count, &disk, config);
        for node in cluster.all() {
            cluster.tick(node, 1);
        }
        cluster.settle();
        for node in cluster.all() {
            cluster.tick(node, 100);
        }
        cluster.settle();
        cluster
    }

    /// Whether the node takes no input before its write is finished.
    fn is_stuck(&self, node: u64) -> bool {
        self.nodes.get(&node).is_some_and(Node::must_wait)
    }

    fn start(count: u64, disk: &Durable<Register, u64>, config: Config) -> Cluster<M> {
        let founders = MemberSet::of_voters((1..=count).map(NodeId));
        let mut cluster = Cluster {
            nodes: BTreeMap::new(),
            disks: (1..=count).map(|node| (node, disk.clone())).collect(),
            wire: Vec::new(),
            answers: BTreeMap::new(),
            together: Vec::new(),
            cut: BTreeSet::new(),
            slow: BTreeMap::new(),
            ballots: BTreeSet::new(),
            proposed_members: BTreeMap::new(),
            founders: (1..=count).map(|node| (node, founders.clone())).collect(),
            clocks: BTreeMap::new(),
            config,
            tickets: 0,
        };
        for node in 1..=count {
            // Node 1 begins in the second term, so that no node leads before a test says so.
            let is_manual = config.election == Election::Rotating { term_ms: TERM_MS };
            let now_ms = if is_manual && node == 1 { TERM_MS } else { 0 };
            cluster.clocks.insert(node, now_ms);
            cluster.restart(node);
        }
        cluster
    }

    pub(crate) fn all(&self) -> Vec<u64> {
        self.disks.keys().copied().collect()
    }

    /// Starts an empty node that knows of no member and waits to be added.
    pub(crate) fn join(&mut self, node: u64) {
        self.disks.insert(node, Durable::default());
        self.founders.insert(node, MemberSet::unknown());
        self.clocks.insert(node, 0);
        self.restart(node);
    }

    pub(crate) fn node(&self, node: u64) -> &Node<M> {
        &self.nodes[&node]
    }

    pub(crate) fn durable(&self, node: u64) -> &Durable<Register, u64> {
        self.node(node).durable()
    }

    pub(crate) fn complete(&self, node: u64) -> u64 {
        self.durable(node).replica.complete().0
    }

    pub(crate) fn value(&self, node: u64, register: u8) -> Option<u64> {
        self.durable(node).replica.get(&Register(register)).copied()
    }

    /// Starts a node from what is on its disk.
    pub(crate) fn restart(&mut self, node: u64) {
        let members = self.founders[&node].clone();
        let disk = self.disks[&node].clone();
        let now_ms = self.clocks[&node];
        let node_id = NodeId(node);
        let fresh = Node::new(node_id, members, self.config, M::default(), disk, 7 + node, now_ms);
        self.nodes.insert(node, fresh);
    }

    /// Stops a node: what is not on its disk is lost.
    pub(crate) fn crash(&mut self, node: u64) {
        self.nodes.remove(&node);
        if let Some(writing) = self.slow.get_mut(&node) {
            *writing = None;
        }
    }

    /// Returns the next output of a node without carrying it out.
    pub(crate) fn output(&mut self, node: u64) -> Output<M> {
        self.nodes.get_mut(&node).unwrap().output()
    }

    pub(crate) fn send(&mut self, from: u64, messages: Vec<(NodeId, Msg)>) {
        for (to, message) in messages {
            if let Message::Acceptor(ToAcceptor::Prepare(prepare)) = &message {
                self.ballots.insert(prepare.ballot);
            }
            if let Message::Acceptor(ToAcceptor::Accept(accept)) = &message
                && let Some(members) = &accept.decree.members
            {
                self.proposed_members.insert(accept.slot.0, members.clone());
            }
            if !self.cut.contains(&(from, to.0)) {
                self.wire.push(Envelope { from, to: to.0, message });
            }
        }
    }

    /// Makes a write durable, then sends what depended on it.
    pub(crate) fn write(&mut self, node: u64, write: Write<M>) {
        let disk = self.disks.get_mut(&node).unwrap();
        write.records.iter().for_each(|record| disk.change(record));
        let after_write = self.nodes.get_mut(&node).unwrap().written(write.token, 0);
        self.send(node, after_write);
    }

    /// Carries out the outputs of a node, in the order of the contract, until none is left.
    pub(crate) fn step(&mut self, node: u64) {
        loop {
            let out = self.output(node);
            if out.is_empty() {
                return;
            }
            self.send(node, out.before_write);
            if !out.answers.is_empty() {
                self.together.push(out.answers.iter().map(|(ticket, _)| *ticket).collect());
            }
            for (ticket, answer) in out.answers {
                assert!(self.answers.insert(ticket, answer).is_none(), "{ticket:?} answered twice");
            }
            match (self.slow.get_mut(&node), out.write) {
                (_, None) => {}
                (Some(writing), Some(write)) if write.overlaps => {
                    assert!(writing.replace(write).is_none(), "one write at a time");
                }
                (_, Some(write)) => self.write(node, write),
            }
        }
    }

    /// Finishes the overlapping write of a node with a slow disk.
    pub(crate) fn finish_write(&mut self, node: u64) {
        let write = self.slow.get_mut(&node).and_then(Option::take).expect("a write under way");
        self.write(node, write);
        self.step(node);
    }

    /// Lets a node send what needs no write, and crashes it before the write; returns the records
    /// that were lost with it.
    pub(crate) fn crash_before_write(&mut self, node: u64) -> Records {
        loop {
            let out = self.output(node);
            let is_last = out.write.is_some() || out.is_empty();
            self.send(node, out.before_write);
            if is_last {
                self.crash(node);
                return out.write.map(|write| write.records).unwrap_or_default();
            }
        }
    }

    /// Lets `after_ms` pass at a node, and ticks it.
    pub(crate) fn tick(&mut self, node: u64, after_ms: u64) {
        let now = self.clocks.get_mut(&node).unwrap();
        *now += after_ms;
        let now_ms = *now;
        if self.is_stuck(node) {
            return;
        }
        if let Some(node) = self.nodes.get_mut(&node) {
            node.tick(now_ms);
        }
        if self.nodes.contains_key(&node) {
            self.step(node);
        }
    }

    /// Makes a node reluctant to lead, or willing again.
    pub(crate) fn set_reluctant(&mut self, node: u64, is_reluctant: bool) {
        let now_ms = self.clocks[&node];
        self.nodes.get_mut(&node).unwrap().set_reluctant(now_ms, is_reluctant);
        self.step(node);
    }

    /// Lets `after_ms` pass at every node, and ticks it.
    pub(crate) fn tick_all(&mut self, after_ms: u64) {
        for node in self.all() {
            self.tick(node, after_ms);
        }
    }

    /// Makes `node` expect `leader` to lead.
    pub(crate) fn turn(&mut self, node: u64, leader: u64) {
        let voters = self.voters(node);
        let place = voters.iter().position(|voter| *voter == leader).expect("a voter has turns");
        let round = self.clocks[&node] / TERM_MS / TERMS_PER_ROUND + 1;
        let term = round * TERMS_PER_ROUND + u64::try_from(place).unwrap();
        self.clocks.insert(node, term * TERM_MS);
        self.tick(node, 0);
    }

    /// Makes a node stand for election; its messages stay on the wire.
    pub(crate) fn stand(&mut self, node: u64) {
        self.turn(node, node);
    }

    /// Makes a node stop leading, or standing.
    pub(crate) fn rest(&mut self, node: u64) {
        let voters = self.voters(node);
        let other = voters.iter().find(|voter| **voter != node);
        self.turn(node, *other.expect("another voter"));
    }

    /// Makes a node lead, and delivers all messages. A leader that is cut off from it goes on.
    pub(crate) fn elect(&mut self, node: u64) {
        for other in self.leaders() {
            if other != node && !self.cut.contains(&(node, other)) {
                self.rest(other);
            }
        }
        self.stand(node);
        self.settle();
        assert!(self.node(node).leads().is_some(), "node {node} leads");
    }

    pub(crate) fn request(&mut self, node: u64, command: Command) -> Ticket {
        self.request_until(node, command, u64::MAX)
    }

    pub(crate) fn request_until(
        &mut self,
        node: u64,
        command: Command,
        deadline_ms: u64,
    ) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let now_ms = self.clocks[&node];
        let request = Request { ticket, command, deadline_ms };
        self.nodes.get_mut(&node).unwrap().request(now_ms, request);
        self.step(node);
        ticket
    }

    /// Runs a command at a leader, delivers all messages, and returns the outcome.
    pub(crate) fn run(&mut self, node: u64, command: Command) -> Outcome {
        let ticket = self.request(node, command);
        self.settle();
        self.outcome(ticket)
    }

    pub(crate) fn outcome(&self, ticket: Ticket) -> Outcome {
        match self.answers.get(&ticket) {
            Some(RequestOutcome::Done(outcome)) => outcome.clone(),
            other => panic!("{ticket:?} was answered {other:?}"),
        }
    }

    pub(crate) fn is_answered(&self, ticket: Ticket) -> bool {
        self.answers.contains_key(&ticket)
    }

    pub(crate) fn deliver_one(&mut self, envelope: Envelope) {
        let Envelope { from, to, message } = envelope;
        if self.is_stuck(to) {
            return;
        }
        // A node that the test names without starting it takes in nothing.
        let Some(now_ms) = self.clocks.get(&to).copied() else { return };
        if let Some(node) = self.nodes.get_mut(&to) {
            node.message(now_ms, NodeId(from), message);
            self.step(to);
        }
    }

    /// Takes matching messages off the wire.
    pub(crate) fn take(&mut self, matching: impl Fn(&Envelope) -> bool) -> Vec<Envelope> {
        let all = std::mem::take(&mut self.wire);
        let (taken, left) = all.into_iter().partition(|envelope| matching(envelope));
        self.wire = left;
        taken
    }

    /// Delivers the matching messages that are on the wire; returns how many there were.
    pub(crate) fn deliver(&mut self, matching: impl Fn(&Envelope) -> bool) -> usize {
        let taken = self.take(matching);
        let count = taken.len();
        taken.into_iter().for_each(|envelope| self.deliver_one(envelope));
        count
    }

    /// Loses the matching messages that are on the wire; returns how many there were.
    pub(crate) fn lose(&mut self, matching: impl Fn(&Envelope) -> bool) -> usize {
        self.take(matching).len()
    }

    /// Delivers all messages, and those that are sent in consequence, until none is left.
    pub(crate) fn settle(&mut self) {
        self.settle_if(|_| true);
    }

    /// The same for matching messages only; the others stay on the wire.
    pub(crate) fn settle_if(&mut self, matching: impl Fn(&Envelope) -> bool) {
        let mut delivered = 0;
        loop {
            match self.deliver(&matching) {
                0 => return,
                count => delivered += count,
            }
            assert!(delivered < 10_000, "messages cause messages without end");
        }
    }

    /// Lets `for_ms` pass at all nodes; every message over a link that is not cut arrives at once.
    pub(crate) fn live(&mut self, for_ms: u64) {
        for _ in 0..for_ms / 10 {
            self.tick_all(10);
            self.settle();
        }
    }

    pub(crate) fn cut_both(&mut self, one: u64, other: u64) {
        self.cut.insert((one, other));
        self.cut.insert((other, one));
    }

    /// Cuts all links of a node.
    pub(crate) fn isolate(&mut self, node: u64) {
        for other in self.all().into_iter().filter(|other| *other != node) {
            self.cut_both(node, other);
        }
    }

    /// Asks a node for a change of the members; no message is delivered.
    pub(crate) fn change(&mut self, node: u64, change: MemberChange) -> Ticket {
        self.change_until(node, change, u64::MAX)
    }

    pub(crate) fn change_until(
        &mut self,
        node: u64,
        change: MemberChange,
        deadline_ms: u64,
    ) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let request = Request { ticket, command: change, deadline_ms };
        let now_ms = self.clocks[&node];
        self.nodes.get_mut(&node).unwrap().change_members(now_ms, request);
        self.step(node);
        ticket
    }

    /// Returns the time of a node.
    pub(crate) fn now_ms(&self, node: u64) -> u64 {
        self.clocks[&node]
    }

    /// Returns the members that a node knows.
    pub(crate) fn members(&self, node: u64) -> Vec<u64> {
        self.node(node).members().iter().map(|member| member.node.0).collect()
    }

    /// Returns the voters that a node knows.
    pub(crate) fn voters(&self, node: u64) -> Vec<u64> {
        self.node(node).members().voters().iter().map(|voter| voter.0).collect()
    }

    /// Notes at `node` that its connection to `other` ended.
    pub(crate) fn unheard(&mut self, node: u64, other: u64) {
        let now_ms = self.clocks[&node];
        self.nodes.get_mut(&node).unwrap().unheard(now_ms, NodeId(other));
        self.step(node);
    }

    pub(crate) fn ballot(&self, node: u64) -> Ballot {
        self.node(node).leads().unwrap()
    }

    pub(crate) fn leaders(&self) -> Vec<u64> {
        let leads = |node: &u64| self.nodes.get(node).is_some_and(|n| n.leads().is_some());
        self.all().into_iter().filter(leads).collect()
    }
}

pub(crate) fn accepted_slot(durable: &Durable<Register, u64>) -> u64 {
    durable.accepted.as_ref().map_or(Slot::ZERO, |proposal| proposal.slot).0
}
