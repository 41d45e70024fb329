//! The search: all states of three nodes, the messages and the votes, breadth first.

use std::collections::VecDeque;

use super::super::words;
use super::fingerprint::{Fingerprint, QuickSet};
use super::ledger::Ledgers;
use super::live::Input;
use super::local::{Effect, Nodes};
use super::scope::{Explored, NODES, Scope};
use lattistore::lpaxos::{Message, Slot, ToAcceptor};

/// The most requests that a scope may allow.
pub const REQUESTS_MOST: usize = 8;

/// Between two calls of the caller's watch, in states.
const WATCHED: usize = 1 << 14;

/// A state of everything but the list of messages. Nodes and votes are named by number.
#[derive(Clone, Copy, Debug)]
struct State {
    nodes: [u32; NODES],
    ledger: u32,
    left: Scope,
    /// How many requests were made.
    asked: u8,
    /// For each request without an answer, the last slot that was answered when it was made.
    after: [u8; REQUESTS_MOST],
    /// The last slot that was answered.
    answered: u8,
    /// A number made of all messages that were sent, in whatever order.
    sent: u64,
}

/// A state that is to be left.
#[derive(Debug)]
struct Waiting {
    state: State,
    /// The messages that were sent, in ascending order.
    sent: Box<[u16]>,
}

/// How a state was first reached: from which, and by what.
type Way = (u32, u8, Input);

struct Search {
    nodes: Nodes,
    ledgers: Ledgers,
    seen: QuickSet<u64>,
    ways: Vec<Way>,
    waiting: VecDeque<Waiting>,
    /// Messages that leave in the step that is being taken.
    leaving: Vec<u16>,
    explored: Explored,
}

/// Explores the scope, up to so many states. `goes_on` is asked now and then.
///
/// # Errors
/// The events that lead to a state that breaks an invariant, one a line, and which.
pub fn explore(
    scope: Scope,
    max_states: usize,
    goes_on: &mut dyn FnMut(&Explored) -> bool,
) -> Result<Explored, String> {
    assert!(usize::from(scope.requests) <= REQUESTS_MOST, "at most {REQUESTS_MOST} requests");
    let mut nodes = Nodes::default();
    let first = State {
        nodes: std::array::from_fn(|place| nodes.fresh(place as u64 + 1)),
        ledger: 0,
        left: scope,
        asked: 0,
        after: [0; REQUESTS_MOST],
        answered: 0,
        sent: 0,
    };
    let mut search = Search {
        nodes,
        ledgers: Ledgers::new(NODES),
        seen: QuickSet::default(),
        ways: Vec::new(),
        waiting: VecDeque::new(),
        leaving: Vec::new(),
        explored: Explored::default(),
    };
    search.seen.insert(first.fingerprint());
    search.ways.push((0, 0, Input::Crash));
    search.waiting.push_back(Waiting { state: first, sent: [].into() });
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
        let mut left = 0;
        while let Some(state) = self.waiting.pop_front() {
            if left == layer_ends {
                self.explored.depth += 1;
                layer_ends = self.ways.len();
            }
            self.leave(&state, left)?;
            left += 1;
            self.count(left);
            if self.ways.len() >= max_states
                || left.is_multiple_of(WATCHED) && !goes_on(&self.explored)
            {
                return Ok(());
            }
        }
        self.explored.is_all = true;
        Ok(())
    }

    fn count(&mut self, left: usize) {
        self.explored.states = self.ways.len();
        self.explored.waiting = self.ways.len() - left;
        self.explored.node_states = self.nodes.count();
        self.explored.messages = self.nodes.messages.len();
    }

    /// Takes every step out of a state.
    fn leave(&mut self, from: &Waiting, number: usize) -> Result<(), String> {
        let state = &from.state;
        let left = state.left;
        for place in 0..state.nodes.len() {
            let leads = self.nodes.leads(state.nodes[place]);
            let writes = self.nodes.writes(state.nodes[place]);
            let own = [
                (left.stands > 0, Input::Stand),
                (left.crashes > 0, Input::Crash),
                (leads && left.requests > 0, Input::Ask(state.asked)),
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
            // Where nothing is written, to crash after it is the same.
            if writes && left.crashes > 0 {
                self.step(from, number, place, Input::DeliverAndCrash(*message))?;
            }
        }
        Ok(())
    }

    /// Takes one step; says whether the node writes in it.
    fn step(
        &mut self,
        from: &Waiting,
        number: usize,
        place: usize,
        input: Input,
    ) -> Result<bool, String> {
        self.explored.steps += 1;
        let before = from.state.nodes[place];
        let step = self.nodes.step(before, input);
        if step.is_idle(before) && is_free(input) {
            return Ok(false);
        }
        let (number_of_step, writes) = (step.number, step.writes);
        let mut next = from.state;
        next.nodes[place] = step.to;
        next.take(input);
        if let Err(why) = self.happen(&mut next, number_of_step, &from.sent) {
            let way = self.way(number, (place, input));
            let states = self.ways.len();
            return Err(format!("{why}\nafter {states} states, by\n{way}"));
        }
        if self.seen.insert(next.fingerprint()) {
            let way = u32::try_from(number).expect("there are fewer than four billion");
            self.ways.push((way, u8::try_from(place).unwrap_or(0), input));
            self.leaving.extend(&from.sent);
            self.leaving.sort_unstable();
            self.waiting.push_back(Waiting { state: next, sent: self.leaving[..].into() });
        }
        Ok(writes)
    }

    /// Lets the effects of a step happen, and checks them.
    fn happen(&mut self, next: &mut State, step: u32, sent: &[u16]) -> Result<(), String> {
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
                        next.sent = next.sent.wrapping_add(mixed(message));
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

    /// The events that lead to a state and a step out of it, one a line.
    fn way(&self, number: usize, last: (usize, Input)) -> String {
        let mut events = vec![last];
        let mut at = number;
        while at > 0 {
            let (from, place, input) = self.ways[at];
            events.push((usize::from(place), input));
            at = from as usize;
        }
        let lines = events.into_iter().rev().map(|(place, input)| self.words(place + 1, input));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn words(&self, id: usize, input: Input) -> String {
        let arrives = |message: u16| {
            let sent = &self.nodes.messages[usize::from(message)];
            format!("n{} -> n{id}  {}", sent.from, words::message(&sent.message))
        };
        match input {
            Input::Stand => format!("n{id} stands"),
            Input::Tick => format!("n{id} ticks"),
            Input::Ask(request) => format!("n{id} is asked request {request}"),
            Input::Crash => format!("n{id} crashes and starts"),
            Input::Written => format!("n{id} has written"),
            Input::Deliver(message) => arrives(message),
            Input::DeliverAndCrash(message) => {
                format!("{}, which crashes before its write and starts", arrives(message))
            }
        }
    }
}

/// Whether the input may happen any number of times.
fn is_free(input: Input) -> bool {
    matches!(input, Input::Deliver(_) | Input::Written)
}

impl State {
    /// Takes from what may still happen.
    fn take(&mut self, input: Input) {
        match input {
            Input::Stand => self.left.stands -= 1,
            Input::Tick => self.left.ticks -= 1,
            Input::Crash | Input::DeliverAndCrash(_) => self.left.crashes -= 1,
            Input::Deliver(_) | Input::Written => {}
            Input::Ask(request) => {
                self.left.requests -= 1;
                self.asked += 1;
                self.after[usize::from(request)] = self.answered;
                self.forget();
            }
        }
    }

    /// Forgets what was answered when nobody will ask any more.
    fn forget(&mut self) {
        if self.left.requests == 0 {
            self.answered = 0;
        }
    }

    /// Checks an answer as of a slot, when `last` is the last slot chosen.
    fn answer(&mut self, request: u8, slot: Slot, last: Slot) -> Result<(), String> {
        if slot > last {
            return Err(format!("7: an answer as of slot {slot}, when {last} is the last chosen"));
        }
        let after = &mut self.after[usize::from(request)];
        if slot.0 < u64::from(*after) {
            return Err(format!("P8: an answer as of slot {slot}, after one of {after}"));
        }
        *after = 0;
        self.answered = self.answered.max(u8::try_from(slot.0).unwrap_or(u8::MAX));
        self.forget();
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

/// A number for a message, such that sums of them tell sets of messages apart.
fn mixed(message: u16) -> u64 {
    let mut fingerprint = Fingerprint::new();
    fingerprint.add(u64::from(message));
    fingerprint.short()
}
