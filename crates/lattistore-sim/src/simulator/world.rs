//! The simulated world: nodes, links, clients, and the planned events.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::answers::ExecutionOf;
use super::clients::Clients;
use super::coverage::Coverage;
use super::events::{Event, EventQueue};
use super::full_copies::FullCopies;
use super::host::{Host, Input, Key, Msg, Value};
use super::ids::node_id;
use super::model::Model;
use super::network::Links;
use super::operator_state::Operator;
use super::promise_pages::PromisePages;
use super::random::Random;
use super::read_confirmations::ReadConfirmations;
use super::recoveries::Recoveries;
use super::scenario::{Fault, Scenario};
use super::trace::Trace;
use super::workload::Workload;
use lattistore::lpaxos::{Ballot, Patch, Slot};

type PatchOf<W> = Patch<Key<W>, Value<W>>;
/// A proposed batch: the patch that it made, its ballot and its executions. The patch is kept so
/// that no other patch gets its address.
pub(super) type ProposedBatch<W> = (Arc<PatchOf<W>>, Ballot, Rc<Vec<ExecutionOf<W>>>);

/// A lost message that may be delivered during a full copy.
#[derive(Debug)]
pub(super) struct DelayedMessage<W: Workload> {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) message: Msg<W>,
}

/// The state of a run.
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
    /// The executions of each slot's decree.
    pub(super) batches: Vec<Rc<Vec<ExecutionOf<W>>>>,
    /// The executions of reads.
    pub(super) reads: Vec<ExecutionOf<W>>,
    /// Slots whose decree was proposed in more than one ballot.
    pub(super) recovered: BTreeSet<Slot>,
    /// Every proposed batch, by the address of its patch.
    pub(super) proposed: BTreeMap<usize, ProposedBatch<W>>,
    /// Ballots that a node refused.
    pub(super) refused: BTreeSet<Ballot>,
    /// Every ballot for which a `Prepare` was sent.
    pub(super) ballots: BTreeSet<Ballot>,
    /// Lost messages that may be delivered during a full copy.
    pub(super) delayed: Vec<DelayedMessage<W>>,
    pub(super) read_confirmations: ReadConfirmations,
    pub(super) promise_pages: PromisePages<Key<W>, Value<W>>,
    pub(super) full_copies: FullCopies<Key<W>>,
    pub(super) recoveries: Recoveries,
    pub(super) operator: Operator,
    events: EventQueue<W>,
}

impl<W: Workload> World<W> {
    /// Returns a world in which no node runs yet.
    pub(super) fn new(scenario: Scenario, random: Random, workload: W, trace: Trace) -> World<W> {
        let (nodes, hosts) = (scenario.nodes, scenario.hosts());
        World {
            clients: Clients::new(workload, scenario.clients, nodes),
            hosts: Vec::new(),
            links: Links::new(hosts),
            model: Model::new(nodes, hosts),
            coverage: Coverage::default(),
            is_healed: false,
            batches: Vec::new(),
            reads: Vec::new(),
            recovered: BTreeSet::new(),
            proposed: BTreeMap::new(),
            refused: BTreeSet::new(),
            ballots: BTreeSet::new(),
            delayed: Vec::new(),
            read_confirmations: ReadConfirmations::new(hosts),
            promise_pages: PromisePages::new(),
            full_copies: FullCopies::new(hosts),
            recoveries: Recoveries::new(nodes, hosts),
            operator: Operator::default(),
            events: EventQueue::new(),
            now_us: 0,
            scenario,
            random,
            trace,
        }
    }

    /// Starts the nodes and the clients, and plans the faults.
    ///
    /// # Errors
    /// When a node cannot start.
    pub(super) fn begin(&mut self) -> Result<(), String> {
        for node in 0..self.scenario.hosts() {
            let mut host = self.new_host(node);
            if self.scenario.faults.has(Fault::Journal) {
                host.journal = self.clients.workload.journal(node_id(node), &mut self.random);
            }
            let is_spare = host.is_spare;
            self.hosts.push(host);
            if !is_spare {
                self.start(node)?;
            }
        }
        for client in 0..self.scenario.clients {
            let at_us = self.random.between(0, 300_000);
            self.plan(at_us, Event::Client { client, sent: None });
        }
        self.plan(self.scenario.chaos_us, Event::Heal);
        self.plan(self.scenario.fault_every_us, Event::Fault);
        if self.scenario.faults.has(Fault::Members) {
            self.plan(self.scenario.member_change_every_us, Event::Members);
        }
        Ok(())
    }

    fn new_host(&mut self, node: usize) -> Host<W> {
        let is_slow = self.scenario.faults.has(Fault::SlowNode) && self.random.flip();
        let step_us = if is_slow { self.random.between(1_000, 30_000) } else { 20 };
        let ahead_ms = self.random.between(0, self.scenario.skew_ms);
        let clock_rate = if is_slow { self.random.between(700, 1_400) } else { 1_000 };
        let is_spare = node >= self.scenario.nodes;
        Host { is_spare, ..Host::new(step_us, ahead_ms, clock_rate) }
    }

    /// Plans an event, `after_us` from the present time.
    pub(super) fn plan(&mut self, after_us: u64, event: Event<W>) {
        self.events.plan(self.now_us + after_us, event);
    }

    /// Records an event in the trace.
    pub(super) fn note(&mut self, numbers: &[u64], describe: impl FnOnce() -> String) {
        self.trace.event(self.now_us, numbers, describe);
    }

    /// Performs the next event; returns false when none is planned.
    ///
    /// # Errors
    /// When a check fails.
    pub(super) fn step(&mut self) -> Result<bool, String> {
        let Some((at_us, event)) = self.events.next() else { return Ok(false) };
        self.now_us = at_us;
        match event {
            Event::Arrive { from, to, message } => self.arrive(from, to, message),
            Event::Wake { node, incarnation } if self.hosts[node].incarnation == incarnation => {
                self.wake(node)?
            }
            Event::Written { node, incarnation } if self.hosts[node].incarnation == incarnation => {
                self.written(node)?;
            }
            Event::Tick { node, incarnation } if self.hosts[node].incarnation == incarnation => {
                self.put_input(node, Input::Tick);
                self.maintain(node)?;
                let period_us = self.scenario.config.heartbeat_ms * 1_000;
                let after_us = self.random.between(period_us / 2, period_us);
                self.plan(after_us, Event::Tick { node, incarnation });
            }
            Event::HeartbeatDuringWrite { node, incarnation, write }
                if self.hosts[node].incarnation == incarnation =>
            {
                self.heartbeat_during_write(node, write)?;
            }
            Event::Wake { .. }
            | Event::Written { .. }
            | Event::Tick { .. }
            | Event::HeartbeatDuringWrite { .. } => {}
            Event::Restart { node } => self.start(node)?,
            Event::Client { client, sent } => self.client(client, sent),
            Event::Fault => self.fault()?,
            Event::Absence(absence) => self.absence(absence),
            Event::Members => self.change_members()?,
            Event::MemberStage(stage) => self.member_stage(stage)?,
            Event::Heal => self.heal()?,
        }
        Ok(true)
    }
}
