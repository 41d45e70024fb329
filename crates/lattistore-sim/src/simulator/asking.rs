//! What clients do: one request at a time each; they follow redirects, give up, and ask elsewhere.

use std::rc::Rc;

use super::clients::{CommandOf, DONE_HEALED, OutcomeOf};
use super::coverage::Path;
use super::events::Event;
use super::history::Sent;
use super::host::{Input, place_of};
use super::workload::{Ask, Workload};
use super::world::World;
use lattistore::lpaxos::RequestOutcome;

impl<W: Workload> World<W> {
    /// A client thinks of something new (`sent` is none), or loses patience with a request.
    pub(super) fn client(&mut self, client: usize, sent: Option<usize>) {
        let state = &mut self.clients.clients[client];
        match (sent, state.waits_for) {
            (None, None) => {}
            (Some(sent), Some((request, _))) if sent == request => {
                // It will never know from this node.
                state.waits_for = None;
                state.node = self.random.count(0, self.scenario.hosts() - 1);
                let is_numbered = state.wants.as_ref().is_some_and(|ask| ask.is_numbered);
                if is_numbered {
                    self.coverage.reached(Path::RetriedElsewhere);
                } else {
                    state.wants = None;
                }
            }
            _ => return,
        }
        if self.is_healed && self.clients.clients[client].done_healed >= DONE_HEALED {
            return;
        }
        self.ask(client);
    }

    fn ask(&mut self, client: usize) {
        let clients = &mut self.clients;
        let state = &mut clients.clients[client];
        let ask = match state.wants.take() {
            Some(ask) => ask,
            None => {
                state.first = None;
                let Ask { command, is_numbered } = clients.workload.next(client, &mut self.random);
                Ask { command: Rc::new(command), is_numbered }
            }
        };
        let (node, request) = (state.node, clients.sent.len());
        let first = *state.first.get_or_insert(request);
        let command = Rc::clone(&ask.command);
        state.wants = Some(ask);
        state.waits_for = Some((request, node));
        let words = |command: &CommandOf<W>| {
            format!("client {client} asks n{}: request {request}: {}", node + 1, W::words(command))
        };
        self.trace.event(self.now_us, &[6, client as u64, node as u64], || words(&command));
        let began = self.trace.events();
        clients.sent.push(Sent { first, began, ended: None, answer: None });
        clients.senders.push(client);
        let patience_ms = self.scenario.patience_ms;
        let within_ms = self.random.between(patience_ms / 2, 2 * patience_ms);
        self.give(node, Input::Request(request, command, within_ms));
        self.plan(patience_ms * 1_000, Event::Client { client, sent: Some(request) });
    }

    /// Takes a node's answer to a request; it may be lost on the way to the client.
    pub(super) fn took(
        &mut self,
        request: usize,
        answer: RequestOutcome<OutcomeOf<W>>,
        is_lost: bool,
    ) -> Result<(), String> {
        let nodes = self.scenario.hosts();
        let Some(sent) = self.clients.sent.get_mut(request) else {
            return Err(format!("request {request} was answered and never sent"));
        };
        if sent.answer.is_some() {
            return Err(format!("request {request} was answered twice"));
        }
        sent.answer = Some(answer.clone());
        let client = self.clients.senders[request];
        let state = &mut self.clients.clients[client];
        if is_lost || state.waits_for.is_none_or(|(waits_for, _)| waits_for != request) {
            return Ok(());
        }
        sent.ended = Some(self.trace.events());
        state.waits_for = None;
        let mut after_us = self.random.between(0, self.scenario.think_us);
        match answer {
            RequestOutcome::Done(outcome) => {
                state.wants = None;
                state.done_healed += u64::from(self.is_healed);
                self.clients.workload.answered(client, &outcome);
            }
            RequestOutcome::Redirect(leader) => {
                state.node = place_of(leader);
                after_us /= 10;
            }
            answer => {
                state.node = self.random.count(0, nodes - 1);
                let may_have_run = matches!(
                    answer,
                    RequestOutcome::LostLeadership { may_have_run: true, .. }
                        | RequestOutcome::Timeout { may_have_run: true }
                        | RequestOutcome::Closing { may_have_run: true }
                );
                if may_have_run && state.wants.as_ref().is_some_and(|ask| !ask.is_numbered) {
                    state.wants = None;
                }
            }
        }
        self.plan(after_us.max(100), Event::Client { client, sent: None });
        Ok(())
    }
}
