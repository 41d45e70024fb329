//! The client's session, which numbers transactions. Each number runs at most once, however often
//! and to whatever nodes the client sends it.
//!
//! A number is open until the result of its transaction is known or the caller has dropped it; the
//! client never sends the number after that. Invariant: `answered_below` is the lowest open number,
//! so no node forgets an answer that the client may ask for again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::transaction::Transaction;
use crate::numbers::SessionNumber;

/// The session of a client, which it may replace by another one.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    state: Mutex<State>,
    /// Notified when a thread has opened a session, or failed to.
    opened: Condvar,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Session>,
    /// Whether a thread is opening a session.
    opening: bool,
}

#[derive(Debug)]
struct Session {
    id: u64,
    window: u64,
    /// The number of the next transaction.
    next: u64,
    /// The transactions with open numbers.
    open: BTreeMap<u64, Arc<Transaction>>,
}

/// The answer to a request for a number.
#[derive(Debug)]
pub(super) enum Grant {
    /// The number.
    Number(SessionNumber),
    /// The window is full; this is the transaction with the lowest open number.
    Full(Arc<Transaction>),
    /// There is no session: the caller has to open one, and then to call [`Sessions::opened`] with
    /// the result, also if that fails.
    Open,
    /// The deadline passed while another thread was opening a session.
    NoTime,
}

impl Sessions {
    /// Returns a number for `transaction`, or what the caller has to do first.
    pub(super) fn grant(&self, transaction: &Arc<Transaction>, deadline: Instant) -> Grant {
        let mut state = self.state.lock();
        loop {
            if let Some(session) = &mut state.current {
                return session.grant(transaction);
            }
            if !state.opening {
                state.opening = true;
                return Grant::Open;
            }
            if self.opened.wait_until(&mut state, deadline).timed_out() {
                return Grant::NoTime;
            }
        }
    }

    /// Ends the opening of a session: with its id and window, or with `None` if it failed.
    pub(super) fn opened(&self, session: Option<(u64, u32)>) {
        let mut state = self.state.lock();
        state.opening = false;
        state.current = session.map(|(id, window)| Session {
            id,
            window: u64::from(window.max(1)),
            next: 1,
            open: BTreeMap::new(),
        });
        self.opened.notify_all();
    }

    /// Updates `answered_below` before a number is sent.
    pub(super) fn refresh(&self, number: &mut SessionNumber) {
        if let Some(session) = &self.state.lock().current
            && session.id == number.session
        {
            number.answered_below = session.answered_below();
        }
    }

    /// Closes a number: its result is known, or the caller has dropped it.
    pub(super) fn release(&self, number: SessionNumber) {
        if let Some(session) = &mut self.state.lock().current
            && session.id == number.session
        {
            session.open.remove(&number.number);
        }
    }

    /// Ends a session; the next transaction opens another one.
    pub(super) fn expire(&self, session: u64) {
        let mut state = self.state.lock();
        if state.current.as_ref().is_some_and(|current| current.id == session) {
            state.current = None;
        }
    }
}

impl Session {
    fn grant(&mut self, transaction: &Arc<Transaction>) -> Grant {
        if let Some((oldest, holder)) = self.open.first_key_value()
            && self.next - oldest >= self.window
        {
            return Grant::Full(Arc::clone(holder));
        }
        let number = self.next;
        self.next += 1;
        self.open.insert(number, Arc::clone(transaction));
        Grant::Number(SessionNumber {
            session: self.id,
            number,
            answered_below: self.answered_below(),
        })
    }

    fn answered_below(&self) -> u64 {
        self.open.first_key_value().map_or(self.next, |(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(sessions: &Sessions, transaction: &Arc<Transaction>) -> SessionNumber {
        match sessions.grant(transaction, Instant::now()) {
            Grant::Number(number) => number,
            other => panic!("a number was expected, not {other:?}"),
        }
    }

    #[test]
    fn answered_below_is_the_lowest_open_number() {
        let (sessions, transaction) = (Sessions::default(), Transaction::gone());
        assert!(matches!(sessions.grant(&transaction, Instant::now()), Grant::Open));
        sessions.opened(Some((9, 3)));
        let mut first = number(&sessions, &transaction);
        let second = number(&sessions, &transaction);
        assert_eq!((first.session, first.number, first.answered_below), (9, 1, 1));
        assert_eq!((second.number, second.answered_below), (2, 1));
        sessions.release(second);
        let third = number(&sessions, &transaction);
        assert_eq!((third.number, third.answered_below), (3, 1), "1 is still open");
        assert!(matches!(sessions.grant(&transaction, Instant::now()), Grant::Full(_)));
        sessions.refresh(&mut first);
        assert_eq!(first.answered_below, 1);
        sessions.release(first);
        let fourth = number(&sessions, &transaction);
        assert_eq!((fourth.number, fourth.answered_below), (4, 3));
    }

    #[test]
    fn an_expired_session_is_replaced_once() {
        let (sessions, transaction) = (Sessions::default(), Transaction::gone());
        sessions.grant(&transaction, Instant::now());
        sessions.opened(Some((1, 8)));
        let old = number(&sessions, &transaction);
        sessions.expire(1);
        assert!(matches!(sessions.grant(&transaction, Instant::now()), Grant::Open));
        assert!(matches!(sessions.grant(&transaction, Instant::now()), Grant::NoTime));
        sessions.opened(Some((2, 8)));
        sessions.expire(1);
        sessions.release(old);
        let new = number(&sessions, &transaction);
        assert_eq!((new.session, new.number), (2, 1));
    }
}
