//! What the clients of a disturbed cluster ask: five kinds of transactions, as programs.
//!
//! Each kind keeps to keys of its own, so that each is judged by itself as well. All values that are
//! written are unique, and every transaction of a kind that shares keys reads what the one before it
//! wrote. So a judge can tell which of the transactions with an unknown outcome ran, and when.

use std::sync::atomic::{AtomicU64, Ordering};

use lattistore::history::lists::Step;
use lattistore::history::registers::{self, Action};
use lattistore::sim::Random;

use crate::reference::Value;

/// Accounts of the bank.
pub(crate) const ACCOUNTS: u64 = 6;
/// What each account has at first.
pub(crate) const BALANCE: i64 = 100;
/// Registers.
const REGISTERS: u64 = 5;
/// Lists that are in use at a time; after some transactions new ones take their place, or every read
/// would carry ever longer ones.
const LISTS: u64 = 6;
const TOKENS_PER_LISTS: u64 = 600;
/// Keys that come and go.
const CHURNED: u64 = 12;

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Appends to lists, and reads of whole lists.
    Lists(Vec<Step>),
    /// Read, write, or compare and set.
    Register(registers::Request),
    /// Gives all accounts their first balances.
    OpenBank,
    /// Moves money; `token` marks the transfer.
    Transfer { from: u64, to: u64, amount: i64, token: u64 },
    /// Reads all accounts.
    ReadBank,
    /// Adds one to a counter.
    Count { token: u64 },
    /// Reads a range, puts one of its keys and deletes another.
    Churn { put: u64, delete: u64, token: u64 },
    /// Reads the same range.
    Scan,
}

impl Task {
    /// The keys that it touches all begin so.
    pub(crate) fn area(&self) -> String {
        match self {
            Task::Lists(steps) => {
                let key = steps.first().map_or(0, |step| match step {
                    Step::Append { key, .. } | Step::Read { key } => *key,
                });
                format!("list/{}/", key / LISTS)
            }
            Task::Register(request) => format!("register/{}", request.key),
            Task::OpenBank | Task::Transfer { .. } | Task::ReadBank => "bank/".into(),
            Task::Count { .. } => "count/".into(),
            Task::Churn { .. } | Task::Scan => "churn/".into(),
        }
    }

    /// What marks the write in the answer of the next transaction of its kind, if it has such a mark.
    pub(crate) fn token(&self) -> Option<u64> {
        match self {
            Task::Transfer { token, .. } | Task::Count { token } | Task::Churn { token, .. } => {
                Some(*token)
            }
            _ => None,
        }
    }

    /// Whether it writes nothing, so that it needs no session.
    pub(crate) fn only_reads(&self) -> bool {
        match self {
            Task::ReadBank | Task::Scan => true,
            Task::Register(request) => request.action == Action::Read,
            Task::Lists(steps) => steps.iter().all(|step| matches!(step, Step::Read { .. })),
            _ => false,
        }
    }

    /// The program, and the values of its parameters.
    pub(crate) fn program(&self) -> (String, Vec<(String, Value)>) {
        let number = |number: u64| Value::Number(number.into());
        let text = |text: String| Value::Text(text);
        let given = |params: Vec<(&str, Value)>| {
            params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        };
        match self {
            Task::Lists(steps) => lists(steps),
            Task::Register(request) => register(*request),
            Task::OpenBank => {
                let put = |account| format!("put \"{}\" {BALANCE}; ", account_key(account));
                ((0..ACCOUNTS).map(put).collect(), Vec::new())
            }
            Task::Transfer { from, to, amount, token } => (
                "payer = int(get $from); payee = int(get $to); last = get \"bank/last\"; \
                 if payer >= $amount { put $from payer - $amount; put $to payee + $amount; } \
                 put \"bank/last\" $token; return last;"
                    .into(),
                given(vec![
                    ("from", text(account_key(*from))),
                    ("to", text(account_key(*to))),
                    ("amount", Value::Number((*amount).into())),
                    ("token", number(*token)),
                ]),
            ),
            Task::ReadBank => (
                "for key, value in scan \"bank/\" { } return get \"bank/last\";".into(),
                Vec::new(),
            ),
            Task::Count { token } => (
                "n = int(get \"count/n\" else 0) + 1; last = get \"count/last\"; \
                 put \"count/n\" n; put \"count/last\" $token; return str(n) + \" \" + last;"
                    .into(),
                given(vec![("token", number(*token))]),
            ),
            Task::Churn { put, delete, token } => (
                "for key, value in scan \"churn/\" { all = all + key + \"=\" + value + \" \"; } \
                 put $put $token; delete $delete; return all;"
                    .into(),
                given(vec![
                    ("put", text(format!("churn/{put:02}"))),
                    ("delete", text(format!("churn/{delete:02}"))),
                    ("token", number(*token)),
                ]),
            ),
            Task::Scan => (
                "for key, value in scan \"churn/\" reverse { all = all + key + \"=\" + value; } \
                 return all;"
                    .into(),
                Vec::new(),
            ),
        }
    }
}

/// The key of an account.
pub(crate) fn account_key(account: u64) -> String {
    format!("bank/account/{account}")
}

/// The key of a register.
pub(crate) fn register_key(key: u64) -> String {
    format!("register/{key}")
}

fn lists(steps: &[Step]) -> (String, Vec<(String, Value)>) {
    // Without a step that reads, nothing else sets it.
    let mut program = "seen = \"\"; ".to_owned();
    let mut params = Vec::new();
    for (nth, step) in steps.iter().enumerate() {
        let key = match *step {
            Step::Append { key, element } => {
                program += &format!("put $k{nth} (get $k{nth}) + $e{nth}; ");
                params.push((format!("e{nth}"), Value::Text(format!("{element},"))));
                key
            }
            Step::Read { key } => {
                program += &format!("seen = seen + (get $k{nth}) + \"|\"; ");
                key
            }
        };
        params.push((format!("k{nth}"), Value::Text(format!("list/{}/{key}", key / LISTS))));
    }
    (program + "return seen;", params)
}

fn register(request: registers::Request) -> (String, Vec<(String, Value)>) {
    let text = |name: &str, value: String| (name.to_owned(), Value::Text(value));
    let mut params = vec![text("key", register_key(request.key))];
    let mut give = |name: &str, value: Option<u64>| {
        params.extend(value.map(|value| text(name, value.to_string())));
        value.is_some()
    };
    let program = match request.action {
        Action::Read => "return get $key;".to_owned(),
        Action::Write(new) => {
            let then = if give("new", new) { "put $key $new" } else { "delete $key" };
            format!("get $key; {then};")
        }
        Action::CompareAndSet { expected, new } => {
            let when =
                if give("expected", expected) { "(get $key) == $expected" } else { "!exists $key" };
            let then = if give("new", new) { "put $key $new" } else { "delete $key" };
            format!("get $key; if {when} {{ {then}; }}")
        }
    };
    (program, params)
}

/// Draws transactions; all clients share it.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    tokens: AtomicU64,
}

impl Tasks {
    fn token(&self) -> u64 {
        self.tokens.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Any transaction. `seen` are values that the client found in registers lately.
    pub(crate) fn draw(&self, random: &mut Random, seen: &[Option<u64>]) -> Task {
        match random.between(0, 99) {
            0..40 => self.lists(random),
            40..70 => self.register(random, seen),
            70..80 => {
                let from = random.between(0, ACCOUNTS - 1);
                let to = (from + random.between(1, ACCOUNTS - 1)) % ACCOUNTS;
                let amount = i64::try_from(random.between(1, 60)).unwrap();
                Task::Transfer { from, to, amount, token: self.token() }
            }
            80..85 => Task::ReadBank,
            85..90 => Task::Count { token: self.token() },
            90..97 => {
                let put = random.between(0, CHURNED - 1);
                let delete = (put + random.between(1, CHURNED - 1)) % CHURNED;
                Task::Churn { put, delete, token: self.token() }
            }
            _ => Task::Scan,
        }
    }

    fn lists(&self, random: &mut Random) -> Task {
        let first = self.tokens.load(Ordering::Relaxed) / TOKENS_PER_LISTS * LISTS;
        let steps = random.between(1, 4);
        let step = |_| {
            let key = first + random.between(0, LISTS - 1);
            match random.flip() {
                true => Step::Append { key, element: self.token() },
                false => Step::Read { key },
            }
        };
        Task::Lists((0..steps).map(step).collect())
    }

    fn register(&self, random: &mut Random, seen: &[Option<u64>]) -> Task {
        let key = random.between(0, REGISTERS - 1);
        let action = match random.between(0, 3) {
            0 => Action::Write(Some(self.token())),
            1 => {
                let expected = if seen.is_empty() { None } else { *random.pick(seen) };
                Action::CompareAndSet { expected, new: Some(self.token()) }
            }
            _ => Action::Read,
        };
        Task::Register(registers::Request { key, action })
    }

    /// Reads of everything, to be asked when all is well again.
    pub(crate) fn last_reads(&self) -> Vec<Task> {
        let generations = self.tokens.load(Ordering::Relaxed) / TOKENS_PER_LISTS + 1;
        let lists = (0..generations).map(|generation| {
            let keys = generation * LISTS..(generation + 1) * LISTS;
            Task::Lists(keys.map(|key| Step::Read { key }).collect())
        });
        let registers = (0..REGISTERS)
            .map(|key| Task::Register(registers::Request { key, action: Action::Read }));
        let others = [Task::ReadBank, Task::Scan, Task::Count { token: self.token() }];
        lists.chain(registers).chain(others).collect()
    }
}
