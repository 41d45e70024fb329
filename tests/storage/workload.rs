//! Random valid rounds of records, the states that they lead to, and a node that writes them.

use std::sync::Arc;

use lattistore::blob::Blob;
use lattistore::lpaxos::{
    Ballot, Decree, Durable, Entry, Member, MemberEntry, MemberRole, MemberSet, NodeId, Patch,
    Proposal, Record, Slot,
};
use lattistore::splitmix64;
use lattistore::storage::{
    Background, Disk, Identity, Key, Membership, Opened, Storage, StorageError, StorageOptions,
    Value, open_disk,
};

pub(crate) type State = Durable<Key, Value>;
pub(crate) type Round = Vec<Record<Key, Value>>;

/// Returns sizes so small that a few dozen rounds use several segments and make checkpoints of many
/// pages.
pub(crate) fn tiny_options() -> StorageOptions {
    StorageOptions {
        segment_bytes: 16 << 10,
        checkpoint_after_bytes: 40 << 10,
        page_bytes: 200,
        page_entries: 3,
        checkpoint_sync_bytes: 600,
        seal_after_idle_calls: 3,
        background: Background::Inline,
        seed: 0x5eed,
    }
}

pub(crate) fn identity() -> Identity {
    let members = vec![(NodeId(7), "a:1".to_string()), (NodeId(8), "b:2".to_string())];
    let listed = vec!["a:1".to_string(), "b:2".to_string()];
    let membership = Some(Membership { cluster: 0xc1, listed, members });
    Identity { node: NodeId(7), membership }
}

pub(crate) fn open(disk: Arc<dyn Disk>) -> Result<Opened, StorageError> {
    open_disk(disk, tiny_options(), &mut |_| ())
}

/// The splitmix64 generator.
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        splitmix64::next(&mut self.0)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

const KEYS: u64 = 24;

fn key(number: u64) -> Key {
    Key::from(&*format!("key {number}"))
}

/// Returns what slot `version` wrote to a key. It is a function of both, so that records which
/// repeat a write agree.
fn value(number: u64, version: u64) -> Option<Value> {
    let mut random = Random(number << 32 | version);
    // Most rounds fit a block, some need several, and a few are larger than a segment.
    let length = match random.below(400) {
        0 => 20_000,
        1..20 => 3_000,
        _ => random.below(40),
    };
    let length = usize::try_from(length).expect("it fits");
    let deleted = random.below(3) == 0;
    (!deleted).then(|| Blob::from(random.next().to_be_bytes().repeat(length / 8 + 1)))
}

/// Returns the decree of a slot. Some decrees set the members, too.
fn decree(slot: u64) -> Decree<Key, Value> {
    let mut random = Random(slot);
    let keys = (0..random.below(5)).map(|_| random.below(KEYS)).collect::<Vec<_>>();
    let writes = keys.iter().map(|number| (key(*number), value(*number, slot)));
    let patch = Arc::new(Patch::new(writes.collect()));
    let members = (random.below(4) == 0).then(|| member_set(slot));
    Decree { patch, members }
}

fn member_set(slot: u64) -> MemberSet {
    let member = |node| Member {
        node: NodeId(node),
        address: format!("10.0.{slot}.{node}:50051"),
        role: if node.is_multiple_of(3) { MemberRole::Learner } else { MemberRole::Voter },
        replaces: (node == 3).then_some(NodeId(1)),
    };
    MemberSet::new((1..=slot % 5 + 1).map(member).collect()).expect("node 1 is a voter")
}

fn facts(random: &mut Random, complete: u64) -> Vec<(Key, Entry<Value>)> {
    (0..1 + random.below(6))
        .map(|_| {
            let version = (complete + random.below(12)).saturating_sub(3).max(1);
            let number = random.below(KEYS);
            (key(number), Entry { value: value(number, version), version: Slot(version) })
        })
        .collect()
}

/// Returns a round that a correct node could write in this state.
pub(crate) fn round(random: &mut Random, state: &State) -> Round {
    let mut after = state.clone();
    let mut round = Round::new();
    for _ in 0..1 + random.below(3) {
        let complete = after.replica.complete().0;
        let accepted = after.accepted_slot();
        let ballot = after.promised;
        let record = match random.below(16) {
            0 => Record::Promise(Ballot { round: ballot.round + 1, node: NodeId(7) }),
            1..=4 => {
                let slot = Slot(accepted.0.max(complete) + 1);
                Record::Accept(Proposal { ballot, slot, decree: decree(slot.0) })
            }
            5..=7 if accepted > Slot::ZERO => Record::ApplyAccepted(accepted),
            8..=9 => {
                let slot = complete + 1 + random.below(3);
                Record::Apply(Slot(slot), decree(slot))
            }
            10..=12 => Record::Merge(facts(random, complete)),
            14 => {
                let version = Slot(complete + 1 + random.below(3));
                let members = member_set(version.0);
                Record::Members(MemberEntry { members, version })
            }
            13 => Record::RaiseComplete(Slot(complete + random.below(4))),
            15 if complete > 2 => {
                Record::DropTombstones(Slot(complete.saturating_sub(2 + random.below(4))))
            }
            _ => continue,
        };
        after.change(&record);
        round.push(record);
    }
    round
}

/// A node that wrote rounds until there were enough, or until an operation failed.
pub(crate) struct Run {
    /// The states after 0, 1, ... rounds, including the last attempted one.
    pub(crate) states: Vec<State>,
    /// How many rounds were acknowledged.
    pub(crate) acknowledged: usize,
    /// Whether the identity was acknowledged.
    pub(crate) identified: bool,
    pub(crate) error: Option<StorageError>,
    /// The storage, so that the process can be ended before it is dropped.
    pub(crate) storage: Option<Box<dyn Storage>>,
}

impl Run {
    /// Whether a state may be found after the run: that of the last acknowledged round, or a later
    /// one.
    pub(crate) fn allows(&self, found: &State) -> bool {
        self.states[self.acknowledged..].contains(found)
    }
}

/// Opens the disk and writes rounds until there are enough or an operation fails.
pub(crate) fn run(disk: Arc<dyn Disk>, seed: u64, rounds: usize) -> Run {
    let mut run = Run {
        states: vec![State::default()],
        acknowledged: 0,
        identified: false,
        error: None,
        storage: None,
    };
    match open(disk) {
        Ok(opened) => {
            run.states = vec![opened.durable];
            run.identified = opened.identity.is_some();
            let mut storage = opened.storage;
            run.error = drive(&mut run, storage.as_mut(), seed, rounds).err();
            run.storage = Some(storage);
        }
        Err(error) => run.error = Some(error),
    }
    run
}

fn drive(
    run: &mut Run,
    storage: &mut dyn Storage,
    seed: u64,
    rounds: usize,
) -> Result<(), StorageError> {
    if !run.identified {
        storage.save_identity(&identity())?;
        run.identified = true;
    }
    let mut random = Random(seed);
    for _ in 0..rounds {
        let mut state = run.states[run.acknowledged].clone();
        let round = round(&mut random, &state);
        round.iter().for_each(|record| state.change(record));
        run.states.push(state);
        storage.write(&round)?;
        run.acknowledged += 1;
        for _ in 0..1 + random.below(8) / 7 * 3 {
            storage.maintain(&run.states[run.acknowledged])?;
        }
    }
    Ok(())
}
