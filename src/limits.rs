//! Every bound of the wire and the transport, with its reason.
//!
//! Bounds that depend on each other are tied by `const` assertions at the end, so that one cannot
//! be changed without the other. The bounds of the language are beside the language.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

// --- Numbers ---------------------------------------------------------------------------------

/// Slots and rounds from the wire are below this: a node can count on from any of them for as long
/// as it lives, and no sum of two overflows.
pub const NUMBERS_BELOW: u64 = 1 << 62;

/// Nodes in a cluster, addresses in a node list. Consensus among more would be slow, not better.
pub const MAX_NODES: usize = 64;

/// Notices in the status of a node: more than there are kinds of them, and one for each member.
pub const MAX_NOTICES: usize = MAX_NODES + 64;

// --- Sizes: entries and what is made of them -------------------------------------------------

/// A key in the replica: a key of the language (4 KiB) and room for what the store puts before it.
pub const MAX_ENTRY_KEY_BYTES: usize = 4 * KIB + 64;

/// A value in the replica: a text of the language (1 MiB), or a session with its kept answers.
pub const MAX_ENTRY_VALUE_BYTES: usize = 2 * MIB;

/// What an entry takes in a message besides its key and value, at most: tags, lengths, version.
/// Whoever counts the size of batches and pages adds it for each entry.
pub const ENTRY_OVERHEAD_BYTES: usize = 32;

/// A decree. A batch takes no further request once it has 1 MiB, and the last transaction that it
/// took may write 4 MiB under 10,000 keys; the rest is for sessions.
pub const MAX_PATCH_BYTES: usize = 6 * MIB;

/// A page, which ends with the entry that takes it past its target, and the key it names as next.
pub const MAX_PAGE_BYTES: usize = MIB + MAX_ENTRY_VALUE_BYTES + 2 * MAX_ENTRY_KEY_BYTES;

/// Patches in one message of a repair. An empty patch takes two bytes on the wire and a hundred in
/// memory, so the size of the frame alone would not bound them.
pub const MAX_PATCHES_PER_REPAIR: usize = 64 * KIB;

// --- Sizes: frames ---------------------------------------------------------------------------

/// A frame before the greeting is done: a full node list fits, and a stranger can send no more.
pub const MAX_GREETING_FRAME_BYTES: usize = 8 * KIB;

/// The text for people in a refusal or a refused request; longer ones are cut.
pub const MAX_MESSAGE_BYTES: usize = 4 * KIB;

/// The version of a program, in a greeting.
pub const MAX_RELEASE_BYTES: usize = 64;

/// The file with a cluster key or a token: one line.
pub const MAX_SECRET_BYTES: usize = 4 * KIB;

/// A secret that is shorter could be guessed, now or after some greetings were recorded.
pub const LEAST_SECRET_BYTES: usize = 32;

/// A file with certificates, or with the key of one, or with what is known of clients.
pub const MAX_CERTIFICATE_FILE_BYTES: usize = MIB;

/// What is asked of a socket at once for TLS: a record of the greatest size (RFC 8446, 5.2).
pub const TLS_READ_BYTES: usize = 17 * KIB;

/// How often a node looks whether its files with keys, certificates and tokens changed.
pub const FILES_PERIOD: Duration = Duration::from_secs(10);

/// A certificate that ends within this time is warned of.
pub const CERTIFICATE_WARNING_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A node whose certificate ends within this time leaves the lead to others: before it does, also by
/// the clocks of clients that are a little ahead, and with time to notice it.
pub const CERTIFICATE_HANDOVER_TIME: Duration = Duration::from_secs(60);

/// A client whose token is gone has this time to read the answers to what it asked before.
pub const PUT_OUT_TIME: Duration = Duration::from_millis(500);

/// Clients that a node knows by their tokens. Each is compared with the token of whoever connects,
/// which takes about a microsecond.
pub const MAX_CLIENT_TOKENS: usize = 1024;

/// A client's request: a program (64 KiB) with a parameter of the greatest size (1 MiB) fits.
pub const MAX_REQUEST_FRAME_BYTES: usize = 3 * MIB / 2;

/// An answer to a client: a transaction may read 4 MiB, the rest is for many small keys.
pub const MAX_RESPONSE_FRAME_BYTES: usize = 8 * MIB;

/// What one node tells another: two decrees in an `Accept`, a decree and a page in a `Promise`.
pub const MAX_PEER_FRAME_BYTES: usize = 16 * MIB;

/// Parameters of a client's request. One of six bytes takes forty in memory once it is decoded.
pub const MAX_REQUEST_PARAMETERS: usize = 2 * KIB;

/// A client's request other than to run a program. A field of three bytes that is not known takes two
/// hundred in memory once it is decoded, so a frame of such requests is smaller than one of programs.
pub const MAX_OTHER_REQUEST_BYTES: usize = 64 * KIB;

/// Fields of what one node tells another: as many entries as bytes allow, four fields each.
pub const MAX_PEER_FIELDS: usize = 2 * MIB;

/// Besides keys, values and their overhead, what a message to a peer takes.
const PEER_FRAME_OVERHEAD_BYTES: usize = 64 * KIB;

/// What a reader asks of the socket at once. Its buffer grows by no more than this before the bytes
/// arrive, whatever length the frame claims.
pub const READ_BYTES: usize = 64 * KIB;

/// A reader's buffer that grew above this is given back as soon as no more than half of this is left in it.
pub const KEPT_BUFFER_BYTES: usize = 256 * KIB;

/// Writers put what is queued into one system call up to this size.
pub const COALESCED_BYTES: usize = 256 * KIB;

/// Writers put at most so many frames into one system call; far below the systems' IOV_MAX.
pub const COALESCED_FRAMES: usize = 64;

/// A frame to a peer of more bytes is written by the peer's thread in any case: copying it takes longer
/// than waking that.
pub const AT_ONCE_BYTES: usize = 16 * KIB;

// --- Connections -----------------------------------------------------------------------------

/// Clients served at once. With the peers, those yet to greet, and files, it stays below the 1,024
/// descriptors that systems usually allow a process; where fewer are allowed, fewer clients are served.
pub const MAX_CLIENTS: usize = 512;

/// Connections that have not greeted yet. A stranger can hold them only for [`GREETING_TIME`].
pub const MAX_UNGREETED: usize = 128;

/// Of these, connections from one address: it cannot keep others out.
pub const MAX_UNGREETED_PER_ADDRESS: usize = MAX_UNGREETED / 2;

/// Connections that have not greeted yet, where few descriptors are allowed.
pub const LEAST_UNGREETED: usize = 4;

/// Descriptors that are kept for each other member: of the node's own connection to it and the tries
/// for another, and of the member's connection and the one that takes its place.
pub const MEMBER_DESCRIPTORS: usize = 1 + MAX_TRIES + 2;

/// Descriptors that are kept for the node itself: the journal, a checkpoint, directories and locks, the
/// listening socket, and files that it reads now and then.
pub const OWN_DESCRIPTORS: usize = 20;

/// Bytes of requests above [`READ_BYTES`] that are being sent, over all clients. Above it a large
/// request is not read: its connection is closed, and the client tries again.
pub const MAX_COMING_BYTES: usize = 96 * MIB;

/// Bytes of requests and of their answers under way, over all clients. Above it no request is let
/// in until answers are written, or those who do not read them are cut off.
pub const MAX_IN_FLIGHT_BYTES: usize = 256 * MIB;

/// The same of one connection: who pipelines much and reads little does not take it all.
pub const MAX_CLIENT_IN_FLIGHT_BYTES: usize = 64 * MIB;

/// Bytes of parts of answers, which further ones follow, that wait to be written on one connection.
/// Above it no part is taken, and what sends them goes on once some are written.
pub const MAX_CLIENT_PARTS_BYTES: usize = MIB;

/// Requests of one connection that are unanswered or whose answers are not sent; the server reads
/// no further one until then.
pub const MAX_PIPELINED: usize = 128;

/// Events that wait for the consensus thread. Peers wait for room in it; what clients do may fill
/// only half, so that they do not keep the peers out.
pub const EVENTS_QUEUED: usize = 4096;

/// Requests of clients that wait for the consensus thread to take them, which is what comes while it
/// waits for its disk. More would only wait longer; who finds it full is told to come again.
pub const REQUESTS_QUEUED: usize = 768;

/// The consensus thread is woken once this many requests are queued, even if it can only run them
/// ahead.
pub const WAKE_AT_LEN: usize = REQUESTS_QUEUED / 4;

/// Frames that wait for a peer's connection; the protocol sends again what is dropped above it.
pub const MAX_QUEUED_FRAMES: usize = 1024;

/// Bytes that wait for a peer's connection.
pub const MAX_QUEUED_BYTES: usize = 32 * MIB;

/// The port of nodes, for peers and clients alike, unless they are told another one.
pub const DEFAULT_PORT: u16 = 50051;

// --- Times -----------------------------------------------------------------------------------

/// From the connection to the whole greeting, in either direction.
pub const GREETING_TIME: Duration = Duration::from_secs(5);

/// The same where a node connects to a peer, at first: a connection that is cut in its greeting does not
/// keep the node from trying another one. It doubles up to [`GREETING_TIME`] for a peer that is far away.
pub const LEAST_GREETING_TIME: Duration = Duration::from_millis(500);

/// From the first byte of a frame to the last. A node that is paused for less is not cut off.
pub const FRAME_TIME: Duration = Duration::from_secs(20);

/// Between two refusals for too many requests, over all clients, where many are refused: 20,000 a second
/// take a fifth of a processor.
pub const REFUSAL_SPACE: Duration = Duration::from_micros(50);

/// The longest time that such a refusal waits for its turn.
pub const REFUSAL_WAIT: Duration = Duration::from_millis(400);

/// Refusals wait in steps of this, so that a connection's thread wakes for many of them.
pub const REFUSAL_STEP: Duration = Duration::from_millis(10);

/// A client that sends nothing for so long is cut off, or those that vanished would take all seats.
/// It is long, as people leave a prompt open.
pub const CLIENT_IDLE_TIME: Duration = Duration::from_secs(3600);

/// A client that asks nothing for so long keeps its seat only as long as no newcomer wants it.
pub const CLIENT_SEAT_TIME: Duration = Duration::from_secs(150);

/// An inbound connection of a peer that brings nothing for so long is dead: the peer asks "are you
/// there?" more often.
pub const PEER_IDLE_TIME: Duration = Duration::from_secs(10);

/// How often a node asks its peer on a connection "are you there?".
pub const KEEPALIVE_TIME: Duration = Duration::from_millis(100);

/// A node that reads from a peer, or cannot take in what it read, says on the connection that it is
/// there once in this time: its answers to "are you there?" would come only after all that is before them.
pub const SIGN_TIME: Duration = Duration::from_millis(100);

/// When a peer that was asked gives no sign of life for this time, a new connection to it is tried beside
/// the old one: the link may be whole again while the old one still waits to repeat what was lost.
pub const PEER_PATIENCE: Duration = Duration::from_millis(300);

/// The same at most. It doubles with each new connection that is made at once, as then the peer may just
/// be slow.
pub const MOST_PEER_PATIENCE: Duration = Duration::from_millis(900);

/// A peer that gives no sign of life for so long, and cannot be connected to anew, counts as gone.
pub const PEER_SILENCE_TIME: Duration = Duration::from_secs(4);

/// The longest time between two frames to a client that waits for an answer, as long as the node makes
/// progress: where no answer is due, an empty frame is.
pub const CLIENT_KEEPALIVE_TIME: Duration = Duration::from_millis(250);

/// A node whose consensus thread makes no progress for so long is as good as gone, and its clients get no
/// more empty frames. It is above what a slow disk takes for a write, and as long as the other nodes
/// believe in such a node (`Config::stalled_ms` of the core).
pub const PROGRESS_TIME: Duration = Duration::from_millis(2_250);

/// To write what was coalesced. Who reads more slowly is cut off.
pub const WRITE_TIME: Duration = Duration::from_secs(10);

/// To open a connection.
pub const CONNECT_TIME: Duration = Duration::from_secs(1);

/// To a peer whose system does not answer, another try to connect begins after this, beside those that
/// wait. A peer that cannot be reached is tried again as soon.
pub const TRY_SPACE: Duration = Duration::from_millis(250);

/// Tries to connect to one peer that wait at once.
pub const MAX_TRIES: usize = 4;

/// Between two tries to connect, at first; it doubles with each.
pub const LEAST_BACKOFF: Duration = Duration::from_millis(50);

/// Between two tries to connect, at most, where the peer is reached and the two do not get together.
pub const MOST_BACKOFF: Duration = Duration::from_secs(1);

/// After an error is told to the other side, what it still sends is read and thrown away for so
/// long: closing with unread bytes resets the connection, and the error could be lost with it.
pub const LINGER_TIME: Duration = Duration::from_secs(1);

/// When the node stops, the answers that are queued for clients are sent within this.
pub const CLOSING_TIME: Duration = Duration::from_secs(1);

/// The deadline of a request that names none. A client's first transaction opens a session too, and may
/// come while a write is under way: where disks need 2 s for a sync, that is some 6 s.
pub const DEFAULT_REQUEST_TIME: Duration = Duration::from_secs(10);

/// The latest deadline; a longer one is cut to this.
pub const MAX_REQUEST_TIME: Duration = Duration::from_secs(120);

// --- The client library ----------------------------------------------------------------------

/// Transactions of one client that may be unanswered at once; as many as one connection may have.
pub const CLIENT_WINDOW: u32 = 128;

/// A client that waits for an answer and hears nothing at all from the node for so long, while it waits,
/// asks another node. It is above the pauses of a healthy node, and lets a default deadline see a new leader.
pub const CLIENT_SILENCE_TIME: Duration = Duration::from_secs(1);

/// The least that a client can be told instead: below it, a node that waits for its disk is left.
pub const LEAST_CLIENT_SILENCE_TIME: Duration = Duration::from_millis(50);

/// The slowest connection to a node that a client counts on: what it sent is on the way for as long as
/// its bytes take at this speed, and only then is the node silent.
pub const CLIENT_LEAST_BYTES_PER_SECOND: u32 = 1024 * 1024;

/// A thread of a client goes on to write what others left to it for so long; then one of those who wait
/// writes.
pub const CLIENT_WRITE_TURN: Duration = Duration::from_millis(10);

/// When its time is over a client looks for so long once more at what came; the least that a socket takes.
pub const CLIENT_LOOK_TIME: Duration = Duration::from_millis(1);

/// A client waits in steps of this while it reads, so that one timeout of the socket serves all
/// deadlines but the last moments of each.
pub const CLIENT_READ_STEP: Duration = Duration::from_millis(250);

/// Attempts to connect that a client has under way at once, each on a short thread.
pub const MAX_CLIENT_ATTEMPTS: usize = 3;

/// A client tries the next address when the one before has not let it in for so long, and waits for a
/// leader that it is sent to for so long. It is above the time of a connection on a busy network.
pub const CLIENT_HEAD_START: Duration = Duration::from_millis(100);

/// A call that waits for so long asks the node how it is, and a client does so no more often: then an
/// error can tell which other nodes that one does not hear.
pub const CLIENT_INQUIRY_TIME: Duration = Duration::from_millis(500);

/// What was wrong with other nodes is told in an error if it was learned no longer ago.
pub const CLIENT_KNOWLEDGE_TIME: Duration = Duration::from_secs(10);

/// A client that does not wait for nodes to be started gives up when all known addresses have refused so
/// often.
pub const CLIENT_FIRST_TRIES: u32 = 3;

/// Between two of these tries.
pub const CLIENT_FIRST_TRY_SPACE: Duration = Duration::from_millis(250);

/// Between two tries of a client, at first; it doubles with each.
pub const CLIENT_LEAST_BACKOFF: Duration = Duration::from_millis(5);

/// Between two tries of a client, at most.
pub const CLIENT_MOST_BACKOFF: Duration = Duration::from_millis(500);

/// A node is told to answer so much before the client's deadline, at most: its answer knows whether
/// the transaction ran, which the client's own clock does not.
pub const CLIENT_ANSWER_MARGIN: Duration = Duration::from_millis(100);

/// The longest time a call of a client may take: no clock overflows by it.
pub const MOST_CLIENT_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Addresses of nodes that a client remembers.
pub const MAX_CLIENT_ADDRESSES: usize = 2 * MAX_NODES;

// --- What depends on what --------------------------------------------------------------------

// A set of all members that there can be can be counted.
#[cfg(feature = "server")]
const _: () = assert!(MAX_NODES <= crate::lpaxos::MAX_MEMBERS);
// Two decrees and what came with a page may each hold a member set.
#[cfg(feature = "server")]
const _: () = assert!(
    3 * MAX_NODES * (crate::lpaxos::MAX_MEMBER_ADDRESS_BYTES + 24) + 4 * KIB
        <= PEER_FRAME_OVERHEAD_BYTES
);
// Whatever the core may send fits into a frame.
const _: () = assert!(2 * MAX_PATCH_BYTES + PEER_FRAME_OVERHEAD_BYTES <= MAX_PEER_FRAME_BYTES);
const _: () =
    assert!(MAX_PATCH_BYTES + MAX_PAGE_BYTES + PEER_FRAME_OVERHEAD_BYTES <= MAX_PEER_FRAME_BYTES);
#[cfg(feature = "server")]
const _: () = assert!(crate::lpaxos::MOST_PATCH_BYTES <= MAX_PATCH_BYTES);
// However small its entries are.
const _: () = assert!(2 * 4 * (MAX_PATCH_BYTES / ENTRY_OVERHEAD_BYTES) < MAX_PEER_FIELDS);
// A decree can hold the largest entry.
const _: () =
    assert!(MAX_ENTRY_KEY_BYTES + MAX_ENTRY_VALUE_BYTES + ENTRY_OVERHEAD_BYTES <= MAX_PATCH_BYTES);
// An empty queue takes any frame.
const _: () = assert!(MAX_PEER_FRAME_BYTES + 4 <= MAX_QUEUED_BYTES);
// A greeting with a full list of the longest addresses fits, and so does the longest refusal.
const _: () = assert!(MAX_NODES * (45 + 2) + 128 <= MAX_GREETING_FRAME_BYTES);
const _: () = assert!(MAX_MESSAGE_BYTES + 128 <= MAX_GREETING_FRAME_BYTES);
// So does a node's, proven, in a cluster with a key.
const _: () = assert!(MAX_NODES * (45 + 2) + MAX_RELEASE_BYTES + 256 <= MAX_GREETING_FRAME_BYTES);
const _: () = assert!(MAX_MESSAGE_BYTES + 256 <= MAX_GREETING_FRAME_BYTES);
// So does a client's with the longest token.
const _: () = assert!(MAX_SECRET_BYTES + 128 <= MAX_GREETING_FRAME_BYTES);
// The longest text that an `abort` can give fits into an answer.
const _: () = assert!(MAX_ENTRY_VALUE_BYTES + 128 <= MAX_RESPONSE_FRAME_BYTES);
// All connections of nine nodes together leave room among the usual 1,024 descriptors.
const _: () =
    assert!(MAX_CLIENTS + MAX_UNGREETED + 8 * MEMBER_DESCRIPTORS + OWN_DESCRIPTORS <= 896);
const _: () = assert!(LEAST_UNGREETED <= MAX_UNGREETED);
// One large request can always come where no other does.
const _: () = assert!(MAX_REQUEST_FRAME_BYTES <= MAX_COMING_BYTES);
// The largest request is let in where nothing is under way.
const _: () = assert!(2 * MAX_REQUEST_FRAME_BYTES <= MAX_CLIENT_IN_FLIGHT_BYTES);
const _: () = assert!(2 * MAX_CLIENT_IN_FLIGHT_BYTES <= MAX_IN_FLIGHT_BYTES);
// The end of a certificate is seen some looks before it.
const _: () = assert!(3 * FILES_PERIOD.as_millis() < CERTIFICATE_HANDOVER_TIME.as_millis());
// Lengths of frames are 32-bit numbers.
const _: () = assert!(MAX_PEER_FRAME_BYTES <= u32::MAX as usize);
// Peers ask more often than they give each other up, and nobody is cut off while he waits.
const _: () = assert!(2 * KEEPALIVE_TIME.as_millis() <= PEER_SILENCE_TIME.as_millis());
const _: () = assert!(2 * KEEPALIVE_TIME.as_millis() <= PEER_IDLE_TIME.as_millis());
// A sign of life is due well before a peer is suspected, and that before it counts as gone.
const _: () =
    assert!(KEEPALIVE_TIME.as_millis() + SIGN_TIME.as_millis() < PEER_PATIENCE.as_millis());
const _: () = assert!(PEER_PATIENCE.as_millis() <= MOST_PEER_PATIENCE.as_millis());
const _: () = assert!(4 * MOST_PEER_PATIENCE.as_millis() <= PEER_SILENCE_TIME.as_millis());
// Each try waits until it is answered or as many are there as may be.
const _: () = assert!(CONNECT_TIME.as_millis() <= MAX_TRIES as u128 * TRY_SPACE.as_millis());
const _: () = assert!(MAX_REQUEST_TIME.as_millis() < CLIENT_SEAT_TIME.as_millis());
const _: () = assert!(CLIENT_SEAT_TIME.as_millis() < CLIENT_IDLE_TIME.as_millis());
const _: () = assert!(DEFAULT_REQUEST_TIME.as_millis() <= MAX_REQUEST_TIME.as_millis());
// A client can use its whole window on one connection.
const _: () = assert!(CLIENT_WINDOW as usize <= MAX_PIPELINED);
// A client that is told to be less patient still tries another address before that.
const _: () = assert!(CLIENT_HEAD_START.as_millis() < CLIENT_SILENCE_TIME.as_millis());
// A refusal that waits for its turn is not taken for silence.
const _: () = assert!(
    2 * (REFUSAL_WAIT.as_millis() + REFUSAL_STEP.as_millis()) <= CLIENT_SILENCE_TIME.as_millis()
);
const _: () = assert!(2 * CLIENT_SILENCE_TIME.as_millis() < DEFAULT_REQUEST_TIME.as_millis());
// A slow node is not taken for a silent one, even where two of its empty frames come late.
const _: () = assert!(3 * CLIENT_KEEPALIVE_TIME.as_millis() < CLIENT_SILENCE_TIME.as_millis());
// That holds for the largest request, too.
const _: () = assert!(
    MAX_REQUEST_FRAME_BYTES as u128 * 1000 / CLIENT_LEAST_BYTES_PER_SECOND as u128
        + 2 * CLIENT_SILENCE_TIME.as_millis()
        < DEFAULT_REQUEST_TIME.as_millis()
);
