//! Slow disks: the syncs of a process stall, by delays that `strace` injects into its system calls.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::fleet;

/// The system calls by which a server makes its writes durable.
const SYNCS: &str = "fdatasync,fsync";

/// Whether syncs can be delayed here.
///
/// # Errors
/// Why they cannot.
pub(crate) fn check() -> Result<(), String> {
    let tried = strace(Duration::from_micros(1), Path::new("/dev/null")).arg("true").output();
    match tried {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("strace: {error}")),
    }
}

/// Delays every sync by so much, and writes a line for each to the file `trace`.
fn strace(by: Duration, trace: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-e", &format!("trace={SYNCS}")]);
    command.args(["-e", &format!("inject={SYNCS}:delay_enter={}", by.as_micros())]);
    command.arg("-o").arg(trace).stdin(Stdio::null());
    command
}

/// A process whose syncs stall as long as this lives.
pub(crate) struct SlowDisk {
    strace: Child,
    trace: PathBuf,
}

impl SlowDisk {
    /// Lets the syncs of a process take longer from now on. `trace` is a file for this disk alone.
    pub(crate) fn new(process: u32, by: Duration, trace: PathBuf) -> SlowDisk {
        let mut command = strace(by, &trace);
        command.args(["-p", &process.to_string()]).stderr(Stdio::null());
        let strace = command.spawn().expect("strace was there before");
        SlowDisk { strace, trace }
    }

    /// Ends it; how many syncs were delayed.
    pub(crate) fn end(mut self) -> usize {
        // Told so, it leaves the process as it found it.
        if self.strace.try_wait().expect("it is a child").is_none() {
            fleet::signal(self.strace.id(), "INT");
        }
        self.strace.wait().expect("it is a child");
        let lines = fs::read_to_string(&self.trace).unwrap_or_default();
        lines.lines().filter(|line| line.contains("(DELAYED)")).count()
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}
