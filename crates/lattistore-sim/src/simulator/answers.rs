//! Judges the answers of clients by the chosen decrees, at the end of a run.
//!
//! The decrees are replayed in order on a reference that shares no code with the machine. An answer
//! must be what the reference returns at the answer's position; a request that was answered as not
//! run must not have run; no request runs twice; and positions agree with real time.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::coverage::{Coverage, Path};
use super::model::Model;
use super::observed::Execution;
use super::workload::{LiveEntries, Workload};
use lattistore::lpaxos::{Machine, Position, RequestOutcome, Slot};

type CommandOf<W> = <<W as Workload>::Machine as Machine>::Command;
type OutcomeOf<W> = <<W as Workload>::Machine as Machine>::Outcome;
/// A command of a workload that ran.
pub(super) type ExecutionOf<W> = Execution<CommandOf<W>, OutcomeOf<W>>;

/// A request: one sending of a command to one node.
#[derive(Debug)]
pub(super) struct Sent<W: Workload> {
    /// The first sending of the same numbered command; the request itself if it is the first.
    pub(super) first: usize,
    /// When it was sent, in events of the trace.
    pub(super) began: u64,
    /// When the client received the answer, in events of the trace; `None` if it did not.
    pub(super) ended: Option<u64>,
    /// The node's answer, whether or not it reached the client.
    pub(super) answer: Option<RequestOutcome<OutcomeOf<W>>>,
}

/// Returns a sort key of a position: reads come after the batch of their slot.
fn order(position: Position) -> (Slot, u32) {
    (position.slot, if position.place == 0 { u32::MAX } else { position.place })
}

/// Replays everything that was chosen and judges every answer by it.
///
/// # Errors
/// The first answer or decree that does not fit.
pub(super) fn judge<W: Workload>(
    sent: &[Sent<W>],
    batches: &[Rc<Vec<ExecutionOf<W>>>],
    reads: &[ExecutionOf<W>],
    model: &Model<W::Machine>,
    recovered: &BTreeSet<Slot>,
    coverage: &mut Coverage,
) -> Result<(), String> {
    let ran = replay::<W>(batches, reads, model)?;
    count_retries::<W>(&ran, recovered, coverage);
    for (request, sent) in sent.iter().enumerate() {
        let ran = ran.get(&request);
        match &sent.answer {
            Some(RequestOutcome::Done(outcome)) => match ran {
                Some(execution) if execution.outcome == *outcome => {}
                Some(execution) => {
                    let ran = describe::<W>(execution);
                    return Err(format!(
                        "request {request}: answered {outcome:?}, but it is {ran}"
                    ));
                }
                None => {
                    return Err(format!(
                        "request {request}: answered {outcome:?}, but it is in no decree"
                    ));
                }
            },
            Some(answer) if certainly_not_run(answer) => {
                if ran.is_some() {
                    return Err(format!("request {request}: answered {answer:?}, but it ran"));
                }
            }
            _ if ran.is_some() => coverage.reached(Path::UnknownRan),
            _ => coverage.reached(Path::UnknownNotRun),
        }
    }
    real_time(sent, &ran)
}

/// Describes an execution: the command, its position and its outcome.
fn describe<W: Workload>(execution: &ExecutionOf<W>) -> String {
    let Execution { request, command, position, outcome } = execution;
    let Position { slot, place } = position;
    let origin = request
        .map_or("a command of the machine itself".into(), |request| format!("request {request}"));
    format!("{origin} ({}), run at {slot}.{place} with outcome {outcome:?},", W::describe(command))
}

/// Counts what retries reached. `recovered` are the slots whose decree was proposed in several
/// ballots.
fn count_retries<W: Workload>(
    ran: &BTreeMap<usize, &ExecutionOf<W>>,
    recovered: &BTreeSet<Slot>,
    coverage: &mut Coverage,
) {
    for execution in ran.values() {
        if W::is_expired(&execution.outcome) {
            coverage.reached(Path::SessionExpired);
        }
        let Some(at) = W::ran_at(&execution.outcome).filter(|at| *at != execution.position) else {
            continue;
        };
        coverage.reached(Path::RetryAnswered);
        if recovered.contains(&at.slot) {
            coverage.reached(Path::RetryMetRecovered);
        }
    }
}

fn certainly_not_run<O>(answer: &RequestOutcome<O>) -> bool {
    match answer {
        RequestOutcome::Done(_) => false,
        RequestOutcome::Redirect(_)
        | RequestOutcome::Unreachable
        | RequestOutcome::TooManyRequests => true,
        RequestOutcome::LostLeadership { may_have_run, .. }
        | RequestOutcome::Timeout { may_have_run }
        | RequestOutcome::Closing { may_have_run } => !may_have_run,
    }
}

/// Runs all batches in order on the reference; returns the execution of each request.
///
/// # Errors
/// When an outcome differs from the reference's, or a request ran twice.
fn replay<'a, W: Workload>(
    batches: &'a [Rc<Vec<ExecutionOf<W>>>],
    reads: &'a [ExecutionOf<W>],
    model: &Model<W::Machine>,
) -> Result<BTreeMap<usize, &'a ExecutionOf<W>>, String> {
    let mut ran = BTreeMap::new();
    let mut state = W::Reference::default();
    let mut live: LiveEntries<W::Machine> = BTreeMap::new();
    let mut reads: Vec<&ExecutionOf<W>> = reads.iter().collect();
    reads.sort_by_key(|execution| execution.position.slot);
    let mut reads = reads.into_iter().peekable();
    for slot in (0..=model.last().0).map(Slot) {
        if let Some(decree) = model.decree(slot) {
            let place = usize::try_from(slot.0 - 1).unwrap_or(0);
            for execution in batches[place].iter() {
                let outcome = W::replay(&mut state, &execution.command, execution.position);
                if !W::agree(&outcome, &execution.outcome) {
                    let ran = describe::<W>(execution);
                    return Err(format!("3: {ran} should have the outcome {outcome:?}"));
                }
                if execution.request.is_some_and(|request| ran.insert(request, execution).is_some())
                {
                    return Err(format!("{} ran twice", describe::<W>(execution)));
                }
            }
            for (key, value) in decree.patch.writes() {
                match value {
                    Some(value) => live.insert(key.clone(), value.clone()),
                    None => live.remove(key),
                };
            }
            W::compare(&state, &live).map_err(|why| format!("3: after slot {slot}: {why}"))?;
        }
        while let Some(execution) = reads.next_if(|execution| execution.position.slot == slot) {
            // If the reference writes here, the next comparison fails.
            let outcome = W::replay(&mut state, &execution.command, execution.position);
            if !W::agree(&outcome, &execution.outcome) {
                let ran = describe::<W>(execution);
                return Err(format!("P8: the read {ran} should have the outcome {outcome:?}"));
            }
            if let Some(request) = execution.request {
                ran.insert(request, execution);
            }
        }
    }
    Ok(ran)
}

/// Checks real-time order: a command that began after another was answered is placed after it. A
/// numbered command begins when it is first sent, and is placed where it ran, whichever of its
/// sendings was answered.
///
/// # Errors
/// The first pair that is out of order.
fn real_time<W: Workload>(
    sent: &[Sent<W>],
    ran: &BTreeMap<usize, &ExecutionOf<W>>,
) -> Result<(), String> {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for request in ran.keys() {
        let this = &sent[*request];
        events.push((sent[this.first].began, false, *request));
        if let (Some(RequestOutcome::Done(_)), Some(ended)) = (&this.answer, this.ended) {
            events.push((ended, true, *request));
        }
    }
    events.sort_unstable();
    let mut last: Option<((Slot, u32), usize)> = None;
    for (_, is_end, request) in events {
        let Some(execution) = ran.get(&request) else { continue };
        let position = W::ran_at(&execution.outcome).unwrap_or(execution.position);
        let place = order(position);
        if is_end {
            last = last.max(Some((place, request)));
        } else if let Some((before, earlier)) = last
            && (place < before || (place == before && position.place != 0))
        {
            return Err(format!(
                "request {request} ran at {position:?}, but began after request {earlier} was \
                 answered at {before:?}"
            ));
        }
    }
    Ok(())
}
