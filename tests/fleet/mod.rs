//! Clusters of server processes: started from the built binary, stopped by their process ids, also
//! when a test fails.

#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod clients;
pub(crate) mod judge;
pub(crate) mod model;
pub(crate) mod record;
pub(crate) mod task;

use std::fmt;
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lattistore::Client;
use lattistore::client::{Builder, NodeStatus};
use lattistore::security::generate_key;

use crate::support::{PATIENCE, PORT, eventually};

/// A node that is asked how it is has so long to answer; it may be stopped, or cut off.
const STATUS_TIME: Duration = Duration::from_secs(1);

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    /// All that it wrote to standard error.
    pub(crate) log: String,
}

impl Ended {
    /// The one line that says why it ended.
    pub(crate) fn error(&self) -> &str {
        let mut lines = self.log.lines().filter(|line| line.starts_with("error: "));
        let error = lines.next().unwrap_or_else(|| panic!("no error was told:\n{}", self.log));
        assert_eq!(lines.next(), None, "one line is enough");
        assert_eq!(self.log.lines().last(), Some(error), "the error comes last:\n{}", self.log);
        error
    }
}

/// A server process. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// Where its standard error goes, if that is read at all.
    log: Option<PathBuf>,
}

impl Process {
    /// Starts a command whose standard error goes to the file `log`.
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Process {
        let file = File::create(&log).unwrap();
        let mut process = Process::unread(command, file);
        process.log = Some(log);
        process
    }

    /// Starts a command whose standard error goes where it is not looked at.
    pub(crate) fn unread(command: &mut Command, stderr: impl Into<Stdio>) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // It would keep the other end open.
        command.stderr(Stdio::null());
        Process { child, log: None }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Ends the process at once, whatever it does, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the process to end.
    pub(crate) fn wait(mut self) -> Ended {
        // What it wrote until nobody waits any longer.
        let (id, path) = (self.id(), self.log.clone());
        let what = fmt::from_fn(|f| write!(f, "the process {id} to end:\n{}", read(&path)));
        let status = eventually(what, || self.child.try_wait().unwrap());
        Ended { code: status.code(), log: self.log() }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it wrote to standard error so far.
    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }
}

fn read(log: &Option<PathBuf>) -> String {
    log.as_ref().map(|log| fs::read_to_string(log).unwrap()).unwrap_or_default()
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that the caller started and that was not waited for yet.
pub(crate) fn signal(process: u32, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status();
    assert!(status.unwrap().success(), "cannot send {name} to {process}");
}

/// The server binary. Where SIGHUP is ignored here, as under `nohup`, the server would ignore it too:
/// `env` makes it as usual again, and becomes the server.
fn binary() -> Command {
    let binary = env!("CARGO_BIN_EXE_server");
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal 1 is the lowest bit.
    if ignored.is_some_and(|mask| mask & 1 == 1) {
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP", binary]);
        return command;
    }
    Command::new(binary)
}

/// The server binary with the options of one node.
pub(crate) fn server(my_ip: IpAddr, node_ips: &[IpAddr]) -> Command {
    let mut command = binary();
    options(&mut command, my_ip, node_ips);
    command
}

fn options(command: &mut Command, my_ip: IpAddr, node_ips: &[IpAddr]) {
    // What is in the environment of whoever runs the tests is not for these servers.
    let ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("LATTISTORE_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command.args(["--my-ip", &my_ip.to_string(), "--port", &PORT.to_string(), "--node-ips"]);
    command.args(node_ips.iter().map(IpAddr::to_string));
}

/// The processes of one cluster, their data directories and their logs.
pub(crate) struct Fleet {
    pub(crate) addresses: Vec<IpAddr>,
    /// By node: the network namespace that it runs in, if it has one of its own.
    namespaces: Vec<Option<String>>,
    nodes: Vec<Option<Process>>,
    /// By node: the options that it is started with, besides where it and the others are.
    options: Vec<Vec<String>>,
    /// By node: the environment variables that it is started with.
    variables: Vec<Vec<(&'static str, String)>>,
    /// How many open files each node may have, where that is not left to the system.
    pub(crate) open_files: Option<u32>,
    /// How its clients are made.
    pub(crate) clients: Builder,
    /// The processes of all nodes, those that ended too.
    pub(crate) started: Vec<u32>,
    directory: tempfile::TempDir,
}

impl Fleet {
    /// A started cluster on loopback addresses.
    pub(crate) fn loopback(count: u8) -> Fleet {
        let addresses = crate::support::addresses(count);
        let mut fleet = Fleet::new(addresses, vec![None; usize::from(count)]);
        fleet.start_all();
        fleet
    }

    /// A cluster that is not started yet.
    pub(crate) fn new(addresses: Vec<IpAddr>, namespaces: Vec<Option<String>>) -> Fleet {
        let nodes = addresses.iter().map(|_| None).collect();
        let (options, clients) = (vec![Vec::new(); addresses.len()], Client::builder());
        let variables = vec![Vec::new(); addresses.len()];
        let directory = tempfile::tempdir().unwrap();
        Fleet {
            addresses,
            namespaces,
            nodes,
            options,
            variables,
            open_files: None,
            clients,
            started: Vec::new(),
            directory,
        }
    }

    /// Gives all nodes that are started from now on one new cluster key, in a file of this name.
    pub(crate) fn share_key(&mut self, name: &str) {
        let path = self.directory.path().join(name);
        fs::write(&path, generate_key().unwrap()).unwrap();
        for node in 0..self.len() {
            self.add_option(node, "--cluster-key", &path);
        }
    }

    /// Starts a node with this option from now on.
    pub(crate) fn add_option(&mut self, node: usize, name: &str, value: &Path) {
        self.options[node].extend([name.to_owned(), value.display().to_string()]);
    }

    /// Starts a node with this environment variable from now on.
    pub(crate) fn add_variable(&mut self, node: usize, name: &'static str, value: String) {
        self.variables[node].push((name, value));
    }

    /// A directory that goes with the fleet.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Where a node keeps its state.
    pub(crate) fn data(&self, node: usize) -> PathBuf {
        self.directory.path().join(node.to_string())
    }

    pub(crate) fn start_all(&mut self) {
        for node in 0..self.len() {
            self.start(node);
        }
    }

    pub(crate) fn start(&mut self, node: usize) {
        self.start_with(node, &[]);
    }

    /// Starts a node with more options.
    pub(crate) fn start_with(&mut self, node: usize, more: &[&str]) {
        assert!(self.nodes[node].is_none(), "node {node} runs");
        let binary = env!("CARGO_BIN_EXE_server");
        let mut command = match &self.namespaces[node] {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, binary]);
                command
            }
            None => match self.open_files {
                Some(limit) => {
                    let mut command = Command::new("sh");
                    let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
                    command.args(["-c", &script, binary]);
                    command
                }
                None => self::binary(),
            },
        };
        options(&mut command, self.addresses[node], &self.addresses);
        command.args(&self.options[node]).args(more).envs(self.variables[node].iter().cloned());
        if !more.contains(&"--in-memory") && !more.contains(&"--data-dir") {
            command.arg("--data-dir").arg(self.data(node));
        }
        let log = self.directory.path().join(format!("{}-{node}.log", self.started.len()));
        let process = Process::start(&mut command, log);
        self.started.push(process.id());
        self.nodes[node] = Some(process);
    }

    pub(crate) fn process(&self, node: usize) -> &Process {
        self.nodes[node].as_ref().unwrap()
    }

    pub(crate) fn runs(&self, node: usize) -> bool {
        self.nodes[node].is_some()
    }

    /// Takes a node out, for the caller to wait for its end.
    pub(crate) fn take(&mut self, node: usize) -> Process {
        self.nodes[node].take().unwrap()
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self, node: usize) {
        self.take(node).kill();
    }

    /// Asks a node to stop and waits until it did, without an error.
    pub(crate) fn stop(&mut self, node: usize) {
        let process = self.take(node);
        process.signal("TERM");
        let ended = process.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
    }

    /// Whether a node that nobody stopped ended.
    pub(crate) fn has_ended(&mut self, node: usize) -> bool {
        self.nodes[node].as_mut().unwrap().has_ended()
    }

    /// Fails when a node ended that nobody stopped, and shows why.
    pub(crate) fn check_alive(&mut self) {
        for (node, process) in self.nodes.iter_mut().enumerate() {
            if let Some(process) = process {
                assert!(!process.has_ended(), "node {node} ended by itself:\n{}", process.log());
            }
        }
    }

    pub(crate) fn socket(&self, node: usize) -> SocketAddr {
        SocketAddr::new(self.addresses[node], PORT)
    }

    pub(crate) fn client(&self) -> Client {
        let nodes = (0..self.len()).map(|node| self.socket(node));
        self.clients.clone().addresses(nodes).timeout(PATIENCE).build()
    }

    /// How a node says it is, if it does.
    pub(crate) fn status(&self, node: usize) -> Option<NodeStatus> {
        self.nodes[node].as_ref()?;
        let client = self.clients.clone().timeout(STATUS_TIME).build();
        client.status_of(self.socket(node)).ok()
    }

    /// The node that says itself that it leads, if one does; the one with the highest ballot if
    /// several do.
    pub(crate) fn leader_now(&self) -> Option<usize> {
        let statuses = (0..self.len()).filter_map(|node| Some((node, self.status(node)?)));
        let leaders = statuses
            .filter(|(_, status)| status.leader.is_some_and(|leader| leader.leader == status.node));
        leaders.max_by_key(|(_, status)| status.promised).map(|(node, _)| node)
    }

    /// The node that leads.
    pub(crate) fn leader(&self) -> usize {
        eventually("a leader", || self.leader_now())
    }

    pub(crate) fn followers(&self) -> Vec<usize> {
        let leader = self.leader();
        (0..self.len()).filter(|node| *node != leader).collect()
    }

    /// Waits until a node reflects all that was chosen when this is called.
    pub(crate) fn wait_until_caught_up(&self, node: usize) {
        let goal = eventually("a leader's status", || self.status(self.leader())).complete;
        eventually("the node to catch up", || (self.status(node)?.complete >= goal).then_some(()));
    }
}

/// Waits for as long as a fault lasts. Not for a condition: time itself is the fault.
pub(crate) fn hold(time: Duration) {
    thread::sleep(time);
}

/// Runs `work` while `disturb` does, for as long as `disturb` takes; gives what both gave.
pub(crate) fn while_disturbed<A: Send, B>(
    work: impl FnOnce(&std::sync::atomic::AtomicBool) -> A + Send,
    disturb: impl FnOnce() -> B,
) -> (A, B) {
    let over = std::sync::atomic::AtomicBool::new(false);
    /// Ends the work also when the disturbance panics, or the scope would wait for ever.
    struct Over<'a>(&'a std::sync::atomic::AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, std::sync::atomic::Ordering::Release);
        }
    }
    thread::scope(|scope| {
        let worker = scope.spawn(|| work(&over));
        let guard = Over(&over);
        let disturbed = disturb();
        drop(guard);
        (worker.join().unwrap(), disturbed)
    })
}

/// How long a test's disturbances go on: `LATTISTORE_TEST_SECONDS`, or what suits `cargo test`.
pub(crate) fn test_time(default_seconds: u64) -> Duration {
    let name = "LATTISTORE_TEST_SECONDS";
    let seconds = std::env::var(name).map_or(default_seconds, |text| text.parse().expect(name));
    Duration::from_secs(seconds)
}

/// The seed of a test's random choices: `LATTISTORE_TEST_SEED`, or a new one each time, printed.
pub(crate) fn test_seed() -> u64 {
    let name = "LATTISTORE_TEST_SEED";
    let seed = std::env::var(name)
        .map_or_else(|_| getrandom::u64().unwrap(), |text| text.parse().expect(name));
    println!("{name}={seed}");
    seed
}

/// Whether `since` is longer ago than tests have patience.
pub(crate) fn too_long(since: Instant) -> bool {
    since.elapsed() > PATIENCE
}
