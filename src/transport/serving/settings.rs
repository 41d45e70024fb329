//! The times and bounds of the transport. They are values, so that tests can use small ones;
//! [`crate::limits`] describes each of them with its reason.

use std::time::Duration;

use crate::limits;
use crate::transport::links::Patience;

/// The times and bounds of the transport; each has the value of the named constant by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// [`limits::GREETING_TIME`]
    pub greeting_time: Duration,
    /// [`limits::MIN_GREETING_TIME`]
    pub min_greeting_time: Duration,
    /// [`limits::FRAME_TIME`]
    pub frame_time: Duration,
    /// [`limits::CLIENT_IDLE_TIME`]
    pub client_idle_time: Duration,
    /// [`limits::CLIENT_SLOT_TIME`]
    pub client_slot_time: Duration,
    /// [`limits::PEER_IDLE_TIME`]
    pub peer_idle_time: Duration,
    /// [`limits::KEEPALIVE_TIME`]
    pub keepalive_time: Duration,
    /// [`limits::SIGN_OF_LIFE_TIME`]
    pub sign_of_life_time: Duration,
    /// [`limits::PEER_PATIENCE`]
    pub peer_patience: Duration,
    /// [`limits::MAX_PEER_PATIENCE`]
    pub max_peer_patience: Duration,
    /// [`limits::PEER_SILENCE_TIME`]
    pub peer_silence_time: Duration,
    /// [`limits::CLIENT_KEEPALIVE_TIME`]
    pub client_keepalive_time: Duration,
    /// [`limits::PROGRESS_TIME`]
    pub progress_time: Duration,
    /// [`limits::WRITE_TIME`]
    pub write_time: Duration,
    /// [`limits::CONNECT_TIME`]
    pub connect_time: Duration,
    /// [`limits::CONNECT_ATTEMPT_DELAY`]
    pub connect_attempt_delay: Duration,
    /// [`limits::MIN_BACKOFF`]
    pub min_backoff: Duration,
    /// [`limits::MAX_BACKOFF`]
    pub max_backoff: Duration,
    /// [`limits::LINGER_TIME`]
    pub linger_time: Duration,
    /// [`limits::CLOSING_TIME`]
    pub closing_time: Duration,
    /// [`limits::REVOKED_CLIENT_TIME`]
    pub revoked_client_time: Duration,
    /// [`limits::FILES_PERIOD`]
    pub files_period: Duration,
    /// [`limits::MAX_CLIENTS`]
    pub max_clients: usize,
    /// [`limits::MAX_UNGREETED`]
    pub max_ungreeted: usize,
    /// [`limits::MAX_UNGREETED_PER_ADDRESS`]
    pub max_ungreeted_per_address: usize,
    /// [`limits::MAX_INCOMING_BYTES`]
    pub max_incoming_bytes: usize,
    /// [`limits::MAX_IN_FLIGHT_BYTES`]
    pub max_in_flight_bytes: usize,
    /// [`limits::MAX_CLIENT_IN_FLIGHT_BYTES`]
    pub max_client_in_flight_bytes: usize,
    /// [`limits::MAX_CLIENT_PARTS_BYTES`]
    pub max_client_parts_bytes: usize,
    /// [`limits::MAX_PIPELINED`]
    pub max_pipelined: usize,
    /// [`limits::MAX_QUEUED_FRAMES`]
    pub max_queued_frames: usize,
    /// [`limits::MAX_QUEUED_BYTES`]
    pub max_queued_bytes: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            greeting_time: limits::GREETING_TIME,
            min_greeting_time: limits::MIN_GREETING_TIME,
            frame_time: limits::FRAME_TIME,
            client_idle_time: limits::CLIENT_IDLE_TIME,
            client_slot_time: limits::CLIENT_SLOT_TIME,
            peer_idle_time: limits::PEER_IDLE_TIME,
            keepalive_time: limits::KEEPALIVE_TIME,
            sign_of_life_time: limits::SIGN_OF_LIFE_TIME,
            peer_patience: limits::PEER_PATIENCE,
            max_peer_patience: limits::MAX_PEER_PATIENCE,
            peer_silence_time: limits::PEER_SILENCE_TIME,
            client_keepalive_time: limits::CLIENT_KEEPALIVE_TIME,
            progress_time: limits::PROGRESS_TIME,
            write_time: limits::WRITE_TIME,
            connect_time: limits::CONNECT_TIME,
            connect_attempt_delay: limits::CONNECT_ATTEMPT_DELAY,
            min_backoff: limits::MIN_BACKOFF,
            max_backoff: limits::MAX_BACKOFF,
            linger_time: limits::LINGER_TIME,
            closing_time: limits::CLOSING_TIME,
            revoked_client_time: limits::REVOKED_CLIENT_TIME,
            files_period: limits::FILES_PERIOD,
            max_clients: limits::MAX_CLIENTS,
            max_ungreeted: limits::MAX_UNGREETED,
            max_ungreeted_per_address: limits::MAX_UNGREETED_PER_ADDRESS,
            max_incoming_bytes: limits::MAX_INCOMING_BYTES,
            max_in_flight_bytes: limits::MAX_IN_FLIGHT_BYTES,
            max_client_in_flight_bytes: limits::MAX_CLIENT_IN_FLIGHT_BYTES,
            max_client_parts_bytes: limits::MAX_CLIENT_PARTS_BYTES,
            max_pipelined: limits::MAX_PIPELINED,
            max_queued_frames: limits::MAX_QUEUED_FRAMES,
            max_queued_bytes: limits::MAX_QUEUED_BYTES,
        }
    }
}

impl Settings {
    /// Returns the timeouts for a client's request.
    pub(super) fn for_client(&self) -> Patience {
        Patience { idle: self.client_idle_time, frame: self.frame_time }
    }

    /// Returns the timeouts for a peer's message; after each of them the reader checks whether a
    /// keepalive is due.
    pub(super) fn for_peer(&self) -> Patience {
        let step = self.sign_of_life_time.min(self.peer_idle_time).min(self.frame_time);
        Patience { idle: step, frame: step }
    }
}
