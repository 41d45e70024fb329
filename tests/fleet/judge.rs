//! All judges on one history, and what the run was like in numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use lattistore::history::positions::{Placement, check_positions_with};
use lattistore::history::registers::Action;
use lattistore::history::{Operation, Outcome, bank, lists, registers, tokens};

use super::clients::History;
use super::model::{Reply, StoreModel};
use super::task::{ACCOUNTS, BALANCE, Task, account_key, register_key};

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Transactions by outcome.
    pub(crate) acknowledged: usize,
    pub(crate) unknown: usize,
    pub(crate) refused: usize,
    /// Unknown ones that were found to have run.
    pub(crate) unknown_ran: usize,
    /// The longest time in which no write was acknowledged.
    pub(crate) longest_pause: Duration,
    /// All that is wrong, in words; empty for a store that keeps its promise.
    pub(crate) anomalies: Vec<String>,
}

impl Verdict {
    /// Fails the test that the history is of, if anything is wrong with it.
    pub(crate) fn expect_clean(&self) {
        println!("{self}");
        assert!(self.anomalies.is_empty(), "{self}");
        assert!(self.acknowledged > 0, "nothing ran at all");
    }
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
        anomalies.iter().try_for_each(|anomaly| write!(f, "\n  {anomaly}"))
    }
}

/// Judges a history that ends with reads of everything.
pub(crate) fn judge(history: &History) -> Verdict {
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
    let (lists_at, lists) = part(history, as_list);
    let place = |Placement { operation, before }| Placement {
        operation: lists_at[operation],
        before: lists_at[before],
    };
    let placements: Vec<Placement> = lists::place_unknown(&lists).into_iter().map(place).collect();
    let replay = check_positions_with(history, StoreModel::default(), &placements);
    verdict.unknown_ran = replay.placed.len();
    let mut tell = |judge: &str, told: Vec<String>| {
        verdict.anomalies.extend(told.into_iter().map(|told| format!("{judge}: {told}")));
    };
    tell("by position", replay.faults.iter().map(|fault| describe(history, fault)).collect());
    tell("lists", strings(&lists::check_lists(&lists)));
    tell("registers", strings(&registers::check_registers(&part(history, as_register).1)));
    let balances = (0..ACCOUNTS).map(|account| (account, BALANCE)).collect();
    tell("bank", strings(&bank::check_bank(&part(history, as_bank).1, &balances)));
    tell("counter", check_counter(history));
    tell("tokens", check_tokens(history));
    verdict
}

fn strings(anomalies: &[impl fmt::Display]) -> Vec<String> {
    anomalies.iter().map(ToString::to_string).collect()
}

/// A fault, and the operations that it names.
fn describe(history: &History, fault: &lattistore::history::positions::Fault) -> String {
    let text = fault.to_string();
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<usize>().ok());
    let named = numbers.take(3).filter_map(|index| Some((index, history.get(index)?)));
    named.fold(text.clone(), |told, (index, operation)| {
        format!("{told}\n    {index}: {operation:?}")
    })
}

/// The longest time between two acknowledged writes.
fn longest_pause(history: &History) -> Duration {
    longest(&writes(history))
}

/// The longest time without an acknowledged write from one time to another.
pub(crate) fn longest_pause_within(history: &History, from: u64, to: u64) -> Duration {
    let mut ends = writes(history);
    ends.retain(|end| (from..to).contains(end));
    ends.insert(0, from);
    ends.push(to);
    longest(&ends)
}

/// When writes were acknowledged, in order.
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

/// The operations of one workload in its own words, and their indices in the whole history.
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

fn as_list(
    task: &Task,
    reply: Option<&Reply>,
) -> Option<(Vec<lists::Step>, Option<Vec<Vec<u64>>>)> {
    let Task::Lists(steps) = task else { return None };
    let list = |text: &str| -> Vec<u64> {
        let elements = text.split(',').filter(|element| !element.is_empty());
        elements.map(|element| element.parse().expect("an element is a number")).collect()
    };
    let reads = steps.iter().filter(|step| matches!(step, lists::Step::Read { .. })).count();
    let lists = reply.map(|reply| {
        let lists: Vec<Vec<u64>> = reply.text().split_terminator('|').map(list).collect();
        assert_eq!(lists.len(), reads, "{reply:?}");
        lists
    });
    Some((steps.clone(), lists))
}

fn as_register(
    task: &Task,
    reply: Option<&Reply>,
) -> Option<(registers::Request, Option<Option<u64>>)> {
    let Task::Register(request) = task else { return None };
    let found = reply.map(|reply| match request.action {
        Action::Write(_) => None,
        Action::Read | Action::CompareAndSet { .. } => {
            let found = reply.read.get(&register_key(request.key));
            found.map(|value| value.parse().expect("registers hold numbers"))
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
        let balance = reply.read.get(&account_key(account))?;
        Some((account, balance.parse().expect("a balance is a number")))
    };
    let balances = reply.map(|reply| (0..ACCOUNTS).filter_map(|a| balance(reply, a)).collect());
    Some((request, balances))
}

/// The counter's last value is the number of transactions that counted, and each saw another one.
fn check_counter(history: &History) -> Vec<String> {
    let mut told = Vec::new();
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    let (mut acknowledged, mut unknown) = (0, 0);
    for (index, operation) in history.iter().enumerate() {
        let Task::Count { .. } = operation.request else { continue };
        acknowledged += u64::from(operation.ran());
        unknown += u64::from(operation.outcome == Outcome::MayHaveRun);
        let Some(reply) = operation.response() else { continue };
        let number = reply.text().split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        if let Some(other) = seen.insert(number, index) {
            told.push(format!("operations {other} and {index} both counted to {number}"));
        }
    }
    let last = seen.last_key_value().map_or(0, |(number, _)| *number);
    if last < acknowledged || last > acknowledged + unknown {
        told.push(format!("{last} instead of {acknowledged} to {}", acknowledged + unknown));
    }
    told
}

/// Every append to a list is there as often as it may be, by the reads at the end.
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
