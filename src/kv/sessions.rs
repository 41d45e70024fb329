//! Sessions: a transaction with a number runs at most once, however often the client sends it.
//!
//! A session has a window of w numbers. The answer of transaction n is kept at index n mod w. A
//! transaction with a higher number and the same index runs only if its request says that the
//! client has the answer of n; its own answer then replaces that one. So a session keeps at most w
//! answers, at the price of one more entry in the patch of each transaction. The header of
//! [`kv`](super) has an example.
//!
//! Sessions expire by a decision of consensus. Once in [`SWEEP_PERIOD_MS`] the leader proposes a
//! sweep. The slots of the last [`SWEEPS_TO_EXPIRE`] sweeps are kept. A session was *used* in the
//! slots that wrote its entries: the slot that opened it, and those of its kept answers. A sweep
//! deletes each session that was not used in or after the oldest kept slot.

use std::ops::Bound;

use bytes::{Buf, BufMut};

use super::answers;
use super::command::{Command, Outcome};
use super::{Key, Value, keys};
use crate::limits::ENTRY_OVERHEAD_BYTES;
use crate::lpaxos::{Batch, Position, Replica, Slot};
use crate::numbers::SessionNumber;

/// The most sessions that are open at the same time. Each takes some hundred bytes besides its kept
/// answers.
pub const MAX_SESSIONS: u64 = 65_536;
/// An id that no session has: ids count from 1.
///
/// A client that may only read gets this id when it opens a session. With this id a read runs, and
/// a transaction that can write is answered [`Outcome::SessionExpired`].
pub const NO_SESSION: u64 = 0;
/// The largest window of a session, in transactions.
pub const MAX_WINDOW: u32 = 1_024;
/// The time between two sweeps, in milliseconds.
pub const SWEEP_PERIOD_MS: u64 = 60_000;
/// A session expires if it is not used during this number of sweeps.
pub const SWEEPS_TO_EXPIRE: usize = 10;
/// The bounds of each sweep. A sweep that reaches one of them fills a batch
/// ([`Config::batch_bytes`](crate::lpaxos::Config::batch_bytes)).
const SWEEP_BOUNDS: SweepBounds = SweepBounds { deleted: 16_384, examined: 131_072 };

/// The bounds of one sweep. When either is reached, the sweep stops before the next session, and
/// the next sweep continues there.
#[derive(Clone, Copy, Debug)]
struct SweepBounds {
    /// Entries that it deletes. This bounds the size of its decree.
    deleted: usize,
    /// Entries that it examines. This bounds the time for which it delays other commands.
    examined: usize,
}

/// The most bytes that a session's entry, or the deletion of an answer, takes in a decree.
const ENTRY_BYTES: usize = ENTRY_OVERHEAD_BYTES + 32;
/// The bytes that an examined entry counts for in the batch. It writes nothing, but takes time.
const EXAMINED_BYTES: usize = 8;

type StoreBatch<'a> = Batch<'a, Key, Value>;

/// The decision whether a numbered transaction runs.
#[derive(Debug)]
pub(super) enum Admission {
    /// It runs, and its answer is kept in the entry with this key.
    Run(Key),
    /// It does not run; this is the answer.
    Answered(Outcome),
}

/// Decides whether a numbered transaction runs, by the state that it would run on.
pub(super) fn admit(numbered: SessionNumber, batch: &StoreBatch<'_>) -> Admission {
    let SessionNumber { session, number, answered_below } = numbered;
    let Some(window) = batch.get(&*keys::session(session)).and_then(window_of) else {
        return Admission::Answered(Outcome::SessionExpired);
    };
    let key = answer_key(session, number, window);
    let entry = batch.get(&*key);
    let outside = |why: String| Admission::Answered(Outcome::NumberOutsideWindow(why));
    if number == 0 {
        return outside("the numbers of a session count from 1".into());
    }
    match entry.and_then(|entry| answers::number(entry)) {
        Some(kept) if kept == number => match entry.and_then(|entry| answers::outcome(entry)) {
            Some(outcome) => Admission::Answered(outcome),
            None => outside(format!("the answer of number {number} cannot be read")),
        },
        Some(kept) if kept > number => outside(format!(
            "number {number} has left its session's window: number {kept} was sent, {window} or \
             more after it, so the answer is no longer kept"
        )),
        Some(kept) if kept >= answered_below => outside(format!(
            "number {number} is {window} or more after number {kept}, which is not yet answered: \
             wait for its answer, or open a session with a larger window"
        )),
        _ => Admission::Run(key),
    }
}

impl Command {
    /// Whether the command is a retry of a transaction that ran in this state: it would not run
    /// again, but return its kept answer.
    pub fn is_answered(&self, replica: &Replica<Key, Value>) -> bool {
        match self {
            Command::Execute { session: Some(number), .. } => is_answered(*number, replica),
            _ => false,
        }
    }
}

/// Whether the state contains the kept answer of a numbered transaction.
fn is_answered(numbered: SessionNumber, replica: &Replica<Key, Value>) -> bool {
    let SessionNumber { session, number, .. } = numbered;
    let window = replica.get(&*keys::session(session)).and_then(window_of);
    let kept = window
        .and_then(|window| answers::number(replica.get(&*answer_key(session, number, window))?));
    kept == Some(number)
}

/// Returns the key at which the answer of a transaction is kept in a session with this window.
fn answer_key(session: u64, number: u64, window: u32) -> Key {
    // The remainder always fits, as it is below the window.
    let index = u32::try_from(number % u64::from(window.max(1))).unwrap_or(0);
    keys::answer(session, index)
}

fn window_of(entry: &Value) -> Option<u32> {
    (&**entry).try_get_u32().ok()
}

/// Returns the number of open sessions and the id of the next one.
fn counts(batch: &StoreBatch<'_>) -> (u64, u64) {
    let read = |mut bytes: &[u8]| Some((bytes.try_get_u64().ok()?, bytes.try_get_u64().ok()?));
    batch.get(keys::SESSION_COUNTS).and_then(|entry| read(entry)).unwrap_or((0, 1))
}

fn put_counts(batch: &mut StoreBatch<'_>, open: u64, next: u64) {
    let counts = Value::joined(&[&open.to_be_bytes(), &next.to_be_bytes()]);
    batch.put(Key::new(keys::SESSION_COUNTS), Some(counts));
}

/// Opens a session, with an id that no session had before.
pub(super) fn open(window: u32, position: Position, batch: &mut StoreBatch<'_>) -> Outcome {
    let (open, session) = counts(batch);
    let Some(after) = session.checked_add(1).filter(|_| open < MAX_SESSIONS) else {
        return Outcome::TooManySessions;
    };
    let window = window.clamp(1, MAX_WINDOW);
    put_counts(batch, open + 1, after);
    batch.put(keys::session(session), Some(Value::new(&window.to_be_bytes())));
    batch.charge(2 * ENTRY_BYTES);
    Outcome::SessionOpened { session, window, position }
}

/// The sweeps that are remembered.
struct Sweeps {
    /// The time of the last one by the clock of its leader, in milliseconds.
    last_ms: u64,
    /// The slots of the last sweeps, oldest first; at most [`SWEEPS_TO_EXPIRE`].
    slots: Vec<Slot>,
}

impl Sweeps {
    fn read(entry: Option<&Value>) -> Option<Sweeps> {
        let mut bytes: &[u8] = entry?;
        let last_ms = bytes.try_get_u64().ok()?;
        let mut slots = Vec::new();
        while let Ok(slot) = bytes.try_get_u64() {
            slots.push(Slot(slot));
        }
        Some(Sweeps { last_ms, slots })
    }

    fn entry(&self) -> Value {
        let mut bytes = Vec::with_capacity(8 * (1 + self.slots.len()));
        bytes.put_u64(self.last_ms);
        for slot in &self.slots {
            bytes.put_u64(slot.0);
        }
        Value::from(bytes)
    }
}

/// Whether a sweep should be proposed: there are sessions, and the last sweep was
/// [`SWEEP_PERIOD_MS`] ago or more.
///
/// A sweep is also due if the last one is in the future by this leader's clock. Otherwise one
/// leader whose clock is ahead would delay the sweeps of all later leaders.
pub(super) fn sweep_is_due(now_ms: u64, replica: &Replica<Key, Value>) -> bool {
    let last_ms = Sweeps::read(replica.get(keys::SWEEPS)).map(|sweeps| sweeps.last_ms);
    let due = last_ms.is_none_or(|last| now_ms < last || now_ms - last >= SWEEP_PERIOD_MS);
    due && sessions_from(0, &Batch::new(replica)).next().is_some()
}

/// Returns each session from the id `first` on: its id, and the slot that opened it.
fn sessions_from(first: u64, batch: &StoreBatch<'_>) -> impl Iterator<Item = (u64, Slot)> {
    let from = keys::session(first);
    let bounds = (Bound::Included(&from[..]), Bound::Excluded(keys::SESSIONS_END));
    let rows = batch.range::<[u8]>(bounds, false);
    rows.filter_map(|row| row.value.and(Some((keys::session_id(row.key)?, row.version))))
}

/// Runs a sweep: records its slot, and deletes the sessions that were not used since the oldest
/// recorded one.
pub(super) fn sweep(now_ms: u64, position: Position, batch: &mut StoreBatch<'_>) -> Outcome {
    let mut sweeps =
        Sweeps::read(batch.get(keys::SWEEPS)).unwrap_or(Sweeps { last_ms: 0, slots: vec![] });
    sweeps.last_ms = now_ms;
    sweeps.slots.push(position.slot);
    if sweeps.slots.len() > SWEEPS_TO_EXPIRE {
        let oldest = sweeps.slots.remove(0);
        expire(oldest, SWEEP_BOUNDS, batch);
    }
    batch.put(Key::new(keys::SWEEPS), Some(sweeps.entry()));
    Outcome::Swept
}

/// Deletes the sessions that were not used in `oldest` or a later slot, beginning where the last
/// sweep stopped.
fn expire(oldest: Slot, bounds: SweepBounds, batch: &mut StoreBatch<'_>) {
    let first = batch.get(keys::SWEPT_BELOW).and_then(|entry| (&**entry).try_get_u64().ok());
    let sessions: Vec<_> = sessions_from(first.unwrap_or(0), batch).collect();
    let (mut open, next) = counts(batch);
    let (mut examined, mut deleted, mut stopped_at) = (0, 0, None);
    for (session, opened) in sessions {
        if examined >= bounds.examined || deleted >= bounds.deleted {
            stopped_at = Some(session);
            break;
        }
        examined += 1;
        if opened >= oldest {
            continue;
        }
        let answers = Answers::of(session, oldest, batch);
        examined += answers.examined;
        if answers.is_used {
            continue;
        }
        deleted += 1 + answers.kept.len();
        open = open.saturating_sub(1);
        batch.put(keys::session(session), None);
        for key in answers.kept {
            batch.put(key, None);
        }
    }
    batch.charge(ENTRY_BYTES * deleted + EXAMINED_BYTES * examined);
    if stopped_at != first {
        let entry = stopped_at.map(|session| Value::new(&session.to_be_bytes()));
        batch.put(Key::new(keys::SWEPT_BELOW), entry);
    }
    put_counts(batch, open, next);
}

/// The kept answers of a session, as a sweep sees them.
struct Answers {
    /// The keys of their entries.
    kept: Vec<Key>,
    /// Whether one of them was written in `oldest` or a later slot. If so, the ones after it were
    /// not examined.
    is_used: bool,
    /// The number of entries that were examined.
    examined: usize,
}

impl Answers {
    fn of(session: u64, oldest: Slot, batch: &StoreBatch<'_>) -> Answers {
        let (first, last) = (keys::answer(session, 0), keys::answer(session, u32::MAX));
        let bounds = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        let mut answers = Answers { kept: Vec::new(), is_used: false, examined: 0 };
        for row in batch.range::<[u8]>(bounds, false) {
            answers.examined += 1;
            if row.version >= oldest {
                answers.is_used = true;
                break;
            }
            answers.kept.extend(row.value.map(|_| row.key.clone()));
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lpaxos::Entry;

    /// Returns a replica with sessions 1, 2, ...; each is given by the number of its kept answers
    /// and the slot of the last one.
    fn replica(sessions: &[(u32, u64)]) -> Replica<Key, Value> {
        let entry =
            |slot| Entry { value: Some(Value::new(&8_u32.to_be_bytes())), version: Slot(slot) };
        let mut entries = Vec::new();
        for (session, (answers, used)) in (1..).zip(sessions) {
            entries.push((keys::session(session), entry(1)));
            let slots = (0..*answers).map(|index| if index + 1 < *answers { 1 } else { *used });
            entries.extend(
                (0..).zip(slots).map(|(index, slot)| (keys::answer(session, index), entry(slot))),
            );
        }
        Replica::restore(entries.into_iter().collect(), None, Slot(100), Slot(0))
    }

    /// Expires sessions, and returns those that are left and the number of kept answers.
    fn expire_and_show(
        batch: &mut StoreBatch<'_>,
        deleted: usize,
        examined: usize,
    ) -> (Vec<u64>, usize) {
        expire(Slot(50), SweepBounds { deleted, examined }, batch);
        let (first, last) = (keys::answer(0, 0), keys::answer(u64::MAX, u32::MAX));
        let bounds = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        let answers = batch.range::<[u8]>(bounds, false).filter(|row| row.value.is_some()).count();
        (sessions_from(0, batch).map(|(id, _)| id).collect(), answers)
    }

    #[test]
    fn a_sweep_continues_where_the_last_one_stopped() {
        let replica = replica(&[(2, 60), (3, 10), (0, 0), (4, 60), (1, 10), (1, 10)]);
        let unbounded = usize::MAX;
        let mut batch = Batch::new(&replica);
        assert_eq!(expire_and_show(&mut batch, unbounded, unbounded), (vec![1, 4], 6));
        let mut batch = Batch::new(&replica);
        let shown = expire_and_show(&mut batch, 4, unbounded);
        assert_eq!(shown, (vec![1, 3, 4, 5, 6], 8), "four entries are deleted");
        assert_eq!(expire_and_show(&mut batch, 2, unbounded), (vec![1, 4, 6], 7));
        assert_eq!(expire_and_show(&mut batch, unbounded, 1), (vec![1, 4], 6));
        assert!(batch.get(keys::SWEPT_BELOW).is_none(), "it reached the last session");
        let mut batch = Batch::new(&replica);
        for left in [vec![1, 2, 3, 4, 5, 6], vec![1, 3, 4, 5, 6], vec![1, 4, 5, 6]] {
            assert_eq!(expire_and_show(&mut batch, unbounded, 1).0, left, "one session a sweep");
        }
        assert_eq!(expire_and_show(&mut batch, unbounded, unbounded).0, [1, 4]);
    }
}
