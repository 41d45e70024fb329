//! A real node that hears the other members lie: every message is one that decodes, from a member,
//! about slots, ballots, pages and copies that never were. It may stop serving; it must not panic,
//! must encode all that it says, and its disk must hold what it believes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use lattistore::kv::{Command, SessionNumber, Store};
use lattistore::lang::{Params, compile};
use lattistore::lpaxos::{
    Accept, Accepted, Ballot, Commit, Config, Confirm, CopyId, Durable, Entry, FetchPage,
    Heartbeat, Members, Message, NeedPrevious, Node, NodeId, Page, PageLimits, PageMerged, Patch,
    Prepare, Previous, Progress, Promise, PromisePage, Proposal, Refused, RepairPage,
    RepairPatches, Request, Slot, Ticket,
};
use lattistore::wire::{PeerFrame, decode_peer, encode_peer};

use crate::chance::Chance;

type Msg = Message<Bytes, Bytes>;

const ME: NodeId = NodeId(2);
const LAST: u64 = (1 << 62) - 1;

/// Keys of the store's own kinds, of users, and of no kind, some of them no text.
const KEYS: [&[u8]; 12] = [
    b"",
    b"\0",
    b"a\0\0\0\0\0\0\0\x01",
    b"a\0\0\0\0\0\0\0\x01\0\0\0\x01",
    b"m",
    b"mcounts",
    b"msweeps",
    b"s\0\0\0\0\0\0\0\x01",
    b"u",
    b"ua",
    b"ub\xff",
    b"z",
];
const VALUES: [&[u8]; 7] = [
    b"",
    b"1",
    b"\xff\xfe",
    b"\0\0\0\x01",
    b"\0\0\0\0\0\0\0\x01\x03\0\0\0\0\0\0\0\x01\0\0\0\x01\xff",
    b"\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
];
const PROGRAMS: [&str; 8] = [
    "get \"a\";",
    "put \"a\" \"1\";",
    "delete \"a\";",
    "x = get \"a\"; put \"b\" x + x + \"a\";",
    "for k, v in scan \"\" { put k v + \"1\"; }",
    "for k, v in scan \"\" { x = x + v; } return x;",
    "put \"n\" str(int(get \"n\") + 1);",
    "abort \"no\";",
];

/// Drives a node as the bytes say.
pub(crate) fn core(bytes: &[u8]) {
    let mut chance = Chance::new(bytes);
    let mut host = Host::new(&mut chance);
    while chance.is_left() {
        host.step(&mut chance);
    }
    host.output();
}

struct Host {
    node: Node<Store>,
    disk: Durable<Bytes, Bytes>,
    members: Vec<NodeId>,
    config: Config,
    now_ms: u64,
    tickets: u64,
    /// What was said to the node, to be said again.
    said: Vec<(NodeId, Msg)>,
}

impl Host {
    fn new(chance: &mut Chance<'_>) -> Host {
        let count = chance.pick(&[3, 5, 1, 2]);
        let members: Vec<NodeId> = (1..=count.max(2)).map(NodeId).collect();
        let config = Config {
            page: PageLimits { bytes: 64, examined: 3 },
            window_bytes: 300,
            tombstone_slots: 2,
            tombstones_per_step: 2,
            batch_most: 3,
            queue_most: 8,
            ..Config::default()
        };
        let disk = Durable::default();
        let node = start(&members, config, &disk, 0);
        Host { node, disk, members, config, now_ms: 0, tickets: 0, said: Vec::new() }
    }

    fn step(&mut self, chance: &mut Chance<'_>) {
        match chance.below(16) {
            0 => {
                self.now_ms += chance.pick(&[0, 10, 50, 120, 400, 700]);
                self.node.tick(self.now_ms);
            }
            1 | 2 => self.request(chance),
            3 => {
                // What was not written is lost; what was is all there is.
                self.node = start(&self.members, self.config, &self.disk, self.now_ms);
            }
            4 | 5 => self.output(),
            6 if !self.said.is_empty() => {
                let (from, message) = self.said[chance.below(self.said.len().min(256))].clone();
                self.node.message(self.now_ms, from, message);
            }
            7 => self.quorum(),
            8 | 9 => self.elect(chance),
            _ => self.lie(chance),
        }
    }

    fn request(&mut self, chance: &mut Chance<'_>) {
        self.tickets += 1;
        let command = match chance.below(8) {
            0 => Command::OpenSession { window: chance.pick(&[0, 1, 2, u32::MAX]) },
            1 => Command::SweepSessions { now_ms: chance.pick(&[0, 1, u64::MAX]) },
            _ => {
                let program = Arc::new(compile(chance.pick(&PROGRAMS)).unwrap());
                let session = chance.flip().then(|| SessionNumber {
                    session: chance.pick(&[0, 1, 2, u64::MAX]),
                    number: chance.pick(&[1, 2, 0, LAST]),
                    answered_below: chance.pick(&[0, 1, 2, u64::MAX]),
                });
                Command::Execute { program, params: Params::new(), session }
            }
        };
        let deadline_ms = chance.pick(&[u64::MAX, 0, self.now_ms + 100]);
        self.node
            .request(self.now_ms, Request { ticket: Ticket(self.tickets), command, deadline_ms });
    }

    /// All members hear each other: what it takes to stand.
    fn quorum(&mut self) {
        let hears = self.members.clone();
        for from in self.others() {
            let round = self.node.durable().promised.round;
            let complete = self.node.durable().replica.complete();
            let (hears, has_quorum, follows) = (hears.clone(), true, None);
            let heartbeat = Heartbeat { hears, has_quorum, follows, round, complete };
            self.node.message(self.now_ms, from, Message::Heartbeat(heartbeat));
        }
        self.now_ms += 500;
        self.node.tick(self.now_ms);
    }

    /// The others promise, whatever they say they hold; maybe before the node asked.
    fn elect(&mut self, chance: &mut Chance<'_>) {
        self.quorum();
        if chance.below(4) > 0 {
            self.output();
        }
        for from in self.others() {
            let Message::Promise(mut promise) = (Liar { chance, node: &self.node, from }).promise()
            else {
                continue;
            };
            promise.ballot = self.node.durable().promised;
            self.hear(from, Message::Promise(promise));
        }
    }

    fn others(&self) -> Vec<NodeId> {
        self.members.iter().copied().filter(|node| *node != ME).collect()
    }

    fn lie(&mut self, chance: &mut Chance<'_>) {
        let mut from = self.others();
        from.push(NodeId(99));
        let from = chance.pick(&from);
        let message = Liar { chance, node: &self.node, from }.message();
        self.hear(from, message);
    }

    /// Only what decodes gets to a node.
    fn hear(&mut self, from: NodeId, message: Msg) {
        let frame = encode_peer(&message);
        if let Ok(PeerFrame::Core(message)) = decode_peer(&frame[4..]) {
            self.said.push((from, message.clone()));
            self.node.message(self.now_ms, from, message);
        }
    }

    /// Does what the node wants, in its order.
    fn output(&mut self) {
        loop {
            let output = self.node.output();
            if output.is_empty() {
                break;
            }
            for (_, message) in output.early.iter().chain(&output.late) {
                let _ = encode_peer(message);
            }
            for record in &output.records {
                self.disk.change(record);
            }
            self.node.written();
        }
        if self.node.is_written() {
            assert_eq!(&self.disk, self.node.durable(), "the disk holds what the node believes");
        }
    }
}

fn start(
    members: &[NodeId],
    config: Config,
    disk: &Durable<Bytes, Bytes>,
    now_ms: u64,
) -> Node<Store> {
    let members = Members::new(members.to_vec());
    Node::new(ME, members, config, Store::default(), disk.clone(), 7, now_ms)
}

/// Makes up messages around what the node believes.
struct Liar<'a, 'b> {
    chance: &'a mut Chance<'b>,
    node: &'a Node<Store>,
    from: NodeId,
}

impl Liar<'_, '_> {
    fn slot(&mut self) -> Slot {
        let complete = self.node.durable().replica.complete().0;
        let accepted = self.node.durable().accepted_slot().0;
        let near = [complete, accepted].map(|n| [n, n + 1, n.saturating_sub(1), n + 2, n + 7]);
        match self.chance.below(14) {
            0 => Slot(LAST),
            1 => Slot(self.chance.pick(&[0, 1, 2, 3, LAST - 1, 1 << 40])),
            _ => Slot(self.chance.pick(near.as_flattened())),
        }
    }

    fn round(&mut self) -> u64 {
        let promised = self.node.durable().promised.round;
        match self.chance.below(24) {
            0 => self.chance.pick(&[0, LAST, LAST - 1]),
            _ => promised + self.chance.pick(&[0, 1, 2, 0, 1, 0]),
        }
    }

    /// A ballot of the sender: what only it may speak for.
    fn own(&mut self) -> Ballot {
        let round = self.round();
        Ballot { round, node: self.from }
    }

    /// The ballot that the node leads or stands with, or will: what it is answered in.
    fn answered(&mut self) -> Ballot {
        let round = self.round();
        let node = if self.chance.below(8) == 0 { self.from } else { ME };
        Ballot { round, node }
    }

    fn any(&mut self) -> Ballot {
        if self.chance.flip() { self.own() } else { self.answered() }
    }

    fn key(&mut self) -> Bytes {
        Bytes::from_static(self.chance.pick(&KEYS))
    }

    fn value(&mut self) -> Option<Bytes> {
        let value = self.chance.pick(&VALUES);
        (self.chance.below(3) > 0).then(|| Bytes::from_static(value))
    }

    fn patch(&mut self) -> Arc<Patch<Bytes, Bytes>> {
        let count = self.chance.below(4);
        let writes: BTreeMap<_, _> = (0..count).map(|_| (self.key(), self.value())).collect();
        Arc::new(Patch::new(writes))
    }

    fn page(&mut self, after: Option<&Bytes>) -> Page<Bytes, Bytes> {
        let count = self.chance.below(5);
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let (key, value, version) = (self.key(), self.value(), self.slot());
            if after.is_none_or(|after| key > *after) {
                entries.insert(key, Entry { value, version });
            }
        }
        let next = self.chance.flip().then(|| self.key());
        Page { entries: entries.into_iter().collect(), next }
    }

    fn proposal(&mut self) -> Option<Proposal<Bytes, Bytes>> {
        let (ballot, slot, patch) = (self.any(), self.slot(), self.patch());
        self.chance.flip().then_some(Proposal { ballot, slot, patch })
    }

    /// Two slots, the lower first.
    fn slots(&mut self) -> (Slot, Slot) {
        let (one, two) = (self.slot(), self.slot());
        (one.min(two), one.max(two))
    }

    fn promise(&mut self) -> Msg {
        let (floor, complete) = self.slots();
        let (accepted, full) = (self.proposal(), self.chance.flip());
        let (ballot, page) = (self.answered(), self.page(None));
        Message::Promise(Promise { ballot, accepted, complete, floor, full, page })
    }

    fn message(&mut self) -> Msg {
        match self.chance.below(16) {
            0 => Message::Heartbeat(self.heartbeat()),
            1 => Message::Prepare(Prepare { ballot: self.own(), complete: self.slot() }),
            2 | 3 => self.promise(),
            4 => Message::FetchPage(FetchPage {
                ballot: self.own(),
                complete: self.slot(),
                after: self.key(),
            }),
            5 => {
                let after = self.key();
                let (ballot, page) = (self.answered(), self.page(Some(&after)));
                Message::PromisePage(PromisePage { ballot, after, page })
            }
            6 => Message::Refused(Refused { ballot: self.answered(), promised: self.any() }),
            7 | 8 => {
                let previous = match self.chance.flip() {
                    true => Previous::Held(self.any()),
                    false => Previous::Patch(self.patch()),
                };
                let (ballot, slot, patch) = (self.own(), self.slot(), self.patch());
                Message::Accept(Accept { ballot, slot, patch, previous })
            }
            9 => {
                let (ballot, slot, complete) = (self.answered(), self.slot(), self.slot());
                match self.chance.flip() {
                    true => Message::Accepted(Accepted { ballot, slot, complete }),
                    false => Message::NeedPrevious(NeedPrevious { ballot, slot, complete }),
                }
            }
            10 => {
                let round = self.chance.pick(&[0, 1, 2, LAST]);
                match self.chance.flip() {
                    true => Message::Confirm(Confirm { ballot: self.own(), round }),
                    false => Message::Confirmed(Confirm { ballot: self.answered(), round }),
                }
            }
            11 => Message::Commit(Commit { ballot: self.own(), slot: self.slot() }),
            12 => {
                let (ballot, first) = (self.own(), self.slot());
                let patches = (0..self.chance.below(5)).map(|_| self.patch()).collect();
                Message::RepairPatches(RepairPatches { ballot, first, patches })
            }
            13 => {
                let (base, target) = self.slots();
                let floor = self.slot().min(target);
                let number = self.chance.pick(&[1, 2, LAST]);
                let after = self.chance.flip().then(|| self.key());
                let (ballot, page) = (self.own(), self.page(after.as_ref()));
                let copy = CopyId { number, base, target, floor };
                Message::RepairPage(RepairPage { ballot, copy, after, page })
            }
            14 => {
                let (ballot, number, after) =
                    (self.answered(), self.chance.pick(&[1, 2, LAST]), self.key());
                Message::PageMerged(PageMerged { ballot, number, after })
            }
            _ => Message::Progress(Progress { ballot: self.answered(), complete: self.slot() }),
        }
    }

    fn heartbeat(&mut self) -> Heartbeat {
        let hears = match self.chance.below(4) {
            0 => vec![self.from; 3],
            _ => vec![ME, self.from, NodeId(u64::MAX)],
        };
        let follows = self.chance.flip().then(|| self.any());
        let (has_quorum, round, complete) = (self.chance.flip(), self.round(), self.slot());
        Heartbeat { hears, has_quorum, follows, round, complete }
    }
}

/// Valid messages of every kind, without the lengths of their frames.
pub(crate) fn sample(count: u64) -> Vec<Vec<u8>> {
    let node = start(&[NodeId(1), ME, NodeId(3)], Config::default(), &Durable::default(), 0);
    let message = |seed| {
        let bytes: Vec<u8> = std::iter::repeat_with({
            let mut random = lattistore::sim::Random::new(seed, 1);
            move || random.next().to_le_bytes()[0]
        })
        .take(300)
        .collect();
        let mut chance = Chance::new(&bytes);
        encode_peer(&Liar { chance: &mut chance, node: &node, from: NodeId(1) }.message())[4..]
            .to_vec()
    };
    (0..count).map(message).collect()
}
