//! A node as a process, or as threads of one: the transport, the consensus thread, and their start
//! and end.
//!
//! ```text
//! peer reader threads ─────> bounded channel of events ────┬─> consensus thread
//! client reader threads ───> bounded channel of requests ──┘     (owns the node, the store,
//!   (parse the program)                                           the interpreter, the storage)
//!
//! consensus thread ──┬─> small frames, else a queue per peer ─> peer writer thread ─> TCP
//!                    ├─> a queue per client ─> flusher thread, else client writer thread ─> TCP
//!                    └─> a write beside which the core goes on ─> sync thread ─> disk
//! pulse thread ──> the last heartbeat once more, while the consensus thread waits for the disk
//!
//! files with keys, certificates, tokens ─> files thread ─> what is asked of who connects
//! ```
//!
//! Every thread is joined at the end. One that dies is an event, and the server ends with an error.

mod admission;
mod answers;
mod clock;
mod cluster;
mod consensus;
mod duplicates;
mod ending_thread;
mod error;
mod formation;
mod formation_error;
mod links;
#[cfg(test)]
mod lone_leader;
mod notices;
mod open_files;
mod options;
mod pacing;
mod programs;
mod pulse;
mod reload;
mod resources;
mod space;
mod start;
mod state;
mod status;
mod syncer;
mod syncs;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};

use admission::Event;

pub use error::ServerError;
pub use formation_error::FormationError;
pub use options::{ServerOptions, StateLocation};
pub use reload::Reloader;
pub use resources::Bounds;

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stopper: Stopper,
    reloader: Reloader,
    /// Tells why it ended.
    ended: Receiver<Result<(), ServerError>>,
    thread: Option<JoinHandle<()>>,
}

/// Tells a server to stop; may be used from any thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    events: Sender<Event>,
}

impl Stopper {
    /// Tells the server to answer who waits, to hand over the lead, and to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        // A full queue wakes it as well.
        let _ = self.events.try_send(Event::Wake);
    }
}

impl Server {
    /// Starts a node: opens its state, listens, and connects to the others in the background.
    ///
    /// # Errors
    /// When the options make no node, or its state or address cannot be used.
    pub fn start(options: ServerOptions) -> Result<Server, ServerError> {
        start::start(options)
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A way to stop the server from elsewhere.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// A way to let the server read its files again.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Waits for the server to end: its state closed, the port free. Memory may still be given back
    /// after that, unless the process ends first.
    ///
    /// # Errors
    /// Why it ended, if it was not told to.
    pub fn wait(mut self) -> Result<(), ServerError> {
        match self.ended.recv() {
            Ok(result) => {
                self.thread = None;
                result
            }
            Err(_) => self.join(),
        }
    }

    /// Stops the server and waits for its end: all threads joined, the port free.
    ///
    /// # Errors
    /// Why it had ended before, if it had.
    pub fn stop(mut self) -> Result<(), ServerError> {
        self.stopper.stop();
        self.join()
    }

    fn join(&mut self) -> Result<(), ServerError> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(())) => self.ended.recv().unwrap_or(Ok(())),
            Some(Err(panic)) => {
                let reason = crate::transport::panic_message(panic.as_ref());
                Err(ServerError::ThreadDied { thread: "consensus".into(), reason })
            }
            None => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stopper.stop();
            // There is nobody left to tell why it ended.
            let _ = self.join();
        }
    }
}
