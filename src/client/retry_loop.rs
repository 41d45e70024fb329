//! What the clones of a client share, and the loop that brings a call to its result.
//!
//! The loop runs on the threads of the callers; a client has no thread of its own, except short ones to
//! connect. A caller that waits for a result tries again when that is needed, so a call makes no
//! progress while nothing waits for it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::call::{Call, Sending, Verdict, What};
use super::connection::{Connection, PendingResponse};
use super::error::{Cause, Error};
use super::route::Route;
use super::session::{Grant, Sessions};
use super::transaction::{Stage, Transaction};
use crate::limits::{CLIENT_FIRST_TRIES, CLIENT_FIRST_TRY_SPACE};
use crate::wire::ClientOutcome;

/// What the clones of a client share.
#[derive(Debug)]
pub(super) struct RetryLoop {
    pub(super) route: Route,
    pub(super) sessions: Sessions,
    /// Whether to follow redirects and to try again.
    pub(super) follow: bool,
    pub(super) timeout: Duration,
    pub(super) window: u32,
    /// How long a node may be silent.
    pub(super) silence: Duration,
    /// Whether to try until the deadline although nothing has listened at any address so far.
    pub(super) waits: bool,
}

/// The result of a call.
type Outcome = Result<ClientOutcome, Error>;

impl RetryLoop {
    /// Sends a transaction for the first time.
    pub(super) fn begin(&self, transaction: &Arc<Transaction>) {
        let mut stage = transaction.0.lock();
        self.work(&mut stage, |call| self.send(call, Some(transaction), call.deadline));
    }

    /// Works on a transaction until it has its result, which is then true, or `until`.
    pub(super) fn drive(&self, transaction: &Arc<Transaction>, until: Instant) -> bool {
        let Some(mut stage) = transaction.0.try_lock_until(until) else { return false };
        self.work(&mut stage, |call| self.advance(call, Some(transaction), until))
    }

    /// Does a step; gives whether there is a result.
    fn work(&self, stage: &mut Stage, step: impl FnOnce(&mut Call) -> Option<Outcome>) -> bool {
        let Stage::Running(call) = stage else { return true };
        let Some(result) = step(call) else { return false };
        if let Some(number) = call.number {
            self.sessions.release(number);
        }
        *stage = Stage::done(result);
        true
    }

    /// Brings a call to its result, which is there at its deadline at the latest; `None` when
    /// `until` comes first. `owner` is who gets the number of a call that needs one.
    pub(super) fn advance(
        &self,
        call: &mut Call,
        owner: Option<&Arc<Transaction>>,
        until: Instant,
    ) -> Option<Outcome> {
        loop {
            let result = match call.sending {
                None => self.send(call, owner, until),
                Some(_) => self.receive(call, until),
            };
            if result.is_some() {
                return result;
            }
            if Instant::now() >= until {
                return None;
            }
        }
    }

    /// Sends a call that is not on its way; gives its result if it cannot be sent, and `None` when
    /// it was sent or `until` came first.
    pub(super) fn send(
        &self,
        call: &mut Call,
        owner: Option<&Arc<Transaction>>,
        until: Instant,
    ) -> Option<Outcome> {
        let end = until.min(call.deadline);
        while call.sending.is_none() {
            let now = Instant::now();
            if now >= call.deadline {
                return Some(Err(call.out_of_time(&self.route)));
            }
            if now >= until {
                return None;
            }
            if let Some(resume) = call.resume.filter(|resume| *resume > now) {
                thread::sleep(resume.min(end) - now);
                continue;
            }
            call.resume = None;
            if let Err(error) = self.number(call, owner, end) {
                // Who works on it may have no more time, and the call still have some.
                let cut_short = end < call.deadline && Instant::now() < call.deadline;
                return if cut_short { None } else { Some(Err(error)) };
            }
            match self.route.connection(end) {
                Ok(connection) => {
                    if let Some(result) = self.send_on(call, connection) {
                        return Some(result);
                    }
                }
                Err(cause) if cause.is_final() => return Some(Err(call.fail(cause))),
                Err(cause) => {
                    call.pause(cause);
                    if !self.follow {
                        return Some(Err(call.not_again()));
                    }
                    if let Some(refusals) = self.route.refusals().filter(|_| !self.waits) {
                        if refusals >= CLIENT_FIRST_TRIES {
                            return Some(Err(call.not_again()));
                        }
                        call.resume = Some(Instant::now() + CLIENT_FIRST_TRY_SPACE);
                    }
                }
            }
        }
        None
    }

    fn send_on(&self, call: &mut Call, connection: Connection) -> Option<Outcome> {
        if let Some(number) = &mut call.number {
            self.sessions.refresh(number);
        }
        let now = Instant::now();
        match connection.send(call.body(), call.node_time(now)) {
            Ok(ticket) => {
                let inquiry = self.follow.then(|| call.inquiry(now));
                call.sending = Some(Sending { connection, ticket, inquiry });
            }
            Err(cause @ Cause::TooLarge(_)) => return Some(Err(call.fail(cause))),
            // Lost meanwhile: the route sees it, too.
            Err(cause) => call.change(cause),
        }
        None
    }

    /// Gives a call that needs a number one, if it has none; opens a session for it where there is
    /// none, and works on the oldest open transaction while the window is full.
    fn number(
        &self,
        call: &mut Call,
        owner: Option<&Arc<Transaction>>,
        end: Instant,
    ) -> Result<(), Error> {
        // What is never sent again needs no number.
        let Some(owner) = owner.filter(|_| self.follow && call.runs_once()) else { return Ok(()) };
        while call.number.is_none() {
            match self.sessions.grant(owner, end) {
                Grant::Number(number) => call.number = Some(number),
                Grant::Full(oldest) => {
                    if !self.drive(&oldest, end) {
                        return Err(call.not_again());
                    }
                }
                Grant::Open => self.open_session(end)?,
                Grant::NoTime => return Err(call.not_again()),
            }
        }
        Ok(())
    }

    fn open_session(&self, end: Instant) -> Result<(), Error> {
        let mut opening = Call::new(What::OpenSession { window: self.window }, end);
        let result = self.advance(&mut opening, None, end);
        let opened = match &result {
            Some(Ok(ClientOutcome::SessionOpened { session, window, .. })) => {
                Some((*session, *window))
            }
            _ => None,
        };
        self.sessions.opened(opened);
        match (opened, result) {
            (Some(_), _) => Ok(()),
            (None, Some(Err(error))) => Err(error),
            (None, _) => Err(opening.out_of_time(&self.route)),
        }
    }

    /// Waits for the answer of a call that is on its way. The time for which the node was silent is that
    /// of earlier calls, too: what it said while nothing listened is there, and is looked at before the
    /// node is given up.
    fn receive(&self, call: &mut Call, until: Instant) -> Option<Outcome> {
        let Some(sending) = &mut call.sending else { return None };
        let connection = sending.connection.clone();
        let patience = |ticket: &PendingResponse| ticket.silent_since() + self.silence;
        let mut end = until.min(call.deadline);
        if self.follow {
            end = end.min(patience(&sending.ticket));
        }
        if let Some(inquiry) = sending.inquiry {
            end = end.min(inquiry);
        }
        match sending.ticket.wait(end) {
            Ok(Some(outcome)) => {
                call.sending = None;
                self.follow_up(call, &connection, outcome)
            }
            Ok(None) => {
                let now = Instant::now();
                if self.follow && patience(&sending.ticket) <= now {
                    self.route.give_up(&connection);
                }
                if sending.inquiry.take_if(|inquiry| *inquiry <= now).is_some() {
                    self.route.inquire(&connection);
                }
                if now >= call.deadline {
                    return Some(Err(call.out_of_time(&self.route)));
                }
                None
            }
            Err(cause) => {
                self.route.lost(&connection, &cause);
                call.unanswered(cause);
                (!self.follow).then(|| Err(call.not_again()))
            }
        }
    }

    /// Does what an answer asks for.
    fn follow_up(
        &self,
        call: &mut Call,
        connection: &Connection,
        outcome: ClientOutcome,
    ) -> Option<Outcome> {
        let verdict = call.judge(connection, outcome);
        if let Verdict::Done(result) = verdict {
            return Some(result);
        }
        if !self.follow {
            return Some(Err(call.not_again()));
        }
        match verdict {
            Verdict::Done(_) | Verdict::Again => {}
            Verdict::Leave => self.route.leave(connection),
            Verdict::Follow(to) => {
                // Without a cause the leader is waited for, or used.
                let cause = self.route.redirect(connection, to.address)?;
                if cause.is_final() {
                    return Some(Err(call.fail(cause)));
                }
                if call.redirected_in_vain(cause) {
                    self.route.leave(connection);
                }
            }
            Verdict::Renumber(number) => {
                self.sessions.release(number);
                self.sessions.expire(number.session);
            }
        }
        None
    }
}
