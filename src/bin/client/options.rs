//! The arguments.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Parser, ValueEnum};
use lattistore::Client;
use lattistore::client::{ClientTls, Token, Value};
use lattistore::limits::DEFAULT_PORT;

use crate::parameter::Parameter;
use crate::report::complain;
use crate::{duration, exit, parameter};

const EXAMPLES: &str = "\
Examples:
  client --server-ip 127.0.0.1
      A prompt. Write a program; an empty line sends it.
  client --execute 'put \"greeting\" \"hello\";'
      One transaction.
  client --execute 'put $key $value;' --param key=greeting --param value='\"hi\" they said'
      Values as parameters can hold anything.
  client --server-ip 10.0.0.1 10.0.0.2 --file transfer.txt --param amount:int=100 --output json
      A program from a file, the result for another program to read.
  client --status
      How the cluster is.
  client < session.txt
      Several programs, each ended by an empty line or the end of the input.
";

/// Talks to a lattistore cluster: a prompt for transactions, or one transaction for a script.
///
/// A transaction is a small program, such as `put "b" get "a";`, that runs on its own and whole. With
/// neither --execute nor --file, programs are read from standard input; an empty line, or the end
/// of a file or pipe, sends one. From a terminal there is a prompt; `.help` there says more.
#[derive(Debug, Parser)]
#[command(name = "client", version, after_help = EXAMPLES, after_long_help = [EXAMPLES, "\n", exit::HELP].concat())]
#[command(group = ArgGroup::new("what").multiple(false))]
pub(crate) struct Options {
    /// Nodes to ask: IP addresses or names, each with a port of its own if need be.
    ///
    /// One is enough to find the others; more help while that one is down. They are separated by
    /// spaces or commas. An IPv6 address with a port is written `[::1]:50051`.
    #[arg(long, value_name = "IP", num_args = 1.., default_value = "127.0.0.1")]
    #[arg(env = "LATTISTORE_SERVER_IP")]
    server_ip: Vec<String>,

    /// The port of nodes that are named without one.
    #[arg(long, default_value_t = DEFAULT_PORT, env = "LATTISTORE_PORT")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// Run this program and exit.
    #[arg(long, short, value_name = "PROGRAM", group = "what")]
    pub(crate) execute: Option<String>,

    /// Run the program in this file and exit; - for standard input.
    #[arg(long, short, value_name = "FILE", group = "what")]
    pub(crate) file: Option<PathBuf>,

    /// Show how the node is, and what it knows of the others.
    #[arg(long, group = "what")]
    pub(crate) status: bool,

    /// Ask all nodes how they are.
    #[arg(long, group = "what")]
    pub(crate) nodes: bool,

    /// Bind a value to a parameter of the program: name=text, name:int=5, name:bool=true.
    ///
    /// May be given several times. The program names it as $name.
    #[arg(long = "param", short, value_name = "NAME=VALUE", value_parser = parameter::parse)]
    params: Vec<Parameter>,

    /// How long a transaction may take, retries included: 5s, 250ms, 2m.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    #[arg(default_value = "5s", env = "LATTISTORE_TIMEOUT")]
    timeout: Duration,

    /// Wait for the nodes to be started: keep trying until the timeout although none listens.
    ///
    /// Without it the client tries three times in half a second before its first connection.
    #[arg(long)]
    wait: bool,

    /// Send each request once, to the first node, and report redirects instead of following them.
    #[arg(long)]
    no_follow: bool,

    /// Speak TLS, and trust nodes whose certificates one of those in this file signed (PEM).
    #[arg(long, value_name = "FILE", env = "LATTISTORE_TLS_CA")]
    tls_ca: Option<PathBuf>,

    /// The file with the token that says who the client is.
    #[arg(long, value_name = "FILE", env = "LATTISTORE_TOKEN_FILE")]
    token_file: Option<PathBuf>,

    /// Send the token over a network without TLS, too: who listens in learns it.
    #[arg(long)]
    insecure: bool,

    /// How to print results.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,

    /// When to use colours.
    #[arg(long, value_enum, default_value_t = Colour::Auto)]
    pub(crate) color: Colour,

    #[command(flatten)]
    pub(crate) generate: lattistore::cli::Generate,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// As at the prompt: `result: {"a": "AAA"}`.
    Text,
    /// One JSON object on a line for each transaction, failures too.
    Json,
}

/// When there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Options {
    /// The client that the arguments ask for.
    pub(crate) fn client(&self) -> Result<Client, String> {
        let builder = Client::builder().timeout(self.timeout).follow(!self.no_follow);
        let mut builder = builder.wait(self.wait);
        if let Some(ca) = &self.tls_ca {
            builder = builder.tls(ClientTls::read(ca).map_err(|error| error.to_string())?);
        }
        if let Some(file) = &self.token_file {
            builder = builder.token(Token::read(file).map_err(|error| error.to_string())?);
        }
        builder = builder.token_in_clear(self.insecure);
        let (found, unknown) = self.nodes_named();
        if found.is_empty() {
            return Err(unknown.into_iter().next().unwrap_or("no node is named".to_owned()));
        }
        for message in unknown {
            // The other nodes are asked.
            complain(&format!("warning: {message}\n"));
        }
        Ok(builder.addresses(found).build())
    }

    /// The addresses of the nodes that are named, and what is wrong with the names that have none. One
    /// text may name several: the environment variable does.
    fn nodes_named(&self) -> (Vec<SocketAddr>, Vec<String>) {
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        let separates = |c: char| c.is_whitespace() || c == ',';
        let nodes = self.server_ip.iter().flat_map(|nodes| nodes.split(separates));
        for node in nodes.filter(|node| !node.is_empty()) {
            match addresses(node, self.port) {
                Ok(addresses) => found.extend(addresses),
                Err(message) => unknown.push(message),
            }
        }
        (found, unknown)
    }

    /// The parameters of programs.
    pub(crate) fn params(&self) -> BTreeMap<String, Value> {
        self.params.iter().map(|p| (p.name.clone(), p.value.clone())).collect()
    }

    /// Whether to do one thing and exit, rather than read programs.
    pub(crate) fn is_one_request(&self) -> bool {
        self.execute.is_some() || self.file.is_some() || self.status || self.nodes
    }
}

/// The addresses of a node.
pub(crate) fn addresses(node: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if let Ok(ip) = node.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    if let Ok(address) = node.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    let found = match node.rsplit_once(':') {
        Some(_) => node.to_socket_addrs(),
        None => (node, port).to_socket_addrs(),
    };
    match found.map(Iterator::collect::<Vec<_>>) {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("`{node}` has no address")),
        Err(error) => {
            Err(format!("`{node}` is neither an IP address nor a name that is known here: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn nodes_are_addresses_with_or_without_a_port() {
        let one = |node: &str| addresses(node, 7).map(|found| found[0].to_string());
        assert_eq!(one("127.0.0.2"), Ok("127.0.0.2:7".to_owned()));
        assert_eq!(one("127.0.0.2:9"), Ok("127.0.0.2:9".to_owned()));
        assert_eq!(one("::1"), Ok("[::1]:7".to_owned()));
        assert_eq!(one("[::1]:9"), Ok("[::1]:9".to_owned()));
        assert!(one("127.0.0.1:x").is_err());
    }

    #[test]
    fn commas_separate_nodes_and_an_unknown_name_ends_nothing() {
        let args =
            ["client", "--port", "7", "--server-ip", "127.0.0.1,127.0.0.2:9 ,", "no:such:node,::1"];
        let (found, unknown) = Options::parse_from(args).nodes_named();
        let found: Vec<_> = found.iter().map(SocketAddr::to_string).collect();
        assert_eq!(found, ["127.0.0.1:7", "127.0.0.2:9", "[::1]:7"]);
        assert_eq!(unknown.len(), 1, "{unknown:?}");
        assert!(unknown[0].contains("`no:such:node`"), "{unknown:?}");
    }

    #[test]
    fn server_ips_may_be_given_together_or_one_by_one() {
        let given = |args: &[&str]| Options::parse_from(args).server_ip;
        let both = ["127.0.0.1", "127.0.0.2"];
        assert_eq!(given(&["client", "--server-ip", "127.0.0.1", "127.0.0.2"]), both);
        let repeated = ["client", "--server-ip", "127.0.0.1", "--server-ip", "127.0.0.2"];
        assert_eq!(given(&repeated), both);
    }
}
