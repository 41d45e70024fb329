//! Slow disks: `strace` delays the fsyncs of a process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::fleet;

/// The system calls by which a server makes its writes durable.
const SYNCS: &str = "fdatasync,fsync";

/// Checks that fsyncs can be delayed here.
///
/// # Errors
/// The reason why they cannot.
pub(crate) fn check() -> Result<(), String> {
    let tried = strace(Duration::from_micros(1), Path::new("/dev/null")).arg("true").output();
    match tried {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("strace: {error}")),
    }
}

/// Returns a command that delays every fsync by `by`, and writes a line for each to the file
/// `trace`.
fn strace(by: Duration, trace: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-e", &format!("trace={SYNCS}")]);
    command.args(["-e", &format!("inject={SYNCS}:delay_enter={}", by.as_micros())]);
    command.arg("-o").arg(trace).stdin(Stdio::null());
    command
}

/// Delays the fsyncs of a process until it is dropped.
pub(crate) struct SlowDisk {
    strace: Child,
    trace: PathBuf,
}

impl SlowDisk {
    /// Delays the fsyncs of a process from now on. `trace` is a file for this delay alone.
    pub(crate) fn new(process: u32, by: Duration, trace: PathBuf) -> SlowDisk {
        let mut command = strace(by, &trace);
        command.args(["-p", &process.to_string()]).stderr(Stdio::null());
        let strace = command.spawn().expect("strace ran before");
        SlowDisk { strace, trace }
    }

    /// Ends the delay; returns how many fsyncs were delayed.
    pub(crate) fn end(mut self) -> usize {
        // At SIGINT strace detaches and leaves the process running.
        if self.strace.try_wait().expect("strace is a child").is_none() {
            fleet::signal(self.strace.id(), "INT");
        }
        self.strace.wait().expect("strace is a child");
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
