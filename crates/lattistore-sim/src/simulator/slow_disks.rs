//! Slow and hanging disks: how long does a cluster choose nothing?
//!
//! Other runs check that a cluster recovers within 60 s after all faults ended. Here nothing is
//! lost or cut and only writes take long. A run has several phases; each draws the write times of
//! all nodes anew. In every phase the gap between two chosen slots is bounded by the disks of the
//! fastest quorum, and at most one election may start. At last the leader's disk hangs, and then
//! the leader is killed; both must be replaced within a bound.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::answers;
use super::host::Host;
use super::random::Random;
use super::register_load::RegisterLoad;
use super::scenario::{Faults, Scenario};
use super::trace::Trace;
use super::world::World;
use lattistore::lpaxos::{Ballot, Config};

/// The longest write, in microseconds.
const SLOWEST_US: u64 = 2_000_000;
/// Faster disks count as this fast: the leader treats them alike.
const FAST_US: u64 = 20_000;
/// The time that messages and steps add to the writes of a slot, in microseconds.
const SLACK_US: u64 = 20_000;
/// When a write of the leader does not end, another node starts an election within this time; if
/// the other disks are fast, it also serves by then.
const HANG_US: u64 = 3_000_000;
/// The writes between the start of an election and the leader's first slot: its own promise, the
/// promises of the others, the recovered proposal, and its own first proposal.
const ELECTION_WRITES: u64 = 4;
/// A killed leader is replaced within this time if the disks are fast.
const KILL_US: u64 = 600_000;
/// The number of changes of the disks after the start.
const PHASES: usize = 5;
/// The patience of clients while the replacement of a leader is measured, in milliseconds.
const SHORT_PATIENCE_MS: u64 = 100;

/// Measurements of a phase.
#[derive(Clone, Debug)]
pub struct Phase {
    /// The longest write of each node, in microseconds.
    pub disks_us: Vec<u64>,
    /// The slowest write of the fastest quorum, in microseconds.
    pub quorum_us: u64,
    /// The longest time in which nothing was chosen, in microseconds.
    pub gap_us: u64,
    /// The number of slots that were chosen.
    pub slots: u64,
    /// The number of elections that were started.
    pub ballots: usize,
}

/// The time until another node replaced a leader, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replacement {
    /// Until another node started an election.
    pub stood_us: u64,
    /// Until the next leader added a slot, or could serve a read.
    pub served_us: u64,
}

/// The result of a run.
#[derive(Debug)]
pub struct DiskReport {
    /// The phase after the start, and one phase for each change of the disks.
    pub phases: Vec<Phase>,
    /// The replacement of a leader after its disk hung, from the start of the write that does not
    /// end.
    pub hang: Replacement,
    /// The replacement of a leader that was killed.
    pub kill: Replacement,
    /// The trace, if it was requested.
    pub trace: Option<String>,
    /// The check that failed, if one did.
    pub failure: Option<String>,
}

/// Runs one seed.
pub fn slow_disks(seed: u64, keeps_trace: bool) -> DiskReport {
    let mut random = Random::new(seed, 4);
    let nodes = *random.pick(&[3, 3, 5]);
    let message_us = random.between(50, 500);
    let scenario = Scenario {
        nodes,
        spares: 0,
        member_change_every_us: 0,
        member_schedules: 0,
        clients: random.count(1, 6),
        // No faults: these times are beyond the end of the run.
        chaos_us: 1 << 50,
        fault_every_us: 1 << 50,
        loss: 0,
        repeat: 0,
        delay: 0,
        answer_loss: 0,
        faults: Faults(0),
        message_us: (message_us, 2 * message_us),
        think_us: *random.pick(&[100, 1_000, 5_000]),
        patience_ms: 2_500,
        skew_ms: *random.pick(&[0, 100_000]),
        write_us: (100, 200),
        max_inputs: 1_024,
        hold: 0,
        config: Config::default(),
    };
    let trace = Trace::new(keeps_trace);
    let mut world = World::new(scenario, Random::new(seed, 3), RegisterLoad::writes_only(), trace);
    let (hang, kill) = Default::default();
    let mut run = Run { phases: Vec::new(), hang, kill, random };
    let verdict = catch_unwind(AssertUnwindSafe(|| run.drive(&mut world)));
    let failure = match verdict {
        Ok(done) => done.err(),
        Err(_) => Some("a node panicked".into()),
    };
    let Run { phases, hang, kill, .. } = run;
    DiskReport { phases, hang, kill, trace: world.trace.text(), failure }
}

struct Run {
    phases: Vec<Phase>,
    hang: Replacement,
    kill: Replacement,
    random: Random,
}

type Registers = World<RegisterLoad>;

impl Run {
    fn drive(&mut self, world: &mut Registers) -> Result<(), String> {
        world.begin()?;
        for host in &mut world.hosts {
            // A server never drops an input: its senders wait for room.
            host.max_inbox = 1 << 16;
        }
        let mut before_us = 0;
        for phase in 0..=PHASES {
            let disks_us = self.draw(world.scenario.nodes);
            before_us = self.phase(world, phase == 0, disks_us, before_us)?;
        }
        world.scenario.patience_ms = SHORT_PATIENCE_MS;
        self.hang(world)?;
        self.kill(world)?;
        let World { clients, batches, reads, model, coverage, recovered, .. } = world;
        answers::judge::<RegisterLoad>(&clients.sent, batches, reads, model, recovered, coverage)
    }

    /// Draws the longest write of each node, in microseconds.
    fn draw(&mut self, nodes: usize) -> Vec<u64> {
        let shape = self.random.between(0, 4);
        let random = &mut self.random;
        let mut one = |min_us: u64| {
            let max_us = 1 << random.between(min_us.ilog2().into(), 21);
            random.between(min_us, max_us.max(min_us)).min(SLOWEST_US)
        };
        let mut disks_us = match shape {
            0 => vec![one(250_000); nodes],
            1 => (0..nodes).map(|_| one(250_000)).collect(),
            2 => vec![one(1_000); nodes],
            _ => (0..nodes).map(|_| one(1_000)).collect::<Vec<_>>(),
        };
        if shape == 3 {
            // Only one disk is slow.
            let fast_us = *disks_us.iter().min().unwrap_or(&1_000);
            disks_us.fill(fast_us);
            let slow = self.random.count(0, nodes - 1);
            disks_us[slow] = SLOWEST_US;
        }
        disks_us
    }

    /// Sets the write times of the disks and measures what is chosen; returns the slowest time.
    ///
    /// # Errors
    /// When nothing was chosen for too long, or elections were started without need.
    fn phase(
        &mut self,
        world: &mut Registers,
        is_start: bool,
        disks_us: Vec<u64>,
        before_us: u64,
    ) -> Result<u64, String> {
        let varies = self.random.flip();
        for (host, max_us) in world.hosts.iter_mut().zip(&disks_us) {
            host.write_us = Some((if varies { max_us / 4 } else { *max_us }, *max_us));
        }
        world.note(&[17], || format!("writes take {disks_us:?} us, varying: {varies}"));
        let slowest_us = disks_us.iter().copied().max().unwrap_or(0);
        let quorum_us = quorum(&disks_us);
        let max_us = 3 * quorum_us.max(FAST_US) + SLACK_US;
        let ballots = world.ballots.len();
        // The current writes take the times of the phase before, and one node may start an
        // election. At the start, the slot that names the founders comes before the first request.
        let writes = if is_start { 5 } else { 4 };
        wait(world, 500_000 + writes * slowest_us.max(before_us), |_| false)?;
        let settled = world.ballots.len();
        let slots = world.model.last().0;
        let (mut last, mut since_us, mut gap_us) = (slots, world.now_us, 0);
        let end_us = world.now_us + (12 * max_us).max(4_000_000);
        while world.now_us < end_us {
            world.step()?;
            let now = world.model.last().0;
            gap_us = gap_us.max(world.now_us - since_us);
            if now > last {
                (last, since_us) = (now, world.now_us);
            }
        }
        let ballots = world.ballots.len() - if is_start { settled } else { ballots };
        let phase = Phase { disks_us, quorum_us, gap_us, slots: last - slots, ballots };
        self.phases.push(phase.clone());
        if gap_us > max_us {
            return Err(format!("nothing was chosen in {gap_us} us: {phase:?}"));
        }
        if ballots > usize::from(!is_start) {
            return Err(format!("more than one election: {phase:?}"));
        }
        Ok(slowest_us)
    }

    /// Lets the leader's disk hang, and measures until it is replaced.
    fn hang(&mut self, world: &mut Registers) -> Result<(), String> {
        let are_fast = self.random.flip();
        let disks_us = match are_fast {
            true => vec![1_000; world.scenario.nodes],
            false => self.draw(world.scenario.nodes),
        };
        for (host, max_us) in world.hosts.iter_mut().zip(&disks_us) {
            host.write_us = Some((*max_us, *max_us));
        }
        wait(world, 15_000_000, |_| false)?;
        let (leader, ballot) = leader(world).ok_or("no node leads")?;
        let writes = world.hosts[leader].writes;
        world.hosts[leader].hangs = true;
        world.note(&[18, leader as u64], || format!("the disk of n{} hangs", leader + 1));
        wait(world, 10_000_000, |world| world.hosts[leader].writes > writes)?;
        let others_us = (0..disks_us.len()).filter(|n| *n != leader).map(|n| disks_us[n]);
        let mut others_us: Vec<_> = others_us.collect();
        others_us.sort_unstable();
        let quorum_us = others_us[world.scenario.nodes / 2];
        let writes_us = if quorum_us > FAST_US { ELECTION_WRITES * quorum_us } else { 0 };
        self.hang = next_leader(world, ballot, HANG_US, HANG_US + writes_us)?;
        world.crash(leader)?;
        world.hosts[leader].hangs = false;
        world.start(leader)
    }

    /// Kills the leader, and measures until it is replaced.
    fn kill(&mut self, world: &mut Registers) -> Result<(), String> {
        for host in &mut world.hosts {
            host.write_us = Some((500, 1_000));
        }
        wait(world, 15_000_000, |_| false)?;
        let (leader, ballot) = leader(world).ok_or("no node leads")?;
        world.crash(leader)?;
        self.kill = next_leader(world, ballot, KILL_US, KILL_US)?;
        Ok(())
    }
}

/// Returns the slowest write of the fastest quorum.
fn quorum(disks_us: &[u64]) -> u64 {
    let mut sorted = disks_us.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// Runs the world until a condition holds, for at most `for_us`.
fn wait(
    world: &mut Registers,
    for_us: u64,
    until: impl Fn(&Registers) -> bool,
) -> Result<(), String> {
    let end_us = world.now_us + for_us;
    while world.now_us < end_us && !until(world) {
        world.step()?;
    }
    Ok(())
}

/// Returns the node that leads with the highest ballot, and the ballot.
fn leader(world: &Registers) -> Option<(usize, Ballot)> {
    let leads = |host: &Host<_>| host.node.as_ref().and_then(|node| node.leads());
    let leaders = world.hosts.iter().enumerate();
    let leaders = leaders.filter_map(|(node, host)| Some((node, leads(host)?)));
    leaders.max_by_key(|(_, ballot)| *ballot)
}

/// Runs the world until another node serves: something is chosen, or the leader can serve reads
/// because what it recovered is chosen.
///
/// # Errors
/// When no other node started an election or served within its bound.
fn next_leader(
    world: &mut Registers,
    ballot: Ballot,
    max_stood_us: u64,
    max_served_us: u64,
) -> Result<Replacement, String> {
    let began_us = world.now_us;
    let mut stood_us = None;
    let mut recovered = None;
    while world.now_us - began_us <= max_served_us {
        world.step()?;
        let took_us = world.now_us - began_us;
        if stood_us.is_none() && stands(world, ballot) {
            stood_us = Some(took_us);
        }
        if stood_us.is_none() && took_us > max_stood_us {
            return Err(format!("no other node started an election within {max_stood_us} us"));
        }
        let Some((node, now)) = leader(world).filter(|(_, now)| *now > ballot) else { continue };
        let serves =
            world.hosts[node].node.as_ref().is_some_and(|node| node.load().admissible.reads);
        if now.node == ballot.node {
            continue;
        }
        let last = world.model.last();
        if serves || last > *recovered.get_or_insert(last) {
            let stood_us = stood_us.unwrap_or(took_us);
            return Ok(Replacement { stood_us, served_us: took_us });
        }
    }
    Err(format!("no other node serves within {max_served_us} us"))
}

/// Whether another node than the owner of this ballot started an election with a higher one.
fn stands(world: &Registers, ballot: Ballot) -> bool {
    let stood = |host: &Host<_>| host.node.as_ref().and_then(|node| node.stood());
    let mut others = world.hosts.iter().filter_map(stood).filter(|(b, _)| b.node != ballot.node);
    others.any(|(stood, _)| stood > ballot)
}
