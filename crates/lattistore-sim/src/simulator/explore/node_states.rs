//! The states of single nodes, and their steps, each computed once.
//!
//! A node's state after an input depends only on its state before and the input. A cluster of three
//! has few states of single nodes and very many of all three together, so most steps of the cluster
//! are looked up.
//!
//! A node cannot be copied: where it is needed, it is rebuilt from its inputs since its last start.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::fingerprint::{Fingerprint, NumberMap};
use super::running_node::{Disk, Input, Observation, RunningNode, Sent, Write};
use lattistore::lpaxos::Slot;

/// An effect of a step besides the change of the node's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// A message leaves, named by its index.
    Send(u16),
    /// Records are written: an index in [`NodeStates::writes`].
    Write(u32),
    /// A request is answered with a result as of a slot.
    RequestOutcome(u8, Slot),
}

/// The result of an input in a state.
#[derive(Debug)]
pub(super) struct Step {
    /// Its number.
    pub(super) number: u32,
    /// The state after it.
    pub(super) to: u32,
    /// Its effects, in order.
    pub(super) effects: Box<[Effect]>,
    /// Whether the node writes in it.
    pub(super) writes: bool,
    /// The rule that it breaks, if it breaks one.
    pub(super) fault: Option<String>,
}

impl Step {
    /// Whether it changes nothing, in this state of its node.
    pub(super) fn is_idle(&self, before: u32) -> bool {
        self.to == before && self.effects.is_empty() && self.fault.is_none()
    }
}

/// A state of a node, and how to rebuild it.
#[derive(Debug)]
struct Known {
    /// The state before, and the input; `None` for a node that has just started.
    came: Option<(u32, Input)>,
    start: (u64, Disk, u64),
    leads: bool,
    writes: bool,
}

/// All states of single nodes, all messages and all writes that were reached.
#[derive(Debug, Default)]
pub(super) struct NodeStates {
    known: Vec<Known>,
    places: NumberMap<u128, u32>,
    steps: Vec<Step>,
    step_places: NumberMap<(u32, Input), u32>,
    /// Messages by number.
    pub(super) messages: Vec<Sent>,
    message_places: NumberMap<u128, u16>,
    /// Writes by number.
    pub(super) writes: Vec<Write>,
    write_places: NumberMap<u128, u32>,
}

impl NodeStates {
    /// Returns the state of a node that starts with an empty disk.
    pub(super) fn fresh(&mut self, id: u64) -> u32 {
        let running = RunningNode::start(id, Disk::default(), 0);
        self.number(&running, None)
    }

    /// Returns the number of states of single nodes.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// Whether a node leads in this state.
    pub(super) fn leads(&self, state: u32) -> bool {
        self.known[state as usize].leads
    }

    /// Whether a node overlaps a write with other work in this state.
    pub(super) fn writes(&self, state: u32) -> bool {
        self.known[state as usize].writes
    }

    /// Returns the step of an input in this state.
    pub(super) fn step(&mut self, state: u32, input: Input) -> &Step {
        let number = match self.step_places.get(&(state, input)) {
            Some(number) => *number,
            None => {
                let number = to_u32(self.steps.len());
                let step = self.make(number, state, input);
                self.steps.push(step);
                self.step_places.insert((state, input), number);
                number
            }
        };
        self.step_of(number)
    }

    /// Returns the step with a number.
    pub(super) fn step_of(&self, number: u32) -> &Step {
        &self.steps[number as usize]
    }

    fn make(&mut self, number: u32, state: u32, input: Input) -> Step {
        let mut running = self.rebuild(state);
        let mut seen = Vec::new();
        let done =
            catch_unwind(AssertUnwindSafe(|| running.take(input, &self.messages, &mut seen)));
        let (to, fault) = match done {
            Err(_) => (state, Some("a node panicked".into())),
            Ok(done) => {
                let has_crashed = matches!(input, Input::Crash | Input::DeliverAndCrash(_));
                (self.number(&running, (!has_crashed).then_some((state, input))), done.err())
            }
        };
        let writes = seen.iter().any(|seen| matches!(seen, Observation::Write(_)));
        let effects = seen.into_iter().map(|seen| self.effect(running.id, seen)).collect();
        Step { number, to, effects, writes, fault }
    }

    /// Rebuilds the node of a state.
    fn rebuild(&self, state: u32) -> RunningNode {
        let mut inputs = Vec::new();
        let mut known = &self.known[state as usize];
        while let Some((before, input)) = known.came {
            inputs.push(input);
            known = &self.known[before as usize];
        }
        let (id, disk, clock_ms) = known.start.clone();
        let mut running = RunningNode::start(id, disk, clock_ms);
        for input in inputs.into_iter().rev() {
            // This input succeeded when the state was first reached.
            let _ = running.take(input, &self.messages, &mut Vec::new());
        }
        running
    }

    fn number(&mut self, running: &RunningNode, came: Option<(u32, Input)>) -> u32 {
        let RunningNode { id, node, disk, writing, clock_ms, read_confirmations } = running;
        let all = (id, node, disk, writing, clock_ms, read_confirmations);
        let place = self.places.entry(Fingerprint::of(&all));
        *place.or_insert_with(|| {
            self.known.push(Known {
                came,
                start: (*id, disk.clone(), *clock_ms),
                leads: node.leads().is_some(),
                writes: writing.is_some(),
            });
            to_u32(self.known.len() - 1)
        })
    }

    fn effect(&mut self, id: u64, seen: Observation) -> Effect {
        match seen {
            Observation::RequestOutcome(request, slot) => Effect::RequestOutcome(request, slot),
            Observation::Send(to, message) => {
                let place = self.message_places.entry(Fingerprint::of(&(id, to, &message)));
                Effect::Send(*place.or_insert_with(|| {
                    self.messages.push(Sent { from: id, to: to.0, message });
                    u16::try_from(self.messages.len() - 1).expect("a small scope has few messages")
                }))
            }
            Observation::Write(write) => {
                let Write { place, records, before, state } = &*write;
                let place =
                    self.write_places.entry(Fingerprint::of(&(place, records, before, state)));
                Effect::Write(*place.or_insert_with(|| {
                    self.writes.push(*write);
                    to_u32(self.writes.len() - 1)
                }))
            }
        }
    }
}

fn to_u32(place: usize) -> u32 {
    u32::try_from(place).expect("there are fewer than 2^32")
}
