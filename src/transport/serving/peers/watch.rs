//! The watch thread of a connection to a peer: it reads the peer's keepalives, and opens a new
//! connection when they do not arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use log::debug;

use super::greet::{Connection, greet_on, times};
use super::link::Link;
use super::waits::Waits;
use crate::transport::links::Stream;
use crate::transport::links::{FrameError, FrameReader, Patience};
use crate::transport::serving::dial::{Dialed, dial};
use crate::transport::serving::shared::Shared;

/// How a connection ended.
pub(super) enum ConnectionEnd {
    Failed(FrameError),
    /// A new connection replaces it.
    Replaced(Box<Connection>),
}

/// The time since when a keepalive of the peer is expected.
pub(super) struct PendingProbe {
    start: Instant,
    /// In nanoseconds since the start; 0 while none is expected.
    since_ns: AtomicU64,
}

impl PendingProbe {
    pub(super) fn new() -> PendingProbe {
        PendingProbe { start: Instant::now(), since_ns: AtomicU64::new(0) }
    }

    /// Notes that the peer is probed; returns whether no keepalive was expected before.
    pub(super) fn sent(&self) -> bool {
        let now_ns = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
        let asked = self.since_ns.compare_exchange(0, now_ns, Ordering::AcqRel, Ordering::Acquire);
        asked.is_ok()
    }

    /// Notes that a keepalive was received.
    pub(super) fn answered(&self) {
        self.since_ns.store(0, Ordering::Release);
    }

    /// Returns for how long a keepalive has been expected; `None` if none is.
    fn pending_for(&self) -> Option<Duration> {
        let since_ns = self.since_ns.load(Ordering::Acquire);
        let since = Duration::from_nanos(since_ns);
        (since_ns > 0).then(|| self.start.elapsed().saturating_sub(since))
    }
}

/// The watch of a connection.
pub(super) struct Watch<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) link: &'a Link,
    pub(super) stream: &'a Stream,
    pub(super) probe: &'a PendingProbe,
    pub(super) waits: &'a mut Waits,
}

impl Watch<'_> {
    /// Reads the peer's keepalives, which are empty frames, until the connection fails or a new
    /// connection replaces it.
    pub(super) fn run(mut self, mut reader: FrameReader<Stream>) -> ConnectionEnd {
        let settings = &self.shared.settings;
        let silence = settings.peer_silence_time;
        let step = settings.keepalive_time.min(self.waits.keepalive).min(silence);
        let patience = Patience { idle: step, frame: step };
        let begun = Instant::now();
        let mut heard = begun;
        loop {
            match reader.read(0, patience) {
                Ok(_) => {
                    heard = Instant::now();
                    self.probe.answered();
                    // A connection that works for this long ends a series of slow ones.
                    if heard - begun > silence {
                        self.waits.keepalive = settings.peer_patience;
                    }
                }
                Err(error @ (FrameError::Idle | FrameError::TooSlow)) => {
                    if heard.elapsed() >= silence {
                        return ConnectionEnd::Failed(error);
                    }
                    if self.probe.pending_for().is_some_and(|time| time >= self.waits.keepalive)
                        && let Some(newer) = self.replace(heard + silence)
                    {
                        return ConnectionEnd::Replaced(Box::new(newer));
                    }
                }
                Err(error) => return ConnectionEnd::Failed(error),
            }
        }
    }

    /// Makes a new connection, unless the old one has input first or `until` is reached.
    fn replace(&mut self, until: Instant) -> Option<Connection> {
        let Watch { shared, link, stream, waits, .. } = self;
        let times = times(&shared.settings);
        let address = link.target().address;
        let watched = Some(stream.descriptor());
        let is_over = || link.is_over(shared);
        let (fresh, tries) = match dial(address, &times, Some(until), watched, &is_over) {
            Ok(Dialed::Connected { stream, tries }) => (stream, tries),
            Ok(Dialed::Heard) => return None,
            Err(error) => {
                debug!("no new connection to {address}: {error}");
                // After an immediate error, wait before the next attempt.
                let time = times.interval.min(until.saturating_duration_since(Instant::now()));
                link.wait(shared, time);
                return None;
            }
        };
        let greeting_until = until.min(Instant::now() + waits.greeting);
        match greet_on(shared, link, address, fresh, waits, greeting_until) {
            Ok(newer) => {
                waits.replaced(tries, &shared.settings);
                Some(newer)
            }
            Err(_) => {
                // The end of the old connection will report whether the peer refuses this node.
                debug!("a new connection to {address} came to nothing");
                None
            }
        }
    }
}
