//! What a node does with each message of the others: who it is for, and what it may change.
//!
//! Invariant: no message panics here, whatever it says.

use super::acceptor::MessageOf;
use super::ballot::{NodeId, Slot};
use super::leader::Leader;
use super::machine::Machine;
use super::message::Message;
use super::node::{Node, Role};
use super::story::Loss;

impl<M: Machine> Node<M> {
    /// Takes a message of another member. Messages of anybody else are ignored.
    pub fn message(&mut self, now_ms: u64, from: NodeId, message: MessageOf<M>) {
        self.at(now_ms);
        if from == self.me || !self.members.contains(from) {
            return;
        }
        self.omega.heard(from);
        // These change nothing that a leader owes, and are what it waits for.
        let votes = matches!(&message, Message::Accepted(_) | Message::Confirmed(_));
        if !votes && !matches!(&message, Message::Heartbeat(_)) {
            self.settle();
        }
        match message {
            Message::Heartbeat(heartbeat) => {
                let complete = heartbeat.complete;
                self.omega.on_heartbeat(from, heartbeat);
                if let Role::Leader(leader) = &mut self.role
                    && let Some(peer) = leader.peers.get_mut(&from)
                {
                    peer.told_complete(complete);
                }
                self.undecided = true;
            }
            Message::Promise(_) | Message::PromisePage(_) => {
                self.on_recovery_message(from, message)
            }
            Message::Accepted(_)
            | Message::NeedPrevious(_)
            | Message::Confirmed(_)
            | Message::PageMerged(_)
            | Message::Progress(_)
            | Message::Refused(_) => self.on_leader_message(from, message),
            Message::Prepare(_)
            | Message::FetchPage(_)
            | Message::Accept(_)
            | Message::Confirm(_)
            | Message::Commit(_)
            | Message::RepairPatches(_)
            | Message::RepairPage(_) => self.on_acceptor_message(from, message),
        }
    }

    /// Messages to the acceptor. Only the owner of a ballot may speak for it.
    fn on_acceptor_message(&mut self, from: NodeId, message: MessageOf<M>) {
        let Some(ballot) = message.ballot().filter(|ballot| ballot.node == from) else { return };
        self.omega.see_round(ballot.round);
        let reply = match message {
            Message::Prepare(prepare) => self.acceptor.on_prepare(&prepare),
            Message::FetchPage(fetch) => self.acceptor.on_fetch_page(fetch),
            Message::Accept(accept) if accept.slot > Slot::ZERO => self.acceptor.on_accept(accept),
            Message::Confirm(confirm) => self.acceptor.on_confirm(confirm),
            Message::Commit(commit) => self.acceptor.on_commit(&commit),
            Message::RepairPatches(repair) => self.acceptor.on_repair_patches(&repair),
            Message::RepairPage(repair) => self.acceptor.on_repair_page(repair),
            _ => None,
        };
        if let Some(reply) = reply {
            self.out.late.push((from, reply));
        }
        if self.role.ballot().is_some_and(|own| own < self.acceptor.durable().promised) {
            self.step_down(Loss::HigherBallot);
        }
    }

    fn on_recovery_message(&mut self, from: NodeId, message: MessageOf<M>) {
        let Role::Candidate(recovery) = &mut self.role else { return };
        match message {
            Message::Promise(promise) => {
                recovery.on_promise(from, promise, self.members.majority(), self.now_ms);
            }
            Message::PromisePage(page) => recovery.on_page(from, page, self.now_ms),
            _ => return,
        }
        self.advance_recovery();
    }

    pub(super) fn advance_recovery(&mut self) {
        let Role::Candidate(recovery) = &mut self.role else { return };
        let ballot = recovery.ballot();
        let Some(recovered) = recovery.advance(&mut self.acceptor, &mut self.out, self.now_ms)
        else {
            return;
        };
        self.role = Role::Leader(Box::new(Leader::new(
            ballot,
            self.members.clone(),
            self.config,
            recovered,
            &mut self.acceptor,
            &mut self.out,
            self.now_ms,
        )));
    }

    fn on_leader_message(&mut self, from: NodeId, message: MessageOf<M>) {
        if let Message::Refused(refused) = &message {
            self.omega.see_round(refused.promised.round);
            if self.role.ballot() != Some(refused.ballot) {
                return;
            }
        }
        let (acceptor, out, now_ms) = (&mut self.acceptor, &mut self.out, self.now_ms);
        let lost = match (&mut self.role, message) {
            (Role::Candidate(recovery), Message::Refused(refused)) => {
                recovery.on_refused(from, refused.promised, &self.members)
            }
            (Role::Leader(leader), message) => match message {
                Message::Refused(refused) => leader.on_refused(from, refused.promised),
                Message::Accepted(accepted) => {
                    leader.on_accepted(from, &accepted, acceptor, out);
                    false
                }
                Message::NeedPrevious(need) => {
                    leader.on_need_previous(from, &need, acceptor, out);
                    false
                }
                Message::Confirmed(confirmed) => {
                    leader.on_confirmed(from, &confirmed);
                    false
                }
                Message::PageMerged(merged) => {
                    leader.on_page_merged(from, merged, acceptor, out, now_ms);
                    false
                }
                Message::Progress(progress) => {
                    leader.on_progress(from, &progress, acceptor, out, now_ms);
                    false
                }
                _ => false,
            },
            _ => false,
        };
        if lost {
            self.step_down(Loss::HigherBallot);
        }
    }
}
