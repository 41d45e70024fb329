//! A rate limit for log lines that may be very frequent: per subject and [`PERIOD`] the first
//! [`LINES_PER_PERIOD`] lines are logged, and the next logged line counts the suppressed ones.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// In this time ...
const PERIOD: Duration = Duration::from_secs(10);
/// ... at most this number of lines of one subject is logged.
const LINES_PER_PERIOD: u32 = 8;
/// The maximum number of subjects that are counted separately. Further subjects share one count.
const MAX_SUBJECTS: usize = 64;

/// The number of lines of one subject that were suppressed before this line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suppressed(u64);

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            suppressed => write!(f, " (and {suppressed} such lines before)"),
        }
    }
}

/// The state of each subject.
#[derive(Debug, Default)]
pub(crate) struct LogLimiter(Mutex<HashMap<String, State>>);

#[derive(Debug)]
struct State {
    since: Instant,
    logged: u32,
    suppressed: u64,
}

impl LogLimiter {
    /// Returns whether a line of this subject may be logged now, and the number of lines that were
    /// suppressed before it.
    pub(crate) fn due(&self, subject: &str) -> Option<Suppressed> {
        self.due_at(subject, Instant::now())
    }

    fn due_at(&self, subject: &str, now: Instant) -> Option<Suppressed> {
        let mut states = self.0.lock();
        if states.len() >= MAX_SUBJECTS && !states.contains_key(subject) {
            states.retain(|_, state| now.saturating_duration_since(state.since) < PERIOD);
        }
        let is_full = states.len() >= MAX_SUBJECTS && !states.contains_key(subject);
        let subject = if is_full { "" } else { subject };
        let new = || State { since: now, logged: 0, suppressed: 0 };
        let state = states.entry(subject.to_owned()).or_insert_with(new);
        if now.saturating_duration_since(state.since) >= PERIOD {
            (state.since, state.logged) = (now, 0);
        }
        if state.logged >= LINES_PER_PERIOD {
            state.suppressed = state.suppressed.saturating_add(1);
            return None;
        }
        state.logged += 1;
        Some(Suppressed(std::mem::take(&mut state.suppressed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lines_become_a_few_lines_and_a_count() {
        let (limiter, start) = (LogLimiter::default(), Instant::now());
        let logged = |of: &str, now| (0..100).filter(|_| limiter.due_at(of, now).is_some()).count();
        assert_eq!(logged("a", start), LINES_PER_PERIOD as usize);
        assert_eq!(
            logged("b", start),
            LINES_PER_PERIOD as usize,
            "the other subject has its own count"
        );
        let next = limiter.due_at("a", start + PERIOD).expect("it is due");
        assert_eq!(next.to_string(), " (and 92 such lines before)");
        let next = limiter.due_at("a", start + PERIOD).expect("it is due");
        assert_eq!(next.to_string(), "");
    }

    #[test]
    fn the_number_of_subjects_is_bounded() {
        let (limiter, start) = (LogLimiter::default(), Instant::now());
        for subject in 0..10 * MAX_SUBJECTS {
            limiter.due_at(&subject.to_string(), start);
        }
        assert!(limiter.0.lock().len() <= MAX_SUBJECTS + 1);
        for subject in 0..10 * MAX_SUBJECTS {
            limiter.due_at(&format!("later {subject}"), start + PERIOD);
        }
        assert!(limiter.0.lock().len() <= MAX_SUBJECTS + 1);
    }
}
