//! The measurements. Each prints what it finds; none checks a time.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::Fleet;
use crate::load::{KeyOf, Progress, bytes_received, disk_mib, resident_mib, write};
use crate::support::eventually;

/// The interval at which progress is checked.
const POLL: Duration = Duration::from_millis(10);

/// Measures how long a node that was down takes to catch up, and how many bytes it receives; then
/// how long a node takes to start.
pub(crate) fn catch_up(transactions: u64) {
    let cases: [(&str, KeyOf); 2] =
        [("1,000 keys, overwritten", |number| number % 1_000), ("a new key each", |n| n)];
    println!("{transactions} transactions while one of three nodes is down");
    println!(
        "{:<30} {:>12} {:>12} {:>12} {:>12}",
        "", "writing, s", "catch up, s", "MiB received", "entries"
    );
    let mut fleets = Vec::new();
    for (name, key_of) in cases {
        let mut fleet = Fleet::loopback(3);
        write(&fleet.addresses, 1_000, key_of, &Progress::default());
        let away = fleet.followers()[0];
        fleet.kill(away);
        let start = Instant::now();
        write(&fleet.addresses, transactions, key_of, &Progress::default());
        let writing = start.elapsed().as_secs_f64();
        let goal = fleet.status(fleet.leader()).unwrap().complete;
        let start = Instant::now();
        fleet.start(away);
        eventually("the node to catch up", || {
            thread::sleep(POLL);
            (fleet.status(away)?.complete >= goal).then_some(())
        });
        let catching_up = start.elapsed().as_secs_f64();
        let received = bytes_received(fleet.addresses[away])
            .map_or("?".into(), |bytes| format!("{:.1}", bytes as f64 / f64::from(1 << 20)));
        let entries = fleet.status(away).unwrap().entries;
        println!("{name:<30} {writing:>12.1} {catching_up:>12.2} {received:>12} {entries:>12}");
        fleets.push((fleet, away));
    }
    let (fleet, node) = fleets.last_mut().unwrap();
    start_up(fleet, *node);
}

/// Kills a node and measures how long it takes until it listens again.
fn start_up(fleet: &mut Fleet, node: usize) {
    let entries = fleet.status(node).unwrap().entries;
    fleet.kill(node);
    let start = Instant::now();
    fleet.start(node);
    eventually("the node to listen", || {
        fleet.process(node).log().contains("listens on").then_some(())
    });
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "start-up after kill -9: {entries} entries in {seconds:.2} s, {:.0} per second",
        entries as f64 / seconds
    );
}

/// Measures the throughput while one node is down and while it catches up, as ratios to the
/// throughput with all nodes just before and after.
pub(crate) fn throughput(cycles: u64, seconds: u64) {
    let mut fleet = Fleet::loopback(3);
    let (addresses, progress) = (fleet.addresses.clone(), Progress::default());
    let window = Duration::from_secs(seconds);
    // Returns the transactions per second, and the seconds.
    let measure = |until: &mut dyn FnMut() -> bool| {
        let (start, before) = (Instant::now(), progress.acknowledged());
        while !until() {
            thread::sleep(POLL);
        }
        let seconds = start.elapsed().as_secs_f64();
        ((progress.acknowledged() - before) as f64 / seconds, seconds)
    };
    let for_a_window = || {
        let start = Instant::now();
        measure(&mut || start.elapsed() >= window).0
    };
    let lag = |fleet: &Fleet, node: usize| {
        let goal = fleet.status(fleet.leader_now()?)?.complete.0;
        Some(goal.saturating_sub(fleet.status(node)?.complete.0))
    };
    println!(
        "transactions per second, and the ratio to those with all nodes, just before and after"
    );
    println!("{:>12} {:>20} {:>32} {:>12}", "all nodes", "one down", "catching up", "all nodes");
    let mut ratios = [Vec::new(), Vec::new()];
    thread::scope(|scope| {
        scope.spawn(|| write(&addresses, 1 << 26, |number| number % 200_000, &progress));
        // A first window fills the state and warms the caches.
        for_a_window();
        let mut before = for_a_window();
        for _ in 0..cycles {
            let node = fleet.followers()[0];
            fleet.kill(node);
            let away = for_a_window();
            fleet.start(node);
            let (back, took) = measure(&mut || lag(&fleet, node).is_some_and(|slots| slots < 100));
            let after = for_a_window();
            let of = |rate: f64| rate / ((before + after) / 2.0);
            println!(
                "{before:>12.0} {away:>12.0} ({:>4.2}x) {back:>12.0} ({:>4.2}x, {took:>4.1} s) \
                 {after:>12.0}",
                of(away),
                of(back),
            );
            ratios[0].push(of(away));
            ratios[1].push(of(back));
            before = after;
        }
        progress.over.store(true, Ordering::Relaxed);
    });
    for (name, mut ratios) in ["one down", "catching up"].into_iter().zip(ratios) {
        ratios.sort_by(f64::total_cmp);
        let (min, max) = (ratios[0], ratios[ratios.len() - 1]);
        println!("{name}: median {:.2}, from {min:.2} to {max:.2}", ratios[ratios.len() / 2]);
    }
}

/// Measures memory and disk of each node after each million of small transactions.
pub(crate) fn soak(millions: u64) {
    let fleet = Fleet::loopback(3);
    let (addresses, progress) = (&fleet.addresses, &Progress::default());
    let start = Instant::now();
    println!("{:>9} {:>9} {:>24} {:>24}", "millions", "seconds", "resident, MiB", "disk, MiB");
    thread::scope(|scope| {
        let total = millions * 1_000_000;
        scope.spawn(move || write(addresses, total, |number| number % 10_000, progress));
        for million in 1..=millions {
            while progress.acknowledged() < million * 1_000_000 {
                thread::sleep(POLL);
            }
            let of_nodes = |of: &dyn Fn(usize) -> u64| {
                (0..3).map(|node| format!("{:>8}", of(node))).collect::<String>()
            };
            println!(
                "{million:>9} {:>9.0} {} {}",
                start.elapsed().as_secs_f64(),
                of_nodes(&|node| resident_mib(fleet.process(node).id())),
                of_nodes(&|node| disk_mib(&fleet.data(node))),
            );
        }
    });
}
