//! The replay of a history in the order of its positions, and the search for unknown operations
//! that explain an answer.

use std::collections::HashMap;

use super::super::operation::{Model, Operation, Outcome};
use super::{Anomaly, Placement, Verdict};
use lattistore::lpaxos::Position;

/// The search tries explanations of 1, 2, ... up to this many unknown operations in turn, so that
/// it finds the shortest; then it accepts any length.
const SHORT_EXPLANATION: usize = 4;

/// The most operations that the search runs for one answer. With a filter by tokens far fewer
/// occur.
const EXPLANATION_ATTEMPTS: usize = 20_000;

/// The number of operations after which the state is kept, so that few have to be run again to undo
/// one.
const CHECKPOINT_INTERVAL: usize = 256;

/// The state of a replay.
pub(super) struct Replay<'a, M: Model> {
    history: &'a [Operation<M::Request, M::Response>],
    model: M,
    /// An earlier state, and the operations that ran since.
    checkpoint: M,
    since_checkpoint: Vec<usize>,
    /// The operations without a position that may have run and were not needed so far.
    unknown: Vec<usize>,
    /// The operations that were refused.
    refused: Vec<usize>,
    /// By operation: the unknown ones that the caller placed immediately before it.
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

    /// Replays the history, up to the first answer that nothing explains.
    pub(super) fn run(mut self, positioned: &[(Position, usize)], verdict: &mut Verdict) {
        // Reads of one state are one group: the same state must explain all of them.
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
                    Err(anomaly) => {
                        verdict.anomalies.push(anomaly);
                        return;
                    }
                }
                verdict.order.push(index);
            }
            if explained
                && group.len() > 1
                && let Some(anomaly) = self.recheck(group)
            {
                verdict.anomalies.push(anomaly);
                return;
            }
            self.keep_checkpoint();
        }
    }

    /// Runs one operation, after the unknown operations that its answer needs; returns these.
    fn step(
        &mut self,
        index: usize,
        position: Position,
        verdict: &mut Verdict,
    ) -> Result<Vec<usize>, Anomaly> {
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
                    .anomalies
                    .push(Anomaly::RefusedTookEffect { observer: index, refused: found.clone() });
                placed = found;
            } else {
                return Err(Anomaly::WrongAnswer { operation: index, difference });
            }
            for &before in &placed {
                self.model.run(&self.history[before].request);
                self.since_checkpoint.push(before);
            }
            wrote = self.model.run(&operation.request).wrote;
        }
        if wrote && position.place == 0 {
            // The answer is lost, so the operation that kept it from writing may not be known yet.
            // It had no effect.
            if operation.response().is_none() && self.may_have_written_nothing(index) {
                return Ok(placed);
            }
            verdict.anomalies.push(Anomaly::WriteAtRead { operation: index });
        }
        self.since_checkpoint.push(index);
        Ok(placed)
    }

    /// Undoes the last operation, whose answer is lost, if some unknown operation before it could
    /// have kept it from writing; returns whether it did. Which one it was stays open: later
    /// answers show it.
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

    /// Describes how the answer differs from the client's; `None` if the client has no answer, or
    /// the same.
    fn difference(&self, index: usize, response: &M::Response) -> Option<String> {
        let seen = self.history[index].response()?;
        (seen != response)
            .then(|| format!("the replay returns {response:?}, the client received {seen:?}"))
    }

    /// Runs the reads of a group again, after one of them has placed unknown operations before all
    /// of them.
    fn recheck(&mut self, group: &[(Position, usize)]) -> Option<Anomaly> {
        group.iter().find_map(|&(_, index)| {
            let ran = self.model.run(&self.history[index].request);
            self.difference(index, &ran.response)
                .map(|difference| Anomaly::WrongAnswer { operation: index, difference })
        })
    }

    /// Undoes the last operation, which is not yet among those since the checkpoint.
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

/// Returns the operations without a position whose outcome satisfies a condition.
fn without_position<Q, R>(
    history: &[Operation<Q, R>],
    condition: impl Fn(&Outcome<R>) -> bool,
) -> Vec<usize> {
    (0..history.len())
        .filter(|&index| history[index].position.is_none() && condition(&history[index].outcome))
        .collect()
}

/// The search for operations that explain an answer if they run before it.
struct Search<'a, M: Model> {
    history: &'a [Operation<M::Request, M::Response>],
    observer: usize,
    /// The state before the observer.
    model: &'a M,
}

impl<M: Model> Search<'_, M> {
    /// Returns the shortest explanation by some of `candidates`, each at most once.
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

    /// Chooses up to `length` more operations to run on `model`; returns whether they lead to the
    /// observer's answer.
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
