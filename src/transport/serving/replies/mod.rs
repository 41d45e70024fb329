//! Replies: the way of the node's answers to the clients.
//!
//! A request comes with a [`Reply`], on which the node sends any number of parts and then one last
//! message, from any thread and without waiting. This folder does not know what a message means or
//! how it is encoded: the connection provides an [`Encoder`], and the message tells its size
//! ([`ReplyMessage`]).
//!
//! ```text
//! Reply ──> reply queue ──┬─> sending thread: a batch for one connection ──┐
//!                         ├─> flusher thread: a batch for several ─────────┼─> ReplyWriter ─> TCP
//!                         └─> replies thread: everything else ─────────────┘
//! ```
//!
//! The messages of one step of the node are sent together ([`ReplyBatch`]), and one thread, the
//! flusher, is woken once for all of them: to wake each connection's thread would cost more than to
//! write the messages. If all of them are for one connection, the sending thread writes them
//! itself. Neither of the two waits for a connection: what the connection does not take at once is
//! left to the connection's replies thread ([`ReplyThread`]), and so are messages that are sent
//! singly.
//!
//! Three bounds limit what a connection that does not read can take. A request keeps its slot until
//! its last message is written, and without a free slot no further request is read. The bytes of
//! requests and last messages are counted (`in_flight`); above the bound, requests are rejected,
//! and messages never are. Parts above their own bound are not accepted, and their sender is told
//! ([`NotSent::Full`]).
//!
//! | file | content |
//! | --- | --- |
//! | `message` | the interface of a message, and a queued message |
//! | `in_flight` | the meters of bytes |
//! | `rejection_limiter` | the rate limit of rejections |
//! | `reply_writer` | encodes and writes a connection's messages, for one thread at a time |
//! | `reply_flusher` | the thread that writes the messages of a step |
//! | `reply_queue` | the queue between the senders and the writing threads |
//! | `reply_thread` | the replies thread of a connection |
//! | `reply` | the object by which the node answers a request |

mod in_flight;
mod message;
mod rejection_limiter;
mod reply;
mod reply_flusher;
mod reply_queue;
mod reply_thread;
mod reply_writer;

pub(super) use in_flight::{IncomingBytes, Meter, Share};
pub use message::ReplyMessage;
pub(super) use message::{Encoder, QueuedMessage};
pub(super) use rejection_limiter::RejectionLimiter;
pub use reply::NotSent;
pub(super) use reply::{Reply, ReplyBatch};
pub(super) use reply_flusher::ReplyFlusher;
pub(super) use reply_queue::{ReplySender, reply_queue};
pub(super) use reply_thread::ReplyThread;
pub(super) use reply_writer::ReplyWriter;
