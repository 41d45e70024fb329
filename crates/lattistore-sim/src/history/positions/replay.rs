//! The replay of a history in the order of its positions, and the search for unknown operations that
//! explain an answer.

use std::collections::HashMap;

use super::super::operation::{Model, Operation, Outcome};
use super::{Fault, Placement, Verdict};
use lattistore::lpaxos::Position;

/// Up to how many unknown operations the search looks for the fewest that explain an answer; then it
/// takes as many as it comes to.
const SHORT_EXPLANATION: usize = 4;

/// How many operations the search runs for one answer: with a filter by tokens far fewer occur.
const EXPLANATION_ATTEMPTS: usize = 20_000;

/// After how many operations the state is kept, so that a few can be taken back cheaply.
const CHECKPOINT_INTERVAL: usize = 256;

/// The state of a replay.
pub(super) struct Replay<'a, M: Model> {
    history: &'a [Operation<M::Request, M::Response>],
    model: M,
    /// An earlier state, and what ran since.
    checkpoint: M,
    since_checkpoint: Vec<usize>,
    /// Operations without a position that may have run and were not needed so far.
    unknown: Vec<usize>,
    /// Operations that were said not to have run.
    refused: Vec<usize>,
    /// By operation: the unknown ones that ran just before it, as the caller says.
    before: HashMap<usize, Vec<usize>>,
}

impl<'a, M: Model> Replay<'a, M> {
    pub(super) fn new(
        history: &'a [Operation<M::Request, M::Response>],
        model: M,
        placements: &[Placement],
    ) -> Replay<'a, M> {
        let mut before: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut unknown = without_position(history, |o| matches!(o, Outcome::MayHaveRun));
        for placement in placements {
            if let Ok(at) = unknown.binary_search(&placement.operation) {
                unknown.remove(at);
                before.entry(placement.before).or_default().push(placement.operation);
            }
        }
        Replay {
            history,
            checkpoint: model.clone(),
            model,
            since_checkpoint: Vec::new(),
            unknown,
            refused: without_position(history, |o| matches!(o, Outcome::DidNotRun)),
            before,
        }
    }

    /// Replays everything, or up to the first answer that nothing explains.
    pub(super) fn run(mut self, positioned: &[(Position, usize)], verdict: &mut Verdict) {
        // Reads of one state are one group: they must all hold of the same state.
        for group in positioned.chunk_by(|a, b| a.0 == b.0 && a.0.place == 0) {
            let group_start = verdict.order.len();
            let mut explained = false;
            for &(_, index) in group {
                for placed in self.before.remove(&index).unwrap_or_default() {
                    self.model.run(&self.history[placed].request);
                    self.since_checkpoint.push(placed);
                    verdict.order.push(placed);
                    verdict.placed.push(placed);
                }
            }
            for &(position, index) in group {
                match self.step(index, position, verdict) {
                    Ok(placed) if placed.is_empty() => {}
                    Ok(placed) => {
                        explained = true;
                        verdict.order.splice(group_start..group_start, placed);
                    }
                    Err(fault) => {
                        verdict.faults.push(fault);
                        return;
                    }
                }
                verdict.order.push(index);
            }
            if explained
                && group.len() > 1
                && let Some(fault) = self.recheck(group)
            {
                verdict.faults.push(fault);
                return;
            }
            self.keep_checkpoint();
        }
    }

    /// Runs one operation, after those without a position that its answer needs; gives these.
    fn step(
        &mut self,
        index: usize,
        position: Position,
        verdict: &mut Verdict,
    ) -> Result<Vec<usize>, Fault> {
        let operation = &self.history[index];
        let ran = self.model.run(&operation.request);
        let mut wrote = ran.wrote;
        let mut placed = Vec::new();
        if let Some(difference) = self.difference(index, &ran.response) {
            self.rewind();
            let search = Search { history: self.history, observer: index, model: &self.model };
            if let Some(found) = search.explain(&self.unknown) {
                self.unknown.retain(|candidate| !found.contains(candidate));
                verdict.placed.extend(&found);
                placed = found;
            } else if let Some(found) = search.explain(&self.refused) {
                self.refused.retain(|candidate| !found.contains(candidate));
                verdict
                    .faults
                    .push(Fault::RefusedTookEffect { observer: index, refused: found.clone() });
                placed = found;
            } else {
                return Err(Fault::WrongAnswer { operation: index, difference });
            }
            for &before in &placed {
                self.model.run(&self.history[before].request);
                self.since_checkpoint.push(before);
            }
            wrote = self.model.run(&operation.request).wrote;
        }
        if wrote && position.place == 0 {
            // Without an answer, what made it write nothing may not be known yet. It had no effect.
            if operation.response().is_none() && self.may_have_written_nothing(index) {
                return Ok(placed);
            }
            verdict.faults.push(Fault::WriteAtRead { operation: index });
        }
        self.since_checkpoint.push(index);
        Ok(placed)
    }

    /// Takes back the last operation, whose answer is lost, if some unknown operation, run before
    /// it, keeps it from writing; whether that is so. Which one it was is left open: later answers
    /// tell.
    fn may_have_written_nothing(&mut self, index: usize) -> bool {
        let operation = &self.history[index];
        let after = self.model.clone();
        self.rewind();
        let keeps = |candidate: &&usize| {
            let candidate = &self.history[**candidate];
            let mut model = self.model.clone();
            !operation.precedes(candidate)
                && model.run(&candidate.request).wrote
                && !model.run(&operation.request).wrote
        };
        let found = self.unknown.iter().any(|candidate| keeps(&candidate));
        if !found {
            self.model = after;
        }
        found
    }

    /// Says how the answer differs from the client's, if the client has one and it does.
    fn difference(&self, index: usize, response: &M::Response) -> Option<String> {
        let seen = self.history[index].response()?;
        (seen != response)
            .then(|| format!("the replay gives {response:?}, the client got {seen:?}"))
    }

    /// Runs the reads of a group once more, when one of them made unknown operations run before all.
    fn recheck(&mut self, group: &[(Position, usize)]) -> Option<Fault> {
        group.iter().find_map(|&(_, index)| {
            let ran = self.model.run(&self.history[index].request);
            self.difference(index, &ran.response)
                .map(|difference| Fault::WrongAnswer { operation: index, difference })
        })
    }

    /// Takes the last operation back: it is not among those since the checkpoint yet.
    fn rewind(&mut self) {
        self.model = self.checkpoint.clone();
        for &index in &self.since_checkpoint {
            self.model.run(&self.history[index].request);
        }
    }

    fn keep_checkpoint(&mut self) {
        if self.since_checkpoint.len() >= CHECKPOINT_INTERVAL {
            self.checkpoint = self.model.clone();
            self.since_checkpoint.clear();
        }
    }
}

/// The operations of a certainty that nobody gave a position.
fn without_position<Q, R>(
    history: &[Operation<Q, R>],
    certainty: impl Fn(&Outcome<R>) -> bool,
) -> Vec<usize> {
    (0..history.len())
        .filter(|&index| history[index].position.is_none() && certainty(&history[index].outcome))
        .collect()
}

/// The search for operations that, run first, make an operation give the answer that was given.
struct Search<'a, M: Model> {
    history: &'a [Operation<M::Request, M::Response>],
    observer: usize,
    /// The state before the observer.
    model: &'a M,
}

impl<M: Model> Search<'_, M> {
    /// The shortest explanation by some of `candidates`, each at most once.
    fn explain(&self, candidates: &[usize]) -> Option<Vec<usize>> {
        let observer = &self.history[self.observer];
        let response = observer.response()?;
        let useful: Vec<usize> = candidates
            .iter()
            .copied()
            .filter(|&candidate| {
                let candidate = &self.history[candidate];
                !observer.precedes(candidate)
                    && self.model.may_explain(&candidate.request, &observer.request, response)
            })
            .collect();
        let mut attempts = EXPLANATION_ATTEMPTS;
        (1..=SHORT_EXPLANATION).chain([usize::MAX]).find_map(|length| {
            let mut chosen = Vec::new();
            self.extend(self.model, length, &useful, &mut chosen, &mut attempts).then_some(chosen)
        })
    }

    /// Chooses up to `length` more operations to run on `model`; whether the observer's answer comes
    /// out.
    fn extend(
        &self,
        model: &M,
        length: usize,
        candidates: &[usize],
        chosen: &mut Vec<usize>,
        attempts: &mut usize,
    ) -> bool {
        let observer = &self.history[self.observer];
        let Some(response) = observer.response() else { return false };
        for &candidate in candidates {
            if chosen.contains(&candidate) {
                continue;
            }
            if *attempts == 0 {
                return false;
            }
            *attempts -= 1;
            let mut after = model.clone();
            if !after.run(&self.history[candidate].request).wrote {
                continue;
            }
            chosen.push(candidate);
            let found = after.clone().run(&observer.request).response == *response
                || length > 1 && self.extend(&after, length - 1, candidates, chosen, attempts);
            if found {
                return true;
            }
            chosen.pop();
        }
        false
    }
}
