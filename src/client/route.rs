//! The way to the leader: the addresses that are known and the connection that is used now.
//!
//! All threads of a client use one connection. Who finds it missing makes a new one, and the others
//! wait for what comes of it, so that a cluster in trouble is not asked by all of them at once.
//!
//! Addresses are learned from redirects, and from the members that each node names in its status,
//! which is asked on every connection without waiting for it.

use std::net::SocketAddr;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::connection::{Connection, Ticket};
use super::credentials::Credentials;
use super::error::Cause;
use crate::limits::{DEFAULT_REQUEST_TIME, MAX_CLIENT_ADDRESSES};
use crate::wire::{ClientOutcome, RequestBody};

/// The way to the leader.
#[derive(Debug)]
pub(super) struct Route {
    state: Mutex<State>,
    tried: Condvar,
    /// Whether to ask nodes for the other members.
    discovers: bool,
    credentials: Credentials,
}

#[derive(Debug)]
struct State {
    known: Vec<SocketAddr>,
    /// Where in `known` the next search begins.
    next: usize,
    /// Where the leader was said to be; tried first, once.
    leader: Option<SocketAddr>,
    current: Option<Current>,
    /// Whether a thread is connecting.
    connecting: bool,
    /// Counts the ends of searches, so that who waits sees that one ended.
    searches: u64,
    /// Why there is no connection: the last search found none, or what it found is left.
    failure: Cause,
}

#[derive(Debug)]
struct Current {
    connection: Connection,
    /// The question for the members.
    status: Option<Ticket>,
}

impl Route {
    pub(super) fn new(
        addresses: Vec<SocketAddr>,
        discovers: bool,
        credentials: Credentials,
    ) -> Route {
        Route {
            state: Mutex::new(State {
                known: addresses,
                next: 0,
                leader: None,
                current: None,
                connecting: false,
                searches: 0,
                failure: Cause::NoAddress,
            }),
            tried: Condvar::new(),
            discovers,
            credentials,
        }
    }

    /// What the client shows to nodes.
    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The connection to use: the present one, or what one search for a node that answers finds.
    ///
    /// # Errors
    /// What was wrong with the last node that was tried.
    pub(super) fn connection(&self, deadline: Instant) -> Result<Connection, Cause> {
        let mut state = self.state.lock();
        if let Some(current) = &state.current {
            if !current.connection.is_lost() {
                return Ok(current.connection.clone());
            }
            state.leave();
        }
        if state.connecting {
            let before = state.searches;
            while state.searches == before {
                if self.tried.wait_until(&mut state, deadline).timed_out() {
                    return Err(Cause::NoTime);
                }
            }
            return match &state.current {
                Some(current) => Ok(current.connection.clone()),
                None => Err(state.failure.clone()),
            };
        }
        state.connecting = true;
        let candidates = state.candidates();
        drop(state);
        let found = self.search(&candidates, deadline);
        let mut state = self.state.lock();
        state.connecting = false;
        state.searches += 1;
        self.tried.notify_all();
        match found {
            Ok(current) => {
                let connection = current.connection.clone();
                state.settle(current);
                Ok(connection)
            }
            Err(cause) => {
                state.failure = cause.clone();
                Err(cause)
            }
        }
    }

    /// The first of `candidates` that lets the client in.
    fn search(&self, candidates: &[SocketAddr], deadline: Instant) -> Result<Current, Cause> {
        let mut failure = Cause::NoAddress;
        for address in candidates {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // An earlier failure says more.
                return Err(match failure {
                    Cause::NoAddress => Cause::NoTime,
                    other => other,
                });
            }
            match Connection::connect_with(*address, left, &self.credentials) {
                Ok(connection) => return Ok(self.current(connection)),
                // What the client itself has to change says more than who was not there.
                Err(_) if failure.is_final() => {}
                Err(cause) => failure = cause,
            }
        }
        Err(failure)
    }

    fn current(&self, connection: Connection) -> Current {
        let ask = || connection.send(RequestBody::Status, DEFAULT_REQUEST_TIME).ok();
        let status = if self.discovers { ask() } else { None };
        Current { connection, status }
    }

    /// The node on `connection` is of no use now: the next search begins with another one.
    pub(super) fn leave(&self, connection: &Connection) {
        let mut state = self.state.lock();
        if state.uses(connection) {
            state.leave();
        }
    }

    /// The node on `connection` says that another leads.
    pub(super) fn redirect(&self, connection: &Connection, leader: SocketAddr) {
        let mut state = self.state.lock();
        // If it is left already, somebody followed this word or a later one.
        if state.uses(connection) && leader != connection.address() {
            state.leave();
            state.know(leader);
            state.leader = Some(leader);
        }
    }

    /// All addresses that are known.
    pub(super) fn known(&self) -> Vec<SocketAddr> {
        let mut state = self.state.lock();
        state.learn();
        state.known.clone()
    }

    /// Why there is no connection.
    #[cfg(test)]
    pub(super) fn failure(&self) -> Cause {
        self.state.lock().failure.clone()
    }

    /// Remembers addresses.
    pub(super) fn know(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut state = self.state.lock();
        for address in addresses {
            state.know(address);
        }
    }
}

impl State {
    fn uses(&self, connection: &Connection) -> bool {
        self.current.as_ref().is_some_and(|current| current.connection.is(connection))
    }

    /// Gives the present connection up, and begins the next search after its node.
    fn leave(&mut self) {
        self.learn();
        if let Some(current) = self.current.take() {
            let address = current.connection.address();
            let place = self.known.iter().position(|known| *known == address);
            self.next = place.map_or(0, |place| place + 1);
        }
    }

    fn settle(&mut self, current: Current) {
        self.leader = None;
        let node = current.connection.address();
        self.know(node);
        // For who waited and comes too late: what an earlier search met says nothing of this one.
        self.failure = Cause::ConnectionLost { node, why: "it was left at once".to_owned() };
        self.current = Some(current);
    }

    /// Where to look, best first.
    fn candidates(&mut self) -> Vec<SocketAddr> {
        let count = self.known.len();
        let begin = if count == 0 { 0 } else { self.next % count };
        let (last, first) = self.known.split_at(begin);
        let leader = self.leader.take();
        let others = first.iter().chain(last).copied();
        leader.into_iter().chain(others.filter(|address| Some(*address) != leader)).collect()
    }

    fn know(&mut self, address: SocketAddr) {
        if !self.known.contains(&address) && self.known.len() < MAX_CLIENT_ADDRESSES {
            self.known.push(address);
        }
    }

    /// Takes the members from the status, if it came.
    fn learn(&mut self) {
        let Some(current) = &mut self.current else { return };
        let Some(ClientOutcome::Status(status)) = current.status.as_ref().and_then(Ticket::poll)
        else {
            return;
        };
        current.status = None;
        for member in status.members {
            self.know(member.address);
        }
    }
}
