//! Every bound of the wire, the transport and the client library, with its unit and its reason.
//!
//! Sizes are in bytes unless the name says otherwise. Bounds that depend on each other are tied by
//! `const` assertions at the end, so that one cannot be changed without the other. The bounds of
//! the language are in `lang/limits.rs`; the settings of the core are in `lpaxos/config.rs`.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

// --- Numbers ---------------------------------------------------------------------------------

/// Slots and rounds from the wire are below this. So a node can count up from any of them for its
/// whole life, and no sum of two overflows.
pub const NUMBERS_BELOW: u64 = 1 << 62;

/// The most nodes in a cluster, and addresses in a node list. Consensus among more nodes would be
/// slower and hardly more available.
pub const MAX_NODES: usize = 64;

/// The most notices in the status of a node: more than there are kinds, and one for each member.
pub const MAX_NOTICES: usize = MAX_NODES + 64;

// --- Sizes: entries, patches and pages -------------------------------------------------------

/// The largest key in the replica: a key of the language (4 KiB), and room for the prefix that the
/// store puts before it.
pub const MAX_ENTRY_KEY_BYTES: usize = 4 * KIB + 64;

/// The largest value in the replica: a text of the language (1 MiB), or a session with its kept
/// answers.
pub const MAX_ENTRY_VALUE_BYTES: usize = 2 * MIB;

/// The most bytes that an entry takes in a message besides its key and value: tags, lengths and
/// version. Code that counts the size of a batch or a page adds it for each entry.
pub const ENTRY_OVERHEAD_BYTES: usize = 32;

/// The largest patch. A batch takes no further request once it has 1 MiB, and the last transaction
/// that it took may write 4 MiB under 10,000 keys; the rest is for sessions.
pub const MAX_PATCH_BYTES: usize = 6 * MIB;

/// The largest page: 1 MiB, the entry that exceeds it and so ends the page, and the key that the
/// page names as its end.
pub const MAX_PAGE_BYTES: usize = MIB + MAX_ENTRY_VALUE_BYTES + 2 * MAX_ENTRY_KEY_BYTES;

/// The most patches in one message of a repair. An empty patch takes two bytes on the wire and a
/// hundred in memory, so the size of the frame alone would not bound the memory.
pub const MAX_PATCHES_PER_REPAIR: usize = 64 * KIB;

// --- Sizes: frames ---------------------------------------------------------------------------

/// The largest frame before the greeting is complete. A full node list fits. It bounds what an
/// unknown sender can make a node read.
pub const MAX_GREETING_FRAME_BYTES: usize = 8 * KIB;

/// The longest text of a rejection or of a failed request; longer ones are cut.
pub const MAX_MESSAGE_BYTES: usize = 4 * KIB;

/// The longest version of a program, in a greeting.
pub const MAX_RELEASE_BYTES: usize = 64;

/// The largest file with a cluster key or a token, which is one line.
pub const MAX_SECRET_BYTES: usize = 4 * KIB;

/// The shortest cluster key or token. A shorter one could be guessed, perhaps with the help of
/// recorded greetings.
pub const MIN_SECRET_BYTES: usize = 32;

/// The largest file with certificates, with a private key, or with the tokens of clients.
pub const MAX_CERTIFICATE_FILE_BYTES: usize = MIB;

/// How many bytes a TLS stream asks of the socket at once: a record of the greatest size (RFC 8446,
/// section 5.2) fits.
pub const TLS_READ_BYTES: usize = 17 * KIB;

/// The time between two checks whether the files with keys, certificates and tokens changed.
pub const FILES_PERIOD: Duration = Duration::from_secs(10);

/// A node warns of a certificate that ends within this time.
pub const CERTIFICATE_WARNING_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A node leaves the lead to other nodes when its certificate ends within this time. Clients with
/// clocks that are a little ahead reject the certificate that much sooner, and the node notices the
/// end only at the next check of the files.
pub const CERTIFICATE_HANDOVER_TIME: Duration = Duration::from_secs(60);

/// After the token of a client was revoked, the client has this time to read the answers to earlier
/// requests before its connection is closed.
pub const REVOKED_CLIENT_TIME: Duration = Duration::from_millis(500);

/// The most clients that a node knows by their tokens. Each token is compared with that of every
/// client that connects, which takes about a microsecond.
pub const MAX_CLIENT_TOKENS: usize = 1024;

/// The largest request of a client: a program (64 KiB) with one parameter of the greatest size
/// (1 MiB) fits.
pub const MAX_REQUEST_FRAME_BYTES: usize = 3 * MIB / 2;

/// The largest answer to a client: a transaction may read 4 MiB, and the rest is the overhead of
/// many small keys.
pub const MAX_RESPONSE_FRAME_BYTES: usize = 8 * MIB;

/// The largest message between nodes: two decrees in an `Accept`, or a decree and a page in a
/// `Promise`.
pub const MAX_PEER_FRAME_BYTES: usize = 16 * MIB;

/// The most parameters of a request. A parameter of six bytes takes forty in memory once decoded.
pub const MAX_REQUEST_PARAMETERS: usize = 2 * KIB;

/// The largest request other than one that runs a program. An unknown field of three bytes takes
/// two hundred in memory once decoded, so such a request must be smaller than a program may be.
pub const MAX_OTHER_REQUEST_BYTES: usize = 64 * KIB;

/// The most fields of a message between nodes: as many entries as the bytes allow, with four fields
/// each.
pub const MAX_PEER_FIELDS: usize = 2 * MIB;

/// The most bytes that a message between nodes takes besides keys, values and their overhead.
const PEER_FRAME_OVERHEAD_BYTES: usize = 64 * KIB;

/// How many bytes a reader asks of the socket at once. Its buffer grows by no more than this before
/// the bytes arrive, whatever length the frame claims.
pub const READ_BYTES: usize = 64 * KIB;

/// A reader's buffer that grew above this is freed once at most half of this is left unread in it.
pub const KEPT_BUFFER_BYTES: usize = 256 * KIB;

/// A writer coalesces queued frames into one system call up to this size.
pub const COALESCED_BYTES: usize = 256 * KIB;

/// A writer coalesces at most this many frames into one system call.
pub const COALESCED_FRAMES: usize = 64;

/// A frame above this size is always written by the peer's own thread, because to copy it would
/// take longer than to wake that thread.
pub const AT_ONCE_BYTES: usize = 16 * KIB;

// --- Connections -----------------------------------------------------------------------------

/// The most clients that a node serves at once. With peers, connections before their greeting and
/// files, it stays below the 1,024 descriptors that systems usually allow a process; if fewer are
/// allowed, fewer clients are served.
pub const MAX_CLIENTS: usize = 512;

/// The most connections before their greeting. An unknown sender can hold one only for
/// [`GREETING_TIME`].
pub const MAX_UNGREETED: usize = 128;

/// The most connections before their greeting from one address, so that it cannot keep others out.
pub const MAX_UNGREETED_PER_ADDRESS: usize = MAX_UNGREETED / 2;

/// The least number of connections before their greeting, when the process may open few
/// descriptors.
pub const MIN_UNGREETED: usize = 4;

/// The descriptors reserved for each other member: the node's own connection to it, the attempts at
/// another one, the member's connection to this node, and the connection that replaces that one.
pub const MEMBER_DESCRIPTORS: usize = 1 + MAX_CONNECT_ATTEMPTS + 2;

/// The descriptors reserved for the node itself: the journal, a checkpoint, directories and locks,
/// the listening socket, and the files that it checks every [`FILES_PERIOD`].
pub const OWN_DESCRIPTORS: usize = 20;

/// The most bytes of partly received requests above [`READ_BYTES`], over all clients. Beyond it a
/// large request is not read: its connection is closed, and the client tries again.
pub const MAX_INCOMING_BYTES: usize = 96 * MIB;

/// The most bytes of requests and of their answers in flight, over all clients. Beyond it no
/// request is admitted until answers are written, or the clients that do not read them are
/// disconnected.
pub const MAX_IN_FLIGHT_BYTES: usize = 256 * MIB;

/// The most bytes of requests and of their answers in flight on one connection, so that a client
/// that pipelines many requests and reads slowly does not use up [`MAX_IN_FLIGHT_BYTES`].
pub const MAX_CLIENT_IN_FLIGHT_BYTES: usize = 64 * MIB;

/// The most bytes of partial answers that wait to be written on one connection. Beyond it no part
/// is taken, and the sender of parts continues once some are written.
pub const MAX_CLIENT_PARTS_BYTES: usize = MIB;

/// The most requests of one connection without a sent answer. The server reads no further request
/// of the connection meanwhile.
pub const MAX_PIPELINED: usize = 128;

/// The most events that wait for the consensus thread. Peers wait for room in this queue; events of
/// clients may fill only half of it, so that they do not keep the peers out.
pub const EVENTS_QUEUED: usize = 4096;

/// The most requests that wait for the consensus thread to take them: those that arrive while it
/// waits for its disk. More would only wait longer, so they fail with `TooManyRequests`.
pub const REQUESTS_QUEUED: usize = 768;

/// The consensus thread is woken once this many requests are queued, even if it can only run them
/// ahead of the proposal in flight.
pub const WAKE_AT_LEN: usize = REQUESTS_QUEUED / 4;

/// The most frames that wait for a peer's connection. Frames beyond it are dropped, and the
/// protocol sends them again.
pub const MAX_QUEUED_FRAMES: usize = 1024;

/// The most bytes that wait for a peer's connection.
pub const MAX_QUEUED_BYTES: usize = 32 * MIB;

/// The default port of a node, for peers and clients alike.
pub const DEFAULT_PORT: u16 = 50051;

// --- Times -----------------------------------------------------------------------------------

/// The timeout from the connection to the complete greeting, in either direction.
pub const GREETING_TIME: Duration = Duration::from_secs(5);

/// The first timeout of a greeting when a node connects to a peer, so that a connection that breaks
/// during its greeting does not keep the node from trying another one. It doubles up to
/// [`GREETING_TIME`] for a peer that is far away.
pub const MIN_GREETING_TIME: Duration = Duration::from_millis(500);

/// The timeout from the first byte of a frame to the last. A sender that is paused for less is not
/// disconnected.
pub const FRAME_TIME: Duration = Duration::from_secs(20);

/// The time between two rejections for too many requests, over all clients, while many are
/// rejected: 20,000 a second take a fifth of a processor.
pub const REJECTION_INTERVAL: Duration = Duration::from_micros(50);

/// The longest time that such a rejection is delayed.
pub const MAX_REJECTION_DELAY: Duration = Duration::from_millis(400);

/// Rejections are delayed in steps of this, so that a connection's thread wakes once for many.
pub const REJECTION_STEP: Duration = Duration::from_millis(10);

/// A client that sends nothing for this time is disconnected, because clients that vanished would
/// use up all connections otherwise. It is long, since people leave a prompt open.
pub const CLIENT_IDLE_TIME: Duration = Duration::from_secs(3600);

/// A client that asks nothing for this time is disconnected when another client needs its place.
pub const CLIENT_SLOT_TIME: Duration = Duration::from_secs(150);

/// An inbound connection of a peer that receives nothing for this time is dead, because the peer
/// sends a keepalive every [`KEEPALIVE_TIME`].
pub const PEER_IDLE_TIME: Duration = Duration::from_secs(10);

/// The time between two keepalives that a node sends to its peer on a connection.
pub const KEEPALIVE_TIME: Duration = Duration::from_millis(100);

/// The time between two signs of life that a node sends while it reads from a peer, or cannot take
/// what it read. Its answers to keepalives would leave only after everything before them is read.
pub const SIGN_OF_LIFE_TIME: Duration = Duration::from_millis(100);

/// When a peer does not answer a keepalive for this time, a node tries a second connection to it
/// while the first one stays open: the network may work again while the first connection still
/// waits to retransmit what was lost.
pub const PEER_PATIENCE: Duration = Duration::from_millis(300);

/// The greatest value of [`PEER_PATIENCE`], which doubles with each second connection that succeeds
/// at once, since the peer may then only be slow.
pub const MAX_PEER_PATIENCE: Duration = Duration::from_millis(900);

/// A peer that gives no sign of life for this time, and to which no second connection succeeds,
/// counts as gone.
pub const PEER_SILENCE_TIME: Duration = Duration::from_secs(4);

/// The longest time between two frames to a client that waits for an answer, while the node makes
/// progress: if no answer is due, the node sends an empty frame.
pub const CLIENT_KEEPALIVE_TIME: Duration = Duration::from_millis(250);

/// A node sends its clients no further empty frames once its consensus thread has made no progress
/// for this time. It is longer than a write on a slow disk, and as long as the other nodes wait for
/// a leader in that state (`Config::stalled_ms` of the core).
pub const PROGRESS_TIME: Duration = Duration::from_millis(2_250);

/// The timeout of one coalesced write. A receiver that reads more slowly is disconnected.
pub const WRITE_TIME: Duration = Duration::from_secs(10);

/// The timeout of one attempt to open a connection.
pub const CONNECT_TIME: Duration = Duration::from_secs(1);

/// The time after which a node begins another attempt to connect to a peer, when the peer's system
/// does not answer; the earlier attempts still wait. After the same time, a node tries again to
/// reach a peer that it could not reach.
pub const CONNECT_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The most attempts to connect to one peer that wait at once.
pub const MAX_CONNECT_ATTEMPTS: usize = 4;

/// The first pause between two attempts to connect; it doubles with each attempt.
pub const MIN_BACKOFF: Duration = Duration::from_millis(50);

/// The longest pause between two attempts to connect, when the peer is reached but the greeting
/// fails.
pub const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// After an error is sent to the other side, its further bytes are read and discarded for this
/// time. Closing a socket with unread bytes resets the connection, which could lose the error.
pub const LINGER_TIME: Duration = Duration::from_secs(1);

/// When the node stops, the answers that are queued for clients are sent within this time.
pub const CLOSING_TIME: Duration = Duration::from_secs(1);

/// The deadline of a request that names none. The first transaction of a client opens a session
/// too, and may come during a write: with disks that take 2 s for an fsync, that is about 6 s.
pub const DEFAULT_REQUEST_TIME: Duration = Duration::from_secs(10);

/// The latest deadline of a request; a later one is cut to this.
pub const MAX_REQUEST_TIME: Duration = Duration::from_secs(120);

// --- The client library ----------------------------------------------------------------------

/// The most transactions of one client that are unanswered at once; one connection may have as
/// many.
pub const CLIENT_WINDOW: u32 = 128;

/// A client that waits for an answer, and receives nothing at all from the node for this time, asks
/// another node. It is longer than the pauses of a healthy node, and short enough that a request
/// with the default deadline reaches the next leader.
pub const CLIENT_SILENCE_TIME: Duration = Duration::from_secs(1);

/// The least value that a user can set instead of [`CLIENT_SILENCE_TIME`]. With less, a client
/// would leave a node that only waits for its disk.
pub const MIN_CLIENT_SILENCE_TIME: Duration = Duration::from_millis(50);

/// The slowest connection to a node that a client expects. What it sent is on the way for as long
/// as the bytes take at this speed, and only after that does the silence of the node begin.
pub const MIN_CLIENT_BYTES_PER_SECOND: u32 = 1024 * 1024;

/// How long a thread of a client writes what other threads queued; then another waiting thread
/// writes.
pub const CLIENT_WRITE_TURN: Duration = Duration::from_millis(10);

/// After its deadline a client reads once more what has arrived, for this time; it is the shortest
/// timeout of a socket.
pub const CLIENT_LOOK_TIME: Duration = Duration::from_millis(1);

/// A client reads in steps of this, so that one timeout of the socket serves all deadlines; only
/// the last step before a deadline is shorter.
pub const CLIENT_READ_STEP: Duration = Duration::from_millis(250);

/// The most attempts to connect that a client makes at once, each on a thread of its own.
pub const MAX_CLIENT_ATTEMPTS: usize = 3;

/// A client tries the next address when the one before did not accept it within this time, and
/// waits this long for a leader to which it was redirected. It is longer than connecting takes on a
/// busy network.
pub const CLIENT_HEAD_START: Duration = Duration::from_millis(100);

/// A call that waits for this time asks the node for its status, and a client asks no more often.
/// So an error can tell which other nodes that node does not hear.
pub const CLIENT_INQUIRY_TIME: Duration = Duration::from_millis(500);

/// An error mentions the failures of other nodes that were seen within this time.
pub const CLIENT_KNOWLEDGE_TIME: Duration = Duration::from_secs(10);

/// A client that does not wait for nodes to start gives up once all known addresses have refused
/// the connection this many times.
pub const CLIENT_FIRST_ATTEMPTS: u32 = 3;

/// The time between two of these attempts.
pub const CLIENT_FIRST_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The first pause between two attempts of a call; it doubles with each attempt.
pub const MIN_CLIENT_BACKOFF: Duration = Duration::from_millis(5);

/// The longest pause between two attempts of a call.
pub const MAX_CLIENT_BACKOFF: Duration = Duration::from_millis(500);

/// The most by which the deadline that a client tells the node is before its own. The node's answer
/// tells whether the transaction ran, which the client cannot know when its own deadline passes.
pub const CLIENT_ANSWER_MARGIN: Duration = Duration::from_millis(100);

/// The longest time that a call of a client may take; adding it to a clock does not overflow.
pub const MAX_CLIENT_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// The most addresses of nodes that a client remembers.
pub const MAX_CLIENT_ADDRESSES: usize = 2 * MAX_NODES;

// --- What depends on what --------------------------------------------------------------------

/// The bounds that depend on the language and on the core, which only a node has.
#[cfg(feature = "server")]
mod node_ties {
    use super::*;
    use crate::lang::limits as lang;
    use crate::lpaxos::{
        Config, DECREE_BYTES, MAX_MEMBER_ADDRESS_BYTES, MAX_MEMBERS, MEMBER_BYTES,
    };

    const CORE: Config = Config::DEFAULT;

    // The largest cluster is a member set.
    const _: () = assert!(MAX_NODES <= MAX_MEMBERS);
    // Two decrees and the first page of a promise or copy may each hold a member set.
    const _: () = assert!(
        3 * MAX_NODES * (MAX_MEMBER_ADDRESS_BYTES + MEMBER_BYTES) + 4 * KIB
            <= PEER_FRAME_OVERHEAD_BYTES
    );
    const _: () = assert!(crate::lpaxos::MAX_PATCH_BYTES <= MAX_PATCH_BYTES);
    // An entry can hold the longest key and the longest text of the language.
    const _: () = assert!(lang::KEY_BYTES + 64 <= MAX_ENTRY_KEY_BYTES);
    const _: () = assert!(lang::TEXT_BYTES <= MAX_ENTRY_VALUE_BYTES);
    // A batch that is almost full takes one more transaction, which may be the largest.
    const _: () = assert!(
        CORE.batch_bytes + lang::WRITTEN_BYTES + lang::WRITTEN_KEYS * ENTRY_OVERHEAD_BYTES
            <= MAX_PATCH_BYTES
    );
    // A page ends with the entry that exceeds the bound of the core.
    const _: () = assert!(
        CORE.page.bytes + MAX_ENTRY_VALUE_BYTES + 2 * MAX_ENTRY_KEY_BYTES <= MAX_PAGE_BYTES
    );
    // A message of a repair has the size of a page, and so at most this many empty patches.
    const _: () = assert!(CORE.page.bytes / DECREE_BYTES <= MAX_PATCHES_PER_REPAIR);
    // The longest program with the longest parameter is a request.
    const _: () = assert!(lang::PROGRAM_BYTES + lang::TEXT_BYTES + KIB <= MAX_REQUEST_FRAME_BYTES);
    // All that a transaction may read and return is one answer.
    const _: () = assert!(
        lang::READ_BYTES + lang::READ_KEYS * ENTRY_OVERHEAD_BYTES + lang::TEXT_BYTES + KIB
            <= MAX_RESPONSE_FRAME_BYTES
    );
    // Clients and the other nodes stop waiting for a node that makes no progress at the same time.
    const _: () = assert!(PROGRESS_TIME.as_millis() == CORE.stalled_ms as u128);
    // The queue in front of the core holds the requests of a whole batch.
    const _: () = assert!(CORE.max_batch <= REQUESTS_QUEUED);
}

// The sum of two numbers does not overflow.
const _: () = assert!(NUMBERS_BELOW <= u64::MAX / 2);
// Whatever the core may send fits into a frame: two decrees, or a decree and a page.
const _: () = assert!(2 * MAX_PATCH_BYTES + PEER_FRAME_OVERHEAD_BYTES <= MAX_PEER_FRAME_BYTES);
const _: () =
    assert!(MAX_PATCH_BYTES + MAX_PAGE_BYTES + PEER_FRAME_OVERHEAD_BYTES <= MAX_PEER_FRAME_BYTES);
// Its fields are within the bound even if all its entries are as small as possible.
const _: () = assert!(2 * 4 * (MAX_PATCH_BYTES / ENTRY_OVERHEAD_BYTES) < MAX_PEER_FIELDS);
// A decree can hold the largest entry.
const _: () =
    assert!(MAX_ENTRY_KEY_BYTES + MAX_ENTRY_VALUE_BYTES + ENTRY_OVERHEAD_BYTES <= MAX_PATCH_BYTES);
// An empty queue takes the largest frame, with its length.
const _: () = assert!(MAX_PEER_FRAME_BYTES + 4 <= MAX_QUEUED_BYTES);
// A greeting with a full list of the longest IP addresses fits, and so does the longest rejection.
const _: () = assert!(MAX_NODES * (45 + 2) + 128 <= MAX_GREETING_FRAME_BYTES);
const _: () = assert!(MAX_MESSAGE_BYTES + 128 <= MAX_GREETING_FRAME_BYTES);
// The same with the signature of a cluster that has a key.
const _: () = assert!(MAX_NODES * (45 + 2) + MAX_RELEASE_BYTES + 256 <= MAX_GREETING_FRAME_BYTES);
const _: () = assert!(MAX_MESSAGE_BYTES + 256 <= MAX_GREETING_FRAME_BYTES);
// A client's greeting with the longest token fits.
const _: () = assert!(MAX_SECRET_BYTES + 128 <= MAX_GREETING_FRAME_BYTES);
const _: () = assert!(MIN_SECRET_BYTES <= MAX_SECRET_BYTES);
// The longest text of an `abort` fits into an answer.
const _: () = assert!(MAX_ENTRY_VALUE_BYTES + 128 <= MAX_RESPONSE_FRAME_BYTES);
const _: () = assert!(MAX_OTHER_REQUEST_BYTES <= MAX_REQUEST_FRAME_BYTES);
// The lengths of frames are 32-bit numbers.
const _: () = assert!(MAX_PEER_FRAME_BYTES <= u32::MAX as usize);
// A TLS record has at most 2^14 + 256 bytes and a header of 5 (RFC 8446, section 5.2).
const _: () = assert!((1 << 14) + 256 + 5 <= TLS_READ_BYTES);
// A buffer for one read is kept.
const _: () = assert!(READ_BYTES < KEPT_BUFFER_BYTES);
// Systems allow 1,024 buffers in one write (IOV_MAX of Linux), and each frame is one.
const _: () = assert!(COALESCED_FRAMES <= 1024);
// All connections of a node in a cluster of nine leave room among the usual 1,024 descriptors.
const _: () =
    assert!(MAX_CLIENTS + MAX_UNGREETED + 8 * MEMBER_DESCRIPTORS + OWN_DESCRIPTORS <= 896);
const _: () = assert!(MIN_UNGREETED <= MAX_UNGREETED);
// A large request is always read while no other one is.
const _: () = assert!(MAX_REQUEST_FRAME_BYTES <= MAX_INCOMING_BYTES);
// The largest request is admitted while no other one is in flight.
const _: () = assert!(2 * MAX_REQUEST_FRAME_BYTES <= MAX_CLIENT_IN_FLIGHT_BYTES);
const _: () = assert!(2 * MAX_CLIENT_IN_FLIGHT_BYTES <= MAX_IN_FLIGHT_BYTES);
const _: () = assert!(MAX_CLIENT_PARTS_BYTES <= MAX_CLIENT_IN_FLIGHT_BYTES);
// The end of a certificate is seen at least three checks before it.
const _: () = assert!(3 * FILES_PERIOD.as_millis() < CERTIFICATE_HANDOVER_TIME.as_millis());
const _: () = assert!(CERTIFICATE_HANDOVER_TIME.as_millis() < CERTIFICATE_WARNING_TIME.as_millis());
// A peer sends a keepalive at least twice before the other side counts it as gone.
const _: () = assert!(2 * KEEPALIVE_TIME.as_millis() <= PEER_SILENCE_TIME.as_millis());
const _: () = assert!(2 * KEEPALIVE_TIME.as_millis() <= PEER_IDLE_TIME.as_millis());
// A sign of life is due before a second connection is tried, and that before the peer is gone.
const _: () =
    assert!(KEEPALIVE_TIME.as_millis() + SIGN_OF_LIFE_TIME.as_millis() < PEER_PATIENCE.as_millis());
const _: () = assert!(PEER_PATIENCE.as_millis() <= MAX_PEER_PATIENCE.as_millis());
const _: () = assert!(4 * MAX_PEER_PATIENCE.as_millis() <= PEER_SILENCE_TIME.as_millis());
// When another attempt to connect would be one too many, the first one has ended.
const _: () = assert!(
    CONNECT_TIME.as_millis() <= MAX_CONNECT_ATTEMPTS as u128 * CONNECT_ATTEMPT_DELAY.as_millis()
);
// What doubles begins at most at its bound.
const _: () = assert!(MIN_GREETING_TIME.as_millis() <= GREETING_TIME.as_millis());
const _: () = assert!(MIN_BACKOFF.as_millis() <= MAX_BACKOFF.as_millis());
const _: () = assert!(MIN_CLIENT_BACKOFF.as_millis() <= MAX_CLIENT_BACKOFF.as_millis());
// A client that waits for an answer is not idle.
const _: () = assert!(MAX_REQUEST_TIME.as_millis() < CLIENT_SLOT_TIME.as_millis());
const _: () = assert!(CLIENT_SLOT_TIME.as_millis() < CLIENT_IDLE_TIME.as_millis());
const _: () = assert!(DEFAULT_REQUEST_TIME.as_millis() <= MAX_REQUEST_TIME.as_millis());
// A client can use its whole window on one connection.
const _: () = assert!(CLIENT_WINDOW as usize <= MAX_PIPELINED);
// A client tries another address before it counts a node as silent.
const _: () = assert!(CLIENT_HEAD_START.as_millis() < CLIENT_SILENCE_TIME.as_millis());
const _: () = assert!(MIN_CLIENT_SILENCE_TIME.as_millis() <= CLIENT_SILENCE_TIME.as_millis());
// A delayed rejection is not taken for silence, and many rejections leave in one step.
const _: () = assert!(
    2 * (MAX_REJECTION_DELAY.as_millis() + REJECTION_STEP.as_millis())
        <= CLIENT_SILENCE_TIME.as_millis()
);
const _: () = assert!(REJECTION_INTERVAL.as_micros() < REJECTION_STEP.as_micros());
const _: () = assert!(REJECTION_STEP.as_millis() < MAX_REJECTION_DELAY.as_millis());
const _: () = assert!(2 * CLIENT_SILENCE_TIME.as_millis() < DEFAULT_REQUEST_TIME.as_millis());
// A slow node is not taken for a silent one, even if two of its empty frames are delayed.
const _: () = assert!(3 * CLIENT_KEEPALIVE_TIME.as_millis() < CLIENT_SILENCE_TIME.as_millis());
// A client that sends the largest request on the slowest connection still reaches a second node.
const _: () = assert!(
    MAX_REQUEST_FRAME_BYTES as u128 * 1000 / MIN_CLIENT_BYTES_PER_SECOND as u128
        + 2 * CLIENT_SILENCE_TIME.as_millis()
        < DEFAULT_REQUEST_TIME.as_millis()
);
const _: () = assert!(CLIENT_LOOK_TIME.as_millis() < CLIENT_READ_STEP.as_millis());
