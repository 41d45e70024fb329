//! The arguments of `bench`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use lattistore::Client;
use lattistore::cli::Addresses;
use lattistore::client::{Builder, ClientTls, Token};
use lattistore::limits::{
    CLIENT_WINDOW, DEFAULT_PORT, MAX_REQUEST_FRAME_BYTES, MAX_REQUEST_PARAMETERS,
};

use crate::workload::{Distribution, Workload};

/// The most keys of a put: each has two parameters, and a put may use half of the parameters that a
/// request may have.
const MAX_WRITES: i64 = MAX_REQUEST_PARAMETERS as i64 / 4;
/// The bytes that a key and its value add to a request besides themselves: names, tags, and the
/// statement.
const PAIR_OVERHEAD_BYTES: usize = 128;

const EXAMPLES: &str = "\
Examples:
  bench load --cluster 3
      Puts of 256 bytes with 64 in flight, on three nodes that it starts.
  bench load --cluster 3 --workload get --connections 1 --depth 1
      The latency of strict reads.
  bench load --server-ip 10.0.0.1 10.0.0.2 10.0.0.3 --workload mixed --distribution zipfian
      Half reads, half writes, on a running cluster. It writes the keys k0...
  bench load --cluster 3 --rate 10000
      10,000 operations a second, independent of the latency.
  bench gap --cluster 3
      How long no write is acknowledged when the leader is killed.
  bench curves keys --max-keys 10000000 --value-bytes 16
      What grows with the number of keys, on clusters that it starts.

What is measured:
  The time from the sending of an operation (closed loop), or from when it was due (open loop,
  --rate), until its answer is decoded; over TCP, by the public client protocol, at the leader.
  Every write is numbered in a session, as the client library does it, and runs at most once; an
  answer means that it is on the disks of a majority. Every read is strict. The generator shares
  the machine with what it measures, so compare only figures of one machine and one time; each
  result contains the load average.";

/// Loads a lattistore cluster and measures it.
#[derive(Debug, Parser)]
#[command(name = "bench", version, after_help = EXAMPLES)]
pub(crate) struct BenchOptions {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Throughput and latency of operations.
    Load(Load),
    /// How long no write is acknowledged when the leader is stopped.
    Gap(Gap),
    /// Throughput, latency and cost against one number, each point on a new cluster.
    Curves(Curves),
}

/// The cluster to measure.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("nodes").args(["server_ip", "cluster"])
    .required(true).multiple(true))]
pub(crate) struct Target {
    /// Nodes of a running cluster.
    #[arg(long, value_name = "IP", num_args = 1.., env = "LATTISTORE_SERVER_IP")]
    server_ip: Vec<Addresses>,

    /// The port of --server-ip.
    #[arg(long, default_value_t = DEFAULT_PORT, env = "LATTISTORE_PORT")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// Use TLS to --server-ip, and trust nodes with a certificate that an authority in this file
    /// signed.
    #[arg(long, value_name = "FILE", env = "LATTISTORE_TLS_CA", conflicts_with = "cluster")]
    tls_ca: Option<PathBuf>,

    /// The file with the token of the load generator.
    #[arg(long, value_name = "FILE", env = "LATTISTORE_TOKEN_FILE", conflicts_with = "cluster")]
    token_file: Option<PathBuf>,

    /// Start a cluster of this many nodes on loopback addresses, and end it after the run.
    #[arg(long, value_name = "NODES", conflicts_with = "server_ip")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) cluster: Option<u8>,

    #[command(flatten)]
    pub(crate) own: OwnCluster,
}

/// The options of nodes that the load generator starts.
#[derive(Args, Debug)]
pub(crate) struct OwnCluster {
    /// The server program for --cluster [default: the one in the directory of this program].
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) server: Option<PathBuf>,

    /// The directory in which nodes of --cluster keep their state during the run [default: the
    /// system's directory for temporary files; its disk is then measured].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

impl Target {
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let ips = Addresses::all(&self.server_ip).into_iter();
        ips.map(|ip| SocketAddr::new(ip, self.port)).collect()
    }

    /// Returns a builder of clients.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn clients(&self) -> Result<Builder, String> {
        let mut builder = Client::builder();
        if let Some(ca) = &self.tls_ca {
            builder = builder.tls(ClientTls::read(ca).map_err(|error| error.to_string())?);
        }
        if let Some(file) = &self.token_file {
            builder = builder.token(Token::read(file).map_err(|error| error.to_string())?);
        }
        Ok(builder)
    }
}

#[derive(Args, Debug)]
pub(crate) struct Load {
    #[command(flatten)]
    pub(crate) target: Target,

    #[command(flatten)]
    pub(crate) work: Work,

    /// Send this many operations a second in all, instead of the next one when one is answered.
    /// Latency then counts from when an operation was due.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// The processes of a running cluster on this machine: their memory and processor time are
    /// reported.
    #[arg(long, value_name = "ID", value_delimiter = ',', conflicts_with = "cluster")]
    pub(crate) process: Vec<u32>,

    /// Do not write all keys once before the run.
    #[arg(long)]
    pub(crate) no_fill: bool,

    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// The operations to run, and for how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct Work {
    /// put, get, rmw (a program that reads a key and writes it), cas (compare and set; it always
    /// matches) or mixed (half put, half get).
    #[arg(long, short, default_value = "put", value_parser = Workload::parse)]
    pub(crate) workload: Workload,

    /// Connections, each with its own thread.
    #[arg(long, short, default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) connections: u16,

    /// Operations in flight on each connection, at most.
    #[arg(long, short, default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(CLIENT_WINDOW)))]
    pub(crate) depth: u16,

    /// The number of keys.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) keys: u64,

    /// Which keys operations use: uniform, or zipfian (a few of them often).
    #[arg(long, default_value = "uniform", value_parser = Distribution::parse)]
    pub(crate) distribution: Distribution,

    /// How many keys each put writes, in one transaction. They are drawn one by one: a key may be
    /// drawn twice.
    #[arg(long, default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=MAX_WRITES))]
    pub(crate) writes: u16,

    /// The size of a key, in bytes.
    #[arg(long, default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u16).range(2..=4096))]
    pub(crate) key_bytes: u16,

    /// The size of a value, in bytes.
    #[arg(long, default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(crate) value_bytes: u32,

    /// Do not number writes: an operation that is sent twice would run twice.
    #[arg(long)]
    pub(crate) no_session: bool,

    /// How long to run operations before measuring.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub(crate) warm_up: Duration,

    /// How long to measure.
    #[arg(long, visible_alias = "seconds", short = 't', value_name = "SECONDS")]
    #[arg(default_value = "10", value_parser = seconds)]
    pub(crate) duration: Duration,
}

impl Work {
    /// Returns the bytes of a put of this many keys, with what keys and values add to a request.
    pub(crate) fn put_bytes(&self, writes: usize) -> usize {
        let pair = usize::from(self.key_bytes) + self.value_bytes as usize + PAIR_OVERHEAD_BYTES;
        writes.saturating_mul(pair)
    }

    /// Checks whether such operations are possible.
    ///
    /// # Errors
    /// When they are not: why, and what to change.
    pub(crate) fn check(&self) -> Result<(), String> {
        let puts = matches!(self.workload, Workload::Put | Workload::Mixed);
        if self.writes > 1 && !puts {
            return Err("only puts can write several keys: --workload put or mixed".to_owned());
        }
        if self.put_bytes(usize::from(self.writes)) > MAX_REQUEST_FRAME_BYTES {
            return Err(format!(
                "a request has at most {MAX_REQUEST_FRAME_BYTES} bytes: use fewer --writes or \
                 smaller --value-bytes"
            ));
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct Curves {
    /// The curves to measure; all unless some are named.
    #[arg(value_enum, default_values_t = Curve::value_variants().to_vec())]
    pub(crate) curves: Vec<Curve>,

    /// The options of all points, except for the number that the curve varies.
    #[command(flatten)]
    pub(crate) work: Work,

    /// Nodes of each cluster.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) nodes: u8,

    /// The last point of the curve of keys.
    #[arg(long, default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(crate) max_keys: u64,

    /// The directory for the tables and plots.
    #[arg(long, value_name = "DIR", default_value = "target/curves")]
    pub(crate) out: PathBuf,

    #[command(flatten)]
    pub(crate) own: OwnCluster,
}

/// A curve, named by what it varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Curve {
    /// Operations in flight: 1 to 1,024.
    InFlight,
    /// Bytes of a value: 16 to a MiB.
    ValueSize,
    /// Keys in the store: a thousand to --max-keys.
    Keys,
    /// Nodes of the cluster: 1, 3, 5 and 7.
    Nodes,
    /// Keys that a transaction writes: 1 to 256.
    Writes,
}

#[derive(Args, Debug)]
pub(crate) struct Gap {
    /// Start a cluster of this many nodes on loopback addresses, and end it after the run. Fewer
    /// than three do not serve without their leader.
    #[arg(long, value_name = "NODES", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u8).range(3..=64))]
    pub(crate) cluster: u8,

    #[command(flatten)]
    pub(crate) own: OwnCluster,

    /// How the leader is stopped.
    #[arg(long, value_enum, default_value_t = Stop::Kill)]
    pub(crate) stop: Stop,

    /// How many times to stop the leader.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: u16,

    /// Threads that write, each with its own client.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) clients: u16,

    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// How a leader is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stop {
    /// kill -9: the leader says nothing.
    Kill,
    /// SIGTERM: the leader hands over.
    Terminate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Lines for people.
    Text,
    /// One JSON object on a line.
    Json,
}

/// The longest time that an option may set.
const MAX_TIME: Duration = Duration::from_secs(366 * 86_400);

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    // No clock overflows with this time.
    (time <= MAX_TIME).then_some(time).ok_or("expected at most a year".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 =
        text.parse().map_err(|_| "expected a number of operations a second".to_owned())?;
    (rate.is_finite() && rate >= 0.1).then_some(rate).ok_or("expected at least 0.1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        BenchOptions::command().debug_assert();
    }

    fn work(arguments: &[&str]) -> Result<Work, String> {
        let all = ["bench", "load", "--cluster", "1"].iter().chain(arguments);
        match BenchOptions::try_parse_from(all).map_err(|error| error.to_string())?.command {
            Command::Load(load) => load.work.check().map(|()| load.work),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_gap_needs_at_least_three_nodes_and_one_round() {
        let parses = |line: &str| BenchOptions::try_parse_from(line.split(' ')).is_ok();
        assert!(parses("bench gap") && parses("bench gap --cluster 3 --rounds 1"));
        for wrong in ["--cluster 2", "--rounds 0", "--clients 0", "--server-ip 127.0.0.1"] {
            assert!(!parses(&format!("bench gap {wrong}")), "{wrong}");
        }
    }

    #[test]
    fn the_error_for_a_load_without_nodes_names_both_options() {
        let error =
            BenchOptions::try_parse_from(["bench", "load"]).expect_err("no nodes").to_string();
        assert!(error.contains("--server-ip") && error.contains("--cluster"), "{error}");
    }

    #[test]
    fn the_lines_of_the_help_have_at_most_99_columns() {
        assert!(EXAMPLES.lines().all(|line| line.len() < 100));
    }

    #[test]
    fn impossible_work_is_rejected() {
        assert!(work(&["--writes", "256"]).is_ok());
        assert!(work(&["--writes", "4", "--workload", "mixed"]).is_ok());
        assert!(work(&["--writes", "4", "--workload", "get"]).is_err());
        assert!(work(&["--writes", "0"]).is_err());
        // Times that no clock reaches.
        assert!(work(&["--seconds", "1e19"]).is_err());
        assert!(work(&["--warm-up", "1e19"]).is_err());
        assert!(work(&["--value-bytes", "1048576"]).is_ok());
        assert!(work(&["--value-bytes", "1048576", "--writes", "2"]).is_err());
    }

    #[test]
    fn all_curves_are_measured_unless_some_are_named() {
        let curves = |arguments: &[&str]| {
            let all = ["bench", "curves"].iter().chain(arguments);
            match BenchOptions::try_parse_from(all).map(|options| options.command) {
                Ok(Command::Curves(curves)) => curves.curves,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(curves(&[]), Curve::value_variants());
        assert_eq!(curves(&["keys", "nodes"]), [Curve::Keys, Curve::Nodes]);
    }
}
