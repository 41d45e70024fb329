//! What leaves a node, held against its disk and against what came in.
//!
//! A message that leaves too early does harm only where a crash follows at the right moment, and an
//! answer that is counted in the wrong place only where the ballot is lost just then. So that such a
//! fault is seen whenever it is there, this looks at the rule itself and not for the harm.

use std::collections::BTreeMap;
use std::hash::Hash;

use lattistore::lpaxos::{
    Ballot, Durable, Message, ProposalId, Slot, ToAcceptor, ToCandidate, ToLeader,
};

/// What a leader asks that tells, by its answers, whether its ballot still stands (P8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    /// A round of `Confirm`.
    Round(Ballot, u64),
    /// A proposal.
    Proposal(ProposalId),
}

/// A question that was asked.
#[derive(Clone, Copy, Debug)]
struct Asked {
    number: u64,
    /// Who answered it, a bit for each node; the node itself included.
    answered: u64,
    /// The last slot that the node had applied.
    complete: Slot,
}

/// The reads that a node has, and what it asked since it has them.
#[derive(Clone, Debug, Default)]
struct Reads {
    /// How many questions there were when each request came; a client may ask twice.
    waiting: BTreeMap<u64, Vec<u64>>,
    /// Questions asked while requests waited.
    asked: BTreeMap<Question, Asked>,
    count: u64,
    last_round: Option<Question>,
    last_slot: Option<Question>,
}

impl Reads {
    /// A question leaves. One that is asked again is no new one: the answer may be to the first time.
    fn asks(&mut self, question: Question, node: usize, complete: Slot) {
        let last = match question {
            Question::Round(..) => &mut self.last_round,
            Question::Proposal(_) => &mut self.last_slot,
        };
        if *last >= Some(question) {
            return;
        }
        *last = Some(question);
        if !self.waiting.is_empty() {
            self.count += 1;
            let (number, answered) = (self.count, 1 << node);
            self.asked.insert(question, Asked { number, answered, complete });
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
        complete_here: Slot,
    ) -> Result<(), String> {
        let promised = match message {
            Message::Acceptor(ToAcceptor::Prepare(prepare)) => Some(prepare.ballot),
            Message::Candidate(ToCandidate::Promise(promise)) => Some(promise.ballot),
            Message::Candidate(ToCandidate::PromisePage(page)) => Some(page.ballot),
            Message::Leader(ToLeader::Accepted(vote)) => Some(vote.ballot),
            Message::Leader(ToLeader::Confirmed(confirmed)) => Some(confirmed.ballot),
            _ => None,
        };
        if promised.is_some_and(|ballot| ballot > disk.promised) {
            return Err("a promise leaves before it is durable".into());
        }
        let accepted = match message {
            Message::Leader(ToLeader::Accepted(vote)) => Some((vote.slot, vote.ballot)),
            Message::Candidate(ToCandidate::Promise(promise)) => {
                promise.accepted.as_ref().map(|p| (p.slot, p.ballot))
            }
            _ => None,
        };
        let ProposalId { ballot, slot } = disk.accepted_id();
        if accepted.is_some_and(|accepted| accepted > (slot, ballot)) {
            return Err("a vote leaves before it is durable".into());
        }
        if complete(message).is_some_and(|complete| complete > disk.replica.complete()) {
            return Err("a node tells how far it is before that is durable".into());
        }
        match message {
            Message::Acceptor(ToAcceptor::Confirm(confirm)) => {
                let question = Question::Round(confirm.ballot, confirm.round);
                self.reads[from].asks(question, from, complete_here);
            }
            Message::Acceptor(ToAcceptor::Accept(accept)) => {
                self.reads[from].asks(Question::Proposal(accept.id()), from, complete_here);
            }
            _ => {}
        }
        Ok(())
    }

    /// A message gets to a node.
    pub(super) fn arrives<K, V>(&mut self, from: usize, to: usize, message: &Message<K, V>) {
        let question = match message {
            Message::Leader(ToLeader::Confirmed(confirmed)) => {
                Question::Round(confirmed.ballot, confirmed.round)
            }
            Message::Leader(ToLeader::Accepted(vote)) => Question::Proposal(vote.id()),
            _ => return,
        };
        if let Some(asked) = self.reads[to].asked.get_mut(&question) {
            asked.answered |= 1 << from;
        }
    }

    /// A node that has applied all slots up to `complete` ran a read. Returns whether votes for a proposal confirmed it. `is_majority` tells
    /// whether nodes, a bit for each, are one among the voters of a slot.
    ///
    /// # Errors
    /// When no majority, the node included if it is a voter, answered any one question that it asked
    /// since the read came (P8).
    pub(super) fn ran(
        &self,
        node: usize,
        request: u64,
        complete: Slot,
        is_majority: impl Fn(Slot, u64) -> bool,
    ) -> Result<bool, String> {
        let Reads { waiting, asked, .. } = &self.reads[node];
        let Some(before) = waiting.get(&request).and_then(|times| times.first()) else {
            return Err(format!("n{}: P8: a read ran that was not asked for", node + 1));
        };
        let since = asked.iter().filter(|(_, asked)| asked.number > *before);
        // What was chosen last may not be applied yet.
        let confirms = |complete: Slot, nodes| {
            is_majority(complete.next(), nodes) || is_majority(complete.next().next(), nodes)
        };
        let mut confirmed = since
            .filter(|(_, asked)| confirms(asked.complete, asked.answered))
            .map(|(question, _)| question);
        match confirmed.next_back() {
            Some(question) => Ok(matches!(question, Question::Proposal(_))),
            // The only voter asks no other node.
            None if confirms(complete, 1 << node) => Ok(false),
            None => {
                let why = "P8: a read ran without the confirmation of a majority";
                Err(format!("n{}: {why}", node + 1))
            }
        }
    }
}

/// How far its sender says that it is.
fn complete<K, V>(message: &Message<K, V>) -> Option<Slot> {
    match message {
        Message::Candidate(ToCandidate::Promise(promise)) => Some(promise.complete),
        Message::Leader(ToLeader::Accepted(vote)) => Some(vote.complete),
        Message::Leader(ToLeader::NeedPrevious(need)) => Some(need.complete),
        Message::Leader(ToLeader::Progress(progress)) => Some(progress.complete),
        Message::Heartbeat(heartbeat) => Some(heartbeat.complete),
        _ => None,
    }
}
