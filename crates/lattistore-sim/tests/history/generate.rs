//! Random histories of a store that is strictly serializable: a model is run serially, and an
//! interval is drawn around each moment at which a request took effect.

use lattistore::lpaxos::{Position, Slot};
use lattistore::splitmix64;
use lattistore_sim::history::lists::Step;
use lattistore_sim::history::{Model, Operation, Outcome, registers};

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): small, and the same everywhere for a seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        splitmix64::next(&mut self.0)
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// How often outcomes are uncertain, in percent, and how wide intervals are.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) operations: usize,
    pub(crate) unknown_ran: u64,
    pub(crate) unknown_never_ran: u64,
    pub(crate) refused: u64,
    pub(crate) answer_lost: u64,
    /// The longest time from the sending of a request to its effect, and from there to its answer;
    /// effects are 10 apart.
    pub(crate) spread: u64,
    /// Whether unknown operations have positions.
    pub(crate) unknown_have_positions: bool,
}

impl Shape {
    pub(crate) fn new(operations: usize) -> Shape {
        Shape {
            operations,
            unknown_ran: 2,
            unknown_never_ran: 2,
            refused: 1,
            answer_lost: 1,
            spread: 100,
            unknown_have_positions: false,
        }
    }
}

/// The positions of batches and reads, as the store assigns them.
struct Positions {
    slot: u64,
    place: u32,
}

impl Positions {
    fn next(&mut self, random: &mut Random, wrote: bool) -> Position {
        if !wrote {
            // A read sees whole slots only, so the batch ends here.
            let position = Position { slot: Slot(self.slot), place: 0 };
            self.place = u32::MAX;
            return position;
        }
        if self.place == u32::MAX || random.percent(20) {
            self.slot += 1;
            self.place = 0;
        }
        self.place += 1;
        Position { slot: Slot(self.slot), place: self.place }
    }
}

/// Returns a clean history, in the order in which the requests were sent.
pub(crate) fn history<M: Model>(
    random: &mut Random,
    shape: Shape,
    mut model: M,
    mut request: impl FnMut(&mut Random, u64) -> M::Request,
) -> Vec<Operation<M::Request, M::Response>> {
    let mut positions = Positions { slot: 0, place: u32::MAX };
    let mut busy_until = vec![0; 10];
    let mut operations = Vec::with_capacity(shape.operations);
    for number in 0..shape.operations as u64 {
        let effect = 1_000 + 10 * number;
        let free: Vec<usize> = (0..busy_until.len()).filter(|&p| busy_until[p] < effect).collect();
        let process = if free.is_empty() {
            busy_until.push(0);
            busy_until.len() - 1
        } else {
            free[random.index(free.len())]
        };
        let earliest = (busy_until[process] + 1).max(effect.saturating_sub(shape.spread));
        let invoked = earliest + random.below(effect - earliest + 1);
        let completed = effect + random.below(shape.spread + 1);
        busy_until[process] = completed;
        let mut operation = Operation {
            process: process as u64,
            invoked,
            completed,
            request: request(random, number),
            outcome: Outcome::DidNotRun,
            position: None,
        };
        run(random, shape, &mut model, &mut positions, &mut operation);
        operations.push(operation);
    }
    operations.sort_by_key(|operation| operation.invoked);
    operations
}

fn run<M: Model>(
    random: &mut Random,
    shape: Shape,
    model: &mut M,
    positions: &mut Positions,
    operation: &mut Operation<M::Request, M::Response>,
) {
    let mut dice = random.below(100);
    let mut chance = |percent: u64| {
        let hit = dice < percent;
        dice = dice.wrapping_sub(percent);
        hit
    };
    if chance(shape.refused) {
        return;
    }
    if chance(shape.unknown_never_ran) {
        operation.outcome = Outcome::MayHaveRun;
        return;
    }
    let ran = model.run(&operation.request);
    let position = positions.next(random, ran.wrote);
    if chance(shape.unknown_ran) {
        operation.outcome = Outcome::MayHaveRun;
        operation.position = shape.unknown_have_positions.then_some(position);
        return;
    }
    operation.position = Some(position);
    operation.outcome = match chance(shape.answer_lost) {
        true => Outcome::RanUnseen,
        false => Outcome::Ran(ran.response),
    };
}

/// Draws a transaction on lists: elements are unique, and the lists change over time so that they
/// stay short.
pub(crate) fn list_request(random: &mut Random, number: u64) -> Vec<Step> {
    let lists = number / 500 * 10;
    let mut steps = Vec::new();
    for nth in 0..=random.below(4) {
        let key = lists + random.below(10);
        if random.percent(50) {
            steps.push(Step::Read { key });
        } else {
            steps.push(Step::Append { key, element: number * 8 + nth });
        }
    }
    steps
}

/// Draws a request on registers whose values are all different. Compare-and-sets guess a recent
/// value.
pub(crate) fn register_request(random: &mut Random, number: u64, keys: u64) -> registers::Request {
    let action = match random.below(4) {
        0 => registers::Action::Write(Some(number)),
        1 => registers::Action::CompareAndSet {
            expected: number.checked_sub(1 + random.below(3 * keys)),
            new: Some(number),
        },
        _ => registers::Action::Read,
    };
    registers::Request { key: random.below(keys), action }
}
