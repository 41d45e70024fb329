//! Judges a history with all checkers, and counts its outcomes.
//!
//! The checkers are those of `lattistore_sim::history`. `part` translates the operations of one
//! kind of transaction into the terms of its checker. The replay by position at the end takes all
//! of them at once: it runs every transaction on a model, in the order of the positions in the
//! answers, and compares the answers. Transactions with an unknown outcome have no position; the
//! checkers of lists and chains tell the replay before which operation such a transaction ran.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use lattistore_sim::history::positions::{Placement, check_positions_with};
use lattistore_sim::history::registers::Action;
use lattistore_sim::history::{Operation, Outcome, bank, chains, lists, registers, tokens};

use super::clients::History;
use super::model::{Reply, StoreModel};
use super::record;
use super::task::{ACCOUNTS, BALANCE, Chain, Task, account_key, list_key, register_key};
use crate::reference::Value;

/// How many anomalies are printed: one fault of the store often causes many.
const PRINTED: usize = 50;

/// The result of judging a run.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Transactions that ran for certain.
    pub(crate) acknowledged: usize,
    /// Transactions with an unknown outcome.
    pub(crate) unknown: usize,
    /// Transactions that did not run for certain.
    pub(crate) refused: usize,
    /// Transactions with an unknown outcome that were found to have run.
    pub(crate) unknown_ran: usize,
    /// The longest time in which no write was acknowledged.
    pub(crate) longest_pause: Duration,
    /// A description of each anomaly; empty if the history is strictly serializable.
    pub(crate) anomalies: Vec<String>,
}

impl Verdict {
    /// Fails the test if there is an anomaly.
    pub(crate) fn expect_clean(&self) {
        println!("{self}");
        assert!(self.anomalies.is_empty(), "{self}");
        assert!(self.acknowledged > 0, "no transaction ran");
    }
}

/// Judges a history that ends with reads of everything. If it has an anomaly, keeps it in a file
/// and fails the test.
pub(crate) fn expect_clean(history: &History) {
    let verdict = judge(history);
    if !verdict.anomalies.is_empty() {
        match record::keep(history) {
            Ok(path) => println!("{}", record::how_to_judge(&path)),
            Err(error) => println!("the history could not be written to a file: {error}"),
        }
    }
    verdict.expect_clean();
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { acknowledged, unknown, unknown_ran, refused, longest_pause, anomalies } =
            self;
        writeln!(
            f,
            "transactions: {acknowledged} acknowledged, {unknown} unknown (at least {unknown_ran} \
             of them ran), {refused} refused"
        )?;
        writeln!(f, "longest pause without an acknowledged write: {longest_pause:.1?}")?;
        write!(f, "anomalies: {}", anomalies.len())?;
        anomalies.iter().take(PRINTED).try_for_each(|anomaly| write!(f, "\n  {anomaly}"))?;
        match anomalies.len().checked_sub(PRINTED) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\n  and {more} more"),
        }
    }
}

/// How a history ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With reads of everything, after the faults.
    Reads,
    /// The run was interrupted before these reads, so nothing that needs them is checked.
    CutOff,
}

/// Judges a history that ends with reads of everything.
pub(crate) fn judge(history: &History) -> Verdict {
    judge_to(history, End::Reads)
}

/// Judges a history that ends as `end` says.
pub(crate) fn judge_to(history: &History, end: End) -> Verdict {
    let count = |is: fn(&Outcome<Reply>) -> bool| {
        history.iter().filter(|operation| is(&operation.outcome)).count()
    };
    let mut verdict = Verdict {
        acknowledged: count(|o| matches!(o, Outcome::Ran(_) | Outcome::RanUnseen)),
        unknown: count(|o| matches!(o, Outcome::MayHaveRun)),
        refused: count(|o| matches!(o, Outcome::DidNotRun)),
        longest_pause: longest_pause(history),
        ..Verdict::default()
    };
    let mut add = |judge: &str, found: Vec<String>| {
        verdict.anomalies.extend(found.into_iter().map(|found| format!("{judge}: {found}")));
    };
    let mut placements = Vec::new();
    let mut place = |at: &[usize], found: Vec<Placement>| {
        let place = |Placement { operation, before }| Placement {
            operation: at[operation],
            before: at[before],
        };
        placements.extend(found.into_iter().map(place));
    };
    for chain in Chain::ALL {
        let (at, operations) = part(history, |task, reply| as_chain(chain, task, reply));
        let found = chains::check_chain(&operations);
        add(&format!("chain of {}", chain.name()), describe(history, &at, &found.anomalies));
        place(&at, found.placements);
    }
    let (at, lists) = part(history, as_list);
    place(&at, lists::place_unknown(&lists));
    add("lists", describe(history, &at, &lists::check_lists(&lists)));
    drop(lists);
    let (at, registers) = part(history, as_register);
    add("registers", describe(history, &at, &registers::check_registers(&registers)));
    let balances = (0..ACCOUNTS).map(|account| (account, BALANCE)).collect();
    let (at, bank) = part(history, as_bank);
    add("bank", describe(history, &at, &bank::check_bank(&bank, &balances)));
    add("counter", check_counter(history, end));
    if end == End::Reads {
        add("tokens", check_tokens(history));
    }
    let replay = check_positions_with(history, StoreModel::default(), &placements);
    let all: Vec<usize> = (0..history.len()).collect();
    add("by position", describe(history, &all, &replay.anomalies));
    verdict.unknown_ran = replay.placed.len();
    verdict
}

/// Judges the registers by another method, a search, which takes longer. Returns the anomalies, and
/// the number of registers that stay undecided because too many operations overlap.
pub(crate) fn search_registers(history: &History) -> (Vec<String>, usize) {
    let (at, registers) = part(history, as_register);
    let found = registers::check_registers_by(&registers, registers::Method::Search);
    let (undecided, found): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|anomaly| anomaly.kind == registers::AnomalyKind::Undecided);
    (describe(history, &at, &found), undecided.len())
}

fn strings(anomalies: &[impl fmt::Display]) -> Vec<String> {
    anomalies.iter().map(ToString::to_string).collect()
}

/// Describes anomalies, and adds the operations that they name. `at` has the index in the whole
/// history of each operation that the checker was given.
fn describe(
    history: &History,
    at: &[usize],
    anomalies: &[impl fmt::Display + fmt::Debug],
) -> Vec<String> {
    let named = |anomaly: &dyn fmt::Display| {
        let text = anomaly.to_string();
        let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let mut places: Vec<usize> = Vec::new();
        for (nth, word) in words.iter().enumerate() {
            let before = |back| nth.checked_sub(back).map_or("", |before: usize| words[before]);
            let is_named = ["operation", "operations"].contains(&before(1))
                || before(1) == "and" && before(3) == "operations";
            let number = match word.strip_prefix('T') {
                Some(number) => number.parse().ok(),
                None if is_named => word.parse().ok(),
                None => None,
            };
            let place = number.and_then(|number: usize| at.get(number).copied());
            places.extend(place.filter(|place| !places.contains(place)));
        }
        places.truncate(4);
        places
            .into_iter()
            .fold(text, |text, place| format!("{text}\n    {place}: {:?}", history[place]))
    };
    anomalies.iter().map(|anomaly| named(anomaly)).collect()
}

/// Returns the longest time between two acknowledged writes.
fn longest_pause(history: &History) -> Duration {
    longest(&writes(history))
}

/// Returns the longest time without an acknowledged write between two times.
pub(crate) fn longest_pause_within(history: &History, from: u64, to: u64) -> Duration {
    let mut ends = writes(history);
    ends.retain(|end| (from..to).contains(end));
    ends.insert(0, from);
    ends.push(to);
    longest(&ends)
}

/// Returns the times at which writes were acknowledged, in order.
fn writes(history: &History) -> Vec<u64> {
    let wrote = |operation: &&Operation<Task, Reply>| {
        operation.position.is_some_and(|position| position.place != 0)
    };
    let mut ends: Vec<u64> = history.iter().filter(wrote).map(|o| o.completed).collect();
    ends.sort_unstable();
    ends
}

fn longest(ends: &[u64]) -> Duration {
    let longest = ends.windows(2).map(|pair| pair[1] - pair[0]).max();
    Duration::from_nanos(longest.unwrap_or_default())
}

/// Returns the operations of one kind in the terms of its checker, and their indices in the whole
/// history. An answer that does not fit its request is left to the replay by position, which finds
/// that no execution returns it.
fn part<Q, R>(
    history: &History,
    convert: impl Fn(&Task, Option<&Reply>) -> Option<(Q, Option<R>)>,
) -> (Vec<usize>, Vec<Operation<Q, R>>) {
    let converted = history.iter().enumerate().filter_map(|(index, operation)| {
        let (request, response) = convert(&operation.request, operation.response())?;
        let outcome = match (&operation.outcome, response) {
            (Outcome::Ran(_), Some(response)) => Outcome::Ran(response),
            (Outcome::Ran(_) | Outcome::RanUnseen, _) => Outcome::RanUnseen,
            (Outcome::DidNotRun, _) => Outcome::DidNotRun,
            (Outcome::MayHaveRun, _) => Outcome::MayHaveRun,
        };
        let Operation { process, invoked, completed, position, .. } = *operation;
        Some((index, Operation { process, invoked, completed, request, outcome, position }))
    });
    converted.unzip()
}

/// The steps of a transaction, and the lists that it read; `None` if it has no answer.
type StepsAndLists = (Vec<lists::Step>, Option<Vec<Vec<u64>>>);

/// An append reads the list that it appends to. So the steps of a transaction begin with a read of
/// each list that it uses.
fn as_list(task: &Task, reply: Option<&Reply>) -> Option<StepsAndLists> {
    let Task::Lists(steps) = task else { return None };
    let mut keys = Vec::new();
    for step in steps {
        let (lists::Step::Append { key, .. } | lists::Step::Read { key }) = *step;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let list = |text: &str| -> Option<Vec<u64>> {
        text.split_terminator(',').map(|element| element.parse().ok()).collect()
    };
    let reads = steps.iter().filter(|step| matches!(step, lists::Step::Read { .. })).count();
    let lists = |reply: &Reply| {
        let found = keys.iter().map(|key| reply.read.get(&list_key(*key)).unwrap_or_default());
        let lists = found.chain(reply.text().split_terminator('|')).map(list);
        let lists: Option<Vec<Vec<u64>>> = lists.collect();
        lists.filter(|lists| lists.len() == keys.len() + reads)
    };
    let lists = reply.and_then(lists);
    let first = keys.iter().map(|&key| lists::Step::Read { key });
    Some((first.chain(steps.iter().copied()).collect(), lists))
}

fn as_register(
    task: &Task,
    reply: Option<&Reply>,
) -> Option<(registers::Request, Option<Option<u64>>)> {
    let Task::Register(request) = task else { return None };
    let found = reply.and_then(|reply| match request.action {
        Action::Write(_) => Some(None),
        Action::Read | Action::CompareAndSet { .. } => {
            match reply.read.get(&register_key(request.key)) {
                Some(value) => value.parse().ok().map(Some),
                None => Some(None),
            }
        }
    });
    Some((*request, found))
}

fn as_bank(task: &Task, reply: Option<&Reply>) -> Option<(bank::Request, Option<bank::Balances>)> {
    let request = match *task {
        Task::Transfer { from, to, amount, .. } => bank::Request::Transfer { from, to, amount },
        Task::ReadBank => bank::Request::ReadAll,
        _ => return None,
    };
    let balance = |reply: &Reply, account| {
        Some((account, reply.read.get(&account_key(account))?.parse().ok()?))
    };
    let balances = reply.map(|reply| (0..ACCOUNTS).filter_map(|a| balance(reply, a)).collect());
    Some((request, balances))
}

/// Returns what a transaction on a chain appended, and what it saw.
fn as_chain(
    chain: Chain,
    task: &Task,
    reply: Option<&Reply>,
) -> Option<(Option<u64>, Option<chains::Seen>)> {
    let seen = |reply| chain.seen(reply);
    (task.chain() == Some(chain)).then(|| (task.token(), reply.and_then(seen)))
}

/// Checks that the last value of the counter is the number of transactions that counted, and that
/// no two of them saw the same value.
fn check_counter(history: &History, end: End) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen: BTreeMap<i128, usize> = BTreeMap::new();
    let (mut acknowledged, mut unknown) = (0, 0);
    for (index, operation) in history.iter().enumerate() {
        let Task::Count { .. } = operation.request else { continue };
        acknowledged += i128::from(operation.ran());
        unknown += i128::from(operation.outcome == Outcome::MayHaveRun);
        let Some(reply) = operation.response() else { continue };
        let Some(Value::Number(number)) = reply.returned else {
            found.push(format!("operation {index} did not count: {reply:?}"));
            continue;
        };
        if let Some(other) = seen.insert(number, index) {
            found.push(format!("operations {other} and {index} both counted to {number}"));
        }
    }
    let last = seen.last_key_value().map_or(0, |(number, _)| *number);
    // An interrupted run may end with a transaction that counted and has no answer.
    let min = if end == End::Reads { acknowledged } else { 0 };
    if last < min || last > acknowledged + unknown {
        found.push(format!("{last} instead of {min} to {}", acknowledged + unknown));
    }
    found
}

/// Checks by the reads at the end that every acknowledged append is in its list once, that no
/// refused one is, and that an unknown one is at most once.
fn check_tokens(history: &History) -> Vec<String> {
    let mut last: BTreeMap<u64, (u64, Vec<u64>)> = BTreeMap::new();
    let (_, lists) = part(history, as_list);
    let mut appends = Vec::new();
    for operation in &lists {
        let mut reads = operation.response().into_iter().flatten();
        for step in &operation.request {
            match *step {
                lists::Step::Append { element, .. } => appends.push(Operation {
                    process: operation.process,
                    invoked: operation.invoked,
                    completed: operation.completed,
                    request: element,
                    outcome: operation.outcome.clone(),
                    position: operation.position,
                }),
                lists::Step::Read { key } => {
                    if let Some(list) = reads.next() {
                        let latest = last.entry(key).or_default();
                        if latest.0 <= operation.completed {
                            *latest = (operation.completed, list.clone());
                        }
                    }
                }
            }
        }
    }
    let present: Vec<u64> = last.into_values().flat_map(|(_, list)| list).collect();
    strings(&tokens::check_tokens(&appends, &present))
}
