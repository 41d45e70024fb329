//! One run: faults in turn while clients go on, then the judges, then the numbers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lattistore_sim::simulator::Random;

use crate::clocks::Clocks;
use crate::disks::SlowDisk;
use crate::faults::{Broken, Hurt, shuffled};
use crate::fleet::clients::{Clients, Load};
use crate::fleet::judge::{judge, longest_pause_within};
use crate::fleet::record::{self, Recorder};
use crate::fleet::{Fleet, hold, while_disturbed};
use crate::network::{Cuts, Network, Slowness};

/// The longest pause of a process.
const LONGEST_PAUSE_MS: u64 = 30_000;
/// The shortest.
const SHORTEST_PAUSE_MS: u64 = 100;

/// The longest delay of a sync.
const LONGEST_SYNC_MS: u64 = 2_000;
/// The shortest.
const SHORTEST_SYNC_MS: u64 = 50;

/// What is tortured, and by what.
pub(crate) struct Torture {
    pub(crate) fleet: Fleet,
    /// None when all nodes are on loopback addresses, which cannot be cut.
    pub(crate) network: Option<Network>,
    /// Whether syncs can be delayed, or why not.
    pub(crate) disks: Result<(), String>,
    /// The nodes' wall clocks, or why they have none of their own.
    pub(crate) clocks: Result<Clocks, String>,
    pub(crate) random: Random,
    pub(crate) seconds: u64,
}

/// A fault that was injected, by the clients' clock.
struct Injected {
    name: String,
    from: u64,
    to: u64,
}

/// Says where the history is when a run ends that failed, however it ends.
struct Kept(Option<PathBuf>);

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            println!("{}", record::how_to_judge(path));
        }
    }
}

/// What was done, besides when.
#[derive(Default)]
struct Means {
    slowness: Option<Slowness>,
    /// By slow disk: how many syncs were delayed.
    delayed_syncs: Vec<usize>,
    clock_jumps: usize,
}

impl Torture {
    /// Runs it all; whether no anomaly was found. The history stays in its file if the run fails.
    pub(crate) fn run(mut self, seed: u64, recorder: Recorder) -> ExitCode {
        let mut kept = Kept(Some(recorder.path().to_owned()));
        self.fleet.start_all();
        let (builder, load) = (self.fleet.clients.clone(), Load::default());
        let addresses = &self.fleet.addresses;
        let mut clients = Clients::recorded(builder, addresses, load, seed, Some(recorder));
        let clock = clients.clock();
        let is_full = clients.fullness();
        let ((), (injected, means)) =
            while_disturbed(|over| clients.run(over), || self.disturb(clock, &is_full));
        if is_full.load(Ordering::Acquire) {
            println!("the history is as large as it may be, so the run ends before its time");
        }
        self.fleet.check_alive();
        clients.read_all();
        (0..self.fleet.len()).for_each(|node| self.fleet.wait_until_caught_up(node));
        println!("judging {} transactions ...", clients.history.len());
        let verdict = judge(&clients.history);
        report(&injected, |from, to| longest_pause_within(&clients.history, from, to));
        let are_done = self.report_means(&means);
        println!("faults injected: {}", injected.len());
        println!("{verdict}");
        let started = std::mem::take(&mut self.fleet.started);
        drop(self.fleet);
        Clocks::sweep(&started);
        match verdict.anomalies.is_empty() && are_done {
            true => {
                kept.0 = None;
                clients.take_recorder().into_iter().for_each(Recorder::discard);
                ExitCode::SUCCESS
            }
            false => ExitCode::FAILURE,
        }
    }

    /// Says by what means faults were injected, and which could not be; whether those that were begun
    /// came about.
    fn report_means(&self, means: &Means) -> bool {
        match means.slowness {
            Some(Slowness::Netem) => println!("Slow: 200 ± 100 ms and 20 % loss by netem"),
            Some(Slowness::LossyAndNarrow) => println!(
                "Slow: this kernel has no netem, so 20 % loss by a filter, and links of 2 Mbit/s \
                 with queues of 300 ms"
            ),
            None => {}
        }
        match &self.clocks {
            Ok(_) => println!("wall clocks: {} jumps by libfaketime", means.clock_jumps),
            Err(why) => println!("wall clocks did not jump: {why}"),
        }
        let (disks, syncs) = (means.delayed_syncs.len(), means.delayed_syncs.iter().sum::<usize>());
        match &self.disks {
            Ok(()) => println!("slow disks: {disks}, with {syncs} delayed syncs, by strace"),
            Err(why) => println!("no disk was slow: {why}"),
        }
        // One disk may have nothing to write, where its node is cut off.
        let are_done = disks == 0 || syncs > 0;
        if !are_done {
            println!("FAILED: disks were to be slow, and no sync was delayed");
        }
        are_done
    }

    /// Injects faults until the time is over; all is well again at the end.
    fn disturb(&mut self, clock: Instant, is_full: &AtomicBool) -> (Vec<Injected>, Means) {
        let end = Instant::now() + Duration::from_secs(self.seconds);
        let (mut broken, mut hurts) = (Vec::new(), Vec::new());
        let (mut injected, mut means) = (Vec::new(), Means::default());
        while Instant::now() < end && !is_full.load(Ordering::Acquire) {
            let dice = self.random.between(0, 9);
            let breaks = self.network.is_some() && dice < 7;
            let hurt = (!breaks || dice < 3).then(|| {
                if hurts.is_empty() {
                    let (disks, clocks) = (self.disks.is_ok(), self.clocks.is_ok());
                    hurts = Hurt::deck(&mut self.random, disks, clocks);
                }
                hurts.pop()
            });
            let breaks = breaks.then(|| {
                if broken.is_empty() {
                    broken = Broken::deck(&mut self.random);
                }
                broken.pop()
            });
            let (breaks, hurt) = (breaks.flatten(), hurt.flatten());
            let name = |fault: &dyn std::fmt::Debug| format!("{fault:?}");
            let names = breaks.iter().map(|b| name(b)).chain(hurt.iter().map(|h| name(h)));
            let names: Vec<String> = names.collect();
            let from = nanos(clock);
            self.inject(breaks, hurt, end, &mut means);
            let to = nanos(clock);
            println!("{:7.1} s  {}", from as f64 / 1e9, names.join(" + "));
            injected.push(Injected { name: names.join(" + "), from, to });
            // The clients find their way in a healthy cluster, or do not yet.
            hold(Duration::from_millis(self.random.between(0, 2_000)));
            self.fleet.check_alive();
        }
        (injected, means)
    }

    /// One round: breaks the network, hurts processes, holds, and mends both.
    fn inject(
        &mut self,
        breaks: Option<Broken>,
        hurt: Option<Hurt>,
        end: Instant,
        means: &mut Means,
    ) {
        let leader = self.fleet.leader_now().unwrap_or(0);
        let others = (0..self.fleet.len()).filter(|node| *node != leader).collect();
        let others = shuffled(others, &mut self.random);
        if let (Some(network), Some(breaks)) = (&self.network, breaks) {
            if breaks == Broken::Slow {
                means.slowness = Some(network.slow().expect("the network can be slowed"));
            } else if breaks == Broken::ConstrainedElection {
                // The node that will have to lead misses something first.
                let hub = others[0];
                let away = others.iter().chain([&leader]).flat_map(|n| [(*n, hub), (hub, *n)]);
                network.cut(&away.collect()).expect("links can be cut");
                hold(Duration::from_millis(self.random.between(200, 800)));
            }
            network.cut(&breaks.cuts(leader, &others)).expect("links can be cut");
        }
        let left = end.saturating_duration_since(Instant::now());
        // In a short run shorter, so that there are many.
        let longest_ms = (self.seconds * 1_000 / 24).clamp(1_000, 8_000);
        let time = Duration::from_millis(self.random.between(500, longest_ms)).min(left);
        let one = *self.random.pick(&(0..self.fleet.len()).collect::<Vec<_>>());
        match hurt {
            None => hold(time),
            Some(Hurt::KillOne) => self.killed(&[one], time),
            Some(Hurt::KillLeader) => self.killed(&[leader], time),
            Some(Hurt::KillAll) => {
                hold(time / 2);
                let all: Vec<usize> = (0..self.fleet.len()).collect();
                self.killed(&all, time / 4);
                hold(time / 2);
            }
            Some(Hurt::PauseOne) => self.paused(one, left),
            Some(Hurt::PauseLeader) => self.paused(leader, left),
            Some(Hurt::RollingRestart) => {
                for node in 0..self.fleet.len() {
                    self.fleet.stop(node);
                    self.fleet.start(node);
                    hold(time / 8);
                }
            }
            Some(Hurt::SlowDiskOfOne) => self.slow_disks(&[one], time, means),
            Some(Hurt::SlowDiskOfLeader) => self.slow_disks(&[leader], time, means),
            Some(Hurt::SlowDisksOfTwo) => {
                let two: Vec<usize> = others.iter().take(1).chain([&leader]).copied().collect();
                self.slow_disks(&two, time, means);
            }
            Some(Hurt::ClockJumps) => {
                for _ in 0..2 {
                    (0..self.fleet.len()).for_each(|node| self.clock_jumps(node, means));
                    hold(time / 2);
                }
            }
            Some(Hurt::KillAndClockJump) => {
                self.fleet.kill(one);
                self.clock_jumps(one, means);
                hold(time / 4);
                self.fleet.start(one);
                hold(time / 2);
            }
        }
        if let Some(network) = &self.network {
            network.hasten();
            network.cut(&Cuts::new()).expect("links can be mended");
        }
    }

    fn killed(&mut self, nodes: &[usize], time: Duration) {
        nodes.iter().for_each(|node| self.fleet.kill(*node));
        hold(time);
        nodes.iter().for_each(|node| self.fleet.start(*node));
    }

    /// Short delays are as likely as long ones, by their order of magnitude.
    fn slow_disks(&mut self, nodes: &[usize], time: Duration, means: &mut Means) {
        let doublings = (LONGEST_SYNC_MS / SHORTEST_SYNC_MS).ilog2();
        let slow = |node: &usize| {
            let delay = SHORTEST_SYNC_MS << self.random.between(0, doublings.into());
            let delay = (delay + self.random.between(0, delay)).min(LONGEST_SYNC_MS);
            let name = format!("{}-{node}.syncs", means.delayed_syncs.len());
            let trace = self.fleet.directory().join(name);
            SlowDisk::new(self.fleet.process(*node).id(), Duration::from_millis(delay), trace)
        };
        let disks: Vec<SlowDisk> = nodes.iter().map(slow).collect();
        // Long enough for a sync or two.
        hold(time.max(Duration::from_millis(2 * LONGEST_SYNC_MS)));
        means.delayed_syncs.extend(disks.into_iter().map(SlowDisk::end));
    }

    fn clock_jumps(&mut self, node: usize, means: &mut Means) {
        let clocks = self.clocks.as_ref().expect("it is in the deck only then");
        if self.fleet.runs(node) {
            let process = self.fleet.process(node).id();
            assert!(Clocks::is_seen_by(process), "node {node} does not see its clock");
        }
        clocks.jump(node, &mut self.random);
        means.clock_jumps += 1;
    }

    /// Short pauses are as likely as long ones, by their order of magnitude.
    fn paused(&mut self, node: usize, left: Duration) {
        let doublings = (LONGEST_PAUSE_MS / SHORTEST_PAUSE_MS).ilog2();
        let time = SHORTEST_PAUSE_MS << self.random.between(0, doublings.into());
        let time = (time + self.random.between(0, time)).min(LONGEST_PAUSE_MS);
        // No one pause takes most of a short run.
        let time = Duration::from_millis(time).min(Duration::from_secs(self.seconds) / 8);
        self.fleet.process(node).signal("STOP");
        hold(time.min(left));
        self.fleet.process(node).signal("CONT");
    }
}

fn nanos(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn report(injected: &[Injected], pause: impl Fn(u64, u64) -> Duration) {
    let mut by_name: BTreeMap<&str, (usize, Duration, Duration)> = BTreeMap::new();
    for Injected { name, from, to } in injected {
        let (times, lasted, longest) = by_name.entry(name).or_default();
        *times += 1;
        *lasted += Duration::from_nanos(to - from);
        *longest = (*longest).max(pause(*from, *to));
    }
    println!("\n{:<36} {:>5} {:>9} {:>22}", "fault", "times", "seconds", "longest without write");
    for (name, (times, lasted, longest)) in by_name {
        let (lasted, longest) = (lasted.as_secs_f64(), longest.as_secs_f64());
        println!("{name:<36} {times:>5} {lasted:>9.1} {longest:>20.1} s");
    }
}
