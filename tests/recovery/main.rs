//! What failures and recovery cost, measured on server processes: `scripts/recovery`.

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

/// Measures what failures and recovery cost. The figures depend on the machine; compare ratios.
#[derive(Debug, Parser)]
#[command(name = "recovery")]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Time and bytes for a node that was away: few keys overwritten, against as many new keys; and
    /// the start-up of a node that holds all of these
    CatchUp {
        /// How many transactions it missed
        #[arg(long, default_value_t = 1_000_000)]
        transactions: u64,
    },
    /// Throughput with all nodes, without one, while it catches up, and afterwards
    Throughput {
        /// How often a node goes and comes back
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
        cycles: u64,
        /// How long each is measured
        #[arg(long, default_value_t = 8)]
        seconds: u64,
    },
    /// Memory and disk of all nodes at each million of small transactions
    Soak {
        /// How many millions
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
