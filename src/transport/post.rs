//! The post: one thread that writes the answers of a step of the node to all its clients.
//!
//! It never waits for a client: what a connection does not take at once is left to the client's writer.

use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, select, unbounded};

use super::answers::Giving;
use super::shared::{Shared, Stop};
use crate::limits::COALESCED_BYTES;

/// The way to the thread. Clones lead to the same one.
#[derive(Clone, Debug)]
pub(super) struct Post(Sender<Vec<Giving>>);

impl Post {
    /// Starts the thread, which ends when the transport stops.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Post> {
        // Only the first answer that waits brings a client there, and the thread waits for nobody.
        let (post, rounds) = unbounded();
        shared.spawn("post", move |shared| run(&rounds, &shared.stop))?;
        Ok(Post(post))
    }

    /// One that leaves everything to the clients' writers.
    #[cfg(test)]
    pub(super) fn closed() -> Post {
        Post(unbounded().0)
    }

    /// Has the answers written that wait for these clients.
    pub(super) fn send(&self, clients: Vec<Giving>) {
        if let Err(unsent) = self.0.send(clients) {
            unsent.into_inner().iter().for_each(Giving::ring);
        }
    }
}

fn run(rounds: &Receiver<Vec<Giving>>, stop: &Stop) {
    let mut buffer = Vec::new();
    loop {
        let clients = select! {
            recv(rounds) -> clients => clients,
            // The clients' writers take all that waits when they stop.
            recv(stop.0) -> _ => return,
        };
        let Ok(clients) = clients else { return };
        for client in &clients {
            if !client.write_at_once(&mut buffer) {
                client.ring();
            }
        }
        buffer.clear();
        buffer.shrink_to(COALESCED_BYTES);
    }
}
