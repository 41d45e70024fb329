//! Replies: how answers of the node come to those that asked.
//!
//! A request comes with a [`Reply`], on which the node sends any number of parts and then one last
//! message, from any thread and without ever waiting. What a message means, and how it looks on the
//! connection, is not known here: the connection brings an [`Encoder`], and the message tells its size
//! ([`ReplyMessage`]).
//!
//! ```text
//! Reply ──> queue of the connection ──┬─> ReplyBatch: all of it for one connection ──┐
//!                                     ├─> flusher thread: a step of the node ────────┼─> ReplyWriter ─> TCP
//!                                     └─> the connection's own thread: the rest ─────┘
//! ```
//!
//! Messages of a step of the node are sent together ([`ReplyBatch`]), and one thread, the flusher, is
//! woken once for all of them: waking each connection's thread would cost more than what it writes.
//! Where they are all for one connection, not even the flusher is worth waking. Neither of the two waits
//! for a connection: what it does not take at once is left to its own thread ([`ReplyThread`]), and so are
//! messages that are sent singly.
//!
//! Three bounds hold a connection that does not read: a request keeps its place among those of the
//! connection until its last message is written, and no further one is read without a place; bytes of
//! requests and last messages are counted (`in_flight`), and above the bound requests are rejected, never
//! messages; parts above their bound are not taken, which the sender is told ([`NotSent::Full`]).
//!
//! | file | is |
//! | --- | --- |
//! | `message` | what is known of a message, and one that waits |
//! | `in_flight` | the counts of bytes |
//! | `rejection_limiter` | when a rejection may leave |
//! | `reply_writer` | where a connection's messages are encoded and written, by one thread at a time |
//! | `reply_flusher` | the thread that writes the messages of a step |
//! | `reply_queue` | a connection's messages, between those that send and those that write |
//! | `reply_thread` | the connection's own thread |
//! | `reply` | what the node holds |

mod in_flight;
mod message;
mod rejection_limiter;
mod reply;
mod reply_flusher;
mod reply_queue;
mod reply_thread;
mod reply_writer;

pub(super) use in_flight::{Coming, Meter, Share};
pub use message::ReplyMessage;
pub(super) use message::{Encoder, QueuedMessage};
pub(super) use rejection_limiter::RejectionLimiter;
pub use reply::NotSent;
pub(super) use reply::{Reply, ReplyBatch};
pub(super) use reply_flusher::ReplyFlusher;
pub(super) use reply_queue::{ReplySender, reply_queue};
pub(super) use reply_thread::ReplyThread;
pub(super) use reply_writer::ReplyWriter;
