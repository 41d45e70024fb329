//! Transactions on 100,000 keys, run as the leader runs them, in a session. Here each is the only
//! one of its batch.

use std::fmt;
use std::sync::{Arc, LazyLock};

use divan::Bencher;
use divan::counter::ItemsCount;
use lattistore::kv::{Command, Key, Outcome, SessionNumber, Store, Value};
use lattistore::lang::{self, Params, Program, compile};
use lattistore::lpaxos::{Batch, Durable, Machine, Position, Record};

use super::data::{Random, user_key, user_value};

const KEYS: u64 = 100_000;
const ROWS: u64 = 100;

/// What a transaction does.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    Put,
    ReadModifyWrite,
    Scan,
}

const WORKS: [Work; 3] = [Work::Put, Work::ReadModifyWrite, Work::Scan];

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Work::Put => "put",
            Work::ReadModifyWrite => "read-modify-write",
            Work::Scan => "scan of 100",
        })
    }
}

impl Work {
    fn compile(self) -> Arc<Program> {
        let text = match self {
            Work::Put => "put $key $value;",
            Work::ReadModifyWrite => "old = get $key; put $key $value; return len(old);",
            Work::Scan => "for k, v in scan from $key limit 100 { last = v; } return last;",
        };
        Arc::new(compile(text).expect("the program is valid"))
    }

    fn params(self, number: u64) -> Params {
        let key = Some(("key", user_key(number)));
        let value = (self != Work::Scan).then(|| ("value", user_value(number)));
        let pairs = [key, value].into_iter().flatten();
        pairs.map(|(name, text)| (name, lang::Value::from(text.as_str()))).collect()
    }
}

/// A state with all keys, and a session.
struct Filled {
    durable: Durable<Key, Value>,
    session: SessionNumber,
}

static FILLED: LazyLock<Filled> = LazyLock::new(|| {
    let mut durable = Durable::default();
    let program = Work::Put.compile();
    choose(&mut durable, (0..KEYS).map(|number| execute(&program, Work::Put.params(number), None)));
    let opened = choose(&mut durable, [Command::OpenSession { window: 8 }]);
    let Some(Outcome::SessionOpened { session, .. }) = opened else {
        panic!("no session was opened: {opened:?}");
    };
    Filled { durable, session: SessionNumber { session, number: 1, answered_below: 1 } }
});

fn execute(program: &Arc<Program>, params: Params, session: Option<SessionNumber>) -> Command {
    Command::Execute { program: Arc::clone(program), params, session }
}

/// Runs commands as one batch and applies their writes. Returns the outcome of the last one.
fn choose(
    durable: &mut Durable<Key, Value>,
    commands: impl IntoIterator<Item = Command>,
) -> Option<Outcome> {
    let slot = durable.replica.complete().next();
    let mut batch = Batch::new(&durable.replica);
    let mut store = Store::default();
    let outcome = (1..)
        .zip(commands)
        .map(|(place, command)| store.run(&command, Position { slot, place }, &mut batch))
        .last();
    let patch = Arc::new(batch.into_patch());
    durable.change(&Record::Apply(slot, patch.into()));
    outcome
}

/// Runs a command as the only one of the next batch. Returns whether it wrote nothing.
fn run(command: &Command) -> bool {
    let replica = &FILLED.durable.replica;
    let mut batch = Batch::new(replica);
    let position = Position { slot: replica.complete().next(), place: 1 };
    let outcome = Store::default().run(command, position, &mut batch);
    assert!(matches!(outcome, Outcome::Read { .. }), "{outcome:?}");
    batch.is_empty()
}

/// Measures running a program that is compiled already, as from its second run on.
#[divan::bench(args = WORKS)]
fn evaluate(bencher: Bencher<'_, '_>, work: Work) {
    let program = work.compile();
    let session = Some(FILLED.session);
    let mut random = Random::new();
    bencher
        .counter(ItemsCount::new(1_u32))
        .with_inputs(|| execute(&program, work.params(random.below(KEYS - ROWS)), session))
        .bench_local_refs(|command| run(command));
}

/// Measures compiling and running a program, as at its first run.
#[divan::bench(args = WORKS)]
fn compile_and_evaluate(bencher: Bencher<'_, '_>, work: Work) {
    let session = Some(FILLED.session);
    let mut random = Random::new();
    bencher
        .counter(ItemsCount::new(1_u32))
        .with_inputs(|| work.params(random.below(KEYS - ROWS)))
        .bench_local_values(|params| run(&execute(&work.compile(), params, session)));
}
