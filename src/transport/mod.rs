//! Frames over TCP: `links` is what both ends of a connection need, the client's and the node's;
//! `serving` is the node's side, with its threads. Clients take the first only.

mod links;
#[cfg(feature = "server")]
mod serving;

pub(crate) use links::Backoff;
pub use links::{
    FrameError, FrameReader, GreetError, Patience, Sink, Source, Stream, greet, greet_with,
    write_frames, write_frames_until,
};
#[cfg(feature = "server")]
pub use serving::{
    BoundAddress, Doorkeeper, Event, Handler, NotSent, PeerSender, Peers, Reply, ReplyBatch,
    ReplyMessage, Settings, Transport,
};
#[cfg(feature = "server")]
pub(crate) use serving::{Repeats, panic_message};
