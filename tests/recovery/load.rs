//! Many small transactions on their way at once, and what server processes use.

use std::collections::VecDeque;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::support::client_of;

/// Clients, each with its own connection and session.
const CLIENTS: u64 = 4;
/// Transactions of one client that are on their way at a time.
const PIPELINED: usize = 120;

/// What is written: the number of the key to each number of a transaction.
pub(crate) type KeyOf = fn(u64) -> u64;

/// How many transactions were acknowledged, and when to stop.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) acknowledged: AtomicU64,
    pub(crate) over: AtomicBool,
}

impl Progress {
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }
}

/// Puts 100 bytes under a key for each number below `count`, until it is over.
pub(crate) fn write(addresses: &[IpAddr], count: u64, key_of: KeyOf, progress: &Progress) {
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let numbers = (client..count).step_by(CLIENTS as usize);
            scope.spawn(move || write_in_session(addresses, numbers, key_of, progress));
        }
    });
}

fn write_in_session(
    addresses: &[IpAddr],
    numbers: impl Iterator<Item = u64>,
    key_of: KeyOf,
    progress: &Progress,
) {
    let client = client_of(addresses);
    let mut pending = VecDeque::with_capacity(PIPELINED);
    let finish = |pending: &mut VecDeque<lattistore::client::Pending>, most: usize| {
        while pending.len() > most {
            pending.pop_front().unwrap().wait().unwrap();
            progress.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    };
    for number in numbers {
        if progress.over.load(Ordering::Relaxed) {
            break;
        }
        let (key, value) = (format!("key/{:012}", key_of(number)), format!("{number:0>100}"));
        let params = [("key", key.as_str().into()), ("value", value.as_str().into())];
        pending.push_back(client.submit("put $key $value;", params));
        finish(&mut pending, PIPELINED - 1);
    }
    finish(&mut pending, 0);
}

/// Bytes that arrived on the open connections of an address, as the system counts them.
pub(crate) fn bytes_received(ip: IpAddr) -> Option<u64> {
    let output = Command::new("ss").args(["-tinH", "src", &ip.to_string()]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let counts = text.split_whitespace().filter_map(|word| word.strip_prefix("bytes_received:"));
    Some(counts.filter_map(|count| count.parse::<u64>().ok()).sum())
}

/// The resident memory of a process, in MiB.
pub(crate) fn resident_mib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

/// What a directory takes on the disk, in MiB.
pub(crate) fn disk_mib(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap());
    // A file may go while they are listed.
    let blocks = files.filter_map(|file| Some(file.metadata().ok()?.blocks()));
    blocks.sum::<u64>() * 512 / (1 << 20)
}
