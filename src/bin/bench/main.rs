//! The load generator.
//!
//! | file | is |
//! | --- | --- |
//! | `workload` | operations, keys and values |
//! | `drive`, `open` | the closed and the open loop |
//! | `record` | what was measured, as text and as JSON |
//! | `lattistore` | the client protocol, pipelined |
//! | `cluster` | server processes of its own |
//! | `gap` | the time without writes when a leader stops |
//!
//! The first four know nothing of lattistore; `compare/` asks its peers with the same code.

mod cluster;
mod drive;
mod gap;
mod lattistore;
mod open;
mod options;
mod record;
mod workload;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use cluster::Cluster;
use drive::{Loop, Plan};
use lattistore::Lattistore;
use options::{Command, Load, Options, Output, Target};
use record::{Report, Span, quoted};
use workload::Space;

/// So many keys are written at once before a run.
const FILL_DEPTH: usize = 128;

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.command {
        Command::Load(load) => run_load(load),
        Command::Gap(gap) => gap::run(gap),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the cluster, if there is to be one.
fn start_cluster(target: &Target) -> Result<Option<Cluster>, String> {
    let Some(count) = target.cluster else { return Ok(None) };
    let place = target.data_dir.clone().unwrap_or_else(std::env::temp_dir);
    let cluster = Cluster::start(count, target.server.clone(), place);
    cluster.map(Some).map_err(|error| error.to_string())
}

fn run_load(load: &Load) -> Result<(), String> {
    let cluster = start_cluster(&load.target)?;
    let addresses = cluster.as_ref().map_or_else(|| load.target.addresses(), Cluster::sockets);
    let processes = cluster.as_ref().map_or_else(|| load.process.clone(), Cluster::processes);
    let report = measure(load, &addresses, &processes)?;
    let out = match load.output {
        Output::Text => report.text(),
        Output::Json => report.json(),
    };
    writeln!(io::stdout(), "{out}").map_err(|error| error.to_string())?;
    match report.record.answered {
        0 => Err("nothing was answered".to_owned()),
        _ => Ok(()),
    }
}

fn measure(load: &Load, addresses: &[SocketAddr], processes: &[u32]) -> Result<Report, String> {
    let (key_bytes, value_bytes) = (usize::from(load.key_bytes), load.value_bytes as usize);
    let space = Space::new(load.keys, key_bytes, value_bytes, load.distribution);
    let clients = load.target.clients()?;
    let connect = || Lattistore::connect(addresses, !load.no_session, &clients);
    if !load.no_fill {
        drive::fill(&space, FILL_DEPTH, &connect)?;
    }
    let lanes = drive::connect_all(usize::from(load.connections), &connect)?;
    let from = Instant::now() + load.warm_up;
    let span = Span { from, to: from + load.duration };
    let answered = AtomicU64::new(0);
    let plan = Plan {
        workload: load.workload,
        space: &space,
        connections: usize::from(load.connections),
        depth: usize::from(load.depth),
        how: load.rate.map_or(Loop::Closed, Loop::Open),
        span,
        answered: &answered,
    };
    let over = AtomicBool::new(false);
    let (record, processes) = thread::scope(|scope| {
        let watching = scope.spawn(|| {
            thread::sleep(span.from.saturating_duration_since(Instant::now()));
            let before = record::processes(processes);
            show_progress(&answered, &over, span.to);
            thread::sleep(span.to.saturating_duration_since(Instant::now()));
            record::since(&before, processes)
        });
        let record = drive::run(&plan, lanes, &connect);
        over.store(true, Ordering::Relaxed);
        let processes = watching.join().map_err(|_| "a thread of the load generator failed")?;
        Ok::<_, String>((record?, processes))
    })?;
    Ok(Report { settings: settings(load), record, measured: load.duration, processes })
}

/// A line each second, where somebody sees it.
fn show_progress(answered: &AtomicU64, over: &AtomicBool, until: Instant) {
    if !io::stderr().is_terminal() {
        return;
    }
    let mut last = answered.load(Ordering::Relaxed);
    while Instant::now() < until && !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_secs(1));
        let now = answered.load(Ordering::Relaxed);
        let left = until.saturating_duration_since(Instant::now()).as_secs();
        eprint!("\r{:>9}/s, {left:>3} s to go ", now - last);
        last = now;
    }
    eprint!("\r{:40}\r", "");
}

fn settings(load: &Load) -> Vec<(&'static str, String)> {
    vec![
        ("system", quoted("lattistore")),
        ("workload", quoted(load.workload.name())),
        ("distribution", quoted(load.distribution.name())),
        ("rate", load.rate.map_or("null".to_owned(), |rate| rate.to_string())),
        ("connections", load.connections.to_string()),
        ("depth", load.depth.to_string()),
        ("keys", load.keys.to_string()),
        ("key_bytes", load.key_bytes.to_string()),
        ("value_bytes", load.value_bytes.to_string()),
    ]
}
