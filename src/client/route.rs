//! The way to the leader: the known addresses, the *problems* of nodes (what is known to be wrong
//! with them), and the present connection.
//!
//! All threads of a client use one connection. If there is none, they share one *search* for
//! another one (`search`), so that they do not all connect to a cluster in trouble at once. A
//! search makes *attempts* to connect, each on a thread of its own, unless there is only one
//! address to try. An attempt may last longer than its search and even than the call, but it ends
//! within [`CONNECT_TIME`].
//!
//! After a redirect, the client connects to the leader and keeps the present connection until the
//! leader admits it. So a leader that cannot be used, because it is silent, gone or full, delays a
//! call only once, by [`CLIENT_HEAD_START`]. A problem is remembered until the node admits the
//! client.
//!
//! The client learns addresses from redirects, and from the members in the status of a node. It
//! asks for that status on every connection, without waiting for the answer.

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

/// The state that the attempts to connect share with the client.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Notified when an attempt or a search has ended.
    changed: Condvar,
    /// Whether the client may use other nodes than its present one
    /// ([`Builder::follow`](super::Builder::follow)). If so, it asks nodes for the other members,
    /// and tries several addresses concurrently.
    follows: bool,
    credentials: Credentials,
}

/// What the client knows of the cluster, and its connection.
#[derive(Debug)]
struct State {
    /// The addresses of nodes that the client knows.
    known: Vec<SocketAddr>,
    /// What is wrong with nodes that the client tried, until it connects to them.
    problems: BTreeMap<SocketAddr, Problem>,
    /// The index in `known` at which the next search begins.
    next: usize,
    /// The leader that a redirect named; `None` once the client is connected to it, or failed to
    /// connect.
    named_leader: Option<NamedLeader>,
    /// The present connection, if there is one.
    current: Option<Current>,
    /// The addresses of the attempts to connect that are running.
    attempts: Vec<SocketAddr>,
    /// The search that is running, if there is one.
    search: Option<Search>,
    /// Counts the searches that have ended, so that a waiting caller notices the end of its search.
    ended_searches: u64,
    /// Why there is no connection: why the last search failed, or that its connection was given up.
    failure: Cause,
    /// The number of consecutive searches in which all addresses refused the connection, which
    /// usually means that the addresses are wrong or no node runs; `None` once there was a
    /// connection.
    refusals: Option<u32>,
    /// Whether the client was dropped.
    is_closed: bool,
}

/// What is wrong with a node.
#[derive(Debug)]
struct Problem {
    cause: Cause,
    /// Whether the node did not answer in time. Otherwise it refused, or the attempt failed for
    /// another reason.
    is_silent: bool,
    since: Instant,
}

/// The leader that a redirect named.
#[derive(Debug)]
struct NamedLeader {
    address: SocketAddr,
    /// Until when calls wait for the connection to it; then they use the present connection.
    until: Instant,
}

/// The present connection.
#[derive(Debug)]
struct Current {
    connection: Connection,
    /// The request for the node's status, if its answer was not taken yet.
    status: Option<PendingResponse>,
    /// When the status was requested.
    asked: Instant,
    /// The members that the node does not hear, by its last status.
    unheard: Vec<SocketAddr>,
}

/// An attempt to connect. Dropping it reports its end, also if its thread panics or cannot start.
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
            problems: BTreeMap::new(),
            next: 0,
            named_leader: None,
            current: None,
            attempts: Vec::new(),
            search: None,
            ended_searches: 0,
            failure: Cause::NoAddress,
            refusals: Some(0),
            is_closed: false,
        };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Route(Arc::new(Shared { state, changed, follows, credentials }))
    }

    /// Returns what the client shows to nodes, and requires of them.
    pub(super) fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    /// Returns the connection to use: the present one, or the one that a search finds.
    ///
    /// # Errors
    /// If one search finds none, or `deadline` comes first: why an attempt failed.
    pub(super) fn connection(&self, deadline: Instant) -> Result<Connection, Cause> {
        let shared = &self.0;
        let mut state = shared.state.lock();
        // The search that this caller works on, by the number of searches that ended before it.
        let mut joined = None;
        loop {
            let now = Instant::now();
            if let Some(connection) = state.usable() {
                match state.leader_wait_end(now, deadline) {
                    Some(until) => {
                        let _ = shared.changed.wait_until(&mut state, until);
                    }
                    None => return Ok(connection),
                }
                continue;
            }
            if joined.is_some_and(|ended_before| state.ended_searches != ended_before) {
                // Its search has ended without a connection, or with one that is lost by now.
                return Err(state.failure.clone());
            }
            if now >= deadline {
                let failure = state.failure_so_far();
                if joined.is_some() {
                    state.quit_search();
                }
                return Err(failure);
            }
            if state.search.is_none() {
                let candidates = state.candidates();
                state.search = Some(Search::new(candidates, shared.follows, now, deadline - now));
            }
            let State { search: Some(search), attempts, ended_searches, .. } = &mut *state else {
                continue;
            };
            joined.get_or_insert_with(|| {
                search.join();
                *ended_searches
            });
            match search.step(now, attempts) {
                // It is the only address to try, so this thread makes the attempt itself.
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

    /// Stops using the connection, if it is the present one, because its node is not useful at
    /// present. The next search begins with another node.
    pub(super) fn leave(&self, connection: &Connection) {
        let mut state = self.0.state.lock();
        if state.uses(connection) {
            state.leave();
        }
    }

    /// Notes that a connection is lost, and why. The next search begins with another node.
    pub(super) fn lost(&self, connection: &Connection, cause: &Cause) {
        let mut state = self.0.state.lock();
        if state.uses(connection) {
            state.leave();
            // If it was given up for its silence, the problem is known already.
            if !state.problems.contains_key(&connection.address()) {
                state.note_problem(connection.address(), cause.clone(), false);
            }
        }
    }

    /// Closes the connection of a node that has an unanswered request and has been silent for too
    /// long. Searches try this node after all others.
    pub(super) fn give_up(&self, connection: &Connection) {
        const WHY: &str = "it does not answer";
        let (node, why) = (connection.address(), WHY.to_owned());
        self.0.state.lock().note_problem(node, Cause::ConnectionLost { node, why }, true);
        connection.lose(WHY);
    }

    /// Follows a redirect that came on `connection`: starts to connect to the leader, and keeps the
    /// present connection meanwhile.
    ///
    /// Returns `None` if the caller should ask for [`connection`](Route::connection) again, which
    /// waits for the leader. Otherwise returns why the leader cannot be used: its known problem, or
    /// that the time to wait for it is over.
    pub(super) fn redirect(&self, connection: &Connection, leader: SocketAddr) -> Option<Cause> {
        let shared = &self.0;
        let mut state = shared.state.lock();
        // If the connection is not the present one, another caller has followed a redirect already.
        if !state.uses(connection) || leader == connection.address() {
            return None;
        }
        state.know(leader);
        let now = Instant::now();
        let cause = state.leader_problem(leader, now);
        let is_new = state.named_leader.as_ref().is_none_or(|named| named.address != leader);
        // No call waits for a leader with a problem, but an attempt shows whether it still has it.
        if is_new || cause.is_some() {
            let until = if cause.is_some() { now } else { now + CLIENT_HEAD_START };
            state.named_leader = Some(NamedLeader { address: leader, until });
        }
        shared.connect_to_leader(&mut state);
        let is_late = state.named_leader.as_ref().is_some_and(|named| named.until <= now);
        cause.or_else(|| is_late.then(|| not_yet(leader)))
    }

    /// Returns all known addresses.
    pub(super) fn known(&self) -> Vec<SocketAddr> {
        let mut state = self.0.state.lock();
        state.learn();
        state.known.clone()
    }

    /// Returns why there is no connection.
    #[cfg(test)]
    pub(super) fn failure(&self) -> Cause {
        self.0.state.lock().failure.clone()
    }

    /// Adds addresses to those that are known.
    pub(super) fn know(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut state = self.0.state.lock();
        for address in addresses {
            state.know(address);
        }
    }

    /// Returns the number of consecutive searches in which all known addresses refused the
    /// connection; `None` if it is 0 or there was a connection.
    pub(super) fn refusals(&self) -> Option<u32> {
        self.0.state.lock().refusals.filter(|refusals| *refusals > 0)
    }

    /// Returns what is known to be wrong with the node at `address`: its problem, or that it has
    /// not answered an attempt yet.
    pub(super) fn problem_of(&self, address: SocketAddr) -> Option<Cause> {
        let state = self.0.state.lock();
        let known = state.problems.get(&address).map(|problem| problem.cause.clone());
        known.or_else(|| state.attempts.contains(&address).then(|| not_yet(address)))
    }

    /// Returns what is known to be wrong with nodes other than `node`: what this client learned
    /// within [`CLIENT_KNOWLEDGE_TIME`], and what the last status of `node` says.
    pub(super) fn problems_of_others(&self, node: SocketAddr) -> Vec<Cause> {
        let mut state = self.0.state.lock();
        state.learn();
        let state = &*state;
        let is_recent = |problem: &Problem| problem.since.elapsed() < CLIENT_KNOWLEDGE_TIME;
        let others = state.problems.iter().filter(|(address, _)| **address != node);
        let recent = others.filter(|(_, problem)| is_recent(problem));
        let mut causes: Vec<_> = recent.map(|(_, problem)| problem.cause.clone()).collect();
        if let Some(current) = &state.current
            && current.connection.address() == node
        {
            let unheard = current.unheard.iter();
            let unheard = unheard.filter(|address| !state.problems.contains_key(*address));
            causes.extend(unheard.map(|address| Cause::NotHeard { node: *address, by: node }));
        }
        causes
    }

    /// Asks the node on `connection` for its status, without waiting for the answer, so that an
    /// error can say what the node knows of the other nodes. Does nothing if it was asked within
    /// [`CLIENT_INQUIRY_TIME`].
    ///
    /// Sending may block, because the thread that sends also writes the waiting requests of other
    /// threads. So the lock, which every call needs, is released meanwhile.
    pub(super) fn inquire(&self, connection: &Connection) {
        let mut state = self.0.state.lock();
        state.learn();
        let Some(current) = state.current_on(connection) else { return };
        if current.asked.elapsed() < CLIENT_INQUIRY_TIME {
            return;
        }
        current.asked = Instant::now();
        let status = MutexGuard::unlocked(&mut state, || request_status(connection));
        if let Some(current) = state.current_on(connection) {
            current.status = status;
        }
    }
}

impl Drop for Route {
    /// Closes the connection. An attempt that is still running shares this state, so the state is
    /// not dropped with the route.
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_closed = true;
        state.current = None;
    }
}

impl Shared {
    /// Starts an attempt to connect on a thread of its own; runs it on this thread if the system
    /// has no thread left.
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

    /// Starts an attempt to connect to the leader that a redirect named, unless one is running or
    /// [`MAX_CLIENT_ATTEMPTS`] are.
    fn connect_to_leader(self: &Arc<Shared>, state: &mut MutexGuard<'_, State>) {
        if let Some(NamedLeader { address, .. }) = state.named_leader
            && state.attempts.len() < MAX_CLIENT_ATTEMPTS
            && !state.attempts.contains(&address)
        {
            self.start(state, address, CONNECT_TIME);
        }
    }

    /// Takes the outcome of an attempt. The connection is used if it leads to the named leader, or
    /// if there is no other one; otherwise it is closed.
    fn finish(&self, address: SocketAddr, outcome: Result<Connection, Failure>, is_silent: bool) {
        let mut state = self.state.lock();
        state.attempts.retain(|other| *other != address);
        let is_leader = state.named_leader.as_ref().is_some_and(|named| named.address == address);
        match outcome {
            Ok(connection) => {
                state.problems.remove(&address);
                if !state.is_closed && (is_leader || state.usable().is_none()) {
                    state.use_connection(connection, self.follows);
                }
            }
            Err(Failure { cause, is_refused }) => {
                if is_leader {
                    state.named_leader = None;
                }
                if let Some(search) = &mut state.search {
                    search.fail(Instant::now(), address, &cause, is_refused);
                }
                state.note_problem(address, cause, is_silent);
            }
        }
        self.changed.notify_all();
    }
}

impl Attempt {
    fn new(shared: &Arc<Shared>, address: SocketAddr) -> Attempt {
        let why = "the attempt to connect was interrupted".to_owned();
        let outcome = Err(Failure::of(Cause::Unreachable { node: address, why }));
        Attempt { shared: Arc::clone(shared), address, outcome, is_silent: false }
    }

    fn run(mut self, time: Duration) {
        let started = Instant::now();
        self.outcome = Connection::open(self.address, time, &self.shared.credentials);
        // An attempt that was shorter than CLIENT_HEAD_START proves no silence: a healthy node may
        // need that time to answer.
        self.is_silent = started.elapsed() >= time.max(CLIENT_HEAD_START);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Err(Failure::of(Cause::NoTime)));
        self.shared.finish(self.address, outcome, self.is_silent);
    }
}

impl State {
    /// Whether this is the present connection.
    fn uses(&self, connection: &Connection) -> bool {
        self.current.as_ref().is_some_and(|current| current.connection.is_same(connection))
    }

    /// Returns the state of this connection if it is the present one.
    fn current_on(&mut self, connection: &Connection) -> Option<&mut Current> {
        self.current.as_mut().filter(|current| current.connection.is_same(connection))
    }

    /// Returns the present connection, if there is one that is not lost.
    fn usable(&mut self) -> Option<Connection> {
        let current = self.current.as_ref()?;
        if !current.connection.is_lost() {
            return Some(current.connection.clone());
        }
        self.leave();
        None
    }

    /// Returns what is known to be wrong with a leader that a redirect names.
    ///
    /// A problem whose cause is final ends the call, so it counts only within
    /// [`CLIENT_HEAD_START`]: later the node may admit the client again.
    fn leader_problem(&self, leader: SocketAddr, now: Instant) -> Option<Cause> {
        let problem = self.problems.get(&leader)?;
        let counts = !problem.cause.is_final() || now - problem.since < CLIENT_HEAD_START;
        counts.then(|| problem.cause.clone())
    }

    /// Returns until when a call should wait for the named leader instead of using the present
    /// connection; `None` if it should not wait.
    fn leader_wait_end(&self, now: Instant, deadline: Instant) -> Option<Instant> {
        let named = self.named_leader.as_ref()?;
        let until = named.until.min(deadline);
        (until > now && self.attempts.contains(&named.address)).then_some(until)
    }

    /// Stops using the present connection. The next search begins with the address after its node.
    fn leave(&mut self) {
        // The status of the node may have come, and nothing takes it later.
        self.learn();
        if let Some(current) = self.current.take() {
            let address = current.connection.address();
            let index = self.known.iter().position(|known| *known == address);
            self.next = index.map_or(0, |index| index + 1);
        }
    }

    /// Makes this the present connection, and ends the search. With `asks_members`, asks the node
    /// for the members.
    fn use_connection(&mut self, connection: Connection, asks_members: bool) {
        let node = connection.address();
        match &mut self.named_leader {
            Some(named) if named.address == node => self.named_leader = None,
            // Calls use this node without waiting for the named leader: it may lead by now, or it
            // redirects them again.
            Some(named) => named.until = Instant::now(),
            None => {}
        }
        self.know(node);
        self.refusals = None;
        // A caller that waited for this search may run only after the connection was given up
        // again. Its error must not be the failure of an earlier search.
        self.failure = Cause::ConnectionLost { node, why: "it was given up at once".to_owned() };
        self.leave();
        let mut current =
            Current { connection, status: None, asked: Instant::now(), unheard: Vec::new() };
        if asks_members {
            // No other thread uses the connection yet, so sending does not block.
            current.status = request_status(&current.connection);
        }
        self.current = Some(current);
        self.search = None;
        self.ended_searches += 1;
    }

    /// Ends a search that found no connection.
    fn give_up_search(&mut self) {
        let Some(search) = self.search.take() else { return };
        self.refusals = match self.refusals {
            Some(refusals) if search.is_refused() => Some(refusals.saturating_add(1)),
            Some(_) => Some(0),
            None => None,
        };
        self.failure = search.failure().cloned().unwrap_or(Cause::NoAddress);
        self.ended_searches += 1;
    }

    /// Notes that a caller has no time left for the search. If no other caller works on it, the
    /// search ends: a later call must not continue it, and then report the failures of nodes that
    /// this later call did not try.
    fn quit_search(&mut self) {
        if self.search.as_mut().is_some_and(Search::quit) {
            self.search = None;
            self.ended_searches += 1;
        }
    }

    /// Returns why there is no connection yet: the failure of an attempt of the running search, or
    /// that an attempt is still running.
    fn failure_so_far(&self) -> Cause {
        let failure = self.search.as_ref().and_then(Search::failure).cloned();
        failure
            .or_else(|| self.attempts.first().map(|node| not_yet(*node)))
            .unwrap_or(Cause::NoTime)
    }

    /// Returns the addresses to try, the best first: the named leader, then the known ones from
    /// `next` on, then those before `next`. Those of silent nodes come last.
    fn candidates(&self) -> Vec<SocketAddr> {
        let count = self.known.len();
        let begin = if count == 0 { 0 } else { self.next % count };
        let (before_next, from_next) = self.known.split_at(begin);
        let leader = self.named_leader.as_ref().map(|named| named.address);
        let others = from_next.iter().chain(before_next).copied();
        let others = others.filter(|address| Some(*address) != leader);
        let mut candidates: Vec<_> = leader.into_iter().chain(others).collect();
        let is_silent =
            |address: &SocketAddr| self.problems.get(address).is_some_and(|p| p.is_silent);
        candidates.sort_by_key(is_silent);
        candidates
    }

    /// Remembers an address, if there is room.
    fn know(&mut self, address: SocketAddr) {
        if !self.known.contains(&address) && self.known.len() < MAX_CLIENT_ADDRESSES {
            self.known.push(address);
        }
    }

    /// Notes what is wrong with a node, if its address is known.
    fn note_problem(&mut self, address: SocketAddr, cause: Cause, is_silent: bool) {
        if self.known.contains(&address) {
            let problem = Problem { cause, is_silent, since: Instant::now() };
            self.problems.insert(address, problem);
        }
    }

    /// Takes the members from the status that was requested on the present connection, if the
    /// answer has come.
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

/// Asks a node for its status, without waiting for the answer.
fn request_status(connection: &Connection) -> Option<PendingResponse> {
    connection.send(RequestBody::Status, DEFAULT_REQUEST_TIME).ok()
}

/// Returns the cause for a node that has not admitted the client yet.
fn not_yet(node: SocketAddr) -> Cause {
    Cause::Unreachable { node, why: "it has not answered yet".to_owned() }
}
