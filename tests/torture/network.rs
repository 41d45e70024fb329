//! The network between the nodes: a network namespace for each, connected by a bridge in another
//! one, the hub; and the ways to cut it and to slow it down. All of it is private to this run.
//!
//! A direction between two nodes is cut by a wrong hardware address of the receiver at the sender:
//! packets vanish without an error, as in a broken network, and no packet filter is needed.

#![allow(dead_code)]

use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

/// A network. The names of its namespaces begin with its name.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    name: String,
    nodes: usize,
}

/// How the network is slowed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slowness {
    /// A delay of 200 ± 100 ms and 20 % loss, by the kernel's network emulator (netem).
    Netem,
    /// 20 % loss by a filter, and narrow links with long queues, on kernels without netem.
    LossyAndNarrow,
}

/// How many names are tried for a network.
const NAME_ATTEMPTS: usize = 10;

/// The directions (from, to) that are cut.
pub(crate) type Cuts = BTreeSet<(usize, usize)>;

impl Network {
    /// The network of this name, which [`setup`](Network::setup) made. Its addresses are the same
    /// in every run, as they are visible in its namespaces only.
    pub(crate) fn named(name: String, nodes: usize) -> Network {
        Network { name, nodes }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the namespace of the bridge, in which the clients run: they always reach all nodes.
    pub(crate) fn hub(&self) -> String {
        format!("{}-hub", self.name)
    }

    pub(crate) fn namespace(&self, node: usize) -> String {
        format!("{}-{node}", self.name)
    }

    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        (0..self.nodes).map(address).collect()
    }

    fn namespaces(&self) -> Vec<String> {
        (0..self.nodes).map(|node| self.namespace(node)).chain([self.hub()]).collect()
    }

    /// Makes the namespaces and their links, under a name that no other run has.
    ///
    /// # Errors
    /// The error of the system. Everything that was made is removed again.
    pub(crate) fn setup(nodes: usize) -> Result<Network, String> {
        // Runs in containers may have the same process id, and share the names of namespaces.
        for _ in 0..NAME_ATTEMPTS {
            let random = getrandom::u32().map_err(|error| error.to_string())?;
            let network = Network::named(format!("lattistore-{random:08x}"), nodes);
            // Making the first namespace claims the name: only one of two runs succeeds.
            let hub = network.hub();
            match run("ip", &format!("netns add {hub}")) {
                Ok(()) => {}
                Err(error) if error.contains("File exists") => continue,
                Err(error) => return Err(error),
            }
            return match network.join() {
                Ok(()) => Ok(network),
                Err(error) => {
                    network.remove();
                    Err(error)
                }
            };
        }
        Err("every name that was tried for the network namespaces is in use".into())
    }

    /// Makes the namespaces of the nodes and the links of all.
    fn join(&self) -> Result<(), String> {
        let hub = self.hub();
        run("ip", &format!("-n {hub} link set lo up"))?;
        run("ip", &format!("-n {hub} link add bridge type bridge"))?;
        run("ip", &format!("-n {hub} address add 10.0.0.254/24 dev bridge"))?;
        run("ip", &format!("-n {hub} link set bridge up"))?;
        for node in 0..self.nodes {
            let (namespace, ip, mac) = (self.namespace(node), address(node), mac(node));
            run("ip", &format!("netns add {namespace}"))?;
            run("ip", &format!("-n {namespace} link set lo up"))?;
            let pair = format!("veth peer name eth0 address {mac} netns {namespace}");
            run("ip", &format!("-n {hub} link add port{node} type {pair}"))?;
            run("ip", &format!("-n {hub} link set port{node} master bridge up"))?;
            run("ip", &format!("-n {namespace} address add {ip}/24 dev eth0"))?;
            run("ip", &format!("-n {namespace} link set eth0 up"))?;
        }
        self.cut(&Cuts::new())
    }

    /// Kills the processes in the namespaces, all of which this run started, and removes these.
    pub(crate) fn remove(&self) {
        for namespace in self.namespaces() {
            let pids = Command::new("ip").args(["netns", "pids", &namespace]).output();
            let pids = pids.map(|output| output.stdout).unwrap_or_default();
            for pid in String::from_utf8_lossy(&pids).split_whitespace() {
                let _ = Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]).status();
            }
            // This fails for a namespace that was never made.
            let _ = run("ip", &format!("netns del {namespace}"));
        }
    }

    /// Cuts these directions, and heals all others.
    pub(crate) fn cut(&self, cuts: &Cuts) -> Result<(), String> {
        for from in 0..self.nodes {
            let lines = (0..self.nodes).filter(|to| *to != from).map(|to| {
                let mac = match cuts.contains(&(from, to)) {
                    true => "02:00:00:00:ff:ff".to_owned(),
                    false => mac(to),
                };
                format!("neigh replace {} lladdr {mac} nud permanent dev eth0\n", address(to))
            });
            batch(&self.namespace(from), &lines.collect::<String>())?;
        }
        Ok(())
    }

    /// Slows down all links, in the best way that the kernel has.
    pub(crate) fn slow(&self) -> Result<Slowness, String> {
        let all = |arguments: &str| {
            (0..self.nodes)
                .try_for_each(|node| run("tc", &format!("-n {} {arguments}", self.namespace(node))))
        };
        if all("qdisc add dev eth0 root netem delay 200ms 100ms loss 20%").is_ok() {
            return Ok(Slowness::Netem);
        }
        self.end_slow();
        all("qdisc add dev eth0 root tbf rate 2mbit burst 4kb latency 300ms")?;
        all("qdisc add dev eth0 clsact")?;
        // A classic BPF filter: load a random word; drop the packet if it is in the highest fifth
        // of its range.
        let filter = "4,32 0 0 4294963256,37 1 0 3435973836,6 0 0 4294967295,6 0 0 2";
        for node in 0..self.nodes {
            let namespace = self.namespace(node);
            let mut command = Command::new("tc");
            command.args(["-n", &namespace, "filter", "add", "dev", "eth0", "egress"]);
            command.args(["bpf", "da", "bytecode", filter]);
            checked(&mut command)?;
        }
        Ok(Slowness::LossyAndNarrow)
    }

    /// Undoes [`slow`](Network::slow).
    pub(crate) fn end_slow(&self) {
        for node in 0..self.nodes {
            for kind in ["root", "clsact"] {
                let namespace = self.namespace(node);
                // This fails if there is no such qdisc.
                let _ = run("tc", &format!("-n {namespace} qdisc del dev eth0 {kind}"));
            }
        }
    }
}

fn address(node: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(node + 1).expect("few nodes")])
}

fn mac(node: usize) -> String {
    format!("02:00:00:00:00:{:02x}", node + 1)
}

/// Runs a program with arguments that are separated by spaces.
fn run(program: &str, arguments: &str) -> Result<(), String> {
    checked(Command::new(program).args(arguments.split(' ')))
}

fn checked(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Runs several commands of `ip` in a namespace.
fn batch(namespace: &str, lines: &str) -> Result<(), String> {
    let mut command = Command::new("ip");
    command.args(["-n", namespace, "-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let written = child.stdin.take().map(|mut to| to.write_all(lines.as_bytes()));
    let status = child.wait().map_err(|error| error.to_string())?;
    match (written, status.success()) {
        (Some(Ok(())), true) => Ok(()),
        _ => Err(format!("{command:?} failed on:\n{lines}")),
    }
}
