//! The state that all threads of the transport share: the stop signal, the open sockets, the
//! threads themselves, and the channel of the node's events.
//!
//! Invariant: every thread is registered here, so that a stop can wait for each; and a thread that
//! panics becomes an event, so that no thread dies unnoticed.

use std::any::Any;
use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Select, Sender, TrySendError, bounded};
use log::error;
use parking_lot::Mutex;

use super::access_control::AccessControl;
use super::event::Event;
use super::handler::Handler;
use super::log_limiter::LogLimiter;
use super::peer_slots::PeerSlots;
use super::rejection_log::RejectionLog;
use super::replies::RejectionLimiter;
use super::settings::Settings;
use super::sockets::Sockets;
use super::stop::Stop;
use crate::security::Security;

/// The period of the wait for room when nothing is to be done meanwhile.
const IDLE_PERIOD: Duration = Duration::from_secs(3600);

/// The event was not delivered: the node takes no further events, or the sender should end.
#[derive(Debug)]
pub(super) struct Stopped;

/// Delivers an event; does not wait for room once the given signal is set. While it waits, it calls
/// the given action periodically.
type Deliver =
    Box<dyn Fn(Event, &Stop, &mut WhileWaiting<'_>) -> Result<(), Stopped> + Send + Sync>;

/// An action to repeat while an event waits for room, and its period.
pub(super) struct WhileWaiting<'a> {
    pub(super) every: Duration,
    pub(super) act: &'a mut dyn FnMut(),
}

/// The state that all threads of the transport share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    /// The security settings, and the clients admitted under them.
    pub(super) access: AccessControl,
    pub(super) rejection_log: RejectionLog,
    /// The rate limit of log lines about connections of nodes.
    pub(super) log_limiter: LogLimiter,
    /// The rate limit of `TooManyRequests` answers.
    pub(super) rejection_limiter: RejectionLimiter,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) stop: Stop,
    /// The connections that a stop closes.
    pub(super) sockets: Sockets,
    /// The connections from peers.
    pub(super) peer_slots: PeerSlots,
    deliver: Deliver,
    state: Mutex<State>,
}

struct State {
    /// Dropped to stop; `None` when stopping.
    stopper: Option<Sender<Infallible>>,
    /// Each thread has a clone; `None` when stopping.
    running: Option<Sender<Infallible>>,
    /// Disconnected when the last thread has ended.
    all_ended: Receiver<Infallible>,
    threads: Vec<JoinHandle<()>>,
}

impl Shared {
    pub(super) fn new<E: From<Event> + Send + 'static>(
        settings: Settings,
        security: Security,
        handler: Arc<dyn Handler>,
        events: Sender<E>,
    ) -> Arc<Shared> {
        let (stopper, stop) = bounded(0);
        let (running, all_ended) = bounded(0);
        let stop = Stop(stop);
        Arc::new(Shared {
            settings,
            access: AccessControl::new(security),
            rejection_log: RejectionLog::default(),
            log_limiter: LogLimiter::default(),
            rejection_limiter: RejectionLimiter::new(Instant::now()),
            handler,
            deliver: deliver_to(events, stop.clone()),
            stop,
            sockets: Sockets::default(),
            peer_slots: PeerSlots::default(),
            state: Mutex::new(State {
                stopper: Some(stopper),
                running: Some(running),
                all_ended,
                threads: Vec::new(),
            }),
        })
    }

    /// Returns the security settings in force.
    pub(super) fn security(&self) -> Arc<Security> {
        self.access.security()
    }

    /// Delivers an event to the node; waits while the node's queue is full.
    pub(super) fn deliver(&self, event: Event) -> Result<(), Stopped> {
        let mut nothing = WhileWaiting { every: IDLE_PERIOD, act: &mut || {} };
        (self.deliver)(event, &self.stop, &mut nothing)
    }

    /// Delivers an event as [`deliver`](Shared::deliver) does, unless `ended` is set first.
    pub(super) fn deliver_until(&self, event: Event, ended: &Stop) -> Result<(), Stopped> {
        let mut nothing = WhileWaiting { every: IDLE_PERIOD, act: &mut || {} };
        (self.deliver)(event, ended, &mut nothing)
    }

    /// Delivers an event of a connection, unless the connection is `replaced` first: otherwise its
    /// thread would wait for room for as long as the node waits for its disk, and so would the
    /// threads of all connections that follow it.
    pub(super) fn deliver_of(
        &self,
        event: Event,
        replaced: &Stop,
        while_waiting: &mut WhileWaiting<'_>,
    ) -> Result<(), Stopped> {
        (self.deliver)(event, replaced, while_waiting)
    }

    /// Runs `body` on a thread of its own.
    ///
    /// # Errors
    /// If the system has no thread left, or the transport is stopping.
    pub(super) fn spawn(
        self: &Arc<Shared>,
        name: &str,
        body: impl FnOnce(&Arc<Shared>) + Send + 'static,
    ) -> io::Result<()> {
        let mut state = self.state.lock();
        let Some(running) = state.running.clone() else {
            return Err(io::Error::other("the transport is stopping"));
        };
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            // A panic leaves nothing that `body` shares half-changed: locks are held for single
            // steps only.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(&shared))) {
                let thread = thread::current().name().unwrap_or_default().to_owned();
                let reason = panic_message(panic.as_ref());
                error!("thread {thread} died: {reason}");
                // An error means that the transport has stopped: no receiver is left.
                let _ = shared.deliver(Event::ThreadDied { thread, reason });
            }
            drop(running);
        })?;
        join_finished(&mut state.threads);
        state.threads.push(thread);
        Ok(())
    }

    /// Tells all threads to stop; queued answers to clients are still sent.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopper = None;
        state.running = None;
        self.sockets.end_reading();
    }

    /// Waits until all threads have ended; connections that block them for `closing_time` are
    /// closed.
    pub(super) fn join(&self) {
        let all_ended = self.state.lock().all_ended.clone();
        if all_ended.recv_timeout(self.settings.closing_time) == Err(RecvTimeoutError::Timeout) {
            self.sockets.close();
        }
        // Without the lock, because threads take it when they end.
        let threads = std::mem::take(&mut self.state.lock().threads);
        for thread in threads {
            // Panics were delivered as events.
            let _ = thread.join();
        }
    }
}

/// Returns a function that puts events into the node's queue: at once if there is room, otherwise
/// after waiting for room. It puts nothing there for a sender that should end, even if there is
/// room.
fn deliver_to<E: From<Event> + Send + 'static>(events: Sender<E>, stop: Stop) -> Deliver {
    Box::new(move |event, ended, while_waiting| {
        let mut unsent = try_put(&events, E::from(event), ended)?;
        if unsent.is_none() {
            return Ok(());
        }
        let mut room = Select::new();
        room.send(&events);
        room.recv(&stop.0);
        room.recv(&ended.0);
        while let Some(event) = unsent {
            if stop.is_set() {
                return Err(Stopped);
            }
            if room.ready_timeout(while_waiting.every).is_err() {
                (while_waiting.act)();
            }
            unsent = try_put(&events, event, ended)?;
        }
        Ok(())
    })
}

/// Puts an event into the queue; returns the event if the queue is full.
fn try_put<E>(events: &Sender<E>, event: E, ended: &Stop) -> Result<Option<E>, Stopped> {
    if ended.is_set() {
        return Err(Stopped);
    }
    match events.try_send(event) {
        Ok(()) => Ok(None),
        Err(TrySendError::Disconnected(_)) => Err(Stopped),
        Err(TrySendError::Full(event)) => Ok(Some(event)),
    }
}

/// Joins the threads that have ended, which frees their stacks.
fn join_finished(threads: &mut Vec<JoinHandle<()>>) {
    for thread in threads.extract_if(.., |thread| thread.is_finished()) {
        let _ = thread.join();
    }
}

/// Returns the message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without a message".to_owned(),
    }
}
