//! A second implementation of the store: what transactions and sessions mean, as simply as
//! possible.
//!
//! It shares nothing with the store except the types of commands and outcomes. It recognizes
//! programs by their text.

use std::collections::{BTreeMap, BTreeSet};

use lattistore::blob::Blob;
use lattistore::kv::{Command, Outcome, SWEEPS_TO_EXPIRE, SessionNumber};
use lattistore::lang::{Failure, Params, ValueRef};
use lattistore::lpaxos::{Position, Slot};

/// Appends a token to a text.
pub(super) const APPEND: &str = "x = get $k; put $k x + $t;";
/// Appends a token to a text that is not empty.
pub(super) const APPEND_TO_SOME: &str =
    "x = get $k; put $k x + $t; if x == \"\" { abort \"empty\"; }";
/// Deletes a text.
pub(super) const TAKE: &str = "x = get $k; delete $k;";
/// Moves one text to the end of another.
pub(super) const MOVE: &str = "x = get $k; y = get $l; put $l y + x; delete $k;";
/// Reads two texts.
pub(super) const READ: &str = "x = get $k; y = get $l;";

/// The longest kept answer, in bytes: a retry of a transaction with a longer answer learns only
/// that it ran.
const KEPT_BYTES: usize = 16 << 10;

/// A session.
#[derive(Clone, Debug)]
struct Session {
    window: u64,
    used: Slot,
    /// By place in the window: the number kept there, and its outcome.
    kept: BTreeMap<u64, (u64, Outcome)>,
}

/// The state of the reference.
#[derive(Debug, Default)]
pub struct KvReference {
    texts: BTreeMap<String, String>,
    /// Every token that was appended.
    tokens: BTreeSet<String>,
    repeated: Option<String>,
    sessions: BTreeMap<u64, Session>,
    opened: u64,
    sweeps: Vec<Slot>,
}

impl KvReference {
    /// Returns the keys and texts of users.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.texts.iter().map(|(key, text)| (key.as_bytes(), text.as_bytes()))
    }

    /// Returns a token that was appended twice, if there is one: each token belongs to one
    /// transaction.
    pub(super) fn repeated_token(&self) -> Option<&str> {
        self.repeated.as_deref()
    }

    pub(super) fn run(&mut self, command: &Command, position: Position) -> Outcome {
        match command {
            Command::OpenSession { window } => {
                self.opened += 1;
                let (kept, used) = (BTreeMap::new(), position.slot);
                let session = Session { window: u64::from(*window), used, kept };
                self.sessions.insert(self.opened, session);
                Outcome::SessionOpened { session: self.opened, window: *window, position }
            }
            Command::SweepSessions { .. } => {
                self.sweeps.push(position.slot);
                if self.sweeps.len() > SWEEPS_TO_EXPIRE {
                    let oldest = self.sweeps.remove(0);
                    self.sessions.retain(|_, session| session.used >= oldest);
                }
                Outcome::Swept
            }
            Command::Execute { program, params, session: Some(numbered) }
                if program.text() != READ =>
            {
                self.once(program.text(), params, *numbered, position)
            }
            Command::Execute { program, params, .. } => {
                self.execute(program.text(), params, position)
            }
        }
    }

    fn once(
        &mut self,
        text: &str,
        params: &Params,
        numbered: SessionNumber,
        position: Position,
    ) -> Outcome {
        let SessionNumber { session, number, answered_below } = numbered;
        let Some(known) = self.sessions.get(&session) else { return Outcome::SessionExpired };
        let place = number % known.window;
        match known.kept.get(&place) {
            Some((kept, outcome)) if *kept == number => return outcome.clone(),
            Some((kept, _)) if *kept > number || *kept >= answered_below => {
                return Outcome::NumberOutsideWindow(String::new());
            }
            _ => {}
        }
        let outcome = self.execute(text, params, position);
        if let Some(known) = self.sessions.get_mut(&session) {
            known.used = position.slot;
            let kept = if kept_bytes(&outcome) > KEPT_BYTES {
                Outcome::AnswerNotKept { position }
            } else {
                outcome.clone()
            };
            known.kept.insert(place, (number, kept));
        }
        outcome
    }

    fn execute(&mut self, program: &str, params: &Params, position: Position) -> Outcome {
        let param = |name: &str| match params.get(name) {
            Some(ValueRef::Text(text)) => text,
            _ => "",
        };
        let (k, l, token) = (param("k"), param("l"), param("t"));
        let mut values = BTreeMap::new();
        let read = if matches!(program, READ | MOVE) { &[k, l][..] } else { &[k] };
        for key in read {
            if let Some(text) = self.texts.get(*key) {
                values.insert(bytes(key), bytes(text));
            }
        }
        match program {
            APPEND_TO_SOME if self.texts.get(k).is_none_or(String::is_empty) => {
                let failure = Failure::Aborted { message: "empty".into() };
                return Outcome::Failed { failure, position };
            }
            APPEND | APPEND_TO_SOME => {
                if !self.tokens.insert(token.to_owned()) {
                    self.repeated = Some(token.to_owned());
                }
                self.texts.entry(k.to_owned()).or_default().push_str(token);
            }
            TAKE => {
                self.texts.remove(k);
            }
            MOVE => {
                let moved = self.texts.remove(k).unwrap_or_default();
                self.texts.entry(l.to_owned()).or_default().push_str(&moved);
            }
            _ => {}
        }
        Outcome::Read { values, returned: None, position }
    }
}

/// Returns the size of a kept answer in bytes: number, kind and position, and each text with its
/// length.
fn kept_bytes(outcome: &Outcome) -> usize {
    let texts: usize = match outcome {
        Outcome::Read { values, .. } => {
            4 + values.iter().map(|(key, value)| 4 + key.len() + 4 + value.len()).sum::<usize>()
        }
        _ => 0,
    };
    8 + 1 + 8 + 4 + texts
}

fn bytes(text: &str) -> Blob {
    Blob::from(text)
}
