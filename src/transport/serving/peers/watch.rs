//! The watch over a connection to a peer: it hears the peer's signs of life, and where they do not
//! come it makes a new connection beside the old one.

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

/// How a connection is over.
pub(super) enum Over {
    Ended(FrameError),
    /// A new one takes its place.
    Replaced(Box<Connection>),
}

/// When the peer was asked for a sign of life that did not come yet.
pub(super) struct OwedSign {
    start: Instant,
    /// In nanoseconds since the start; 0 where it owes none.
    since_ns: AtomicU64,
}

impl OwedSign {
    pub(super) fn new() -> OwedSign {
        OwedSign { start: Instant::now(), since_ns: AtomicU64::new(0) }
    }

    /// Notes that it is asked now; gives whether it owed no sign before.
    pub(super) fn ask(&self) -> bool {
        let now_ns = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
        let asked = self.since_ns.compare_exchange(0, now_ns, Ordering::AcqRel, Ordering::Acquire);
        asked.is_ok()
    }

    /// Notes a sign.
    pub(super) fn heard(&self) {
        self.since_ns.store(0, Ordering::Release);
    }

    /// For how long it owes a sign.
    fn waits(&self) -> Option<Duration> {
        let since_ns = self.since_ns.load(Ordering::Acquire);
        let since = Duration::from_nanos(since_ns);
        (since_ns > 0).then(|| self.start.elapsed().saturating_sub(since))
    }
}

/// The watch over a connection.
pub(super) struct Watch<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) link: &'a Link,
    pub(super) stream: &'a Stream,
    pub(super) owed: &'a OwedSign,
    pub(super) waits: &'a mut Waits,
}

impl Watch<'_> {
    /// Reads the peer's signs of life, which are empty frames, until there are no more, or a new
    /// connection takes the place of this one.
    pub(super) fn run(mut self, mut reader: FrameReader<Stream>) -> Over {
        let settings = &self.shared.settings;
        let silence = settings.peer_silence_time;
        let step = settings.keepalive_time.min(self.waits.sign).min(silence);
        let patience = Patience { idle: step, frame: step };
        let begun = Instant::now();
        let mut heard = begun;
        loop {
            match reader.read(0, patience) {
                Ok(_) => {
                    heard = Instant::now();
                    self.owed.heard();
                    // A connection that works for this long is not one of a row of slow ones.
                    if heard - begun > silence {
                        self.waits.sign = settings.peer_patience;
                    }
                }
                Err(error @ (FrameError::Idle | FrameError::TooSlow)) => {
                    if heard.elapsed() >= silence {
                        return Over::Ended(error);
                    }
                    if self.owed.waits().is_some_and(|time| time >= self.waits.sign)
                        && let Some(newer) = self.replace(heard + silence)
                    {
                        return Over::Replaced(Box::new(newer));
                    }
                }
                Err(error) => return Over::Ended(error),
            }
        }
    }

    /// Makes a new connection unless the old one is heard first, by `until`.
    fn replace(&mut self, until: Instant) -> Option<Connection> {
        let Watch { shared, link, stream, waits, .. } = self;
        let times = times(&shared.settings);
        let address = link.target().address;
        let beside = Some(stream.descriptor());
        let is_over = || link.is_over(shared);
        let (fresh, tries) = match dial(address, &times, Some(until), beside, &is_over) {
            Ok(Dialed::Connected { stream, tries }) => (stream, tries),
            Ok(Dialed::Heard) => return None,
            Err(error) => {
                debug!("no new connection to {address}: {error}");
                // One that is refused at once is not tried again at once.
                let time = times.space.min(until.saturating_duration_since(Instant::now()));
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
                // Whether the peer wants this node is told when the old connection has ended.
                debug!("a new connection to {address} came to nothing");
                None
            }
        }
    }
}
