//! The queue of the log: lines that are not written yet. Adding a line never blocks.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// The highest number of queued lines. With lines of [`super::line::MAX_LINE_BYTES`], they take 16
/// MiB.
const MAX_LINES: usize = 1024;

/// The highest number of queued lines when an error is added: errors say why a node ends.
const MAX_IMPORTANT_LINES: usize = MAX_LINES + 64;

/// A line that the writing thread takes.
pub(super) struct Taken {
    /// The number of lines that were dropped since it was last reported.
    pub(super) dropped: u64,
    pub(super) line: String,
}

/// A bounded queue of lines.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Notified when a line is added.
    filled: Condvar,
    /// Notified when all lines are written.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    /// Whether a line was taken that is not written yet.
    is_writing: bool,
    dropped: u64,
}

impl Queue {
    /// Adds a line, or drops it if [`MAX_LINES`] are queued.
    pub(super) fn push(&self, line: String) {
        self.push_below(MAX_LINES, line);
    }

    /// Adds an important line, or drops it if [`MAX_IMPORTANT_LINES`] are queued.
    pub(super) fn push_important(&self, line: String) {
        self.push_below(MAX_IMPORTANT_LINES, line);
    }

    fn push_below(&self, limit: usize, line: String) {
        let mut state = self.state.lock();
        if state.lines.len() < limit {
            state.lines.push_back(line);
            drop(state);
            self.filled.notify_one();
        } else {
            state.dropped = state.dropped.saturating_add(1);
        }
    }

    /// Waits for a line and takes it. The caller has to call [`written`](Queue::written) after it.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.state.lock();
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.is_writing = true;
                return Taken { dropped: std::mem::take(&mut state.dropped), line };
            }
            self.filled.wait(&mut state);
        }
    }

    /// Notes that lines could not be written.
    pub(super) fn count_lost(&self, lines: u64) {
        let mut state = self.state.lock();
        state.dropped = state.dropped.saturating_add(lines);
    }

    /// Notes that the line that was taken is written, or lost.
    pub(super) fn written(&self) {
        let mut state = self.state.lock();
        state.is_writing = false;
        if state.lines.is_empty() {
            self.emptied.notify_all();
        }
    }

    /// Waits until all lines are written, at most for `time`.
    pub(super) fn wait_until_written(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state.lock();
        while !state.lines.is_empty() || state.is_writing {
            if self.emptied.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_lines_are_counted_and_errors_have_more_room() {
        let queue = Queue::default();
        (0..MAX_LINES + 7).for_each(|line| queue.push(line.to_string()));
        queue.push_important("why".to_owned());
        let Taken { dropped, line } = queue.take();
        assert_eq!((dropped, line.as_str()), (7, "0"));
        let lines: Vec<String> = (0..MAX_LINES).map(|_| queue.take().line).collect();
        assert_eq!(lines.last().map(String::as_str), Some("why"));
        (0..2 * MAX_LINES).for_each(|line| queue.push_important(line.to_string()));
        assert_eq!(queue.take().dropped, (2 * MAX_LINES - MAX_IMPORTANT_LINES) as u64);
    }

    #[test]
    fn waiting_ends_when_all_is_written_or_the_time_is_over() {
        let queue = Queue::default();
        queue.wait_until_written(Duration::from_secs(3600));
        queue.push("line".to_owned());
        queue.wait_until_written(Duration::from_millis(1));
        queue.take();
        queue.wait_until_written(Duration::from_millis(1));
        queue.written();
        queue.wait_until_written(Duration::from_secs(3600));
    }
}
