//! How long a peer is waited for.

use std::time::Duration;

use crate::transport::serving::settings::Settings;

/// How long a peer is waited for. It grows where waiting longer would have helped.
pub(super) struct Waits {
    /// For a sign of life, before a new connection is tried.
    pub(super) sign: Duration,
    /// For the whole greeting.
    pub(super) greeting: Duration,
}

impl Waits {
    pub(super) fn new(settings: &Settings) -> Waits {
        Waits { sign: settings.peer_patience, greeting: settings.min_greeting_time }
    }

    /// Notes how a greeting went. One that was not answered in time is given more the next time:
    /// the peer may be paused, or far away. What the last one took is the measure for the next.
    pub(super) fn greeted(&mut self, took: Option<Duration>, settings: &Settings) {
        let time = match took {
            Some(took) => (4 * took).max(settings.min_greeting_time),
            None => 2 * self.greeting,
        };
        self.greeting = time.min(settings.greeting_time);
    }

    /// Notes that a new connection took the place of a silent one. Where its first try was
    /// answered, the peer may be slow rather than the connection dead.
    pub(super) fn replaced(&mut self, tries: u32, settings: &Settings) {
        let time = if tries > 1 { settings.peer_patience } else { 2 * self.sign };
        self.sign = time.min(settings.max_peer_patience);
    }
}
