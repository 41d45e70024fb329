//! RejectionLog in the log: that somebody tries what he may not is worth a line, a flood of it not more.

use std::fmt::Display;
use std::time::{Duration, Instant};

use log::{debug, warn};
use parking_lot::Mutex;

/// At most one line in so long.
const PERIOD: Duration = Duration::from_secs(10);

/// What was told, and what not.
#[derive(Debug, Default)]
pub(super) struct RejectionLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    told: Option<Instant>,
    untold: u64,
}

impl RejectionLog {
    /// Tells that who connected from there did not show what the node asks for.
    pub(super) fn tell(&self, from: &str, why: &dyn Display) {
        match self.0.lock().untold_if_due(Instant::now()) {
            Some(0) => warn!("refused {from}: {why}"),
            Some(untold) => warn!("refused {from}, and {untold} before: {why}"),
            None => debug!("refused {from}: {why}"),
        }
    }
}

impl State {
    /// Whether a line is due, and how many there were since the last.
    fn untold_if_due(&mut self, now: Instant) -> Option<u64> {
        if self.told.is_some_and(|told| now.duration_since(told) < PERIOD) {
            self.untold += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_and_a_count() {
        let (mut state, start) = (State::default(), Instant::now());
        assert_eq!(state.untold_if_due(start), Some(0));
        for _ in 0..1_000 {
            assert_eq!(state.untold_if_due(start + PERIOD / 2), None);
        }
        assert_eq!(state.untold_if_due(start + PERIOD), Some(1_000));
        assert_eq!(state.untold_if_due(start + PERIOD * 3), Some(0));
    }
}
