//! The transactions of the clients, as programs: five kinds.
//!
//! Each kind uses keys of its own, so that it can also be judged by itself. Each leaves a trace by
//! which a judge can tell which of the transactions with an unknown outcome ran, and when:
//!
//! * A list shows every element that was ever appended to it.
//! * All values that are written to registers differ, and a compare-and-set expects a value that
//!   was read before it was sent. So the last unknown write before an answer explains the answer
//!   alone, and those before it explain nothing, as nothing else depended on them.
//! * The effects of the others (bank, counter, keys that come and go) look alike. So each of their
//!   writes appends a unique token to the [`Chain`] of its kind.

use std::sync::atomic::{AtomicU64, Ordering};

use lattistore_sim::history::chains::Seen;
use lattistore_sim::history::lists::Step;
use lattistore_sim::history::registers::{self, Action};
use lattistore_sim::simulator::Random;

use super::model::Reply;
use crate::reference::Value;

/// The number of accounts.
pub(crate) const ACCOUNTS: u64 = 6;
/// The first balance of each account.
pub(crate) const BALANCE: i64 = 100;
/// The number of registers.
const REGISTERS: u64 = 5;
/// How many lists are in use at a time. After [`TOKENS_PER_LISTS`] tokens other lists are used, as
/// reads of ever longer lists would become slow.
const LISTS: u64 = 6;
const TOKENS_PER_LISTS: u64 = 600;
/// How many keys are put and deleted by [`Task::Churn`].
const CHURNED: u64 = 12;

/// The most tokens of a chain in the value of its key `latest`, which the answer of every
/// transaction of the chain shows.
const LATEST_TOKENS: u64 = 16;
/// How many tokens of a chain a page of its archive holds. The answer of [`Task::ReadChain`] shows
/// a page, and must be small enough to be kept in the session for a retry.
pub(crate) const PAGE_TOKENS: u64 = 1_024;
/// The first numbers of pages and tokens, so large that numbers of one length sort as texts.
const FIRST_PAGE: u64 = 1_000_000;
const FIRST_INDEX: u64 = 1_000_000_000;

/// The kinds of transactions that keep a chain of their writes: see
/// [`lattistore_sim::history::chains`].
///
/// The key `chain/KIND/length` holds the number of tokens, and `chain/KIND/latest` the latest ones,
/// each followed by a comma. When there are [`LATEST_TOKENS`] of them, the next write moves them to
/// `archive/KIND/PAGE/INDEX`, where INDEX is the index of the token that follows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Chain {
    /// Transfers.
    Bank,
    /// The counter.
    Count,
    /// Keys that come and go.
    Churn,
}

impl Chain {
    /// All kinds.
    pub(crate) const ALL: [Chain; 3] = [Chain::Bank, Chain::Count, Chain::Churn];

    /// Returns its name in keys.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Chain::Bank => "bank",
            Chain::Count => "count",
            Chain::Churn => "churn",
        }
    }

    /// Returns a program that reads the length and the latest tokens.
    fn read(self) -> String {
        let name = self.name();
        format!("get \"chain/{name}/length\"; get \"chain/{name}/latest\"; ")
    }

    /// Returns a program that appends the parameter `token`.
    fn append(self) -> String {
        let name = self.name();
        format!(
            "links = int(get \"chain/{name}/length\" else 0); \
             latest = get \"chain/{name}/latest\"; \
             if links > 0 && links % {LATEST_TOKENS} == 0 {{ \
             archive = \"{}\" + str({FIRST_PAGE} + links / {PAGE_TOKENS}) + \"/\" \
             + str({FIRST_INDEX} + links); put archive latest; latest = \"\"; }} \
             put \"chain/{name}/latest\" latest + str($token) + \",\"; \
             put \"chain/{name}/length\" links + 1; ",
            self.archive()
        )
    }

    /// Returns the prefix of the keys of its archive.
    pub(crate) fn archive(self) -> String {
        format!("{ARCHIVE}{}/", self.name())
    }

    /// Returns the prefix of the keys of a page of its archive.
    pub(crate) fn page(self, page: u64) -> String {
        format!("{}{}/", self.archive(), FIRST_PAGE.saturating_add(page))
    }

    /// Returns what an answer shows of the chain; `None` if these keys hold something else.
    pub(crate) fn seen(self, reply: &Reply) -> Option<Seen> {
        let key = |end: &str| format!("chain/{}/{end}", self.name());
        let length = reply.read.get(&key("length")).map_or(Some(0), |text| text.parse().ok())?;
        let mut seen = Seen { length, tokens: Vec::new() };
        let latest = reply.read.get(&key("latest")).unwrap_or_default();
        push_tokens(&mut seen.tokens, length, latest)?;
        for (key, tokens) in reply.read.iter().filter(|(key, _)| key.starts_with(ARCHIVE)) {
            let end: u64 = key.rsplit('/').next()?.parse().ok()?;
            push_tokens(&mut seen.tokens, end.checked_sub(FIRST_INDEX)?, tokens)?;
        }
        Some(seen)
    }
}

/// The prefix of the keys of all archives.
pub(crate) const ARCHIVE: &str = "archive/";

/// Adds the tokens of a text with their indices; `end` is the index after the last one.
fn push_tokens(to: &mut Vec<(u64, u64)>, end: u64, text: &str) -> Option<()> {
    let tokens: Option<Vec<u64>> =
        text.split_terminator(',').map(|token| token.parse().ok()).collect();
    let tokens = tokens?;
    let first = end.checked_sub(u64::try_from(tokens.len()).ok()?)?;
    to.extend((first..).zip(tokens));
    Some(())
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Appends to lists and reads of whole lists, in one transaction.
    Lists(Vec<Step>),
    /// Read, write, or compare and set.
    Register(registers::Request),
    /// Gives all accounts their first balances.
    OpenBank,
    /// Moves money.
    Transfer { from: u64, to: u64, amount: i64, token: u64 },
    /// Reads all accounts.
    ReadBank,
    /// Adds one to a counter.
    Count { token: u64 },
    /// Reads a range, puts one of its keys and deletes another.
    Churn { put: u64, delete: u64, token: u64 },
    /// Reads the same range.
    Scan,
    /// Reads a page of the archive of a chain, and its latest tokens.
    ReadChain { chain: Chain, page: u64 },
}

impl Task {
    /// Returns its area. Two tasks of different areas have no key in common.
    pub(crate) fn area(&self) -> String {
        match self {
            Task::Lists(steps) => {
                let key = steps.first().map_or(0, |step| match step {
                    Step::Append { key, .. } | Step::Read { key } => *key,
                });
                format!("list/{}/", key / LISTS)
            }
            Task::Register(request) => format!("register/{}", request.key),
            Task::OpenBank => Chain::Bank.name().into(),
            _ => self.chain().map_or_else(String::new, |chain| chain.name().into()),
        }
    }

    /// Returns the chain that it appends to or reads.
    pub(crate) fn chain(&self) -> Option<Chain> {
        match *self {
            Task::Transfer { .. } | Task::ReadBank => Some(Chain::Bank),
            Task::Count { .. } => Some(Chain::Count),
            Task::Churn { .. } | Task::Scan => Some(Chain::Churn),
            Task::ReadChain { chain, .. } => Some(chain),
            Task::Lists(_) | Task::Register(_) | Task::OpenBank => None,
        }
    }

    /// Returns the token that it appends to its chain.
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
            Task::ReadBank | Task::Scan | Task::ReadChain { .. } => true,
            Task::Register(request) => request.action == Action::Read,
            Task::Lists(steps) => steps.iter().all(|step| matches!(step, Step::Read { .. })),
            _ => false,
        }
    }

    /// Returns the program and the values of its parameters.
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
                "payer = int(get $from); payee = int(get $to); \
                 if payer >= $amount { put $from payer - $amount; put $to payee + $amount; } "
                    .to_owned()
                    + &Chain::Bank.append()
                    + "return payer >= $amount;",
                given(vec![
                    ("from", text(account_key(*from))),
                    ("to", text(account_key(*to))),
                    ("amount", Value::Number((*amount).into())),
                    ("token", number(*token)),
                ]),
            ),
            Task::ReadBank => (
                "for key, value in scan \"bank/\" { } ".to_owned() + &Chain::Bank.read(),
                Vec::new(),
            ),
            Task::Count { token } => (
                "n = int(get \"count/n\" else 0) + 1; put \"count/n\" n; ".to_owned()
                    + &Chain::Count.append()
                    + "return n;",
                given(vec![("token", number(*token))]),
            ),
            Task::Churn { put, delete, token } => (
                "all = \"\"; \
                 for key, value in scan \"churn/\" { all = all + key + \"=\" + value + \" \"; } \
                 put $put $token; delete $delete; "
                    .to_owned()
                    + &Chain::Churn.append()
                    + "return all;",
                given(vec![
                    ("put", text(format!("churn/{put:02}"))),
                    ("delete", text(format!("churn/{delete:02}"))),
                    ("token", number(*token)),
                ]),
            ),
            Task::Scan => (
                "all = \"\"; for key, value in scan \"churn/\" reverse \
                 { all = all + key + \"=\" + value; } "
                    .to_owned()
                    + &Chain::Churn.read()
                    + "return all;",
                Vec::new(),
            ),
            Task::ReadChain { chain, page } => (
                format!("for key, value in scan \"{}\" {{ }} {}", chain.page(*page), chain.read()),
                Vec::new(),
            ),
        }
    }
}

/// The key of an account.
pub(crate) fn account_key(account: u64) -> String {
    format!("bank/account/{account}")
}

/// The key of a list.
pub(crate) fn list_key(key: u64) -> String {
    format!("list/{}/{key}", key / LISTS)
}

/// The key of a register.
pub(crate) fn register_key(key: u64) -> String {
    format!("register/{key}")
}

fn lists(steps: &[Step]) -> (String, Vec<(String, Value)>) {
    // The variable must be set also if no step reads.
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
        params.push((format!("k{nth}"), Value::Text(list_key(key))));
    }
    (program + "return seen;", params)
}

fn register(request: registers::Request) -> (String, Vec<(String, Value)>) {
    let text = |name: &str, value: String| (name.to_owned(), Value::Text(value));
    let mut params = vec![text("key", register_key(request.key))];
    let mut add = |name: &str, value: Option<u64>| {
        params.extend(value.map(|value| text(name, value.to_string())));
        value.is_some()
    };
    let program = match request.action {
        Action::Read => "return get $key;".to_owned(),
        Action::Write(new) => {
            let then = if add("new", new) { "put $key $new" } else { "delete $key" };
            format!("get $key; {then};")
        }
        Action::CompareAndSet { expected, new } => {
            let when =
                if add("expected", expected) { "(get $key) == $expected" } else { "!exists $key" };
            let then = if add("new", new) { "put $key $new" } else { "delete $key" };
            format!("get $key; if {when} {{ {then}; }}")
        }
    };
    (program, params)
}

/// Draws random transactions. All clients share it, so that tokens are unique.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    tokens: AtomicU64,
}

impl Tasks {
    fn token(&self) -> u64 {
        self.tokens.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Draws a transaction. `seen` are values that the client found in registers.
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

    /// Returns reads of everything except the chains, for the end of a run. The chains are read
    /// after them, so that they show every transaction that these saw.
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
