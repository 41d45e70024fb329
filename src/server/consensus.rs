//! The consensus thread: it owns the node, the store and the storage, and carries out the output of
//! the core in the order that the core prescribes.
//!
//! It never waits for a socket. Answers to clients that the system does not take at once are
//! queued; frames to peers are queued or, if the queue is full, dropped. In each step it gives the
//! core all events that wait, up to `EVENTS_PER_STEP`, and then writes what changed, so that many
//! events share a write. If the core allows a write to *overlap* with further work, the sync thread
//! waits for the disk, and this thread continues.
//!
//! | file | what it does |
//! | --- | --- |
//! | this one | runs the loop |
//! | `intake.rs` | takes events and requests |
//! | `ticks.rs` | does the work of each tick |
//! | `shutdown.rs` | hands over the leadership and answers all clients |
//! | `output.rs` | carries out the output of the core |
//! | `founding.rs` | agrees with the other nodes on a cluster |
//! | `membership.rs` | follows changes of the members, and takes requests for them |
//! | `status.rs` | reports the status |
//! | `state.rs` | holds what the thread owns |
//! | `forming.rs`, `joining.rs` | hold the node before it belongs to a cluster |
//! | `member.rs` | holds the node of a cluster |
//! | `disk_writer.rs`, `pending_replies.rs` | the storage; the unanswered requests |
//! | `room.rs`, `member_log.rs` | out-of-space protection; the log of elections |
//!
//! Imports point down this table.

mod disk_writer;
mod forming;
mod founding;
mod intake;
mod joining;
mod member;
mod member_log;
mod membership;
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

/// The state in memory. To free millions of entries takes seconds, so the caller of [`run`] frees
/// it after it has reported the end.
pub(super) struct StateToFree {
    _phase: Phase,
}

/// Runs until the server is told to stop, or until the node cannot go on; returns the reason of its
/// end. The storage is closed by then.
pub(super) fn run(start: Start) -> (Result<(), ServerError>, StateToFree) {
    let (mut consensus, home) = Consensus::new(start);
    let mut result = consensus.begin(home).and_then(|()| serve(&mut consensus));
    match &result {
        Ok(()) => {
            let waiting = consensus.replies.len() + consensus.requests.len();
            info!(event = "stopping", requests = waiting;
                "the node stops; {waiting} requests of clients wait and are told so");
        }
        // The reason is logged when the process ends.
        Err(_) => error!(event = "stopping"; "the node cannot go on, and stops"),
    }
    // After a failed write, the node's memory contains more than is durable: it must send nothing
    // further.
    if !matches!(result, Err(ServerError::Storage(_))) {
        let handed_over = consensus.hand_over();
        result = result.and(handed_over);
    }
    consensus.dismiss_clients();
    (result, StateToFree { _phase: consensus.phase })
}

/// Makes one step after the other until the server is told to stop.
fn serve(consensus: &mut Consensus) -> Result<(), ServerError> {
    // A node that lists no other node forms its cluster without any introduction.
    consensus.try_form()?;
    while !consensus.stop.load(Ordering::Acquire) {
        consensus.note_progress();
        let first = consensus.next_event();
        consensus.take_events(first)?;
        consensus.take_requests();
        if Instant::now() >= consensus.next_tick {
            consensus.tick()?;
        }
        consensus.do_output()?;
        if consensus.end_write()? {
            // An overlapped write has ended. Votes may have arrived during it: the messages that
            // follow from them must not wait for the next write.
            let first = consensus.events.try_recv().ok();
            consensus.take_events(first)?;
            consensus.do_output()?;
        }
        consensus.check_end()?;
    }
    Ok(())
}
