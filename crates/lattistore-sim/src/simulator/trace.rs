//! What happened, as text for people and as a hash for machines.

use std::fmt::Write as _;

/// The trace of a run. The text is kept only when asked for; the hash always.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    events: u64,
    text: Option<String>,
}

impl Trace {
    /// An empty trace.
    pub(super) fn new(keeps_text: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, events: 0, text: keeps_text.then(String::new) }
    }

    /// Notes an event: its numbers go into the hash, its words into the text.
    pub(super) fn event(&mut self, now_us: u64, numbers: &[u64], words: impl FnOnce() -> String) {
        self.events += 1;
        for number in [now_us].iter().chain(numbers) {
            self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        self.say(now_us, words);
    }

    /// Notes what follows from other events: it goes into the text alone. Nothing said is no line.
    pub(super) fn say(&mut self, now_us: u64, words: impl FnOnce() -> String) {
        let Some(text) = &mut self.text else { return };
        let words = words();
        if !words.is_empty() {
            let (ms, us) = (now_us / 1_000, now_us % 1_000);
            let _ = writeln!(text, "{ms:>7}.{us:03}  {words}");
        }
    }

    /// How many events there were; also the simulator's notion of before and after.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Two runs with the same hash took the same course.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// The text, if it was kept.
    pub(super) fn text(self) -> Option<String> {
        self.text
    }
}
