//! Hundreds of handshakes that fail: their memory, threads and connection slots are released.

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use lattistore::client::ClientTls;

use crate::authority::Authority;
use crate::secure_cluster::SecureCluster;
use crate::support::eventually;

const CONNECTIONS: usize = 400;
/// How much more memory the process may have afterwards: the allocator keeps some.
const LEFT_BYTES: u64 = 64 << 20;

#[test]
fn a_flood_of_failed_handshakes_leaves_no_memory_threads_or_slots_taken() {
    let cluster = SecureCluster::started(1);
    cluster.fleet.client().put("a", "1").unwrap();
    let process = cluster.fleet.process(0).id();
    let (memory, threads) = (resident_bytes(process), status(process, "Threads:"));
    let distrustful = ClientTls::read(&Authority::new().ca()).unwrap();
    let node = cluster.fleet.socket(0);
    for number in 0..CONNECTIONS {
        let mut socket = TcpStream::connect(node).unwrap();
        match number % 4 {
            // A client that does not trust the certificate of the node, and says so.
            0 => {
                let mut session = distrustful.connect(node.ip()).unwrap();
                let _ = session.complete_io(&mut socket);
            }
            // Only the beginning of a handshake.
            1 => socket.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252]).unwrap(),
            // Bytes that look like the beginning of a handshake.
            2 => {
                let _ = socket.write_all(&[22; 20_000]);
            }
            _ => {
                let _ = socket.write_all(b"GET / HTTP/1.1\r\n\r\n");
            }
        }
    }
    // There are fewer connection slots before the greeting than that.
    eventually("a connection slot", || cluster.fleet.status(0).map(drop));
    cluster.fleet.client().put("a", "2").unwrap();
    eventually("threads and memory to be released", || {
        let rest = resident_bytes(process).saturating_sub(memory);
        (rest < LEFT_BYTES && status(process, "Threads:") <= threads + 4).then_some(())
    });
    // The log says that it happened, but not each time.
    let log = cluster.fleet.process(0).log();
    let lines = log.lines().filter(|line| line.contains("refused")).count();
    assert!((1..CONNECTIONS / 8).contains(&lines), "{lines} lines:\n{log}");
}

fn resident_bytes(process: u32) -> u64 {
    status(process, "VmRSS:") << 10
}

/// Returns a number from `/proc/PROCESS/status`.
fn status(process: u32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
