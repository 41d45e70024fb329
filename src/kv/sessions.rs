//! Sessions: a transaction with a number runs at most once, however often it is sent.
//!
//! A session has a window of w numbers. The answer of transaction n is kept at place n mod w of a ring,
//! until the transaction with a higher number at that place is sent; its client says by then that it
//! has the answer. So a session takes w answers at the most, and each transaction writes one entry.
//!
//! Sessions expire by a decision of consensus. Now and then the leader sweeps: the slots of the last
//! few sweeps are kept, and a session none of whose entries is newer than the oldest of them has
//! expired. No node's clock decides; the leader's clock only says how often to sweep.

use std::ops::Bound;

use bytes::{Buf, BufMut};

use super::answers;
use super::command::{Command, Outcome};
use super::{Key, Value, keys};
use crate::limits::ENTRY_OVERHEAD_BYTES;
use crate::lpaxos::{Batch, Position, Replica, Slot};
use crate::numbers::SessionNumber;

/// How many sessions there may be. Each takes some hundred bytes and its kept answers.
pub const SESSIONS_MOST: u64 = 65_536;
/// The id that no session has, as they count from 1: a transaction that could write and is numbered
/// with it is told that its session expired. Who only reads needs no more.
pub const NO_SESSION: u64 = 0;
/// The largest window that a session gets.
pub const MAX_WINDOW: u32 = 1_024;
/// Between two sweeps, in milliseconds.
pub const SWEEP_PERIOD_MS: u64 = 60_000;
/// A session expires if it was not used during so many sweeps.
pub const SWEEPS_TO_EXPIRE: usize = 10;
/// How far one sweep goes; the next goes on where it stopped.
const MOST_PER_SWEEP: Most = Most { deleted: 16_384, examined: 131_072 };

/// Where a sweep stops.
#[derive(Clone, Copy, Debug)]
struct Most {
    /// After so many entries were deleted, which bounds its decree ...
    deleted: usize,
    /// ... or so many were looked at, which bounds how long everybody waits for it.
    examined: usize,
}

/// What an entry of a session or the deletion of an answer takes in a decree, at most.
const ENTRY_BYTES: usize = ENTRY_OVERHEAD_BYTES + 32;
/// What an entry that is looked at counts as: a sweep that goes as far as it may fills a batch.
const EXAMINED_BYTES: usize = 8;

type StoreBatch<'a> = Batch<'a, Key, Value>;

/// Whether a numbered transaction is to be run.
#[derive(Debug)]
pub(super) enum Admission {
    /// Run it, and keep its answer in the entry of this key.
    Run(Key),
    /// Do not; this is the answer.
    Answered(Outcome),
}

/// Looks up a numbered transaction in the state it would run on.
pub(super) fn admit(numbered: SessionNumber, batch: &StoreBatch<'_>) -> Admission {
    let SessionNumber { session, number, answered_below } = numbered;
    let Some(window) = batch.get(&*keys::session(session)).and_then(window_of) else {
        return Admission::Answered(Outcome::SessionExpired);
    };
    let place = u32::try_from(number % u64::from(window.max(1))).unwrap_or(0);
    let key = keys::answer(session, place);
    let held = batch.get(&*key);
    let outside = |why: String| Admission::Answered(Outcome::NumberOutsideWindow(why));
    match held.and_then(|entry| answers::number(entry)) {
        _ if number == 0 => outside("the numbers of a session count from 1".into()),
        Some(kept) if kept == number => match held.and_then(|entry| answers::outcome(entry)) {
            Some(outcome) => Admission::Answered(outcome),
            None => outside(format!("the answer of number {number} cannot be read")),
        },
        Some(kept) if kept > number => outside(format!(
            "number {number} is over: number {kept} was sent, {window} or more after it"
        )),
        Some(kept) if kept >= answered_below => outside(format!(
            "number {number} is {window} or more after number {kept}, which is not yet answered: \
             wait for its answer, or open a session with a larger window"
        )),
        _ => Admission::Run(key),
    }
}

impl Command {
    /// Whether it was sent before and ran, so that a state like this one only gives its answer again.
    pub fn is_answered(&self, replica: &Replica<Key, Value>) -> bool {
        match self {
            Command::Execute { session: Some(number), .. } => is_answered(*number, replica),
            _ => false,
        }
    }
}

/// Whether the state keeps the answer of a numbered transaction, so that it would not run again.
fn is_answered(numbered: SessionNumber, replica: &Replica<Key, Value>) -> bool {
    let SessionNumber { session, number, .. } = numbered;
    let window = replica.get(&*keys::session(session)).and_then(window_of);
    let kept = window.and_then(|window| {
        let place = u32::try_from(number % u64::from(window.max(1))).unwrap_or(0);
        answers::number(replica.get(&*keys::answer(session, place))?)
    });
    kept == Some(number)
}

fn window_of(entry: &Value) -> Option<u32> {
    (&**entry).try_get_u32().ok()
}

/// How many sessions there are, and the id of the next.
fn counts(batch: &StoreBatch<'_>) -> (u64, u64) {
    let read = |mut bytes: &[u8]| Some((bytes.try_get_u64().ok()?, bytes.try_get_u64().ok()?));
    batch.get(keys::SESSION_COUNTS).and_then(|entry| read(entry)).unwrap_or((0, 1))
}

fn put_counts(batch: &mut StoreBatch<'_>, open: u64, next: u64) {
    let counts = Value::joined(&[&open.to_be_bytes(), &next.to_be_bytes()]);
    batch.put(Key::new(keys::SESSION_COUNTS), Some(counts));
}

/// Opens a session. Its id was never given before.
pub(super) fn open(window: u32, position: Position, batch: &mut StoreBatch<'_>) -> Outcome {
    let (open, session) = counts(batch);
    let Some(after) = session.checked_add(1).filter(|_| open < SESSIONS_MOST) else {
        return Outcome::TooManySessions;
    };
    let window = window.clamp(1, MAX_WINDOW);
    put_counts(batch, open + 1, after);
    batch.put(keys::session(session), Some(Value::new(&window.to_be_bytes())));
    batch.charge(2 * ENTRY_BYTES);
    Outcome::SessionOpened { session, window, position }
}

/// When sessions were last swept by the leaders' clocks, and the slots of the last sweeps, oldest
/// first.
struct Sweeps {
    last_ms: u64,
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

/// Whether it is time to sweep: there are sessions, and the last sweep is long ago, or, by this
/// leader's clock, still to come.
pub(super) fn sweep_is_due(now_ms: u64, replica: &Replica<Key, Value>) -> bool {
    let last_ms = Sweeps::read(replica.get(keys::SWEEPS)).map(|sweeps| sweeps.last_ms);
    let due = last_ms.is_none_or(|last| now_ms < last || now_ms - last >= SWEEP_PERIOD_MS);
    due && sessions_from(0, &Batch::new(replica)).next().is_some()
}

/// Id and slot of the opening of each session from this one on.
fn sessions_from(first: u64, batch: &StoreBatch<'_>) -> impl Iterator<Item = (u64, Slot)> {
    let from = keys::session(first);
    let bounds = (Bound::Included(&from[..]), Bound::Excluded(keys::SESSIONS_END));
    let rows = batch.range::<[u8]>(bounds, false);
    rows.filter_map(|row| row.value.and(Some((keys::session_id(row.key)?, row.version))))
}

/// Sweeps: notes the slot, and deletes the sessions that were not used since the oldest sweep.
pub(super) fn sweep(now_ms: u64, position: Position, batch: &mut StoreBatch<'_>) -> Outcome {
    let mut sweeps =
        Sweeps::read(batch.get(keys::SWEEPS)).unwrap_or(Sweeps { last_ms: 0, slots: vec![] });
    sweeps.last_ms = now_ms;
    sweeps.slots.push(position.slot);
    if sweeps.slots.len() > SWEEPS_TO_EXPIRE {
        let oldest = sweeps.slots.remove(0);
        expire(oldest, MOST_PER_SWEEP, batch);
    }
    batch.put(Key::new(keys::SWEEPS), Some(sweeps.entry()));
    Outcome::Swept
}

/// Deletes sessions that were not used since `oldest`, from where the sweep before stopped.
fn expire(oldest: Slot, most: Most, batch: &mut StoreBatch<'_>) {
    let first = batch.get(keys::SWEPT_BELOW).and_then(|entry| (&**entry).try_get_u64().ok());
    let sessions: Vec<_> = sessions_from(first.unwrap_or(0), batch).collect();
    let (mut open, next) = counts(batch);
    let (mut examined, mut deleted, mut stopped_at) = (0, 0, None);
    for (session, opened) in sessions {
        if examined >= most.examined || deleted >= most.deleted {
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

/// The answers that are kept for a session.
struct Answers {
    kept: Vec<Key>,
    /// Whether one of them is as new as `oldest`; those after it were not looked at then.
    is_used: bool,
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

    /// Sessions that each keep as many answers as is said; the last of each was given in this slot.
    fn replica(sessions: &[(u32, u64)]) -> Replica<Key, Value> {
        let entry =
            |slot| Entry { value: Some(Value::new(&8_u32.to_be_bytes())), version: Slot(slot) };
        let mut entries = Vec::new();
        for (session, (answers, used)) in (1..).zip(sessions) {
            entries.push((keys::session(session), entry(1)));
            let slots = (0..*answers).map(|place| if place + 1 < *answers { 1 } else { *used });
            entries.extend(
                (0..).zip(slots).map(|(place, slot)| (keys::answer(session, place), entry(slot))),
            );
        }
        Replica::restore(entries.into_iter().collect(), None, Slot(100), Slot(0))
    }

    /// Sweeps, and gives the sessions that are left, and how many entries of answers.
    fn expire_and_show(
        batch: &mut StoreBatch<'_>,
        deleted: usize,
        examined: usize,
    ) -> (Vec<u64>, usize) {
        expire(Slot(50), Most { deleted, examined }, batch);
        let (first, last) = (keys::answer(0, 0), keys::answer(u64::MAX, u32::MAX));
        let bounds = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        let answers = batch.range::<[u8]>(bounds, false).filter(|row| row.value.is_some()).count();
        (sessions_from(0, batch).map(|(id, _)| id).collect(), answers)
    }

    #[test]
    fn a_sweep_that_stops_goes_on_with_the_next_one() {
        let replica = replica(&[(2, 60), (3, 10), (0, 0), (4, 60), (1, 10), (1, 10)]);
        let most = usize::MAX;
        let mut batch = Batch::new(&replica);
        assert_eq!(expire_and_show(&mut batch, most, most), (vec![1, 4], 6), "all at once");
        let mut batch = Batch::new(&replica);
        let shown = expire_and_show(&mut batch, 4, most);
        assert_eq!(shown, (vec![1, 3, 4, 5, 6], 8), "four entries are deleted");
        assert_eq!(expire_and_show(&mut batch, 2, most), (vec![1, 4, 6], 7));
        assert_eq!(expire_and_show(&mut batch, most, 1), (vec![1, 4], 6));
        assert!(batch.get(keys::SWEPT_BELOW).is_none(), "it came to the end");
        let mut batch = Batch::new(&replica);
        for left in [vec![1, 2, 3, 4, 5, 6], vec![1, 3, 4, 5, 6], vec![1, 4, 5, 6]] {
            assert_eq!(expire_and_show(&mut batch, most, 1).0, left, "one session is looked at");
        }
        assert_eq!(expire_and_show(&mut batch, most, most).0, [1, 4]);
    }
}
