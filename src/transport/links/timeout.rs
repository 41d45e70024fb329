//! The rule about timeouts of sockets.

use std::time::Duration;

/// The shortest timeout of a socket: zero would mean no timeout.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

/// Returns the timeout to set on a socket that should wait for `time`.
pub(super) fn socket_timeout(time: Duration) -> Duration {
    time.max(MIN_TIMEOUT)
}
