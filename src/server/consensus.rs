//! The consensus thread: it owns the node, the store and the storage, and does what the core says
//! in the order in which the core says it.
//!
//! It never waits for a socket: what is not taken at once, frames to peers and answers to clients,
//! is queued or dropped. It takes all events that are there, up to a bound, steps the core with
//! each, and writes once; where the core goes on during a write, the sync thread waits for the
//! disk.
//!
//! | file | what it does |
//! | --- | --- |
//! | this one | the loop |
//! | `intake.rs` | takes in events and requests of clients |
//! | `ticks.rs` | does what is due as time passes |
//! | `shutdown.rs` | hands over the lead and dismisses the clients |
//! | `output.rs` | does what the core wants |
//! | `founding.rs` | agrees with the other nodes on a cluster |
//! | `status.rs` | says how the node is |
//! | `state.rs` | what the thread owns |
//! | `forming.rs`, `member.rs` | the node before and after its cluster is formed |
//! | `disk_writer.rs`, `pending_replies.rs`, `room.rs`, `diary.rs` | the parts that those use |
//!
//! Imports point down this table.

mod diary;
mod disk_writer;
mod forming;
mod founding;
mod intake;
mod member;
mod output;
mod pending_replies;
mod room;
mod shutdown;
mod state;
mod status;
mod ticks;

use std::sync::atomic::Ordering;
use std::time::Instant;

use log::{error, info};

use super::error::ServerError;
use state::{Consensus, Phase};

pub(super) use state::Start;

/// The state in memory: millions of entries take seconds to be freed, which need not be waited for.
pub(super) struct Remains {
    _phase: Phase,
}

/// Runs until told to stop, or until the node cannot go on; returns why it ended. The storage is
/// closed then.
pub(super) fn run(start: Start) -> (Result<(), ServerError>, Remains) {
    let (mut consensus, roster) = Consensus::new(start);
    if let Some(roster) = roster {
        consensus.become_member(roster);
    }
    let mut result = serve(&mut consensus);
    match &result {
        Ok(()) => {
            let waiting = consensus.replies.len() + consensus.requests.len();
            info!(event = "stopping", requests = waiting;
                "the node stops; {waiting} requests of clients wait and are told so");
        }
        // Why is said at the very end.
        Err(_) => error!(event = "stopping"; "the node cannot go on, and stops"),
    }
    // A node whose write failed holds more than is durable, and must not say another word of it.
    if !matches!(result, Err(ServerError::Storage(_))) {
        let handed_over = consensus.hand_over();
        result = result.and(handed_over);
    }
    consensus.dismiss_clients();
    (result, Remains { _phase: consensus.phase })
}

fn serve(consensus: &mut Consensus) -> Result<(), ServerError> {
    consensus.try_form()?;
    while !consensus.stop.load(Ordering::Acquire) {
        consensus.gate.note_progress();
        let first = consensus.next_event();
        consensus.take_events(first)?;
        consensus.take_requests();
        if Instant::now() >= consensus.next_tick {
            consensus.tick();
        }
        consensus.do_output()?;
        if consensus.end_write()? {
            // Votes may have come meanwhile, and what they bring leaves before the next write.
            let first = consensus.events.try_recv().ok();
            consensus.take_events(first)?;
            consensus.do_output()?;
        }
        consensus.check_end()?;
    }
    Ok(())
}
