//! Clusters of server processes, clients of them, and judges of what the clients saw.
//!
//! A [`Fleet`] starts the built binary, one process for each node, and ends the processes by their
//! process ids, also when a test fails. The rest is for tests under faults, and works in this
//! order:
//!
//! 1. [`task`] draws transactions of five kinds, each with invariants of its own.
//! 2. [`clients`] runs them from several threads, and records for each when it began and ended, and
//!    what it answered: the history.
//! 3. [`record`] writes that history to a file, so that a run that fails can be judged again.
//! 4. [`judge`] checks the history: each kind by a checker of its own, and all of it by a replay on
//!    [`model`], in the order of the positions that the answers carry.

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

/// The timeout of a status request: the node may be stopped, or cut off.
const STATUS_TIME: Duration = Duration::from_secs(1);

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// All that it wrote to standard error.
    pub(crate) log: String,
}

impl Ended {
    /// Returns the error line; fails unless it is the only one, and the last line of the log.
    pub(crate) fn error(&self) -> &str {
        let mut lines = self.log.lines().filter(|line| line.starts_with("error: "));
        let error = lines.next().unwrap_or_else(|| panic!("there is no error line:\n{}", self.log));
        assert_eq!(lines.next(), None, "there is more than one error line");
        assert_eq!(
            self.log.lines().last(),
            Some(error),
            "the error is not the last line:\n{}",
            self.log
        );
        error
    }
}

/// A server process. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// The file of its standard error; `None` if the test does not read it.
    log: Option<PathBuf>,
}

impl Process {
    /// Starts a command. Its standard error goes to the file `log`.
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Process {
        let file = File::create(&log).unwrap();
        let mut process = Process::unread(command, file);
        process.log = Some(log);
        process
    }

    /// Starts a command. The test does not read its standard error.
    pub(crate) fn unread(command: &mut Command, stderr: impl Into<Stdio>) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // The command would keep the other end of a pipe open.
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

    /// Kills the process with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the process to end.
    pub(crate) fn wait(mut self) -> Ended {
        // The message of a timeout shows what it wrote until then.
        let (id, path) = (self.id(), self.log.clone());
        let what = fmt::from_fn(|f| write!(f, "the process {id} to end:\n{}", read(&path)));
        let status = eventually(what, || self.child.try_wait().unwrap());
        Ended { code: status.code(), log: self.log() }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Returns what it has written to standard error so far.
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

/// Sends a signal to a process that the caller started and has not waited for.
pub(crate) fn signal(process: u32, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status();
    assert!(status.unwrap().success(), "cannot send {name} to {process}");
}

/// Returns a command for the server binary. If this process ignores SIGHUP, as under `nohup`, the
/// server would inherit that: `env` restores the default and then becomes the server.
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

/// Returns a command for the server binary with the options of one node.
pub(crate) fn server(my_ip: IpAddr, node_ips: &[IpAddr]) -> Command {
    let mut command = binary();
    options(&mut command, my_ip, node_ips);
    command
}

/// Returns a command for the server binary with the options of a node that is added to the cluster
/// of the nodes `of`.
pub(crate) fn joining(my_ip: IpAddr, of: &[IpAddr]) -> Command {
    let mut command = binary();
    named(&mut command, my_ip, "--join", of);
    command
}

fn options(command: &mut Command, my_ip: IpAddr, node_ips: &[IpAddr]) {
    named(command, my_ip, "--node-ips", node_ips);
}

fn named(command: &mut Command, my_ip: IpAddr, list: &str, ips: &[IpAddr]) {
    // Variables in the environment of the test run are not meant for these servers.
    let ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("LATTISTORE_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command.args(["--my-ip", &my_ip.to_string(), "--port", &PORT.to_string(), list]);
    command.args(ips.iter().map(IpAddr::to_string));
}

/// The processes of one cluster, their data directories and their logs.
pub(crate) struct Fleet {
    pub(crate) addresses: Vec<IpAddr>,
    /// By node: the network namespace that it runs in; `None` for that of the test.
    namespaces: Vec<Option<String>>,
    nodes: Vec<Option<Process>>,
    /// By node: the options that it is started with, in addition to the addresses.
    options: Vec<Vec<String>>,
    /// By node: the environment variables that it is started with.
    variables: Vec<Vec<(&'static str, String)>>,
    /// The limit of open files for each node; `None` leaves the limit of the system.
    pub(crate) open_files: Option<u32>,
    /// The builder of its clients.
    pub(crate) clients: Builder,
    /// The ids of all processes that were started, including those that ended.
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

    /// Makes a cluster key in a file of this name, and starts all nodes with it from now on.
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

    /// Returns a directory that is removed with the fleet.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Returns the data directory of a node.
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

    /// Starts a node with additional options.
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

    /// Takes the process of a node out of the fleet, so that the caller can wait for its end.
    pub(crate) fn take(&mut self, node: usize) -> Process {
        self.nodes[node].take().unwrap()
    }

    /// Kills a node with SIGKILL.
    pub(crate) fn kill(&mut self, node: usize) {
        self.take(node).kill();
    }

    /// Stops a node with SIGTERM; fails unless it ends with exit code 0.
    pub(crate) fn stop(&mut self, node: usize) {
        let process = self.take(node);
        process.signal("TERM");
        let ended = process.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
    }

    /// Whether a node ended by itself.
    pub(crate) fn has_ended(&mut self, node: usize) -> bool {
        self.nodes[node].as_mut().unwrap().has_ended()
    }

    /// Fails if a node ended by itself, and shows its log.
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

    /// Returns the status of a node; `None` if it does not answer within [`STATUS_TIME`].
    pub(crate) fn status(&self, node: usize) -> Option<NodeStatus> {
        self.nodes[node].as_ref()?;
        let client = self.clients.clone().timeout(STATUS_TIME).build();
        client.status_of(self.socket(node)).ok()
    }

    /// Returns the node that reports itself as leader; of several, the one with the highest ballot.
    pub(crate) fn leader_now(&self) -> Option<usize> {
        let statuses = (0..self.len()).filter_map(|node| Some((node, self.status(node)?)));
        let leaders = statuses
            .filter(|(_, status)| status.leader.is_some_and(|leader| leader.leader == status.node));
        leaders.max_by_key(|(_, status)| status.promised).map(|(node, _)| node)
    }

    /// Waits for a leader and returns it.
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

/// Waits while a fault lasts. To wait for a condition use `eventually`.
pub(crate) fn hold(time: Duration) {
    thread::sleep(time);
}

/// Runs `work` concurrently with `disturb` until `disturb` returns; returns both results.
pub(crate) fn while_disturbed<A: Send, B>(
    work: impl FnOnce(&std::sync::atomic::AtomicBool) -> A + Send,
    disturb: impl FnOnce() -> B,
) -> (A, B) {
    let over = std::sync::atomic::AtomicBool::new(false);
    /// Ends the work also when the disturbance panics: otherwise the scope would wait forever.
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

/// Returns how long a test injects faults: `LATTISTORE_TEST_SECONDS`, or a short default.
pub(crate) fn test_time(default_seconds: u64) -> Duration {
    let name = "LATTISTORE_TEST_SECONDS";
    let seconds = std::env::var(name).map_or(default_seconds, |text| text.parse().expect(name));
    Duration::from_secs(seconds)
}

/// Returns the seed of a test's random choices, and prints it: `LATTISTORE_TEST_SEED`, or a random
/// one.
pub(crate) fn test_seed() -> u64 {
    let name = "LATTISTORE_TEST_SEED";
    let seed = std::env::var(name)
        .map_or_else(|_| getrandom::u64().unwrap(), |text| text.parse().expect(name));
    println!("{name}={seed}");
    seed
}

/// Whether more time than [`PATIENCE`] has passed since `since`.
pub(crate) fn too_long(since: Instant) -> bool {
    since.elapsed() > PATIENCE
}
