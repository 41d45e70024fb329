//! Slow and hanging disks: what a cluster serves nevertheless, held against the clock.
//!
//! The faults of other runs end, and then everything must be well some time later. Here nothing is lost
//! or cut, only writes take long: each node's time is drawn anew for each phase. In every phase
//! something must be chosen as often as the disks of the fastest majority allow, and at most one
//! node may stand. Then the leader's disk hangs, and at last the leader is killed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::history;
use super::random::Random;
use super::register_load::RegisterLoad;
use super::scenario::{Faults, Scenario};
use super::trace::Trace;
use super::world::World;
use lattistore::lpaxos::{Ballot, Config};

/// The longest write, in microseconds.
const SLOWEST_US: u64 = 2_000_000;
/// Disks that are faster than this count as if they took as long: the leader treats them alike.
const FAST_US: u64 = 20_000;
/// What messages and steps take in a slot beside the writes, in microseconds.
const SLACK_US: u64 = 20_000;
/// When a write of the leader does not end, another node stands within this time; where the other
/// disks are fast it also serves by then.
const HANG_US: u64 = 3_000_000;
/// The writes between the standing of a node and the first slot that it adds: its own promise, the
/// promises of the others, the proposal that it recovered, and its own first one.
const ELECTION_WRITES: u64 = 4;
/// A leader that is killed is replaced within this time, where the disks are fast.
const KILL_US: u64 = 600_000;
/// How often the disks change after the start.
const PHASES: usize = 5;
/// How long clients wait where it is measured how fast a leader is replaced, in milliseconds.
const SHORT_PATIENCE_MS: u64 = 100;

/// What was seen of a phase, in microseconds.
#[derive(Clone, Debug)]
pub struct Phase {
    /// How long the writes of each node take at most.
    pub disks_us: Vec<u64>,
    /// The slower write of the fastest majority.
    pub majority_us: u64,
    /// The longest time in which nothing was chosen.
    pub gap_us: u64,
    /// How much was chosen.
    pub slots: u64,
    /// How many ballots were stood with.
    pub ballots: usize,
}

/// How soon another node took the place of a leader, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replacement {
    /// Until another node stood with a higher ballot.
    pub stood_us: u64,
    /// Until the next leader added a slot, or could begin with a read.
    pub served_us: u64,
}

/// What came of a run.
#[derive(Debug)]
pub struct DiskReport {
    /// The start, and each change of the disks after it.
    pub phases: Vec<Phase>,
    /// How soon a leader was replaced, counted from the beginning of a write that does not end.
    pub hang: Replacement,
    /// How soon a leader was replaced that was killed.
    pub kill: Replacement,
    /// The trace, if it was asked for.
    pub trace: Option<String>,
    /// What is wrong, if anything is.
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
        clients: random.count(1, 6),
        // These are not of use here; what is drawn is used in other runs.
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
    let mut world = World::new(scenario, Random::new(seed, 3), RegisterLoad::of_writes(), trace);
    let (hang, kill) = Default::default();
    let mut run = Run { phases: Vec::new(), hang, kill, random };
    let verdict = catch_unwind(AssertUnwindSafe(|| run.drive(&mut world)));
    let failure = match verdict {
        Ok(done) => done.err(),
        Err(_) => Some("a node stopped".into()),
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
            // As at a server, where those who send wait for room.
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
        history::judge::<RegisterLoad>(&clients.sent, batches, reads, model, recovered, coverage)
    }

    /// How long the writes of each node take at most.
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
            // One disk alone is slow.
            let fast_us = *disks_us.iter().min().unwrap_or(&1_000);
            disks_us.fill(fast_us);
            let slow = self.random.count(0, nodes - 1);
            disks_us[slow] = SLOWEST_US;
        }
        disks_us
    }

    /// Gives the disks these times and looks for a while at what is served; gives the slowest time.
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
        let majority_us = majority(&disks_us);
        let max_us = 3 * majority_us.max(FAST_US) + SLACK_US;
        let ballots = world.ballots.len();
        // What is under way takes as long as before, and a node may stand once.
        wait(world, 500_000 + 4 * slowest_us.max(before_us), |_| false)?;
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
        let phase = Phase { disks_us, majority_us, gap_us, slots: last - slots, ballots };
        self.phases.push(phase.clone());
        if gap_us > max_us {
            return Err(format!("nothing was chosen in {gap_us} us: {phase:?}"));
        }
        if ballots > usize::from(!is_start) {
            return Err(format!("stood for too often: {phase:?}"));
        }
        Ok(slowest_us)
    }

    /// The disk of the leader hangs.
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
        let (leader, ballot) = leader(world).ok_or("nobody leads")?;
        let writes = world.hosts[leader].writes;
        world.hosts[leader].hangs = true;
        world.note(&[18, leader as u64], || format!("the disk of n{} hangs", leader + 1));
        wait(world, 10_000_000, |world| world.hosts[leader].writes > writes)?;
        let others_us = (0..disks_us.len()).filter(|n| *n != leader).map(|n| disks_us[n]);
        let mut others_us: Vec<_> = others_us.collect();
        others_us.sort_unstable();
        let majority_us = others_us[world.scenario.nodes / 2];
        let writes_us = if majority_us > FAST_US { ELECTION_WRITES * majority_us } else { 0 };
        self.hang = next_leader(world, ballot, HANG_US, HANG_US + writes_us)?;
        world.crash(leader)?;
        world.hosts[leader].hangs = false;
        world.start(leader)
    }

    /// The leader is killed.
    fn kill(&mut self, world: &mut Registers) -> Result<(), String> {
        for host in &mut world.hosts {
            host.write_us = Some((500, 1_000));
        }
        wait(world, 15_000_000, |_| false)?;
        let (leader, ballot) = leader(world).ok_or("nobody leads")?;
        world.crash(leader)?;
        self.kill = next_leader(world, ballot, KILL_US, KILL_US)?;
        Ok(())
    }
}

/// The slower write of the fastest majority.
fn majority(disks_us: &[u64]) -> u64 {
    let mut sorted = disks_us.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// Lets time pass until something is so.
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

/// Who leads, with the ballot.
fn leader(world: &Registers) -> Option<(usize, Ballot)> {
    let leads = |host: &super::host::Host<_>| host.node.as_ref().and_then(|node| node.leads());
    let leaders = world.hosts.iter().enumerate();
    let leaders = leaders.filter_map(|(node, host)| Some((node, leads(host)?)));
    leaders.max_by_key(|(_, ballot)| *ballot)
}

/// How soon another node stands, and how soon one leads and serves: something is chosen, or it could
/// begin with a read, as what it recovered is chosen.
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
            return Err(format!("no other node stands after {max_stood_us} us"));
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
    Err(format!("no other node leads after {max_served_us} us"))
}

/// Whether another node than the owner of this ballot stood with a higher one.
fn stands(world: &Registers, ballot: Ballot) -> bool {
    let stood = |host: &super::host::Host<_>| host.node.as_ref().and_then(|node| node.stood());
    let mut others = world.hosts.iter().filter_map(stood).filter(|(b, _)| b.node != ballot.node);
    others.any(|(stood, _)| stood > ballot)
}
