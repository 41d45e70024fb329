//! What leaves a node, held against its disk and against what came in.
//!
//! A message that leaves too early does harm only where a crash follows at the right moment, and an
//! answer that is counted in the wrong place only where the ballot is lost just then. So that such a
//! fault is seen whenever it is there, this looks at the rule itself and not for the harm.

use std::collections::BTreeMap;
use std::hash::Hash;

use lattistore::lpaxos::{Ballot, Durable, Message, Slot};

/// What a leader asks that tells, by its answers, whether its ballot still stands (P8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    /// A round of `Confirm`.
    Round(Ballot, u64),
    /// A proposal.
    Slot(Ballot, Slot),
}

/// The reads that a node has, and what it asked since it has them.
#[derive(Clone, Debug, Default)]
struct Reads {
    /// How many questions there were when each request came; a client may ask twice.
    waiting: BTreeMap<u64, Vec<u64>>,
    /// Questions asked while requests waited: the number of each, and who answered it, a bit for each node.
    asked: BTreeMap<Question, (u64, u64)>,
    count: u64,
    last_round: Option<Question>,
    last_slot: Option<Question>,
}

impl Reads {
    /// A question leaves. One that is asked again is no new one: the answer may be to the first time.
    fn asks(&mut self, question: Question) {
        let last = match question {
            Question::Round(..) => &mut self.last_round,
            Question::Slot(..) => &mut self.last_slot,
        };
        if *last >= Some(question) {
            return;
        }
        *last = Some(question);
        if !self.waiting.is_empty() {
            self.count += 1;
            self.asked.insert(question, (self.count, 0));
        }
    }
}

/// What was seen of each node.
#[derive(Debug)]
pub(super) struct Audit {
    reads: Vec<Reads>,
}

impl Audit {
    /// Nothing was seen yet.
    pub(super) fn new(nodes: usize) -> Audit {
        Audit { reads: vec![Reads::default(); nodes] }
    }

    /// A request gets to a node.
    pub(super) fn takes(&mut self, node: usize, request: u64) {
        let reads = &mut self.reads[node];
        reads.waiting.entry(request).or_default().push(reads.count);
    }

    /// A node answers a request.
    pub(super) fn answers(&mut self, node: usize, request: u64) {
        let reads = &mut self.reads[node];
        if let Some(times) = reads.waiting.get_mut(&request) {
            times.remove(0);
            if times.is_empty() {
                reads.waiting.remove(&request);
            }
        }
        if reads.waiting.is_empty() {
            reads.asked.clear();
            reads.count = 0;
        }
    }

    /// A node stops, and forgets what it was asked.
    pub(super) fn stopped(&mut self, node: usize) {
        self.reads[node] = Reads::default();
    }

    /// A message leaves a node whose disk this is.
    ///
    /// # Errors
    /// When it tells what is not durable: a promise (P1, P2, P8), a vote (P4), how far the node is.
    pub(super) fn leaves<K: Ord + Hash + Clone, V: Clone>(
        &mut self,
        from: usize,
        message: &Message<K, V>,
        disk: &Durable<K, V>,
    ) -> Result<(), String> {
        let promised = match message {
            Message::Prepare(prepare) => Some(prepare.ballot),
            Message::Promise(promise) => Some(promise.ballot),
            Message::PromisePage(page) => Some(page.ballot),
            Message::Accepted(vote) => Some(vote.ballot),
            Message::Confirmed(confirmed) => Some(confirmed.ballot),
            _ => None,
        };
        if promised.is_some_and(|ballot| ballot > disk.promised) {
            return Err("a promise leaves before it is durable".into());
        }
        let accepted = match message {
            Message::Accepted(vote) => Some((vote.slot, vote.ballot)),
            Message::Promise(promise) => promise.accepted.as_ref().map(|p| (p.slot, p.ballot)),
            _ => None,
        };
        let (ballot, slot) = disk.accepted_at();
        if accepted.is_some_and(|accepted| accepted > (slot, ballot)) {
            return Err("a vote leaves before it is durable".into());
        }
        if complete(message).is_some_and(|complete| complete > disk.replica.complete()) {
            return Err("a node tells how far it is before that is durable".into());
        }
        match message {
            Message::Confirm(confirm) => {
                self.reads[from].asks(Question::Round(confirm.ballot, confirm.round));
            }
            Message::Accept(accept) => {
                self.reads[from].asks(Question::Slot(accept.ballot, accept.slot));
            }
            _ => {}
        }
        Ok(())
    }

    /// A message gets to a node.
    pub(super) fn arrives<K, V>(&mut self, from: usize, to: usize, message: &Message<K, V>) {
        let question = match message {
            Message::Confirmed(confirmed) => Question::Round(confirmed.ballot, confirmed.round),
            Message::Accepted(vote) => Question::Slot(vote.ballot, vote.slot),
            _ => return,
        };
        if let Some((_, answered)) = self.reads[to].asked.get_mut(&question) {
            *answered |= 1 << from;
        }
    }

    /// A node ran a read. Gives whether votes for a proposal confirmed it.
    ///
    /// # Errors
    /// When no majority, the node included, answered any one question that it asked since the read
    /// came (P8).
    pub(super) fn ran(&self, node: usize, request: u64, nodes: usize) -> Result<bool, String> {
        let Reads { waiting, asked, .. } = &self.reads[node];
        let Some(before) = waiting.get(&request).and_then(|times| times.first()) else {
            return Err(format!("n{}: P8: a read ran that was not asked for", node + 1));
        };
        let since = asked.iter().filter(|(_, (number, _))| number > before);
        let most = since.max_by_key(|(_, (_, answered))| answered.count_ones());
        let most = most.map(|(question, (_, answered))| (question, answered.count_ones()));
        let confirmations = most.map_or(0, |(_, count)| count) + 1;
        if u64::from(confirmations) * 2 <= u64::try_from(nodes).unwrap_or(u64::MAX) {
            let why = format!("P8: a read ran with {confirmations} confirmations");
            return Err(format!("n{}: {why}", node + 1));
        }
        Ok(matches!(most, Some((Question::Slot(..), _))))
    }
}

/// How far its sender says that it is.
fn complete<K, V>(message: &Message<K, V>) -> Option<Slot> {
    match message {
        Message::Promise(promise) => Some(promise.complete),
        Message::Accepted(vote) => Some(vote.complete),
        Message::NeedPrevious(need) => Some(need.complete),
        Message::Progress(progress) => Some(progress.complete),
        Message::Heartbeat(heartbeat) => Some(heartbeat.complete),
        _ => None,
    }
}
