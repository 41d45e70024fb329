//! Tortures a cluster of server processes and judges what its clients saw: `scripts/torture`.
//!
//! As root, where network namespaces can be made, each node has one of its own, and the network
//! between them breaks in every way too. Elsewhere the nodes are on loopback addresses, and only
//! processes are hurt.
//!
//! The process that is started makes the namespaces, runs itself again in the one that clients are
//! in, and removes them whatever happened there.

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

/// The name of the network, for the process that runs inside of it.
const INSIDE: &str = "LATTISTORE_TORTURE_NETWORK";

/// Tortures a cluster of server processes under load, and judges every answer.
#[derive(Debug, Parser)]
#[command(name = "torture")]
struct Args {
    /// How long faults are injected
    #[arg(long, default_value_t = 60)]
    seconds: u64,

    /// Repeats the choices of a run, though not its timing [default: a new one each time]
    #[arg(long)]
    seed: Option<u64>,

    /// How many nodes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,

    /// Loopback addresses even where network namespaces can be made: no broken networks
    #[arg(long)]
    loopback: bool,

    /// The file that the history is written to; it stays if the run fails [default: a new one in
    /// target/tmp]
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,

    /// Runs nothing, but judges the history that a failed run left in this file
    #[arg(long, value_name = "FILE", exclusive = true)]
    judge: Option<PathBuf>,

    /// Only measure, this many times for each order of cuts, how soon three nodes serve after heals
    #[arg(long, value_name = "ROUNDS", conflicts_with_all = ["seconds", "nodes", "loopback", "history"])]
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
        println!("nodes: {} on loopback addresses; the network stays whole", args.nodes);
        return torture(&args, None);
    }
    match Network::setup(args.nodes.into()) {
        Ok(network) => {
            println!("nodes: {}, each in a network namespace of its own", args.nodes);
            let code = run_inside(&network);
            network.remove();
            code
        }
        Err(error) => {
            println!("no network namespaces: {error}");
            if args.heals.is_some() {
                println!("skipped: links are cut between network namespaces, which root makes");
                return ExitCode::SUCCESS;
            }
            println!("nodes: {} on loopback addresses; the network stays whole", args.nodes);
            torture(&args, None)
        }
    }
}

/// Runs this program again, with the same arguments, where the clients are.
fn run_inside(network: &Network) -> ExitCode {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &network.hub()]);
    command.arg(std::env::current_exe().unwrap()).args(std::env::args_os().skip(1));
    let child = command.env(INSIDE, network.name()).spawn().unwrap();
    let id = child.id();
    let child = Arc::new(Mutex::new(Some(child)));
    let told = Arc::clone(&child);
    // Told to end, it ends what is inside, and then removes the network as ever.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block().unwrap();
    thread::spawn(move || {
        while signals.wait().is_ok() {
            if told.lock().unwrap().is_some() {
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

/// Waits for the child without keeping the lock, so that it can be told to end.
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

/// Judges a kept history as at the end of its run, and the registers by another method too.
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
        println!("the run was cut off before its last reads: what these would show is not judged");
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
        Some(rounds) => println!("again: scripts/heals {rounds} --seed {seed}"),
        None => println!(
            "again: scripts/torture --seconds {} --nodes {} --seed {seed}",
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
        // Clients are not asked who they are: nobody else is in the namespaces.
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
    println!("history: {}, which stays if the run fails", path.display());
    let (disks, clocks) = (disks::check(), Clocks::new(&mut fleet));
    let (random, seconds) = (Random::new(seed, 0), args.seconds);
    Torture { fleet, network, disks, clocks, random, seconds }.run(seed, recorder)
}
