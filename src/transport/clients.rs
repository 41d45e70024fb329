//! A client's connection after its greeting: requests in, answers out.
//!
//! Two threads: the connection's own reads requests, a second one writes answers. A request takes
//! one of a bounded number of slots until its answer is written, and while none is free no further
//! request is read: so a client that does not read its answers stops being read itself, and what
//! waits for it is bounded.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};
use log::debug;

use super::frame::{FrameError, FrameReader, write_frames};
use super::greeting;
use super::in_flight::{Coming, Meter, Share};
use super::seats::ClientSeat;
use super::shared::{Shared, Stop};
use super::stream::{CloseOnDrop, Stream};
use crate::limits::{COALESCED_BYTES, MAX_REQUEST_FRAME_BYTES, READ_BYTES};
use crate::security::Rights;
use crate::wire::{ClientOutcome, ClientResponse, RequestError, decode_request, encode_response};

/// The id of an answer that is about the connection.
const ABOUT_THE_CONNECTION: u64 = 0;

/// Where the answer to one request goes.
///
/// Each request is answered once: when this is dropped without an answer, the client is told that
/// the node is closing and the transaction may have run.
#[derive(Debug)]
pub struct Reply {
    id: u64,
    to: Option<Sender<Answer>>,
    /// What the request takes; none where it was refused.
    share: Option<Share>,
}

/// An answer that waits to be written, with what it takes until then.
#[derive(Debug)]
struct Answer {
    response: ClientResponse,
    share: Option<Share>,
}

impl Answer {
    fn new(id: u64, outcome: ClientOutcome) -> Answer {
        Answer { response: ClientResponse { id, outcome }, share: None }
    }
}

impl Reply {
    /// The reply to request `id`, whose answer goes into the channel.
    fn new(id: u64, to: Sender<Answer>, share: Share) -> Reply {
        Reply { id, to: Some(to), share: Some(share) }
    }

    /// Answers. Does not wait; if the client is gone, nothing happens.
    pub fn send(mut self, outcome: ClientOutcome) {
        self.give(outcome);
    }

    fn give(&mut self, outcome: ClientOutcome) {
        if let Some(to) = self.to.take() {
            let mut share = self.share.take();
            if let Some(share) = &mut share {
                share.grow(outcome.size());
            }
            let _ = to.send(Answer { response: ClientResponse { id: self.id, outcome }, share });
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.give(ClientOutcome::Closing { could_handle: true });
    }
}

/// A client that was let in, and what it shares with the others.
pub(super) struct Client<'a> {
    pub(super) rights: Rights,
    pub(super) seat: ClientSeat,
    /// Bytes of requests and answers under way.
    pub(super) in_flight: &'a Arc<Meter>,
    /// Bytes of large requests that are coming.
    pub(super) coming: &'a Arc<Meter>,
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
    // Bounded in fact: each answer but the last, about the connection, has a slot.
    let (replies, answers) = unbounded();
    thread::scope(|scope| {
        let writer = thread::Builder::new().name("replies".to_owned()).spawn_scoped(scope, || {
            let writer = Writer { stream, answers, taken, time: shared.settings.write_time };
            writer.run(&shared.stop);
        });
        if let Err(error) = writer {
            return debug!("a client gets no thread: {error}");
        }
        let requests = Requests { shared, client, slots, replies: &replies, meters };
        match requests.read(&mut reader) {
            Ok(()) | Err(FrameError::Closed) => {}
            Err(error @ FrameError::NoRoom { .. }) => {
                debug!("a client is cut off: {error}");
                let busy = ClientOutcome::TooManyRequests;
                let _ = replies.send(Answer::new(ABOUT_THE_CONNECTION, busy));
            }
            Err(error) => {
                debug!("a client is cut off: {error}");
                let message = format!("the connection is closed: {error}");
                let outcome = ClientOutcome::BadRequest(message);
                let _ = replies.send(Answer::new(ABOUT_THE_CONNECTION, outcome));
            }
        }
        // The writer ends when the last answer is given: only replies hold the channel now.
        drop(replies);
    });
    greeting::linger(stream, &shared.settings);
}

/// Reads a client's requests.
struct Requests<'a> {
    shared: &'a Shared,
    client: &'a Client<'a>,
    slots: Sender<()>,
    replies: &'a Sender<Answer>,
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
            client.seat.asks();
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
                        shared.handler.request(client.rights, request, reply);
                    }
                    None => {
                        let _ =
                            replies.send(Answer::new(request.id, ClientOutcome::TooManyRequests));
                    }
                },
                Err((id, error)) => {
                    let outcome = ClientOutcome::BadRequest(error.to_string());
                    let _ = replies.send(Answer::new(id, outcome));
                }
            }
        }
        Ok(())
    }
}

/// Writes a client's answers.
struct Writer<'a> {
    stream: &'a Stream,
    answers: Receiver<Answer>,
    taken: Receiver<()>,
    time: Duration,
}

impl Writer<'_> {
    /// Writes until no more answers can come; when stopping, only those that are there.
    ///
    /// In the end the client sees the end of the stream. If writing fails, or this panics, the
    /// connection is closed, which wakes the reader.
    fn run(self, stop: &Stop) {
        let close = CloseOnDrop(self.stream);
        let mut buffer = Vec::new();
        loop {
            let first = select! {
                recv(self.answers) -> answer => answer.ok(),
                recv(stop.0) -> _ => self.answers.try_recv().ok(),
            };
            let Some(first) = first else { break };
            if let Err(error) = self.write(first, &mut buffer) {
                return debug!("a client is cut off: {error}");
            }
        }
        close.disarm();
        self.stream.close_writing();
    }

    /// Writes an answer, and what else is ready, at once.
    fn write(&self, first: Answer, buffer: &mut Vec<u8>) -> std::io::Result<()> {
        buffer.clear();
        let mut count = 0;
        let mut next = Some(first);
        // Given back once it is written.
        let mut shares = Vec::new();
        while let Some(Answer { response, share }) = next {
            encode_response(response.id, response.outcome, buffer);
            shares.push(share);
            count += 1;
            next = match buffer.len() < COALESCED_BYTES {
                true => self.answers.try_recv().ok(),
                false => None,
            };
        }
        write_frames(&mut self.stream.clone(), &[&buffer[..]], self.time)?;
        for _ in 0..count {
            // The answer about the connection had no slot.
            let _ = self.taken.try_recv();
        }
        if buffer.capacity() > 2 * COALESCED_BYTES {
            *buffer = Vec::new();
        }
        Ok(())
    }
}
