//! The program `bench`, which measures lattistore.
//!
//! | file | content |
//! | --- | --- |
//! | `options` | the arguments |
//! | `lattistore` | the client protocol, pipelined |
//! | `cluster` | server processes that exist for the time of a run |
//! | `measure` | `bench load`: one run against lattistore |
//! | `gap` | `bench gap`: the time without a write when the leader is stopped |
//! | `curve`, `curves` | `bench curves`: runs in which one number varies |
//! | `describe` | the answers of a node as text |

mod cluster;
mod curve;
mod curves;
mod describe;
mod gap;
mod lattistore;
mod measure;
mod options;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::plan::Loop;
use ::lattistore::cli;
use cluster::Cluster;
use measure::MeasuredNodes;
use options::{BenchOptions, Command, Load, Output, OwnCluster, Target};

/// Runs the program, and returns its exit code.
pub fn main() -> ExitCode {
    let options: BenchOptions = cli::parse();
    let done = match &options.command {
        Command::Load(load) => run_load(load),
        Command::Gap(gap) => gap::run(gap),
        Command::Curves(curves) => curves::run(curves),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start_nodes(count: u8, own: &OwnCluster) -> Result<Cluster, String> {
    let parent = own.data_dir.clone().unwrap_or_else(std::env::temp_dir);
    Cluster::start(count, own.server.clone(), parent).map_err(|error| error.to_string())
}

fn run_load(load: &Load) -> Result<(), String> {
    load.work.check()?;
    let Target { cluster, own, .. } = &load.target;
    let cluster = cluster.map(|count| start_nodes(count, own)).transpose()?;
    let addresses = cluster.as_ref().map_or_else(|| load.target.addresses(), Cluster::sockets);
    let processes = cluster.as_ref().map_or_else(|| load.process.clone(), Cluster::processes);
    let clients = load.target.clients()?;
    let nodes = MeasuredNodes { addresses: &addresses, clients: &clients, processes: &processes };
    if !load.no_fill {
        nodes.fill(&load.work)?;
    }
    let report = nodes.measure(&load.work, load.rate.map_or(Loop::Closed, Loop::Open))?;
    let out = match load.output {
        Output::Text => report.text(),
        Output::Json => report.json(),
    };
    writeln!(io::stdout(), "{out}").map_err(|error| error.to_string())?;
    report.record.verdict()
}
