//! The leader's proposals: the one in flight, the chosen decree that is not yet applied here, and
//! the batch that becomes the next proposal (P4, P6, P7, P9).
//!
//! Invariant: slot s+1 is proposed only when slot s is chosen, and its decree was computed on
//! exactly the chosen decrees 1..s. Invariant: no request is answered before the proposal that was
//! recovered is chosen in this ballot.

use super::acceptor::Acceptor;
use super::batch::Before;
use super::config::Config;
use super::machine::{DecreeOf, Machine};
use super::members::{MemberSet, VoteSet};
use super::message::{Accept, Commit, NewerEntries, Previous};
use super::open_batch::{OpenBatch, PendingAnswer};
use super::outbox::Outbox;
use super::patch::{Decree, Proposal};
use super::peer_progress::{PeerProgress, Peers};
use super::requests::{Queue, Ticket};
use super::window::Window;
use crate::numbers::{Ballot, NodeId, ProposalId, Slot};

/// The proposal in flight.
#[derive(Debug)]
struct InFlight<M: Machine> {
    slot: Slot,
    decree: DecreeOf<M>,
    votes: VoteSet,
    /// The answers to the requests of the batch.
    batch: Vec<PendingAnswer<M::Outcome>>,
    /// When it was first sent.
    since_ms: u64,
    /// Whether this node has accepted it, durably or not.
    accepted_here: bool,
}

/// What stands in for the decree of the slot before the first one (P3).
#[derive(Debug)]
enum BeforeFirst<M: Machine> {
    /// No node has needed it yet.
    NotRead,
    Entries(NewerEntries<M::Key, M::Value>),
    /// More than a message takes: a node that lacks it gets a copy (P10).
    TooLarge,
}

impl<M: Machine> InFlight<M> {
    fn new(
        slot: Slot,
        decree: DecreeOf<M>,
        members: MemberSet,
        batch: Vec<PendingAnswer<M::Outcome>>,
        since_ms: u64,
    ) -> InFlight<M> {
        let votes = VoteSet::new(members);
        InFlight { slot, decree, votes, batch, since_ms, accepted_here: false }
    }
}

/// The proposals of one ballot.
#[derive(Debug)]
pub(super) struct Proposals<M: Machine> {
    ballot: Ballot,
    config: Config,
    /// The first slot proposed in this ballot. The decree before it was chosen in another ballot.
    first_slot: Slot,
    before_first: BeforeFirst<M>,
    /// Whether clients may be answered: no proposal was recovered, or it is chosen in this ballot.
    ready: bool,
    in_flight: Option<InFlight<M>>,
    /// The chosen decree that is not yet applied here, with its slot.
    chosen: Option<(Slot, DecreeOf<M>)>,
    /// The batch that becomes the next proposal.
    next: OpenBatch<M>,
    /// Whether the next proposal waits for more requests.
    held: bool,
    /// Whether the leader was busy (see [`Proposals::is_busy`]) when the last proposal was chosen.
    was_busy: bool,
}

impl<M: Machine> Proposals<M> {
    /// Returns the proposals of a ballot before the first one, which will be that of `first_slot`.
    pub(super) fn new(ballot: Ballot, config: Config, first_slot: Slot) -> Proposals<M> {
        Proposals {
            ballot,
            config,
            first_slot,
            before_first: BeforeFirst::NotRead,
            ready: true,
            in_flight: None,
            chosen: None,
            next: OpenBatch::default(),
            held: false,
            was_busy: false,
        }
    }

    /// Proposes the recovered decree again (P3, end). No client is answered before it is chosen.
    pub(super) fn propose_recovered(
        &mut self,
        proposal: Proposal<M::Key, M::Value>,
        members: MemberSet,
        peers: &mut Peers,
        window: &Window<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        self.ready = false;
        let (slot, decree) = (proposal.slot, proposal.decree);
        self.send(InFlight::new(slot, decree, members, Vec::new(), now_ms), peers, window, out);
    }

    /// Reads the own entries that stand in for the decree of the slot before the first one (P3).
    /// Returns whether they fit a message.
    pub(super) fn read_before_first(&mut self, acceptor: &Acceptor<M>) -> bool {
        if let BeforeFirst::NotRead = self.before_first {
            self.before_first = match acceptor.newer_entries(self.first_slot.previous()) {
                Some(newer) => BeforeFirst::Entries(newer),
                None => BeforeFirst::TooLarge,
            };
        }
        matches!(self.before_first, BeforeFirst::Entries(_))
    }

    /// Returns what an acceptor that lacks the decree before `slot` is sent of it.
    fn previous(&self, slot: Slot, window: &Window<M>) -> Option<Previous<M::Key, M::Value>> {
        match &self.before_first {
            BeforeFirst::Entries(newer) if slot == self.first_slot => {
                Some(Previous::Entries(newer.clone()))
            }
            _ if slot == self.first_slot => None,
            _ => window.get(slot.previous()).cloned().map(Previous::Decree),
        }
    }

    /// Whether clients may be answered.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether no proposal is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_none()
    }

    /// Returns when the proposal in flight was first sent.
    pub(super) fn in_flight_since_ms(&self) -> Option<u64> {
        self.in_flight.as_ref().map(|in_flight| in_flight.since_ms)
    }

    /// Whether a batch could be proposed at once.
    pub(super) fn could_begin(&self, may_propose: bool) -> bool {
        self.in_flight.is_none() && may_propose && !self.held
    }

    /// Sets whether the next proposal waits for more requests.
    pub(super) fn hold(&mut self, is_held: bool) {
        self.held = is_held;
    }

    /// Whether at least [`Config::busy_batch`] requests are in flight, so that reads should wait
    /// for the next proposal (P8). While nothing is in flight because the next proposal is held,
    /// whether that was so for the last proposal.
    pub(super) fn is_busy(&self) -> bool {
        self.has_in_flight(self.config.busy_batch)
            || self.in_flight.is_none() && self.held && self.was_busy
    }

    /// Whether at least [`Config::overlapping_batch`] requests are in flight.
    pub(super) fn overlaps(&self) -> bool {
        self.has_in_flight(self.config.overlapping_batch)
    }

    /// Whether a proposal of at least `min` requests is in flight.
    fn has_in_flight(&self, min: usize) -> bool {
        self.requests_in_flight() >= min && self.in_flight.is_some()
    }

    /// Returns the number of requests in the proposal in flight.
    pub(super) fn requests_in_flight(&self) -> usize {
        self.in_flight.as_ref().map_or(0, |in_flight| in_flight.batch.len())
    }

    /// Returns the number of requests that wait for the next proposal, including those that ran.
    pub(super) fn waiting(&self, queue: &Queue<M::Command>) -> usize {
        let reads = if self.was_busy { queue.reads.len() } else { 0 };
        self.next.len() + queue.writes.len() + reads
    }

    /// Whether the next batch takes no further request.
    pub(super) fn next_is_full(&self) -> bool {
        self.next.is_full(&self.config)
    }

    /// Runs the waiting writes for the slot after the one that is in flight or chosen (P6).
    pub(super) fn run_ahead(
        &mut self,
        machine: &mut M,
        queue: &mut Queue<M::Command>,
        acceptor: &Acceptor<M>,
    ) {
        let in_flight = self.in_flight.as_ref();
        let in_flight = in_flight.map(|in_flight| (in_flight.slot, &in_flight.decree.patch));
        let chosen = self.chosen.as_ref().map(|(slot, decree)| (*slot, &decree.patch));
        // With both, the replica would be two decrees behind, and a batch runs on one at most.
        if in_flight.is_some() && chosen.is_some() {
            return;
        }
        let before = in_flight.or(chosen).map(|(slot, patch)| Before { slot, patch });
        self.next.run(machine, queue, &acceptor.durable().replica, before, &self.config);
    }

    /// Returns the slot of the next proposal.
    pub(super) fn next_slot(&self, acceptor: &Acceptor<M>) -> Slot {
        let applied = acceptor.durable().replica.complete();
        self.chosen.as_ref().map_or(applied, |(slot, _)| *slot).next()
    }

    /// Whether the members are still the founders, which the next decree has to name (P12).
    pub(super) fn lacks_member_entry(&self, acceptor: &Acceptor<M>) -> bool {
        let sets = |decree: &DecreeOf<M>| decree.members.is_some();
        acceptor.members_version() == Slot::ZERO
            && !self.chosen.as_ref().is_some_and(|(_, decree)| sets(decree))
    }

    /// Proposes the batch that ran and the change of the `members`, unless a proposal is in flight,
    /// there is neither, or the batch is held and has room (P6). Returns whether it did.
    pub(super) fn propose(
        &mut self,
        members: Option<MemberSet>,
        acceptor: &Acceptor<M>,
        peers: &mut Peers,
        window: &Window<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) -> bool {
        let waits = self.next.is_empty() || self.held && !self.next_is_full();
        if self.in_flight.is_some() || waits && members.is_none() {
            return false;
        }
        let replica = &acceptor.durable().replica;
        let chosen = self.chosen.as_ref();
        let before = chosen.map(|(slot, decree)| Before { slot: *slot, patch: &decree.patch });
        let slot = self.next_slot(acceptor);
        let (patch, batch) = self.next.close(replica, before);
        let deciding = self.members_of_next(acceptor);
        let in_flight = InFlight::new(slot, Decree { patch, members }, deciding, batch, now_ms);
        self.send(in_flight, peers, window, out);
        true
    }

    /// Returns the members that decide the slot after the last chosen one, which may not be applied
    /// here yet.
    pub(super) fn members_of_next(&self, acceptor: &Acceptor<M>) -> MemberSet {
        let chosen = self.chosen.as_ref().and_then(|(_, decree)| decree.members.as_ref());
        chosen.unwrap_or_else(|| acceptor.members()).clone()
    }

    /// Sends the proposal to all other nodes, except those with slow writes that are behind
    /// ([`PeerProgress::is_behind`]). Accepting it here is deferred.
    ///
    /// `Accept` leaves before the leader's own vote is durable, so the others may vote first. That
    /// is safe: the leader never proposes another decree for this slot in this ballot, because
    /// after a restart it must pick a higher ballot.
    fn send(
        &mut self,
        in_flight: InFlight<M>,
        peers: &mut Peers,
        window: &Window<M>,
        out: &mut Outbox<M>,
    ) {
        let slot = in_flight.slot;
        for (node, peer) in peers {
            if peer.sync_ms >= self.config.slow_write_ms && peer.is_behind(slot) {
                continue;
            }
            peer.sent_ms = in_flight.since_ms;
            // At the first slot no peer has accepted anything in this ballot, so a peer that lacks
            // the decree before it receives what stands in for that. At later slots a peer that
            // voted for the slot before holds its decree.
            let lacks = slot == self.first_slot
                && peer.complete < Some(slot.previous())
                && peer.accepted.slot < slot;
            let previous = self.previous(slot, window).filter(|_| lacks);
            let previous = previous.unwrap_or(Previous::Held(self.ballot));
            out.send(*node, accept(self.ballot, &in_flight, previous));
        }
        self.in_flight = Some(in_flight);
    }

    /// Whether a step is deferred (see `leader.rs`).
    pub(super) fn has_deferred(&self) -> bool {
        let in_flight = self.in_flight.as_ref();
        self.chosen.is_some() || in_flight.is_some_and(|in_flight| !in_flight.accepted_here)
    }

    /// Does the deferred steps: applies the chosen decree (P5) and accepts the proposal in flight
    /// (P4).
    pub(super) fn settle(&mut self, acceptor: &mut Acceptor<M>, window: &mut Window<M>) {
        let ballot = self.ballot;
        if let Some((slot, decree)) = self.chosen.take() {
            assert!(
                acceptor.durable().accepted_id() == (ProposalId { ballot, slot }),
                "the leader has accepted the proposal that was chosen"
            );
            acceptor.apply_accepted();
            window.push(decree);
        }
        if let Some(in_flight) = self.in_flight.as_mut().filter(|it| !it.accepted_here) {
            in_flight.accepted_here = true;
            let (slot, decree) = (in_flight.slot, in_flight.decree.clone());
            acceptor.on_accept(Accept { ballot, slot, decree, previous: Previous::Held(ballot) });
            assert!(
                acceptor.durable().accepted_id() == (ProposalId { ballot, slot }),
                "the leader accepts its own proposal"
            );
        }
    }

    /// Whether the leader is a voter, and its own vote for the proposal in flight is not durable
    /// yet.
    pub(super) fn awaits_write(&self) -> bool {
        let in_flight = self.in_flight.as_ref();
        in_flight.is_some_and(|in_flight| in_flight.votes.lacks(self.ballot.node))
    }

    /// Counts the leader's own vote if `durable`, the accepted proposal that is durable, is the
    /// proposal in flight. Returns whether that is now chosen.
    pub(super) fn on_own_vote(&mut self, durable: ProposalId) -> bool {
        durable.ballot == self.ballot && self.on_vote(self.ballot.node, durable.slot)
    }

    /// Counts a vote for the proposal of this slot (P4). Returns whether that is now chosen.
    pub(super) fn on_vote(&mut self, from: NodeId, slot: Slot) -> bool {
        let Some(in_flight) = self.in_flight.as_mut().filter(|it| it.slot == slot) else {
            return false;
        };
        in_flight.votes.insert(from);
        in_flight.votes.has_majority()
    }

    /// Notes that the proposal in flight is chosen, and answers its requests (P7). Applying it here
    /// is deferred. Returns the slot, if its decree sets the members.
    pub(super) fn choose(&mut self, out: &mut Outbox<M>) -> Option<Slot> {
        self.was_busy = self.is_busy();
        let InFlight { slot, decree, batch, .. } = self.in_flight.take()?;
        let sets_members = decree.members.is_some();
        self.chosen = Some((slot, decree));
        self.ready = true;
        batch.into_iter().for_each(|answer| answer.send(out));
        sets_members.then_some(slot)
    }

    /// Sends the proposal of this slot again, together with the decree of the slot before it (P4).
    /// Returns whether the node needs a copy instead: what stands in for that decree does not fit a
    /// message (P3).
    pub(super) fn send_with_previous(
        &mut self,
        to: NodeId,
        slot: Slot,
        acceptor: &Acceptor<M>,
        window: &Window<M>,
        out: &mut Outbox<M>,
    ) -> bool {
        if self.in_flight.as_ref().is_none_or(|in_flight| in_flight.slot != slot) {
            return false;
        }
        let fits = slot != self.first_slot || self.read_before_first(acceptor);
        if let (Some(in_flight), Some(previous)) = (&self.in_flight, self.previous(slot, window)) {
            out.send(to, accept(self.ballot, in_flight, previous));
        }
        !fits
    }

    /// Sends the proposal in flight again to a node that has not voted for it. While none is in
    /// flight, sends `Commit` to a node that has accepted the last `chosen` slot in this ballot
    /// (P9), if `may_commit`.
    pub(super) fn resend(
        &self,
        to: NodeId,
        peer: &mut PeerProgress,
        chosen: Slot,
        may_commit: bool,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        let ballot = self.ballot;
        if let Some(in_flight) = &self.in_flight {
            if peer.accepted != (ProposalId { ballot, slot: in_flight.slot }) {
                peer.sent_ms = now_ms;
                out.send(to, accept(ballot, in_flight, Previous::Held(ballot)));
            }
        } else if may_commit
            && peer.complete < Some(chosen)
            && peer.accepted == (ProposalId { ballot, slot: chosen })
        {
            peer.sent_ms = now_ms;
            out.send(to, Commit { ballot, slot: chosen });
        }
    }

    /// Answers the requests that are past their deadline.
    pub(super) fn expire(&mut self, now_ms: u64, out: &mut Outbox<M>) {
        for answer in self.in_flight.iter_mut().flat_map(|in_flight| &mut in_flight.batch) {
            answer.expire(now_ms, out);
        }
        self.next.expire(now_ms, out);
    }

    /// Returns the requests of the next batch to the queue, and returns the requests of the
    /// proposal in flight.
    pub(super) fn give_up(self, queue: &mut Queue<M::Command>) -> Vec<Ticket> {
        self.next.requeue(queue);
        let batch = self.in_flight.into_iter().flat_map(|in_flight| in_flight.batch);
        batch.filter_map(PendingAnswer::ticket).collect()
    }
}

/// Returns the `Accept` message of a proposal.
fn accept<M: Machine>(
    ballot: Ballot,
    in_flight: &InFlight<M>,
    previous: Previous<M::Key, M::Value>,
) -> Accept<M::Key, M::Value> {
    Accept { ballot, slot: in_flight.slot, decree: in_flight.decree.clone(), previous }
}
