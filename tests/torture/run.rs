//! One run: faults one after another under load, then the judges, then the figures.
//!
//! A round injects a broken network, a fault of processes, or both, for some time, and ends both.
//! Each kind of fault is drawn from a shuffled deck, so that every kind comes up in a long run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lattistore_sim::simulator::Random;

use crate::clocks::Clocks;
use crate::disks::SlowDisk;
use crate::faults::{NetworkFault, ProcessFault, shuffled};
use crate::fleet::clients::{Clients, Load};
use crate::fleet::judge::{judge, longest_pause_within};
use crate::fleet::record::{self, Recorder};
use crate::fleet::{Fleet, hold, while_disturbed};
use crate::network::{Cuts, Network, Slowness};

/// The longest pause of a process.
const LONGEST_PAUSE_MS: u64 = 30_000;
/// The shortest.
const SHORTEST_PAUSE_MS: u64 = 100;

/// The longest delay of an fsync.
const LONGEST_SYNC_MS: u64 = 2_000;
/// The shortest.
const SHORTEST_SYNC_MS: u64 = 50;

/// The cluster of a run and the means of its faults.
pub(crate) struct Torture {
    pub(crate) fleet: Fleet,
    /// `None` if all nodes are on loopback addresses, between which no link can be cut.
    pub(crate) network: Option<Network>,
    /// The reason if fsyncs cannot be delayed.
    pub(crate) disks: Result<(), String>,
    /// The wall clocks of the nodes, or the reason why they cannot jump.
    pub(crate) clocks: Result<Clocks, String>,
    pub(crate) random: Random,
    pub(crate) seconds: u64,
}

/// A fault that was injected; its times are those of the history, in nanoseconds.
struct Injected {
    name: String,
    from: u64,
    to: u64,
}

/// Prints where the history is when it is dropped, so also after a panic.
struct PrintHistoryPath(Option<PathBuf>);

impl Drop for PrintHistoryPath {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            println!("{}", record::how_to_judge(path));
        }
    }
}

/// How faults were injected, for the report.
#[derive(Default)]
struct Means {
    slowness: Option<Slowness>,
    /// For each slow disk, how many fsyncs were delayed.
    delayed_syncs: Vec<usize>,
    clock_jumps: usize,
}

impl Torture {
    /// Runs everything; succeeds if there is no anomaly. The file of the history is kept if it
    /// fails.
    pub(crate) fn run(mut self, seed: u64, recorder: Recorder) -> ExitCode {
        let mut kept = PrintHistoryPath(Some(recorder.path().to_owned()));
        self.fleet.start_all();
        let (builder, load) = (self.fleet.clients.clone(), Load::default());
        let addresses = &self.fleet.addresses;
        let mut clients = Clients::recorded(builder, addresses, load, seed, Some(recorder));
        let clock = clients.clock();
        let is_full = clients.fullness();
        let ((), (injected, means)) =
            while_disturbed(|over| clients.run(over), || self.disturb(clock, &is_full));
        if is_full.load(Ordering::Acquire) {
            println!("the history has reached its maximum size, so the run ends before its time");
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

    /// Prints by what means faults were injected, and which could not be. Returns whether the
    /// faults that were injected had an effect.
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
            Ok(()) => println!("slow disks: {disks}, with {syncs} delayed fsyncs, by strace"),
            Err(why) => println!("no disk was slow: {why}"),
        }
        // A single disk may have nothing to write, if its node is cut off.
        let are_done = disks == 0 || syncs > 0;
        if !are_done {
            println!("FAILED: disks were meant to be slow, but no fsync was delayed");
        }
        are_done
    }

    /// Injects faults until the time is over, and ends the last one.
    fn disturb(&mut self, clock: Instant, is_full: &AtomicBool) -> (Vec<Injected>, Means) {
        let end = Instant::now() + Duration::from_secs(self.seconds);
        let (mut network_faults, mut process_faults) = (Vec::new(), Vec::new());
        let (mut injected, mut means) = (Vec::new(), Means::default());
        while Instant::now() < end && !is_full.load(Ordering::Acquire) {
            let dice = self.random.between(0, 9);
            let network_fault = self.network.is_some() && dice < 7;
            let process_fault = (!network_fault || dice < 3).then(|| {
                if process_faults.is_empty() {
                    let (disks, clocks) = (self.disks.is_ok(), self.clocks.is_ok());
                    process_faults = ProcessFault::deck(&mut self.random, disks, clocks);
                }
                process_faults.pop()
            });
            let network_fault = network_fault.then(|| {
                if network_faults.is_empty() {
                    network_faults = NetworkFault::deck(&mut self.random);
                }
                network_faults.pop()
            });
            let (network_fault, process_fault) = (network_fault.flatten(), process_fault.flatten());
            let name = |fault: &dyn std::fmt::Debug| format!("{fault:?}");
            let names =
                network_fault.iter().map(|b| name(b)).chain(process_fault.iter().map(|h| name(h)));
            let names: Vec<String> = names.collect();
            let from = nanos(clock);
            self.inject(network_fault, process_fault, end, &mut means);
            let to = nanos(clock);
            println!("{:7.1} s  {}", from as f64 / 1e9, names.join(" + "));
            injected.push(Injected { name: names.join(" + "), from, to });
            // The next fault comes when the clients have found the leader again, or before.
            hold(Duration::from_millis(self.random.between(0, 2_000)));
            self.fleet.check_alive();
        }
        (injected, means)
    }

    /// Runs one round: breaks the network, injects a fault of processes, waits, and ends both.
    fn inject(
        &mut self,
        network_fault: Option<NetworkFault>,
        process_fault: Option<ProcessFault>,
        end: Instant,
        means: &mut Means,
    ) {
        let leader = self.fleet.leader_now().unwrap_or(0);
        let others = (0..self.fleet.len()).filter(|node| *node != leader).collect();
        let others = shuffled(others, &mut self.random);
        if let (Some(network), Some(network_fault)) = (&self.network, network_fault) {
            if network_fault == NetworkFault::Slow {
                means.slowness = Some(network.slow().expect("the network can be slowed"));
            } else if network_fault == NetworkFault::ConstrainedElection {
                // First the node that will have to lead is cut off, so that it misses some slots.
                let hub = others[0];
                let away = others.iter().chain([&leader]).flat_map(|n| [(*n, hub), (hub, *n)]);
                network.cut(&away.collect()).expect("links can be cut");
                hold(Duration::from_millis(self.random.between(200, 800)));
            }
            network.cut(&network_fault.cuts(leader, &others)).expect("links can be cut");
        }
        let left = end.saturating_duration_since(Instant::now());
        // Rounds are shorter in a short run, so that there are many.
        let longest_ms = (self.seconds * 1_000 / 24).clamp(1_000, 8_000);
        let time = Duration::from_millis(self.random.between(500, longest_ms)).min(left);
        let one = *self.random.pick(&(0..self.fleet.len()).collect::<Vec<_>>());
        match process_fault {
            None => hold(time),
            Some(ProcessFault::KillOne) => self.killed(&[one], time),
            Some(ProcessFault::KillLeader) => self.killed(&[leader], time),
            Some(ProcessFault::KillAll) => {
                hold(time / 2);
                let all: Vec<usize> = (0..self.fleet.len()).collect();
                self.killed(&all, time / 4);
                hold(time / 2);
            }
            Some(ProcessFault::PauseOne) => self.paused(one, left),
            Some(ProcessFault::PauseLeader) => self.paused(leader, left),
            Some(ProcessFault::RollingRestart) => {
                for node in 0..self.fleet.len() {
                    self.fleet.stop(node);
                    self.fleet.start(node);
                    hold(time / 8);
                }
            }
            Some(ProcessFault::SlowDiskOfOne) => self.slow_disks(&[one], time, means),
            Some(ProcessFault::SlowDiskOfLeader) => self.slow_disks(&[leader], time, means),
            Some(ProcessFault::SlowDisksOfTwo) => {
                let two: Vec<usize> = others.iter().take(1).chain([&leader]).copied().collect();
                self.slow_disks(&two, time, means);
            }
            Some(ProcessFault::ClockJumps) => {
                for _ in 0..2 {
                    (0..self.fleet.len()).for_each(|node| self.clock_jumps(node, means));
                    hold(time / 2);
                }
            }
            Some(ProcessFault::KillAndClockJump) => {
                self.fleet.kill(one);
                self.clock_jumps(one, means);
                hold(time / 4);
                self.fleet.start(one);
                hold(time / 2);
            }
        }
        if let Some(network) = &self.network {
            network.end_slow();
            network.cut(&Cuts::new()).expect("links can be healed");
        }
    }

    fn killed(&mut self, nodes: &[usize], time: Duration) {
        nodes.iter().for_each(|node| self.fleet.kill(*node));
        hold(time);
        nodes.iter().for_each(|node| self.fleet.start(*node));
    }

    /// Makes the disks of some nodes slow. Every order of magnitude of the delay is equally likely.
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
        // Long enough for at least one fsync.
        hold(time.max(Duration::from_millis(2 * LONGEST_SYNC_MS)));
        means.delayed_syncs.extend(disks.into_iter().map(SlowDisk::end));
    }

    fn clock_jumps(&mut self, node: usize, means: &mut Means) {
        let clocks = self.clocks.as_ref().expect("the deck has this fault only if clocks can jump");
        if self.fleet.runs(node) {
            let process = self.fleet.process(node).id();
            assert!(Clocks::is_seen_by(process), "node {node} has not loaded libfaketime");
        }
        clocks.jump(node, &mut self.random);
        means.clock_jumps += 1;
    }

    /// Stops a node for some time. Every order of magnitude of the pause is equally likely.
    fn paused(&mut self, node: usize, left: Duration) {
        let doublings = (LONGEST_PAUSE_MS / SHORTEST_PAUSE_MS).ilog2();
        let time = SHORTEST_PAUSE_MS << self.random.between(0, doublings.into());
        let time = (time + self.random.between(0, time)).min(LONGEST_PAUSE_MS);
        // A pause takes at most an eighth of the run.
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
