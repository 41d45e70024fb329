//! What a cluster or a directory held when its fixture was made: one fact in each line, with bytes
//! as hexadecimal digits.

use std::path::Path;

use lattistore::lpaxos::{Patch, Proposal};
use lattistore::storage::{Identity, Key, StorageOptions, Value, open_directory};

use crate::workload::State;

/// A property that must still hold.
#[derive(Debug)]
pub(crate) enum Fact {
    /// The key has this value.
    Value { key: String, value: String },
    /// The key has a value of this many NUL characters.
    Nuls { key: String, count: usize },
    /// The key was deleted.
    Deleted { key: String },
    /// The value of the key is a number from `min` to `max`: a client was counting when the nodes
    /// were killed.
    Between { key: String, min: u64, max: u64 },
    /// This transaction of a session ran, and its answer was kept.
    Kept { session: u64, number: u64, answered_below: u64, program: String, answer: Vec<u8> },
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    assert!(digits.len().is_multiple_of(2), "{text}");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn text(digits: &str) -> String {
    String::from_utf8(unhex(digits)).unwrap()
}

impl Fact {
    pub(crate) fn line(&self) -> String {
        match self {
            Fact::Value { key, value } => format!("value {key} {}", hex(value.as_bytes())),
            Fact::Nuls { key, count } => format!("nuls {key} {count}"),
            Fact::Deleted { key } => format!("deleted {key}"),
            Fact::Between { key, min, max } => format!("between {key} {min} {max}"),
            Fact::Kept { session, number, answered_below, program, answer } => format!(
                "kept {session} {number} {answered_below} {} {}",
                hex(program.as_bytes()),
                hex(answer)
            ),
        }
    }

    fn parse(line: &str) -> Fact {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |text: &str| text.parse::<u64>().unwrap();
        match *words {
            ["value", key, value] => Fact::Value { key: key.to_owned(), value: text(value) },
            ["nuls", key, count] => {
                Fact::Nuls { key: key.to_owned(), count: count.parse().unwrap() }
            }
            ["deleted", key] => Fact::Deleted { key: key.to_owned() },
            ["between", key, min, max] => {
                Fact::Between { key: key.to_owned(), min: number(min), max: number(max) }
            }
            ["kept", session, transaction, answered_below, program, answer] => Fact::Kept {
                session: number(session),
                number: number(transaction),
                answered_below: number(answered_below),
                program: text(program),
                answer: unhex(answer),
            },
            _ => panic!("not a fact: {line}"),
        }
    }

    /// Reads a file of facts.
    pub(crate) fn read(file: &Path) -> Vec<Fact> {
        std::fs::read_to_string(file).unwrap().lines().map(Fact::parse).collect()
    }
}

/// Describes the identity and the state in a data directory, each in a line. Opening changes the
/// directory, so it must be a copy.
pub(crate) fn describe_directory(directory: &Path) -> String {
    let opened = open_directory(directory, StorageOptions::default(), &mut |_| ()).unwrap();
    describe(opened.identity.as_ref(), &opened.durable)
}

/// Describes the identity and the state, each in a line.
pub(crate) fn describe(identity: Option<&Identity>, state: &State) -> String {
    let mut hasher = crc32fast::Hasher::new();
    for (key, entry) in state.replica.entries() {
        hash(&mut hasher, key, entry.value.as_ref());
        hasher.update(&entry.version.0.to_be_bytes());
    }
    let ballot = state.promised;
    let accepted = state.accepted.as_ref().map_or("none".to_owned(), describe_proposal);
    let identity = identity.map_or("none".to_owned(), describe_identity);
    format!(
        "identity {identity}\nstate promised {}/{} accepted {accepted} complete {} floor {} \
         entries {} tombstones {} checksum {:08x}\n",
        ballot.round,
        ballot.node.0,
        state.replica.complete().0,
        state.replica.floor().0,
        state.replica.entry_count(),
        state.replica.tombstone_count(),
        hasher.finalize()
    )
}

fn describe_identity(identity: &Identity) -> String {
    let Some(membership) = &identity.membership else { return format!("{}", identity.node.0) };
    let members = membership.members.iter().map(|(node, address)| format!("{}@{address}", node.0));
    let members: Vec<String> = members.collect();
    let listed = membership.listed.join(",");
    let cluster = membership.cluster;
    format!("{} cluster {cluster} listed {listed} members {}", identity.node.0, members.join(","))
}

fn describe_proposal(proposal: &Proposal<Key, Value>) -> String {
    let Proposal { ballot, slot, decree } = proposal;
    format!("{}/{}/{}/{:08x}", ballot.round, ballot.node.0, slot.0, checksum(&decree.patch))
}

fn checksum(patch: &Patch<Key, Value>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    patch.writes().iter().for_each(|(key, value)| hash(&mut hasher, key, value.as_ref()));
    hasher.finalize()
}

/// Hashes a key and its value, each with its length.
fn hash(hasher: &mut crc32fast::Hasher, key: &Key, value: Option<&Value>) {
    hasher.update(&(key.len() as u64).to_be_bytes());
    hasher.update(key);
    hasher.update(&value.map_or(u64::MAX, |value| value.len() as u64).to_be_bytes());
    hasher.update(value.map_or(&[][..], |value| value));
}
