//! A node: the transport, the consensus thread, and their start and end. It runs as a process of
//! its own (`src/cli/server`), or as threads of another process, as in tests.
//!
//! One thread, the consensus thread, owns everything that the protocol decides on: the core
//! (`lpaxos::Node`), the store with the interpreter, the storage, and the pacing (how many requests
//! the core gets, and when it proposes). It needs no lock for them. All other threads bring it
//! input through two bounded channels, or do work for which it must not wait.
//!
//! ```text
//!   TCP from peers       TCP from clients
//!         │                     │
//!   inbound threads       inbound threads      (one per connection: greeting, frames, decoding;
//!         │                     │                for clients also rights and compilation)
//!         │ events              │ requests
//!         │ EVENTS_QUEUED       │ REQUESTS_QUEUED
//!         └──────────┬──────────┘
//!                    v
//!            consensus thread ─── a write that overlaps ──> sync thread ──> disk
//!                    │        ─── any other write ─────────────────────────> disk
//!                    │
//!                    ├─ frames for a peer: written at once, or queued ──> peer thread ──> TCP
//!                    └─ answers for clients: written at once by the consensus thread or the
//!                       flusher thread, or queued ──> replies thread of the client ──> TCP
//! ```
//!
//! A write *overlaps* if the core has further work that does not depend on it: then the sync thread
//! waits for the disk, and the consensus thread continues.
//!
//! | thread | owns | receives from | sends to |
//! | --- | --- | --- | --- |
//! | consensus | core, store, storage, pacing | events, requests | peers, clients, sync, pulse |
//! | sync | one unsynced write | consensus | consensus: the write is durable |
//! | pulse | the last heartbeat | consensus | peers |
//! | files | keys, certificates, tokens | SIGHUP, the clock | `transport`: security settings |
//! | meter | | the clock | consensus: used memory and free disk space, as atomic numbers |
//! | those of `transport` | connections | TCP | consensus: events, requests; TCP |
//!
//! The pulse thread repeats the last heartbeat while the consensus thread waits for the disk, so
//! that a slow disk does not depose a leader (`pulse.rs`).
//!
//! # The life of a request
//!
//! 1. The inbound thread of the client reads a frame, as soon as fewer than `MAX_PIPELINED`
//!    requests of the connection are unanswered, and decodes it (`transport`).
//! 2. The same thread calls `Admission` (`admission.rs`): it checks the rights of the client's
//!    token and compiles the program, or finds it in the cache (`programs.rs`). A request that
//!    cannot run is answered here. The others are queued (`pacing/request_queue.rs`); if the queue
//!    is full, the client is answered `TooManyRequests`. The consensus thread is woken only if it
//!    can begin with this request (`pacing/wakeup.rs`).
//! 3. The consensus thread takes as many requests as the core has room for
//!    (`consensus/intake.rs`). It gives the core a ticket with each request, and keeps the `Reply`,
//!    the way back to the client, under that ticket (`consensus/pending_replies.rs`).
//! 4. The core returns output, and the consensus thread carries it out in the prescribed order:
//!    messages that leave before the write, answers, the write, messages that leave after the write
//!    (`consensus/output.rs`). While many clients send, the next proposal may be held for them:
//!    group commit (`pacing/group_commit.rs`).
//! 5. Each answer of the core has the ticket of its request. It is translated into a message
//!    (`answers.rs`) and sent by the reply that is kept under the ticket. The answers of one output
//!    are sent as a batch.
//!
//! # Start and stop
//!
//! A start first checks what can be wrong (options, files, the limit of open files, the address),
//! then opens the state, and then starts the threads (`start.rs`). If a check fails, nothing is
//! left behind. A node without a cluster exchanges introductions with the listed
//! nodes until all agree on the members (`formation.rs`), and takes no part in the protocol before
//! the membership is durable.
//!
//! A stop sets a flag and wakes the consensus thread. This thread completes its writes, hands over
//! the leadership, answers all waiting clients with `Closing`, closes the storage, and stops the
//! transport, which still sends the queued answers for `CLOSING_TIME`. A failed write is different:
//! the node sends nothing further, because its memory contains more than is durable. A panic in a
//! thread that the node needs becomes an event, and the node ends with `ServerError::ThreadDied`.
//! All threads are joined, except a files or meter thread that a disk or a file blocks.
//!
//! # Members
//!
//! The members are an entry of the replicated state (P12); their addresses are a part of it. The
//! consensus thread compares the version of the entry before each output of the core, and follows
//! it when it has changed (`consensus/membership.rs`): redirects, status and connections are those
//! of the members that the node knows. A node is admitted by its cluster, whether it is a member or
//! not, and is connected to for as long as it is connected itself. So heartbeats and the entry
//! reach a node that waits, one that was removed, and one that was down during a change.
//!
//! A node that is started with `--join` asks the named nodes for their cluster, stores its id, and
//! starts the core without members. A client's request to add it (`member_requests.rs`) waits at
//! the leader until the node is there. A node that was a member and no longer is one ends, once
//! the others hold the decree that removed it.
//!
//! # Bounds
//!
//! | bounded | by | beyond it |
//! | --- | --- | --- |
//! | events of peers | `EVENTS_QUEUED` | the peer's connection is not read further |
//! | events of clients: requests for the status | half of `EVENTS_QUEUED` | `TooManyRequests` |
//! | requests | `REQUESTS_QUEUED`, and the room that the core reports | `TooManyRequests` |
//! | events in one step | `EVENTS_PER_STEP` | the next step takes them |
//! | frames to a peer | `MAX_QUEUED_FRAMES`, `MAX_QUEUED_BYTES` | dropped, and sent again |
//! | memory, disk space | `Bounds` (`space.rs`) | commands that enlarge the state are refused |
//! | requests to change the members | `MAX_PENDING_CHANGES` | `TooManyRequests` |
//! | notices | `MAX_NOTICES` | only logged |
//!
//! The protocol itself is in `lpaxos`, the store in `kv`, the disk in `storage`.

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
mod member_requests;
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
    /// Receives the reason why the server ended.
    ended: Receiver<Result<(), ServerError>>,
    /// The consensus thread; `None` once the end is known.
    thread: Option<JoinHandle<()>>,
}

/// Tells a server to stop; may be used from any thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    /// Wakes the consensus thread, which may sleep until its next tick.
    events: Sender<Event>,
}

impl Stopper {
    /// Tells the server to answer all waiting clients, to hand over the leadership, and to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        // If the queue is full, the consensus thread is awake anyway.
        let _ = self.events.try_send(Event::Wake);
    }
}

impl Server {
    /// Starts a node: opens its state, listens, and connects to the others in the background.
    ///
    /// # Errors
    /// If the options are invalid, or the state or the address cannot be used.
    pub fn start(options: ServerOptions) -> Result<Server, ServerError> {
        start::start(options)
    }

    /// Returns the address on which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a handle that stops the server from any thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Returns a handle that makes the server read its files again.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Waits until the server has ended: its state is closed and its port is free. Memory may still
    /// be freed afterwards, unless the process ends first.
    ///
    /// # Errors
    /// The reason why the server ended, unless it was told to stop.
    pub fn wait(mut self) -> Result<(), ServerError> {
        match self.ended.recv() {
            Ok(result) => {
                // The thread is not joined: it only frees memory from here on.
                self.thread = None;
                result
            }
            // The thread ended without a result, so it panicked.
            Err(_) => self.join(),
        }
    }

    /// Stops the server and waits until it has ended: all threads are joined and the port is free.
    ///
    /// # Errors
    /// The reason why the server had ended before, if it had.
    pub fn stop(mut self) -> Result<(), ServerError> {
        self.stopper.stop();
        self.join()
    }

    /// Waits for the end of the consensus thread, and returns the reason of its end.
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
            // No caller is left that could receive the reason why the server ended.
            let _ = self.join();
        }
    }
}
