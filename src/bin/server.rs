//! The server: one node of a cluster.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use lattistore::lpaxos::{Config, Election};
use lattistore::server::{Options, Place, Server, ServerError};

/// How long each node leads with `--leader rotating`, in milliseconds.
const ROTATING_TERM_MS: u64 = 5_000;

/// Runs one node of a lattistore cluster.
///
/// Start every node with the same list. When all of them have heard each other the cluster is formed;
/// from then on it serves as long as a majority of the nodes can talk to each other.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    /// The address of this node, one of --node-ips
    #[arg(long, value_name = "IP", env = "LATTISTORE_MY_IP")]
    my_ip: IpAddr,

    /// The addresses of all nodes of the cluster, this one included
    #[arg(
        long,
        value_name = "IP",
        num_args = 1..,
        required = true,
        value_delimiter = ' ',
        env = "LATTISTORE_NODE_IPS"
    )]
    node_ips: Vec<IpAddr>,

    /// The port that all nodes listen on, for each other and for clients
    #[arg(long, value_name = "PORT", default_value_t = 50051, env = "LATTISTORE_PORT")]
    port: u16,

    /// Where the node keeps its state [default: a folder named after the address, in ./lattistore-data]
    #[arg(long, value_name = "DIR", env = "LATTISTORE_DATA_DIR", conflicts_with = "in_memory")]
    data_dir: Option<PathBuf>,

    /// Keep the state in memory only: a node that stops is lost for its cluster for good
    #[arg(long)]
    in_memory: bool,

    /// How the leader is found
    #[arg(long, value_enum, default_value_t = Leader::Elected, env = "LATTISTORE_LEADER")]
    leader: Leader,

    /// What is logged to standard error: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "LATTISTORE_LOG")]
    log: log::LevelFilter,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Leader {
    /// By heartbeats: the leader stays as long as it reaches a majority
    Elected,
    /// The next node every 5 seconds by the nodes' clocks
    Rotating,
}

const EXAMPLES: &str = "\
Examples:
  A cluster of one:
    server --my-ip 127.0.0.1 --node-ips 127.0.0.1
  A cluster of three; run each in a terminal of its own:
    server --my-ip 127.0.0.1 --node-ips 127.0.0.1 127.0.0.2 127.0.0.3
    server --my-ip 127.0.0.2 --node-ips 127.0.0.1 127.0.0.2 127.0.0.3
    server --my-ip 127.0.0.3 --node-ips 127.0.0.1 127.0.0.2 127.0.0.3

Exit codes:
  0  stopped by SIGINT or SIGTERM
  2  the options are wrong
  3  the address cannot be listened on, or the system lacks threads
  4  the state cannot be read or written: what failed is said on standard error
  5  the nodes do not agree on the cluster
  6  a part of the server failed; please report it";

fn main() -> ExitCode {
    let args = Args::parse();
    env_logger::Builder::new().filter_level(args.log).format_target(false).init();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(args: Args) -> Result<(), ServerError> {
    let my_ip = args.my_ip.to_canonical();
    let node_ips: BTreeSet<IpAddr> = args.node_ips.iter().map(IpAddr::to_canonical).collect();
    let place = match (args.in_memory, args.data_dir) {
        (true, _) => Place::Memory,
        (false, Some(directory)) => Place::Directory(directory),
        // A colon is no part of a file name everywhere.
        (false, None) => Place::Directory(
            PathBuf::from("lattistore-data").join(my_ip.to_string().replace(':', "_")),
        ),
    };
    let election = match args.leader {
        Leader::Elected => Election::Heartbeats,
        Leader::Rotating => Election::Rotating { term_ms: ROTATING_TERM_MS },
    };
    let mut options = Options::new(my_ip, node_ips, args.port, place);
    options.config = Config { election, ..Config::default() };
    let server = Server::start(options)?;
    stop_on_signals(&server)?;
    server.wait()
}

/// Stops the server at SIGINT and SIGTERM; a second signal ends the process at once.
fn stop_on_signals(server: &Server) -> Result<(), ServerError> {
    let stopper = server.stopper();
    let mut stopping = false;
    ctrlc::set_handler(move || {
        if stopping {
            std::process::exit(130);
        }
        stopping = true;
        stopper.stop();
    })
    .map_err(|error| ServerError::Spawn(std::io::Error::other(error)))
}
