//! Overload: requests above a bound are rejected at once, and the leader stays the leader.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lattistore::lpaxos::Config;
use lattistore::transport::Settings;
use lattistore::wire::ClientOutcome;

use crate::raw::{Raw, Target, execute, request};
use crate::support::Cluster;
use crate::table::{patient, promised, resident_bytes, settled};

/// How much more memory a flood may take: what the bounds allow, the stored values, and a margin.
const FLOOD_BYTES: u64 = 256 << 20;

/// The outcomes of a flood.
#[derive(Default)]
struct Tally {
    served: AtomicUsize,
    rejected: AtomicUsize,
}

/// Sends requests on `clients` connections without waiting for answers; counts the answers.
fn flood(target: &Target, clients: usize, each: u64, program: &str, value: &str) -> Tally {
    let tally = Tally::default();
    thread::scope(|scope| {
        for _ in 0..clients {
            let raw = target.client();
            let mut sender = Raw(raw.0.try_clone().unwrap());
            scope.spawn(move || {
                for id in 1..=each {
                    sender.send(&request(id, 60_000, execute(program, &[("v", value)])));
                }
            });
            scope.spawn(|| count(raw, each, &tally));
        }
    });
    tally
}

fn count(mut raw: Raw, each: u64, tally: &Tally) {
    for _ in 0..each {
        let counted = match raw.answer().1 {
            ClientOutcome::Read { .. } | ClientOutcome::RuntimeError(_) => &tally.served,
            ClientOutcome::TooManyRequests => &tally.rejected,
            outcome => panic!("{outcome:?}"),
        };
        counted.fetch_add(1, Ordering::Relaxed);
    }
}

/// Floods a cluster; returns how many requests were served and rejected.
fn survive(
    config: Config,
    settings: Settings,
    clients: usize,
    each: u64,
    program: &str,
    value: &str,
) -> (usize, usize) {
    let cluster = Cluster::with_settings(3, config, settings);
    cluster.client().put("before", "1").unwrap();
    let ballots = settled(&cluster);
    let (target, before) = (Target::of(&cluster), resident_bytes());
    let tally = flood(&target, clients, each, program, value);
    let after = resident_bytes();
    assert!(after < before + FLOOD_BYTES, "{before} bytes grew to {after}");
    assert_eq!(promised(&cluster), ballots, "the leader changed");
    assert_eq!(cluster.client().get("before").unwrap().as_deref(), Some("1"));
    let (served, rejected) = (tally.served.into_inner(), tally.rejected.into_inner());
    assert_eq!(served + rejected, clients * usize::try_from(each).unwrap());
    (served, rejected)
}

#[test]
fn requests_above_max_queue_are_rejected() {
    let config = Config { max_queue: 32, max_batch: 8, ..patient() };
    let (served, rejected) =
        survive(config, Settings::default(), 32, 500, "put \"a\" $v;", &"x".repeat(100));
    assert!(served > 0 && rejected > 0, "{served} served, {rejected} rejected");
}

#[test]
fn requests_above_max_in_flight_bytes_are_rejected() {
    let settings = Settings { max_in_flight_bytes: 8 << 20, ..Settings::default() };
    let value = "x".repeat(1 << 20);
    let (served, rejected) = survive(patient(), settings, 12, 30, "put \"a\" $v;", &value);
    assert!(served > 0 && rejected > 0, "{served} served, {rejected} rejected");
}

#[test]
fn heavy_programs_do_not_cause_an_election() {
    let config = Config { unreachable_ms: 5_000, ..Config::default() };
    // A copy of a long text takes thousands of steps.
    let long = format!("x = \"b\"; {}", "x = x + x; ".repeat(19));
    let heavy = format!("{long}{}put \"a\" $v;", "y = x + \"b\"; ".repeat(20));
    let (served, _) = survive(config, Settings::default(), 8, 60, &heavy, "1");
    assert!(served > 0);
}
