//! The search: all states of three nodes, the messages and the votes, breadth first.

use std::collections::VecDeque;

use super::super::describe;
use super::fingerprint::{Fingerprint, NumberSet};
use super::ledger::Ledgers;
use super::node_states::{Effect, NodeStates};
use super::running_node::Input;
use super::scope::{Explored, NODES, Scope};
use lattistore::lpaxos::{Message, Slot, ToAcceptor};

/// The most requests that a scope may allow.
pub const MAX_REQUESTS: usize = 8;

/// The number of states between two calls of `goes_on`.
const STATES_PER_CALL: usize = 1 << 14;

/// A state of the cluster without the list of messages. Nodes and votes are named by number.
#[derive(Clone, Copy, Debug)]
struct State {
    nodes: [u32; NODES],
    ledger: u32,
    left: Scope,
    /// The number of requests that were sent.
    requests_sent: u8,
    /// For each request without an answer, the last slot that was answered before it was sent.
    after: [u8; MAX_REQUESTS],
    /// The last slot that was answered.
    answered: u8,
    /// A hash of the set of messages that were sent.
    sent: u64,
}

/// A state that is not yet expanded.
#[derive(Debug)]
struct FrontierState {
    state: State,
    /// The messages that were sent, in ascending order.
    sent: Box<[u16]>,
}

/// How a state was first reached: the state before, the node's index, and the input.
type Origin = (u32, u8, Input);

struct Search {
    nodes: NodeStates,
    ledgers: Ledgers,
    seen: NumberSet<u64>,
    origins: Vec<Origin>,
    frontier: VecDeque<FrontierState>,
    /// The messages that leave in the current step.
    leaving: Vec<u16>,
    explored: Explored,
}

/// Explores the scope, up to `max_states` states. `goes_on` is called regularly; the search ends if
/// it returns false.
///
/// # Errors
/// The broken invariant, and the events that lead to the state that breaks it, one a line.
pub fn explore(
    scope: Scope,
    max_states: usize,
    goes_on: &mut dyn FnMut(&Explored) -> bool,
) -> Result<Explored, String> {
    assert!(usize::from(scope.requests) <= MAX_REQUESTS, "at most {MAX_REQUESTS} requests");
    let mut nodes = NodeStates::default();
    let first = State {
        nodes: std::array::from_fn(|place| nodes.fresh(place as u64 + 1)),
        ledger: 0,
        left: scope,
        requests_sent: 0,
        after: [0; MAX_REQUESTS],
        answered: 0,
        sent: 0,
    };
    let mut search = Search {
        nodes,
        ledgers: Ledgers::new(NODES),
        seen: NumberSet::default(),
        origins: Vec::new(),
        frontier: VecDeque::new(),
        leaving: Vec::new(),
        explored: Explored::default(),
    };
    search.seen.insert(first.fingerprint());
    search.origins.push((0, 0, Input::Crash));
    search.frontier.push_back(FrontierState { state: first, sent: [].into() });
    search.run(max_states, goes_on)?;
    Ok(search.explored)
}

impl Search {
    fn run(
        &mut self,
        max_states: usize,
        goes_on: &mut dyn FnMut(&Explored) -> bool,
    ) -> Result<(), String> {
        let mut layer_ends = 1;
        let mut expanded = 0;
        while let Some(state) = self.frontier.pop_front() {
            if expanded == layer_ends {
                self.explored.depth += 1;
                layer_ends = self.origins.len();
            }
            self.expand(&state, expanded)?;
            expanded += 1;
            self.count(expanded);
            if self.origins.len() >= max_states
                || expanded.is_multiple_of(STATES_PER_CALL) && !goes_on(&self.explored)
            {
                return Ok(());
            }
        }
        self.explored.is_complete = true;
        Ok(())
    }

    fn count(&mut self, expanded: usize) {
        self.explored.states = self.origins.len();
        self.explored.unexpanded = self.origins.len() - expanded;
        self.explored.node_states = self.nodes.count();
        self.explored.messages = self.nodes.messages.len();
    }

    /// Expands a state: takes every step that is possible in it.
    fn expand(&mut self, from: &FrontierState, number: usize) -> Result<(), String> {
        let state = &from.state;
        let left = state.left;
        for place in 0..state.nodes.len() {
            let leads = self.nodes.leads(state.nodes[place]);
            let writes = self.nodes.writes(state.nodes[place]);
            let own = [
                (left.stands > 0, Input::Stand),
                (left.crashes > 0, Input::Crash),
                (leads && left.requests > 0, Input::Ask(state.requests_sent)),
                (leads && left.ticks > 0, Input::Tick),
                (writes, Input::Written),
            ];
            for (_, input) in own.into_iter().filter(|(is_possible, _)| *is_possible) {
                self.step(from, number, place, input)?;
            }
        }
        for message in &from.sent {
            let place = self.nodes.messages[usize::from(*message)].receiver();
            let writes = self.step(from, number, place, Input::Deliver(*message))?;
            // Without a write, this is the same as a crash after the delivery.
            if writes && left.crashes > 0 {
                self.step(from, number, place, Input::DeliverAndCrash(*message))?;
            }
        }
        Ok(())
    }

    /// Takes one step; returns whether the node writes in it.
    fn step(
        &mut self,
        from: &FrontierState,
        number: usize,
        place: usize,
        input: Input,
    ) -> Result<bool, String> {
        self.explored.steps += 1;
        let before = from.state.nodes[place];
        let step = self.nodes.step(before, input);
        if step.is_idle(before) && is_unlimited(input) {
            return Ok(false);
        }
        let (number_of_step, writes) = (step.number, step.writes);
        let mut next = from.state;
        next.nodes[place] = step.to;
        next.count(input);
        if let Err(why) = self.apply_effects(&mut next, number_of_step, &from.sent) {
            let path = self.path(number, (place, input));
            let states = self.origins.len();
            return Err(format!("{why}\nafter {states} states, by\n{path}"));
        }
        if self.seen.insert(next.fingerprint()) {
            let origin = u32::try_from(number).expect("there are fewer than 2^32");
            self.origins.push((origin, u8::try_from(place).unwrap_or(0), input));
            self.leaving.extend(&from.sent);
            self.leaving.sort_unstable();
            self.frontier.push_back(FrontierState { state: next, sent: self.leaving[..].into() });
        }
        Ok(writes)
    }

    /// Applies the effects of a step to the state after it, and checks them.
    fn apply_effects(&mut self, next: &mut State, step: u32, sent: &[u16]) -> Result<(), String> {
        let Search { nodes, ledgers, leaving, .. } = self;
        let step = nodes.step_of(step);
        leaving.clear();
        for effect in &step.effects {
            match *effect {
                Effect::Send(message) => {
                    if let Message::Acceptor(ToAcceptor::Accept(accept)) =
                        &nodes.messages[usize::from(message)].message
                    {
                        ledgers.proposed(next.ledger, accept.slot)?;
                    }
                    if sent.binary_search(&message).is_err() && !leaving.contains(&message) {
                        leaving.push(message);
                        next.sent = next.sent.wrapping_add(hash(message));
                    }
                }
                Effect::Write(write) => {
                    let written = &nodes.writes[write as usize];
                    next.ledger = ledgers.write(next.ledger, write, written)?;
                }
                Effect::RequestOutcome(request, slot) => {
                    next.answer(request, slot, ledgers.last(next.ledger))?;
                }
            }
        }
        step.fault.clone().map_or(Ok(()), Err)
    }

    /// Describes the events that lead to a state and a step out of it, one a line.
    fn path(&self, number: usize, last: (usize, Input)) -> String {
        let mut events = vec![last];
        let mut at = number;
        while at > 0 {
            let (from, place, input) = self.origins[at];
            events.push((usize::from(place), input));
            at = from as usize;
        }
        let lines = events.into_iter().rev().map(|(place, input)| self.describe(place + 1, input));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn describe(&self, id: usize, input: Input) -> String {
        let arrives = |message: u16| {
            let sent = &self.nodes.messages[usize::from(message)];
            format!("n{} -> n{id}  {}", sent.from, describe::message(&sent.message))
        };
        match input {
            Input::Stand => format!("n{id} starts an election"),
            Input::Tick => format!("n{id} ticks"),
            Input::Ask(request) => format!("n{id} receives request {request}"),
            Input::Crash => format!("n{id} crashes and starts"),
            Input::Written => format!("n{id} completes its write"),
            Input::Deliver(message) => arrives(message),
            Input::DeliverAndCrash(message) => {
                format!("{}, which crashes before its write and starts", arrives(message))
            }
        }
    }
}

/// Whether the scope does not limit the input.
fn is_unlimited(input: Input) -> bool {
    matches!(input, Input::Deliver(_) | Input::Written)
}

impl State {
    /// Subtracts an input from what may still happen.
    fn count(&mut self, input: Input) {
        match input {
            Input::Stand => self.left.stands -= 1,
            Input::Tick => self.left.ticks -= 1,
            Input::Crash | Input::DeliverAndCrash(_) => self.left.crashes -= 1,
            Input::Deliver(_) | Input::Written => {}
            Input::Ask(request) => {
                self.left.requests -= 1;
                self.requests_sent += 1;
                self.after[usize::from(request)] = self.answered;
                self.forget_answered();
            }
        }
    }

    /// Forgets the last answered slot when no further requests will be sent.
    fn forget_answered(&mut self) {
        if self.left.requests == 0 {
            self.answered = 0;
        }
    }

    /// Checks an answer as of a slot; `last` is the last slot that is chosen.
    ///
    /// # Errors
    /// When the slot is not chosen, or is older than an answer before the request.
    fn answer(&mut self, request: u8, slot: Slot, last: Slot) -> Result<(), String> {
        if slot > last {
            return Err(format!("an answer as of slot {slot}, but slot {last} is the last chosen"));
        }
        let after = &mut self.after[usize::from(request)];
        if slot.0 < u64::from(*after) {
            return Err(format!(
                "P8: an answer as of slot {slot}, to a request sent after an answer as of {after}"
            ));
        }
        *after = 0;
        self.answered = self.answered.max(u8::try_from(slot.0).unwrap_or(u8::MAX));
        self.forget_answered();
        Ok(())
    }

    fn fingerprint(&self) -> u64 {
        let Scope { stands, requests, ticks, crashes } = self.left;
        let mut fingerprint = Fingerprint::new();
        self.nodes.iter().for_each(|node| fingerprint.add(u64::from(*node)));
        fingerprint.add(u64::from(self.ledger));
        fingerprint.add(u64::from(u32::from_be_bytes([stands, requests, ticks, crashes])));
        fingerprint.add(u64::from(self.answered));
        fingerprint.add(u64::from_be_bytes(self.after));
        fingerprint.add(self.sent);
        fingerprint.short()
    }
}

/// Returns a hash of a message; the sum of hashes identifies a set of messages.
fn hash(message: u16) -> u64 {
    let mut fingerprint = Fingerprint::new();
    fingerprint.add(u64::from(message));
    fingerprint.short()
}
