//! Signals: SIGINT and SIGTERM stop the node; SIGHUP makes it reload its security files.
//!
//! The signals are blocked in all threads, and one thread waits for them, so no code runs inside of
//! a signal handler. If SIGHUP was ignored when the process started, as `nohup` does, it stays
//! ignored.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::{Reloader, Stopper};
use log::{info, warn};
use nix::sys::signal::{SigSet, Signal};

/// The exit code after a second signal to stop.
const INTERRUPTED: i32 = 130;

/// A signal that comes again within this time is the same one: some programs send it to the process
/// and then to its group.
const SAME_TIME: Duration = Duration::from_millis(200);

/// The handles of a running server that signals need.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) stopper: Stopper,
    pub(crate) reloader: Reloader,
}

/// Blocks the signals that the node handles, and returns them. The caller has to do so before it
/// starts any thread, as threads inherit the mask.
///
/// # Errors
/// If the system does not allow it.
pub(crate) fn block() -> io::Result<SigSet> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    if !is_ignored(Signal::SIGHUP) {
        signals.add(Signal::SIGHUP);
    }
    signals.thread_block()?;
    Ok(signals)
}

/// Starts the thread that waits for `signals`. Before the server runs, a signal to stop ends the
/// process with `end`: an interrupted start loses nothing. A second signal to stop ends it at once.
///
/// # Errors
/// If the thread cannot be started.
pub(crate) fn handle(
    signals: SigSet,
    running: Arc<OnceLock<Running>>,
    end: impl Fn(i32) + Send + 'static,
) -> io::Result<()> {
    let run = move || {
        let mut stopping: Option<Instant> = None;
        // Waiting fails only if the set has no signal.
        while let Ok(signal) = signals.wait() {
            let name = signal.as_str();
            let since_stop = stopping.map(|since| since.elapsed());
            match (meaning(signal, running.get().is_some(), since_stop), running.get()) {
                (Meaning::Reload, Some(running)) => running.reloader.reload(),
                (Meaning::Stop, Some(running)) => {
                    info!(event = "signal", signal = name; "{name}: the node stops");
                    stopping = Some(Instant::now());
                    running.stopper.stop();
                }
                (Meaning::End(code), _) => {
                    warn!(event = "signal", signal = name; "{name}: the process ends at once");
                    end(code);
                }
                _ => {}
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(run).map(drop)
}

/// What to do on a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Nothing,
    Reload,
    Stop,
    /// End the process at once with this exit code.
    End(i32),
}

/// Returns what to do on a signal. `since_stop` is the time since the first signal to stop, if one
/// came.
fn meaning(signal: Signal, is_started: bool, since_stop: Option<Duration>) -> Meaning {
    match (signal, is_started, since_stop) {
        (Signal::SIGHUP, true, None) => Meaning::Reload,
        // The start reads the files anyway, and a node that stops no longer needs them.
        (Signal::SIGHUP, _, _) => Meaning::Nothing,
        (_, false, _) => Meaning::End(0),
        (_, true, None) => Meaning::Stop,
        (_, true, Some(since)) if since < SAME_TIME => Meaning::Nothing,
        (_, true, Some(_)) => Meaning::End(INTERRUPTED),
    }
}

/// Whether this process ignores the signal, if the system reports that, as Linux does. Otherwise
/// returns `false`: handling SIGHUP does not end the process either.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored(&status).is_some_and(|mask| mask >> (signal as u32 - 1) & 1 == 1)
}

/// Returns the mask of ignored signals from the text of `/proc/self/status`; signal 1 is the lowest
/// bit.
fn ignored(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_signal_stops_the_node_and_a_second_one_ends_the_process() {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            assert_eq!(meaning(signal, false, None), Meaning::End(0));
            assert_eq!(meaning(signal, true, None), Meaning::Stop);
            let twice = meaning(signal, true, Some(Duration::ZERO));
            assert_eq!(twice, Meaning::Nothing, "the same signal, to the process and to its group");
            assert_eq!(meaning(signal, true, Some(SAME_TIME)), Meaning::End(INTERRUPTED));
        }
    }

    #[test]
    fn a_hangup_never_ends_the_process() {
        assert_eq!(meaning(Signal::SIGHUP, true, None), Meaning::Reload);
        assert_eq!(meaning(Signal::SIGHUP, false, None), Meaning::Nothing);
        assert_eq!(meaning(Signal::SIGHUP, true, Some(SAME_TIME)), Meaning::Nothing);
    }

    #[test]
    fn the_mask_of_ignored_signals_is_parsed() {
        let status = "Name:\tserver\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(status), Some(0x1001));
        assert_eq!(ignored("Name:\tSigIgn:\n"), None);
        assert_eq!(ignored("SigIgn:\tx\n"), None);
    }
}
