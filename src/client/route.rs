//! The way to the leader: the addresses that are known, what is known of each, and the connection that
//! is used now.
//!
//! All threads of a client use one connection. Where it is missing they share one search for another
//! (`search`), so that a cluster in trouble is not asked by all of them at once. Each attempt to connect
//! has a short thread of its own, unless there is only one address to try; it may outlive the search and
//! even the call, but it ends within [`CONNECT_TIME`].
//!
//! A redirect is followed beside the connection that it came on: that one is used until the leader lets
//! the client in. So a leader that cannot be used, because it is silent, gone or full, costs a call no
//! more than the short time for which it is waited for, once. What is known of a node is kept until it
//! lets the client in.
//!
//! Addresses are learned from redirects, and from the members that each node names in its status,
//! which is asked on every connection without waiting for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::connection::{Connection, PendingResponse};
use super::credentials::{Credentials, Failure};
use super::error::Cause;
use super::search::{Search, Step};
use crate::limits::{
    CLIENT_HEAD_START, CLIENT_INQUIRY_TIME, CLIENT_KNOWLEDGE_TIME, CONNECT_TIME,
    DEFAULT_REQUEST_TIME, MAX_CLIENT_ADDRESSES, MAX_CLIENT_ATTEMPTS,
};
use crate::wire::{ClientOutcome, RequestBody};

/// The way to the leader.
#[derive(Debug)]
pub(super) struct Route(Arc<Shared>);

/// What the attempts to connect share with the client.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// An attempt ended, or a search did.
    changed: Condvar,
    /// Whether to ask nodes for the other members, and to race addresses.
    follows: bool,
    credentials: Credentials,
}

#[derive(Debug)]
struct State {
    known: Vec<SocketAddr>,
    /// What is wrong with those of them that were tried and not connected to since.
    troubles: BTreeMap<SocketAddr, Trouble>,
    /// Where in `known` the next search begins.
    next: usize,
    /// Where the leader was said to be, as long as it may be connected to.
    wanted: Option<Wanted>,
    current: Option<Current>,
    /// The attempts to connect that are under way.
    attempts: Vec<SocketAddr>,
    search: Option<Search>,
    /// Counts the ends of searches, so that a caller that waits sees that one ended.
    searches: u64,
    /// Why there is no connection: the last search found none, or what it found is left.
    failure: Cause,
    /// How often all addresses refused, one search after the other; none once there was a connection.
    refusals: Option<u32>,
    /// Whether the client is gone.
    is_closed: bool,
}

/// What is wrong with a node.
#[derive(Debug)]
struct Trouble {
    cause: Cause,
    /// Whether it said nothing in the time for it, rather than that it cannot be used.
    is_silent: bool,
    since: Instant,
}

/// The leader, as a node says.
#[derive(Debug)]
struct Wanted {
    address: SocketAddr,
    /// Until when it is waited for.
    until: Instant,
}

#[derive(Debug)]
struct Current {
    connection: Connection,
    /// The question for the members.
    status: Option<PendingResponse>,
    /// When that was asked.
    asked: Instant,
    /// Members that the node does not hear, by what it told last.
    unheard: Vec<SocketAddr>,
}

/// An attempt to connect, whose end is told whatever becomes of it.
struct Attempt {
    shared: Arc<Shared>,
    address: SocketAddr,
    outcome: Result<Connection, Failure>,
    is_silent: bool,
}

impl Route {
    pub(super) fn new(
        addresses: Vec<SocketAddr>,
        follows: bool,
        credentials: Credentials,
    ) -> Route {
        let state = State {
            known: addresses,
            troubles: BTreeMap::new(),
            next: 0,
            wanted: None,
            current: None,
            attempts: Vec::new(),
            search: None,
            searches: 0,
            failure: Cause::NoAddress,
            refusals: Some(0),
            is_closed: false,
        };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Route(Arc::new(Shared { state, changed, follows, credentials }))
    }

    /// What the client shows to nodes.
    pub(super) fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    /// The connection to use: the present one, or what one search for a node that answers finds.
    ///
    /// # Errors
    /// What was wrong with the last node that was tried.
    pub(super) fn connection(&self, deadline: Instant) -> Result<Connection, Cause> {
        let shared = &self.0;
        let mut state = shared.state.lock();
        let mut joined = None;
        loop {
            let now = Instant::now();
            if let Some(connection) = state.usable() {
                match state.waits_for_leader(now, deadline) {
                    Some(until) => {
                        let _ = shared.changed.wait_until(&mut state, until);
                    }
                    None => return Ok(connection),
                }
                continue;
            }
            if joined.is_some_and(|search| state.searches != search) {
                return Err(state.failure.clone());
            }
            if now >= deadline {
                let failure = state.so_far();
                if joined.is_some() {
                    state.quit_search();
                }
                return Err(failure);
            }
            if state.search.is_none() {
                let candidates = state.candidates();
                state.search = Some(Search::new(candidates, shared.follows, now, deadline - now));
            }
            let State { search: Some(search), attempts, searches, .. } = &mut *state else {
                continue;
            };
            joined.get_or_insert_with(|| {
                search.join();
                *searches
            });
            match search.step(now, attempts) {
                Step::Start(address, time) if search.is_last() => {
                    state.attempts.push(address);
                    MutexGuard::unlocked(&mut state, || Attempt::new(shared, address).run(time));
                }
                Step::Start(address, time) => shared.start(&mut state, address, time),
                Step::Wait(until) => {
                    let _ = shared.changed.wait_until(&mut state, until.min(deadline));
                }
                Step::WaitForEnd => {
                    let _ = shared.changed.wait_until(&mut state, deadline);
                }
                Step::Failed => {
                    state.give_up_search();
                    shared.changed.notify_all();
                }
            }
        }
    }

    /// The node on `connection` is of no use now: the next search begins with another one.
    pub(super) fn leave(&self, connection: &Connection) {
        let mut state = self.0.state.lock();
        if state.uses(connection) {
            state.leave();
        }
    }

    /// The connection is lost, for the reason given.
    pub(super) fn lost(&self, connection: &Connection, cause: &Cause) {
        let mut state = self.0.state.lock();
        if state.uses(connection) {
            state.leave();
            // Where it was given up for its silence, that is known already.
            if !state.troubles.contains_key(&connection.address()) {
                state.trouble(connection.address(), cause.clone(), false);
            }
        }
    }

    /// The node on `connection` owes an answer and was not heard for too long: the connection is given
    /// up, and the node is not asked where another one is there.
    pub(super) fn give_up(&self, connection: &Connection) {
        const WHY: &str = "it does not answer";
        let (node, why) = (connection.address(), WHY.to_owned());
        self.0.state.lock().trouble(node, Cause::ConnectionLost { node, why }, true);
        connection.lose(WHY);
    }

    /// The node on `connection` says that another leads. The leader is connected to beside it; gives why
    /// it cannot be used, as far as is known, if there is no reason to wait for it.
    pub(super) fn redirect(&self, connection: &Connection, leader: SocketAddr) -> Option<Cause> {
        let shared = &self.0;
        let mut state = shared.state.lock();
        // If it is left already, another caller followed this word or a later one.
        if !state.uses(connection) || leader == connection.address() {
            return None;
        }
        state.know(leader);
        let now = Instant::now();
        // What ends a call is found out anew: the node may let the client in by now.
        let counts = |trouble: &&Trouble| {
            !trouble.cause.is_final() || now - trouble.since < CLIENT_HEAD_START
        };
        let trouble = state.troubles.get(&leader).filter(counts);
        let trouble = trouble.map(|trouble| trouble.cause.clone());
        let is_new = state.wanted.as_ref().is_none_or(|wanted| wanted.address != leader);
        if is_new || trouble.is_some() {
            let until = if trouble.is_some() { now } else { now + CLIENT_HEAD_START };
            state.wanted = Some(Wanted { address: leader, until });
        }
        shared.start_wanted(&mut state);
        let is_late = state.wanted.as_ref().is_some_and(|wanted| wanted.until <= now);
        trouble.or_else(|| is_late.then(|| not_yet(leader)))
    }

    /// All addresses that are known.
    pub(super) fn known(&self) -> Vec<SocketAddr> {
        let mut state = self.0.state.lock();
        state.learn();
        state.known.clone()
    }

    /// Why there is no connection.
    #[cfg(test)]
    pub(super) fn failure(&self) -> Cause {
        self.0.state.lock().failure.clone()
    }

    /// Remembers addresses.
    pub(super) fn know(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut state = self.0.state.lock();
        for address in addresses {
            state.know(address);
        }
    }

    /// How often all known addresses refused, one search after the other, if there was no connection yet.
    pub(super) fn refusals(&self) -> Option<u32> {
        self.0.state.lock().refusals.filter(|refusals| *refusals > 0)
    }

    /// What is known to be wrong with the node at `address`.
    pub(super) fn trouble_of(&self, address: SocketAddr) -> Option<Cause> {
        let state = self.0.state.lock();
        let known = state.troubles.get(&address).map(|trouble| trouble.cause.clone());
        known.or_else(|| state.attempts.contains(&address).then(|| not_yet(address)))
    }

    /// What is known to be wrong with the other nodes, where it was learned lately: by this client, or
    /// by `node`, which it talks to.
    pub(super) fn troubles_beside(&self, node: SocketAddr) -> Vec<Cause> {
        let mut state = self.0.state.lock();
        state.learn();
        let state = &*state;
        let lately = |trouble: &Trouble| trouble.since.elapsed() < CLIENT_KNOWLEDGE_TIME;
        let told =
            state.troubles.iter().filter(|(address, trouble)| **address != node && lately(trouble));
        let mut causes: Vec<_> = told.map(|(_, trouble)| trouble.cause.clone()).collect();
        if let Some(current) = &state.current
            && current.connection.address() == node
        {
            let unheard = current.unheard.iter();
            let unheard = unheard.filter(|address| !state.troubles.contains_key(*address));
            causes.extend(unheard.map(|address| Cause::NotHeard { node: *address, by: node }));
        }
        causes
    }

    /// Asks the node on `connection` how it is, without waiting, so that an error can tell what it knows
    /// of the others.
    ///
    /// The question may have to wait for the system to take it, and for requests of other threads that
    /// this one writes then. So it is sent without the lock, which every call needs.
    pub(super) fn inquire(&self, connection: &Connection) {
        let mut state = self.0.state.lock();
        state.learn();
        let Some(current) = state.current_on(connection) else { return };
        if current.asked.elapsed() < CLIENT_INQUIRY_TIME {
            return;
        }
        current.asked = Instant::now();
        let status = MutexGuard::unlocked(&mut state, || ask(connection));
        if let Some(current) = state.current_on(connection) {
            current.status = status;
        }
    }
}

impl Drop for Route {
    /// The connection is closed although an attempt may still be under way.
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_closed = true;
        state.current = None;
    }
}

impl Shared {
    /// Tries to connect on a thread of its own, or on this one where the system has none left.
    fn start(
        self: &Arc<Shared>,
        state: &mut MutexGuard<'_, State>,
        address: SocketAddr,
        time: Duration,
    ) {
        state.attempts.push(address);
        let shared = Arc::clone(self);
        MutexGuard::unlocked(state, || {
            let thread = thread::Builder::new().name("connect".to_owned());
            let run = move || Attempt::new(&shared, address).run(time);
            if thread.spawn(run).is_err() {
                Attempt::new(self, address).run(time);
            }
        });
    }

    /// Tries to connect to the leader, if that is not under way.
    fn start_wanted(self: &Arc<Shared>, state: &mut MutexGuard<'_, State>) {
        if let Some(Wanted { address, .. }) = state.wanted
            && state.attempts.len() < MAX_CLIENT_ATTEMPTS
            && !state.attempts.contains(&address)
        {
            self.start(state, address, CONNECT_TIME);
        }
    }

    /// Takes what came of an attempt.
    fn finish(&self, address: SocketAddr, outcome: Result<Connection, Failure>, is_silent: bool) {
        let mut state = self.state.lock();
        state.attempts.retain(|other| *other != address);
        let is_wanted = state.wanted.as_ref().is_some_and(|wanted| wanted.address == address);
        match outcome {
            Ok(connection) => {
                state.troubles.remove(&address);
                if !state.is_closed && (is_wanted || state.usable().is_none()) {
                    state.settle(connection, self.follows);
                }
            }
            Err(Failure { cause, is_refused }) => {
                if is_wanted {
                    state.wanted = None;
                }
                if let Some(search) = &mut state.search {
                    search.fail(Instant::now(), address, &cause, is_refused);
                }
                state.trouble(address, cause, is_silent);
            }
        }
        self.changed.notify_all();
    }
}

impl Attempt {
    fn new(shared: &Arc<Shared>, address: SocketAddr) -> Attempt {
        let why = "the attempt to connect was broken off".to_owned();
        let outcome = Err(Failure::of(Cause::Unreachable { node: address, why }));
        Attempt { shared: Arc::clone(shared), address, outcome, is_silent: false }
    }

    fn run(mut self, time: Duration) {
        let begun = Instant::now();
        self.outcome = Connection::open(self.address, time, &self.shared.credentials);
        // In less time than this a node need not have answered.
        self.is_silent = begun.elapsed() >= time.max(CLIENT_HEAD_START);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Err(Failure::of(Cause::NoTime)));
        self.shared.finish(self.address, outcome, self.is_silent);
    }
}

impl State {
    fn uses(&self, connection: &Connection) -> bool {
        self.current.as_ref().is_some_and(|current| current.connection.is(connection))
    }

    /// What is known of this connection, if it is the present one.
    fn current_on(&mut self, connection: &Connection) -> Option<&mut Current> {
        self.current.as_mut().filter(|current| current.connection.is(connection))
    }

    /// The present connection, if it is not lost.
    fn usable(&mut self) -> Option<Connection> {
        let current = self.current.as_ref()?;
        if !current.connection.is_lost() {
            return Some(current.connection.clone());
        }
        self.leave();
        None
    }

    /// Until when to wait for the leader rather than use the present connection, if at all.
    fn waits_for_leader(&self, now: Instant, deadline: Instant) -> Option<Instant> {
        let wanted = self.wanted.as_ref()?;
        let until = wanted.until.min(deadline);
        (until > now && self.attempts.contains(&wanted.address)).then_some(until)
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

    /// Uses this connection from now on.
    fn settle(&mut self, connection: Connection, discovers: bool) {
        let node = connection.address();
        match &mut self.wanted {
            Some(wanted) if wanted.address == node => self.wanted = None,
            // The one that was there first may serve, or say so again.
            Some(wanted) => wanted.until = Instant::now(),
            None => {}
        }
        self.know(node);
        self.refusals = None;
        // For a caller that waited and comes too late: what an earlier search met says nothing of this one.
        self.failure = Cause::ConnectionLost { node, why: "it was left at once".to_owned() };
        self.leave();
        let mut current =
            Current { connection, status: None, asked: Instant::now(), unheard: Vec::new() };
        if discovers {
            // Nothing was written there before, so that this does not wait.
            current.status = ask(&current.connection);
        }
        self.current = Some(current);
        self.search = None;
        self.searches += 1;
    }

    /// Ends a search that found nothing.
    fn give_up_search(&mut self) {
        let Some(search) = self.search.take() else { return };
        self.refusals = match self.refusals {
            Some(refusals) if search.is_refused() => Some(refusals.saturating_add(1)),
            Some(_) => Some(0),
            None => None,
        };
        self.failure = search.failure().cloned().unwrap_or(Cause::NoAddress);
        self.searches += 1;
    }

    /// A caller has no more time for the search. One that no caller works on any more ends: what it
    /// met would be told to a later call as if that had tried.
    fn quit_search(&mut self) {
        if self.search.as_mut().is_some_and(Search::quit) {
            self.search = None;
            self.searches += 1;
        }
    }

    /// Why there is no connection yet.
    fn so_far(&self) -> Cause {
        let failure = self.search.as_ref().and_then(Search::failure).cloned();
        failure
            .or_else(|| self.attempts.first().map(|node| not_yet(*node)))
            .unwrap_or(Cause::NoTime)
    }

    /// Where to look, best first: the leader, and then in turn; those that were silent come last.
    fn candidates(&self) -> Vec<SocketAddr> {
        let count = self.known.len();
        let begin = if count == 0 { 0 } else { self.next % count };
        let (last, first) = self.known.split_at(begin);
        let leader = self.wanted.as_ref().map(|wanted| wanted.address);
        let others = first.iter().chain(last).copied();
        let others = others.filter(|address| Some(*address) != leader);
        let mut candidates: Vec<_> = leader.into_iter().chain(others).collect();
        let is_silent =
            |address: &SocketAddr| self.troubles.get(address).is_some_and(|t| t.is_silent);
        candidates.sort_by_key(is_silent);
        candidates
    }

    fn know(&mut self, address: SocketAddr) {
        if !self.known.contains(&address) && self.known.len() < MAX_CLIENT_ADDRESSES {
            self.known.push(address);
        }
    }

    /// Notes what is wrong with a node, if its address is remembered.
    fn trouble(&mut self, address: SocketAddr, cause: Cause, is_silent: bool) {
        if self.known.contains(&address) {
            let trouble = Trouble { cause, is_silent, since: Instant::now() };
            self.troubles.insert(address, trouble);
        }
    }

    /// Takes the members from the status, if it came.
    fn learn(&mut self) {
        let Some(current) = &mut self.current else { return };
        let Some(ClientOutcome::Status(status)) =
            current.status.as_ref().and_then(PendingResponse::poll)
        else {
            return;
        };
        current.status = None;
        let unheard = status.members.iter().filter(|member| !member.reachable);
        current.unheard = unheard.map(|member| member.address).collect();
        for member in status.members {
            self.know(member.address);
        }
    }
}

/// Asks for the members, without waiting for the answer.
fn ask(connection: &Connection) -> Option<PendingResponse> {
    connection.send(RequestBody::Status, DEFAULT_REQUEST_TIME).ok()
}

/// What is wrong with a node that has not let the client in yet.
fn not_yet(node: SocketAddr) -> Cause {
    Cause::Unreachable { node, why: "it has not answered yet".to_owned() }
}
