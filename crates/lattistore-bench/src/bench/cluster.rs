//! A cluster of server processes, which exists for the time of a run.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The port of the nodes.
const PORT: u16 = 50051;
/// A node must listen within this time.
const START_TIME: Duration = Duration::from_secs(20);

/// Server processes, and the directory of their state, which is deleted with them.
pub(crate) struct Cluster {
    server: PathBuf,
    directory: PathBuf,
    addresses: Vec<IpAddr>,
    nodes: Vec<Option<Child>>,
}

impl Cluster {
    /// Starts `count` nodes on unused loopback addresses, with their state in a new directory in
    /// `parent`.
    ///
    /// # Errors
    /// When the directory cannot be made, or a node does not listen within `START_TIME`.
    pub(crate) fn start(
        count: u8,
        server: Option<PathBuf>,
        parent: PathBuf,
    ) -> io::Result<Cluster> {
        let server = server.map_or_else(server_of_this_build, Ok)?;
        let process = std::process::id();
        let directory = parent.join(format!("lattistore-bench-{process}"));
        let cannot =
            |error| io::Error::other(format!("cannot create {}: {error}", directory.display()));
        fs::create_dir(&directory).map_err(cannot)?;
        let byte = |shift: u32| (process >> shift).to_le_bytes()[0];
        // Users' clusters are usually at 127.0 and 127.1.
        let net = [127, 2 + byte(8) % 250, byte(0)];
        let addresses = (1..=count).map(|n| IpAddr::from([net[0], net[1], net[2], n])).collect();
        let nodes = (0..count).map(|_| None).collect();
        let mut cluster = Cluster { server, directory, addresses, nodes };
        for node in 0..cluster.nodes.len() {
            cluster.start_node(node)?;
        }
        Ok(cluster)
    }

    pub(crate) fn sockets(&self) -> Vec<SocketAddr> {
        self.addresses.iter().map(|ip| SocketAddr::new(*ip, PORT)).collect()
    }

    /// Returns the ids of the running processes.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.nodes.iter().flatten().map(Child::id).collect()
    }

    /// Returns the index of the node at this address.
    pub(crate) fn node_at(&self, address: SocketAddr) -> Option<usize> {
        self.addresses.iter().position(|ip| *ip == address.ip())
    }

    /// Starts a node that does not run, and waits until it listens.
    ///
    /// # Errors
    /// When it ends, or does not listen within `START_TIME`.
    pub(crate) fn start_node(&mut self, node: usize) -> io::Result<()> {
        let address = self.addresses[node].to_string();
        let log = self.directory.join(format!("{address}.log"));
        let mut child = Command::new(&self.server)
            .args(["--my-ip", &address, "--port", &PORT.to_string(), "--data-dir"])
            .arg(self.directory.join(&address))
            .arg("--node-ips")
            .args(self.addresses.iter().map(IpAddr::to_string))
            .stdin(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .map_err(|error| {
                io::Error::other(format!("cannot start {}: {error}", self.server.display()))
            })?;
        let until = Instant::now() + START_TIME;
        while !fs::read_to_string(&log)?.contains("listens on") {
            let ended = child.try_wait()?;
            if ended.is_some() || Instant::now() > until {
                let last = BufReader::new(File::open(&log)?).lines().last().transpose()?;
                let ended = ended.map(|status| format!("it ended with {status}"));
                let _ = child.kill();
                let _ = child.wait();
                let why = last
                    .or(ended)
                    .unwrap_or(format!("it does not listen after {} s", START_TIME.as_secs()));
                let server = self.server.display();
                return Err(io::Error::other(format!(
                    "{server} did not start at {address}: {why}"
                )));
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.nodes[node] = Some(child);
        Ok(())
    }

    /// Kills a node as `kill -9` does.
    pub(crate) fn kill(&mut self, node: usize) -> io::Result<()> {
        self.nodes[node].as_mut().map_or(Ok(()), Child::kill)
    }

    /// Sends SIGTERM to a node.
    pub(crate) fn terminate(&self, node: usize) -> io::Result<()> {
        let Some(child) = &self.nodes[node] else { return Ok(()) };
        let status = Command::new("kill").arg(child.id().to_string()).status()?;
        status.success().then_some(()).ok_or_else(|| io::Error::other("kill failed"))
    }

    /// Waits until a stopped node has ended.
    pub(crate) fn wait(&mut self, node: usize) -> io::Result<()> {
        if let Some(mut child) = self.nodes[node].take() {
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            let _ = writeln!(io::stderr(), "{}: {error}", self.directory.display());
        }
    }
}

/// Returns the server program in the directory of this program.
fn server_of_this_build() -> io::Result<PathBuf> {
    let server = std::env::current_exe()?.with_file_name("server");
    match server.exists() {
        true => Ok(server),
        false => Err(io::Error::other(format!(
            "there is no server program at {}: build it, or name one with --server",
            server.display()
        ))),
    }
}
