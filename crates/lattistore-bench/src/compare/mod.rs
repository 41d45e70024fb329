//! Asks etcd and Redis what `bench load` asks lattistore, with the same loops, keys and values, and
//! makes tables and plots of the results of all.
//!
//! | file | is |
//! | --- | --- |
//! | `etcd` | etcd's API as bytes of protobuf, on `grpc` |
//! | `grpc` | the client's half of HTTP/2 and gRPC, for calls with one message each way |
//! | `redis` | Redis' protocol |
//! | `results`, `table`, `plot` | reading results, ratios, throughput against latency |

mod etcd;
mod grpc;
mod plot;
mod redis;
mod results;
mod table;

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::plan::{Loop, Plan};
use crate::record::{self, Report, Span, quoted};
use crate::wire::{Connect, Wire};
use crate::workload::{Distribution, Space, Workload};
use crate::{drive, fill};

/// Compares lattistore with etcd and Redis; `scripts/compare` uses it.
#[derive(Debug, Parser)]
struct CompareOptions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Asks a peer, and prints what `bench load` does.
    Load(Load),
    /// A table of ratios, from lines of JSON.
    Table {
        /// The lines of all systems.
        results: PathBuf,
    },
    /// A plot of throughput against latency, from lines of JSON.
    Plot {
        /// The lines of all systems.
        results: PathBuf,
        /// The workload to show.
        #[arg(long, value_parser = Workload::parse, default_value = "put")]
        workload: Workload,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum System {
    Etcd,
    Redis,
}

/// The options of `bench load`.
#[derive(Args, Debug)]
struct Load {
    system: System,
    /// The node to ask: of etcd, the leader.
    #[arg(long)]
    address: SocketAddr,
    /// Processes whose memory and time are told.
    #[arg(long, value_delimiter = ',')]
    process: Vec<u32>,
    #[arg(long, short, default_value = "put", value_parser = Workload::parse)]
    workload: Workload,
    #[arg(long, default_value_t = 8)]
    connections: usize,
    #[arg(long, default_value_t = 8)]
    depth: usize,
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    #[arg(long, default_value = "uniform", value_parser = Distribution::parse)]
    distribution: Distribution,
    #[arg(long, default_value_t = 1)]
    writes: usize,
    #[arg(long, default_value_t = 16)]
    key_bytes: usize,
    #[arg(long, default_value_t = 256)]
    value_bytes: usize,
    #[arg(long)]
    no_fill: bool,
    /// Lines for people instead of JSON.
    #[arg(long)]
    text: bool,
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    #[arg(long, default_value_t = 10.0)]
    duration: f64,
}

/// Runs the program, and returns its exit code.
pub fn main() -> ExitCode {
    let done = match &CompareOptions::parse().command {
        Command::Load(load) => run(load),
        Command::Table { results } => results::read(results).map(|runs| table::table(&runs)),
        Command::Plot { results, workload } => {
            results::read(results).map(|runs| plot::svg(&runs, workload.name()))
        }
    };
    match done {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(load: &Load) -> Result<String, String> {
    match load.system {
        System::Etcd => measure(load, "etcd", &|| Ok((connect(load)?, etcd::Etcd::new()))),
        System::Redis if matches!(load.workload, Workload::Rmw | Workload::Cas) => {
            Err("Redis has no such operation without a script of its own".to_owned())
        }
        System::Redis => measure(load, "redis", &|| Ok((connect(load)?, redis::Redis::new()))),
    }
}

fn connect(load: &Load) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(load.address).map_err(|e| format!("{}: {e}", load.address))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

fn measure<W: Wire>(load: &Load, system: &str, connect: &Connect<'_, W>) -> Result<String, String> {
    let space = Space::new(load.keys, load.key_bytes, load.value_bytes, load.distribution);
    if !load.no_fill {
        fill::fill(&space, 128, 1, connect)?;
    }
    let lanes = drive::connect_all(load.connections, connect)?;
    let measured = Duration::from_secs_f64(load.duration);
    let from = Instant::now() + Duration::from_secs_f64(load.warm_up);
    let span = Span { from, to: from + measured };
    let plan = Plan {
        workload: load.workload,
        writes: load.writes,
        space: &space,
        connections: load.connections,
        depth: load.depth,
        how: load.rate.map_or(Loop::Closed, Loop::Open),
        span,
        answered: &AtomicU64::new(0),
    };
    let (record, processes) = thread::scope(|scope| {
        let watching = scope.spawn(|| {
            thread::sleep(span.from.saturating_duration_since(Instant::now()));
            let before = record::processes(&load.process);
            thread::sleep(span.to.saturating_duration_since(Instant::now()));
            record::since(&before, &load.process)
        });
        let record = drive::run(&plan, lanes, connect);
        let processes = watching.join().map_err(|_| "a thread of the load generator failed")?;
        Ok::<_, String>((record?, processes))
    })?;
    let settings = vec![
        ("system", quoted(system)),
        ("workload", quoted(load.workload.name())),
        ("distribution", quoted(space.distribution.name())),
        ("rate", load.rate.map_or("null".to_owned(), |rate| rate.to_string())),
        ("connections", load.connections.to_string()),
        ("depth", load.depth.to_string()),
        ("keys", space.keys.to_string()),
        ("writes", load.writes.to_string()),
        ("key_bytes", space.key_bytes.to_string()),
        ("value_bytes", space.value_bytes.to_string()),
    ];
    let report = Report { settings, record, measured, processes };
    report.record.verdict()?;
    Ok(if load.text { report.text() } else { report.json() })
}
