//! The program `compare`, which measures etcd and Redis as `bench load` measures lattistore, with
//! the same loops, keys and values, and makes tables and plots of all results.
//!
//! | file | content |
//! | --- | --- |
//! | `etcd` | etcd's API as bytes of protobuf, on `grpc` |
//! | `grpc` | the client's half of HTTP/2 and gRPC, for calls with one message each way |
//! | `redis` | the protocol of Redis |
//! | `results` | reads results |
//! | `table` | a table of ratios |
//! | `plot` | a plot of latency over throughput |

mod etcd;
mod grpc;
mod plot;
mod redis;
mod results;
mod table;

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::plan::{Loop, Plan};
use crate::protocol::{Connect, Protocol};
use crate::workload::{Distribution, KeySpace, Workload};
use crate::{fill, run};

/// Compares lattistore with etcd and Redis; `scripts/compare` uses it.
#[derive(Debug, Parser)]
struct CompareOptions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures etcd or Redis, and prints what `bench load` prints.
    Load(Load),
    /// Prints a table of ratios, from lines of JSON.
    Table {
        /// The file with the lines of all systems.
        results: PathBuf,
    },
    /// Prints a plot of latency over throughput, from lines of JSON.
    Plot {
        /// The file with the lines of all systems.
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
    /// The node to measure: of etcd, the leader.
    #[arg(long)]
    address: SocketAddr,
    /// The processes for which memory and processor time are reported.
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
    /// Print lines of text instead of JSON.
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
        Command::Load(load) => run_load(load),
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

fn run_load(load: &Load) -> Result<String, String> {
    match load.system {
        System::Etcd => measure(load, "etcd", &|| Ok((connect(load)?, etcd::Etcd::new()))),
        System::Redis if matches!(load.workload, Workload::Rmw | Workload::Cas) => {
            Err("Redis has no such operation without a script: use --workload put, get or mixed"
                .to_owned())
        }
        System::Redis => measure(load, "redis", &|| Ok((connect(load)?, redis::Redis::new()))),
    }
}

fn connect(load: &Load) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(load.address).map_err(|e| format!("{}: {e}", load.address))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

fn measure<P: Protocol>(
    load: &Load,
    system: &str,
    connect: &Connect<'_, P>,
) -> Result<String, String> {
    let space = KeySpace::new(load.keys, load.key_bytes, load.value_bytes, load.distribution);
    if !load.no_fill {
        fill::fill(&space, 128, 1, connect)?;
    }
    let plan = Plan {
        workload: load.workload,
        writes: load.writes,
        space: &space,
        connections: load.connections,
        depth: load.depth,
        how: load.rate.map_or(Loop::Closed, Loop::Open),
        warm_up: Duration::from_secs_f64(load.warm_up),
        duration: Duration::from_secs_f64(load.duration),
    };
    let report = run::measure(system, &plan, &load.process, false, connect)?;
    report.record.verdict()?;
    Ok(if load.text { report.text() } else { report.json() })
}
