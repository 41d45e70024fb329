//! The simulated world: events in order of time, nodes that step, and checks after every step.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::rc::Rc;
use std::sync::Arc;

use super::clients::Clients;
use super::coverage::{Coverage, Path};
use super::history::RunOf;
use super::host::{Host, Input, Key, Msg, Value, Write, node_id, place_of};
use super::model::Model;
use super::network::Links;
use super::random::Random;
use super::scenario::Scenario;
use super::trace::Trace;
use super::watch;
use super::workload::Workload;
use crate::lpaxos::{
    Accept, Answer, Ballot, Members, Message, NodeId, Output, Patch, Record, Slot,
};

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
    /// All faults are over.
    Heal,
}

/// Orders events by time, then by the order in which they were planned.
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

type PatchOf<W> = Patch<Key<W>, Value<W>>;
/// A batch, with the patch it made: the patch is kept so that no other has its address.
type Batch<W> = (Arc<PatchOf<W>>, Ballot, Rc<Vec<RunOf<W>>>);

/// The world.
pub(super) struct World<W: Workload> {
    pub(super) scenario: Scenario,
    pub(super) random: Random,
    pub(super) now_us: u64,
    pub(super) hosts: Vec<Host<W>>,
    pub(super) links: Links,
    pub(super) model: Model<W::Machine>,
    pub(super) clients: Clients<W>,
    pub(super) coverage: Coverage,
    pub(super) trace: Trace,
    pub(super) is_healed: bool,
    /// What the decree of each slot ran.
    pub(super) batches: Vec<Rc<Vec<RunOf<W>>>>,
    /// What the reads ran.
    pub(super) reads: Vec<RunOf<W>>,
    /// Slots whose decree was proposed in more than one ballot.
    pub(super) recovered: BTreeSet<Slot>,
    made: BTreeMap<usize, Batch<W>>,
    /// Ballots that a node refused.
    refused: BTreeSet<Ballot>,
    events: BinaryHeap<Reverse<Planned<W>>>,
    planned: u64,
}

impl<W: Workload> World<W> {
    pub(super) fn new(scenario: Scenario, random: Random, workload: W, trace: Trace) -> World<W> {
        let nodes = scenario.nodes;
        let mut world = World {
            clients: Clients::new(workload, scenario.clients, nodes),
            hosts: Vec::new(),
            links: Links::new(nodes),
            model: Model::new(nodes),
            coverage: Coverage::default(),
            is_healed: false,
            batches: Vec::new(),
            reads: Vec::new(),
            recovered: BTreeSet::new(),
            made: BTreeMap::new(),
            refused: BTreeSet::new(),
            events: BinaryHeap::new(),
            planned: 0,
            now_us: 0,
            scenario,
            random,
            trace,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for node in 0..self.scenario.nodes {
            let host = self.new_host();
            self.hosts.push(host);
            self.start(node);
        }
        for client in 0..self.scenario.clients {
            let at_us = self.random.between(0, 300_000);
            self.plan(at_us, Event::Client { client, sent: None });
        }
        self.plan(self.scenario.chaos_us, Event::Heal);
        self.plan(self.scenario.fault_every_us, Event::Fault);
    }

    fn new_host(&mut self) -> Host<W> {
        use super::scenario::Fault;
        let is_slow = self.scenario.faults.has(Fault::SlowNode) && self.random.flip();
        let step_us = if is_slow { self.random.between(1_000, 30_000) } else { 20 };
        let ahead_ms = self.random.between(0, self.scenario.skew_ms);
        let clock_rate = if is_slow { self.random.between(700, 1_400) } else { 1_000 };
        Host::new(step_us, ahead_ms, clock_rate)
    }

    pub(super) fn plan(&mut self, after_us: u64, event: Event<W>) {
        self.planned += 1;
        self.events.push(Reverse(Planned(self.now_us + after_us, self.planned, event)));
    }

    pub(super) fn start(&mut self, node: usize) {
        if self.hosts[node].node.is_some() {
            return;
        }
        let members = Members::new((0..self.scenario.nodes).map(node_id).collect());
        let machine = self.clients.workload.machine();
        let seed = self.random.next();
        let (config, now_us) = (self.scenario.config, self.now_us);
        self.hosts[node].start(node_id(node), members, config, machine, seed, now_us);
        self.model.restarted(node, &self.hosts[node].disk);
        self.note(&[1, node as u64], || format!("n{} starts", node + 1));
        let life = self.hosts[node].life;
        let after_us = self.random.between(0, 20_000);
        self.plan(after_us, Event::Tick { node, life });
    }

    pub(super) fn note(&mut self, numbers: &[u64], words: impl FnOnce() -> String) {
        self.trace.event(self.now_us, numbers, words);
    }

    /// Lets the next event happen; false when nothing is planned.
    pub(super) fn step(&mut self) -> Result<bool, String> {
        let Some(Reverse(Planned(at_us, _, event))) = self.events.pop() else {
            return Ok(false);
        };
        self.now_us = at_us;
        match event {
            Event::Arrive { from, to, message } => self.arrive(from, to, message),
            Event::Wake { node, life } if self.hosts[node].life == life => self.wake(node)?,
            Event::Written { node, life } if self.hosts[node].life == life => {
                self.written(node)?;
            }
            Event::Tick { node, life } if self.hosts[node].life == life => {
                self.give(node, Input::Tick);
                let period_us = self.scenario.config.heartbeat_ms * 1_000;
                let after_us = self.random.between(period_us / 2, period_us);
                self.plan(after_us, Event::Tick { node, life });
            }
            Event::Wake { .. } | Event::Written { .. } | Event::Tick { .. } => {}
            Event::Restart { node } => self.start(node),
            Event::Client { client, sent } => self.client(client, sent),
            Event::Fault => self.fault()?,
            Event::Heal => self.heal(),
        }
        Ok(true)
    }

    fn arrive(&mut self, from: usize, to: usize, message: Msg<W>) {
        if self.hosts[to].node.is_none() {
            return;
        }
        let numbers = [2, from as u64, to as u64, watch::number(&message)];
        self.trace.event(self.now_us, &numbers, || {
            format!("n{} -> n{}  {}", from + 1, to + 1, watch::words(&message))
        });
        if !self.give(to, Input::Message(from, message)) {
            self.coverage.reached(Path::InboxFull);
        }
    }

    /// Puts an input before a node and sees to it that it will be taken in.
    pub(super) fn give(&mut self, node: usize, input: Input<W>) -> bool {
        let is_put = self.hosts[node].put(input);
        self.wake_later(node);
        is_put
    }

    fn wake_later(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        if host.is_woken || host.node.is_none() || host.writing.is_some() || !host.has_input() {
            return;
        }
        host.is_woken = true;
        let pause_us = host.paused_until_us.saturating_sub(self.now_us);
        let (life, step_us) = (host.life, host.step_us);
        let after_us = pause_us + self.random.between(step_us / 2, step_us);
        self.plan(after_us, Event::Wake { node, life });
    }

    fn wake(&mut self, node: usize) -> Result<(), String> {
        self.hosts[node].is_woken = false;
        if self.hosts[node].can_step(self.now_us) {
            let most = self.random.count(1, 8);
            let led = self.hosts[node].node.as_ref().is_some_and(|node| node.leads().is_some());
            self.hosts[node].led = led;
            self.hosts[node].take_in(most, self.now_us);
            self.pump(node)?;
        }
        self.wake_later(node);
        Ok(())
    }

    /// Does what a node wants done, in the order of the contract, until it must wait for its disk.
    fn pump(&mut self, node: usize) -> Result<(), String> {
        loop {
            let Some(running) = &mut self.hosts[node].node else { return Ok(()) };
            let out = running.output();
            self.take_runs(node);
            if out.is_empty() {
                return Ok(());
            }
            let Output { early, answers, records, late } = out;
            self.send_all(node, early)?;
            for (ticket, answer) in answers {
                self.answer(node, usize::try_from(ticket.0).unwrap_or(usize::MAX), answer)?;
            }
            self.check(node, &records)?;
            if records.is_empty() {
                self.after_write(node, late)?;
            } else {
                self.begin_write(node, Write { records, late });
                return Ok(());
            }
        }
    }

    fn begin_write(&mut self, node: usize, write: Write<W>) {
        let (low, high) = self.scenario.write_us;
        let promises = write.records.iter().any(|record| matches!(record, Record::Promise(_)));
        let confirms = write.late.iter().any(|(_, late)| matches!(late, Message::Confirmed(_)));
        if promises && confirms {
            self.coverage.reached(Path::PromisedByConfirm);
        }
        let host = &mut self.hosts[node];
        host.writing = Some(write);
        let (life, is_slow) = (host.life, host.slow_until_us > self.now_us);
        let slow_us = if is_slow { self.random.between(10_000, 400_000) } else { 0 };
        let after_us = self.random.between(low, high) + slow_us;
        self.plan(after_us, Event::Written { node, life });
    }

    fn written(&mut self, node: usize) -> Result<(), String> {
        if self.hosts[node].paused_until_us > self.now_us {
            let after_us = self.hosts[node].paused_until_us - self.now_us;
            let life = self.hosts[node].life;
            self.plan(after_us, Event::Written { node, life });
            return Ok(());
        }
        if self.hosts[node].fails_next {
            self.coverage.reached(Path::WriteFailed);
            self.crash(node)?;
            let after_us = self.random.between(50_000, 1_000_000);
            self.plan(after_us, Event::Restart { node });
            return Ok(());
        }
        let Some(Write { records, late }) = self.hosts[node].writing.take() else { return Ok(()) };
        self.durable(node, &records)?;
        self.after_write(node, late)?;
        self.pump(node)?;
        self.wake_later(node);
        Ok(())
    }

    fn after_write(&mut self, node: usize, late: Vec<(NodeId, Msg<W>)>) -> Result<(), String> {
        if let Some(running) = &mut self.hosts[node].node {
            running.written();
        }
        self.send_all(node, late)
    }

    /// Notes that records are on a disk, and what is chosen by it.
    fn durable(&mut self, node: usize, records: &[Record<Key<W>, Value<W>>]) -> Result<(), String> {
        for record in records {
            watch::record(record, &self.hosts[node].disk, &mut self.coverage);
            self.hosts[node].disk.change(record);
            let Record::Accept(proposal) = record else { continue };
            if self.model.voted(node, proposal)? {
                let address = Arc::as_ptr(&proposal.patch) as usize;
                let batch = self.made.get(&address).map(|(_, _, runs)| Rc::clone(runs));
                let batch = batch.ok_or_else(|| {
                    format!("slot {} was chosen with a decree that nobody made", proposal.slot)
                })?;
                self.batches.push(batch);
                if self.refused.contains(&proposal.ballot) {
                    self.coverage.reached(Path::LedDespiteRefusal);
                }
                let (slot, ballot) = (proposal.slot, proposal.ballot);
                self.note(&[3, slot.0, ballot.round], || {
                    format!("slot {slot} is chosen ({ballot})")
                });
            }
        }
        Ok(())
    }

    /// Stops a node. The write under way may have reached the disk or not.
    pub(super) fn crash(&mut self, node: usize) -> Result<(), String> {
        let Some(running) = &self.hosts[node].node else { return Ok(()) };
        self.coverage.reached(Path::Crash);
        if running.leads().is_some() {
            self.coverage.reached(Path::CrashOfLeader);
        }
        let write = self.hosts[node].stop();
        let is_kept = self.random.flip();
        self.note(&[4, node as u64], || format!("n{} crashes", node + 1));
        if let Some(write) = write {
            if is_kept {
                self.coverage.reached(Path::CrashKeptWrite);
                self.durable(node, &write.records)?;
            } else {
                self.coverage.reached(Path::CrashLostWrite);
            }
        }
        Ok(())
    }

    /// Notes what a node just ran: a batch belongs to the proposal that it made of it.
    fn take_runs(&mut self, node: usize) {
        let runs = std::mem::take(&mut *self.hosts[node].runs.borrow_mut());
        if runs.is_empty() {
            return;
        }
        let (reads, batch): (Vec<_>, Vec<_>) =
            runs.into_iter().partition(|run| run.position.place == 0);
        self.reads.extend(reads);
        let running = self.hosts[node].node.as_ref();
        let accepted = running.and_then(|node| node.durable().accepted.as_ref());
        if let Some(proposal) = accepted.filter(|_| !batch.is_empty()) {
            let (patch, ballot) = (Arc::clone(&proposal.patch), proposal.ballot);
            self.made.insert(Arc::as_ptr(&patch) as usize, (patch, ballot, Rc::new(batch)));
        }
    }

    fn check(&mut self, node: usize, records: &[Record<Key<W>, Value<W>>]) -> Result<(), String> {
        if let Some(running) = &self.hosts[node].node {
            let checked = self.model.check(node, running.durable());
            checked
                .and_then(|()| self.model.accepted(running.durable(), records))
                .map_err(|why| format!("n{}: {why}", node + 1))?;
        }
        Ok(())
    }

    fn send_all(&mut self, from: usize, messages: Vec<(NodeId, Msg<W>)>) -> Result<(), String> {
        for (to, message) in messages {
            match &message {
                Message::Accept(accept) => self.proposes(from, accept)?,
                Message::Promise(promise) if promise.ballot > self.hosts[from].disk.promised => {
                    return Err(format!("n{}: a promise leaves before it is durable", from + 1));
                }
                Message::Accepted(vote)
                    if (vote.ballot, vote.slot) > self.hosts[from].disk.accepted_at() =>
                {
                    return Err(format!("n{}: a vote leaves before it is durable", from + 1));
                }
                Message::Prepare(_) if self.hosts[from].led => {
                    self.coverage.reached(Path::LeaderStoodAgain);
                }
                Message::Refused(refused) if refused.promised > refused.ballot => {
                    self.refused.insert(refused.ballot);
                }
                _ => {}
            }
            watch::message(&message, &mut self.coverage);
            self.send(from, place_of(to), message);
        }
        Ok(())
    }

    fn proposes(&mut self, from: usize, accept: &Accept<Key<W>, Value<W>>) -> Result<(), String> {
        let Accept { ballot, slot, patch, .. } = accept;
        self.model.proposed(*slot).map_err(|why| format!("n{}: {why}", from + 1))?;
        let made = self.made.get(&(Arc::as_ptr(patch) as usize));
        if made.is_some_and(|(_, made_in, _)| made_in != ballot) && self.recovered.insert(*slot) {
            self.coverage.reached(Path::Recovered);
            let is_news = *slot > self.model.last();
            self.coverage.reached(if is_news { Path::RecoveredNews } else { Path::RecoveredOwn });
        }
        Ok(())
    }

    fn send(&mut self, from: usize, to: usize, message: Msg<W>) {
        if !self.links.carry(from, to) {
            return self.coverage.reached(Path::MessageCut);
        }
        let (loss, repeat, delay) = if self.is_healed {
            (0, 0, 0)
        } else {
            (self.scenario.loss, self.scenario.repeat, self.scenario.delay)
        };
        if self.random.happens(loss) {
            return self.coverage.reached(Path::MessageLost);
        }
        let copies = if self.random.happens(repeat) {
            self.coverage.reached(Path::MessageRepeated);
            2
        } else {
            1
        };
        for _ in 0..copies {
            let (low, high) = self.scenario.message_us;
            let mut after_us = self.random.between(low, high);
            if self.random.happens(delay) {
                self.coverage.reached(Path::MessageLate);
                after_us *= self.random.between(2, 200);
            }
            self.plan(after_us, Event::Arrive { from, to, message: message.clone() });
        }
    }

    fn answer(
        &mut self,
        node: usize,
        request: usize,
        answer: Answer<super::clients::OutcomeOf<W>>,
    ) -> Result<(), String> {
        watch::answer(&answer, &mut self.coverage);
        self.note(&[5, node as u64, request as u64], || {
            format!("n{} answers request {request}: {answer:?}", node + 1)
        });
        let is_lost = !self.is_healed && self.random.happens(self.scenario.answer_loss);
        if is_lost {
            self.coverage.reached(Path::AnswerLost);
        }
        self.took(request, answer, is_lost)
    }
}
