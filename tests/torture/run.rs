//! One run: faults in turn while clients go on, then the judges, then the numbers.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lattistore::sim::Random;

use crate::faults::{Broken, Hurt, shuffled};
use crate::fleet::clients::{Clients, Load};
use crate::fleet::judge::{Verdict, judge, longest_pause_within};
use crate::fleet::{Fleet, hold, while_disturbed};
use crate::network::{Cuts, Network, Slowness};

/// The longest pause of a process.
const LONGEST_PAUSE_MS: u64 = 30_000;
/// The shortest.
const SHORTEST_PAUSE_MS: u64 = 100;

/// What is tortured, and by what.
pub(crate) struct Torture {
    pub(crate) fleet: Fleet,
    /// None when all nodes are on loopback addresses, which cannot be cut.
    pub(crate) network: Option<Network>,
    pub(crate) random: Random,
    pub(crate) seconds: u64,
}

/// A fault that was injected, by the clients' clock.
struct Injected {
    name: String,
    from: u64,
    to: u64,
}

impl Torture {
    /// Runs it all; whether no anomaly was found.
    pub(crate) fn run(mut self, seed: u64) -> ExitCode {
        self.fleet.start_all();
        let mut clients = Clients::new(&self.fleet.addresses, Load::default(), seed);
        let clock = clients.clock();
        let ((), (injected, slowness)) =
            while_disturbed(|over| clients.run(over), || self.disturb(clock));
        self.fleet.check_alive();
        clients.read_all();
        (0..self.fleet.len()).for_each(|node| self.fleet.wait_until_caught_up(node));
        println!("judging {} transactions ...", clients.history.len());
        let verdict = judge(&clients.history);
        report(&verdict, &injected, slowness, |from, to| {
            longest_pause_within(&clients.history, from, to)
        });
        match verdict.anomalies.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }

    /// Injects faults until the time is over; all is well again at the end.
    fn disturb(&mut self, clock: Instant) -> (Vec<Injected>, Option<Slowness>) {
        let end = Instant::now() + Duration::from_secs(self.seconds);
        let (mut broken, mut hurts) = (Vec::new(), Vec::new());
        let (mut injected, mut slowness) = (Vec::new(), None);
        while Instant::now() < end {
            let dice = self.random.between(0, 9);
            let breaks = self.network.is_some() && dice < 7;
            let hurt = (!breaks || dice < 3).then(|| {
                if hurts.is_empty() {
                    hurts = Hurt::deck(&mut self.random);
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
            self.inject(breaks, hurt, end, &mut slowness);
            let to = nanos(clock);
            println!("{:7.1} s  {}", from as f64 / 1e9, names.join(" + "));
            injected.push(Injected { name: names.join(" + "), from, to });
            // The clients find their way in a healthy cluster, or do not yet.
            hold(Duration::from_millis(self.random.between(0, 2_000)));
            self.fleet.check_alive();
        }
        (injected, slowness)
    }

    /// One round: breaks the network, hurts processes, holds, and mends both.
    fn inject(
        &mut self,
        breaks: Option<Broken>,
        hurt: Option<Hurt>,
        end: Instant,
        slowness: &mut Option<Slowness>,
    ) {
        let leader = self.fleet.leader_now().unwrap_or(0);
        let others = (0..self.fleet.len()).filter(|node| *node != leader).collect();
        let others = shuffled(others, &mut self.random);
        if let (Some(network), Some(breaks)) = (&self.network, breaks) {
            if breaks == Broken::Slow {
                *slowness = Some(network.slow().expect("the network can be slowed"));
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

fn report(
    verdict: &Verdict,
    injected: &[Injected],
    slowness: Option<Slowness>,
    pause: impl Fn(u64, u64) -> Duration,
) {
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
    match slowness {
        Some(Slowness::Netem) => println!("Slow: 200 ± 100 ms and 20 % loss by netem"),
        Some(Slowness::LossyAndNarrow) => println!(
            "Slow: this kernel has no netem, so 20 % loss by a filter, and links of 2 Mbit/s with \
             queues of 300 ms"
        ),
        None => {}
    }
    println!("faults injected: {}", injected.len());
    println!("{verdict}");
}
