//! Measures how long a cluster of three takes to serve again when two of its nodes can exchange
//! packets again: `scripts/heals`. It judges no answer.
//!
//! Three links make eight networks. A case is an ordered pair of them, of which the second leaves
//! two nodes connected: the first network lasts for some time, then the second begins, and the time
//! from there to the first write served is measured under full load. How long the first network
//! lasts, and whether it flaps before, changes from case to case, as TCP waits longer after a
//! longer cut.

use std::collections::VecDeque;
use std::fmt;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lattistore_sim::simulator::Random;

use crate::fleet::{Fleet, hold, while_disturbed};
use crate::network::{Cuts, Network};
use crate::support::PATIENCE;

/// How many clients keep the cluster busy.
const LOADS: usize = 4;
/// How many requests each of them has in flight.
const WINDOW: usize = 64;
/// The size of a value that they write.
const VALUE_BYTES: usize = 1024;
/// How many clients probe each node, to see when it serves.
const PROBES: usize = 2;
/// The timeout of a probe.
const PROBE_TIME: Duration = Duration::from_millis(300);
/// The pause between two probes of one client.
const PROBE_PAUSE: Duration = Duration::from_millis(5);
/// How long no link is cut before a case.
const CALM: Duration = Duration::from_millis(1_500);

/// The links by the roles of their ends: 0 is the leader, 1 and 2 are followers.
const LINKS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];

/// A set of links that are cut, a bit for each of [`LINKS`].
type Cut = u8;

/// How long the first network of a case lasts.
#[derive(Clone, Copy, Debug)]
enum Before {
    Short,
    Middle,
    Long,
    /// It alternates with the second one before.
    Flapping,
}

const BEFORE: [Before; 4] = [Before::Short, Before::Middle, Before::Long, Before::Flapping];

struct Case {
    first: Cut,
    second: Cut,
    before: Before,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<14} {:?}, then {}", name(self.first), self.before, name(self.second))
    }
}

fn name(cut: Cut) -> String {
    let names = ["LA", "LB", "AB"];
    let cut_links = (0..3).filter(|link| cut >> link & 1 == 1).map(|link| names[link]);
    match cut {
        0 => "nothing cut".to_owned(),
        _ => format!("cut {}", cut_links.collect::<Vec<_>>().join(" ")),
    }
}

/// Runs all cases `rounds` times and prints the figures.
pub(crate) fn run(mut fleet: Fleet, network: &Network, rounds: u64, seed: u64) -> ExitCode {
    fleet.start_all();
    fleet.leader();
    let served = Served::new(fleet.len());
    let ((), times) = while_disturbed(
        |over| served.load_and_probe(&fleet, over),
        || measure(&fleet, network, &served, rounds, seed),
    );
    fleet.check_alive();
    report(times)
}

/// The times at which writes were served.
struct Served {
    start: Instant,
    nodes: usize,
    /// The begin and the answer of the latest writes.
    writes: Mutex<VecDeque<(Instant, Instant)>>,
    loaded: std::sync::atomic::AtomicU64,
}

impl Served {
    fn new(nodes: usize) -> Served {
        let (start, writes) = (Instant::now(), Mutex::default());
        Served { start, nodes, writes, loaded: 0.into() }
    }

    fn load_and_probe(&self, fleet: &Fleet, over: &AtomicBool) {
        thread::scope(|scope| {
            for number in 0..LOADS {
                scope.spawn(move || self.load(fleet, number, over));
            }
            for node in 0..self.nodes {
                for number in 0..PROBES {
                    scope.spawn(move || self.probe(fleet, node, number, over));
                }
            }
        });
    }

    fn load(&self, fleet: &Fleet, number: usize, over: &AtomicBool) {
        let client = fleet.client();
        let mut pending = VecDeque::new();
        let value = "x".repeat(VALUE_BYTES);
        for count in 0_u64.. {
            if over.load(Ordering::Acquire) {
                break;
            }
            let key = format!("load/{number}/{}", count % 1_000);
            let params = [("k", key.as_str().into()), ("v", value.as_str().into())];
            pending.push_back(client.submit("put $k $v;", params));
            if pending.len() >= WINDOW
                && let Some(first) = pending.pop_front()
                && first.wait().is_ok()
            {
                self.loaded.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Probes one node only: it answers while it leads.
    fn probe(&self, fleet: &Fleet, node: usize, number: usize, over: &AtomicBool) {
        let builder = fleet.clients.clone().address(fleet.socket(node)).follow(false);
        let client = builder.timeout(PROBE_TIME).build();
        while !over.load(Ordering::Acquire) {
            let begun = Instant::now();
            if client.put(&format!("probe/{node}/{number}"), "x").is_ok() {
                let mut writes = self.writes.lock().unwrap();
                writes.push_back((begun, Instant::now()));
                if writes.len() > 10_000 {
                    writes.pop_front();
                }
            }
            thread::sleep(PROBE_PAUSE);
        }
    }

    /// Returns the time from `since` to the first answer of a write that began after it.
    fn first_after(&self, since: Instant) -> Option<Duration> {
        let writes = self.writes.lock().unwrap();
        let after = writes.iter().filter(|(begun, _)| *begun >= since);
        after.map(|(_, answered)| *answered - since).min()
    }
}

fn measure(
    fleet: &Fleet,
    network: &Network,
    served: &Served,
    rounds: u64,
    seed: u64,
) -> Vec<(Duration, String)> {
    let mut random = Random::new(seed, 0);
    let mut times = Vec::new();
    for round in 0..rounds {
        let mut kind = usize::try_from(round).unwrap();
        for first in 0..8 {
            for second in (0..8_u8).filter(|second| second.count_ones() < 3 && *second != first) {
                let case = Case { first, second, before: BEFORE[kind % 4] };
                // As `kind` begins with the round, a case has another `before` in each round.
                kind += 1;
                let time = heal(fleet, network, served, &case, &mut random);
                println!("{:7.0} ms  {case}", time.as_secs_f64() * 1e3);
                times.push((time, case.to_string()));
            }
        }
    }
    let rate = served.loaded.load(Ordering::Relaxed) as f64 / served.start.elapsed().as_secs_f64();
    println!("load: {rate:.0} writes of {VALUE_BYTES} bytes a second, cuts included");
    times
}

/// Runs one case; returns the time from its second network to the first write served.
fn heal(
    fleet: &Fleet,
    network: &Network,
    served: &Served,
    case: &Case,
    random: &mut Random,
) -> Duration {
    network.cut(&Cuts::new()).expect("links can be healed");
    hold(CALM);
    let leader = fleet.leader();
    let others: Vec<usize> = (0..fleet.len()).filter(|node| *node != leader).collect();
    let roles = match random.flip() {
        true => [leader, others[0], others[1]],
        false => [leader, others[1], others[0]],
    };
    let apply = |cut: Cut| {
        let links = (0..3).filter(|link| cut >> link & 1 == 1).map(|link| LINKS[link]);
        let ends = links.map(|(one, other)| (roles[one], roles[other]));
        let both = ends.flat_map(|(one, other)| [(one, other), (other, one)]);
        network.cut(&both.collect()).expect("links can be cut");
    };
    let between = |random: &mut Random, from, to| {
        hold(Duration::from_millis(random.between(from, to)));
    };
    match case.before {
        Before::Short => {
            apply(case.first);
            between(random, 200, 800);
        }
        Before::Middle => {
            apply(case.first);
            between(random, 800, 3_000);
        }
        Before::Long => {
            apply(case.first);
            between(random, 3_000, 8_000);
        }
        Before::Flapping => {
            for _ in 0..4 {
                apply(case.first);
                between(random, 100, 600);
                apply(case.second);
                between(random, 50, 300);
            }
            apply(case.first);
            between(random, 100, 600);
        }
    }
    apply(case.second);
    let since = Instant::now();
    loop {
        if let Some(time) = served.first_after(since) {
            return time;
        }
        assert!(since.elapsed() < PATIENCE, "nothing was served after: {case}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn report(mut times: Vec<(Duration, String)>) -> ExitCode {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].0;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{} heals to the first write served: median {:.0} ms, p90 {:.0} ms, p99 {:.0} ms",
        times.len(),
        ms(at(50)),
        ms(at(90)),
        ms(at(99))
    );
    println!("the slowest:");
    for (time, case) in times.iter().rev().take(5) {
        println!("{:7.0} ms  {case}", ms(*time));
    }
    let late = times.iter().filter(|(time, _)| *time > Duration::from_secs(1)).count();
    println!("maximum {:.0} ms; above 1 s: {late} of {}", ms(at(100)), times.len());
    ExitCode::SUCCESS
}
