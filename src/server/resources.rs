//! What the node takes of its machine, measured by a thread of its own, and how much it may take.
//!
//! A disk that hangs makes a look at it hang as well, so the consensus thread never looks: it reads
//! what this thread measured last.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use nix::sys::statvfs::statvfs;

/// Between two measurements: a fast disk takes less than [`DEFAULT_MIN_FREE_DISK`] in this time.
const PERIOD: Duration = Duration::from_millis(100);
/// The end does not wait longer for a disk that hangs.
const END_TIME: Duration = Duration::from_millis(200);
/// Of the memory that there is, a node takes as much by default, in percent: the rest is for
/// connections, pages on their way, and whatever else runs there.
const DEFAULT_MEMORY_PERCENT: u64 = 80;
/// The free disk space that is left by default: room for a journal segment being made, a checkpoint
/// page and other programs' logs.
const DEFAULT_MIN_FREE_DISK: u64 = 256 << 20;

/// How much of its machine a node may take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The resident memory of its process; 0 for no bound.
    pub max_memory: u64,
    /// The space that stays free where its data directory is; 0 for no bound.
    pub min_free_disk: u64,
}

impl Default for Bounds {
    /// 80 % of the memory of the cgroup or the machine, and 256 MiB of disk.
    fn default() -> Bounds {
        let max_memory = available_memory().map_or(0, |bytes| bytes / 100 * DEFAULT_MEMORY_PERCENT);
        Bounds { max_memory, min_free_disk: DEFAULT_MIN_FREE_DISK }
    }
}

/// What was measured last.
#[derive(Debug)]
pub(super) struct Measured {
    /// The resident memory of the process, in bytes; 0 where the system does not tell.
    memory: AtomicU64,
    /// Free space where the data directory is, in bytes; the maximum where there is none.
    free_disk: AtomicU64,
}

impl Measured {
    pub(super) fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    pub(super) fn free_disk(&self) -> u64 {
        self.free_disk.load(Ordering::Relaxed)
    }

    fn measure(&self, directory: Option<&Path>) {
        self.memory.store(memory_bytes().unwrap_or(0), Ordering::Relaxed);
        if let Some(free) = directory.and_then(free_bytes) {
            self.free_disk.store(free, Ordering::Relaxed);
        }
    }
}

/// The thread that measures. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Meter {
    measured: Arc<Measured>,
    /// Dropped to stop.
    stop: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Meter {
    /// Measures once, and starts the thread. `directory` is where the free disk space is measured; a
    /// node that keeps its state in memory has none.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(directory: Option<PathBuf>) -> io::Result<Meter> {
        let measured = Measured { memory: AtomicU64::new(0), free_disk: AtomicU64::new(u64::MAX) };
        measured.measure(directory.as_deref());
        let measured = Arc::new(measured);
        let (stop, stopped) = bounded::<Infallible>(0);
        let shared = Arc::clone(&measured);
        let run = move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                shared.measure(directory.as_deref());
            }
        };
        let thread = Some(thread::Builder::new().name("meter".into()).spawn(run)?);
        Ok(Meter { measured, stop: Some(stop), thread })
    }

    /// What it measures.
    pub(super) fn measured(&self) -> Arc<Measured> {
        Arc::clone(&self.measured)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.stop = None;
        let Some(thread) = self.thread.take() else { return };
        // A thread whose disk hangs ends with the process.
        let begun = std::time::Instant::now();
        while !thread.is_finished() && begun.elapsed() < END_TIME {
            thread::sleep(Duration::from_millis(1));
        }
        if thread.is_finished() {
            // It holds nothing that a panic could leave half done.
            let _ = thread.join();
        }
    }
}

/// The space that this process may still take where `path` is.
fn free_bytes(path: &Path) -> Option<u64> {
    let told = statvfs(path).ok()?;
    // The types differ between systems.
    #[allow(clippy::useless_conversion)]
    let (blocks, size) = (u64::from(told.blocks_available()), u64::from(told.fragment_size()));
    blocks.checked_mul(size)
}

/// Returns the resident memory of this process, in bytes, where the system tells it as Linux does.
pub(super) fn memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1 << 10)
}

/// The memory of the machine, or of the cgroup if it allows less; where the system tells.
fn available_memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(total_memory);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = memory_limit_files(&groups)
        .into_iter()
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    machine.into_iter().chain(limits).min()
}

/// The total of `/proc/meminfo`, in bytes.
fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1 << 10)
}

/// The files that may tell a limit of this process's cgroup, by what `/proc/self/cgroup` holds: those of
/// all groups above it too, as each limits what is below.
fn memory_limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        files.extend(group.ancestors().map(|group| Path::new(root).join(group).join(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_machine_is_read() {
        assert_eq!(
            total_memory("MemTotal:       24689012 kB\nMemFree: 1 kB\n"),
            Some(24_689_012 << 10)
        );
        assert_eq!(total_memory("MemFree: 1 kB\n"), None);
        assert_eq!(total_memory("MemTotal: many kB\n"), None);
    }

    #[test]
    fn the_limits_of_a_group_and_of_those_above_it_are_looked_at() {
        let files =
            memory_limit_files("0::/system.slice/node.service\n3:cpu:/x\n2:memory:/y\nodd\n");
        let expected = [
            "/sys/fs/cgroup/system.slice/node.service/memory.max",
            "/sys/fs/cgroup/system.slice/memory.max",
            "/sys/fs/cgroup/memory.max",
            "/sys/fs/cgroup/memory/y/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
        assert_eq!(memory_limit_files(""), Vec::<PathBuf>::new());
    }

    #[test]
    fn this_process_is_measured() {
        let directory = tempfile::tempdir().expect("a directory");
        let meter = Meter::start(Some(directory.path().into())).expect("a thread");
        let measured = meter.measured();
        assert!(measured.memory() > 0 && measured.free_disk() < u64::MAX);
        let nowhere = Meter::start(None).expect("a thread");
        assert_eq!(nowhere.measured().free_disk(), u64::MAX);
    }
}
