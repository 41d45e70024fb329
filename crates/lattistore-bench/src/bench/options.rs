//! The arguments.

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

/// Each key that a put writes has two parameters; so many are half of what a request may have.
const MOST_WRITES: i64 = MAX_REQUEST_PARAMETERS as i64 / 4;
/// What a key and its value take in a request besides themselves: names, tags, and the statement.
const PAIR_OVERHEAD_BYTES: usize = 128;

const EXAMPLES: &str = "\
Examples:
  bench load --cluster 3
      Puts of 256 bytes with 64 on their way, on three nodes of its own.
  bench load --cluster 3 --workload get --connections 1 --depth 1
      The latency of strict reads.
  bench load --server-ip 10.0.0.1 10.0.0.2 10.0.0.3 --workload mixed --distribution zipfian
      Half reads, half writes, on a running cluster. It writes keys k0... there.
  bench load --cluster 3 --rate 10000
      10,000 operations a second, whatever the latency.
  bench gap --cluster 3
      How long no write is acknowledged when the leader is killed.
  bench curves keys --most-keys 10000000 --value-bytes 16
      What grows with the number of keys, on clusters of its own.

What is measured:
  From the moment an operation is asked (closed loop) or was due (open loop, --rate) until its
  answer is decoded, over TCP, by the public client protocol, at the node that leads. Every write
  is numbered in a session, as the client library does it, and runs at most once; an answer means
  that it is on the disks of a majority. Every read is strict. The generator shares the machine
  with what it measures, so compare only figures of one machine and one time; the load average is
  told with each.";

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

/// What is asked.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("nodes").args(["server_ip", "cluster"]).required(true).multiple(true))]
pub(crate) struct Target {
    /// Nodes of a running cluster.
    #[arg(long, value_name = "IP", num_args = 1.., env = "LATTISTORE_SERVER_IP")]
    server_ip: Vec<Addresses>,

    /// The port of --server-ip.
    #[arg(long, default_value_t = DEFAULT_PORT, env = "LATTISTORE_PORT")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// Speak TLS to --server-ip, and trust nodes whose certificates one of those in this file signed.
    #[arg(long, value_name = "FILE", env = "LATTISTORE_TLS_CA", conflicts_with = "cluster")]
    tls_ca: Option<PathBuf>,

    /// The file with the token that says who the load generator is.
    #[arg(long, value_name = "FILE", env = "LATTISTORE_TOKEN_FILE", conflicts_with = "cluster")]
    token_file: Option<PathBuf>,

    /// Start a cluster of so many nodes on loopback addresses, and end it after the run.
    #[arg(long, value_name = "NODES", conflicts_with = "server_ip")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) cluster: Option<u8>,

    #[command(flatten)]
    pub(crate) own: Own,
}

/// What nodes of its own are started with.
#[derive(Args, Debug)]
pub(crate) struct Own {
    /// The server program for nodes of its own [default: the one beside this program].
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) server: Option<PathBuf>,

    /// Where nodes of its own keep their state during the run [default: the system's directory for
    /// temporary files, whose disk is then what is measured].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

impl Target {
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let ips = Addresses::all(&self.server_ip).into_iter();
        ips.map(|ip| SocketAddr::new(ip, self.port)).collect()
    }

    /// How clients are made.
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

    /// Ask so many operations a second in all, instead of the next when one is answered. Latency then
    /// counts from when an operation was due.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// Processes of a running cluster, if they are on this machine: their memory and time are told.
    #[arg(long, value_name = "ID", value_delimiter = ',', conflicts_with = "cluster")]
    pub(crate) process: Vec<u32>,

    /// Do not write all keys once before the run.
    #[arg(long)]
    pub(crate) no_fill: bool,

    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// What is asked, and for how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct Work {
    /// put, get, rmw (a program that reads a key and writes it), cas (compare and set; it always
    /// matches) or mixed (half put, half get).
    #[arg(long, short, default_value = "put", value_parser = Workload::parse)]
    pub(crate) workload: Workload,

    /// Connections, each with a thread of its own.
    #[arg(long, short, default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) connections: u16,

    /// Operations on their way on each connection, at most.
    #[arg(long, short, default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(CLIENT_WINDOW)))]
    pub(crate) depth: u16,

    /// How many keys there are.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) keys: u64,

    /// Which keys are asked for: uniform, or zipfian (a few of them often).
    #[arg(long, default_value = "uniform", value_parser = Distribution::parse)]
    pub(crate) distribution: Distribution,

    /// How many keys each put writes, in one transaction. They are drawn one by one: a key may come
    /// twice.
    #[arg(long, default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=MOST_WRITES))]
    pub(crate) writes: u16,

    /// The size of a key.
    #[arg(long, default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u16).range(2..=4096))]
    pub(crate) key_bytes: u16,

    /// The size of a value.
    #[arg(long, default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(crate) value_bytes: u32,

    /// Do not number writes: an operation that is sent twice would run twice.
    #[arg(long)]
    pub(crate) no_session: bool,

    /// How long to ask before measuring.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub(crate) warm_up: Duration,

    /// How long to measure.
    #[arg(long, visible_alias = "seconds", short = 't', value_name = "SECONDS")]
    #[arg(default_value = "10", value_parser = seconds)]
    pub(crate) duration: Duration,
}

impl Work {
    /// Bytes of the keys and values that a put of so many writes has, with what they take in a request.
    pub(crate) fn put_bytes(&self, writes: usize) -> usize {
        let pair = usize::from(self.key_bytes) + self.value_bytes as usize + PAIR_OVERHEAD_BYTES;
        writes.saturating_mul(pair)
    }

    /// Whether such operations can be asked at all.
    ///
    /// # Errors
    /// Says what is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        let puts = matches!(self.workload, Workload::Put | Workload::Mixed);
        if self.writes > 1 && !puts {
            return Err("only puts can write several keys: --workload put or mixed".to_owned());
        }
        if self.put_bytes(usize::from(self.writes)) > MAX_REQUEST_FRAME_BYTES {
            return Err(format!(
                "a request has at most {MAX_REQUEST_FRAME_BYTES} bytes: fewer --writes or smaller \
                 values are needed"
            ));
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct Curves {
    /// Which; all unless some are named.
    #[arg(value_enum, default_values_t = Curve::value_variants().to_vec())]
    pub(crate) curves: Vec<Curve>,

    /// What all points have in common, but for the number that the curve is about.
    #[command(flatten)]
    pub(crate) work: Work,

    /// Nodes of each cluster.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) nodes: u8,

    /// Where the curve of keys ends.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(crate) max_keys: u64,

    /// Where the tables and plots go.
    #[arg(long, value_name = "DIR", default_value = "target/curves")]
    pub(crate) out: PathBuf,

    #[command(flatten)]
    pub(crate) own: Own,
}

/// What a curve is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Curve {
    /// Operations on their way: 1 to 1,024.
    InFlight,
    /// Bytes of a value: 16 to a MiB.
    ValueSize,
    /// Keys in the store: a thousand to --most-keys.
    Keys,
    /// Nodes of the cluster: 1, 3, 5 and 7.
    Nodes,
    /// Keys that a transaction writes: 1 to 256.
    Writes,
}

#[derive(Args, Debug)]
pub(crate) struct Gap {
    /// Start a cluster of so many nodes on loopback addresses, and end it after the run. Fewer than
    /// three do not serve without their leader.
    #[arg(long, value_name = "NODES", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u8).range(3..=64))]
    pub(crate) cluster: u8,

    #[command(flatten)]
    pub(crate) own: Own,

    /// How the leader is stopped.
    #[arg(long, value_enum, default_value_t = Stop::Kill)]
    pub(crate) stop: Stop,

    /// How often.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: u16,

    /// Threads that write, each with a client of its own.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) clients: u16,

    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// How a leader is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stop {
    /// kill -9: it says nothing.
    Kill,
    /// SIGTERM: it hands over.
    Terminate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Lines for people.
    Text,
    /// One JSON object on a line.
    Json,
}

/// The longest time that a run can be told to take.
const MAX_TIME: Duration = Duration::from_secs(366 * 86_400);

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds".to_owned())?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    // No clock overflows by it.
    (time <= MAX_TIME).then_some(time).ok_or("a year at most".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a number of operations a second".to_owned())?;
    (rate.is_finite() && rate >= 0.1).then_some(rate).ok_or("at least 0.1".to_owned())
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
    fn a_gap_needs_a_cluster_that_serves_without_its_leader_and_a_round() {
        let parses = |line: &str| BenchOptions::try_parse_from(line.split(' ')).is_ok();
        assert!(parses("bench gap") && parses("bench gap --cluster 3 --rounds 1"));
        for wrong in ["--cluster 2", "--rounds 0", "--clients 0", "--server-ip 127.0.0.1"] {
            assert!(!parses(&format!("bench gap {wrong}")), "{wrong}");
        }
    }

    #[test]
    fn a_load_says_both_ways_to_name_nodes() {
        let error =
            BenchOptions::try_parse_from(["bench", "load"]).expect_err("no nodes").to_string();
        assert!(error.contains("--server-ip") && error.contains("--cluster"), "{error}");
    }

    #[test]
    fn the_help_is_not_broken_at_a_hundred_columns() {
        assert!(EXAMPLES.lines().all(|line| line.len() < 100));
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        assert!(work(&["--writes", "256"]).is_ok());
        assert!(work(&["--writes", "4", "--workload", "mixed"]).is_ok());
        assert!(work(&["--writes", "4", "--workload", "get"]).is_err());
        assert!(work(&["--writes", "0"]).is_err());
        // What no clock reaches.
        assert!(work(&["--seconds", "1e19"]).is_err());
        assert!(work(&["--warm-up", "1e19"]).is_err());
        assert!(work(&["--value-bytes", "1048576"]).is_ok());
        assert!(work(&["--value-bytes", "1048576", "--writes", "2"]).is_err());
    }

    #[test]
    fn all_curves_are_drawn_unless_some_are_named() {
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
