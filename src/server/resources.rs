//! The memory and disk space that the node takes: the bounds on them, and the meter thread that
//! measures them.
//!
//! While a disk hangs, measuring its free space blocks as well. So the consensus thread never
//! measures: it reads what the meter thread measured last.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::statvfs::statvfs;

use super::ending_thread::EndingThread;

/// The time between two measurements. Even a fast disk takes less than [`DEFAULT_MIN_FREE_DISK`] in
/// this time.
const PERIOD: Duration = Duration::from_millis(100);
/// At its end, the node waits at most this time for a meter thread that a disk blocks.
const END_TIME: Duration = Duration::from_millis(200);
/// The default bound on memory, in percent of the available memory. The rest is for connections,
/// pages in transfer, and other programs.
const DEFAULT_MEMORY_PERCENT: u64 = 80;
/// The default of the disk space that stays free: room for a journal segment, a checkpoint page,
/// and the logs of other programs.
const DEFAULT_MIN_FREE_DISK: u64 = 256 << 20;

/// The bounds on the memory and the disk space of a node, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The maximum resident memory of the process; 0 for no bound.
    pub max_memory: u64,
    /// The minimum free space of the file system with the data directory; 0 for no bound.
    pub min_free_disk: u64,
}

impl Default for Bounds {
    /// Returns 80 % of the memory of the cgroup or the machine, and 256 MiB of disk space.
    fn default() -> Bounds {
        let max_memory = available_memory().map_or(0, |bytes| bytes / 100 * DEFAULT_MEMORY_PERCENT);
        Bounds { max_memory, min_free_disk: DEFAULT_MIN_FREE_DISK }
    }
}

/// The last measurement.
#[derive(Debug)]
pub(super) struct Measured {
    /// The resident memory of the process, in bytes; 0 where the system does not tell it.
    memory: AtomicU64,
    /// The free space of the file system with the data directory, in bytes; `u64::MAX` for a node
    /// without a data directory.
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

/// The meter thread. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Meter {
    measured: Arc<Measured>,
    _thread: EndingThread,
}

impl Meter {
    /// Measures once, and starts the thread. `directory` is where the free disk space is measured;
    /// it is `None` for a node that keeps its state in memory.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn start(directory: Option<PathBuf>) -> io::Result<Meter> {
        let measured = Measured { memory: AtomicU64::new(0), free_disk: AtomicU64::new(u64::MAX) };
        measured.measure(directory.as_deref());
        let measured = Arc::new(measured);
        let shared = Arc::clone(&measured);
        let _thread = EndingThread::start("meter", END_TIME, move |ending| {
            while !ending.wait(PERIOD) {
                shared.measure(directory.as_deref());
            }
        })?;
        Ok(Meter { measured, _thread })
    }

    /// Returns the last measurement, which the thread keeps up to date.
    pub(super) fn measured(&self) -> Arc<Measured> {
        Arc::clone(&self.measured)
    }
}

/// Returns the space that this process may still take on the file system of `path`.
fn free_bytes(path: &Path) -> Option<u64> {
    let stats = statvfs(path).ok()?;
    // The types differ between systems.
    #[allow(clippy::useless_conversion)]
    let (blocks, size) = (u64::from(stats.blocks_available()), u64::from(stats.fragment_size()));
    blocks.checked_mul(size)
}

/// Returns the resident memory of this process, in bytes; `None` where the system has no `/proc`.
pub(super) fn memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1 << 10)
}

/// Returns the memory of the machine, or of the cgroup if that is less; `None` if it is unknown.
fn available_memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(total_memory);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = memory_limit_files(&groups)
        .into_iter()
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    machine.into_iter().chain(limits).min()
}

/// Returns the total memory that `/proc/meminfo` names, in bytes.
fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1 << 10)
}

/// Returns the files that may contain a memory limit of this process's cgroup. `groups` is the
/// content of `/proc/self/cgroup`. The files of all parent groups are included, because each of
/// them limits its children.
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
    fn the_limits_of_a_group_and_its_parents_are_read() {
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
