//! What simulated clients do: they send requests, take answers, follow redirects and give up.

use std::rc::Rc;

use super::answers::Sent;
use super::clients::{ANSWERS_AFTER_HEAL, OutcomeOf};
use super::coverage::Path;
use super::events::Event;
use super::host::Input;
use super::ids::place_of;
use super::workload::{ClientCommand, Workload};
use super::world::World;
use lattistore::lpaxos::RequestOutcome;

impl<W: Workload> World<W> {
    /// Lets a client send its next request (`sent` is `None`), or give up waiting for the answer to
    /// `sent`.
    pub(super) fn client(&mut self, client: usize, sent: Option<usize>) {
        let state = &mut self.clients.clients[client];
        match (sent, state.in_flight) {
            (None, None) => {}
            (Some(sent), Some((request, _))) if sent == request => {
                // The client ignores an answer of this node from here on.
                state.in_flight = None;
                state.node = self.random.count(0, self.scenario.hosts() - 1);
                let is_numbered = state.pending.as_ref().is_some_and(|pending| pending.is_numbered);
                if is_numbered {
                    self.coverage.reached(Path::RetriedElsewhere);
                } else {
                    state.pending = None;
                }
            }
            _ => return,
        }
        if self.is_healed && self.clients.clients[client].answers_after_heal >= ANSWERS_AFTER_HEAL {
            return;
        }
        self.ask(client);
    }

    /// Sends the pending command, or draws and sends the next one.
    fn ask(&mut self, client: usize) {
        let clients = &mut self.clients;
        let state = &mut clients.clients[client];
        let pending = match state.pending.take() {
            Some(pending) => pending,
            None => {
                state.first = None;
                let ClientCommand { command, is_numbered } =
                    clients.workload.next(client, &mut self.random);
                ClientCommand { command: Rc::new(command), is_numbered }
            }
        };
        let (node, request) = (state.node, clients.sent.len());
        let first = *state.first.get_or_insert(request);
        let command = Rc::clone(&pending.command);
        state.pending = Some(pending);
        state.in_flight = Some((request, node));
        self.trace.event(self.now_us, &[6, client as u64, node as u64], || {
            let command = W::describe(&command);
            format!("client {client} asks n{}: request {request}: {command}", node + 1)
        });
        let began = self.trace.events();
        clients.sent.push(Sent { first, began, ended: None, answer: None });
        clients.senders.push(client);
        let patience_ms = self.scenario.patience_ms;
        let within_ms = self.random.between(patience_ms / 2, 2 * patience_ms);
        self.put_input(node, Input::Request(request, command, within_ms));
        self.plan(patience_ms * 1_000, Event::Client { client, sent: Some(request) });
    }

    /// Delivers a node's answer to the client; with `is_lost` it is recorded and does not arrive.
    ///
    /// # Errors
    /// When the request was never sent, or was answered before.
    pub(super) fn deliver_answer(
        &mut self,
        request: usize,
        answer: RequestOutcome<OutcomeOf<W>>,
        is_lost: bool,
    ) -> Result<(), String> {
        let nodes = self.scenario.hosts();
        let Some(sent) = self.clients.sent.get_mut(request) else {
            return Err(format!("request {request} was answered, but no client sent it"));
        };
        if sent.answer.is_some() {
            return Err(format!("request {request} was answered twice"));
        }
        sent.answer = Some(answer.clone());
        let client = self.clients.senders[request];
        let state = &mut self.clients.clients[client];
        if is_lost || state.in_flight.is_none_or(|(in_flight, _)| in_flight != request) {
            return Ok(());
        }
        sent.ended = Some(self.trace.events());
        state.in_flight = None;
        let mut after_us = self.random.between(0, self.scenario.think_us);
        match answer {
            RequestOutcome::Done(outcome) => {
                state.pending = None;
                state.answers_after_heal += u64::from(self.is_healed);
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
                if may_have_run
                    && state.pending.as_ref().is_some_and(|pending| !pending.is_numbered)
                {
                    state.pending = None;
                }
            }
        }
        self.plan(after_us.max(100), Event::Client { client, sent: None });
        Ok(())
    }
}
