//! Injects random faults into a cluster of server processes under load, and judges every answer
//! that its clients saw: `scripts/torture`.
//!
//! [`run`] draws the faults: broken networks and faults of processes ([`faults`]), slow disks
//! ([`disks`]) and jumping wall clocks ([`clocks`]). The clients and the judges are those of
//! [`fleet`]. The history is written to a file while the run goes on, and stays there if it fails.
//! [`heals`] is a measurement instead: the time from a heal to the first write served.
//!
//! Broken networks need root: each node then has its own network namespace ([`network`]). Without
//! root the nodes are on loopback addresses, and only processes have faults. The program that is
//! started makes the namespaces, runs itself again inside the one of the clients, and removes the
//! namespaces when that ends, however it ends.
//!
//! `cargo test` does not run this: it has no natural end.

#![allow(clippy::unwrap_used)]

mod clocks;
mod disks;
mod faults;
#[path = "../fleet/mod.rs"]
mod fleet;
mod heals;
mod network;
#[path = "../reference/mod.rs"]
mod reference;
mod run;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::thread;

use clap::Parser;
use lattistore_sim::simulator::Random;
use nix::sys::signal::{SigSet, Signal};

use clocks::Clocks;
use fleet::Fleet;
use fleet::judge::{End, judge_to, search_registers};
use fleet::record::{self, Recorder};
use network::Network;
use run::Torture;

/// The environment variable with the name of the network, for the process that runs inside it.
const INSIDE: &str = "LATTISTORE_TORTURE_NETWORK";

/// Injects faults into a cluster of server processes under load, and judges every answer
#[derive(Debug, Parser)]
#[command(name = "torture")]
struct Args {
    /// How many seconds faults are injected for
    #[arg(long, default_value_t = 60)]
    seconds: u64,

    /// Repeats the random choices of a run, though not its timing [default: random]
    #[arg(long)]
    seed: Option<u64>,

    /// The number of nodes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,

    /// Uses loopback addresses even as root: the network is never broken
    #[arg(long)]
    loopback: bool,

    /// The file to which the history is written; it is removed unless the run fails [default: a new
    /// file in target/tmp]
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,

    /// Judges the history that a failed run left in this file, and runs nothing
    #[arg(long, value_name = "FILE", exclusive = true)]
    judge: Option<PathBuf>,

    /// Only measures how long three nodes take to serve after a heal, this many times for each
    /// pair of partitions
    #[arg(
        long,
        value_name = "ROUNDS",
        conflicts_with_all = ["seconds", "nodes", "loopback", "history"]
    )]
    heals: Option<u64>,
}

fn main() -> ExitCode {
    let mut args = Args::parse();
    if let Some(path) = &args.judge {
        return judge_again(path);
    }
    if args.heals.is_some() {
        args.nodes = 3;
    }
    if let Ok(name) = std::env::var(INSIDE) {
        return torture(&args, Some(Network::named(name, args.nodes.into())));
    }
    if args.loopback {
        println!("nodes: {} on loopback addresses; the network is not broken", args.nodes);
        return torture(&args, None);
    }
    match Network::setup(args.nodes.into()) {
        Ok(network) => {
            println!("nodes: {}, each in its own network namespace", args.nodes);
            let code = run_inside(&network);
            network.remove();
            code
        }
        Err(error) => {
            println!("no network namespaces can be made: {error}");
            if args.heals.is_some() {
                println!(
                    "skipped: to cut links needs network namespaces, which only root can make"
                );
                return ExitCode::SUCCESS;
            }
            println!("nodes: {} on loopback addresses; the network is not broken", args.nodes);
            torture(&args, None)
        }
    }
}

/// Runs this program again, with the same arguments, in the namespace of the clients.
fn run_inside(network: &Network) -> ExitCode {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &network.hub()]);
    command.arg(std::env::current_exe().unwrap()).args(std::env::args_os().skip(1));
    let child = command.env(INSIDE, network.name()).spawn().unwrap();
    let id = child.id();
    let child = Arc::new(Mutex::new(Some(child)));
    let to_kill = Arc::clone(&child);
    // A signal kills the program inside. Then the caller removes the network as usual.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block().unwrap();
    thread::spawn(move || {
        while signals.wait().is_ok() {
            if to_kill.lock().unwrap().is_some() {
                fleet::signal(id, "KILL");
            }
        }
    });
    let code = wait(&child);
    match code {
        Some(0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Waits for the child without keeping the lock, so that a signal can kill it.
fn wait(child: &Mutex<Option<Child>>) -> Option<i32> {
    loop {
        let mut guard = child.lock().unwrap();
        let status = guard.as_mut().and_then(|child| child.try_wait().unwrap());
        if let Some(status) = status {
            *guard = None;
            return status.code();
        }
        drop(guard);
        fleet::hold(std::time::Duration::from_millis(50));
    }
}

/// Judges a history in a file as the run itself does, and the registers by another method too.
fn judge_again(path: &Path) -> ExitCode {
    let (history, end) = match record::read_from(path) {
        Ok(kept) => kept,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    println!("judging {} transactions ...", history.len());
    if end == End::CutOff {
        println!(
            "the run was interrupted before its last reads: nothing that needs them is judged"
        );
    }
    let verdict = judge_to(&history, end);
    println!("{verdict}");
    let (searched, undecided) = search_registers(&history);
    println!("registers by search: {} anomalies, {undecided} registers undecided", searched.len());
    searched.iter().for_each(|anomaly| println!("  {anomaly}"));
    match verdict.anomalies.is_empty() && searched.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn torture(args: &Args, network: Option<Network>) -> ExitCode {
    let seed = args.seed.unwrap_or_else(|| getrandom::u64().unwrap());
    match args.heals {
        Some(rounds) => println!("to repeat: scripts/heals {rounds} --seed {seed}"),
        None => println!(
            "to repeat: scripts/torture --seconds {} --nodes {} --seed {seed}",
            args.seconds, args.nodes
        ),
    }
    let (addresses, namespaces) = match &network {
        Some(network) => {
            let namespaces = (0..args.nodes).map(|node| Some(network.namespace(node.into())));
            (network.addresses(), namespaces.collect())
        }
        None => (support::addresses(args.nodes), vec![None; args.nodes.into()]),
    };
    let mut fleet = Fleet::new(addresses, namespaces);
    if network.is_some() {
        // These addresses are not loopback, so the nodes need a cluster key. Clients need no token:
        // only the clients of this run reach the namespaces.
        fleet.share_key("cluster.key");
    }
    if let (Some(rounds), Some(network)) = (args.heals, &network) {
        return heals::run(fleet, network, rounds, seed);
    }
    let name = || record::new_path(&format!("torture-{seed}-{}", std::process::id()));
    let path = args.history.clone().unwrap_or_else(name);
    let recorder = match Recorder::create(&path) {
        Ok(recorder) => recorder,
        Err(error) => {
            eprintln!("error: cannot write the history to {}: {error}", path.display());
            return ExitCode::from(2);
        }
    };
    println!("history: {} (kept if the run fails)", path.display());
    let (disks, clocks) = (disks::check(), Clocks::new(&mut fleet));
    let (random, seconds) = (Random::new(seed, 0), args.seconds);
    Torture { fleet, network, disks, clocks, random, seconds }.run(seed, recorder)
}
