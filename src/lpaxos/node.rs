//! A node: proposer, acceptor and replica in one, driven by its caller.
//!
//! The node reads no clock, socket or file and starts no thread. Its caller gives it messages,
//! requests and ticks, each with the time, any number of them; then takes an [`Output`] and does
//! what is in it, in the order that is written there. The simulator and the server drive the same
//! code.

use std::mem::take;

use super::acceptor::Acceptor;
use super::config::Config;
use super::durable::{Durable, Record};
use super::leader::Leader;
use super::machine::{Machine, MessageOf};
use super::members::MemberSet;
use super::message::{Heartbeat, Low, Message, Promise};
use super::omega::{Decision, Omega, Own};
use super::outbox::Outbox;
use super::output::{Output, WriteToken};
use super::patch::Page;
use super::recovery::Recovery;
use super::requests::{Queue, Request, RequestOutcome, Waiting};
use super::story::{Cause, ForLog, Loss, Story};
use super::writes::{Contents, Writes};
use crate::numbers::{Ballot, FeatureLevel, NodeId, Slot};

/// What a node does beside accepting.
#[derive(Debug)]
pub(super) enum Role<M: Machine> {
    Follower,
    Candidate(Recovery<M>),
    Leader(Box<Leader<M>>),
}

impl<M: Machine> Role<M> {
    pub(super) fn ballot(&self) -> Option<Ballot> {
        match self {
            Role::Follower => None,
            Role::Candidate(recovery) => Some(recovery.ballot()),
            Role::Leader(leader) => Some(leader.ballot),
        }
    }
}

/// A node of a cluster.
#[derive(Debug)]
pub struct Node<M: Machine> {
    pub(super) me: NodeId,
    pub(super) config: Config,
    pub(super) machine: M,
    pub(super) acceptor: Acceptor<M>,
    pub(super) omega: Omega,
    pub(super) role: Role<M>,
    /// Whom requests are redirected to.
    pub(super) leader: Option<NodeId>,
    pub(super) queue: Queue<M::Command>,
    pub(super) out: Outbox<M>,
    pub(super) heartbeat_sent_ms: Option<u64>,
    /// The last heartbeat that was sent.
    heartbeat: Option<Heartbeat>,
    pub(super) now_ms: u64,
    pub(super) closing: bool,
    story: ForLog<Story>,
    writes: Writes,
    /// Records go with the next output although nothing waits for them: no checkpoint is taken of
    /// what is not written, and the others are told only of what is.
    flush: bool,
    /// Something was heard since Ω last decided. It does when all that is there was taken in: a
    /// message may be old, and the next one say otherwise.
    pub(super) undecided: bool,
    /// The others are told with the next output whom the node hears.
    announces: bool,
}

impl<M: Machine> Node<M> {
    /// A node `me` that starts from what is durable. The `founders` are the members as long as no
    /// decree has set others.
    ///
    /// `seed` feeds the jitter of elections; `now_ms` is the time, which never goes back between
    /// calls. It is used for waiting only, never for safety.
    ///
    /// # Panics
    /// When `me` is no member: the caller checks its identity first.
    pub fn new(
        me: NodeId,
        founders: MemberSet,
        config: Config,
        machine: M,
        durable: Durable<M::Key, M::Value>,
        seed: u64,
        now_ms: u64,
    ) -> Node<M> {
        assert!(founders.contains(me), "{me} is a member");
        let mut omega = Omega::new(me, config, seed);
        omega.see_round(durable.promised.round);
        let contents =
            Contents { accepted: durable.accepted_id(), complete: durable.replica.complete() };
        Node {
            me,
            config,
            machine,
            acceptor: Acceptor::new(durable, founders, config),
            omega,
            role: Role::Follower,
            leader: None,
            queue: Queue::new(),
            out: Outbox::default(),
            heartbeat_sent_ms: None,
            heartbeat: None,
            now_ms,
            closing: false,
            story: ForLog::default(),
            writes: Writes::new(config, contents, now_ms),
            flush: false,
            undecided: false,
            announces: false,
        }
    }

    /// The durable state, changes not yet made durable included.
    pub fn durable(&self) -> &Durable<M::Key, M::Value> {
        self.acceptor.durable()
    }

    /// Returns the members as far as the node knows them: those that decide the slot after
    /// `complete`.
    pub fn members(&self) -> &MemberSet {
        self.acceptor.members()
    }

    /// Whether all of the durable state is durable indeed.
    pub fn is_written(&self) -> bool {
        !self.writes.is_under_way() && !self.acceptor.has_records()
    }

    /// Whether nothing more should be given to the node before the write under way is over. It goes
    /// on during one only as long as nothing that wants to leave depends on it, so that a node that
    /// leads no more gathers nothing that its disk does not take; and no longer than a write may
    /// take, so that a leader whose disk hangs falls silent and another takes its place.
    pub fn must_wait(&self) -> bool {
        self.writes.is_overlapped() && (!self.out.after_write.is_empty() || self.is_stalled())
    }

    /// Whether the write under way takes so long that the disk may hang.
    fn is_stalled(&self) -> bool {
        self.writes.is_stalled(self.now_ms)
    }

    /// How long writes take, the one under way included, in milliseconds.
    fn sync_ms(&self) -> u64 {
        self.writes.sync_ms(self.now_ms)
    }

    /// Notes how long a write took, in milliseconds; [`Node::written`] does it for each. The others
    /// are told, and are as patient; a leader with slow writes waits for them less.
    pub fn note_sync(&mut self, sync_ms: u64) {
        // So much later it is: the next write may begin before the node is told the time.
        let ended_ms = self.writes.note_sync(sync_ms);
        self.at(ended_ms);
    }

    /// The last heartbeat that was sent, and when. A caller that waits for a write repeats it to
    /// the others each period, at most for [`Config::stalled_ms`], so that they know that the node
    /// is there: nothing in it depends on the write. Then it sends [`Heartbeat::farewell`] once.
    pub fn heartbeat(&self) -> Option<(&Heartbeat, u64)> {
        Some((self.heartbeat.as_ref()?, self.heartbeat_sent_ms?))
    }

    /// Whether a leader may propose the next slot: it goes one slot ahead of its own disk, and
    /// further only where that is slow and what gathers for the next write is bounded.
    pub(super) fn may_propose(&self) -> bool {
        if self.spares_others() {
            return false;
        }
        if !self.writes.is_ahead(self.durable().accepted_id()) {
            return true;
        }
        let Role::Leader(leader) = &self.role else { return false };
        let ahead_bytes = self.writes.ahead_bytes(leader.applied_bytes());
        self.writes.is_slow(self.now_ms) && ahead_bytes < self.config.ahead_bytes
    }

    /// Whether the write under way takes so long that the others are asked for no more writes: if
    /// the disk hangs, these would last beyond the time at which this node falls silent, and a node
    /// that waits for its disk cannot stand.
    fn spares_others(&self) -> bool {
        let others_ms = || self.omega.majority_sync_ms(self.acceptor.members());
        self.writes.may_stall_before(others_ms, self.now_ms)
    }

    /// The leader that the node knows of, itself included.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// The ballot that the node leads with, its recovery over.
    pub fn leads(&self) -> Option<Ballot> {
        match &self.role {
            Role::Leader(leader) => Some(leader.ballot),
            _ => None,
        }
    }

    /// The ballot that the node stood with last, and why it stood.
    pub fn stood(&self) -> Option<(Ballot, Cause)> {
        self.story.0.stood
    }

    /// The ballot that the node gave up last, and why.
    pub fn lost(&self) -> Option<(Ballot, Loss)> {
        self.story.0.lost
    }

    /// Whether `node` and this one hear each other, and the `complete` it last told.
    pub fn peer(&self, node: NodeId) -> (bool, Option<Slot>) {
        if node == self.me {
            return (true, Some(self.durable().replica.complete()));
        }
        (self.omega.is_connected(node), self.omega.complete_of(node))
    }

    /// Whether `node` hears this one, as it says itself; unknown where it is not heard.
    pub fn is_heard_by(&self, node: NodeId) -> Option<bool> {
        if node == self.me { Some(true) } else { self.omega.is_heard_by(node) }
    }

    pub(super) fn at(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.now_ms);
        self.omega.passed(passed_ms);
        self.now_ms += passed_ms;
    }

    /// Does what a leader owes.
    pub(super) fn settle(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            leader.settle(&mut self.acceptor);
        }
    }

    /// Takes a request of a client. It gets exactly one answer.
    pub fn request(&mut self, now_ms: u64, request: Request<M::Command>) {
        self.at(now_ms);
        let Request { ticket, command, deadline_ms } = request;
        let refused = if self.closing {
            Some(RequestOutcome::Closing { may_have_run: false })
        } else if self.queue.len() >= self.config.max_queue {
            Some(RequestOutcome::TooManyRequests)
        } else {
            match self.leader {
                Some(leader) if leader != self.me => Some(RequestOutcome::Redirect(leader)),
                _ => None,
            }
        };
        match refused {
            Some(answer) => self.out.answer(ticket, answer),
            None => self.enqueue(Waiting {
                ticket: Some(ticket),
                command,
                deadline_ms,
                since_ms: now_ms,
            }),
        }
    }

    fn enqueue(&mut self, waiting: Waiting<M::Command>) {
        if self.machine.is_read_only(&waiting.command) {
            self.queue.reads.push_back(waiting);
        } else {
            self.queue.writes.push_back(waiting);
        }
    }

    /// Notes that a member is gone, as its connection ended. It is only a hint: whoever is heard
    /// afterwards is there.
    pub fn unheard(&mut self, now_ms: u64, node: NodeId) {
        self.at(now_ms);
        self.settle();
        self.omega.unheard(node);
        self.undecided = true;
        // The others wait for this node's word that it does not hear the leader either.
        self.announces = true;
    }

    /// Sets whether the node leads only where no other can (Ω), as clients cannot connect to it. A
    /// leader that becomes reluctant hands over at once.
    pub fn set_reluctant(&mut self, now_ms: u64, is_reluctant: bool) {
        self.at(now_ms);
        if self.omega.set_reluctant(is_reluctant) {
            self.settle();
            self.decide();
            // The others need not wait for the next period.
            self.send_heartbeats();
        }
    }

    /// Sets what the node has too little of, which the others are told.
    pub fn set_low(&mut self, now_ms: u64, low: Low) {
        self.at(now_ms);
        if self.omega.set_low(low) {
            self.settle();
            self.send_heartbeats();
        }
    }

    /// What a member has too little of, the own node included; `None` while it and this node do not
    /// hear each other.
    pub fn low_of(&self, member: NodeId) -> Option<Low> {
        self.omega.low_of(member)
    }

    /// Returns the highest feature that all members know, as they told last: what is beyond it may
    /// neither be written nor sent. A member that is not heard counts as one of release 0.1.0.
    pub fn lowest_feature_level(&self) -> FeatureLevel {
        self.omega.lowest_feature_level(self.acceptor.members())
    }

    /// Lets time pass: heartbeats, elections, repeated messages, deadlines. To be called at least
    /// every [`Config::heartbeat_ms`].
    pub fn tick(&mut self, now_ms: u64) {
        self.at(now_ms);
        self.settle();
        self.decide();
        self.expire();
        let spares_others = self.spares_others();
        match &mut self.role {
            Role::Follower => {}
            Role::Candidate(recovery) => {
                let members = self.acceptor.members();
                let slowest_ms = self.omega.slowest_sync_ms(members);
                let resend_ms = self.config.resend_ms.saturating_add(slowest_ms);
                let others = members.others(self.me);
                recovery.resend(others, resend_ms, self.now_ms, &mut self.out);
                let idle_ms = self.now_ms.saturating_sub(recovery.progressed_ms());
                // The write that a node is in, the one that it is asked for, and as much again.
                let patience_ms = self.writes.past_sync_ms().max(slowest_ms).saturating_mul(3);
                let patience_ms = patience_ms.saturating_add(self.config.unreachable_ms * 2);
                if !self.writes.is_under_way() && idle_ms > patience_ms {
                    self.step_down(Loss::NoProgress);
                }
            }
            Role::Leader(leader) => {
                if !spares_others {
                    leader.resend(&self.omega, &self.acceptor, &mut self.out, self.now_ms);
                    leader.repair(&self.omega, &mut self.acceptor, &mut self.out, self.now_ms);
                }
                let replica = &self.acceptor.durable().replica;
                let since_ms = self.now_ms;
                for command in self.machine.housekeeping(since_ms, replica) {
                    let (ticket, deadline_ms) = (None, u64::MAX);
                    self.enqueue(Waiting { ticket, command, deadline_ms, since_ms });
                }
            }
        }
        let due = self
            .heartbeat_sent_ms
            .is_none_or(|sent_ms| self.now_ms.saturating_sub(sent_ms) >= self.config.heartbeat_ms);
        if due {
            self.send_heartbeats();
        }
    }

    fn send_heartbeats(&mut self) {
        if self.is_stalled() {
            return;
        }
        self.heartbeat_sent_ms = Some(self.now_ms);
        let ballot = self.role.ballot().filter(|_| !self.closing);
        let (complete, sync_ms) = (self.writes.durable_complete(), self.sync_ms());
        let members = self.acceptor.members();
        let mut heartbeat = self.omega.heartbeat(members, Own { ballot, complete, sync_ms });
        // A closing node is no candidate that others should wait for.
        heartbeat.has_quorum &= !self.closing;
        // It promises nothing and tells of nothing that is not durable, so it waits for no write.
        for node in members.others(self.me) {
            self.out.send(node, Message::Heartbeat(heartbeat.clone()));
        }
        self.heartbeat = Some(heartbeat);
        self.flush = self.acceptor.has_records();
    }

    /// Does what Ω wants.
    pub(super) fn decide(&mut self) {
        self.undecided = false;
        let ballot = self.role.ballot();
        let complete = self.acceptor.durable().replica.complete();
        let own = Own { ballot, complete, sync_ms: self.sync_ms() };
        match self.omega.decide(self.acceptor.members(), own, self.now_ms) {
            Decision::Lead if self.closing => self.follow(None),
            Decision::Lead => {
                let outbid = match &self.role {
                    Role::Follower => true,
                    Role::Candidate(_) => false,
                    Role::Leader(leader) => {
                        let slowest_ms = self.omega.slowest_sync_ms(self.acceptor.members());
                        let slowest_ms = self.sync_ms().max(slowest_ms);
                        leader.wants_higher_ballot(self.now_ms, slowest_ms)
                    }
                };
                if outbid {
                    self.stand();
                }
            }
            Decision::Follow(leader) => {
                if ballot.is_some() {
                    let yields = self.omega.yields(self.acceptor.members());
                    let without = if yields { Loss::Reluctant } else { Loss::NoQuorum };
                    self.step_down(leader.map_or(without, Loss::Other));
                }
                self.follow(leader);
            }
        }
    }

    /// P1: picks a ballot above everything seen and promises it; `Prepare` goes out after the
    /// write.
    fn stand(&mut self) {
        let mut cause = self.omega.cause();
        if self.role.ballot().is_some() {
            cause = Cause::Refused;
            self.step_down(Loss::HigherBallot);
        }
        let ballot = self.omega.next_ballot();
        self.story.0.stood = Some((ballot, cause));
        self.acceptor.promise(ballot);
        let complete = self.acceptor.durable().replica.complete();
        let recovery = Recovery::new(ballot, complete, self.acceptor.members(), self.now_ms);
        for node in self.acceptor.members().others(self.me) {
            self.out.send_after_write(node, recovery.prepare());
        }
        self.role = Role::Candidate(recovery);
        self.leader = Some(self.me);
        self.send_heartbeats();
    }

    /// Goes on with the recovery, as far as what is there allows, and takes the lead at its end.
    pub(super) fn advance_recovery(&mut self) {
        let Role::Candidate(recovery) = &mut self.role else { return };
        let ballot = recovery.ballot();
        let (acceptor, out, now_ms) = (&mut self.acceptor, &mut self.out, self.now_ms);
        let Some(recovered) = recovery.advance(acceptor, out, now_ms) else { return };
        let leader = Leader::new(ballot, self.config, recovered, acceptor, out, now_ms);
        self.role = Role::Leader(Box::new(leader));
    }

    /// Gives up standing or leading: the one way to leave a role.
    pub(super) fn step_down(&mut self, why: Loss) {
        self.settle();
        if let Some(ballot) = self.role.ballot() {
            self.story.0.lost = Some((ballot, why));
        }
        let role = std::mem::replace(&mut self.role, Role::Follower);
        self.acceptor.keep_tombstones = false;
        self.leader = None;
        if let Role::Leader(leader) = role {
            let may_have_run = true;
            let lost = || match self.closing {
                true => RequestOutcome::Closing { may_have_run },
                false => RequestOutcome::LostLeadership { leader: None, may_have_run },
            };
            for ticket in leader.give_up(&mut self.queue) {
                self.out.answer(ticket, lost());
            }
        }
    }

    /// Notes who leads, and sends those there who wait here.
    fn follow(&mut self, leader: Option<NodeId>) {
        self.leader = leader;
        if let Some(leader) = leader.filter(|leader| *leader != self.me) {
            for ticket in self.queue.take_if(|_| true) {
                self.out.answer(ticket, RequestOutcome::Redirect(leader));
            }
        }
    }

    /// Answers requests whose time is over.
    fn expire(&mut self) {
        let (now_ms, hold_ms) = (self.now_ms, self.config.hold_ms);
        let has_quorum = self.omega.has_quorum(self.acceptor.members());
        for ticket in self.queue.take_if(|waiting| waiting.deadline_ms <= now_ms) {
            let answer = if has_quorum {
                RequestOutcome::Timeout { may_have_run: false }
            } else {
                RequestOutcome::Unreachable
            };
            self.out.answer(ticket, answer);
        }
        if !has_quorum {
            let held = |waiting: &Waiting<_>| now_ms.saturating_sub(waiting.since_ms) >= hold_ms;
            for ticket in self.queue.take_if(held) {
                self.out.answer(ticket, RequestOutcome::Unreachable);
            }
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.expire(now_ms, &mut self.out);
        }
    }

    /// Takes no more requests, answers all that wait, and gives up the lead so that another node
    /// stands at once. The output that follows still has to be done.
    pub fn close(&mut self, now_ms: u64) {
        self.at(now_ms);
        self.closing = true;
        self.step_down(Loss::Closing);
        for ticket in self.queue.take_if(|_| true) {
            self.out.answer(ticket, RequestOutcome::Closing { may_have_run: false });
        }
        self.send_heartbeats();
    }

    /// What is to be done for all that was given to the node since the last output. While a write
    /// overlaps, that is only what does not depend on it.
    ///
    /// # Panics
    /// When the records of the last output neither overlap nor were [`written`](Node::written): a
    /// node whose write failed knows more than is durable, and whatever it said now could tell it.
    pub fn output(&mut self) -> Output<M> {
        assert!(!self.writes.is_awaited(), "nothing leaves a node whose last write is not durable");
        if self.undecided {
            self.decide();
        }
        if take(&mut self.announces) {
            self.send_heartbeats();
        }
        let mut awaits_write = matches!(&self.role, Role::Candidate(_));
        let may_propose = self.may_propose();
        let (mut overlaps, is_slow) = (false, self.writes.is_slow(self.now_ms));
        if let Role::Leader(leader) = &mut self.role {
            let (acceptor, out) = (&mut self.acceptor, &mut self.out);
            let (machine, queue) = (&mut self.machine, &mut self.queue);
            leader.run_ahead(machine, queue, acceptor);
            leader.begin(may_propose, queue, acceptor, out, self.now_ms);
            // Others wait for these; what is owed comes with the next output. Where reads may run
            // by then, their answers leave with those that are there: one message for a client of
            // both.
            let may_read = leader.may_read();
            let has_messages = !out.before_write.is_empty();
            if leader.owes() && (has_messages || !may_read && !out.answers.is_empty()) {
                let out = if may_read { out.take_messages() } else { out.take_independent() };
                return self.without_write(out);
            }
            leader.settle(acceptor);
            leader.answer_reads(machine, acceptor, out);
            awaits_write = leader.awaits_write();
            overlaps = leader.overlaps() || is_slow;
        }
        if self.writes.is_overlapped() {
            let out = self.out.take_independent();
            return self.without_write(out);
        }
        let lingers = !awaits_write && self.out.after_write.is_empty();
        let flushes = take(&mut self.flush);
        let records = match !lingers || flushes {
            true => self.acceptor.take_records(),
            false => Vec::new(),
        };
        let out = take(&mut self.out);
        if records.is_empty() {
            self.without_write(out)
        } else {
            self.write(records, overlaps, out)
        }
    }

    /// The output of which nothing depends on what is not durable.
    fn without_write(&mut self, out: Outbox<M>) -> Output<M> {
        let Outbox { mut before_write, answers, after_write } = out;
        before_write.extend(after_write);
        Output { applied: self.acceptor.take_applied(), before_write, answers, write: None }
    }

    /// The output with these records.
    fn write(
        &mut self,
        records: Vec<Record<M::Key, M::Value>>,
        overlaps: bool,
        out: Outbox<M>,
    ) -> Output<M> {
        let Outbox { before_write, answers, after_write } = out;
        let durable = self.acceptor.durable();
        let contents =
            Contents { accepted: durable.accepted_id(), complete: durable.replica.complete() };
        let applied_bytes = match &self.role {
            Role::Leader(leader) => Some(leader.applied_bytes()),
            Role::Follower | Role::Candidate(_) => None,
        };
        let now_ms = self.now_ms;
        let write =
            self.writes.begin(records, after_write, overlaps, contents, applied_bytes, now_ms);
        let write = Some(write);
        Output { applied: self.acceptor.take_applied(), before_write, answers, write }
    }

    /// Notes that the records of a write are durable, and how long that took, in milliseconds.
    /// Returns what waited for them and is to be sent now. May give rise to another output.
    ///
    /// # Panics
    /// When the token is of another write than the last.
    pub fn written(&mut self, token: WriteToken<M>, took_ms: u64) -> Vec<(NodeId, MessageOf<M>)> {
        let (accepted, after_write) = self.writes.end(token);
        self.note_sync(took_ms);
        match &mut self.role {
            Role::Follower => {}
            Role::Candidate(recovery) if !self.acceptor.has_records() => {
                // The own promise: the own entries are here already.
                let durable = self.acceptor.durable();
                let promise = Promise {
                    ballot: recovery.ballot(),
                    accepted: durable.accepted.clone(),
                    complete: durable.replica.complete(),
                    floor: durable.replica.floor(),
                    full: false,
                    members: None,
                    page: Page { entries: Vec::new(), next: None },
                };
                recovery.on_promise(self.me, promise, self.now_ms);
                self.advance_recovery();
            }
            Role::Candidate(_) => {}
            Role::Leader(leader) => {
                leader.written(accepted, &mut self.acceptor, &mut self.out);
            }
        }
        after_write
    }
}
