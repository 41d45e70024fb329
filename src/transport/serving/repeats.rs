//! Lines of the log that may come very often: some are told, then one in a while, with how many
//! were not.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// In so long ...
const PERIOD: Duration = Duration::from_secs(10);
/// ... so many lines of one subject are told.
const LINES_PER_PERIOD: u32 = 8;
/// Subjects that are told apart. Those beyond it share one count.
const MAX_SUBJECTS: usize = 64;

/// How many lines of one subject were not told before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Untold(u64);

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            untold => write!(f, " (and {untold} such lines before)"),
        }
    }
}

/// What was told of each subject.
#[derive(Debug, Default)]
pub(crate) struct Repeats(Mutex<HashMap<String, State>>);

#[derive(Debug)]
struct State {
    since: Instant,
    told: u32,
    untold: u64,
}

impl Repeats {
    /// Whether a line of this subject is to be told now, and how many were not since the last.
    pub(crate) fn due(&self, subject: &str) -> Option<Untold> {
        self.due_at(subject, Instant::now())
    }

    fn due_at(&self, subject: &str, now: Instant) -> Option<Untold> {
        let mut states = self.0.lock();
        if states.len() >= MAX_SUBJECTS && !states.contains_key(subject) {
            states.retain(|_, state| now.saturating_duration_since(state.since) < PERIOD);
        }
        let is_full = states.len() >= MAX_SUBJECTS && !states.contains_key(subject);
        let subject = if is_full { "" } else { subject };
        let new = || State { since: now, told: 0, untold: 0 };
        let state = states.entry(subject.to_owned()).or_insert_with(new);
        if now.saturating_duration_since(state.since) >= PERIOD {
            (state.since, state.told) = (now, 0);
        }
        if state.told >= LINES_PER_PERIOD {
            state.untold = state.untold.saturating_add(1);
            return None;
        }
        state.told += 1;
        Some(Untold(std::mem::take(&mut state.untold)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_lines_some_are_told_and_the_rest_is_a_count() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        let told = |of: &str, now| (0..100).filter(|_| repeats.due_at(of, now).is_some()).count();
        assert_eq!(told("a", start), LINES_PER_PERIOD as usize);
        assert_eq!(told("b", start), LINES_PER_PERIOD as usize, "the other has its own count");
        let next = repeats.due_at("a", start + PERIOD).expect("it is due");
        assert_eq!(next.to_string(), " (and 92 such lines before)");
        let next = repeats.due_at("a", start + PERIOD).expect("it is due");
        assert_eq!(next.to_string(), "");
    }

    #[test]
    fn subjects_are_bounded() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        for subject in 0..10 * MAX_SUBJECTS {
            repeats.due_at(&subject.to_string(), start);
        }
        assert!(repeats.0.lock().len() <= MAX_SUBJECTS + 1);
        for subject in 0..10 * MAX_SUBJECTS {
            repeats.due_at(&format!("later {subject}"), start + PERIOD);
        }
        assert!(repeats.0.lock().len() <= MAX_SUBJECTS + 1);
    }
}
