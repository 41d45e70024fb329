//! A node: proposer, acceptor and replica in one, driven by its caller.
//!
//! The node reads no clock, socket or file, and starts no thread. Its caller gives it any number of
//! messages, requests and ticks, each with the time. Then it takes an [`Output`] and does what that
//! contains, in the order that `output.rs` prescribes. The simulator and the server drive the same
//! code.
//!
//! This file holds the life cycle of a node (stand, lead, step down, close) and what its caller
//! sees. The messages are in `inbox.rs`, the write under way is in `writes.rs`, and each role is in
//! a file of its own.

use std::collections::BTreeSet;
use std::mem::take;

use super::acceptor::Acceptor;
use super::config::Config;
use super::durable::{Durable, Record};
use super::leader::Leader;
use super::machine::{Machine, MessageOf};
use super::member_change::MemberChange;
use super::members::{MemberEntry, MemberSet};
use super::message::{Heartbeat, Low, Message, Promise};
use super::omega::{Decision, Omega, OwnState};
use super::outbox::Outbox;
use super::output::{Output, WriteToken};
use super::patch::Page;
use super::recovery::{Recovery, Step};
use super::requests::{Queue, Request, RequestOutcome, Waiting};
use super::story::{Cause, ForLog, Loss, Story};
use super::writes::{Contents, Writes};
use crate::numbers::{Ballot, FeatureLevel, NodeId, Slot};

/// What a node does in addition to accepting.
#[derive(Debug)]
pub(super) enum Role<M: Machine> {
    Follower,
    Candidate(Box<Recovery<M>>),
    Leader(Box<Leader<M>>),
}

impl<M: Machine> Role<M> {
    /// Returns the ballot that the node leads or stands with.
    pub(super) fn ballot(&self) -> Option<Ballot> {
        match self {
            Role::Follower => None,
            Role::Candidate(recovery) => Some(recovery.ballot()),
            Role::Leader(leader) => Some(leader.ballot),
        }
    }
}

/// At most this many changes of the members wait; beyond, they fail with `TooManyRequests`.
const MAX_CHANGES: usize = 16;

/// A node of a cluster.
#[derive(Debug)]
pub struct Node<M: Machine> {
    pub(super) me: NodeId,
    pub(super) config: Config,
    pub(super) machine: M,
    pub(super) acceptor: Acceptor<M>,
    pub(super) omega: Omega,
    pub(super) role: Role<M>,
    /// The leader that requests are redirected to; this node while it leads or stands.
    pub(super) leader: Option<NodeId>,
    pub(super) queue: Queue<M::Command>,
    pub(super) out: Outbox<M>,
    /// When the last heartbeat was sent.
    pub(super) heartbeat_sent_ms: Option<u64>,
    /// The last heartbeat that was sent.
    heartbeat: Option<Heartbeat>,
    /// The latest time that the caller gave.
    pub(super) now_ms: u64,
    /// Whether [`Node::close`] was called.
    pub(super) closing: bool,
    story: ForLog<Story>,
    writes: Writes,
    /// Whether the next output writes the records even if nothing depends on them. A checkpoint
    /// includes only what is written, and a heartbeat reports only what is durable.
    flush: bool,
    /// Whether something was heard since Ω last decided. Ω decides only after all messages that
    /// have arrived were taken in, because one of them may be old and the next one contradict it.
    pub(super) undecided: bool,
    /// Whether the next output includes heartbeats before they are due, to report which nodes this
    /// node hears.
    wants_heartbeats: bool,
    /// The node handed over because it is to be removed, and does not stand before this time.
    abstains_until_ms: u64,
}

impl<M: Machine> Node<M> {
    /// Returns the node `me`, which starts from its durable state. The `founders` are the members
    /// while the durable state holds no member entry; [`MemberSet::unknown`] for a node that joins.
    ///
    /// `seed` feeds the jitter of elections. `now_ms` is the time, which must not go back between
    /// calls; it is used for waiting only, never for safety.
    pub fn new(
        me: NodeId,
        founders: MemberSet,
        config: Config,
        machine: M,
        durable: Durable<M::Key, M::Value>,
        seed: u64,
        now_ms: u64,
    ) -> Node<M> {
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
            wants_heartbeats: false,
            abstains_until_ms: 0,
        }
    }

    /// Returns the durable state, including changes that are not durable yet.
    pub fn durable(&self) -> &Durable<M::Key, M::Value> {
        self.acceptor.durable()
    }

    /// Returns the members that this node knows: those that decide the slot after its `complete`.
    pub fn members(&self) -> &MemberSet {
        self.acceptor.members()
    }

    /// Whether everything in [`Node::durable`] is durable already.
    pub fn is_written(&self) -> bool {
        !self.writes.is_under_way() && !self.acceptor.has_records()
    }

    /// Whether the caller must give the node no further input until the write under way has ended.
    /// That is so in two cases, both during a write that overlaps:
    ///
    /// - A queued message depends on records that are not durable. The node must not gather more
    ///   records than its disk takes, above all once it no longer leads.
    /// - The write has taken [`Config::stalled_ms`]. A leader with a hanging disk must fall silent,
    ///   so that another node replaces it.
    pub fn must_wait(&self) -> bool {
        self.writes.is_overlapped() && (!self.out.after_write.is_empty() || self.is_stalled())
    }

    /// Whether the write under way has taken [`Config::stalled_ms`], so that the disk may hang.
    fn is_stalled(&self) -> bool {
        self.writes.is_stalled(self.now_ms)
    }

    /// Returns how long writes take, including the one under way, in milliseconds.
    fn sync_ms(&self) -> u64 {
        self.writes.sync_ms(self.now_ms)
    }

    /// Notes how long a write took, in milliseconds. [`Node::written`] does this for each write.
    ///
    /// Heartbeats report it, and the other nodes wait for this node accordingly. If the
    /// writes of a leader take [`Config::slow_write_ms`] or more, it goes on during all of them.
    pub fn note_sync(&mut self, sync_ms: u64) {
        // The next write may begin before the caller gives the time again, so it must advance here.
        let ended_ms = self.writes.note_sync(sync_ms);
        self.at(ended_ms);
    }

    /// Returns the last heartbeat that was sent, and when.
    ///
    /// A caller that waits for a write repeats it to the other nodes every
    /// [`Config::heartbeat_ms`], so that they know that this node is alive: nothing in it depends
    /// on the write. Once the write has taken [`Config::stalled_ms`], the caller sends
    /// [`Heartbeat::farewell`] once instead.
    pub fn heartbeat(&self) -> Option<(&Heartbeat, u64)> {
        Some((self.heartbeat.as_ref()?, self.heartbeat_sent_ms?))
    }

    /// Whether a leader may propose the next slot. It may be one slot ahead of its own disk. With a
    /// slow disk it may be further ahead, until the decrees for its next write have
    /// [`Config::ahead_bytes`] bytes.
    pub(super) fn may_propose(&self) -> bool {
        if self.spares_other_disks() {
            return false;
        }
        if !self.writes.is_ahead(self.durable().accepted_id()) {
            return true;
        }
        let Role::Leader(leader) = &self.role else { return false };
        let ahead_bytes = self.writes.ahead_bytes(leader.applied_bytes());
        self.writes.is_slow(self.now_ms) && ahead_bytes < self.config.ahead_bytes
    }

    /// Whether the leader must ask the other nodes for no writes, because the write under way takes
    /// long. If the disk hangs, their writes could last beyond the time at which this node falls
    /// silent, and a node that waits for its disk cannot stand.
    fn spares_other_disks(&self) -> bool {
        let others_ms = || self.omega.majority_sync_ms(self.acceptor.members());
        self.writes.may_stall_before(others_ms, self.now_ms)
    }

    /// Returns the leader that the node knows, which may be the node itself.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Returns the ballot that the node leads with; `None` before its recovery is over.
    pub fn leads(&self) -> Option<Ballot> {
        match &self.role {
            Role::Leader(leader) => Some(leader.ballot),
            _ => None,
        }
    }

    /// Returns the ballot that the node last stood with, and why it stood.
    pub fn stood(&self) -> Option<(Ballot, Cause)> {
        self.story.0.stood
    }

    /// Returns the ballot that the node last gave up, and why.
    pub fn lost(&self) -> Option<(Ballot, Loss)> {
        self.story.0.lost
    }

    /// Returns whether `node` and this node hear each other, and the `complete` that `node` last
    /// reported.
    pub fn peer(&self, node: NodeId) -> (bool, Option<Slot>) {
        if node == self.me {
            return (true, Some(self.durable().replica.complete()));
        }
        (self.omega.is_connected(node), self.omega.complete_of(node))
    }

    /// Whether `node` hears this node, by its last heartbeat; `None` while this node does not hear
    /// `node`.
    pub fn is_heard_by(&self, node: NodeId) -> Option<bool> {
        if node == self.me { Some(true) } else { self.omega.is_heard_by(node) }
    }

    /// Takes in the time; an earlier time than before changes nothing.
    pub(super) fn at(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.now_ms);
        self.omega.advance_clock(passed_ms);
        self.now_ms += passed_ms;
    }

    /// Does the steps that a leader has deferred (see `leader.rs`).
    pub(super) fn settle(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            leader.settle(&mut self.acceptor);
        }
    }

    /// Takes in a request of a client. Each request gets exactly one answer, in some output.
    pub fn request(&mut self, now_ms: u64, request: Request<M::Command>) {
        self.at(now_ms);
        let Request { ticket, command, deadline_ms } = request;
        let rejection = if self.closing {
            Some(RequestOutcome::Closing { may_have_run: false })
        } else if self.queue.len() >= self.config.max_queue {
            Some(RequestOutcome::TooManyRequests)
        } else {
            match self.leader {
                Some(leader) if leader != self.me => Some(RequestOutcome::Redirect(leader)),
                _ => None,
            }
        };
        match rejection {
            Some(answer) => self.out.answer(ticket, answer),
            None => self.enqueue(Waiting {
                ticket: Some(ticket),
                command,
                deadline_ms,
                since_ms: now_ms,
            }),
        }
    }

    /// Takes a request for a change of the members (P12). It gets exactly one answer, once the
    /// change is done: a removed node may be switched off then.
    pub fn change_members(&mut self, now_ms: u64, request: Request<MemberChange>) {
        self.at(now_ms);
        let Request { ticket, command, deadline_ms } = request;
        let refused = if self.closing {
            Some(RequestOutcome::Closing { may_have_run: false })
        } else if self.queue.changes.len() >= MAX_CHANGES {
            Some(RequestOutcome::TooManyRequests)
        } else {
            self.leader.filter(|leader| *leader != self.me).map(RequestOutcome::Redirect)
        };
        match refused {
            Some(answer) => self.out.answer(ticket, answer),
            None => self.queue.changes.push_back(Waiting {
                ticket: Some(ticket),
                command,
                deadline_ms,
                since_ms: now_ms,
            }),
        }
    }

    /// Queues a request as a read or a write.
    fn enqueue(&mut self, waiting: Waiting<M::Command>) {
        if self.machine.is_read_only(&waiting.command) {
            self.queue.reads.push_back(waiting);
        } else {
            self.queue.writes.push_back(waiting);
        }
    }

    /// Notes that the connection of a member ended. This is only a hint: the member counts as alive
    /// again with its next message.
    pub fn unheard(&mut self, now_ms: u64, node: NodeId) {
        self.at(now_ms);
        self.settle();
        self.omega.unheard(node);
        self.undecided = true;
        // The other nodes wait for the report that this node does not hear the leader either.
        self.wants_heartbeats = true;
    }

    /// Sets whether the node leads only if no other node can (Ω), for instance because clients
    /// cannot connect to it. A leader that becomes reluctant steps down at once if another node can
    /// lead.
    pub fn set_reluctant(&mut self, now_ms: u64, is_reluctant: bool) {
        self.at(now_ms);
        if self.omega.set_reluctant(is_reluctant) {
            self.settle();
            self.decide();
            // The other nodes need not wait for the next heartbeat period.
            self.send_heartbeats();
        }
    }

    /// Sets which resources are low at the node. The heartbeats report it.
    pub fn set_low(&mut self, now_ms: u64, low: Low) {
        self.at(now_ms);
        if self.omega.set_low(low) {
            self.settle();
            self.send_heartbeats();
        }
    }

    /// Returns which resources are low at a member or at this node; `None` while the member and
    /// this node do not hear each other.
    pub fn low_of(&self, member: NodeId) -> Option<Low> {
        self.omega.low_of(member)
    }

    /// Returns the highest feature level that all members know, by their last heartbeats. Features
    /// above it must be neither written nor sent. A member that is not heard counts as one of
    /// release 0.1.0.
    pub fn lowest_feature_level(&self) -> FeatureLevel {
        self.omega.lowest_feature_level(self.acceptor.members())
    }

    /// Does what is due at this time: heartbeats, elections, repeated messages, deadlines. The
    /// caller must call it at least every [`Config::heartbeat_ms`].
    pub fn tick(&mut self, now_ms: u64) {
        self.at(now_ms);
        self.settle();
        self.decide();
        self.expire();
        let spares_other_disks = self.spares_other_disks();
        match &mut self.role {
            Role::Follower => {}
            Role::Candidate(recovery) => {
                let slowest_ms = self.omega.slowest_sync_ms(self.acceptor.members());
                let resend_ms = self.config.resend_ms.saturating_add(slowest_ms);
                recovery.resend(&self.acceptor, resend_ms, self.now_ms, &mut self.out);
                let idle_ms = self.now_ms.saturating_sub(recovery.progressed_ms());
                // Three writes: the one that a node has under way, the one that it is asked for,
                // and one to spare.
                let patience_ms = self.writes.past_sync_ms().max(slowest_ms).saturating_mul(3);
                let patience_ms = patience_ms.saturating_add(self.config.unreachable_ms * 2);
                if !self.writes.is_under_way() && idle_ms > patience_ms {
                    self.step_down(Loss::NoProgress);
                }
            }
            Role::Leader(leader) => {
                if !spares_other_disks {
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
        let is_due = self
            .heartbeat_sent_ms
            .is_none_or(|sent_ms| self.now_ms.saturating_sub(sent_ms) >= self.config.heartbeat_ms);
        if is_due {
            self.send_heartbeats();
        }
    }

    /// Sends a heartbeat to all other members, except while the write under way is stalled.
    fn send_heartbeats(&mut self) {
        if self.is_stalled() {
            return;
        }
        self.heartbeat_sent_ms = Some(self.now_ms);
        let ballot = self.role.ballot().filter(|_| !self.closing);
        let (complete, sync_ms) = (self.acceptor.durable_complete(), self.sync_ms());
        let members = self.acceptor.members();
        let mut heartbeat = self.omega.heartbeat(members, OwnState { ballot, complete, sync_ms });
        heartbeat.members_version = self.acceptor.members_version();
        // Other nodes must not wait for a closing node to stand.
        heartbeat.has_quorum &= !self.closing && !self.abstains();
        // A heartbeat promises nothing and reports only what is durable, so it waits for no write.
        let mut others: BTreeSet<NodeId> = members.others(self.me).collect();
        others.extend(heartbeat.hears.iter().copied());
        for node in others {
            self.out.send(node, Message::Heartbeat(heartbeat.clone()));
        }
        self.heartbeat = Some(heartbeat);
        self.flush = self.acceptor.has_records();
    }

    /// Whether the node does not stand, as it handed over to be removed.
    fn abstains(&self) -> bool {
        self.now_ms < self.abstains_until_ms
    }

    /// Lets Ω decide, and stands, steps down or follows accordingly.
    pub(super) fn decide(&mut self) {
        self.undecided = false;
        let ballot = self.role.ballot();
        let complete = self.acceptor.durable().replica.complete();
        let own = OwnState { ballot, complete, sync_ms: self.sync_ms() };
        match self.omega.decide(self.acceptor.members(), own, self.now_ms) {
            Decision::Lead if self.closing || self.abstains() => self.follow(None),
            Decision::Lead => {
                let needs_ballot = match &self.role {
                    Role::Follower => true,
                    Role::Candidate(_) => false,
                    Role::Leader(leader) => {
                        let slowest_ms = self.omega.slowest_sync_ms(self.acceptor.members());
                        let slowest_ms = self.sync_ms().max(slowest_ms);
                        leader.wants_higher_ballot(self.now_ms, slowest_ms)
                    }
                };
                if needs_ballot {
                    self.stand();
                }
            }
            Decision::Follow(leader) => {
                if ballot.is_some() {
                    let yields = self.omega.yields(self.acceptor.members());
                    let no_leader = if yields { Loss::Reluctant } else { Loss::NoQuorum };
                    self.step_down(leader.map_or(no_leader, Loss::Other));
                }
                self.follow(leader);
            }
        }
    }

    /// Stands as a candidate: picks a ballot above every ballot seen, and promises it. `Prepare`
    /// leaves after the write (P1).
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
        let mut recovery = Recovery::new(ballot, complete, self.now_ms);
        recovery.ask(&self.acceptor, &mut self.out);
        self.role = Role::Candidate(Box::new(recovery));
        self.leader = Some(self.me);
        self.send_heartbeats();
    }

    /// Goes on with the recovery as far as the pages that have arrived allow, and leads once it is
    /// over.
    pub(super) fn advance_recovery(&mut self) {
        let Role::Candidate(recovery) = &mut self.role else { return };
        let ballot = recovery.ballot();
        let (acceptor, out, now_ms) = (&mut self.acceptor, &mut self.out, self.now_ms);
        let recovered = match recovery.advance(acceptor, out, now_ms) {
            Step::Waits => return,
            Step::NotAVoter => return self.step_down(Loss::Removed),
            Step::NoProposal => return self.step_down(Loss::NoProposal),
            Step::Finished(recovered) => recovered,
        };
        let leader = Leader::new(ballot, self.config, recovered, acceptor, out, now_ms);
        self.role = Role::Leader(Box::new(leader));
    }

    /// Stops standing or leading. There is no other way to leave these roles.
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
            let outcome = || match self.closing {
                true => RequestOutcome::Closing { may_have_run },
                false => RequestOutcome::LostLeadership { leader: None, may_have_run },
            };
            for ticket in leader.give_up(&mut self.queue) {
                self.out.answer(ticket, outcome());
            }
        }
    }

    /// Notes the leader, and redirects the waiting requests to it if it is another node.
    fn follow(&mut self, leader: Option<NodeId>) {
        self.leader = leader;
        if let Some(leader) = leader.filter(|leader| *leader != self.me) {
            for ticket in self.queue.take_if(|_, _| true) {
                self.out.answer(ticket, RequestOutcome::Redirect(leader));
            }
        }
    }

    /// Answers the requests that are past their deadline, and, without a quorum, those that have
    /// waited for [`Config::hold_ms`].
    fn expire(&mut self) {
        let (now_ms, hold_ms) = (self.now_ms, self.config.hold_ms);
        let has_quorum = self.omega.has_quorum(self.acceptor.members());
        for ticket in self.queue.take_if(|deadline_ms, _| deadline_ms <= now_ms) {
            let answer = if has_quorum {
                RequestOutcome::Timeout { may_have_run: false }
            } else {
                RequestOutcome::Unreachable
            };
            self.out.answer(ticket, answer);
        }
        if !has_quorum {
            let is_overdue = |_, since_ms: u64| now_ms.saturating_sub(since_ms) >= hold_ms;
            for ticket in self.queue.take_if(is_overdue) {
                self.out.answer(ticket, RequestOutcome::Unreachable);
            }
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.expire(now_ms, &mut self.out);
        }
    }

    /// Stops the node: it takes no further requests, answers those that wait, and steps down so
    /// that another node stands at once. The caller must still do the output that follows.
    pub fn close(&mut self, now_ms: u64) {
        self.at(now_ms);
        self.closing = true;
        self.step_down(Loss::Closing);
        for ticket in self.queue.take_if(|_, _| true) {
            self.out.answer(ticket, RequestOutcome::Closing { may_have_run: false });
        }
        self.send_heartbeats();
    }

    /// Returns what the caller must do, after the input since the last output. During a write that
    /// overlaps, the output contains only what does not depend on that write.
    ///
    /// # Panics
    /// When the last output had a write that does not overlap, and [`Node::written`] was not called
    /// for it. After a failed write the node holds state that is not durable, and any message could
    /// reveal it.
    pub fn output(&mut self) -> Output<M> {
        assert!(
            !self.writes.is_awaited(),
            "nothing leaves a node before its last write is durable"
        );
        if self.undecided {
            self.decide();
        }
        if take(&mut self.wants_heartbeats) {
            self.send_heartbeats();
        }
        let mut awaits_write = matches!(&self.role, Role::Candidate(_));
        let may_propose = self.may_propose();
        let (mut may_overlap, is_slow) = (false, self.writes.is_slow(self.now_ms));
        if let Role::Leader(leader) = &mut self.role {
            let (acceptor, out) = (&mut self.acceptor, &mut self.out);
            let (machine, queue) = (&mut self.machine, &mut self.queue);
            leader.run_ahead(machine, queue, acceptor);
            leader.begin(may_propose, queue, &self.omega, acceptor, out, self.now_ms);
            // Other nodes and clients wait for these, so the deferred steps are left to the next
            // output. If reads can run by then, the answers wait too, so that a client of both gets
            // one message.
            let may_read = leader.may_read();
            let has_messages = !out.before_write.is_empty();
            if leader.has_deferred() && (has_messages || !may_read && !out.answers.is_empty()) {
                let out = if may_read { out.take_messages() } else { out.take_independent() };
                return self.without_write(out);
            }
            leader.settle(acceptor);
            leader.answer_reads(machine, acceptor, out);
            leader.answer_changes(acceptor, out);
            awaits_write = leader.awaits_write();
            may_overlap = leader.overlaps() || is_slow;
        }
        self.leave();
        if self.writes.is_overlapped() {
            let out = self.out.take_independent();
            return self.without_write(out);
        }
        let is_write_awaited = awaits_write || !self.out.after_write.is_empty();
        let flushes = take(&mut self.flush);
        let records = match is_write_awaited || flushes {
            true => self.acceptor.take_records(),
            false => Vec::new(),
        };
        let out = take(&mut self.out);
        if records.is_empty() {
            self.without_write(out)
        } else {
            self.write(records, may_overlap, out)
        }
    }

    /// Ends the lead of a leader that is no longer a voter, or that is to be removed (P12).
    fn leave(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        if !self.acceptor.members().is_voter(self.me) {
            self.step_down(Loss::Removed);
            self.send_heartbeats();
        } else if leader.hands_over() {
            self.abstains_until_ms = self.now_ms.saturating_add(self.config.abstain_ms);
            self.step_down(Loss::Removed);
            self.send_heartbeats();
        }
    }

    /// Takes in a member entry that came outside of a ballot, from a node that has promised
    /// `promised` (P12): a node that stands or leads stops first.
    pub(super) fn learn_members(&mut self, promised: Ballot, entry: MemberEntry) {
        if !self.acceptor.durable().replica.is_news(&entry) {
            return;
        }
        if self.role.ballot().is_some() {
            self.step_down(Loss::NewMembers);
        }
        self.omega.see_round(promised.round);
        self.acceptor.learn_members(promised, entry);
        self.flush = true;
        self.undecided = true;
    }

    /// Returns an output without a write: nothing in `out` depends on what is not durable.
    fn without_write(&mut self, out: Outbox<M>) -> Output<M> {
        let Outbox { mut before_write, answers, after_write } = out;
        before_write.extend(after_write);
        Output { applied: self.acceptor.take_applied(), before_write, answers, write: None }
    }

    /// Returns an output with a write of these records.
    fn write(
        &mut self,
        records: Vec<Record<M::Key, M::Value>>,
        may_overlap: bool,
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
            self.writes.begin(records, after_write, may_overlap, contents, applied_bytes, now_ms);
        let write = Some(write);
        Output { applied: self.acceptor.take_applied(), before_write, answers, write }
    }

    /// Notes that the records of a write are durable, and how long that took, in milliseconds.
    ///
    /// Returns the messages that waited for the write; the caller sends them now. The caller then
    /// takes the next output, as the node may have more to do.
    ///
    /// # Panics
    /// When the token is not that of the last write.
    pub fn written(&mut self, token: WriteToken<M>, took_ms: u64) -> Vec<(NodeId, MessageOf<M>)> {
        let (contents, after_write) = self.writes.end(token);
        self.note_sync(took_ms);
        self.acceptor.note_durable(contents.complete);
        match &mut self.role {
            Role::Follower => {}
            Role::Candidate(recovery) if !self.acceptor.has_records() => {
                // The candidate's own promise has no entries, as the replica holds them already.
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
                leader.written(contents.accepted, &mut self.acceptor, &mut self.out);
            }
        }
        after_write
    }
}
