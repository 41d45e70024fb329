//! The arguments of the client program.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use crate::client::{ClientTls, Token, Value};
use crate::limits::{DEFAULT_PORT, DEFAULT_REQUEST_TIME, MAX_CLIENT_TIMEOUT};
use crate::{Client, cli};
use clap::error::ErrorKind;
use clap::{ArgGroup, CommandFactory, Parser, ValueEnum};

use super::json::Form;
use super::parameter::Parameter;
use super::report::complain;
use super::style::Colour;
use super::verb::Verb;
use super::{arguments, duration, exit, parameter};

/// The node that the client asks if the arguments name none.
const DEFAULT_NODE: &str = "127.0.0.1";

/// The time to wait for a change of the members if the options do not set it.
const CHANGE_TIME: Duration = Duration::from_secs(600);

/// The time for each request of a change of the members, which is repeated until the change is
/// done; so the program can show what the change waits for.
const CHANGE_REQUEST_TIME: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  {name} --server-ip 127.0.0.1
      Starts a prompt. Write a program; an empty line sends it.
  {name} --execute 'put \"greeting\" \"hello\";'
      Runs one transaction.
  {name} --execute 'put $key $value;' --param key=greeting --param value='\"hi\" they said'
      Passes values as parameters, which need no quotes or escapes of the language.
  {name} --server-ip 10.0.0.1 10.0.0.2 --file transfer.txt --param amount:int=100 --output json
      Runs a program from a file, and prints the result as JSON.
  {name} --server-ip 10.0.0.1 10.0.0.2 health
      Says whether the cluster serves; the exit code is 0 only if it does.
  {name} --server-ip 10.0.0.1 member add 10.0.0.4
      Adds a node that was started with --join.
  {name} --nodes
      Shows the status of all nodes.
  {name} --quiet --stop-on-error < session.txt
      Runs several programs, each ended by an empty line or by the end of the input.
";

/// The client of a lattistore cluster: a prompt for transactions, or one transaction for a script.
///
/// A transaction is a small program, such as `put "b" get "a";`, that runs atomically and isolated
/// from all others. Without --execute and --file, the client reads programs from standard input; an
/// empty line sends a program, and so does the end of a file or pipe. At a terminal it shows a
/// prompt; `.help` there lists the commands.
///
/// A verb, such as `health`, does one task and exits; `{name} VERB --help` describes it.
#[derive(Debug, Parser)]
#[command(name = "client", version, after_help = EXAMPLES)]
#[command(after_long_help = [EXAMPLES, "\n", exit::HELP].concat())]
#[command(group = ArgGroup::new("what").multiple(false))]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) struct ClientOptions {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,

    /// Nodes to ask: IP addresses or names, optionally with a port.
    ///
    /// One is enough to find the others; several help while that one is down. The default is
    /// 127.0.0.1. Separate them by spaces or commas. Write an IPv6 address with a port as
    /// `[::1]:50051`. The list ends at the next option or verb.
    #[arg(long, value_name = "IP", num_args = 1.., global = true)]
    #[arg(env = "LATTISTORE_SERVER_IP")]
    server_ip: Vec<String>,

    /// The port of the nodes that are named without one.
    #[arg(long, default_value_t = DEFAULT_PORT, env = "LATTISTORE_PORT", global = true)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// Run this program and exit.
    #[arg(long, short, value_name = "PROGRAM", group = "what")]
    pub(crate) execute: Option<String>,

    /// Run the program in this file and exit; `-` stands for standard input.
    #[arg(long, short, value_name = "FILE", group = "what")]
    pub(crate) file: Option<PathBuf>,

    /// Show the status of the node, and what it knows of the other nodes.
    ///
    /// The exit code is 6 if it knows no leader or hears no majority, 7 if it does not hear a
    /// member.
    #[arg(long, group = "what")]
    pub(crate) status: bool,

    /// Show the status of all nodes: those that are named, and the members that any of them knows.
    ///
    /// The exit code is 6 if no leader is known or no majority answers, 7 if a node does not
    /// answer.
    #[arg(long, group = "what")]
    pub(crate) nodes: bool,

    /// Bind a value to a parameter of the program: name=text, name:int=5, name:bool=true.
    ///
    /// The program refers to it as $name. The option may be repeated.
    #[arg(long = "param", short, value_name = "NAME=VALUE", value_parser = parameter::parse)]
    params: Vec<Parameter>,

    /// The time for each transaction, retries included: 5s, 250ms, 2m. The default is 10s, and 10m
    /// for a change of the members.
    ///
    /// The first transaction also opens a session, which takes time, too: with disks that need 2 s
    /// for a write, allow about 6 s.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    #[arg(env = "LATTISTORE_TIMEOUT", global = true)]
    timeout: Option<Duration>,

    /// Retry until the timeout while no node listens, as the nodes may be about to start.
    ///
    /// Without it, a client that has not connected yet gives up after three attempts in half a
    /// second.
    #[arg(long, global = true)]
    wait: bool,

    /// Send each request once, to the first node, and report redirects instead of following them.
    #[arg(long, global = true)]
    no_follow: bool,

    /// Use TLS, and trust nodes with a certificate that is signed by an authority in this file
    /// (PEM).
    #[arg(long, value_name = "FILE", env = "LATTISTORE_TLS_CA", global = true)]
    tls_ca: Option<PathBuf>,

    /// The file with the token that identifies the client.
    #[arg(long, value_name = "FILE", env = "LATTISTORE_TOKEN_FILE", global = true)]
    token_file: Option<PathBuf>,

    /// Allow sending the token over a network without TLS, where an eavesdropper can read it.
    #[arg(long, global = true)]
    insecure: bool,

    /// End a session from a file or pipe at the first error; the rest of the input does not run.
    #[arg(long, conflicts_with = "what")]
    pub(crate) stop_on_error: bool,

    /// In a session, print only results, without prompts and lines of the input; errors go to
    /// standard error.
    #[arg(long, short, conflicts_with = "what")]
    pub(crate) quiet: bool,

    /// How to print results.
    #[arg(long, short, value_enum, default_value_t = Output::Text, global = true)]
    pub(crate) output: Output,

    /// When to use colours.
    #[arg(long, value_enum, default_value_t = Colour::Auto, global = true)]
    pub(crate) color: Colour,

    #[command(flatten)]
    pub(crate) generate: crate::cli::Generate,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// As at the prompt: `result: {"a": "AAA"}`.
    Text,
    /// One JSON object on a line for each transaction, also for failures; numbers above 2^53 are
    /// texts.
    Json,
    /// Like json, but every number is a number, as in version 0.1.0.
    JsonV1,
}

impl Output {
    /// Returns the form of JSON, or `None` for text.
    pub(crate) fn form(self) -> Option<Form> {
        match self {
            Output::Text => None,
            Output::Json => Some(Form::Exact),
            Output::JsonV1 => Some(Form::V1),
        }
    }
}

impl ClientOptions {
    /// Parses the command line and the environment. If they are not valid, prints an error and ends
    /// the program.
    pub(crate) fn parse_line() -> ClientOptions {
        let arguments = arguments::spread(&ClientOptions::command(), std::env::args_os());
        let options = cli::parse_from(arguments).and_then(ClientOptions::checked);
        options.unwrap_or_else(|error| error.exit())
    }

    /// Checks that no option for another task is given with a verb.
    fn checked(self) -> Result<ClientOptions, clap::Error> {
        let others = [
            (self.execute.is_some(), "--execute"),
            (self.file.is_some(), "--file"),
            (self.status, "--status"),
            (self.nodes, "--nodes"),
            (!self.params.is_empty(), "--param"),
            (self.stop_on_error, "--stop-on-error"),
            (self.quiet, "--quiet"),
        ];
        match others.into_iter().find(|(given, _)| *given && self.verb.is_some()) {
            Some((_, option)) => {
                let message = format!("{option} cannot be used together with a verb");
                Err(cli::command::<ClientOptions>().error(ErrorKind::ArgumentConflict, message))
            }
            None => Ok(self),
        }
    }

    /// Returns a client with these options.
    pub(crate) fn client(&self) -> Result<Client, String> {
        let changes = matches!(&self.verb, Some(Verb::Member { task }) if task.is_change());
        self.client_within(if changes { CHANGE_REQUEST_TIME } else { MAX_CLIENT_TIMEOUT })
    }

    /// Whether to follow redirects and to retry.
    pub(crate) fn follows(&self) -> bool {
        !self.no_follow
    }

    /// Returns how long to wait for a change of the members.
    pub(crate) fn change_time(&self) -> Duration {
        self.timeout.unwrap_or(CHANGE_TIME)
    }

    /// Returns a client with these options, but with at most this time for each call.
    pub(crate) fn client_within(&self, time: Duration) -> Result<Client, String> {
        let timeout = self.timeout.unwrap_or(DEFAULT_REQUEST_TIME).min(time);
        let builder = Client::builder().timeout(timeout).follow(self.follows());
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
            return Err(unknown
                .into_iter()
                .next()
                .unwrap_or("no node is named: name one with --server-ip".to_owned()));
        }
        for message in unknown {
            // The client asks the other nodes.
            complain(&format!("warning: {message}\n"));
        }
        Ok(builder.addresses(found).build())
    }

    /// Returns the addresses of the named nodes, and an error for each name without an address. One
    /// text may name several nodes, as the environment variable does.
    fn nodes_named(&self) -> (Vec<SocketAddr>, Vec<String>) {
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        let separates = |c: char| c.is_whitespace() || c == ',';
        let nodes = self.server_ip.iter().flat_map(|nodes| nodes.split(separates));
        let default = self.server_ip.is_empty().then_some(DEFAULT_NODE);
        for node in nodes.filter(|node| !node.is_empty()).chain(default) {
            match addresses(node, self.port) {
                Ok(addresses) => found.extend(addresses),
                Err(message) => unknown.push(message),
            }
        }
        (found, unknown)
    }

    /// If no node is named, prints a hint that the client asked only the default address.
    pub(crate) fn advise_on_default(&self) {
        if self.server_ip.is_empty() {
            complain(&format!(
                "hint: the client asked only {DEFAULT_NODE}, as no node was named; name others \
                 with --server-ip or LATTISTORE_SERVER_IP\n"
            ));
        }
    }

    /// Returns the parameters of programs.
    pub(crate) fn params(&self) -> BTreeMap<String, Value> {
        self.params.iter().map(|p| (p.name.clone(), p.value.clone())).collect()
    }

    /// Whether to run one request and exit, instead of reading programs.
    pub(crate) fn is_one_request(&self) -> bool {
        self.execute.is_some() || self.file.is_some() || self.status || self.nodes
    }
}

/// Returns the addresses of a node: an IP address or a name, with or without a port.
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
        Err(error) => Err(format!("`{node}` is neither an IP address nor a known name: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_of_the_arguments_is_consistent() {
        ClientOptions::command().debug_assert();
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
    fn commas_separate_nodes_and_an_unknown_name_is_reported() {
        let args =
            ["client", "--port", "7", "--server-ip", "127.0.0.1,127.0.0.2:9 ,", "no:such:node,::1"];
        let (found, unknown) = ClientOptions::parse_from(args).nodes_named();
        let found: Vec<_> = found.iter().map(SocketAddr::to_string).collect();
        assert_eq!(found, ["127.0.0.1:7", "127.0.0.2:9", "[::1]:7"]);
        assert_eq!(unknown.len(), 1, "{unknown:?}");
        assert!(unknown[0].contains("`no:such:node`"), "{unknown:?}");
    }

    #[test]
    fn server_ips_may_be_given_together_or_one_by_one() {
        let parse = |args: &[&str]| {
            let spread = arguments::spread(&ClientOptions::command(), args.iter().map(Into::into));
            ClientOptions::try_parse_from(spread).and_then(ClientOptions::checked)
        };
        let given = |args: &[&str]| parse(args).expect("valid arguments").server_ip;
        let both = ["127.0.0.1", "127.0.0.2"];
        assert_eq!(given(&["client", "--server-ip", "127.0.0.1", "127.0.0.2"]), both);
        let repeated = ["client", "--server-ip", "127.0.0.1", "--server-ip", "127.0.0.2"];
        assert_eq!(given(&repeated), both);
        let around = ["client", "--server-ip", "127.0.0.1", "health", "--server-ip", "127.0.0.2"];
        assert_eq!(given(&around), both);
        let before = ["client", "--server-ip", "127.0.0.1", "127.0.0.2", "member", "add", "A", "B"];
        assert_eq!(given(&before), both);
        for conflict in [["--execute", "x"], ["--file", "x"], ["--param", "x=y"]] {
            let error = parse(&[&["client"], &conflict[..], &["health"]].concat());
            assert_eq!(error.expect_err("a conflict").kind(), ErrorKind::ArgumentConflict);
        }
    }

    #[test]
    fn a_change_of_the_members_waits_ten_minutes_unless_the_options_say_otherwise() {
        let time = |args: &[&str]| ClientOptions::parse_from(args).change_time();
        assert_eq!(time(&["client", "member", "remove", "A"]), Duration::from_secs(600));
        let given = ["client", "--timeout", "5s", "member", "replace", "A", "B"];
        assert_eq!(time(&given), Duration::from_secs(5));
        let after = ["client", "member", "cancel", "A", "--timeout", "5s"];
        assert_eq!(time(&after), Duration::from_secs(5));
        for wrong in [&["client", "member"][..], &["client", "member", "add"]] {
            assert!(ClientOptions::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
