//! A client's connection after its greeting: requests in, answers out.
//!
//! Two threads: the connection's own reads requests, a second one writes the answers that could not
//! be written at once. Only so many requests may be unanswered, and while they are no further one is
//! read: so a client that does not read its answers stops being read itself, and what waits for it
//! is bounded.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, select, unbounded};
use log::debug;

use super::frame::{FrameError, FrameReader, write_frames};
use super::greeting;
use super::in_flight::{Meter, Share};
use super::replies::{Answer, Flow, Outlet, Queued, Reply};
use super::shared::{Shared, Stop};
use super::stream::{CloseOnDrop, Stream};
use crate::limits::{COALESCED_BYTES, MAX_REQUEST_FRAME_BYTES};
use crate::wire::{ClientOutcome, RequestError, decode_request};

/// The id of an answer that is about the connection.
const ABOUT_THE_CONNECTION: u64 = 0;

/// Serves a client until it leaves, errs, or the node stops.
pub(super) fn serve(
    shared: &Shared,
    stream: &Stream,
    mut reader: FrameReader<Stream>,
    in_flight: &Arc<Meter>,
) {
    let own = Meter::new(shared.settings.max_client_in_flight_bytes);
    let meters = [own, Arc::clone(in_flight)];
    let flow = Arc::new(Flow::new(shared.settings.max_pipelined));
    // Bounded in fact: each answer but the last, about the connection, is to a request of the flow.
    let (queue, queued) = unbounded();
    let outlet = Arc::new(Outlet::new(stream.clone(), queue, Arc::clone(&flow)));
    thread::scope(|scope| {
        let writer = thread::Builder::new().name("replies".to_owned()).spawn_scoped(scope, || {
            let writer = Writer { stream, queued, flow: &flow, time: shared.settings.write_time };
            writer.run(&shared.stop);
        });
        if let Err(error) = writer {
            return debug!("a client gets no thread: {error}");
        }
        match read_requests(shared, &mut reader, &flow, &outlet, &meters) {
            Ok(()) | Err(FrameError::Closed) => {}
            Err(error) => {
                debug!("a client is cut off: {error}");
                let message = format!("the connection is closed: {error}");
                let outcome = ClientOutcome::BadRequest(message);
                outlet.give(vec![Answer::new(ABOUT_THE_CONNECTION, outcome)], true);
            }
        }
        // The writer ends when the last answer is given: only replies hold the outlet now.
        drop(outlet);
    });
    greeting::linger(stream, &shared.settings);
}

/// Reads requests and hands them over, as long as answers can be sent.
fn read_requests(
    shared: &Shared,
    reader: &mut FrameReader<Stream>,
    flow: &Flow,
    outlet: &Arc<Outlet>,
    meters: &[Arc<Meter>; 2],
) -> Result<(), FrameError> {
    while !shared.stop.is_set() {
        let bytes = reader.read(MAX_REQUEST_FRAME_BYTES, shared.settings.for_client())?;
        let size = bytes.len();
        let request = match decode_request(bytes) {
            Ok(request) => Ok(request),
            Err(RequestError { id: Some(id), error }) => Err((id, error)),
            Err(RequestError { id: None, error }) => return Err(FrameError::Malformed(error)),
        };
        if !flow.take() {
            break;
        }
        match request {
            Ok(request) => match Share::take(meters.clone(), size) {
                Some(share) => {
                    let reply = Reply::new(request.id, Arc::clone(outlet), share);
                    shared.handler.request(request, reply);
                }
                None => {
                    let outcome = ClientOutcome::TooManyRequests;
                    outlet.give(vec![Answer::new(request.id, outcome)], true);
                }
            },
            Err((id, error)) => {
                let outcome = ClientOutcome::BadRequest(error.to_string());
                outlet.give(vec![Answer::new(id, outcome)], true);
            }
        }
    }
    Ok(())
}

/// Writes a client's answers that could not be written at once.
struct Writer<'a> {
    stream: &'a Stream,
    queued: Receiver<Queued>,
    flow: &'a Flow,
    time: Duration,
}

impl Writer<'_> {
    /// Writes until no more answers can come; when stopping, only those that are there.
    ///
    /// In the end the client sees the end of the stream. If writing fails, or this panics, the
    /// connection is closed, which wakes the reader.
    fn run(self, stop: &Stop) {
        let _end = EndOnDrop(self.flow);
        let close = CloseOnDrop(self.stream);
        let mut buffer = Vec::new();
        loop {
            let first = select! {
                recv(self.queued) -> queued => queued.ok(),
                recv(stop.0) -> _ => self.queued.try_recv().ok(),
            };
            let Some(first) = first else { break };
            if let Err(error) = self.write(first, &mut buffer) {
                return debug!("a client is cut off: {error}");
            }
        }
        close.disarm();
        self.stream.close_writing();
    }

    /// Writes what is given, and what else is ready, at once.
    fn write(&self, first: Queued, buffer: &mut Vec<u8>) -> std::io::Result<()> {
        buffer.clear();
        let mut written = Vec::new();
        let mut next = Some(first);
        while let Some(mut queued) = next {
            queued.encode(buffer);
            written.push(queued);
            next = match buffer.len() < COALESCED_BYTES {
                true => self.queued.try_recv().ok(),
                false => None,
            };
        }
        write_frames(&mut self.stream.clone(), &[&buffer[..]], self.time)?;
        written.iter().for_each(|queued| self.flow.answered(queued.answers(), true));
        if buffer.capacity() > 2 * COALESCED_BYTES {
            *buffer = Vec::new();
        }
        Ok(())
    }
}

/// Lets the reader go when no answers are written any more, in a panic too.
struct EndOnDrop<'a>(&'a Flow);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
