//! A client's connection after its greeting: requests in, answers out.
//!
//! Two threads: the connection's own reads requests, a second one writes answers that are not written at
//! once (`replies`). A third, for all clients, sends signs of life (`keepalive.rs`). A request takes
//! one of a bounded number of slots until its last answer is written, and while none is free no further
//! request is read: so a client that does not read its answers stops being read itself, and what
//! waits for it is bounded.

use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Sender, bounded};
use log::debug;

use super::admitted::Admission;
use super::client_reply::{Reply, ReplySender, as_frames};
use super::connection_limits::ClientSlot;
use super::greeting;
use super::keepalive::Keepalive;
use super::replies::{
    Coming, Meter, QueuedMessage, ReplyFlusher, ReplyThread, ReplyWriter, Share, reply_queue,
};
use super::shared::Shared;
use crate::limits::{MAX_REQUEST_FRAME_BYTES, READ_BYTES};
use crate::transport::links::{FrameError, FrameReader, Stream};
use crate::wire::{ClientOutcome, RequestError, decode_request};

/// The id of an answer that is about the connection.
const ABOUT_THE_CONNECTION: u64 = 0;

/// A client that was let in, and what it shares with the others.
pub(super) struct Client<'a> {
    pub(super) admission: Admission,
    pub(super) slot: ClientSlot,
    /// Bytes of requests and answers under way.
    pub(super) in_flight: &'a Arc<Meter>,
    /// Bytes of large requests that are coming.
    pub(super) coming: &'a Arc<Meter>,
    pub(super) flusher: &'a ReplyFlusher<ReplySender>,
    /// None for a client that does not understand empty frames.
    pub(super) keepalive: Option<&'a Arc<Keepalive>>,
}

/// Serves a client until it leaves, errs, or the node stops.
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
    // Bounded: each last answer has a slot, except that about the connection.
    let max_parts_bytes = shared.settings.max_client_parts_bytes;
    let (replies, answers) = reply_queue(Some(writer), client.flusher.clone(), max_parts_bytes);
    thread::scope(|scope| {
        let watch = client.keepalive.map(|all| all.watch(replies.clone(), slots.clone()));
        let thread = thread::Builder::new().name("replies".to_owned()).spawn_scoped(scope, || {
            let time = shared.settings.write_time;
            ReplyThread::new(stream, answers, time, &shared.rejection_limiter).run(&shared.stop);
        });
        if let Err(error) = thread {
            return debug!("a client gets no thread: {error}");
        }
        let requests = Requests { shared, client, slots, replies: &replies, meters };
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
        // That thread ends when the last answer is sent: only replies hold the queue now.
        drop((watch, replies));
    });
    greeting::linger(stream, &shared.settings);
}

/// Reads a client's requests.
struct Requests<'a> {
    shared: &'a Shared,
    client: &'a Client<'a>,
    slots: Sender<()>,
    replies: &'a ReplySender,
    /// Of the connection and of the node.
    meters: [Arc<Meter>; 2],
}

impl Requests<'_> {
    /// Reads requests and hands them over, as long as there are slots.
    fn read(&self, reader: &mut FrameReader<Stream>) -> Result<(), FrameError> {
        let Requests { shared, client, slots, replies, meters } = self;
        while !shared.stop.is_set() {
            let patience = shared.settings.for_client();
            // Small ones fit into the buffer that every reader has.
            let admit = |bytes| match bytes <= READ_BYTES {
                true => Some(None),
                false => Coming::take(client.coming, bytes).map(Some),
            };
            let (bytes, _coming) =
                reader.read_admitted(MAX_REQUEST_FRAME_BYTES, patience, admit)?;
            // Its token is gone: what came meanwhile is not run.
            if client.admission.is_out() {
                break;
            }
            client.slot.asks();
            let size = bytes.len();
            let request = match decode_request(bytes) {
                Ok(request) => Ok(request),
                Err(RequestError { id: Some(id), error }) => Err((id, error)),
                Err(RequestError { id: None, error }) => return Err(FrameError::Malformed(error)),
            };
            // The writer is gone when this fails.
            if slots.send(()).is_err() {
                break;
            }
            match request {
                Ok(request) => match Share::take(meters.clone(), size) {
                    Some(share) => {
                        let reply = Reply::new(request.id, (*replies).clone(), share);
                        shared.handler.request(client.admission.rights(), request, reply);
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
