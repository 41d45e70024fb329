//! The network between the nodes: one namespace each, joined by a bridge in another, all private to
//! this run; and the ways to cut and slow it.
//!
//! A direction between two nodes is cut by giving the sender a wrong hardware address of the receiver:
//! packets vanish without an error, as they do in a broken network, and no packet filter is needed.

#![allow(dead_code)]

use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

/// The network that is set up, by the name of the run; the names of its namespaces derive from it.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    name: String,
    nodes: usize,
}

/// What slows the network, if anything does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slowness {
    /// 200 ± 100 ms and 20 % loss, by the kernel's emulator.
    Netem,
    /// 20 % loss by a filter and narrow links with long queues, on kernels without the emulator.
    LossyAndNarrow,
}

/// How many names are tried.
const NAME_ATTEMPTS: usize = 10;

/// Directions that are cut: from, to.
pub(crate) type Cuts = BTreeSet<(usize, usize)>;

impl Network {
    /// A network that `setup` makes, or made. Its addresses are the same in every run: they are
    /// known in its namespaces only.
    pub(crate) fn named(name: String, nodes: usize) -> Network {
        Network { name, nodes }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The namespace of the bridge, where clients run: they reach all nodes, always.
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

    /// Makes the namespaces and what joins them, under a name that no other run has.
    ///
    /// # Errors
    /// What the system says. Nothing that was made stays.
    pub(crate) fn setup(nodes: usize) -> Result<Network, String> {
        // Runs in containers may have the same process id, and share the names of namespaces.
        for _ in 0..NAME_ATTEMPTS {
            let random = getrandom::u32().map_err(|error| error.to_string())?;
            let network = Network::named(format!("lattistore-{random:08x}"), nodes);
            // The first namespace is the claim to the name: of two runs one gets it. What another
            // run made is left alone.
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
        Err("other runs have all the names for network namespaces that were tried".into())
    }

    /// Makes the other namespaces and what joins them.
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

    /// Ends what still runs in the namespaces, all of it started by this run, and removes them.
    pub(crate) fn remove(&self) {
        for namespace in self.namespaces() {
            let pids = Command::new("ip").args(["netns", "pids", &namespace]).output();
            let pids = pids.map(|output| output.stdout).unwrap_or_default();
            for pid in String::from_utf8_lossy(&pids).split_whitespace() {
                let _ = Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]).status();
            }
            // One that was never made cannot be removed.
            let _ = run("ip", &format!("netns del {namespace}"));
        }
    }

    /// Cuts just these directions.
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

    /// Slows all links, as far as the kernel can.
    pub(crate) fn slow(&self) -> Result<Slowness, String> {
        let all = |arguments: &str| {
            (0..self.nodes)
                .try_for_each(|node| run("tc", &format!("-n {} {arguments}", self.namespace(node))))
        };
        if all("qdisc add dev eth0 root netem delay 200ms 100ms loss 20%").is_ok() {
            return Ok(Slowness::Netem);
        }
        self.hasten();
        all("qdisc add dev eth0 root tbf rate 2mbit burst 4kb latency 300ms")?;
        all("qdisc add dev eth0 clsact")?;
        // A classic filter: load a random word; above four fifths of its range, drop, else go on.
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
    pub(crate) fn hasten(&self) {
        for node in 0..self.nodes {
            for kind in ["root", "clsact"] {
                let namespace = self.namespace(node);
                // It may not be there.
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

/// Runs a program with arguments that blanks divide.
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
