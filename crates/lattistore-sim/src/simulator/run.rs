//! One run: a seed, its scenario, and the verdict.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::coverage::{Coverage, Path};
use super::history;
use super::host::node_id;
use super::random::Random;
use super::scenario::{Faults, Scenario};
use super::trace::Trace;
use super::workload::Workload;
use super::world::World;

/// After all faults ended, everything must be well again within this time.
const RECOVERY_US: u64 = 60_000_000;
/// More events than any run needs: nodes that never come to rest are a finding too.
const EVENTS_MOST: u64 = 3_000_000;

/// How a run is to be done.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// The seed: everything follows from it.
    pub seed: u64,
    /// Only faults in this set, if given.
    pub faults: Option<Faults>,
    /// End the faults after so many microseconds, if given.
    pub chaos_us: Option<u64>,
    /// Keep the trace as text.
    pub keeps_trace: bool,
}

impl RunOptions {
    /// The run of a seed as it is drawn.
    pub fn of_seed(seed: u64) -> RunOptions {
        RunOptions { seed, faults: None, chaos_us: None, keeps_trace: false }
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// What was reached.
    pub coverage: Coverage,
    /// Hash of the trace.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// How many slots were chosen.
    pub slots: u64,
    /// The trace, if it was asked for.
    pub trace: Option<String>,
    /// The scenario.
    pub scenario: Scenario,
    /// What is wrong, if anything is.
    pub failure: Option<String>,
}

/// Runs one seed.
pub fn run<W: Workload>(options: RunOptions, workload: impl FnOnce(&mut Random) -> W) -> Report {
    let mut random = Random::new(options.seed, 1);
    let mut scenario = Scenario::draw(&mut random);
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
        Err(panic) => Some(format!("a node stopped: {}", words(&*panic))),
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

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").into()
}

fn drive<W: Workload>(world: &mut World<W>) -> Result<(), String> {
    world.begin()?;
    while !world.is_healed {
        world.step()?;
    }
    let bound_us = world.now_us + RECOVERY_US;
    while !(world.clients.are_served()
        && world.is_even()
        && world.is_led_willingly()
        && world.has_no_change_left())
    {
        world.step()?;
        if world.now_us > bound_us || world.trace.events() > EVENTS_MOST {
            return Err(format!("no recovery: {}", world.unfinished()));
        }
    }
    let World { clients, batches, reads, model, coverage, recovered, .. } = world;
    if !reads.is_empty() {
        coverage.reached(Path::ReadDone);
    }
    history::judge::<W>(&clients.sent, batches, reads, model, recovered, coverage)
}

impl<W: Workload> World<W> {
    /// Whether all nodes know all that is chosen.
    fn is_even(&self) -> bool {
        let last = self.model.last();
        let complete = |host: &super::host::Host<W>| {
            host.node.as_ref().map(|node| node.durable().replica.complete())
        };
        let members = self.model.members();
        let of_members = self.hosts.iter().enumerate().filter(|(node, host)| {
            members.contains(node_id(*node)) && !host.is_lost && !host.is_off
        });
        of_members.into_iter().all(|(_, host)| complete(host) == Some(last))
    }

    /// Whether a willing node leads, if some nodes are willing and others are not.
    fn is_led_willingly(&self) -> bool {
        let leads = |host: &super::host::Host<W>| {
            host.node.as_ref().is_some_and(|node| node.leads().is_some())
        };
        let is_voter = |node: usize| self.model.members().is_voter(node_id(node));
        let can_lead =
            |(node, host): &(usize, &super::host::Host<W>)| is_voter(*node) && host.node.is_some();
        let voters = || self.hosts.iter().enumerate().filter(can_lead).map(|(_, host)| host);
        let reluctant = voters().filter(|host| host.is_reluctant).count();
        let is_mixed = (1..voters().count()).contains(&reluctant);
        !is_mixed || voters().any(|host| !host.is_reluctant && leads(host))
    }

    fn unfinished(&self) -> String {
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
            self.is_led_willingly()
        )
    }
}
