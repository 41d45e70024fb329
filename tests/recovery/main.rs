//! Measurements of failures and recovery on server processes: `scripts/recovery`.
//!
//! A measurement prints what it finds and checks no time, so `cargo test` does not run it.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

#[path = "../fleet/mod.rs"]
mod fleet;
mod load;
mod measure;
#[path = "../reference/mod.rs"]
mod reference;
#[path = "../support/mod.rs"]
mod support;

use clap::{Parser, Subcommand};

/// Measures what failures and recovery cost. Figures depend on the machine, so compare ratios
#[derive(Debug, Parser)]
#[command(name = "recovery")]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Time and bytes until a node that was down has caught up, for few keys that are overwritten
    /// and for new keys; and the start-up time of a node with all these keys
    CatchUp {
        /// The number of transactions that the node missed
        #[arg(long, default_value_t = 1_000_000)]
        transactions: u64,
    },
    /// Throughput with all nodes, without one, while it catches up, and after that
    Throughput {
        /// How often a node is killed and restarted
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
        cycles: u64,
        /// How many seconds each phase is measured for
        #[arg(long, default_value_t = 8)]
        seconds: u64,
    },
    /// Memory and disk of all nodes at each million of small transactions
    Soak {
        /// The number of millions
        #[arg(long, default_value_t = 10)]
        millions: u64,
    },
}

fn main() {
    match Args::parse().what {
        What::CatchUp { transactions } => measure::catch_up(transactions),
        What::Throughput { cycles, seconds } => measure::throughput(cycles, seconds),
        What::Soak { millions } => measure::soak(millions),
    }
}
