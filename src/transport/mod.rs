//! The transport: frames over TCP, with TLS where it is configured. It carries messages between
//! nodes, and requests and answers between clients and nodes. It does not know what they mean.
//!
//! `links` contains what both ends of a connection need, so clients use it too. `serving` is the
//! node's side: the listener, the threads of each connection, the limits and the checks.
//!
//! # Connections
//!
//! All connections go to the one port of a node. The side that opens a connection says in its
//! greeting which kind it is.
//!
//! | kind | opened by | carries | number |
//! | --- | --- | --- | --- |
//! | client | a client | requests one way, answers the other way | up to `MAX_CLIENTS` |
//! | peer | a node, to each other one | messages one way, keepalives the other way | one per node |
//!
//! Two nodes have two connections, one in each direction: a node sends its messages on the
//! connection that it opened itself. So each connection has one reader and one writer of messages,
//! and the sender renews a connection that was lost. If a node connects again, only its newest
//! connection counts. A connection with the same node id from another address is refused, because
//! then two processes run with copies of one data directory.
//!
//! # The life of a connection
//!
//! ```text
//! side that connects                          side that accepts
//! ------------------                          -----------------
//! connect          ─────────────────────────> a slot for connections that have not greeted,
//!                                             a thread; the first byte: frames, TLS or HTTP
//! TLS handshake    <────────────────────────> TLS handshake                  (if configured)
//! greeting         ─────────────────────────> checks: version, certificate, key or token,
//!                                             cluster and node list, a slot of its kind
//!                  <───────────────────────── welcome, or a refusal with its reason
//! frames           <────────────────────────> frames
//! ```
//!
//! A refusal has a message for people and a reason for programs. After it the accepting side reads
//! and discards for `LINGER_TIME` what is still sent: closing a socket with unread bytes resets the
//! connection, which could lose the refusal. HTTP is answered `400 Bad Request`.
//!
//! A frame is a 4-byte length and a protobuf message of that length (`links/frame.rs`). An empty
//! frame is a keepalive, on all connections.
//!
//! # Proof of identity
//!
//! *Cluster key.* If the nodes share a key, both sides of a peer connection prove that they know it
//! before either of them identifies itself (`serving/cluster_auth.rs`). Four frames are exchanged:
//!
//! ```text
//! AuthHello:       address, random number                ─────>
//!                                                        <─────  Challenge: random number, proof
//! Signed hello:    id, cluster, node list, and a proof   ─────>
//!                                                        <─────  Signed welcome or refusal
//! ```
//!
//! A proof is an HMAC over the step, both addresses, both random numbers, the content of the frame,
//! and, with TLS, a value exported from the session. So a recorded or reflected greeting is
//! refused, and with TLS a relayed one too. A refusal without a proof is logged and has no other
//! effect, because any process could have sent it.
//!
//! *TLS.* A node shows a certificate that names its own address, both when it connects and when it
//! accepts; a client verifies the node and shows no certificate (`links/tls.rs`).
//!
//! *Tokens.* If the node has a file of tokens, a client shows a token in its greeting, and the
//! token decides the client's rights. If the token is removed while the client is connected, the
//! connection ends after `REVOKED_CLIENT_TIME` (`serving/access_control.rs`).
//!
//! # Backpressure
//!
//! A thread that works for several connections waits for none of them, and every queue is bounded.
//!
//! * A request takes one of the `MAX_PIPELINED` request slots of its connection until its answer is
//!   written. Without a free slot nothing is read from the client, so TCP slows it down.
//! * The bytes of requests and answers in flight are counted per connection and per node. Above
//!   `MAX_CLIENT_IN_FLIGHT_BYTES` or `MAX_IN_FLIGHT_BYTES`, requests are answered
//!   `TooManyRequests`; these answers have a rate limit of their own.
//! * A frame for a peer is written at once, or queued, or dropped if the queue has reached
//!   `MAX_QUEUED_FRAMES` or `MAX_QUEUED_BYTES`: the protocol sends again what is lost.
//! * The events for the node go through one bounded channel. A peer's connection waits for room in
//!   it, so TCP slows the peer down. A client's thread never waits there: without room, the client
//!   is answered `TooManyRequests`.
//!
//! # Deadlines
//!
//! Every wait is bounded, by a constant in `limits`:
//!
//! | wait | bound |
//! | --- | --- |
//! | for the answer to one attempt to connect to a peer | `CONNECT_TIME` |
//! | from the acceptance of a connection to the end of its greeting | `GREETING_TIME` |
//! | from the first byte of a frame to its last | `FRAME_TIME` |
//! | for the next request of a client | `CLIENT_IDLE_TIME` |
//! | the same, when `MAX_CLIENTS` are connected and another one comes | `CLIENT_SLOT_TIME` |
//! | for a frame of a peer | `PEER_IDLE_TIME` |
//! | for a keepalive of a peer, before a new connection is tried | `PEER_PATIENCE` |
//! | for a keepalive of a peer, before the connection ends | `PEER_SILENCE_TIME` |
//! | for a write | `WRITE_TIME` |
//! | at the stop of the node, for queued answers | `CLOSING_TIME` |
//!
//! While a client waits for an answer, it gets a keepalive every `CLIENT_KEEPALIVE_TIME`, unless
//! the node has made no progress for `PROGRESS_TIME`: then the client should try another node.
//!
//! # What is left out
//!
//! There is no retransmission, no ordering across connections, and no async runtime: a few threads
//! per connection are enough for the `MAX_CLIENTS` clients of a node.

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
    BoundAddress, ClientIdentity, Event, Handler, NotSent, PeerSender, Peers, Reply, ReplyBatch,
    ReplyMessage, SecurityHandle, Settings, Transport,
};
#[cfg(feature = "server")]
pub(crate) use serving::{LogLimiter, panic_message};
