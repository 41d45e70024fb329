//! Clients that ask a disturbed cluster without pause, and write down what they saw.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lattistore::Client;
use lattistore::client::{Answer, Builder, Error};
use lattistore::lang::Value as Given;
use lattistore_sim::history::{Operation, Outcome, registers::Action};
use lattistore_sim::simulator::Random;

use super::judge;
use super::model::Reply;
use super::record::Recorder;
use super::task::{Chain, PAGE_TOKENS, Task, Tasks, register_key};
use crate::reference::Value;
use crate::support::{PATIENCE, PORT};

/// A history of the cluster.
pub(crate) type History = Vec<Operation<Task, Reply>>;

/// How many values of registers a client remembers, to guess with in its compare-and-sets.
const REMEMBERED: usize = 4;

/// How often a read at the end is asked whose answer does not come through.
const LAST_READ_ATTEMPTS: usize = 10;

/// What the clients are like.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// How many clients, each a thread with its own connection and session.
    pub(crate) clients: u64,
    /// The deadline of every second client; the others wait as long as it takes. A deadline shorter
    /// than the faults makes unknown outcomes.
    pub(crate) impatient: Duration,
    /// What a client waits from an answer to its next request, at most. It leaves a machine with few
    /// processors time for the faults.
    pub(crate) thinks: Duration,
}

impl Default for Load {
    fn default() -> Load {
        Load { clients: 6, impatient: Duration::from_millis(700), thinks: Duration::from_millis(8) }
    }
}

/// All clients of one run, and what they saw so far.
pub(crate) struct Clients {
    builder: Builder,
    load: Load,
    seed: u64,
    tasks: Tasks,
    start: Instant,
    /// Where the history is written while it grows, if it is.
    recorder: Option<Recorder>,
    pub(crate) history: History,
}

impl Clients {
    /// Clients of the nodes at these addresses; makes what every workload needs to begin.
    pub(crate) fn new(addresses: &[IpAddr], load: Load, seed: u64) -> Clients {
        Clients::with(Client::builder(), addresses, load, seed)
    }

    /// The same, made in this way.
    pub(crate) fn with(builder: Builder, addresses: &[IpAddr], load: Load, seed: u64) -> Clients {
        Clients::recorded(builder, addresses, load, seed, None)
    }

    /// The same; what they see is written down at once.
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
        clients.ask_at_rest(&client, Task::OpenBank);
        clients
    }

    /// Whether the file that the history is written to is as large as it may be.
    pub(crate) fn fullness(&self) -> Arc<AtomicBool> {
        self.recorder.as_ref().map(Recorder::fullness).unwrap_or_default()
    }

    /// Judges what they saw; fails the test if anything is wrong with it, and keeps it then.
    pub(crate) fn expect_clean(&self) {
        judge::expect_clean(&self.history);
    }

    /// Takes the file that the history is written to.
    pub(crate) fn take_recorder(&mut self) -> Option<Recorder> {
        self.recorder.take()
    }

    /// When the times of the history begin.
    pub(crate) fn clock(&self) -> Instant {
        self.start
    }

    fn client(&self, timeout: Duration) -> Client {
        self.builder.clone().timeout(timeout).build()
    }

    /// Asks without pause until `over`.
    pub(crate) fn run(&mut self, over: &AtomicBool) {
        let from = self.history.len() as u64;
        let this: &Clients = self;
        let mut seen = thread::scope(|scope| {
            let one = |number| move || this.one(number, from, over);
            let threads: Vec<_> =
                (0..this.load.clients).map(|number| scope.spawn(one(number))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        self.history.append(&mut seen);
    }

    fn one(&self, number: u64, stream: u64, over: &AtomicBool) -> History {
        let mut random = Random::new(self.seed, stream + number + 1);
        let impatient = number % 2 == 1;
        let client = self.client(if impatient { self.load.impatient } else { PATIENCE });
        let mut history = Vec::new();
        let mut found = Vec::new();
        let is_full = self.fullness();
        while !over.load(Ordering::Acquire) && !is_full.load(Ordering::Acquire) {
            let task = self.tasks.draw(&mut random, &found);
            let operation = self.ask(&client, number, task, random.flip());
            remember(&mut found, &operation);
            history.push(operation);
            let most = u64::try_from(self.load.thinks.as_micros()).unwrap();
            thread::sleep(Duration::from_micros(random.between(0, most)));
        }
        history
    }

    /// Reads everything, now that all is well: nothing that was answered may be missing.
    pub(crate) fn read_all(&mut self) {
        let client = self.client(PATIENCE);
        for task in self.tasks.last_reads() {
            self.ask_at_rest(&client, task);
        }
        for chain in Chain::ALL {
            let mut page = 0;
            loop {
                let reply = self.ask_at_rest(&client, Task::ReadChain { chain, page });
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

    /// Asks a cluster where all is well. What only reads is asked again until the answer is there.
    fn ask_at_rest(&mut self, client: &Client, task: Task) -> Option<Reply> {
        for _ in 0..LAST_READ_ATTEMPTS {
            let operation = self.ask(client, self.load.clients, task.clone(), true);
            let reply = operation.response().cloned();
            let did_run = operation.ran();
            self.history.push(operation);
            assert!(did_run, "a healthy cluster does not answer: {:?}", self.history.last());
            if reply.is_some() || !task.only_reads() {
                return reply;
            }
        }
        panic!("the answer of a healthy cluster is lost, again and again: {task:?}");
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap()
    }

    fn ask(
        &self,
        client: &Client,
        process: u64,
        task: Task,
        in_session: bool,
    ) -> Operation<Task, Reply> {
        let (program, params) = task.program();
        let params = params.into_iter().map(|(name, value)| (name, given(value)));
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
                let returned = returned.map(taken);
                let read = values.into_iter().collect();
                (Outcome::Ran(Reply { read, returned }), Some(position))
            }
            Err(Error::Ran { position: Some(position), .. }) => {
                (Outcome::RanUnseen, Some(position))
            }
            Err(Error::DidNotRun { .. }) => (Outcome::DidNotRun, None),
            Err(Error::MayHaveRun { .. } | Error::Ran { .. }) => (Outcome::MayHaveRun, None),
            Err(wrong) => panic!("{task:?} is refused: {wrong}"),
        };
        let operation = Operation { process, invoked, completed, request: task, outcome, position };
        if let Some((recorder, number)) = recorded {
            recorder.answer(number, &operation);
        }
        operation
    }
}

/// Keeps what was found in a register, the latest few.
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

fn given(value: Value) -> Given {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Number(number) => Given::Number(i64::try_from(number).unwrap()),
        Value::Truth(truth) => Given::Truth(truth),
    }
}

fn taken(value: Given) -> Value {
    match value {
        Given::Text(text) => Value::Text(text.as_str().to_owned()),
        Given::Number(number) => Value::Number(number.into()),
        Given::Truth(truth) => Value::Truth(truth),
        other => panic!("a value that the test does not know: {other}"),
    }
}
