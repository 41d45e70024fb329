//! Messages of a lying member: they can be decoded, but an honest node would not send them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lattistore::kv::{Key, Store, Value};
use lattistore::lpaxos::{
    Accept, Accepted, Ballot, Commit, Confirm, Confirmed, CopyId, Decree, Entry, FeatureLevel,
    FetchPage, Heartbeat, Low, MemberEntry, MemberNotice, MemberSet, Message, NeedPrevious,
    NewerEntries, Node, NodeId, Page, PageMerged, Patch, Prepare, Previous, Progress, Promise,
    PromisePage, Proposal, Refused, RepairPage, RepairPatches, Slot, ToAcceptor, ToCandidate,
    ToLeader,
};

use crate::chance::Chance;

pub(crate) type Msg = Message<Key, Value>;

/// The node that gets the messages.
pub(crate) const ME: NodeId = NodeId(2);
/// The highest slot and round that can be decoded.
pub(crate) const LAST: u64 = (1 << 62) - 1;

/// Keys of users, keys of the store's own kinds, and keys of no kind; some are not UTF-8.
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

/// Invents messages with slots and ballots near those of the node.
pub(crate) struct Liar<'a, 'b> {
    pub(crate) chance: &'a mut Chance<'b>,
    pub(crate) node: &'a Node<Store>,
    pub(crate) from: NodeId,
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

    /// Returns a ballot of the sender: only these may it use in its own messages.
    fn own(&mut self) -> Ballot {
        let round = self.round();
        Ballot { round, node: self.from }
    }

    /// Returns a ballot that the node uses, or could use later: answers to it carry such a ballot.
    fn answered(&mut self) -> Ballot {
        let round = self.round();
        let node = if self.chance.below(8) == 0 { self.from } else { ME };
        Ballot { round, node }
    }

    fn any(&mut self) -> Ballot {
        if self.chance.flip() { self.own() } else { self.answered() }
    }

    fn key(&mut self) -> Key {
        Key::new(self.chance.pick(&KEYS))
    }

    fn value(&mut self) -> Option<Value> {
        let value = self.chance.pick(&VALUES);
        (self.chance.below(3) > 0).then(|| Value::new(value))
    }

    fn decree(&mut self) -> Decree<Key, Value> {
        let count = self.chance.below(4);
        let writes: BTreeMap<_, _> = (0..count).map(|_| (self.key(), self.value())).collect();
        let members = self.chance.flip().then(|| self.member_set());
        Decree { patch: Arc::new(Patch::new(writes)), members }
    }

    /// Returns a set of random nodes, with or without the node itself.
    fn member_set(&mut self) -> MemberSet {
        let count = 1 + self.chance.below(4);
        MemberSet::of_voters((0..count).map(|_| NodeId(1 + self.chance.below(6) as u64)))
    }

    fn members(&mut self) -> Option<MemberEntry> {
        let (members, version) = (self.member_set(), self.slot().max(Slot(1)));
        self.chance.flip().then_some(MemberEntry { members, version })
    }

    fn page(&mut self, after: Option<&Key>) -> Page<Key, Value> {
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

    fn proposal(&mut self) -> Option<Proposal<Key, Value>> {
        let (ballot, slot, decree) = (self.any(), self.slot(), self.decree());
        self.chance.flip().then_some(Proposal { ballot, slot, decree })
    }

    /// Returns two slots, the lower first.
    fn slots(&mut self) -> (Slot, Slot) {
        let (one, two) = (self.slot(), self.slot());
        (one.min(two), one.max(two))
    }

    pub(crate) fn promise(&mut self) -> Msg {
        let (floor, complete) = self.slots();
        let (accepted, full) = (self.proposal(), self.chance.flip());
        let (ballot, members, page) = (self.answered(), self.members(), self.page(None));
        Message::Candidate(ToCandidate::Promise(Promise {
            ballot,
            accepted,
            complete,
            floor,
            full,
            members,
            page,
        }))
    }

    /// Invents a message of any kind.
    pub(crate) fn message(&mut self) -> Msg {
        match self.chance.below(17) {
            0 => Message::Heartbeat(self.heartbeat()),
            1 => Message::Acceptor(ToAcceptor::Prepare(Prepare {
                ballot: self.own(),
                complete: self.slot(),
                members_version: self.slot(),
            })),
            2 | 3 => self.promise(),
            4 => Message::Acceptor(ToAcceptor::FetchPage(FetchPage {
                ballot: self.own(),
                complete: self.slot(),
                after: self.key(),
            })),
            5 => {
                let after = self.key();
                let (ballot, page) = (self.answered(), self.page(Some(&after)));
                Message::Candidate(ToCandidate::PromisePage(PromisePage { ballot, after, page }))
            }
            6 => Message::Refused(Refused {
                ballot: self.answered(),
                promised: self.any(),
                members: self.members(),
            }),
            16 => match self.members() {
                Some(entry) => Message::MemberNotice(MemberNotice { promised: self.any(), entry }),
                None => Message::Heartbeat(self.heartbeat()),
            },
            7 | 8 => {
                let previous = match self.chance.flip() {
                    true => Previous::Held(self.any()),
                    false if self.chance.flip() => Previous::Decree(self.decree()),
                    false => Previous::Entries(NewerEntries {
                        entries: Arc::new(self.page(None).entries),
                        members: self.members(),
                    }),
                };
                let (ballot, slot, decree) = (self.own(), self.slot(), self.decree());
                Message::Acceptor(ToAcceptor::Accept(Accept { ballot, slot, decree, previous }))
            }
            9 => {
                let (ballot, slot, complete) = (self.answered(), self.slot(), self.slot());
                match self.chance.flip() {
                    true => {
                        Message::Leader(ToLeader::Accepted(Accepted { ballot, slot, complete }))
                    }
                    false => Message::Leader(ToLeader::NeedPrevious(NeedPrevious {
                        ballot,
                        slot,
                        complete,
                    })),
                }
            }
            10 => {
                let round = self.chance.pick(&[0, 1, 2, LAST]);
                match self.chance.flip() {
                    true => Message::Acceptor(ToAcceptor::Confirm(Confirm {
                        ballot: self.own(),
                        round,
                    })),
                    false => Message::Leader(ToLeader::Confirmed(Confirmed {
                        ballot: self.answered(),
                        round,
                    })),
                }
            }
            11 => Message::Acceptor(ToAcceptor::Commit(Commit {
                ballot: self.own(),
                slot: self.slot(),
            })),
            12 => {
                let (ballot, first) = (self.own(), self.slot());
                let decrees = (0..self.chance.below(5)).map(|_| self.decree()).collect();
                Message::Acceptor(ToAcceptor::RepairPatches(RepairPatches {
                    ballot,
                    first,
                    decrees,
                }))
            }
            13 => {
                let (base, target) = self.slots();
                let floor = self.slot().min(target);
                let number = self.chance.pick(&[1, 2, LAST]);
                let after = self.chance.flip().then(|| self.key());
                let (ballot, page) = (self.own(), self.page(after.as_ref()));
                let copy = CopyId { number, base, target, floor };
                let members = self.members();
                Message::Acceptor(ToAcceptor::RepairPage(RepairPage {
                    ballot,
                    copy,
                    after,
                    members,
                    page,
                }))
            }
            14 => {
                let (ballot, number, after) =
                    (self.answered(), self.chance.pick(&[1, 2, LAST]), self.key());
                Message::Leader(ToLeader::PageMerged(PageMerged { ballot, number, after }))
            }
            _ => Message::Leader(ToLeader::Progress(Progress {
                ballot: self.answered(),
                complete: self.slot(),
            })),
        }
    }

    fn heartbeat(&mut self) -> Heartbeat {
        let hears = match self.chance.below(4) {
            0 => vec![self.from; 3],
            _ => vec![ME, self.from, NodeId(u64::MAX)],
        };
        let follows = self.chance.flip().then(|| self.any());
        let (has_quorum, round, complete) = (self.chance.flip(), self.round(), self.slot());
        let sync_ms = if self.chance.flip() { 0 } else { u64::MAX };
        let is_reluctant = self.chance.flip();
        Heartbeat {
            hears,
            has_quorum,
            follows,
            round,
            complete,
            sync_ms,
            is_reluctant,
            low: Low::default(),
            feature_level: FeatureLevel(if self.chance.flip() { 0 } else { u32::MAX }),
            members_version: Slot(if self.chance.flip() { 0 } else { u64::MAX >> 2 }),
        }
    }
}
