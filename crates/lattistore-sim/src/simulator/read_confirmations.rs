//! Checks that each read is confirmed by a quorum after it arrived (P8).
//!
//! A leader that counts an old answer as a confirmation does harm only if it lost its ballot just
//! then. This check looks at the rule instead of the harm, so that such a fault is found by every
//! run that reaches it.

use std::collections::BTreeMap;

use lattistore::lpaxos::{Ballot, Message, ProposalId, Slot, ToAcceptor, ToLeader};

/// A question by which a leader finds out whether its ballot is still the highest (P8).
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
    /// The nodes that answered it and the node that asked, one bit each.
    answered: u64,
    /// The `complete` of the node when it asked.
    complete: Slot,
    /// Whether a later slot was chosen when the node asked: the node may have known of it.
    is_behind: bool,
}

/// The requests that wait at a node, and the questions that it asked since they arrived.
#[derive(Clone, Debug, Default)]
struct WaitingReads {
    /// For each request, the number of questions asked before each of its arrivals; a client may
    /// send a request twice.
    waiting: BTreeMap<u64, Vec<u64>>,
    /// The questions asked while requests waited.
    asked: BTreeMap<Question, Asked>,
    count: u64,
    last_round: Option<Question>,
    last_slot: Option<Question>,
}

impl WaitingReads {
    /// Records a question that leaves. A question that is sent again does not count as another
    /// one: its answer may belong to the first sending.
    fn asks(&mut self, question: Question, node: usize, complete: Slot, chosen: Slot) {
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
            let is_behind = complete < chosen;
            self.asked.insert(question, Asked { number, answered, complete, is_behind });
        }
    }
}

/// The waiting reads of every node.
#[derive(Debug)]
pub(super) struct ReadConfirmations {
    reads: Vec<WaitingReads>,
}

impl ReadConfirmations {
    /// Returns a checker that has seen nothing yet.
    pub(super) fn new(nodes: usize) -> ReadConfirmations {
        ReadConfirmations { reads: vec![WaitingReads::default(); nodes] }
    }

    /// Records that a request reaches a node.
    pub(super) fn request_arrives(&mut self, node: usize, request: u64) {
        let reads = &mut self.reads[node];
        reads.waiting.entry(request).or_default().push(reads.count);
    }

    /// Records that a node answers a request.
    pub(super) fn request_is_answered(&mut self, node: usize, request: u64) {
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

    /// Records that a node stops, which loses the requests that wait at it.
    pub(super) fn stopped(&mut self, node: usize) {
        self.reads[node] = WaitingReads::default();
    }

    /// Records a message that leaves a node with this `complete`. `last` is the last slot that is
    /// chosen.
    pub(super) fn leaves<K, V>(
        &mut self,
        from: usize,
        complete: Slot,
        last: Slot,
        message: &Message<K, V>,
    ) {
        match message {
            Message::Acceptor(ToAcceptor::Confirm(confirm)) => {
                let question = Question::Round(confirm.ballot, confirm.round);
                self.reads[from].asks(question, from, complete, last);
            }
            Message::Acceptor(ToAcceptor::Accept(accept)) => {
                self.reads[from].asks(Question::Proposal(accept.id()), from, complete, last);
            }
            _ => {}
        }
    }

    /// Records a message that reaches a node.
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

    /// Checks a read that a node with this `complete` ran; returns whether the votes for a proposal
    /// confirmed it. `is_majority` tells whether nodes, one bit each, are a majority of the voters
    /// of a slot.
    ///
    /// # Errors
    /// When no single question that the node asked since the read arrived was answered by a
    /// majority, the node included if it is a voter (P8, P12).
    pub(super) fn check_read(
        &self,
        node: usize,
        request: u64,
        complete: Slot,
        is_majority: impl Fn(Slot, u64) -> bool,
    ) -> Result<bool, String> {
        let WaitingReads { waiting, asked, .. } = &self.reads[node];
        let Some(before) = waiting.get(&request).and_then(|times| times.first()) else {
            return Err(format!("n{}: P8: a read ran that no client sent", node + 1));
        };
        // The set that counts is that of the moment at which the node asked. The last slot that was
        // chosen then may not have been applied.
        let confirms = |complete: Slot, is_behind: bool, nodes| {
            is_majority(complete.next(), nodes)
                || is_behind && is_majority(complete.next().next(), nodes)
        };
        let since = asked.iter().filter(|(_, asked)| asked.number > *before);
        let mut confirmed = since
            .filter(|(question, asked)| match question {
                Question::Round(..) => confirms(asked.complete, asked.is_behind, asked.answered),
                Question::Proposal(id) => is_majority(id.slot, asked.answered),
            })
            .map(|(question, _)| question);
        match confirmed.next_back() {
            Some(question) => Ok(matches!(question, Question::Proposal(_))),
            // The only voter asks no other node.
            None if confirms(complete, true, 1 << node) => Ok(false),
            None => {
                let why = "P8: a read ran without the confirmation of a majority";
                Err(format!("n{}: {why}", node + 1))
            }
        }
    }
}
