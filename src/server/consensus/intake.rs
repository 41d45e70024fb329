//! The input of the consensus thread: events of the transport and of the node's own threads, and
//! requests of clients.

use std::net::IpAddr;
use std::time::Instant;

use log::debug;

use super::member::Role;
use super::state::{Consensus, Phase};
use crate::lpaxos::{NodeId, Request};
use crate::server::admission::Event;
use crate::server::clock::millis;
use crate::server::error::ServerError;
use crate::server::pacing::PendingRequest;
use crate::transport;
use crate::wire::{ClientOutcome, PeerFrame, Reason, Refusal};

/// The maximum number of events that are taken before the core is asked for its output. It bounds
/// how long the first of them waits.
const EVENTS_PER_STEP: usize = 1_024;

impl Consensus {
    /// Sleeps until there is an event, until requests arrive that are worth waking up for, or until
    /// the time that the pacing sets.
    pub(super) fn next_event(&self) -> Option<Event> {
        let sleep = self.pacing.sleep(&self.load(), self.next_tick);
        let event = match self.requests.before_sleep(sleep.wake_on) {
            true => self.events.try_recv().ok(),
            // `Admission` holds a sender, so the only error is the timeout.
            false => self.events.recv_deadline(sleep.until).ok(),
        };
        self.requests.after_sleep();
        event
    }

    /// Handles an event and the events that wait after it, at most [`EVENTS_PER_STEP`].
    pub(super) fn take_events(&mut self, first: Option<Event>) -> Result<(), ServerError> {
        let mut next = first;
        for left in (0..EVENTS_PER_STEP).rev() {
            let Some(event) = next else { break };
            self.on_event(event)?;
            next = if left > 0 { self.events.try_recv().ok() } else { None };
        }
        Ok(())
    }

    /// Takes the queued requests for which the node has room.
    pub(super) fn take_requests(&mut self) {
        let mut room = self.load().room;
        // All of them share one reading of the clock.
        let now = Instant::now();
        for _ in 0..EVENTS_PER_STEP {
            if room == 0 {
                break;
            }
            let Some(request) = self.requests.take() else { break };
            if self.on_request(request, now) {
                room -= 1;
            }
        }
    }

    fn on_event(&mut self, event: Event) -> Result<(), ServerError> {
        match event {
            Event::Transport(event) => self.on_transport_event(event)?,
            Event::Status { reply, memory_bytes } => {
                let status = self.status(memory_bytes);
                reply.send(ClientOutcome::Status(status));
            }
            Event::ListMembers { reply } => {
                reply.send(ClientOutcome::MemberList(self.member_list()));
            }
            Event::ChangeMembers(change) => self.on_change(change),
            // The end reports the error here. The other node is told at each of its attempts to
            // connect.
            Event::ListsDiffer(difference) if self.is_forming() => self.end(difference.into()),
            Event::ListsDiffer(difference) => debug!("{difference}"),
            Event::Wake => {}
        }
        Ok(())
    }

    fn on_transport_event(&mut self, event: transport::Event) -> Result<(), ServerError> {
        match event {
            transport::Event::Frame { from, frame } => self.on_frame(from, frame)?,
            transport::Event::Connected { address, admitted } => {
                debug!("connected to {address}");
                self.links.admitted_by(address.ip());
                self.on_connected(admitted.cluster)?;
                self.introduce();
            }
            transport::Event::Disconnected { node, address, reason } => {
                debug!("lost the connection to {address}: {reason}");
                if let Phase::Member(member) = &mut self.phase {
                    member.node.unheard(self.clock.now_ms(), node);
                }
            }
            // The transport has logged the refusal.
            transport::Event::Refused { address, refusal, by_peer: true, .. } => {
                self.on_refused_by_peer(address.ip(), refusal);
            }
            transport::Event::Refused { .. } => {}
            transport::Event::Duplicate { node, connected, refused } => {
                let (addresses, now) = ((connected, refused), Instant::now());
                self.duplicates.note(&self.notices, node, addresses, now);
            }
            transport::Event::ThreadDied { thread, reason } => {
                return Err(ServerError::ThreadDied { thread, reason });
            }
        }
        Ok(())
    }

    fn on_frame(&mut self, from: NodeId, frame: PeerFrame) -> Result<(), ServerError> {
        match frame {
            PeerFrame::Core(message) => {
                if let Phase::Member(member) = &mut self.phase {
                    member.node.message(self.clock.now_ms(), from, message);
                }
                Ok(())
            }
            PeerFrame::Introduction(received) => self.on_introduction(from, &received),
        }
    }

    /// Ends the node if a refusal means that the node cannot take part.
    fn on_refused_by_peer(&mut self, address: IpAddr, refusal: Refusal) {
        let Refusal { reason, message } = refusal;
        let is_fatal =
            matches!(reason, Reason::ListsDiffer | Reason::OtherCluster | Reason::UnknownNode);
        // A member that one peer refuses may still be right; a member that a majority refuses is
        // not.
        if is_fatal && !self.is_joining() && (self.links.note_refusal(address) || self.is_forming())
        {
            self.end(ServerError::RefusedByPeer { address, message });
        }
    }

    /// Gives a request to the node, or answers it. Returns whether the node has it.
    fn on_request(&mut self, request: PendingRequest, now: Instant) -> bool {
        let PendingRequest { command, time, since, reply } = request;
        // The time that the request was queued counts.
        let left = time.saturating_sub(now.saturating_duration_since(since));
        let outcome = match &mut self.phase {
            _ if left.is_zero() => ClientOutcome::Timeout { could_handle: false },
            Phase::Forming(forming) => ClientOutcome::NodesUnreachable(forming.shortage()),
            Phase::Joining(joining) => ClientOutcome::NodesUnreachable(joining.shortage()),
            Phase::Member(member) if matches!(member.role, Role::Removed { .. }) => {
                ClientOutcome::NodesUnreachable(member.shortage())
            }
            Phase::Member(member) => match member.room.refusal(&member.node, &command) {
                Some(why) => ClientOutcome::OutOfSpace(why.to_owned()),
                None => {
                    let now_ms = self.clock.ms_at(now);
                    let deadline_ms = now_ms.saturating_add(millis(left));
                    let ticket = self.replies.add(reply);
                    member.node.request(now_ms, Request { ticket, command, deadline_ms });
                    return true;
                }
            },
        };
        reply.send(outcome);
        false
    }
}
