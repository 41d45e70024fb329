//! What leaves the nodes: messages, which may be lost, delayed or repeated, and answers to clients.

use std::sync::Arc;

use super::clients::OutcomeOf;
use super::coverage::Path;
use super::durability;
use super::events::Event;
use super::host::{Key, Msg, Value};
use super::ids::place_of;
use super::protocol_coverage;
use super::workload::Workload;
use super::world::World;
use lattistore::lpaxos::{Accept, Message, NodeId, RequestOutcome, Slot, ToAcceptor};

impl<W: Workload> World<W> {
    /// Checks the messages of a node and sends them.
    ///
    /// # Errors
    /// When a message breaks a rule by leaving.
    pub(super) fn send_all(
        &mut self,
        from: usize,
        messages: Vec<(NodeId, Msg<W>)>,
    ) -> Result<(), String> {
        for (to, message) in messages {
            let disk = &self.hosts[from].disk;
            let complete = self.hosts[from]
                .node
                .as_ref()
                .map_or(Slot::ZERO, |running| running.durable().replica.complete());
            durability::check_message(&message, disk)
                .and_then(|()| self.promise_pages.leaves(from, &message, disk))
                .and_then(|()| self.full_copies.leaves(from, &message, &mut self.coverage))
                .and_then(|()| self.check_member_rules(from, to, &message))
                .map_err(|why| format!("n{}: {why}", from + 1))?;
            let last = self.model.last();
            self.read_confirmations.leaves(from, complete, last, &message);
            if self.recoveries.leaves(from, &message) {
                self.coverage.reached(Path::RecoveryAskedAgain);
            }
            if let Message::Acceptor(ToAcceptor::Prepare(prepare)) = &message {
                self.ballots.insert(prepare.ballot);
            }
            match &message {
                Message::Acceptor(ToAcceptor::Accept(accept)) => {
                    self.check_proposal(from, accept)?
                }
                Message::Heartbeat(_) if self.hosts[from].writing.is_some() => {
                    self.coverage.reached(Path::HeartbeatDuringWrite);
                }
                Message::Acceptor(ToAcceptor::Prepare(_)) if self.hosts[from].led => {
                    self.coverage.reached(Path::LeaderStoodAgain);
                }
                Message::Refused(refused) if refused.promised > refused.ballot => {
                    self.refused.insert(refused.ballot);
                }
                _ => {}
            }
            protocol_coverage::message(&message, &mut self.coverage);
            self.send(from, place_of(to), message);
        }
        Ok(())
    }

    fn check_proposal(
        &mut self,
        from: usize,
        accept: &Accept<Key<W>, Value<W>>,
    ) -> Result<(), String> {
        let Accept { ballot, slot, decree, .. } = accept;
        self.model.proposed(*slot).map_err(|why| format!("n{}: {why}", from + 1))?;
        if let Some(members) = &decree.members {
            self.operator.proposed.push((*slot, members.clone()));
        }
        if self.change_of_voters(accept).is_some() {
            self.change_is_proposed(from, accept.id());
        }
        let proposed = self.proposed.get(&(Arc::as_ptr(&decree.patch) as usize));
        if proposed.is_some_and(|(_, first_ballot, _)| first_ballot != ballot)
            && self.recovered.insert(*slot)
        {
            self.coverage.reached(Path::Recovered);
            if decree.members.is_some() {
                self.coverage.reached(Path::RecoveredChange);
            }
            let is_news = *slot > self.model.last();
            self.coverage.reached(if is_news { Path::RecoveredNews } else { Path::RecoveredOwn });
        }
        Ok(())
    }

    fn send(&mut self, from: usize, to: usize, message: Msg<W>) {
        if !self.links.work(from, to) {
            return self.lose(from, to, message, Path::MessageCut);
        }
        if self.is_held_back(&message) {
            return self.lose(from, to, message, Path::MessageLost);
        }
        self.release(to, &message);
        let (loss, repeat, delay) = if self.is_healed {
            (0, 0, 0)
        } else {
            (self.scenario.loss, self.scenario.repeat, self.scenario.delay)
        };
        if self.random.happens(loss) {
            return self.lose(from, to, message, Path::MessageLost);
        }
        if self.random.happens(repeat) {
            self.coverage.reached(Path::MessageRepeated);
            self.send_once(from, to, message.clone(), delay);
        }
        self.send_once(from, to, message, delay);
    }

    fn send_once(&mut self, from: usize, to: usize, message: Msg<W>, delay: u64) {
        let (low, high) = self.scenario.message_us;
        let mut after_us = self.random.between(low, high);
        if self.random.happens(delay) {
            self.coverage.reached(Path::MessageLate);
            after_us *= self.random.between(2, 200);
        }
        self.plan(after_us, Event::Arrive { from, to, message });
    }

    /// Sends a client its answer, which may be lost.
    pub(super) fn answer(
        &mut self,
        node: usize,
        request: usize,
        answer: RequestOutcome<OutcomeOf<W>>,
    ) -> Result<(), String> {
        protocol_coverage::answer(&answer, &mut self.coverage);
        self.note(&[5, node as u64, request as u64], || {
            format!("n{} answers request {request}: {answer:?}", node + 1)
        });
        let is_lost = !self.is_healed && self.random.happens(self.scenario.answer_loss);
        if is_lost {
            self.coverage.reached(Path::AnswerLost);
        }
        self.deliver_answer(request, answer, is_lost)
    }
}
