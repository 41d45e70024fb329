//! What all threads of the transport share: the word to stop, the open sockets, the threads
//! themselves, and the way to the node's events.
//!
//! Invariant: every thread is known here, so that stopping can wait for each; and a thread that
//! panics becomes an event, so that none dies unseen.

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

use super::admitted::Admitted;
use super::event::Event;
use super::handler::Handler;
use super::peer_slots::PeerSlots;
use super::rejection_log::RejectionLog;
use super::repeats::Repeats;
use super::replies::RejectionLimiter;
use super::settings::Settings;
use super::sockets::Sockets;
use super::stop::Stop;
use crate::security::Security;

/// Where nothing is to be done while an event waits, the waiting goes on in steps of this.
const LONG: Duration = Duration::from_secs(3600);

/// The event was not taken: the node takes none any more, or who has it should end.
#[derive(Debug)]
pub(super) struct Stopped;

/// Delivers an event, but does not wait for room once this says to stop. While it waits it calls this,
/// again and again after a time.
type Deliver = Box<dyn Fn(Event, &Stop, &mut Meanwhile<'_>) -> Result<(), Stopped> + Send + Sync>;

/// What to do while an event waits for room, and how often.
pub(super) struct Meanwhile<'a> {
    pub(super) every: Duration,
    pub(super) act: &'a mut dyn FnMut(),
}

/// What all threads of the transport share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    /// What is asked of who connects, and the clients who showed it.
    pub(super) admitted: Admitted,
    pub(super) rejection_log: RejectionLog,
    /// Lines of the log about connections of nodes.
    pub(super) repeats: Repeats,
    /// Of answers that there are too many requests.
    pub(super) rejection_limiter: RejectionLimiter,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) stop: Stop,
    /// The connections that stopping closes.
    pub(super) sockets: Sockets,
    /// Connections from peers.
    pub(super) peer_slots: PeerSlots,
    deliver: Deliver,
    state: Mutex<State>,
}

struct State {
    /// Dropped to stop; none when stopping.
    stopper: Option<Sender<Infallible>>,
    /// Each thread has a clone; none when stopping.
    running: Option<Sender<Infallible>>,
    /// Disconnected when the last thread ended.
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
            admitted: Admitted::new(security),
            rejection_log: RejectionLog::default(),
            repeats: Repeats::default(),
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

    /// What is asked of who connects now.
    pub(super) fn security(&self) -> Arc<Security> {
        self.admitted.security()
    }

    /// Gives the node an event; waits while its queue is full.
    pub(super) fn deliver(&self, event: Event) -> Result<(), Stopped> {
        let mut nothing = Meanwhile { every: LONG, act: &mut || {} };
        (self.deliver)(event, &self.stop, &mut nothing)
    }

    /// The same, until this says to stop.
    pub(super) fn deliver_until(&self, event: Event, ended: &Stop) -> Result<(), Stopped> {
        let mut nothing = Meanwhile { every: LONG, act: &mut || {} };
        (self.deliver)(event, ended, &mut nothing)
    }

    /// The same for what came on a connection, until that is `replaced`: else its thread would wait for
    /// room as long as the node does for its disk, and so would those of all that follow it.
    pub(super) fn deliver_of(
        &self,
        event: Event,
        replaced: &Stop,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<(), Stopped> {
        (self.deliver)(event, replaced, meanwhile)
    }

    /// Runs `body` on a thread of its own.
    ///
    /// # Errors
    /// When the system has no thread left, or the transport is stopping.
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
            // Nothing that `body` shares is left half-changed: locks are held for single steps.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(&shared))) {
                let thread = thread::current().name().unwrap_or_default().to_owned();
                let reason = panic_message(panic.as_ref());
                error!("thread {thread} died: {reason}");
                // Stopped already: then there is nobody left to be told.
                let _ = shared.deliver(Event::ThreadDied { thread, reason });
            }
            drop(running);
        })?;
        join_finished(&mut state.threads);
        state.threads.push(thread);
        Ok(())
    }

    /// Tells all threads to stop; what is queued for clients is still sent.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopper = None;
        state.running = None;
        self.sockets.end_reading();
    }

    /// Waits until all threads ended; connections that hold them up for `closing_time` are closed.
    pub(super) fn join(&self) {
        let all_ended = self.state.lock().all_ended.clone();
        if all_ended.recv_timeout(self.settings.closing_time) == Err(RecvTimeoutError::Timeout) {
            self.sockets.close();
        }
        // Not under the lock: threads take it when they end.
        let threads = std::mem::take(&mut self.state.lock().threads);
        for thread in threads {
            // Panics were told as events.
            let _ = thread.join();
        }
    }
}

/// Puts events into the node's queue: at once where it has room, else waiting for room or the end. What
/// is to end puts nothing there any more, whatever room there is.
fn deliver_to<E: From<Event> + Send + 'static>(events: Sender<E>, stop: Stop) -> Deliver {
    Box::new(move |event, ended, meanwhile| {
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
            if room.ready_timeout(meanwhile.every).is_err() {
                (meanwhile.act)();
            }
            unsent = try_put(&events, event, ended)?;
        }
        Ok(())
    })
}

/// Puts an event into the queue unless that is full: then it is returned.
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

/// Joins the threads that ended, which frees their stacks.
fn join_finished(threads: &mut Vec<JoinHandle<()>>) {
    for thread in threads.extract_if(.., |thread| thread.is_finished()) {
        let _ = thread.join();
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without a message".to_owned(),
    }
}
