//! Wall clocks that jump: each node sees the time of the machine plus an offset of its own, by
//! `libfaketime`, which is preloaded and replaces the clock functions of the C library.
//!
//! The monotonic clock is left unchanged: operating systems never let it jump, and timeouts would
//! not end, as the kernel measures them by its own clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lattistore_sim::simulator::Random;

use crate::fleet::Fleet;

/// How many seconds a process uses an offset before it reads the file again.
const CACHE_SECONDS: &str = "1";
/// Jumps have up to 2^20 seconds (12 days) in either direction. Every order of magnitude is equally
/// likely.
const LONGEST_DOUBLINGS: u64 = 20;
/// The path of the library for programs with threads, below a library folder.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The wall clocks of a fleet.
#[derive(Debug)]
pub(crate) struct Clocks {
    /// By node: the file of its offset.
    offsets: Vec<PathBuf>,
}

impl Clocks {
    /// Starts the nodes with clocks of their own from now on.
    ///
    /// # Errors
    /// The reason why this machine does not allow that.
    pub(crate) fn new(fleet: &mut Fleet) -> Result<Clocks, String> {
        let library = library().ok_or("libfaketime is not installed")?;
        let offsets: Vec<PathBuf> =
            (0..fleet.len()).map(|node| fleet.directory().join(format!("{node}.clock"))).collect();
        for (node, offset) in offsets.iter().enumerate() {
            set(offset, 0);
            for (name, value) in variables(&library, offset) {
                fleet.add_variable(node, name, value);
            }
        }
        probe(&library, &fleet.directory().join("probe.clock"))?;
        Ok(Clocks { offsets })
    }

    /// Makes the clock of a node jump, forward or backward, to a time that does not depend on the
    /// last.
    pub(crate) fn jump(&self, node: usize, random: &mut Random) {
        let doublings = random.between(0, LONGEST_DOUBLINGS);
        let seconds = i64::try_from(random.between(1, 1 << doublings)).expect("at most 2^20");
        set(&self.offsets[node], if random.flip() { seconds } else { -seconds });
    }

    /// Removes the shared memory that the library leaves behind for killed processes.
    pub(crate) fn sweep(killed: &[u32]) {
        for process in killed {
            for name in ["faketime_shm", "sem.faketime_sem"] {
                // A process that ended by itself has removed it.
                let _ = fs::remove_file(format!("/dev/shm/{name}_{process}"));
            }
        }
    }

    /// Whether a process has loaded the library.
    pub(crate) fn is_seen_by(process: u32) -> bool {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
        maps.contains(LIBRARY)
    }
}

/// Returns the file of the library. Some systems keep it in a folder for the kind of processor.
fn library() -> Option<PathBuf> {
    let folders =
        fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = folders.chain(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from));
    folders.map(|folder| folder.join(LIBRARY)).find(|library| library.is_file())
}

fn variables(library: &Path, offset: &Path) -> [(&'static str, String); 5] {
    [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", offset.display().to_string()),
        ("FAKETIME_CACHE_DURATION", CACHE_SECONDS.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("NO_FAKE_STAT", "1".to_owned()),
    ]
}

fn set(offset: &Path, seconds: i64) {
    // A rename, so that a reader finds the old offset or the new one.
    let new = offset.with_extension("new");
    fs::write(&new, format!("{seconds:+}\n")).expect("the directory is writable");
    fs::rename(&new, offset).expect("the directory is writable");
}

/// Checks with `date` that a clock that is three years ahead shows another year.
fn probe(library: &Path, offset: &Path) -> Result<(), String> {
    let year = |command: &mut Command| {
        let output = command.arg("+%Y").output().map_err(|error| format!("date: {error}"))?;
        let year = String::from_utf8_lossy(&output.stdout).trim().parse::<u32>();
        year.map_err(|error| format!("date: {error}"))
    };
    set(offset, 3 * 366 * 24 * 3_600);
    let now = year(&mut Command::new("date"))?;
    match year(Command::new("date").envs(variables(library, offset)))? {
        shown if shown > now => Ok(()),
        _ => Err("libfaketime is installed, but has no effect".into()),
    }
}
