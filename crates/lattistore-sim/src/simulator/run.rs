//! One run: a seed, its scenario, and the verdict.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::answers;
use super::coverage::{Coverage, Path};
use super::host::Host;
use super::ids::node_id;
use super::random::Random;
use super::scenario::{Faults, Scenario};
use super::trace::Trace;
use super::workload::Workload;
use super::world::World;

/// The time within which a cluster must recover after all faults ended.
const RECOVERY_US: u64 = 60_000_000;
/// More events than any run needs: a cluster that never comes to rest is a finding.
const MAX_EVENTS: u64 = 3_000_000;

/// One seed in this many has dense changes of the members.
const DENSE_EVERY: u64 = 8;

/// The options of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// The seed, which decides the whole run.
    pub seed: u64,
    /// If given, only faults in this set are injected.
    pub faults: Option<Faults>,
    /// If given, the faults end after this time, in microseconds, instead of the scenario's.
    pub chaos_us: Option<u64>,
    /// Whether to keep the trace as text.
    pub keeps_trace: bool,
    /// Whether the members change all the time.
    pub dense_members: bool,
}

impl RunOptions {
    /// Returns the options of a seed, without restrictions.
    pub fn of_seed(seed: u64) -> RunOptions {
        RunOptions { seed, faults: None, chaos_us: None, keeps_trace: false, dense_members: false }
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// How often each path was reached.
    pub coverage: Coverage,
    /// The hash of the trace.
    pub hash: u64,
    /// The number of events.
    pub events: u64,
    /// The number of slots that were chosen.
    pub slots: u64,
    /// The trace, if it was requested.
    pub trace: Option<String>,
    /// The scenario.
    pub scenario: Scenario,
    /// The check that failed, if one did.
    pub failure: Option<String>,
}

/// Runs one seed.
pub fn run<W: Workload>(options: RunOptions, workload: impl FnOnce(&mut Random) -> W) -> Report {
    let mut random = Random::new(options.seed, 1);
    let mut scenario = Scenario::draw(&mut random);
    // Some runs of each kind: else rare paths of changes would hardly be reached.
    if options.dense_members || options.seed % DENSE_EVERY == DENSE_EVERY - 1 {
        scenario.make_dense(&mut Random::new(options.seed, 5));
    }
    if let Some(faults) = options.faults {
        scenario.restrict(faults);
    }
    if let Some(chaos_us) = options.chaos_us {
        scenario.chaos_us = chaos_us;
    }
    let workload = workload(&mut Random::new(options.seed, 2));
    let trace = Trace::new(options.keeps_trace);
    let random = Random::new(options.seed, 3);
    let mut world = World::new(scenario.clone(), random, workload, trace);
    let verdict = catch_unwind(AssertUnwindSafe(|| drive(&mut world)));
    let failure = match verdict {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why),
        Err(panic) => Some(format!("a node panicked: {}", panic_message(&*panic))),
    };
    Report {
        hash: world.trace.hash(),
        events: world.trace.events(),
        slots: world.model.last().0,
        coverage: world.coverage,
        trace: world.trace.text(),
        scenario,
        failure,
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without a message").into()
}

fn drive<W: Workload>(world: &mut World<W>) -> Result<(), String> {
    world.begin()?;
    while !world.is_healed {
        world.step()?;
    }
    let bound_us = world.now_us + RECOVERY_US;
    while !(world.clients.are_served()
        && world.is_level()
        && world.is_led_by_a_willing_node()
        && world.has_no_change_left())
    {
        world.step()?;
        if world.now_us > bound_us || world.trace.events() > MAX_EVENTS {
            return Err(format!("no recovery: {}", world.describe_state()));
        }
    }
    let World { clients, batches, reads, model, coverage, recovered, .. } = world;
    if !reads.is_empty() {
        coverage.reached(Path::ReadDone);
    }
    answers::judge::<W>(&clients.sent, batches, reads, model, recovered, coverage)
}

impl<W: Workload> World<W> {
    /// Whether all nodes know everything that is chosen.
    fn is_level(&self) -> bool {
        let last = self.model.last();
        let complete =
            |host: &Host<W>| host.node.as_ref().map(|node| node.durable().replica.complete());
        let members = self.model.members();
        let is_expected = |(node, host): &(usize, &Host<W>)| {
            members.contains(node_id(*node)) && !host.is_lost && !host.is_off
        };
        let mut expected = self.hosts.iter().enumerate().filter(is_expected);
        expected.all(|(_, host)| complete(host) == Some(last))
    }

    /// Whether a willing node leads; true if all voters are willing, or none is.
    fn is_led_by_a_willing_node(&self) -> bool {
        let leads = |host: &Host<W>| host.node.as_ref().is_some_and(|node| node.leads().is_some());
        let is_voter = |node: usize| self.model.members().is_voter(node_id(node));
        let can_lead = |(node, host): &(usize, &Host<W>)| is_voter(*node) && host.node.is_some();
        let voters = || self.hosts.iter().enumerate().filter(can_lead).map(|(_, host)| host);
        let reluctant = voters().filter(|host| host.is_reluctant).count();
        let is_mixed = (1..voters().count()).contains(&reluctant);
        !is_mixed || voters().any(|host| !host.is_reluctant && leads(host))
    }

    fn describe_state(&self) -> String {
        let complete: Vec<_> = self
            .hosts
            .iter()
            .map(|host| {
                host.node.as_ref().map(|node| {
                    let durable = node.durable();
                    (node.leads(), durable.promised, durable.replica.complete().0)
                })
            })
            .collect();
        format!(
            "slot {} is the last; clients served: {}; led by a willing node: {}; nodes: \
             {complete:?}",
            self.model.last(),
            self.clients.are_served(),
            self.is_led_by_a_willing_node()
        )
    }
}
