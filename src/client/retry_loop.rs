//! The state that the clones of a client share, and the loop that brings a call to its result:
//! send, receive, retry.
//!
//! The loop runs on the thread of the caller that waits for the result, so a call makes no progress
//! while no thread waits for it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::call::{Call, InFlight, Verdict, What};
use super::connection::{Connection, PendingResponse};
use super::error::{Cause, Error};
use super::route::Route;
use super::session::{Grant, Sessions};
use super::transaction::{Stage, Transaction};
use crate::limits::{CLIENT_FIRST_ATTEMPT_DELAY, CLIENT_FIRST_ATTEMPTS};
use crate::wire::ClientOutcome;

/// The state that the clones of a client share.
#[derive(Debug)]
pub(super) struct RetryLoop {
    pub(super) route: Route,
    pub(super) sessions: Sessions,
    /// Whether to follow redirects and to retry.
    pub(super) follow: bool,
    /// The time for each call.
    pub(super) timeout: Duration,
    /// How many transactions may be unanswered at once.
    pub(super) window: u32,
    /// How long a node with an unanswered request may be silent.
    pub(super) silence: Duration,
    /// Whether to retry until the deadline although no process has listened at any address so far.
    pub(super) waits_for_start: bool,
}

/// The result of a call.
type Outcome = Result<ClientOutcome, Error>;

impl RetryLoop {
    /// Sends a transaction for the first time.
    pub(super) fn begin(&self, transaction: &Arc<Transaction>) {
        let mut stage = transaction.0.lock();
        self.work(&mut stage, |call| self.send(call, Some(transaction), call.deadline));
    }

    /// Works on a transaction until it has its result or `until` comes. Returns whether it has a
    /// result.
    pub(super) fn drive(&self, transaction: &Arc<Transaction>, until: Instant) -> bool {
        let Some(mut stage) = transaction.0.try_lock_until(until) else { return false };
        self.work(&mut stage, |call| self.advance(call, Some(transaction), until))
    }

    /// Runs `step` on the call, unless it has its result. Returns whether it has a result.
    fn work(&self, stage: &mut Stage, step: impl FnOnce(&mut Call) -> Option<Outcome>) -> bool {
        let Stage::Running(call) = stage else { return true };
        let Some(result) = step(call) else { return false };
        if let Some(number) = call.number {
            self.sessions.release(number);
        }
        *stage = Stage::done(result);
        true
    }

    /// Brings a call to its result, at its deadline at the latest; returns `None` if `until` comes
    /// first. If the call needs a number, the session hands it to the transaction `owner`.
    pub(super) fn advance(
        &self,
        call: &mut Call,
        owner: Option<&Arc<Transaction>>,
        until: Instant,
    ) -> Option<Outcome> {
        loop {
            let result = match call.in_flight {
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

    /// Sends the request of a call that has none in flight. Returns the call's result if it cannot
    /// be sent, and `None` if it was sent or `until` came first.
    pub(super) fn send(
        &self,
        call: &mut Call,
        owner: Option<&Arc<Transaction>>,
        until: Instant,
    ) -> Option<Outcome> {
        let end = until.min(call.deadline);
        while call.in_flight.is_none() {
            let now = Instant::now();
            if now >= call.deadline {
                return Some(Err(call.timed_out(&self.route)));
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
                // The thread that works on the call may have less time than the call itself.
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
                        return Some(Err(call.fail_with_last_cause()));
                    }
                    if let Some(refusals) = self.route.refusals().filter(|_| !self.waits_for_start)
                    {
                        if refusals >= CLIENT_FIRST_ATTEMPTS {
                            return Some(Err(call.fail_with_last_cause()));
                        }
                        call.resume = Some(Instant::now() + CLIENT_FIRST_ATTEMPT_DELAY);
                    }
                }
            }
        }
        None
    }

    /// Sends the request of a call on this connection.
    fn send_on(&self, call: &mut Call, connection: Connection) -> Option<Outcome> {
        if let Some(number) = &mut call.number {
            self.sessions.refresh(number);
        }
        let now = Instant::now();
        match connection.send(call.body(), call.node_time(now)) {
            Ok(response) => {
                let inquiry = self.follow.then(|| call.inquiry(now));
                call.in_flight = Some(InFlight { connection, response, inquiry });
            }
            Err(cause @ Cause::TooLarge(_)) => return Some(Err(call.fail(cause))),
            // The connection was lost in the meantime; the route notices it itself.
            Err(cause) => call.change(cause),
        }
        None
    }

    /// Gets a number for a call that needs one. Opens a session if there is none, and works on the
    /// oldest open transaction while the window is full.
    fn number(
        &self,
        call: &mut Call,
        owner: Option<&Arc<Transaction>>,
        end: Instant,
    ) -> Result<(), Error> {
        // A call that is never sent again needs no number.
        let Some(owner) = owner.filter(|_| self.follow && call.runs_once()) else { return Ok(()) };
        while call.number.is_none() {
            match self.sessions.grant(owner, end) {
                Grant::Number(number) => call.number = Some(number),
                Grant::Full(oldest) => {
                    if !self.drive(&oldest, end) {
                        return Err(call.fail_with_last_cause());
                    }
                }
                Grant::Open => self.open_session(end)?,
                Grant::NoTime => return Err(call.fail_with_last_cause()),
            }
        }
        Ok(())
    }

    /// Opens a session, before `end`.
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
            (None, _) => Err(opening.timed_out(&self.route)),
        }
    }

    /// Waits for the answer to the request in flight. Gives up the node if it has been silent for
    /// too long, counting also the time before this call began to wait. That is safe: what the node
    /// sent while no thread was reading is read before the node is given up.
    fn receive(&self, call: &mut Call, until: Instant) -> Option<Outcome> {
        let Some(in_flight) = &mut call.in_flight else { return None };
        let connection = in_flight.connection.clone();
        let give_up_at = |response: &PendingResponse| response.silent_since() + self.silence;
        let mut end = until.min(call.deadline);
        if self.follow {
            end = end.min(give_up_at(&in_flight.response));
        }
        if let Some(inquiry) = in_flight.inquiry {
            end = end.min(inquiry);
        }
        match in_flight.response.wait(end) {
            Ok(Some(outcome)) => {
                call.in_flight = None;
                self.follow_up(call, &connection, outcome)
            }
            Ok(None) => {
                let now = Instant::now();
                if self.follow && give_up_at(&in_flight.response) <= now {
                    self.route.give_up(&connection);
                }
                if in_flight.inquiry.take_if(|inquiry| *inquiry <= now).is_some() {
                    self.route.inquire(&connection);
                }
                if now >= call.deadline {
                    return Some(Err(call.timed_out(&self.route)));
                }
                None
            }
            Err(cause) => {
                self.route.lost(&connection, &cause);
                call.unanswered(cause);
                (!self.follow).then(|| Err(call.fail_with_last_cause()))
            }
        }
    }

    /// Does what the call's verdict on an answer says.
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
            return Some(Err(call.fail_with_last_cause()));
        }
        match verdict {
            Verdict::Done(_) | Verdict::Again => {}
            Verdict::Leave => self.route.leave(connection),
            Verdict::Follow(to) => {
                // Without a cause, the client waits for the leader or uses it.
                let cause = self.route.redirect(connection, to.address)?;
                if cause.is_final() {
                    return Some(Err(call.fail(cause)));
                }
                if call.redirect_failed(cause) {
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
