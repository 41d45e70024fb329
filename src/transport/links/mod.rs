//! Links: the two ends of a connection, which clients and nodes both need.
//!
//! | file | content |
//! | --- | --- |
//! | `stream` | one TCP connection, with or without TLS (`tls`), shared by several threads |
//! | `frame` | frames on it, read and written within bounds of size and time |
//! | `greeting` | the first frame in each direction, on the side that connects |
//! | `backoff` | the waiting times between attempts to connect |
//!
//! Nothing here starts a thread, depends on the node, or keeps state beyond one connection.

mod backoff;
mod frame;
mod greeting;
mod stream;
mod timeout;
mod tls;

pub(crate) use backoff::Backoff;
pub(crate) use frame::EMPTY_FRAME;
pub use frame::{
    FrameError, FrameReader, Patience, Sink, Source, write_frames, write_frames_until,
};
pub use greeting::{GreetError, greet, greet_with};
pub use stream::Stream;
