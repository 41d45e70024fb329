//! The open loop; what it is for is said in `drive`.

use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::lane::{Open, PATIENCE, read};
use super::plan::{Plan, Source};
use super::record::Record;
use super::wire::{Duplex, Wire};

/// A connection that two threads use.
struct Shared<W> {
    state: Mutex<State<W>>,
    /// Told when there may be room again.
    answered: Condvar,
}

struct State<W> {
    wire: W,
    open: Open,
    out: Vec<u8>,
    failed: bool,
    all_asked: bool,
}

impl<W> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<W> State<W> {
    fn flush(&mut self, stream: &impl Duplex) {
        self.failed |= stream.write_all(&self.out).is_err();
        self.out.clear();
    }
}

/// A connection in an open loop. One that is lost is not made again: all that is due counts as an
/// error.
pub(super) fn open<W: Wire>(
    plan: &Plan<'_>,
    stream: &W::Duplex,
    wire: W,
    number: u32,
    rate: f64,
) -> Record {
    let (out, open) = (Vec::new(), Open::new());
    let state = State { wire, open, out, failed: false, all_asked: false };
    let shared = Shared { state: Mutex::new(state), answered: Condvar::new() };
    let _ = stream.set_read_timeout(PATIENCE);
    thread::scope(|scope| {
        let reader = scope.spawn(|| collect(plan, stream, &shared));
        let missed = ask_when_due(plan, stream, &shared, number, rate);
        let mut record = reader.join().unwrap_or_else(|_| Record::new());
        (0..missed).for_each(|_| record.error("the connection is lost"));
        record
    })
}

/// Asks each operation when it is due, or as soon after as there is room; gives how many it could not
/// ask.
fn ask_when_due<W: Wire>(
    plan: &Plan<'_>,
    stream: &W::Duplex,
    shared: &Shared<W>,
    number: u32,
    rate: f64,
) -> u64 {
    let mut source = Source::new(plan, number);
    #[allow(clippy::cast_precision_loss)]
    let period = Duration::from_secs_f64(plan.connections as f64 / rate);
    // The connections take turns.
    let offset = period.mul_f64(f64::from(number)) / u32::try_from(plan.connections).unwrap_or(1);
    let mut due = Instant::now() + offset;
    let mut missed = 0;
    while due < plan.span.to {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut state = shared.lock();
        while due <= Instant::now() && due < plan.span.to {
            if state.failed {
                missed += 1;
            } else if state.open.count < plan.depth && state.wire.has_room() {
                let operation = source.next();
                let id = state.open.begin(operation.kind, due);
                let State { wire, out, .. } = &mut *state;
                wire.ask(id, &operation, out);
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
    state.all_asked = true;
    if state.open.count == 0 {
        // Nothing more will come, and the reader waits for it.
        stream.close();
    }
    missed
}

/// Takes answers until all that was asked is answered, or nothing comes any more.
fn collect<W: Wire>(plan: &Plan<'_>, stream: &W::Duplex, shared: &Shared<W>) -> Record {
    let mut record = Record::new();
    let (mut buffer, mut end, mut done) = (Vec::new(), 0, Vec::new());
    loop {
        if let Err(error) = read(stream, &mut buffer, end).map(|count| end += count) {
            let mut state = shared.lock();
            state.failed = true;
            (0..state.open.count).for_each(|_| record.error(&error));
            shared.answered.notify_all();
            return record;
        }
        let mut state = shared.lock();
        let State { wire, out, .. } = &mut *state;
        match wire.take(&buffer[..end], &mut done, out) {
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
            let Some((kind, due)) = state.open.end(id) else { continue };
            plan.answered.fetch_add(1, Ordering::Relaxed);
            if plan.span.contains(now) {
                record.answered += 1;
            }
            match result {
                Ok(()) if plan.span.contains(due) => record.latency(kind.writes(), now - due),
                Ok(()) => {}
                Err(error) => record.error(&error),
            }
        }
        if !state.out.is_empty() {
            state.flush(stream);
        }
        shared.answered.notify_all();
        if state.failed || (state.all_asked && state.open.count == 0) {
            return record;
        }
    }
}
