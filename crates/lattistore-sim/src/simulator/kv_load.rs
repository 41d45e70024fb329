//! Clients of the store: sessions, numbered transactions that are repeated until they are answered,
//! and sweeps that let sessions expire meanwhile.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, LazyLock};

use super::journal::Journal;
use super::kv_reference::{APPEND, APPEND_TO_SOME, KvReference, MOVE, READ, TAKE};
use super::random::Random;
use super::workload::{ClientCommand, JournalOf, LiveEntries, Workload};
use lattistore::kv::{Command, Outcome, SessionNumber, Store};
use lattistore::lang::{Params, Program, Value, ValueRef, compile};
use lattistore::lpaxos::{NodeId, Position};

static PROGRAMS: LazyLock<Vec<Arc<Program>>> = LazyLock::new(|| {
    let texts = [READ, APPEND, APPEND_TO_SOME, TAKE, MOVE];
    texts.into_iter().filter_map(|text| compile(text).ok()).map(Arc::new).collect()
});

/// A client's session: its id, and the number of its last transaction.
type Session = (u64, u64);

/// The workload of the store.
#[derive(Debug)]
pub struct KvLoad {
    keys: u64,
    reads_per_10_000: u64,
    sweeps_per_10_000: u64,
    max_window: u64,
    /// The least number of letters of a token: a write of more than a sector can be torn inside.
    token_width: usize,
    tokens: u64,
    sessions: BTreeMap<usize, Session>,
}

impl KvLoad {
    /// Draws a workload.
    pub fn new(random: &mut Random) -> KvLoad {
        assert_eq!(PROGRAMS.len(), 5, "the programs compile");
        KvLoad {
            keys: random.between(2, 10),
            reads_per_10_000: *random.pick(&[0, 2_000, 5_000]),
            sweeps_per_10_000: *random.pick(&[0, 500, 4_000]),
            max_window: random.between(1, 4),
            token_width: *random.pick(&[1, 1, 1, 400]),
            tokens: 0,
            sessions: BTreeMap::new(),
        }
    }

    fn execute(&mut self, client: usize, (id, number): Session, random: &mut Random) -> Command {
        let is_read = random.happens(self.reads_per_10_000);
        let program = if is_read { &PROGRAMS[0] } else { &PROGRAMS[random.count(1, 4)] };
        self.tokens += 1;
        let width = self.token_width;
        let k = random.between(1, self.keys);
        let l = (k + random.between(1, self.keys - 1) - 1) % self.keys + 1;
        let params: Params = [
            ("k", Value::from(format!("key {k}").as_str())),
            ("l", Value::from(format!("key {l}").as_str())),
            ("t", Value::from(format!("{:0width$}.", self.tokens).as_str())),
        ]
        .into_iter()
        .collect();
        let number = number + u64::from(!is_read);
        self.sessions.insert(client, (id, number));
        // A client may lag in reporting which answers it has received, up to its window; a number
        // beyond that is rejected.
        let answered_below = number.saturating_sub(random.between(0, self.max_window));
        let session = (!is_read).then_some(SessionNumber { session: id, number, answered_below });
        Command::Execute { program: Arc::clone(program), params, session }
    }
}

impl Workload for KvLoad {
    type Machine = Store;
    type Reference = KvReference;

    fn machine(&self) -> Store {
        Store::default()
    }

    fn journal(&self, node: NodeId, random: &mut Random) -> Option<JournalOf<Store>> {
        Some(Box::new(Journal::new(node, random)))
    }

    fn next(&mut self, client: usize, random: &mut Random) -> ClientCommand<Command> {
        if random.happens(self.sweeps_per_10_000) {
            let command = Command::SweepSessions { now_ms: random.between(1, 1_000_000) };
            return ClientCommand { command, is_numbered: false };
        }
        match self.sessions.get(&client) {
            None => {
                let window = u32::try_from(self.max_window).unwrap_or(1);
                ClientCommand { command: Command::OpenSession { window }, is_numbered: false }
            }
            Some(session) => {
                let command = self.execute(client, *session, random);
                ClientCommand { command, is_numbered: true }
            }
        }
    }

    fn answered(&mut self, client: usize, outcome: &Outcome) {
        match outcome {
            Outcome::SessionOpened { session, .. } => {
                self.sessions.insert(client, (*session, 0));
            }
            Outcome::SessionExpired => {
                self.sessions.remove(&client);
            }
            _ => {}
        }
    }

    fn describe(command: &Command) -> String {
        let Command::Execute { program, params, session } = command else {
            return format!("{command:?}");
        };
        let number = session.map_or(String::new(), |numbered| {
            let SessionNumber { session, number, answered_below } = numbered;
            format!("[{session}.{number}, answered below {answered_below}] ")
        });
        let texts = params.iter().filter_map(|(name, value)| match value {
            ValueRef::Text(text) => Some(format!("{name} = {text:?}")),
            _ => None,
        });
        let texts: Vec<_> = texts.collect();
        format!("{number}{} with {}", program.text(), texts.join(", "))
    }

    fn replay(state: &mut KvReference, command: &Command, position: Position) -> Outcome {
        state.run(command, position)
    }

    fn agree(expected: &Outcome, outcome: &Outcome) -> bool {
        match (expected, outcome) {
            (Outcome::NumberOutsideWindow(_), Outcome::NumberOutsideWindow(_)) => true,
            (expected, outcome) => expected == outcome,
        }
    }

    fn ran_at(outcome: &Outcome) -> Option<Position> {
        match outcome {
            Outcome::Read { position, .. }
            | Outcome::Failed { position, .. }
            | Outcome::SessionOpened { position, .. }
            | Outcome::AnswerNotKept { position } => Some(*position),
            _ => None,
        }
    }

    fn is_expired(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::SessionExpired)
    }

    fn compare(state: &KvReference, live: &LiveEntries<Store>) -> Result<(), String> {
        let users = (Bound::Included(&b"u"[..]), Bound::Excluded(&b"v"[..]));
        let texts = live.range::<[u8], _>(users).map(|(key, text)| (&key[1..], &**text));
        if !texts.clone().eq(state.texts()) {
            let texts: Vec<_> = texts.collect();
            return Err(format!("the reference holds {state:?}, the decrees yield {texts:?}"));
        }
        match state.repeated_token() {
            None => Ok(()),
            Some(token) => Err(format!("token {token} was appended twice")),
        }
    }
}
