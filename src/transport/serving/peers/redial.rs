//! Connects to a peer again and again, until its link or the transport ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use log::{debug, warn};

use super::conversation::stay;
use super::greet::{End, connect};
use super::link::{Link, Target};
use super::waits::Waits;
use crate::transport::Event;
use crate::transport::links::Backoff;
use crate::transport::serving::shared::Shared;
use crate::wire::{Reason, Refusal};

/// Connects again and again until the link or the transport ends.
pub(super) fn run(shared: &Arc<Shared>, link: &Link) {
    let settings = &shared.settings;
    let backoff = || Backoff::new(settings.min_backoff, settings.max_backoff);
    let (mut waits, mut pauses) = (Waits::new(settings), backoff());
    let mut told = Told::default();
    while !link.is_over(shared) {
        let target = link.target();
        let begun = Instant::now();
        let mut met = None;
        let end = match connect(shared, link, target, &mut waits) {
            Ok(connection) => {
                met = Some(connection.admitted.node);
                stay(shared, link, target.address, connection, &mut waits)
            }
            Err(end) => end,
        };
        if link.is_over(shared) {
            return;
        }
        // One that is lost at once each time is as good as none.
        if matches!(end, End::Lost(_)) && begun.elapsed() > settings.max_backoff {
            pauses.reset();
        }
        let pause = pauses.next();
        let pause = if is_transient(&end) { pause.min(settings.try_space) } else { pause };
        let event = told.event(Target { node: met.or(target.node), ..target }, end);
        if event.is_some_and(|event| link.tell(shared, event).is_err()) {
            return;
        }
        if link.wait(shared, pause) {
            pauses = backoff();
        }
    }
}

/// Whether a peer that could not be connected to becomes reachable, or has room again, so soon that
/// it is worth to try often.
fn is_transient(end: &End) -> bool {
    match end {
        End::Unreachable(_) => true,
        End::Refused { refusal, .. } => refusal.reason == Reason::TooManyConnections,
        End::Distrust(_) | End::Lost(_) => false,
    }
}

/// What was told of a peer, so that it is not told with each try.
#[derive(Default)]
struct Told {
    refused: Option<(SocketAddr, Refusal)>,
    distrust: String,
}

impl Told {
    /// Logs how a try with the peer ended; returns what the node is to be told of it.
    fn event(&mut self, peer: Target, end: End) -> Option<Event> {
        let Target { node, address } = peer;
        match end {
            End::Unreachable(reason) => {
                debug!("no connection to {address}: {reason}");
                None
            }
            End::Distrust(reason) => {
                // The other node may only be starting; what stays wrong is said once.
                if self.distrust != reason {
                    warn!("no TLS with {address}: {reason}");
                    self.distrust = reason;
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
                *self = Told::default();
                node.map(|node| Event::Disconnected { node, address, reason })
            }
        }
    }
}
