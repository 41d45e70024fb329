//! Clients that send transactions to a cluster under faults, and record what they saw.
//!
//! Each client is a thread with its own connection and session. Every second client has a short
//! timeout, so that the history contains transactions with an unknown outcome. At the end of a
//! run, when the faults are over, `read_all` reads everything: an acknowledged write must be there.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lattistore::Client;
use lattistore::client::{Answer, Builder, Error};
use lattistore::lang::Value as StoreValue;
use lattistore_sim::history::{Operation, Outcome, registers::Action};
use lattistore_sim::simulator::Random;

use super::judge;
use super::model::Reply;
use super::record::Recorder;
use super::task::{Chain, PAGE_TOKENS, Task, Tasks, register_key};
use crate::reference::Value;
use crate::support::{PATIENCE, PORT};

/// What all clients saw: one operation for each transaction.
pub(crate) type History = Vec<Operation<Task, Reply>>;

/// How many values of registers a client remembers, for the expected values of compare-and-sets.
const REMEMBERED: usize = 4;

/// How often a read at the end is sent if its answer is lost.
const LAST_READ_ATTEMPTS: usize = 10;

/// How many clients there are, and how they behave.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// The number of clients.
    pub(crate) clients: u64,
    /// The timeout of every second client; the others have [`PATIENCE`]. A timeout that is shorter
    /// than the faults makes unknown outcomes.
    pub(crate) impatient: Duration,
    /// The longest pause of a client between an answer and its next request. It leaves time for the
    /// faults on a machine with few processors.
    pub(crate) longest_pause: Duration,
}

impl Default for Load {
    fn default() -> Load {
        Load {
            clients: 6,
            impatient: Duration::from_millis(700),
            longest_pause: Duration::from_millis(8),
        }
    }
}

/// All clients of one run, and the history so far.
pub(crate) struct Clients {
    builder: Builder,
    load: Load,
    seed: u64,
    tasks: Tasks,
    start: Instant,
    /// The file to which the history is written while it grows; `None` if it is not written.
    recorder: Option<Recorder>,
    pub(crate) history: History,
}

impl Clients {
    /// Clients of the nodes at these addresses. Gives all accounts their first balances.
    pub(crate) fn new(addresses: &[IpAddr], load: Load, seed: u64) -> Clients {
        Clients::with(Client::builder(), addresses, load, seed)
    }

    /// The same, with clients of this builder.
    pub(crate) fn with(builder: Builder, addresses: &[IpAddr], load: Load, seed: u64) -> Clients {
        Clients::recorded(builder, addresses, load, seed, None)
    }

    /// The same; the history is written to `recorder` while it grows.
    pub(crate) fn recorded(
        builder: Builder,
        addresses: &[IpAddr],
        load: Load,
        seed: u64,
        recorder: Option<Recorder>,
    ) -> Clients {
        let nodes = addresses.iter().map(|ip| SocketAddr::new(*ip, PORT));
        let mut clients = Clients {
            builder: builder.addresses(nodes),
            load,
            seed,
            tasks: Tasks::default(),
            start: Instant::now(),
            recorder,
            history: Vec::new(),
        };
        let client = clients.client(PATIENCE);
        clients.run_without_faults(&client, Task::OpenBank);
        clients
    }

    /// Returns a flag that is set when the file of the history has reached its maximum size.
    pub(crate) fn fullness(&self) -> Arc<AtomicBool> {
        self.recorder.as_ref().map(Recorder::fullness).unwrap_or_default()
    }

    /// Judges the history; if it has an anomaly, keeps it in a file and fails the test.
    pub(crate) fn expect_clean(&self) {
        judge::expect_clean(&self.history);
    }

    /// Takes the recorder out, so that the caller can discard its file.
    pub(crate) fn take_recorder(&mut self) -> Option<Recorder> {
        self.recorder.take()
    }

    /// Returns the instant at which the times of the history begin.
    pub(crate) fn clock(&self) -> Instant {
        self.start
    }

    fn client(&self, timeout: Duration) -> Client {
        self.builder.clone().timeout(timeout).build()
    }

    /// Runs all clients until `over` is set.
    pub(crate) fn run(&mut self, over: &AtomicBool) {
        let from = self.history.len() as u64;
        let this: &Clients = self;
        let mut seen = thread::scope(|scope| {
            let one = |number| move || this.run_one(number, from, over);
            let threads: Vec<_> =
                (0..this.load.clients).map(|number| scope.spawn(one(number))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        self.history.append(&mut seen);
    }

    /// Runs one client until `over` is set; returns its history.
    fn run_one(&self, number: u64, stream: u64, over: &AtomicBool) -> History {
        let mut random = Random::new(self.seed, stream + number + 1);
        let impatient = number % 2 == 1;
        let client = self.client(if impatient { self.load.impatient } else { PATIENCE });
        let mut history = Vec::new();
        let mut found = Vec::new();
        let is_full = self.fullness();
        while !over.load(Ordering::Acquire) && !is_full.load(Ordering::Acquire) {
            let task = self.tasks.draw(&mut random, &found);
            let operation = self.execute(&client, number, task, random.flip());
            remember(&mut found, &operation);
            history.push(operation);
            let longest_us = u64::try_from(self.load.longest_pause.as_micros()).unwrap();
            thread::sleep(Duration::from_micros(random.between(0, longest_us)));
        }
        history
    }

    /// Reads everything after the faults are over: no acknowledged write may be missing.
    pub(crate) fn read_all(&mut self) {
        let client = self.client(PATIENCE);
        for task in self.tasks.last_reads() {
            self.run_without_faults(&client, task);
        }
        for chain in Chain::ALL {
            let mut page = 0;
            loop {
                let reply = self.run_without_faults(&client, Task::ReadChain { chain, page });
                let length =
                    reply.and_then(|reply| chain.seen(&reply)).map_or(0, |seen| seen.length);
                if page >= length / PAGE_TOKENS {
                    break;
                }
                page += 1;
            }
        }
        if let Some(recorder) = &self.recorder {
            recorder.end();
        }
    }

    /// Runs a transaction on a cluster without faults. A read is sent again until its answer
    /// arrives.
    fn run_without_faults(&mut self, client: &Client, task: Task) -> Option<Reply> {
        for _ in 0..LAST_READ_ATTEMPTS {
            let operation = self.execute(client, self.load.clients, task.clone(), true);
            let reply = operation.response().cloned();
            let did_run = operation.ran();
            self.history.push(operation);
            assert!(did_run, "a healthy cluster did not run it: {:?}", self.history.last());
            if reply.is_some() || !task.only_reads() {
                return reply;
            }
        }
        panic!("no answer of a healthy cluster in {LAST_READ_ATTEMPTS} attempts: {task:?}");
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap()
    }

    /// Runs a transaction, records it, and returns it with its outcome.
    fn execute(
        &self,
        client: &Client,
        process: u64,
        task: Task,
        in_session: bool,
    ) -> Operation<Task, Reply> {
        let (program, params) = task.program();
        let params = params.into_iter().map(|(name, value)| (name, to_store(value)));
        let invoked = self.now();
        let recorded = self.recorder.as_ref();
        let recorded =
            recorded.map(|recorder| (recorder, recorder.request(process, invoked, &task)));
        let result = match task.only_reads() && !in_session {
            true => client.read(program, params),
            false => client.execute(program, params),
        };
        let completed = self.now();
        let (outcome, position) = match result {
            Ok(Answer { values, returned, position }) => {
                let returned = returned.map(to_reference);
                let read = values.into_iter().collect();
                (Outcome::Ran(Reply { read, returned }), Some(position))
            }
            Err(Error::Ran { position: Some(position), .. }) => {
                (Outcome::RanUnseen, Some(position))
            }
            Err(Error::DidNotRun { .. }) => (Outcome::DidNotRun, None),
            Err(Error::MayHaveRun { .. } | Error::Ran { .. }) => (Outcome::MayHaveRun, None),
            Err(wrong) => panic!("{task:?} was rejected: {wrong}"),
        };
        let operation = Operation { process, invoked, completed, request: task, outcome, position };
        if let Some((recorder, number)) = recorded {
            recorder.answer(number, &operation);
        }
        operation
    }
}

/// Adds the value that a read of a register found to the latest [`REMEMBERED`] ones.
pub(crate) fn remember(found: &mut Vec<Option<u64>>, operation: &Operation<Task, Reply>) {
    if let (Task::Register(request), Some(reply)) = (&operation.request, operation.response())
        && request.action == Action::Read
    {
        let value = reply.read.get(&register_key(request.key));
        found.push(value.map(|value| value.parse().unwrap()));
        if found.len() > REMEMBERED {
            found.remove(0);
        }
    }
}

fn to_store(value: Value) -> StoreValue {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Number(number) => StoreValue::Number(i64::try_from(number).unwrap()),
        Value::Truth(truth) => StoreValue::Truth(truth),
    }
}

fn to_reference(value: StoreValue) -> Value {
    match value {
        StoreValue::Text(text) => Value::Text(text.as_str().to_owned()),
        StoreValue::Number(number) => Value::Number(number.into()),
        StoreValue::Truth(truth) => Value::Truth(truth),
        other => panic!("a value that the test does not know: {other}"),
    }
}
