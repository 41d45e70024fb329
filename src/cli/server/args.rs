//! The options of the server. A flag overrides an environment variable, which overrides the file of
//! `--config`, which overrides the default.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use crate::cli::{Addresses, Generate};
use crate::lpaxos::{Config, Election};
use crate::security::{Files, TlsFiles};
use crate::server::{Bounds, ServerOptions, StateLocation};
use clap::Parser;
use clap::builder::BoolishValueParser;

use super::config::File;
use super::logging::Format;
use super::option_values::{Leader, level, size};

/// The default of `--port`.
const DEFAULT_PORT: u16 = 50051;

/// The term of each leader with `--leader rotating`, in milliseconds.
const ROTATING_TERM_MS: u64 = 5_000;

/// Runs one node of a lattistore cluster.
///
/// Start every node with the same list. The cluster is formed when all nodes have heard each other.
/// From then on it serves while a majority of the nodes can reach each other.
#[derive(Debug, Parser)]
#[command(name = "server", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The address of this node, one of --node-ips if they are given
    #[arg(long, value_name = "IP", env = "LATTISTORE_MY_IP")]
    my_ip: Option<IpAddr>,

    /// The addresses of all nodes of the cluster, this one included
    #[arg(long, value_name = "IP", num_args = 1.., env = "LATTISTORE_NODE_IPS")]
    node_ips: Option<Vec<Addresses>>,

    /// The addresses of nodes of a cluster to which this node is added, instead of --node-ips: the
    /// node waits until a client adds it (client member add)
    #[arg(long, value_name = "IP", num_args = 1.., env = "LATTISTORE_JOIN",
        conflicts_with = "node_ips")]
    join: Option<Vec<Addresses>>,

    /// The port that all nodes listen on, for each other and for clients [default: 50051]
    #[arg(long, value_name = "PORT", env = "LATTISTORE_PORT")]
    port: Option<u16>,

    /// The directory of the node's state [default: a folder named after the address, in
    /// ./lattistore-data]
    #[arg(long, value_name = "DIR", env = "LATTISTORE_DATA_DIR", conflicts_with = "in_memory")]
    data_dir: Option<PathBuf>,

    /// Keep the state in memory only: a node that stops cannot return to its cluster
    #[arg(long)]
    in_memory: bool,

    /// The file with the secret that all nodes share: only nodes that know it are admitted. While
    /// the secret is being replaced, the file has two: the node uses the first, and accepts both
    #[arg(long, value_name = "FILE", env = "LATTISTORE_CLUSTER_KEY")]
    cluster_key: Option<PathBuf>,

    /// The node's certificate, and the chain to the authority (PEM); with it, all connections use
    /// TLS
    #[arg(long, value_name = "FILE", env = "LATTISTORE_TLS_CERT")]
    tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert (PEM)
    #[arg(long, value_name = "FILE", env = "LATTISTORE_TLS_KEY")]
    tls_key: Option<PathBuf>,

    /// The certificates of the authorities that sign the certificates of nodes (PEM)
    #[arg(long, value_name = "FILE", env = "LATTISTORE_TLS_CA")]
    tls_ca: Option<PathBuf>,

    /// The clients that are admitted, and what each may do (TOML); without it, all clients are
    /// admitted
    #[arg(long, value_name = "FILE", env = "LATTISTORE_CLIENT_TOKENS")]
    client_tokens: Option<PathBuf>,

    /// Refuse programs that can make the state larger while the process uses this much memory:
    /// 500MiB, 4GiB; 0 for no limit [default: 80 % of the memory of the machine or the cgroup]
    #[arg(long, value_name = "SIZE", env = "LATTISTORE_MAX_MEMORY", value_parser = size)]
    max_memory: Option<u64>,

    /// Refuse them also while the disk of --data-dir has less free space than this [default:
    /// 256MiB]
    #[arg(long, value_name = "SIZE", env = "LATTISTORE_MIN_FREE_DISK", value_parser = size)]
    min_free_disk: Option<u64>,

    /// Listen on an address that other machines can reach, although there is neither a cluster key
    /// nor TLS
    #[arg(long, env = "LATTISTORE_INSECURE", value_parser = BoolishValueParser::new())]
    insecure: bool,

    /// How the leader is chosen [default: elected]
    #[arg(long, value_enum, env = "LATTISTORE_LEADER")]
    leader: Option<Leader>,

    /// The level of the log on standard error: off, error, warn, info, debug or trace [default:
    /// info]
    #[arg(long, value_name = "LEVEL", env = "LATTISTORE_LOG", value_parser = level)]
    log: Option<log::LevelFilter>,

    /// The format of the lines of the log [default: text]
    #[arg(long, value_enum, value_name = "FORMAT", env = "LATTISTORE_LOG_FORMAT")]
    log_format: Option<Format>,

    /// A TOML file with the options that neither flags nor environment variables set
    #[arg(long, value_name = "FILE", env = "LATTISTORE_CONFIG")]
    config: Option<PathBuf>,

    /// Print a random secret, for --cluster-key or for the token of a client, and exit
    #[arg(long, exclusive = true, help_heading = "Installation")]
    pub(crate) generate_key: bool,

    #[command(flatten)]
    pub(crate) generate: Generate,
}

const EXAMPLES: &str = "\
Examples:
  A cluster of one:
    {name} --my-ip 127.0.0.1 --node-ips 127.0.0.1
  A cluster of three; run each in a terminal of its own:
    {name} --my-ip 127.0.0.1 --node-ips 127.0.0.1 127.0.0.2 127.0.0.3
    {name} --my-ip 127.0.0.2 --node-ips 127.0.0.1 127.0.0.2 127.0.0.3
    {name} --my-ip 127.0.0.3 --node-ips 127.0.0.1 127.0.0.2 127.0.0.3
  Options in a file, the same names without the dashes in front:
    {name} --config node.toml
    # node.toml
    my-ip = \"127.0.0.1\"
    node-ips = [\"127.0.0.1\", \"127.0.0.2\", \"127.0.0.3\"]
    data-dir = \"/var/lib/lattistore\"
  A fourth node of that cluster, until `client member add 127.0.0.4` adds it:
    {name} --my-ip 127.0.0.4 --join 127.0.0.1 127.0.0.2 127.0.0.3
  A node that other machines reach (scripts/make-secrets makes the files):
    {name} --my-ip 10.0.0.1 --node-ips 10.0.0.1 10.0.0.2 10.0.0.3 --cluster-key cluster.key
      --tls-cert 10.0.0.1.pem --tls-key 10.0.0.1.key --tls-ca ca.pem --client-tokens clients.toml

Exit codes:
  0  stopped by SIGINT or SIGTERM
  2  the options are wrong
  3  the node cannot listen on its address, or the system lacks threads or open files
  4  the state cannot be read or written; standard error says what failed
  5  the nodes do not agree on the cluster
  6  a part of the server failed; please report it
  7  the node was removed from its cluster: its data directory is of no further use
  130  ended at once by a second SIGINT or SIGTERM";

/// The options of the server, complete and checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) options: ServerOptions,
    pub(crate) log: log::LevelFilter,
    pub(crate) log_format: Format,
}

impl Args {
    /// Combines flags, environment, file and defaults.
    ///
    /// # Errors
    /// One line that says what is wrong and what to do.
    pub(crate) fn settings(self) -> Result<Settings, String> {
        let file = match &self.config {
            Some(path) => File::read(path)?,
            None => File::default(),
        };
        let missing = |flag: &str, key: &str| {
            format!("{flag} is missing: give it, or {key} in a file named by --config; see --help")
        };
        let my_ip = self.my_ip.or(file.my_ip).ok_or_else(|| missing("--my-ip", "my-ip"))?;
        let node_ips = self.node_ips.as_deref().map(Addresses::all);
        let join = self.join.as_deref().map(Addresses::all);
        // A flag also overrides the other one of the two in the file.
        let (node_ips, join) = match (&node_ips, &join) {
            (None, None) => (file.node_ips, file.join),
            _ => (node_ips, join),
        };
        if node_ips.is_none() && join.is_none() {
            return Err(missing("--node-ips", "node-ips"));
        }
        let my_ip = my_ip.to_canonical();
        let node_ips = distinct("--node-ips", &node_ips.unwrap_or_default())?;
        let join = distinct("--join", &join.unwrap_or_default())?;
        // The flag --data-dir overrides `in-memory` in the file.
        let in_memory = self.in_memory || self.data_dir.is_none() && file.in_memory;
        let location = match (in_memory, self.data_dir.or(file.data_dir)) {
            (true, _) => StateLocation::Memory,
            (false, Some(directory)) => StateLocation::Directory(directory),
            // Some systems do not allow a colon in a file name.
            (false, None) => StateLocation::Directory(
                PathBuf::from("lattistore-data").join(my_ip.to_string().replace(':', "_")),
            ),
        };
        let election = match self.leader.or(file.leader).unwrap_or(Leader::Elected) {
            Leader::Elected => Election::Heartbeats,
            Leader::Rotating => Election::Rotating { term_ms: ROTATING_TERM_MS },
        };
        let port = self.port.or(file.port).unwrap_or(DEFAULT_PORT);
        if port == 0 {
            return Err("--port 0 is not valid: name the port that all nodes listen on".to_owned());
        }
        let mut options = ServerOptions::new(my_ip, node_ips, port, location);
        options.join = join;
        let cluster_key = self.cluster_key.or(file.cluster_key);
        let tls = tls_files(
            self.tls_cert.or(file.tls_cert),
            self.tls_key.or(file.tls_key),
            self.tls_ca.or(file.tls_ca),
        )?;
        let client_tokens = self.client_tokens.or(file.client_tokens);
        options.security = Files { cluster_key, tls, client_tokens };
        options.insecure = self.insecure || file.insecure;
        options.config = Config { election, ..Config::default() };
        let default = Bounds::default();
        options.bounds = Bounds {
            max_memory: self.max_memory.or(file.max_memory).unwrap_or(default.max_memory),
            min_free_disk: self
                .min_free_disk
                .or(file.min_free_disk)
                .unwrap_or(default.min_free_disk),
        };
        let log = self.log.or(file.log.map(|level| level.0)).unwrap_or(log::LevelFilter::Info);
        let log_format = self.log_format.or(file.log_format).unwrap_or_default();
        Ok(Settings { options, log, log_format })
    }
}

/// Returns the addresses in canonical form.
///
/// # Errors
/// If the list has an address twice.
fn distinct(option: &str, listed: &[IpAddr]) -> Result<BTreeSet<IpAddr>, String> {
    let mut written = BTreeMap::new();
    for ip in listed {
        match written.insert(ip.to_canonical(), ip) {
            None => {}
            Some(before) if before == ip => {
                return Err(format!("{option} names {ip} twice: list each node once"));
            }
            Some(before) => {
                return Err(format!(
                    "{option} names {before} and {ip}, which are the same address: list each node \
                     once"
                ));
            }
        }
    }
    Ok(written.into_keys().collect())
}

/// Returns the files of TLS, or `None` if no option names one.
///
/// # Errors
/// If only some of the three are named.
fn tls_files(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    ca: Option<PathBuf>,
) -> Result<Option<TlsFiles>, String> {
    match (cert, key, ca) {
        (None, None, None) => Ok(None),
        (Some(cert), Some(key), Some(ca)) => Ok(Some(TlsFiles { cert, key, ca })),
        _ => Err("TLS needs all of --tls-cert, --tls-key and --tls-ca".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse_from;

    fn settings(line: &str) -> Result<Settings, String> {
        let args: Args = parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        args.settings()
    }

    #[test]
    fn the_description_of_the_arguments_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn a_node_needs_only_its_address_and_the_list() {
        let set = settings("server --my-ip 127.0.0.1 --node-ips 127.0.0.1 127.0.0.2");
        let options = set.expect("settings").options;
        assert_eq!((options.node_ips.len(), options.port), (2, DEFAULT_PORT));
        let folder = PathBuf::from("lattistore-data/127.0.0.1");
        assert_eq!(options.place, StateLocation::Directory(folder));
        assert!(settings("server").expect_err("no address").contains("--my-ip is missing"));
        let error = settings("server --my-ip 127.0.0.1").expect_err("no list");
        assert!(error.contains("--node-ips is missing"), "{error}");
    }

    #[test]
    fn a_node_founds_a_cluster_or_joins_one() {
        let one = "server --my-ip 127.0.0.4";
        let set = settings(&format!("{one} --join 127.0.0.1 127.0.0.2")).expect("settings");
        assert_eq!((set.options.join.len(), set.options.node_ips.len()), (2, 0));
        let both = settings(&format!("{one} --join 127.0.0.1 --node-ips 127.0.0.4"));
        assert!(both.expect_err("both").contains("--node-ips"));
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("node.toml");
        std::fs::write(&path, "node-ips = [\"127.0.0.4\"]").expect("a file");
        let line = format!("{one} --config {} --join 127.0.0.1", path.display());
        let options = settings(&line).expect("settings").options;
        assert_eq!((options.join.len(), options.node_ips.len()), (1, 0), "the flag counts");
    }

    #[test]
    fn an_invalid_port_or_level_is_refused() {
        let one = "server --my-ip 127.0.0.1 --node-ips 127.0.0.1";
        let error = settings(&format!("{one} --port 0")).expect_err("no port");
        assert!(error.contains("--port 0"), "{error}");
        let error = settings(&format!("{one} --log loud")).expect_err("no level");
        assert!(error.contains("off, error, warn, info, debug or trace"), "{error}");
    }

    #[test]
    fn an_address_that_is_listed_twice_is_refused_wherever_the_list_comes_from() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("node.toml");
        let text = "my-ip = \"::1\"\nnode-ips = [\"::1\", \"127.0.0.1\", \"0:0::1\"]";
        std::fs::write(&path, text).expect("a file");
        let one = "server --my-ip 127.0.0.1 --node-ips";
        for (line, named) in [
            (format!("{one} 127.0.0.1 127.0.0.1"), &["127.0.0.1 twice"][..]),
            (format!("{one} 127.0.0.1 --node-ips 127.0.0.1"), &["127.0.0.1 twice"]),
            (format!("{one} ::ffff:127.0.0.1 127.0.0.1"), &["127.0.0.1 and", "::ffff:127.0.0.1"]),
            (format!("server --config {}", path.display()), &["::1 twice"]),
        ] {
            let error = settings(&line).expect_err(&line);
            assert!(named.iter().all(|part| error.contains(part)), "{line}: {error}");
        }
        let set = settings(&format!("{one} 127.0.0.1 ::1 ::ffff:127.0.0.2")).expect("settings");
        assert_eq!(set.options.node_ips.len(), 3);
    }

    #[test]
    fn the_file_can_name_the_files_of_security() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("node.toml");
        let text = "my-ip = \"::1\"\nnode-ips = [\"::1\"]\ncluster-key = \"k\"\ninsecure = true\n\
                    tls-cert = \"c\"\ntls-key = \"p\"\ntls-ca = \"a\"\nclient-tokens = \"t\"";
        std::fs::write(&path, text).expect("a file");
        let line = format!("server --config {} --cluster-key flag", path.display());
        let options = settings(&line).expect("settings").options;
        let files = TlsFiles { cert: "c".into(), key: "p".into(), ca: "a".into() };
        let expected = Files {
            cluster_key: Some("flag".into()),
            tls: Some(files),
            client_tokens: Some("t".into()),
        };
        assert_eq!((options.security, options.insecure), (expected, true));
    }

    #[test]
    fn flags_override_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("node.toml");
        let text = "my-ip = \"::1\"\nnode-ips = [\"::1\"]\nport = 7\nin-memory = true\n\
                    log = \"warn\"\nlog-format = \"json\"";
        std::fs::write(&path, text).expect("a file");
        let line = format!("server --config {}", path.display());
        let set = settings(&line).expect("settings");
        assert_eq!((set.options.port, set.log), (7, log::LevelFilter::Warn));
        assert_eq!(set.log_format, Format::Json);
        let text = settings(&format!("{line} --log-format text")).expect("settings");
        assert_eq!(text.log_format, Format::Text);
        assert_eq!(set.options.place, StateLocation::Memory);
        let set = settings(&format!("{line} --port 8 --data-dir d")).expect("settings").options;
        assert_eq!((set.port, set.place), (8, StateLocation::Directory("d".into())));
    }
}
