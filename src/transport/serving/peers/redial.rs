//! The peer thread: it connects to a peer until the link or the transport ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use log::{debug, warn};

use super::conversation::use_connections;
use super::greet::{End, connect};
use super::link::{Link, Target};
use super::waits::Waits;
use crate::transport::Event;
use crate::transport::links::Backoff;
use crate::transport::serving::shared::Shared;
use crate::wire::{Reason, Refusal};

/// Connects again after each failure, until the link or the transport ends.
pub(super) fn run(shared: &Arc<Shared>, link: &Link) {
    let settings = &shared.settings;
    let backoff = || Backoff::new(settings.min_backoff, settings.max_backoff);
    let (mut waits, mut pauses) = (Waits::new(settings), backoff());
    let mut reported = Reported::default();
    while !link.is_over(shared) {
        let target = link.target();
        let begun = Instant::now();
        let mut connected_node = None;
        let end = match connect(shared, link, target, &mut waits) {
            Ok(connection) => {
                connected_node = Some(connection.admitted.node);
                use_connections(shared, link, target.address, connection, &mut waits)
            }
            Err(end) => end,
        };
        if link.is_over(shared) {
            return;
        }
        // The backoff is reset only after a connection that lasted: one that is lost at once counts
        // as a failed attempt.
        if matches!(end, End::Lost(_)) && begun.elapsed() > settings.max_backoff {
            pauses.reset();
        }
        let pause = pauses.next();
        let pause =
            if is_transient(&end) { pause.min(settings.connect_attempt_delay) } else { pause };
        let event = reported.event(Target { node: connected_node.or(target.node), ..target }, end);
        if event.is_some_and(|event| link.report(shared, event).is_err()) {
            return;
        }
        if link.wait(shared, pause) {
            pauses = backoff();
        }
    }
}

/// Returns whether the peer may become reachable, or have room again, so soon that frequent
/// attempts are worthwhile.
fn is_transient(end: &End) -> bool {
    match end {
        End::Unreachable(_) => true,
        End::Refused { refusal, .. } => refusal.reason == Reason::TooManyConnections,
        End::TlsFailed(_) | End::Lost(_) => false,
    }
}

/// What was reported about a peer, so that it is not reported again at each attempt.
#[derive(Default)]
struct Reported {
    refused: Option<(SocketAddr, Refusal)>,
    tls_error: String,
}

impl Reported {
    /// Logs how an attempt ended; returns the event for the node, if any.
    fn event(&mut self, peer: Target, end: End) -> Option<Event> {
        let Target { node, address } = peer;
        match end {
            End::Unreachable(reason) => {
                debug!("no connection to {address}: {reason}");
                None
            }
            End::TlsFailed(reason) => {
                // The other node may only be starting; a lasting error is logged once.
                if self.tls_error != reason {
                    warn!("no TLS with {address}: {reason}");
                    self.tls_error = reason;
                }
                None
            }
            End::Refused { refusal, by_peer } => {
                let new = Some((address, refusal.clone()));
                if self.refused == new {
                    return None;
                }
                self.refused = new;
                match by_peer {
                    true => warn!("{address} refuses this node: {refusal}"),
                    false => warn!("this node refuses {address}: {refusal}"),
                }
                Some(Event::Refused { node, address, refusal, by_peer })
            }
            End::Lost(reason) => {
                debug!("the connection to {address} is lost: {reason}");
                *self = Reported::default();
                node.map(|node| Event::Disconnected { node, address, reason })
            }
        }
    }
}
