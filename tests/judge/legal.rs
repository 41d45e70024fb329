//! Correct histories: a store that runs one transaction after another, and clients that do not
//! always learn the outcome. The history is strictly serializable unless a test plants a
//! [`Breach`].

use lattistore::lpaxos::{Position, Slot};
use lattistore_sim::history::lists::Step;
use lattistore_sim::history::{Model, Operation, Outcome};
use lattistore_sim::simulator::Random;

use crate::fleet::clients::{History, remember};
use crate::fleet::model::{Reply, StoreModel};
use crate::fleet::task::{Chain, PAGE_TOKENS, Task, Tasks};

/// What a client learns about a transaction that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learns {
    /// The answer.
    Answer,
    /// That it ran, and its position.
    ThatItRan,
    /// Nothing.
    Nothing,
}

/// A violation of strict serializability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    /// A write is acknowledged and has no effect.
    Lost,
    /// A write takes effect twice.
    Twice,
    /// A write takes effect, but its answer says that it did not run.
    Refused,
    /// The answer is that of an earlier state.
    Stale,
    /// A value of the answer is wrong.
    Changed,
}

impl Breach {
    /// All kinds.
    pub(crate) const ALL: [Breach; 5] =
        [Breach::Lost, Breach::Twice, Breach::Refused, Breach::Stale, Breach::Changed];
}

/// A store that runs transactions in one order, and the history of its clients.
#[derive(Default)]
pub(crate) struct Store {
    model: StoreModel,
    /// An earlier state, for stale answers.
    earlier: StoreModel,
    /// The acknowledged writes since that state.
    since: Vec<Task>,
    slot: u64,
    pub(crate) now: u64,
    pub(crate) history: History,
}

impl Store {
    /// Runs a transaction that a client sent at `invoked`; returns the answer that the client
    /// learns.
    pub(crate) fn run_since(
        &mut self,
        process: u64,
        invoked: u64,
        task: Task,
        learns: Learns,
    ) -> Option<Reply> {
        self.now += 10;
        let ran = self.model.run(&task);
        self.slot += u64::from(ran.wrote);
        if ran.wrote && learns != Learns::Nothing {
            self.since.push(task.clone());
        }
        let position = Position { slot: Slot(self.slot), place: u32::from(ran.wrote) };
        let (outcome, position) = match learns {
            Learns::Answer => (Outcome::Ran(ran.response.clone()), Some(position)),
            Learns::ThatItRan => (Outcome::RanUnseen, Some(position)),
            Learns::Nothing => (Outcome::MayHaveRun, None),
        };
        self.push(process, invoked, task, outcome, position);
        (learns == Learns::Answer).then_some(ran.response)
    }

    /// Sends and runs a transaction.
    pub(crate) fn run(&mut self, task: Task, learns: Learns) -> Option<Reply> {
        self.run_since(0, self.now + 1, task, learns)
    }

    /// Adds a transaction that does not run (yet), with the outcome that its client sees.
    pub(crate) fn lose(&mut self, process: u64, task: Task, outcome: Outcome<Reply>) {
        self.now += 10;
        self.push(process, self.now - 5, task, outcome, None);
    }

    /// Remembers the state for a stale answer later.
    pub(crate) fn remember(&mut self) {
        self.earlier = self.model.clone();
        self.since.clear();
    }

    /// Whether a read of the earlier state would miss an acknowledged write. An unknown write does
    /// not count, as it could run later in another legal order.
    fn is_stale(&self, read: &Task) -> bool {
        self.since.iter().any(|write| match (write, read) {
            (Task::Lists(write), Task::Lists(read)) => write.iter().any(|write| {
                let Step::Append { key: written, .. } = *write else { return false };
                read.contains(&Step::Read { key: written })
            }),
            (write, read) => write.area() == read.area(),
        })
    }

    /// Runs a transaction with a breach; returns whether the history shows it.
    pub(crate) fn breach(&mut self, breach: Breach, task: Task) -> bool {
        let before = self.model.clone();
        let ran = self.model.clone().run(&task);
        // A register that is written twice, or overwritten, leaves no trace of that.
        let leaves_a_trace = match &task {
            Task::Register(_) => false,
            Task::Lists(_) => ran.wrote,
            task => task.token().is_some(),
        };
        match breach {
            Breach::Lost if leaves_a_trace => {
                self.run(task, Learns::Answer);
                self.model = before;
                true
            }
            Breach::Twice if leaves_a_trace => {
                self.model.run(&task);
                self.run(task, Learns::Answer);
                let last = self.history.len() - 1;
                self.history[last].outcome = Outcome::Ran(ran.response);
                true
            }
            Breach::Refused if leaves_a_trace => {
                self.model.run(&task);
                self.lose(0, task, Outcome::DidNotRun);
                true
            }
            Breach::Stale if task.only_reads() => {
                let is_stale = self.is_stale(&task);
                let stale = self.earlier.clone().run(&task).response;
                self.run(task, Learns::Answer);
                let last = self.history.len() - 1;
                self.history[last].outcome = Outcome::Ran(stale.clone());
                is_stale && stale != ran.response
            }
            Breach::Changed if ran.response.read.iter().next().is_some() => {
                self.run(task, Learns::Answer);
                let mut first = true;
                let changed = ran.response.read.iter().map(|(key, value)| {
                    let more = if std::mem::take(&mut first) { "9" } else { "" };
                    (key.to_owned(), value.to_owned() + more)
                });
                let reply = Reply { read: changed.collect(), returned: ran.response.returned };
                let last = self.history.len() - 1;
                self.history[last].outcome = Outcome::Ran(reply);
                true
            }
            _ => false,
        }
    }

    /// Reads everything, as clients do at the end of a run.
    pub(crate) fn read_all(&mut self, tasks: &Tasks) {
        for task in tasks.last_reads() {
            self.run(task, Learns::Answer);
        }
        for chain in Chain::ALL {
            for page in 0.. {
                let reply = self.run(Task::ReadChain { chain, page }, Learns::Answer).unwrap();
                if page >= chain.seen(&reply).unwrap().length / PAGE_TOKENS {
                    break;
                }
            }
        }
    }

    fn push(
        &mut self,
        process: u64,
        invoked: u64,
        request: Task,
        outcome: Outcome<Reply>,
        position: Option<Position>,
    ) {
        let completed = self.now + 2;
        let operation = Operation { process, invoked, completed, request, outcome, position };
        self.history.push(operation);
    }
}

/// How often a client does not learn the outcome, in percent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    /// How often a fault begins, during which no client learns any outcome.
    pub(crate) fault: u64,
    /// How often a client does not learn the outcome of a transaction that ran.
    pub(crate) unknown: u64,
    /// How often a request is lost or delayed.
    pub(crate) lost: u64,
}

/// Clients of a store, before the reads at the end.
pub(crate) struct Clients {
    pub(crate) store: Store,
    pub(crate) tasks: Tasks,
    random: Random,
    trouble: Trouble,
    /// By client: the time since which it is idle, and the values that it found in registers.
    clients: Vec<(u64, Vec<Option<u64>>)>,
    /// Delayed requests, which may still run: the client, the time at which it sent the request,
    /// and the transaction.
    delayed: Vec<(u64, u64, Task)>,
    fault_left: u64,
    /// The longest sequence of transactions on chains of which no client learned the outcome.
    pub(crate) longest_run: usize,
    run: usize,
}

const CLIENTS: u64 = 6;

impl Clients {
    pub(crate) fn new(seed: u64, trouble: Trouble) -> Clients {
        let mut store = Store::default();
        store.run(Task::OpenBank, Learns::Answer);
        Clients {
            store,
            tasks: Tasks::default(),
            random: Random::new(seed, 0),
            trouble,
            clients: (0..CLIENTS).map(|_| (0, Vec::new())).collect(),
            delayed: Vec::new(),
            fault_left: 0,
            longest_run: 0,
            run: 0,
        }
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.random.between(0, 99) < chance
    }

    /// Draws a client and its next transaction.
    pub(crate) fn draw(&mut self) -> (u64, Task) {
        let client = self.random.between(0, CLIENTS - 1);
        let found = &self.clients[usize::try_from(client).unwrap()].1;
        (client, self.tasks.draw(&mut self.random, found))
    }

    /// Runs, loses or delays one more transaction.
    pub(crate) fn step(&mut self) {
        if self.percent(self.trouble.fault) {
            self.fault_left = self.random.between(2, 60);
        }
        let in_fault = self.fault_left > 0;
        self.fault_left = self.fault_left.saturating_sub(1);
        if self.percent(2) {
            self.store.remember();
        }
        if !self.delayed.is_empty() && self.percent(30) {
            let which = self.random.count(0, self.delayed.len() - 1);
            let (client, invoked, task) = self.delayed.swap_remove(which);
            self.run(client, invoked, task, Learns::Nothing);
            return;
        }
        let (client, task) = self.draw();
        if self.percent(self.trouble.lost) {
            match self.random.between(0, 2) {
                0 => self.store.lose(client, task, Outcome::DidNotRun),
                1 => self.store.lose(client, task, Outcome::MayHaveRun),
                _ => self.delayed.push((client, self.store.now + 1, task)),
            }
            self.free(client);
            return;
        }
        let learns = match self.random.between(0, 99) {
            _ if in_fault => Learns::Nothing,
            0..2 => Learns::ThatItRan,
            dice if dice < 2 + self.trouble.unknown => Learns::Nothing,
            _ => Learns::Answer,
        };
        let free = self.clients[usize::try_from(client).unwrap()].0;
        let earliest = (free + 1).max(self.store.now.saturating_sub(80));
        let invoked = self.random.between(earliest, (self.store.now + 9).max(earliest));
        self.run(client, invoked, task, learns);
    }

    fn run(&mut self, client: u64, invoked: u64, task: Task, learns: Learns) {
        let is_link = task.token().is_some();
        self.store.run_since(client, invoked, task, learns);
        let last = self.store.history.len() - 1;
        remember(&mut self.clients[usize::try_from(client).unwrap()].1, &self.store.history[last]);
        self.free(client);
        self.run = match learns {
            Learns::Nothing => self.run + usize::from(is_link),
            _ => 0,
        };
        self.longest_run = self.longest_run.max(self.run);
    }

    fn free(&mut self, client: u64) {
        let free = &mut self.clients[usize::try_from(client).unwrap()].0;
        *free = (*free).max(self.store.now + 2);
    }

    /// Returns the history with the reads at its end.
    pub(crate) fn end(mut self) -> History {
        self.store.read_all(&self.tasks);
        self.store.history
    }
}
