//! The simulated world: nodes, links, clients and what will happen next; one event after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::audit::Audit;
use super::clients::Clients;
use super::copies::Copies;
use super::coverage::Coverage;
use super::events::{Agenda, Event};
use super::history::RunOf;
use super::host::{Host, Input, Key, Msg, Value, node_id};
use super::model::Model;
use super::network::Links;
use super::operator::Operator;
use super::pages::Pages;
use super::random::Random;
use super::recoveries::Recoveries;
use super::scenario::{Fault, Scenario};
use super::trace::Trace;
use super::workload::Workload;
use lattistore::lpaxos::{Ballot, Patch, Slot};

type PatchOf<W> = Patch<Key<W>, Value<W>>;
/// A batch, with the patch it made: the patch is kept so that no other has its address.
pub(super) type Batch<W> = (Arc<PatchOf<W>>, Ballot, Rc<Vec<RunOf<W>>>);

/// A lost message that may come after all.
#[derive(Debug)]
pub(super) struct Late<W: Workload> {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) message: Msg<W>,
}

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
    /// What each proposal's batch ran, by the address of its patch.
    pub(super) made: BTreeMap<usize, Batch<W>>,
    /// Ballots that a node refused.
    pub(super) refused: BTreeSet<Ballot>,
    /// Every ballot that asked for promises.
    pub(super) ballots: BTreeSet<Ballot>,
    /// Lost messages that may come after all.
    pub(super) late: Vec<Late<W>>,
    pub(super) audit: Audit,
    pub(super) pages: Pages<Key<W>, Value<W>>,
    pub(super) copies: Copies<Key<W>>,
    pub(super) recoveries: Recoveries,
    pub(super) operator: Operator,
    agenda: Agenda<W>,
}

impl<W: Workload> World<W> {
    /// A world in which no node runs yet.
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
            made: BTreeMap::new(),
            refused: BTreeSet::new(),
            ballots: BTreeSet::new(),
            late: Vec::new(),
            audit: Audit::new(hosts),
            pages: Pages::new(),
            copies: Copies::new(hosts),
            recoveries: Recoveries::new(nodes, hosts),
            operator: Operator::default(),
            agenda: Agenda::new(),
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

    pub(super) fn plan(&mut self, after_us: u64, event: Event<W>) {
        self.agenda.plan(self.now_us + after_us, event);
    }

    pub(super) fn note(&mut self, numbers: &[u64], words: impl FnOnce() -> String) {
        self.trace.event(self.now_us, numbers, words);
    }

    /// Lets the next event happen; false when nothing is planned.
    pub(super) fn step(&mut self) -> Result<bool, String> {
        let Some((at_us, event)) = self.agenda.next() else { return Ok(false) };
        self.now_us = at_us;
        match event {
            Event::Arrive { from, to, message } => self.arrive(from, to, message),
            Event::Wake { node, life } if self.hosts[node].life == life => self.wake(node)?,
            Event::Written { node, life } if self.hosts[node].life == life => {
                self.written(node)?;
            }
            Event::Tick { node, life } if self.hosts[node].life == life => {
                self.give(node, Input::Tick);
                self.maintain(node)?;
                let period_us = self.scenario.config.heartbeat_ms * 1_000;
                let after_us = self.random.between(period_us / 2, period_us);
                self.plan(after_us, Event::Tick { node, life });
            }
            Event::Pulse { node, life, write } if self.hosts[node].life == life => {
                self.pulse(node, write)?;
            }
            Event::Wake { .. }
            | Event::Written { .. }
            | Event::Tick { .. }
            | Event::Pulse { .. } => {}
            Event::Restart { node } => self.start(node)?,
            Event::Client { client, sent } => self.client(client, sent),
            Event::Fault => self.fault()?,
            Event::Absence(absence) => self.absence(absence),
            Event::Members => self.change_members()?,
            Event::Heal => self.heal()?,
        }
        Ok(true)
    }
}
