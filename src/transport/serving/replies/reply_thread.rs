//! The thread that every connection has for its messages.

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

/// Rejections and their turns.
type Held<M> = VecDeque<(Instant, QueuedMessage<M>)>;

/// Writes a connection's messages where nothing else does: what waits for its turn or for the client, and
/// what is sent singly.
pub(crate) struct ReplyThread<'a, M: ReplyMessage> {
    stream: &'a Stream,
    messages: ReplyReceiver<M>,
    write_time: Duration,
    limiter: &'a RejectionLimiter,
    /// Rejections that wait for their turn, and their turns, in order except for a step of the limiter.
    held: Held<M>,
}

impl<'a, M: ReplyMessage> ReplyThread<'a, M> {
    /// Returns what writes `messages` to `stream`, each write within `write_time`.
    pub(crate) fn new(
        stream: &'a Stream,
        messages: ReplyReceiver<M>,
        write_time: Duration,
        limiter: &'a RejectionLimiter,
    ) -> ReplyThread<'a, M> {
        ReplyThread { stream, messages, write_time, limiter, held: VecDeque::new() }
    }

    /// Writes until no more messages can come; when stopping, only those that are there.
    ///
    /// In the end the client sees the end of the stream. If writing fails, or this panics, the
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

    /// Writes what waits and whose turn it is.
    fn write(&mut self, may_come: bool) -> io::Result<()> {
        // First the writer: what has it takes what waits, so that nothing overtakes.
        let mut writer = self.messages.writer();
        let mut messages = self.messages.take();
        hold(&mut self.held, self.limiter, &mut messages);
        release(&mut self.held, may_come, &mut messages);
        let Some(open) = &mut *writer else { return Ok(()) };
        open.add(messages);
        let written = open.write(self.write_time);
        if written.is_err() {
            // Nothing may follow what was written in part.
            *writer = None;
        }
        written
    }
}

/// Takes those out that have to wait for their turn.
fn hold<M: ReplyMessage>(
    held: &mut Held<M>,
    limiter: &RejectionLimiter,
    messages: &mut Vec<QueuedMessage<M>>,
) {
    let now = Instant::now();
    let rejections = messages.extract_if(.., |queued| queued.message.is_rejection());
    // What it would have taken is free: only its place among the requests is held.
    let rejections = rejections.map(|rejection| QueuedMessage { share: None, ..rejection });
    held.extend(rejections.map(|rejection| (limiter.turn(now), rejection)));
}

/// Adds those whose turn has come; all when no more will come.
fn release<M>(held: &mut Held<M>, may_come: bool, messages: &mut Vec<QueuedMessage<M>>) {
    let now = Instant::now();
    let due = held.partition_point(|(turn, _)| !may_come || *turn <= now);
    messages.extend(held.drain(..due).map(|(_, rejection)| rejection));
}
