//! The trace of a run: a hash, and on request a text.

use std::fmt::Write as _;

/// The trace of a run. The text is kept only on request; the hash always.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    events: u64,
    text: Option<String>,
}

impl Trace {
    /// Returns an empty trace.
    pub(super) fn new(keeps_text: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, events: 0, text: keeps_text.then(String::new) }
    }

    /// Records an event: its numbers change the hash, its description is added to the text.
    pub(super) fn event(
        &mut self,
        now_us: u64,
        numbers: &[u64],
        describe: impl FnOnce() -> String,
    ) {
        self.events += 1;
        for number in [now_us].iter().chain(numbers) {
            self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        self.line(now_us, describe);
    }

    /// Adds a line to the text alone, for what follows from other events. An empty line is not
    /// added.
    pub(super) fn line(&mut self, now_us: u64, describe: impl FnOnce() -> String) {
        let Some(text) = &mut self.text else { return };
        let line = describe();
        if !line.is_empty() {
            let (ms, us) = (now_us / 1_000, now_us % 1_000);
            let _ = writeln!(text, "{ms:>7}.{us:03}  {line}");
        }
    }

    /// Returns the number of events, which also serves as the logical time of requests and answers.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Returns the hash: two runs with the same hash took the same course.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns the text, if it was kept.
    pub(super) fn text(self) -> Option<String> {
        self.text
    }
}
