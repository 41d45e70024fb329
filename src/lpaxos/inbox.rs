//! What a node does with each message: it passes the message on to the role that it is for.
//!
//! Invariant: no message causes a panic, whatever it contains.

use super::machine::{Machine, MessageOf};
use super::message::{Heartbeat, Message, Refused, ToAcceptor, ToCandidate, ToLeader};
use super::node::{Node, Role};
use super::story::Loss;
use crate::numbers::NodeId;

impl<M: Machine> Node<M> {
    /// Handles a message from the node `from`.
    ///
    /// A message from a node that is not another member is ignored, and so is a message that holds
    /// a member set: no node changes the set yet, so only a faulty node would send one.
    pub fn message(&mut self, now_ms: u64, from: NodeId, message: MessageOf<M>) {
        self.at(now_ms);
        let is_member = from != self.me && self.acceptor.members().contains(from);
        if !is_member || message.has_members() {
            return;
        }
        self.omega.heard(from);
        if !may_precede_settling(&message) {
            self.settle();
        }
        match message {
            Message::Heartbeat(heartbeat) => self.on_heartbeat(from, heartbeat),
            Message::Acceptor(message) => self.on_acceptor_message(from, message),
            Message::Candidate(message) => self.on_candidate_message(from, message),
            Message::Leader(message) => self.on_leader_message(from, message),
            Message::Refused(refused) => self.on_refused(from, &refused),
        }
    }

    fn on_heartbeat(&mut self, from: NodeId, heartbeat: Heartbeat) {
        let complete = heartbeat.complete;
        self.omega.on_heartbeat(from, heartbeat);
        if let Role::Leader(leader) = &mut self.role {
            leader.told_complete(from, complete);
        }
        self.undecided = true;
    }

    /// Handles a request of the owner of a ballot; the same from another node is ignored.
    fn on_acceptor_message(&mut self, from: NodeId, message: ToAcceptor<M::Key, M::Value>) {
        let ballot = message.ballot();
        if ballot.node != from {
            return;
        }
        self.omega.see_round(ballot.round);
        let acceptor = &mut self.acceptor;
        let reply = match message {
            ToAcceptor::Prepare(prepare) => acceptor.on_prepare(&prepare),
            ToAcceptor::FetchPage(fetch) => acceptor.on_fetch_page(fetch),
            ToAcceptor::Accept(accept) => acceptor.on_accept(accept),
            ToAcceptor::Confirm(confirm) => acceptor.on_confirm(&confirm),
            ToAcceptor::Commit(commit) => acceptor.on_commit(&commit),
            ToAcceptor::RepairPatches(repair) => acceptor.on_repair_patches(repair),
            ToAcceptor::RepairPage(repair) => acceptor.on_repair_page(repair),
        };
        if let Some(reply) = reply {
            self.out.send_after_write(from, reply);
        }
        if self.role.ballot().is_some_and(|own| own < self.acceptor.durable().promised) {
            self.step_down(Loss::HigherBallot);
        }
    }

    fn on_candidate_message(&mut self, from: NodeId, message: ToCandidate<M::Key, M::Value>) {
        let Role::Candidate(recovery) = &mut self.role else { return };
        match message {
            ToCandidate::Promise(promise) => {
                recovery.on_promise(from, promise, self.now_ms);
            }
            ToCandidate::PromisePage(page) => recovery.on_page(from, page, self.now_ms),
        }
        self.advance_recovery();
    }

    fn on_leader_message(&mut self, from: NodeId, message: ToLeader<M::Key>) {
        let Role::Leader(leader) = &mut self.role else { return };
        if message.ballot() != leader.ballot {
            return;
        }
        let (acceptor, out, now_ms) = (&mut self.acceptor, &mut self.out, self.now_ms);
        match message {
            ToLeader::Accepted(accepted) => leader.on_accepted(from, &accepted, acceptor, out),
            ToLeader::NeedPrevious(need) => leader.on_need_previous(from, &need, acceptor, out),
            ToLeader::Confirmed(confirmed) => leader.on_confirmed(from, &confirmed),
            ToLeader::PageMerged(merged) => {
                leader.on_page_merged(from, merged, acceptor, out, now_ms);
            }
            ToLeader::Progress(progress) => {
                leader.on_progress(from, &progress, acceptor, out, now_ms);
            }
        }
    }

    fn on_refused(&mut self, from: NodeId, refused: &Refused) {
        self.omega.see_round(refused.promised.round);
        if self.role.ballot() != Some(refused.ballot) {
            return;
        }
        let is_lost = match &mut self.role {
            Role::Follower => false,
            Role::Candidate(recovery) => recovery.on_refused(from, refused.promised),
            Role::Leader(leader) => leader.on_refused(from, refused.promised),
        };
        if is_lost {
            self.step_down(Loss::HigherBallot);
        }
    }
}

/// Whether a leader may handle the message before it has applied what is chosen and accepted its
/// own proposal, steps that it defers (see `leader.rs`).
///
/// It may for heartbeats, which do not touch the acceptor, and for votes, for which it waits.
fn may_precede_settling<K, V>(message: &Message<K, V>) -> bool {
    match message {
        Message::Heartbeat(_) => true,
        Message::Leader(ToLeader::Accepted(_) | ToLeader::Confirmed(_)) => true,
        Message::Leader(
            ToLeader::NeedPrevious(_) | ToLeader::PageMerged(_) | ToLeader::Progress(_),
        )
        | Message::Acceptor(_)
        | Message::Candidate(_)
        | Message::Refused(_) => false,
    }
}
