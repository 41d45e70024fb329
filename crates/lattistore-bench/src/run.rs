//! One measured run, for any system with connections that are a [`Protocol`].
//!
//! *Closed loop*: each connection has `depth` operations in flight, and sends the next one when one
//! is answered; one thread writes and reads. Latency counts from the sending of an operation.
//!
//! *Open loop*: operations are due at a rate that does not depend on the system; one thread sends,
//! one reads. Latency counts from the moment when the operation was due, so that a system that
//! stalls cannot hide the operations that it delayed ("coordinated omission").

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::closed_loop::closed;
use super::open_loop::open;
use super::plan::{Loop, Plan};
use super::protocol::{Connect, Protocol};
use super::record::{self, Record, Report, Span, quoted};
use super::run_state::Run;

/// Runs a plan, and measures it after the warm-up. `processes` are the ids of the system's
/// processes on this machine.
///
/// # Errors
/// When a connection cannot be made, or a thread fails.
pub(crate) fn measure<P: Protocol>(
    system: &str,
    plan: &Plan<'_>,
    processes: &[u32],
    shows_progress: bool,
    connect: &Connect<'_, P>,
) -> Result<Report, String> {
    // Connecting takes time, so it comes before the warm-up.
    let connections: Result<Vec<_>, _> = (0..plan.connections).map(|_| connect()).collect();
    let connections = connections?;
    let from = Instant::now() + plan.warm_up;
    let span = Span { from, to: from + plan.duration };
    let run = Run { plan, span, answered: AtomicU64::new(0) };
    let is_over = AtomicBool::new(false);
    let (record, processes) = thread::scope(|scope| {
        let observer = scope.spawn(|| {
            sleep_until(span.from);
            let before = record::processes(processes);
            if shows_progress {
                show_progress(&run.answered, &is_over, span.to);
            }
            sleep_until(span.to);
            record::since(&before, processes)
        });
        let record = run_connections(&run, connections, connect);
        is_over.store(true, Ordering::Relaxed);
        let processes = observer.join().map_err(|_| "a thread of the load generator failed")?;
        Ok::<_, String>((record?, processes))
    })?;
    Ok(Report { settings: settings(system, plan), record, measured: plan.duration, processes })
}

/// Runs each connection on a thread of its own.
fn run_connections<P: Protocol>(
    run: &Run<'_>,
    connections: Vec<(P::Stream, P)>,
    connect: &Connect<'_, P>,
) -> Result<Record, String> {
    let mut all = Record::new();
    thread::scope(|scope| {
        let threads = connections.into_iter().zip(0u32..).map(|((stream, protocol), number)| {
            scope.spawn(move || match run.plan.how {
                Loop::Closed => closed(run, connect, stream, protocol, number),
                Loop::Open(rate) => open(run, &stream, protocol, number, rate),
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            all.add(&thread.join().map_err(|_| "a thread of the load generator failed")?);
        }
        Ok(all)
    })
}

fn sleep_until(time: Instant) {
    thread::sleep(time.saturating_duration_since(Instant::now()));
}

/// Writes a line each second, if standard error is a terminal.
fn show_progress(answered: &AtomicU64, is_over: &AtomicBool, until: Instant) {
    if !io::stderr().is_terminal() {
        return;
    }
    let mut last = answered.load(Ordering::Relaxed);
    while Instant::now() < until && !is_over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_secs(1));
        let now = answered.load(Ordering::Relaxed);
        let left = until.saturating_duration_since(Instant::now()).as_secs();
        eprint!("\r{:>9}/s, {left:>3} s to go ", now - last);
        last = now;
    }
    eprint!("\r{:40}\r", "");
}

/// Returns the names and JSON values that describe a run.
fn settings(system: &str, plan: &Plan<'_>) -> Vec<(&'static str, String)> {
    let rate = match plan.how {
        Loop::Closed => "null".to_owned(),
        Loop::Open(rate) => rate.to_string(),
    };
    vec![
        ("system", quoted(system)),
        ("workload", quoted(plan.workload.name())),
        ("distribution", quoted(plan.space.distribution.name())),
        ("rate", rate),
        ("connections", plan.connections.to_string()),
        ("depth", plan.depth.to_string()),
        ("keys", plan.space.keys.to_string()),
        ("writes", plan.writes.to_string()),
        ("key_bytes", plan.space.key_bytes.to_string()),
        ("value_bytes", plan.space.value_bytes.to_string()),
    ]
}
