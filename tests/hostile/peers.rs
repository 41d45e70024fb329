//! Attacks by connections that pretend to be a member. In a cluster without a key a node believes
//! that (for one with a key see `tests/security`). Messages that such a connection sends by
//! accident, or records and replays, do no harm.

use std::sync::Arc;

use lattistore::kv::{Key, Value};
use lattistore::limits::{MAX_ENTRY_KEY_BYTES, MAX_PATCH_BYTES, MAX_PEER_FRAME_BYTES};
use lattistore::lpaxos::{
    Accept, Ballot, Confirm, Heartbeat, Message, NodeId, Patch, Prepare, Previous, Slot, ToAcceptor,
};
use lattistore::wire::{Introduction, RequestBody, encode_introduction, encode_peer};

use crate::raw::{Raw, Target, execute, fixed, frame, number, part, request};
use crate::table::Case;

/// Fields of `PeerMessage`.
const PREPARE: u64 = 3;
const ACCEPT: u64 = 8;
const REPAIR_PATCHES: u64 = 14;
const REPAIR_PAGE: u64 = 15;

pub(crate) const CASES: &[Case] = &[
    ("impossible lengths", |t| {
        let above = u32::try_from(MAX_PEER_FRAME_BYTES + 1).unwrap();
        for length in [above, u32::MAX] {
            closes(t, &length.to_be_bytes());
        }
    }),
    ("a truncated message", |t| {
        let mut raw = t.spoofed();
        raw.send(&frame(&prepare(1, t.leader_id))[..9]);
        raw.half_close();
        raw.wait_for_end();
    }),
    ("a message that stalls", |t| {
        let mut raw = t.spoofed();
        raw.send(&u32::try_from(MAX_PEER_FRAME_BYTES).unwrap().to_be_bytes());
        raw.send(&[0; 1 << 20]);
        raw.wait_for_end();
    }),
    ("impossible ballots", |t| {
        for round in [u64::MAX, 1 << 63, 1 << 62] {
            closes(t, &frame(&prepare(round, t.leader_id)));
        }
    }),
    ("impossible slots", |t| {
        for slot in [u64::MAX, 1 << 62, 0] {
            closes(t, &frame(&accept_of(t.ballot, slot, b"")));
        }
    }),
    ("a frame without a message", |t| closes(t, &frame(&number(77, 1)))),
    ("an unknown message", |t| closes(t, &frame(&part(77, b"x")))),
    ("an accept without its parts", |t| closes(t, &frame(&part(ACCEPT, &number(2, 1))))),
    ("random bytes", |t| {
        let mut random = lattistore_sim::simulator::Random::new(1, 0);
        for _ in 0..20 {
            let bytes: Vec<u8> = (0..200).flat_map(|_| random.next().to_le_bytes()).collect();
            closes(t, &frame(&bytes));
        }
    }),
    ("groups", |t| closes(t, &frame(&[0x0b; 1000]))),
    ("requests of a client from a peer", |t| {
        closes(t, &request(7, 0, RequestBody::Status));
        closes(t, &request(7, 0, execute("delete \"before\";", &[])));
    }),
    ("a key twice in a patch", |t| {
        let write = part(1, &part(1, b"a"));
        closes(t, &frame(&accept_of(t.ballot, 9, &write.repeat(2))));
    }),
    ("keys out of order", |t| {
        let writes = [part(1, &part(1, b"b")), part(1, &part(1, b"a"))].concat();
        closes(t, &frame(&accept_of(t.ballot, 9, &writes)));
    }),
    ("a key above its bound", |t| {
        let write = part(1, &part(1, &vec![b'k'; MAX_ENTRY_KEY_BYTES + 1]));
        closes(t, &frame(&accept_of(t.ballot, 9, &write)));
    }),
    ("a patch above its bound", |t| {
        let value = vec![b'v'; 1 << 20];
        let write = |n: u8| part(1, &[part(1, &[n]), part(2, &value)].concat());
        let count = u8::try_from(MAX_PATCH_BYTES >> 20).unwrap() + 1;
        let writes: Vec<u8> = (0..count).flat_map(write).collect();
        closes(t, &frame(&accept_of(t.ballot, 9, &writes)));
    }),
    ("a million empty patches", |t| {
        let ballot = part(1, &ballot_of(t.ballot));
        let body = [ballot, number(2, 1), part(3, b"").repeat(1_000_000)].concat();
        closes(t, &frame(&part(REPAIR_PATCHES, &body)));
    }),
    ("millions of empty entries", |t| {
        let page = part(1, b"").repeat(3_000_000);
        closes(t, &frame(&part(REPAIR_PAGE, &part(4, &page))));
    }),
    ("patches past the last slot", |t| {
        let ballot = part(1, &ballot_of(t.ballot));
        let body = [ballot, number(2, (1 << 62) - 2), part(3, b"").repeat(9)].concat();
        closes(t, &frame(&part(REPAIR_PATCHES, &body)));
    }),
    ("stale ballots", |t| {
        let mut raw = t.spoofed();
        let stale = Ballot { round: 0, node: t.leader_id };
        let accept = accept_message(stale, Slot(1));
        raw.send(&encode_peer(&accept));
        raw.send(&encode_peer(&Message::Acceptor(ToAcceptor::Prepare(Prepare {
            ballot: stale,
            complete: Slot(0),
            members_version: Slot(0),
        }))));
        all_is_read(raw);
    }),
    ("another node's ballot", |t| {
        let mut raw = t.spoofed();
        let ballot = Ballot { round: t.ballot.round + 1, node: NodeId(t.leader_id.0 ^ 1) };
        raw.send(&encode_peer(&Message::Acceptor(ToAcceptor::Prepare(Prepare {
            ballot,
            complete: Slot(0),
            members_version: Slot(0),
        }))));
        raw.send(&encode_peer(&accept_message(ballot, Slot(1 << 40))));
        all_is_read(raw);
    }),
    ("messages of the leader, replayed", |t| {
        let mut raw = t.spoofed();
        // These are the messages of the time when the first slot was chosen.
        let prepare = Message::Acceptor(ToAcceptor::Prepare(Prepare {
            ballot: t.ballot,
            complete: Slot(0),
            members_version: Slot(0),
        }));
        let confirm =
            Message::Acceptor(ToAcceptor::Confirm(Confirm { ballot: t.ballot, round: 1 }));
        for _ in 0..200 {
            raw.send(&encode_peer(&accept_message(t.ballot, Slot(1))));
            raw.send(&encode_peer(&prepare));
            raw.send(&encode_peer(&confirm));
        }
        all_is_read(raw);
    }),
    ("heartbeats, replayed", |t| {
        let mut raw = t.spoofed();
        let hears = vec![t.leader_id, NodeId(1), NodeId(u64::MAX)];
        let (follows, round) = (Some(t.ballot), t.ballot.round);
        let heartbeat = Heartbeat { hears, follows, round, ..Heartbeat::default() };
        let bytes = encode_peer(&Message::Heartbeat(heartbeat));
        (0..1_000).for_each(|_| raw.send(&bytes));
        all_is_read(raw);
    }),
    ("introductions after the cluster has formed", |t| {
        let mut raw = t.spoofed();
        for cluster in [None, Some(t.cluster), Some(1)] {
            for address in [t.leader.ip(), t.follower.ip(), [10, 0, 0, 1].into()] {
                raw.send(&encode_introduction(&Introduction {
                    address,
                    node: NodeId(66),
                    listed: vec![address],
                    known: vec![(address, NodeId(66)), (t.follower.ip(), NodeId(67))],
                    cluster,
                }));
            }
        }
        all_is_read(raw);
    }),
    ("repeated greetings", |t| (0..50).for_each(|_| drop(t.spoofed()))),
    ("a flood of empty frames", |t| {
        let mut raw = t.spoofed();
        raw.send(&[0; 4].repeat(10_000));
        raw.half_close();
        raw.wait_for_end();
    }),
];

/// Sends bytes as a member; the node must close the connection.
fn closes(target: &Target, bytes: &[u8]) {
    let mut raw = target.spoofed();
    raw.send(bytes);
    raw.wait_for_end();
}

/// Checks that the node has read everything and goes on. The real member may have reconnected and
/// taken the place of this connection.
fn all_is_read(mut raw: Raw) {
    raw.half_close();
    raw.wait_for_end();
}

fn ballot_of(ballot: Ballot) -> Vec<u8> {
    [number(1, ballot.round), fixed(2, ballot.node.0)].concat()
}

fn prepare(round: u64, node: NodeId) -> Vec<u8> {
    part(PREPARE, &part(1, &ballot_of(Ballot { round, node })))
}

fn accept_of(ballot: Ballot, slot: u64, patch: &[u8]) -> Vec<u8> {
    let held = part(4, &ballot_of(ballot));
    let parts = [part(1, &ballot_of(ballot)), number(2, slot), part(3, patch), held].concat();
    part(ACCEPT, &parts)
}

fn accept_message(ballot: Ballot, slot: Slot) -> Message<Key, Value> {
    let decree = Arc::new(Patch::default()).into();
    Message::Acceptor(ToAcceptor::Accept(Accept {
        ballot,
        slot,
        decree,
        previous: Previous::Held(ballot),
    }))
}
