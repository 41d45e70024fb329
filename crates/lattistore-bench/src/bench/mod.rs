//! The program `bench`: the loops against lattistore.
//!
//! | file | is |
//! | --- | --- |
//! | `protocol` | the client protocol, pipelined |
//! | `cluster` | server processes of its own |
//! | `measure` | one run of the loops against lattistore |
//! | `gap` | the time without writes when a leader stops |
//! | `curve`, `curves` | runs in which one number differs: which, and what comes of them |

mod cluster;
mod curve;
mod curves;
mod gap;
mod measure;
mod options;
mod protocol;
mod words;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::plan::Loop;
use ::lattistore::cli;
use cluster::Cluster;
use measure::Asked;
use options::{BenchOptions, Command, Load, Output, Own, Target};

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

fn start_nodes(count: u8, own: &Own) -> Result<Cluster, String> {
    let place = own.data_dir.clone().unwrap_or_else(std::env::temp_dir);
    Cluster::start(count, own.server.clone(), place).map_err(|error| error.to_string())
}

fn run_load(load: &Load) -> Result<(), String> {
    load.work.check()?;
    let Target { cluster, own, .. } = &load.target;
    let cluster = cluster.map(|count| start_nodes(count, own)).transpose()?;
    let addresses = cluster.as_ref().map_or_else(|| load.target.addresses(), Cluster::sockets);
    let processes = cluster.as_ref().map_or_else(|| load.process.clone(), Cluster::processes);
    let clients = load.target.clients()?;
    let asked = Asked { addresses: &addresses, clients: &clients, processes: &processes };
    if !load.no_fill {
        asked.fill(&load.work)?;
    }
    let report = asked.measure(&load.work, load.rate.map_or(Loop::Closed, Loop::Open))?;
    let out = match load.output {
        Output::Text => report.text(),
        Output::Json => report.json(),
    };
    writeln!(io::stdout(), "{out}").map_err(|error| error.to_string())?;
    report.record.verdict()
}
