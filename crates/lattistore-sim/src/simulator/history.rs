//! What clients asked and were answered, judged against the decrees at the end of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::coverage::{Coverage, Path};
use super::model::Model;
use super::observed::Run;
use super::workload::{Live, Workload};
use lattistore::lpaxos::{Machine, Position, RequestOutcome, Slot};

type CommandOf<W> = <<W as Workload>::Machine as Machine>::Command;
type OutcomeOf<W> = <<W as Workload>::Machine as Machine>::Outcome;
/// A command that ran, of a workload.
pub(super) type RunOf<W> = Run<CommandOf<W>, OutcomeOf<W>>;

/// One request: one sending of a command to one node.
#[derive(Debug)]
pub(super) struct Sent<W: Workload> {
    /// The first sending of the same numbered command; itself if there was none before.
    pub(super) first: usize,
    /// When, in events of the trace.
    pub(super) began: u64,
    /// When the client had the answer; never, where it did not get there.
    pub(super) ended: Option<u64>,
    /// What the node answered, whether or not it got to the client.
    pub(super) answer: Option<RequestOutcome<OutcomeOf<W>>>,
}

/// Where a position comes in the order of all commands: reads come after the batch of their slot.
fn order(position: Position) -> (Slot, u32) {
    (position.slot, if position.place == 0 { u32::MAX } else { position.place })
}

/// Replays everything that was chosen and judges every answer by it.
///
/// # Errors
/// The first thing that does not fit.
pub(super) fn judge<W: Workload>(
    sent: &[Sent<W>],
    batches: &[Rc<Vec<RunOf<W>>>],
    reads: &[RunOf<W>],
    model: &Model<W::Machine>,
    recovered: &BTreeSet<Slot>,
    coverage: &mut Coverage,
) -> Result<(), String> {
    let ran = replay::<W>(batches, reads, model)?;
    count::<W>(&ran, recovered, coverage);
    for (request, sent) in sent.iter().enumerate() {
        let ran = ran.get(&request);
        match &sent.answer {
            Some(RequestOutcome::Done(outcome)) => match ran {
                Some(run) if run.outcome == *outcome => {}
                Some(run) => {
                    let ran = words::<W>(run);
                    return Err(format!("{request}: answered {outcome:?}, but is {ran}"));
                }
                None => {
                    return Err(format!("{request}: answered {outcome:?}, but is in no decree"));
                }
            },
            Some(answer) if certainly_not_run(answer) => {
                if ran.is_some() {
                    return Err(format!("{request}: answered {answer:?}, but it ran"));
                }
            }
            _ if ran.is_some() => coverage.reached(Path::UnknownRan),
            _ => coverage.reached(Path::UnknownNotRun),
        }
    }
    real_time(sent, &ran)
}

/// What ran, where, and to what outcome.
fn words<W: Workload>(run: &RunOf<W>) -> String {
    let Run { request, command, position, outcome } = run;
    let Position { slot, place } = position;
    let whose = request.map_or("the store's own".into(), |request| format!("request {request}"));
    format!("{whose} ({}), run at {slot}.{place} to {outcome:?},", W::words(command))
}

/// Counts what retries came to. `recovered` are slots whose decree was proposed in several ballots.
fn count<W: Workload>(
    ran: &BTreeMap<usize, &RunOf<W>>,
    recovered: &BTreeSet<Slot>,
    coverage: &mut Coverage,
) {
    for run in ran.values() {
        if W::is_expired(&run.outcome) {
            coverage.reached(Path::SessionExpired);
        }
        let Some(at) = W::ran_at(&run.outcome).filter(|at| *at != run.position) else { continue };
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
        // A client does not ask for these.
        RequestOutcome::MembersChanged | RequestOutcome::MembersUnchanged(_) => false,
        RequestOutcome::LostLeadership { may_have_run, .. }
        | RequestOutcome::Timeout { may_have_run }
        | RequestOutcome::Closing { may_have_run } => !may_have_run,
    }
}

/// Runs all batches in order on the reference; what each request came to.
fn replay<'a, W: Workload>(
    batches: &'a [Rc<Vec<RunOf<W>>>],
    reads: &'a [RunOf<W>],
    model: &Model<W::Machine>,
) -> Result<BTreeMap<usize, &'a RunOf<W>>, String> {
    let mut ran = BTreeMap::new();
    let mut state = W::Reference::default();
    let mut live: Live<W::Machine> = BTreeMap::new();
    let mut reads: Vec<&RunOf<W>> = reads.iter().collect();
    reads.sort_by_key(|run| run.position.slot);
    let mut reads = reads.into_iter().peekable();
    for slot in (0..=model.last().0).map(Slot) {
        if let Some(decree) = model.decree(slot) {
            let place = usize::try_from(slot.0 - 1).unwrap_or(0);
            for run in batches[place].iter() {
                let outcome = W::replay(&mut state, &run.command, run.position);
                if !W::agree(&outcome, &run.outcome) {
                    let ran = words::<W>(run);
                    return Err(format!("3: {ran} should have come to {outcome:?}"));
                }
                if run.request.is_some_and(|request| ran.insert(request, run).is_some()) {
                    return Err(format!("{} ran twice", words::<W>(run)));
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
        while let Some(run) = reads.next_if(|run| run.position.slot == slot) {
            // One that writes after all makes the next comparison fail.
            let outcome = W::replay(&mut state, &run.command, run.position);
            if !W::agree(&outcome, &run.outcome) {
                let ran = words::<W>(run);
                return Err(format!("P8: the read {ran} should have come to {outcome:?}"));
            }
            if let Some(request) = run.request {
                ran.insert(request, run);
            }
        }
    }
    Ok(ran)
}

/// Whoever began after another had its answer comes after it. A numbered command begins when it is
/// first sent, and comes where it ran, whichever of its sendings was answered.
fn real_time<W: Workload>(
    sent: &[Sent<W>],
    ran: &BTreeMap<usize, &RunOf<W>>,
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
        let Some(run) = ran.get(&request) else { continue };
        let position = W::ran_at(&run.outcome).unwrap_or(run.position);
        let place = order(position);
        if is_end {
            last = last.max(Some((place, request)));
        } else if let Some((before, earlier)) = last
            && (place < before || (place == before && position.place != 0))
        {
            return Err(format!(
                "{request} ran at {position:?}, but began after {earlier} was answered at {before:?}"
            ));
        }
    }
    Ok(())
}
