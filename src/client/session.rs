//! The client's session: it numbers transactions, so that each runs at most once however often and
//! on whatever nodes it is asked for.
//!
//! Invariant: `answered_below` is the lowest number that is still open, so no node forgets an answer
//! that may be asked for again. A number is open until its result is known or nobody wants it any
//! more; it is never sent again after that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::transaction::Transaction;
use crate::numbers::SessionNumber;

/// The numbers of a client's transactions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    state: Mutex<State>,
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
    open: BTreeMap<u64, Arc<Transaction>>,
}

/// What who wants a number is told.
#[derive(Debug)]
pub(super) enum Grant {
    /// Here it is.
    Number(SessionNumber),
    /// The window is full; this is the transaction that keeps it so.
    Full(Arc<Transaction>),
    /// There is no session: open one, then call [`Sessions::opened`] whatever came of it.
    Open,
    /// The time was over while another thread was opening a session.
    NoTime,
}

impl Sessions {
    /// A number for `transaction`, unless the caller has to do something first.
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

    /// Ends the opening: the session's id and window, if there is one.
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

    /// Brings `answered_below` up to date, before a number is sent again.
    pub(super) fn refresh(&self, number: &mut SessionNumber) {
        if let Some(session) = &self.state.lock().current
            && session.id == number.session
        {
            number.answered_below = session.answered_below();
        }
    }

    /// The number's result is known, or nobody wants it any more.
    pub(super) fn release(&self, number: SessionNumber) {
        if let Some(session) = &mut self.state.lock().current
            && session.id == number.session
        {
            session.open.remove(&number.number);
        }
    }

    /// The session is of no more use; the next transaction opens another.
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
