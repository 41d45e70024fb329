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
use super::command::{Outcome, SessionNumber};
use super::{Key, Value, keys};
use crate::limits::ENTRY_OVERHEAD_BYTES;
use crate::lpaxos::{Batch, Position, Replica, Slot};

/// How many sessions there may be. Each takes some hundred bytes and its kept answers.
pub const SESSIONS_MOST: u64 = 65_536;
/// The id that no session has, as they count from 1: a transaction that could write and is numbered
/// with it is told that its session expired. Who only reads needs no more.
pub const NO_SESSION: u64 = 0;
/// The largest window that a session gets.
pub const WINDOW_MOST: u32 = 1_024;
/// Between two sweeps, in milliseconds.
pub const SWEEP_PERIOD_MS: u64 = 60_000;
/// A session expires if it was not used during so many sweeps.
pub const SWEEPS_TO_EXPIRE: usize = 10;
/// A sweep deletes no further session once it deleted so many entries, which bounds its decree; the
/// next sweep goes on.
const DELETED_PER_SWEEP: usize = 16_384;

/// What an entry of a session or the deletion of an answer takes in a decree, at most.
const ENTRY_BYTES: usize = ENTRY_OVERHEAD_BYTES + 32;

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
    let window = window.clamp(1, WINDOW_MOST);
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
    due && all_sessions(&Batch::new(replica)).next().is_some()
}

/// Id, slot of the opening, and window of each session.
fn all_sessions(batch: &StoreBatch<'_>) -> impl Iterator<Item = (u64, Slot, u32)> {
    let (from, to) = keys::SESSIONS;
    let rows = batch.range::<[u8]>((Bound::Included(from), Bound::Excluded(to)), false);
    rows.filter_map(|row| {
        let window = window_of(row.value?)?;
        Some((keys::session_id(row.key)?, row.version, window))
    })
}

/// Sweeps: notes the slot, and deletes the sessions that were not used since the oldest sweep.
pub(super) fn sweep(now_ms: u64, position: Position, batch: &mut StoreBatch<'_>) -> Outcome {
    let mut sweeps =
        Sweeps::read(batch.get(keys::SWEEPS)).unwrap_or(Sweeps { last_ms: 0, slots: vec![] });
    sweeps.last_ms = now_ms;
    sweeps.slots.push(position.slot);
    if sweeps.slots.len() > SWEEPS_TO_EXPIRE {
        let oldest = sweeps.slots.remove(0);
        expire(oldest, batch);
    }
    batch.put(Key::new(keys::SWEEPS), Some(sweeps.entry()));
    Outcome::Swept
}

fn expire(oldest: Slot, batch: &mut StoreBatch<'_>) {
    let unused = |(_, opened, _): &(u64, Slot, u32)| *opened < oldest;
    let candidates: Vec<_> = all_sessions(batch).filter(unused).collect();
    let (mut open, next) = counts(batch);
    let mut deleted = 0;
    for (session, _, window) in candidates {
        if deleted >= DELETED_PER_SWEEP {
            break;
        }
        if last_used(session, batch) >= Some(oldest) {
            continue;
        }
        let answers = (0..window).map(|place| keys::answer(session, place));
        let kept: Vec<Key> = answers.filter(|key| batch.get(&**key).is_some()).collect();
        deleted += 1 + kept.len();
        batch.charge(ENTRY_BYTES * (1 + kept.len()));
        open = open.saturating_sub(1);
        batch.put(keys::session(session), None);
        for key in kept {
            batch.put(key, None);
        }
    }
    put_counts(batch, open, next);
}

/// The slot of the session's last kept answer, that of the batch if one is in it.
fn last_used(session: u64, batch: &StoreBatch<'_>) -> Option<Slot> {
    let (first, last) = (keys::answer(session, 0), keys::answer(session, u32::MAX));
    let bounds = (Bound::Included(&first[..]), Bound::Included(&last[..]));
    batch.range::<[u8]>(bounds, false).map(|row| row.version).max()
}
