//! What signals mean: SIGINT and SIGTERM stop the node, SIGHUP lets it read its files again.
//!
//! The signals are blocked in all threads, and one thread waits for them, so that nothing runs
//! inside of a signal handler. A SIGHUP that was ignored when the process started, as `nohup` does,
//! is left ignored.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::{Reloader, Stopper};
use log::{info, warn};
use nix::sys::signal::{SigSet, Signal};

/// The exit code of a process that a second SIGINT ends.
const INTERRUPTED: i32 = 130;

/// A signal that comes again within this is the same: some programs tell a process and then its
/// group.
const SAME_TIME: Duration = Duration::from_millis(200);

/// A running server, as far as signals concern it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) stopper: Stopper,
    pub(crate) reloader: Reloader,
}

/// Blocks the signals that the node handles, and returns them. To be called before any other thread
/// is started: threads inherit what is blocked.
///
/// # Errors
/// When the system does not allow it.
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

/// Starts the thread that waits for `signals`. Before the server runs, `end` ends the process: a
/// start that is cut off loses nothing. A second signal to stop ends it at once.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn handle(
    signals: SigSet,
    running: Arc<OnceLock<Running>>,
    end: impl Fn(i32) + Send + 'static,
) -> io::Result<()> {
    let run = move || {
        let mut stopping: Option<Instant> = None;
        // It fails for no other reason than that the set holds no signal.
        while let Ok(signal) = signals.wait() {
            let name = signal.as_str();
            let told = stopping.map(|since| since.elapsed());
            match (meaning(signal, running.get().is_some(), told), running.get()) {
                (Meaning::Reload, Some(running)) => running.reloader.reload(),
                (Meaning::Stop, Some(running)) => {
                    info!(event = "signal", signal = name; "{name}: the node is to stop");
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

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Nothing,
    Reload,
    Stop,
    /// The process ends with this exit code, whatever it does.
    End(i32),
}

/// What a signal means to a server that is started or not, and that was told to stop so long ago.
fn meaning(signal: Signal, is_started: bool, told: Option<Duration>) -> Meaning {
    match (signal, is_started, told) {
        (Signal::SIGHUP, true, None) => Meaning::Reload,
        // The files have just been read, or are needed no more.
        (Signal::SIGHUP, _, _) => Meaning::Nothing,
        (_, false, _) => Meaning::End(0),
        (_, true, None) => Meaning::Stop,
        (_, true, Some(since)) if since < SAME_TIME => Meaning::Nothing,
        (_, true, Some(_)) => Meaning::End(INTERRUPTED),
    }
}

/// Whether this process ignores the signal, where the system tells as Linux does. Elsewhere it is
/// handled, which does not end the process either.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored(&status).is_some_and(|mask| mask >> (signal as u32 - 1) & 1 == 1)
}

/// The mask of ignored signals in the text of `/proc/self/status`, signal 1 in the lowest bit.
fn ignored(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_signal_stops_the_node_and_another_one_ends_it() {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            assert_eq!(meaning(signal, false, None), Meaning::End(0));
            assert_eq!(meaning(signal, true, None), Meaning::Stop);
            let twice = meaning(signal, true, Some(Duration::ZERO));
            assert_eq!(twice, Meaning::Nothing, "the process and its group were told");
            assert_eq!(meaning(signal, true, Some(SAME_TIME)), Meaning::End(INTERRUPTED));
        }
    }

    #[test]
    fn a_hangup_ends_nothing() {
        assert_eq!(meaning(Signal::SIGHUP, true, None), Meaning::Reload);
        assert_eq!(meaning(Signal::SIGHUP, false, None), Meaning::Nothing);
        assert_eq!(meaning(Signal::SIGHUP, true, Some(SAME_TIME)), Meaning::Nothing);
    }

    #[test]
    fn the_mask_of_ignored_signals_is_found() {
        let status = "Name:\tserver\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(status), Some(0x1001));
        assert_eq!(ignored("Name:\tSigIgn:\n"), None);
        assert_eq!(ignored("SigIgn:\tx\n"), None);
    }
}
