//! A client's connection after its greeting: it reads requests and writes answers.
//!
//! A client has two threads: the inbound thread reads its requests, and a replies thread writes the
//! answers that were not written at once (`replies`). The keepalive thread serves all clients
//! (`keepalive.rs`). A request takes one of the connection's `max_pipelined` slots until its last
//! answer is written, and while no slot is free no further request is read. So a client that does
//! not read its answers is no longer read from, and what waits for it is bounded.

use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Sender, bounded};
use log::debug;

use super::access_control::ClientAccess;
use super::client_reply::{Reply, ReplySender, as_frames};
use super::connection_limits::ClientSlot;
use super::greeting;
use super::keepalive::Keepalive;
use super::replies::{
    IncomingBytes, Meter, QueuedMessage, ReplyFlusher, ReplyThread, ReplyWriter, Share, reply_queue,
};
use super::shared::Shared;
use crate::limits::{MAX_REQUEST_FRAME_BYTES, READ_BYTES};
use crate::transport::links::{FrameError, FrameReader, Stream};
use crate::wire::{ClientOutcome, RequestError, decode_request};

/// The id of an answer that concerns the connection and not a request.
const ABOUT_THE_CONNECTION: u64 = 0;

/// An admitted client, and the state that it shares with other clients.
pub(super) struct Client<'a> {
    pub(super) access: ClientAccess,
    pub(super) slot: ClientSlot,
    /// Counts the bytes of requests and answers in flight.
    pub(super) in_flight: &'a Arc<Meter>,
    /// Counts the bytes of large requests that are being received.
    pub(super) incoming: &'a Arc<Meter>,
    pub(super) flusher: &'a ReplyFlusher<ReplySender>,
    /// `None` for a client that does not understand keepalives.
    pub(super) keepalive: Option<&'a Arc<Keepalive>>,
}

/// Serves a client until it disconnects, sends an invalid frame, or the node stops.
pub(super) fn serve(
    shared: &Shared,
    stream: &Stream,
    mut reader: FrameReader<Stream>,
    client: &Client<'_>,
) {
    let own = Meter::new(shared.settings.max_client_in_flight_bytes);
    let meters = [own, Arc::clone(client.in_flight)];
    let (slots, taken) = bounded(shared.settings.max_pipelined);
    let writer = ReplyWriter::new(stream.clone(), as_frames(), taken);
    // Bounded: each last answer has a slot, except the answer that concerns the connection.
    let max_parts_bytes = shared.settings.max_client_parts_bytes;
    let (replies, answers) = reply_queue(Some(writer), client.flusher.clone(), max_parts_bytes);
    thread::scope(|scope| {
        let watch = client.keepalive.map(|all| all.watch(replies.clone(), slots.clone()));
        let thread = thread::Builder::new().name("replies".to_owned()).spawn_scoped(scope, || {
            let time = shared.settings.write_time;
            ReplyThread::new(stream, answers, time, &shared.rejection_limiter).run(&shared.stop);
        });
        if let Err(error) = thread {
            return debug!("cannot start a thread for a client: {error}");
        }
        let requests = RequestReader { shared, client, slots, replies: &replies, meters };
        match requests.read(&mut reader) {
            Ok(()) | Err(FrameError::Closed) => {}
            Err(error @ FrameError::NoRoom { .. }) => {
                debug!("a client is cut off: {error}");
                let busy = ClientOutcome::TooManyRequests;
                replies.send(QueuedMessage::unshared(ABOUT_THE_CONNECTION, busy));
            }
            Err(error) => {
                debug!("a client is cut off: {error}");
                let message = format!("the connection is closed: {error}");
                let outcome = ClientOutcome::BadRequest(message);
                replies.send(QueuedMessage::unshared(ABOUT_THE_CONNECTION, outcome));
            }
        }
        // The replies thread ends when the last answer is sent: now only open replies hold the
        // queue.
        drop((watch, replies));
    });
    greeting::linger(stream, &shared.settings);
}

/// The reader of a client's requests.
struct RequestReader<'a> {
    shared: &'a Shared,
    client: &'a Client<'a>,
    slots: Sender<()>,
    replies: &'a ReplySender,
    /// The meters of the connection and of the node.
    meters: [Arc<Meter>; 2],
}

impl RequestReader<'_> {
    /// Reads requests and gives them to the handler, while slots are free.
    fn read(&self, reader: &mut FrameReader<Stream>) -> Result<(), FrameError> {
        let RequestReader { shared, client, slots, replies, meters } = self;
        while !shared.stop.is_set() {
            let patience = shared.settings.for_client();
            // A small request fits into the buffer that every reader has.
            let admit = |bytes| match bytes <= READ_BYTES {
                true => Some(None),
                false => IncomingBytes::take(client.incoming, bytes).map(Some),
            };
            let (bytes, _incoming) =
                reader.read_admitted(MAX_REQUEST_FRAME_BYTES, patience, admit)?;
            // Its token was removed: a request that was received since then does not run.
            if client.access.is_revoked() {
                break;
            }
            client.slot.note_request();
            let size = bytes.len();
            let request = match decode_request(bytes) {
                Ok(request) => Ok(request),
                Err(RequestError { id: Some(id), error }) => Err((id, error)),
                Err(RequestError { id: None, error }) => return Err(FrameError::Malformed(error)),
            };
            // An error means that the replies thread has ended.
            if slots.send(()).is_err() {
                break;
            }
            match request {
                Ok(request) => match Share::take(meters.clone(), size) {
                    Some(share) => {
                        let reply = Reply::new(request.id, (*replies).clone(), share);
                        shared.handler.request(client.access.identity(), request, reply);
                    }
                    None => {
                        replies.send(QueuedMessage::unshared(
                            request.id,
                            ClientOutcome::TooManyRequests,
                        ));
                    }
                },
                Err((id, error)) => {
                    let outcome = ClientOutcome::BadRequest(error.to_string());
                    replies.send(QueuedMessage::unshared(id, outcome));
                }
            }
        }
        Ok(())
    }
}
