//! The replies thread of a connection.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use crossbeam_channel::select;
use log::debug;

use super::super::close_on_drop::CloseOnDrop;
use super::super::stop::Stop;
use super::message::{QueuedMessage, ReplyMessage};
use super::rejection_limiter::RejectionLimiter;
use super::reply_queue::ReplyReceiver;
use crate::transport::links::Stream;

/// Rejections, each with its turn.
type Held<M> = VecDeque<(Instant, QueuedMessage<M>)>;

/// Writes those messages of a connection that no other thread writes: those that wait for their
/// turn or for the client, and those that are sent singly.
pub(crate) struct ReplyThread<'a, M: ReplyMessage> {
    stream: &'a Stream,
    messages: ReplyReceiver<M>,
    write_time: Duration,
    limiter: &'a RejectionLimiter,
    /// Rejections that wait for their turn, in the order of the turns up to one step of the
    /// limiter.
    held: Held<M>,
}

impl<'a, M: ReplyMessage> ReplyThread<'a, M> {
    /// Returns the thread that writes `messages` to `stream`, each write within `write_time`.
    pub(crate) fn new(
        stream: &'a Stream,
        messages: ReplyReceiver<M>,
        write_time: Duration,
        limiter: &'a RejectionLimiter,
    ) -> ReplyThread<'a, M> {
        ReplyThread { stream, messages, write_time, limiter, held: VecDeque::new() }
    }

    /// Writes until no further messages can come; at a stop, writes only those that wait.
    ///
    /// At the end, the client sees the end of the stream. If writing fails, or this panics, the
    /// connection is closed, which wakes the reader.
    pub(crate) fn run(mut self, stop: &Stop) {
        let close = CloseOnDrop(self.stream);
        loop {
            let wakeup = &self.messages.wakeup;
            let may_come = match self.held.front() {
                None => select! {
                    recv(wakeup) -> woken => woken.is_ok(),
                    recv(stop.0) -> _ => false,
                },
                Some((turn, _)) => select! {
                    recv(wakeup) -> woken => woken.is_ok(),
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

    /// Writes the waiting messages, and the rejections that are due.
    fn write(&mut self, may_come: bool) -> io::Result<()> {
        // The writer is locked first: the thread that holds it takes the waiting messages, so that
        // none can overtake another.
        let mut writer = self.messages.writer();
        let mut messages = self.messages.take();
        hold(&mut self.held, self.limiter, &mut messages);
        release(&mut self.held, may_come, &mut messages);
        let Some(open) = &mut *writer else { return Ok(()) };
        open.add(messages);
        let written = open.write(self.write_time);
        if written.is_err() {
            // Nothing may follow a message that was written in part.
            *writer = None;
        }
        written
    }
}

/// Moves rejections from `messages` to those that wait for their turn.
fn hold<M: ReplyMessage>(
    held: &mut Held<M>,
    limiter: &RejectionLimiter,
    messages: &mut Vec<QueuedMessage<M>>,
) {
    let now = Instant::now();
    let rejections = messages.extract_if(.., |queued| queued.message.is_rejection());
    // Its bytes are released: it keeps only its slot.
    let rejections = rejections.map(|rejection| QueuedMessage { share: None, ..rejection });
    held.extend(rejections.map(|rejection| (limiter.turn(now), rejection)));
}

/// Adds the rejections that are due; all of them if no further messages will come.
fn release<M>(held: &mut Held<M>, may_come: bool, messages: &mut Vec<QueuedMessage<M>>) {
    let now = Instant::now();
    let due = held.partition_point(|(turn, _)| !may_come || *turn <= now);
    messages.extend(held.drain(..due).map(|(_, rejection)| rejection));
}
