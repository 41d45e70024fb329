//! Wall clocks that jump: each node sees the time of the machine and an offset of its own, by
//! `libfaketime`, which stands between a process and the C library.
//!
//! The clock that only counts on is left alone, as operating systems never let it jump; and threads
//! would not wake up, as they tell the kernel itself until when they sleep.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lattistore_sim::simulator::Random;

use crate::fleet::Fleet;

/// Processes look for a new offset after so many seconds.
const CACHE_SECONDS: &str = "1";
/// Jumps have up to so many seconds, 12 days, either way; small ones are as likely as large ones.
const LONGEST_DOUBLINGS: u64 = 20;
/// Where systems keep the library for programs with threads.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The wall clocks of a fleet.
#[derive(Debug)]
pub(crate) struct Clocks {
    /// By node: the file of its offset.
    offsets: Vec<PathBuf>,
}

impl Clocks {
    /// Gives the nodes that are started from now on clocks of their own.
    ///
    /// # Errors
    /// Why that cannot be done here.
    pub(crate) fn new(fleet: &mut Fleet) -> Result<Clocks, String> {
        let library = library().ok_or("libfaketime is not there")?;
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

    /// Lets the clock of a node jump, ahead or back, to a time that has nothing to do with the last.
    pub(crate) fn jump(&self, node: usize, random: &mut Random) {
        let doublings = random.between(0, LONGEST_DOUBLINGS);
        let seconds = i64::try_from(random.between(1, 1 << doublings)).expect("it is small");
        set(&self.offsets[node], if random.flip() { seconds } else { -seconds });
    }

    /// Takes away what the library leaves in shared memory of processes that are killed.
    pub(crate) fn sweep(killed: &[u32]) {
        for process in killed {
            for name in ["faketime_shm", "sem.faketime_sem"] {
                // It is not there where the process ended by itself.
                let _ = fs::remove_file(format!("/dev/shm/{name}_{process}"));
            }
        }
    }

    /// Whether a process sees such a clock at all.
    pub(crate) fn is_seen_by(process: u32) -> bool {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
        maps.contains(LIBRARY)
    }
}

/// The file of the library; systems have it in a folder for their kind of processor.
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
    // A reader finds the old offset or the new one, nothing in between.
    let new = offset.with_extension("new");
    fs::write(&new, format!("{seconds:+}\n")).expect("the directory takes it");
    fs::rename(&new, offset).expect("the directory takes it");
}

/// Asks a small program, on a clock that is years ahead, what year it is.
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
        _ => Err("libfaketime is there and does nothing".into()),
    }
}
