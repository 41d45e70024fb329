//! Fuzz target: a node with lying peers. Every message can be decoded and is from a member, but its
//! slots, ballots, pages and copies are invented. The node may stop serving. It must not panic,
//! every message that it sends must be encodable, and its disk must hold its durable state.

use std::sync::Arc;

use lattistore::kv::{Command, Key, SessionNumber, Store, Value};
use lattistore::lang::{Params, compile};
use lattistore::lpaxos::{
    Config, Durable, Heartbeat, MemberSet, Message, Node, NodeId, PageLimits, Request, Ticket,
    ToCandidate, Write,
};
use lattistore::wire::{PeerFrame, decode_peer, encode_peer};

use crate::chance::Chance;
use crate::liar::{LAST, Liar, ME, Msg};

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

/// Drives a node by the choices of `bytes`.
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
    disk: Durable<Key, Value>,
    members: Vec<NodeId>,
    config: Config,
    now_ms: u64,
    tickets: u64,
    /// The messages that the node got, so that they can be repeated.
    heard: Vec<(NodeId, Msg)>,
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
            max_batch: 3,
            max_queue: 8,
            ..Config::default()
        };
        let disk = Durable::default();
        let node = start(&members, config, &disk, 0);
        Host { node, disk, members, config, now_ms: 0, tickets: 0, heard: Vec::new() }
    }

    fn step(&mut self, chance: &mut Chance<'_>) {
        match chance.below(16) {
            0 => {
                self.now_ms += chance.pick(&[0, 10, 50, 120, 400, 700]);
                self.node.tick(self.now_ms);
            }
            1 | 2 => self.request(chance),
            3 => {
                // A crash: the node restarts from its disk.
                self.node = start(&self.members, self.config, &self.disk, self.now_ms);
            }
            4 | 5 => self.output(),
            6 if !self.heard.is_empty() => {
                let (from, message) = self.heard[chance.below(self.heard.len().min(256))].clone();
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

    /// Lets the members hear each other, so that the node can stand for election.
    fn quorum(&mut self) {
        let hears = self.members.clone();
        for from in self.others() {
            let round = self.node.durable().promised.round;
            let complete = self.node.durable().replica.complete();
            let (hears, has_quorum) = (hears.clone(), true);
            let heartbeat =
                Heartbeat { hears, has_quorum, round, complete, ..Heartbeat::default() };
            self.node.message(self.now_ms, from, Message::Heartbeat(heartbeat));
        }
        self.now_ms += 500;
        self.node.tick(self.now_ms);
    }

    /// Lets the others promise, with invented state, perhaps before the node has sent its prepare.
    fn elect(&mut self, chance: &mut Chance<'_>) {
        self.quorum();
        if chance.below(4) > 0 {
            self.output();
        }
        for from in self.others() {
            let Message::Candidate(ToCandidate::Promise(mut promise)) =
                (Liar { chance, node: &self.node, from }).promise()
            else {
                continue;
            };
            promise.ballot = self.node.durable().promised;
            self.hear(from, Message::Candidate(ToCandidate::Promise(promise)));
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

    /// Delivers a message if its frame can be decoded, as a node gets no other.
    fn hear(&mut self, from: NodeId, message: Msg) {
        let frame = encode_peer(&message);
        if let Ok(PeerFrame::Core(message)) = decode_peer(&frame[4..]) {
            self.heard.push((from, message.clone()));
            self.node.message(self.now_ms, from, message);
        }
    }

    /// Carries out the outputs of the node, in their order.
    fn output(&mut self) {
        loop {
            let output = self.node.output();
            if output.is_empty() {
                break;
            }
            for (_, message) in &output.before_write {
                let _ = encode_peer(message);
            }
            let Some(Write { records, token, .. }) = output.write else { continue };
            records.iter().for_each(|record| self.disk.change(record));
            for (_, message) in self.node.written(token, 0) {
                let _ = encode_peer(&message);
            }
        }
        if self.node.is_written() {
            assert_eq!(&self.disk, self.node.durable(), "the disk holds the durable state");
        }
    }
}

fn start(
    members: &[NodeId],
    config: Config,
    disk: &Durable<Key, Value>,
    now_ms: u64,
) -> Node<Store> {
    let members = MemberSet::of_voters(members.to_vec());
    Node::new(ME, members, config, Store::default(), disk.clone(), 7, now_ms)
}

/// Returns `count` valid messages of random kinds, without the length prefix of their frames.
pub(crate) fn sample(count: u64) -> Vec<Vec<u8>> {
    let node = start(&[NodeId(1), ME, NodeId(3)], Config::default(), &Durable::default(), 0);
    let message = |seed| {
        let bytes: Vec<u8> = std::iter::repeat_with({
            let mut random = lattistore_sim::simulator::Random::new(seed, 1);
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
