//! The open loop of one connection; `run` explains it.

use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::{InFlight, PATIENCE, read};
use super::plan::OperationSource;
use super::protocol::{ByteStream, Protocol};
use super::record::Record;
use super::run_state::Run;

/// A connection that two threads use.
struct Shared<P> {
    state: Mutex<State<P>>,
    /// Notified when there may be room again.
    answered: Condvar,
}

struct State<P> {
    protocol: P,
    in_flight: InFlight,
    out: Vec<u8>,
    failed: bool,
    all_sent: bool,
}

impl<P> Shared<P> {
    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<P> State<P> {
    fn flush(&mut self, stream: &impl ByteStream) {
        self.failed |= stream.write_all(&self.out).is_err();
        self.out.clear();
    }
}

/// Runs one connection in an open loop. A lost connection is not made again: every operation that
/// becomes due counts as an error.
pub(super) fn open<P: Protocol>(
    run: &Run<'_>,
    stream: &P::Stream,
    protocol: P,
    number: u32,
    rate: f64,
) -> Record {
    let (out, in_flight) = (Vec::new(), InFlight::new());
    let state = State { protocol, in_flight, out, failed: false, all_sent: false };
    let shared = Shared { state: Mutex::new(state), answered: Condvar::new() };
    let _ = stream.set_read_timeout(PATIENCE);
    thread::scope(|scope| {
        let reader = scope.spawn(|| receive(run, stream, &shared));
        let missed = send_when_due(run, stream, &shared, number, rate);
        let mut record = reader.join().unwrap_or_else(|_| Record::new());
        (0..missed).for_each(|_| record.error("the connection is lost"));
        record
    })
}

/// Sends each operation when it is due, or as soon after as there is room; returns how many could
/// not be sent.
fn send_when_due<P: Protocol>(
    run: &Run<'_>,
    stream: &P::Stream,
    shared: &Shared<P>,
    number: u32,
    rate: f64,
) -> u64 {
    let mut source = OperationSource::new(run.plan, number);
    #[allow(clippy::cast_precision_loss)]
    let period = Duration::from_secs_f64(run.plan.connections as f64 / rate);
    // The operations of all connections are evenly spaced.
    let offset =
        period.mul_f64(f64::from(number)) / u32::try_from(run.plan.connections).unwrap_or(1);
    let mut due = Instant::now() + offset;
    let mut missed = 0;
    while due < run.span.to {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut state = shared.lock();
        while due <= Instant::now() && due < run.span.to {
            if state.failed {
                missed += 1;
            } else if state.in_flight.count < run.plan.depth && state.protocol.has_room() {
                let operation = source.next();
                let id = state.in_flight.begin(operation.kind, due);
                let State { protocol, out, .. } = &mut *state;
                protocol.encode(id, &operation, out);
            } else {
                state.flush(stream);
                let waited = shared.answered.wait_timeout(state, PATIENCE);
                state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
                continue;
            }
            due += period;
        }
        state.flush(stream);
    }
    let mut state = shared.lock();
    state.all_sent = true;
    if state.in_flight.count == 0 {
        // No answer will arrive, and the reader waits for one.
        stream.close();
    }
    missed
}

/// Receives answers until all operations are answered, or the connection fails.
fn receive<P: Protocol>(run: &Run<'_>, stream: &P::Stream, shared: &Shared<P>) -> Record {
    let mut record = Record::new();
    let (mut buffer, mut end, mut done) = (Vec::new(), 0, Vec::new());
    loop {
        if let Err(error) = read(stream, &mut buffer, end).map(|count| end += count) {
            let mut state = shared.lock();
            state.failed = true;
            (0..state.in_flight.count).for_each(|_| record.error(&error));
            shared.answered.notify_all();
            return record;
        }
        let mut state = shared.lock();
        let State { protocol, out, .. } = &mut *state;
        match protocol.decode(&buffer[..end], &mut done, out) {
            Ok(used) => {
                buffer.copy_within(used..end, 0);
                end -= used;
            }
            Err(error) => {
                state.failed = true;
                record.error(&error);
            }
        }
        let now = Instant::now();
        for (id, result) in done.drain(..) {
            let Some((kind, due)) = state.in_flight.end(id) else { continue };
            run.answered.fetch_add(1, Ordering::Relaxed);
            if run.span.contains(now) {
                record.answered += 1;
            }
            match result {
                Ok(()) if run.span.contains(due) => record.latency(kind.writes(), now - due),
                Ok(()) => {}
                Err(error) => record.error(&error),
            }
        }
        if !state.out.is_empty() {
            state.flush(stream);
        }
        shared.answered.notify_all();
        if state.failed || (state.all_sent && state.in_flight.count == 0) {
            return record;
        }
    }
}
