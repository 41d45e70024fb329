//! The load, many small transactions in flight, and the resources that server processes use.

use std::collections::VecDeque;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::support::client_of;

/// How many clients there are, each with its own connection and session.
const CLIENTS: u64 = 4;
/// How many transactions of one client are in flight.
const PIPELINED: usize = 120;

/// Maps the number of a transaction to the number of the key that it writes.
pub(crate) type KeyOf = fn(u64) -> u64;

/// The number of acknowledged transactions, and a flag to stop.
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

/// Writes 100 bytes to a key for each number below `count`, until `progress.over` is set.
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
    let finish = |pending: &mut VecDeque<lattistore::client::Pending>, max: usize| {
        while pending.len() > max {
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

/// Returns how many bytes arrived on the open connections of an address, by `ss`.
pub(crate) fn bytes_received(ip: IpAddr) -> Option<u64> {
    let output = Command::new("ss").args(["-tinH", "src", &ip.to_string()]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let counts = text.split_whitespace().filter_map(|word| word.strip_prefix("bytes_received:"));
    Some(counts.filter_map(|count| count.parse::<u64>().ok()).sum())
}

/// Returns the resident memory of a process in MiB.
pub(crate) fn resident_mib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

/// Returns the size of a directory on the disk in MiB.
pub(crate) fn disk_mib(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap());
    // A file may be removed while they are listed.
    let blocks = files.filter_map(|file| Some(file.metadata().ok()?.blocks()));
    blocks.sum::<u64>() * 512 / (1 << 20)
}
