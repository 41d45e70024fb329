//! The timeouts of a peer, which adapt to it.

use std::time::Duration;

use crate::transport::serving::settings::Settings;

/// The timeouts of a peer. They grow if a longer wait would have helped.
pub(super) struct Waits {
    /// For a keepalive, before a new connection is tried.
    pub(super) keepalive: Duration,
    /// For the whole greeting.
    pub(super) greeting: Duration,
}

impl Waits {
    pub(super) fn new(settings: &Settings) -> Waits {
        Waits { keepalive: settings.peer_patience, greeting: settings.min_greeting_time }
    }

    /// Notes how long a greeting `took`, or that it was not complete in time. In that case the next
    /// greeting gets twice the time: the peer may be paused, or far away. Otherwise the last
    /// greeting is the measure for the next one.
    pub(super) fn greeted(&mut self, took: Option<Duration>, settings: &Settings) {
        let time = match took {
            Some(took) => (4 * took).max(settings.min_greeting_time),
            None => 2 * self.greeting,
        };
        self.greeting = time.min(settings.greeting_time);
    }

    /// Notes that a new connection replaced a silent one. If its first attempt was answered, the
    /// peer may be slow and the old connection intact, so the timeout grows.
    pub(super) fn replaced(&mut self, tries: u32, settings: &Settings) {
        let time = if tries > 1 { settings.peer_patience } else { 2 * self.keepalive };
        self.keepalive = time.min(settings.max_peer_patience);
    }
}
