//! Handshakes that come to nothing, by the hundred: memory and seats are given back.

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use lattistore::client::ClientTls;

use crate::authority::Authority;
use crate::fort::Fort;
use crate::support::eventually;

const CONNECTIONS: usize = 400;
/// What the allocator may keep.
const LEFT_BYTES: u64 = 64 << 20;

#[test]
fn a_flood_of_handshakes_that_fail_leaves_nothing_behind() {
    let fort = Fort::started(1);
    fort.fleet.client().put("a", "1").unwrap();
    let process = fort.fleet.process(0).id();
    let (memory, threads) = (resident_bytes(process), status(process, "Threads:"));
    let stranger = ClientTls::read(&Authority::new().ca()).unwrap();
    let node = fort.fleet.socket(0);
    for number in 0..CONNECTIONS {
        let mut socket = TcpStream::connect(node).unwrap();
        match number % 4 {
            // One that does not trust the node, and says so.
            0 => {
                let mut session = stranger.connect(node.ip()).unwrap();
                let _ = session.complete_io(&mut socket);
            }
            // One that begins, and leaves.
            1 => socket.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252]).unwrap(),
            // Noise that looks like a beginning.
            2 => {
                let _ = socket.write_all(&[22; 20_000]);
            }
            _ => {
                let _ = socket.write_all(b"GET / HTTP/1.1\r\n\r\n");
            }
        }
    }
    // ConnectionLimit for who did not greet are fewer than that.
    eventually("a seat", || fort.fleet.status(0).map(drop));
    fort.fleet.client().put("a", "2").unwrap();
    eventually("threads and memory to be given back", || {
        let rest = resident_bytes(process).saturating_sub(memory);
        (rest < LEFT_BYTES && status(process, "Threads:") <= threads + 4).then_some(())
    });
    // That it happened is told, and not each time.
    let log = fort.fleet.process(0).log();
    let told = log.lines().filter(|line| line.contains("refused")).count();
    assert!((1..CONNECTIONS / 8).contains(&told), "{told} lines:\n{log}");
}

fn resident_bytes(process: u32) -> u64 {
    status(process, "VmRSS:") << 10
}

/// A number in what the system says of a process.
fn status(process: u32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
