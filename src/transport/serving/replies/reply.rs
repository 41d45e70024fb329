//! The reply to one request, held by the node.

use super::in_flight::Share;
use super::message::{QueuedMessage, ReplyMessage};
use super::reply_flusher::Flush;
use super::reply_queue::{Added, ReplySender};

/// The reply to one request: any number of parts, and one last message.
///
/// Each request is answered: if this is dropped without a last message, the client is sent
/// [`ReplyMessage::of_dropped_reply`].
#[derive(Debug)]
pub struct Reply<M: ReplyMessage> {
    id: u64,
    /// `None` after the last message was sent.
    open: Option<Open<M>>,
}

/// A reply whose last message was not sent yet.
#[derive(Debug)]
struct Open<M: ReplyMessage> {
    to: ReplySender<M>,
    /// The bytes that the request takes.
    share: Share,
}

/// Why a part was not sent.
#[derive(Debug, PartialEq, Eq)]
pub enum NotSent<M> {
    /// Earlier parts are not written yet and take all the room. Returns the message.
    Full(M),
    /// The connection has ended.
    Gone,
}

impl<M: ReplyMessage> Reply<M> {
    /// Returns the reply to request `id`, which takes `share`; its messages are sent by `to`.
    pub(crate) fn new(id: u64, to: ReplySender<M>, share: Share) -> Reply<M> {
        Reply { id, open: Some(Open { to, share }) }
    }

    /// Sends the last message. Does not wait; if the client has disconnected, nothing happens.
    pub fn send(mut self, message: M) {
        if let Some((to, queued)) = self.last(message) {
            to.send(queued);
        }
    }

    /// Sends a part; further parts or the last message must follow. Does not wait.
    ///
    /// # Errors
    /// If there is no room for it, or the connection has ended.
    pub fn send_part(&self, message: M) -> Result<(), NotSent<M>> {
        if let Some(to) = self.add_part(message)? {
            to.wake();
        }
        Ok(())
    }

    /// Adds a part; returns the sender if the part is the first that waits.
    fn add_part(&self, message: M) -> Result<Option<&ReplySender<M>>, NotSent<M>> {
        let Some(Open { to, share }) = &self.open else { return Err(NotSent::Gone) };
        let Some(share) = to.share_of_part(share, message.size()) else {
            return Err(NotSent::Full(message));
        };
        let share = Some(share);
        match to.add(QueuedMessage { id: self.id, message, share, is_last: false }) {
            Added::First => Ok(Some(to)),
            Added::Behind => Ok(None),
            Added::Gone => Err(NotSent::Gone),
        }
    }

    fn last(&mut self, message: M) -> Option<(ReplySender<M>, QueuedMessage<M>)> {
        let Open { to, mut share } = self.open.take()?;
        share.grow(message.size());
        Some((to, QueuedMessage { id: self.id, message, share: Some(share), is_last: true }))
    }
}

impl<M: ReplyMessage> Drop for Reply<M> {
    fn drop(&mut self) {
        if self.open.is_some()
            && let Some((to, queued)) = self.last(M::of_dropped_reply())
        {
            to.send(queued);
        }
    }
}

/// Messages that are sent together. They are written when this is dropped, which should be soon.
/// The drop does not wait: what a connection does not take at once is left to its replies thread.
#[derive(Debug)]
pub struct ReplyBatch<M: ReplyMessage> {
    to_write: Vec<ReplySender<M>>,
}

impl<M: ReplyMessage> Default for ReplyBatch<M> {
    fn default() -> ReplyBatch<M> {
        ReplyBatch { to_write: Vec::new() }
    }
}

impl<M: ReplyMessage> ReplyBatch<M> {
    /// Sends the last message as [`Reply::send`] does, without waking a thread yet.
    pub fn send(&mut self, mut reply: Reply<M>, message: M) {
        if let Some((to, queued)) = reply.last(message)
            && to.add(queued) == Added::First
        {
            self.to_write.push(to);
        }
    }

    /// Sends a part as [`Reply::send_part`] does, without waking a thread yet.
    ///
    /// # Errors
    /// If there is no room for it, or the connection has ended.
    pub fn send_part(&mut self, reply: &Reply<M>, message: M) -> Result<(), NotSent<M>> {
        self.to_write.extend(reply.add_part(message)?.cloned());
        Ok(())
    }
}

impl<M: ReplyMessage> Drop for ReplyBatch<M> {
    fn drop(&mut self) {
        let connections = std::mem::take(&mut self.to_write);
        match &connections[..] {
            [] => {}
            [connection] => connection.flush(&mut Vec::new()),
            _ => ReplySender::flush_all(connections),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::in_flight::Meter;
    use super::super::reply_flusher::ReplyFlusher;
    use super::super::reply_queue::{ReplyReceiver, reply_queue};
    use super::*;

    /// The message is its text; the text of a dropped reply is "dropped".
    impl ReplyMessage for String {
        fn size(&self) -> usize {
            self.len()
        }

        fn is_rejection(&self) -> bool {
            false
        }

        fn of_dropped_reply() -> String {
            "dropped".to_owned()
        }
    }

    /// Returns a queue without a writer. Its parts may take 100 bytes.
    fn queue() -> (ReplySender<String>, ReplyReceiver<String>) {
        let (flusher, _) = ReplyFlusher::new();
        reply_queue(None, flusher, 100)
    }

    fn share() -> Share {
        Share::take([Meter::new(1 << 20), Meter::new(1 << 20)], 0).expect("room")
    }

    fn reply(id: u64, to: &ReplySender<String>) -> Reply<String> {
        Reply::new(id, to.clone(), share())
    }

    fn taken(receiver: &ReplyReceiver<String>) -> Vec<(u64, String, bool)> {
        let taken = receiver.take().into_iter();
        taken.map(|queued| (queued.id, queued.message, queued.is_last)).collect()
    }

    #[test]
    fn a_batch_wakes_the_thread_once_at_its_end() {
        let (sender, receiver) = queue();
        let mut together = ReplyBatch::default();
        together.send(reply(1, &sender), "a".into());
        together.send_part(&reply(2, &sender), "b".into()).expect("room");
        assert!(
            receiver.wakeup.try_recv().is_err(),
            "it does not wake before the end of the batch"
        );
        drop(together);
        assert!(receiver.wakeup.try_recv().is_ok());
        assert!(receiver.wakeup.try_recv().is_err(), "there is one wakeup for all");
        let expected = [(1, "a", true), (2, "b", false), (2, "dropped", true)];
        assert_eq!(taken(&receiver), expected.map(|(id, text, last)| (id, text.into(), last)));
    }

    #[test]
    fn a_message_wakes_the_thread_after_earlier_messages_were_taken() {
        let (sender, receiver) = queue();
        for id in 1..=3 {
            reply(id, &sender).send("a".into());
            assert!(receiver.wakeup.try_recv().is_ok(), "message {id} wakes");
            assert_eq!(taken(&receiver), [(id, "a".into(), true)]);
        }
    }

    #[test]
    fn parts_come_in_order_before_the_last_message() {
        let (sender, receiver) = queue();
        let reply = reply(7, &sender);
        reply.send_part("a".into()).expect("room");
        reply.send_part("b".into()).expect("room");
        reply.send("c".into());
        let expected = [(7, "a", false), (7, "b", false), (7, "c", true)];
        assert_eq!(taken(&receiver), expected.map(|(id, text, last)| (id, text.into(), last)));
    }

    #[test]
    fn unwritten_parts_are_bounded_and_the_last_message_is_not() {
        let (sender, receiver) = queue();
        let reply = reply(1, &sender);
        let part = "x".repeat(60);
        reply.send_part(part.clone()).expect("room");
        reply.send_part(part.clone()).expect("one part may exceed the bound");
        assert_eq!(reply.send_part(part.clone()), Err(NotSent::Full(part.clone())));
        let written = receiver.take();
        assert_eq!(reply.send_part(part.clone()), Err(NotSent::Full(part.clone())), "not written");
        drop(written);
        reply.send_part(part.clone()).expect("room again");
        reply.send(part);
        assert_eq!(receiver.take().len(), 2);
    }

    #[test]
    fn discarded_messages_are_not_counted() {
        let (sender, receiver) = queue();
        let meter = Meter::new(1 << 20);
        let share = || Share::take([Arc::clone(&meter), Arc::clone(&meter)], 0).expect("room");
        Reply::new(1, sender.clone(), share()).send("a".into());
        let later = Reply::new(2, sender.clone(), share());
        later.send_part("a".into()).expect("room");
        drop(receiver);
        assert_eq!(later.send_part("a".into()), Err(NotSent::Gone));
        later.send("a".into());
        // One reference is this variable, and the closure borrows it: no message holds another.
        assert_eq!(Arc::strong_count(&meter), 1);
    }

    #[test]
    fn a_dropped_reply_is_answered_and_its_queue_ends() {
        let (sender, receiver) = queue();
        drop(reply(1, &sender));
        drop(sender);
        assert!(receiver.wakeup.recv().is_ok(), "there is an answer");
        assert_eq!(taken(&receiver), [(1, "dropped".into(), true)]);
        assert!(receiver.wakeup.recv().is_err(), "nothing further can come");
    }
}
