//! A client's connection after its greeting: requests in, answers out.
//!
//! Two threads: the connection's own reads requests, a second one writes answers that the post could not
//! write at once. A third, for all clients, sends signs of life (`keepalive.rs`). A request takes
//! one of a bounded number of slots until its answer is written, and while none is free no further
//! request is read: so a client that does not read its answers stops being read itself, and what
//! waits for it is bounded.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded, select};
use log::debug;

use super::admitted::Admission;
use super::answers::{self, Answer, Giving, Reply, Taking};
use super::desk::Desk;
use super::frame::{FrameError, FrameReader};
use super::greeting;
use super::in_flight::{Coming, Meter, Share};
use super::keepalive::Keepalive;
use super::pace::Pace;
use super::post::Post;
use super::seats::ClientSeat;
use super::shared::{Shared, Stop};
use super::stream::{CloseOnDrop, Stream};
use crate::limits::{MAX_REQUEST_FRAME_BYTES, READ_BYTES};
use crate::wire::{ClientOutcome, ClientResponse, RequestError, decode_request};

/// The id of an answer that is about the connection.
const ABOUT_THE_CONNECTION: u64 = 0;

/// The answer to what was asked with `id`, without a share of what is in flight.
fn answer(id: u64, outcome: ClientOutcome) -> Answer {
    Answer { response: ClientResponse { id, outcome }, share: None }
}

/// A client that was let in, and what it shares with the others.
pub(super) struct Client<'a> {
    pub(super) admission: Admission,
    pub(super) seat: ClientSeat,
    /// Bytes of requests and answers under way.
    pub(super) in_flight: &'a Arc<Meter>,
    /// Bytes of large requests that are coming.
    pub(super) coming: &'a Arc<Meter>,
    pub(super) post: &'a Post,
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
    let desk = Desk::new(stream.clone(), taken);
    // Bounded: each answer but the last, about the connection, has a slot.
    let (replies, answers) = answers::answers(Some(desk), client.post.clone());
    thread::scope(|scope| {
        let watch = client.keepalive.map(|all| all.watch(replies.clone(), slots.clone()));
        let writer = thread::Builder::new().name("replies".to_owned()).spawn_scoped(scope, || {
            let (time, held) = (shared.settings.write_time, VecDeque::new());
            let writer = Writer { stream, answers, time, pace: &shared.pace, held };
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
                replies.give(answer(ABOUT_THE_CONNECTION, busy));
            }
            Err(error) => {
                debug!("a client is cut off: {error}");
                let message = format!("the connection is closed: {error}");
                let outcome = ClientOutcome::BadRequest(message);
                replies.give(answer(ABOUT_THE_CONNECTION, outcome));
            }
        }
        // The writer ends when the last answer is given: only replies hold the channel now.
        drop((watch, replies));
    });
    greeting::linger(stream, &shared.settings);
}

/// Reads a client's requests.
struct Requests<'a> {
    shared: &'a Shared,
    client: &'a Client<'a>,
    slots: Sender<()>,
    replies: &'a Giving,
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
                        shared.handler.request(client.admission.rights(), request, reply);
                    }
                    None => {
                        replies.give(answer(request.id, ClientOutcome::TooManyRequests));
                    }
                },
                Err((id, error)) => {
                    let outcome = ClientOutcome::BadRequest(error.to_string());
                    replies.give(answer(id, outcome));
                }
            }
        }
        Ok(())
    }
}

/// Refusals and their turns.
type Held = VecDeque<(Instant, Answer)>;

/// Writes a client's answers where nobody else does: what waits for its turn or for the client, and what
/// is given singly.
struct Writer<'a> {
    stream: &'a Stream,
    answers: Taking,
    time: Duration,
    pace: &'a Pace,
    /// Refusals that wait for their turn, and their turns, in order but for a step of the pace.
    held: Held,
}

impl Writer<'_> {
    /// Writes until no more answers can come; when stopping, only those that are there.
    ///
    /// In the end the client sees the end of the stream. If writing fails, or this panics, the
    /// connection is closed, which wakes the reader.
    fn run(mut self, stop: &Stop) {
        let close = CloseOnDrop(self.stream);
        loop {
            let bell = &self.answers.bell;
            let may_come = match self.held.front() {
                None => select! {
                    recv(bell) -> ring => ring.is_ok(),
                    recv(stop.0) -> _ => false,
                },
                Some((turn, _)) => select! {
                    recv(bell) -> ring => ring.is_ok(),
                    recv(stop.0) -> _ => false,
                    default(turn.saturating_duration_since(Instant::now())) => true,
                },
            };
            if let Err(error) = self.write(may_come) {
                return debug!("a client is cut off: {error}");
            }
            if !may_come {
                break;
            }
        }
        close.disarm();
        self.stream.close_writing();
    }

    /// Writes what waits and whose turn it is.
    fn write(&mut self, may_come: bool) -> io::Result<()> {
        // First the desk: whoever has it takes what waits, so that nothing overtakes.
        let mut desk = self.answers.desk();
        let mut answers = self.answers.take();
        hold(&mut self.held, self.pace, &mut answers);
        release(&mut self.held, may_come, &mut answers);
        let Some(open) = &mut *desk else { return Ok(()) };
        open.add(answers);
        let written = open.write(self.time);
        if written.is_err() {
            // Nothing may follow what was written in part.
            *desk = None;
        }
        written
    }
}

/// Takes those out that have to wait for their turn.
fn hold(held: &mut Held, pace: &Pace, answers: &mut Vec<Answer>) {
    let now = Instant::now();
    let refusals = answers.extract_if(.., |answer| answer.is_refusal());
    // What it would have taken is free: only its place among the requests is held.
    let refusals = refusals.map(|refusal| Answer { share: None, ..refusal });
    held.extend(refusals.map(|refusal| (pace.turn(now), refusal)));
}

/// Adds those whose turn has come; all when no more will come.
fn release(held: &mut Held, may_come: bool, answers: &mut Vec<Answer>) {
    let now = Instant::now();
    let due = held.partition_point(|(turn, _)| !may_come || *turn <= now);
    answers.extend(held.drain(..due).map(|(_, refusal)| refusal));
}
