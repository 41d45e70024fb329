//! What a single node does, each thing once: its state after an input depends on nothing but its state
//! before and the input. A cluster of three has few states of single nodes and very many of all three,
//! so a step of the cluster is mostly looking up what was found before.
//!
//! A node cannot be copied: where it is needed, it is made again from its inputs since its last start.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::fingerprint::{Fingerprint, QuickMap};
use super::live::{Disk, Input, Live, Seen, Sent, Write};
use lattistore::lpaxos::Slot;

/// What a step does beside changing the node, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// A message leaves.
    Send(u16),
    /// Something is written: a place in [`Nodes::writes`].
    Write(u32),
    /// A request is answered with a result as of a slot.
    RequestOutcome(u8, Slot),
}

/// What comes of an input.
#[derive(Debug)]
pub(super) struct Step {
    /// Its number.
    pub(super) number: u32,
    /// The state after it.
    pub(super) to: u32,
    /// What else it does.
    pub(super) effects: Box<[Effect]>,
    /// Whether the node writes in it.
    pub(super) writes: bool,
    /// What is wrong with it.
    pub(super) fault: Option<String>,
}

impl Step {
    /// Whether nothing comes of it, in this state of its node.
    pub(super) fn is_idle(&self, before: u32) -> bool {
        self.to == before && self.effects.is_empty() && self.fault.is_none()
    }
}

/// A state of a node: how to make it.
#[derive(Debug)]
struct Known {
    /// The state before, and what happened; none where the node just started.
    came: Option<(u32, Input)>,
    start: (u64, Disk, u64),
    leads: bool,
    writes: bool,
}

/// All states of single nodes, all messages and all writes that were seen.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    known: Vec<Known>,
    places: QuickMap<u128, u32>,
    steps: Vec<Step>,
    step_places: QuickMap<(u32, Input), u32>,
    /// Messages by number.
    pub(super) messages: Vec<Sent>,
    message_places: QuickMap<u128, u16>,
    /// Writes by number.
    pub(super) writes: Vec<Write>,
    write_places: QuickMap<u128, u32>,
}

impl Nodes {
    /// The state of a node that starts with an empty disk.
    pub(super) fn fresh(&mut self, id: u64) -> u32 {
        let live = Live::start(id, Disk::default(), 0);
        self.number(&live, None)
    }

    /// How many states of single nodes there are.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// Whether a node leads in this state.
    pub(super) fn leads(&self, state: u32) -> bool {
        self.known[state as usize].leads
    }

    /// Whether a node goes on beside a write in this state.
    pub(super) fn writes(&self, state: u32) -> bool {
        self.known[state as usize].writes
    }

    /// What an input does to a node in this state.
    pub(super) fn step(&mut self, state: u32, input: Input) -> &Step {
        let number = match self.step_places.get(&(state, input)) {
            Some(number) => *number,
            None => {
                let number = short(self.steps.len());
                let step = self.make(number, state, input);
                self.steps.push(step);
                self.step_places.insert((state, input), number);
                number
            }
        };
        self.step_of(number)
    }

    /// The step with a number.
    pub(super) fn step_of(&self, number: u32) -> &Step {
        &self.steps[number as usize]
    }

    fn make(&mut self, number: u32, state: u32, input: Input) -> Step {
        let mut live = self.live(state);
        let mut seen = Vec::new();
        let done = catch_unwind(AssertUnwindSafe(|| live.take(input, &self.messages, &mut seen)));
        let (to, fault) = match done {
            Err(_) => (state, Some("a node stopped".into())),
            Ok(done) => {
                let has_crashed = matches!(input, Input::Crash | Input::DeliverAndCrash(_));
                (self.number(&live, (!has_crashed).then_some((state, input))), done.err())
            }
        };
        let writes = seen.iter().any(|seen| matches!(seen, Seen::Write(_)));
        let effects = seen.into_iter().map(|seen| self.effect(live.id, seen)).collect();
        Step { number, to, effects, writes, fault }
    }

    /// Makes the node of a state again.
    fn live(&self, state: u32) -> Live {
        let mut inputs = Vec::new();
        let mut known = &self.known[state as usize];
        while let Some((before, input)) = known.came {
            inputs.push(input);
            known = &self.known[before as usize];
        }
        let (id, disk, clock_ms) = known.start.clone();
        let mut live = Live::start(id, disk, clock_ms);
        for input in inputs.into_iter().rev() {
            // It went well the first time.
            let _ = live.take(input, &self.messages, &mut Vec::new());
        }
        live
    }

    fn number(&mut self, live: &Live, came: Option<(u32, Input)>) -> u32 {
        let Live { id, node, disk, writing, clock_ms, audit } = live;
        let all = (id, node, disk, writing, clock_ms, audit);
        let place = self.places.entry(Fingerprint::of(&all));
        *place.or_insert_with(|| {
            self.known.push(Known {
                came,
                start: (*id, disk.clone(), *clock_ms),
                leads: node.leads().is_some(),
                writes: writing.is_some(),
            });
            short(self.known.len() - 1)
        })
    }

    fn effect(&mut self, id: u64, seen: Seen) -> Effect {
        match seen {
            Seen::RequestOutcome(request, slot) => Effect::RequestOutcome(request, slot),
            Seen::Send(to, message) => {
                let place = self.message_places.entry(Fingerprint::of(&(id, to, &message)));
                Effect::Send(*place.or_insert_with(|| {
                    self.messages.push(Sent { from: id, to: to.0, message });
                    u16::try_from(self.messages.len() - 1).expect("a small scope has few messages")
                }))
            }
            Seen::Write(write) => {
                let Write { place, records, before, state } = &*write;
                let place =
                    self.write_places.entry(Fingerprint::of(&(place, records, before, state)));
                Effect::Write(*place.or_insert_with(|| {
                    self.writes.push(*write);
                    short(self.writes.len() - 1)
                }))
            }
        }
    }
}

fn short(place: usize) -> u32 {
    u32::try_from(place).expect("there are fewer than four billion")
}
