//! The log of rejected connections, with a rate limit: a flood of them makes only one line in
//! [`PERIOD`].

use std::fmt::Display;
use std::time::{Duration, Instant};

use log::{debug, warn};
use parking_lot::Mutex;

/// At most one line in this time.
const PERIOD: Duration = Duration::from_secs(10);

/// The state of the rate limit.
#[derive(Debug, Default)]
pub(super) struct RejectionLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    logged: Option<Instant>,
    suppressed: u64,
}

impl RejectionLog {
    /// Logs that the connection from `from` was rejected.
    pub(super) fn log(&self, from: &str, why: &dyn Display) {
        match self.0.lock().suppressed_if_due(Instant::now()) {
            Some(0) => warn!("refused {from}: {why}"),
            Some(suppressed) => warn!("refused {from}, and {suppressed} before: {why}"),
            None => debug!("refused {from}: {why}"),
        }
    }
}

impl State {
    /// Returns whether a line is due, and the number of lines that were suppressed before it.
    fn suppressed_if_due(&mut self, now: Instant) -> Option<u64> {
        if self.logged.is_some_and(|logged| now.duration_since(logged) < PERIOD) {
            self.suppressed += 1;
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_and_a_count() {
        let (mut state, start) = (State::default(), Instant::now());
        assert_eq!(state.suppressed_if_due(start), Some(0));
        for _ in 0..1_000 {
            assert_eq!(state.suppressed_if_due(start + PERIOD / 2), None);
        }
        assert_eq!(state.suppressed_if_due(start + PERIOD), Some(1_000));
        assert_eq!(state.suppressed_if_due(start + PERIOD * 3), Some(0));
    }
}
