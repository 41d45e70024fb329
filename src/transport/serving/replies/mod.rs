//! Replies: how the node's answers reach the clients.
//!
//! The node receives each request together with a [`Reply`]. By it the node sends the answer, from
//! any thread and without waiting: any number of *parts*, and then one *last message*, which ends
//! the request. This folder does not know what a message means or how it is encoded: the connection
//! provides an [`Encoder`], and the message tells its size ([`ReplyMessage`]).
//!
//! ```text
//! Reply ──> reply queue ──┬─> sending thread: a batch for one connection ──┐
//!                         ├─> flusher thread: a batch for several ─────────┼─> ReplyWriter ─> TCP
//!                         └─> replies thread: everything else ─────────────┘
//! ```
//!
//! The messages of one step of the node are sent together ([`ReplyBatch`]). One thread, the
//! flusher, is woken once for all of them: to wake a thread of each connection would cost more than
//! to write the messages. If all of them are for one connection, the sending thread writes them
//! itself. Neither thread waits for a connection. What a connection does not take at once is left
//! to its own replies thread ([`ReplyThread`]), which also writes the messages that are sent
//! outside of a batch.
//!
//! Three bounds limit the memory that a client can take by not reading:
//!
//! - A request keeps its slot until its last message is written, and without a free slot no further
//!   request is read from the connection.
//! - The bytes of requests and last messages are counted (`in_flight`). Above the bound, further
//!   requests are rejected. A last message is always sent.
//! - The bytes of parts have a bound of their own. Above it, a part is not accepted, and its sender
//!   gets [`NotSent::Full`].
//!
//! | file | content |
//! | --- | --- |
//! | `reply` | what the node sends by: the reply to one request, and a batch |
//! | `reply_queue` | the queue of a connection, between the senders and the writing threads |
//! | `reply_flusher` | the thread that writes the messages of a step |
//! | `reply_thread` | the replies thread of a connection |
//! | `reply_writer` | encodes and writes a connection's messages, for one thread at a time |
//! | `message` | the interface of a message, and a queued message |
//! | `in_flight` | counts the bytes of requests and answers, within bounds |
//! | `rejection_limiter` | the rate limit of rejections |

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
