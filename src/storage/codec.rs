//! Records, patches and entries as bytes, and back.
//!
//! Numbers are big-endian. A key or a value is its length (4 bytes) and its bytes; a tombstone is
//! the length `0xffff_ffff` without bytes; a list is its count (4 bytes) and its items. A record is
//! its tag (1 byte) and its fields. Reading copies each key and value into its own memory, so that
//! none of them keeps a whole segment or page in memory.

use std::sync::Arc;

use bytes::{Buf, BufMut};

use crate::lpaxos::{
    Ballot, Decree, Entry, Member, MemberEntry, MemberRole, MemberSet, NodeId, Patch, Proposal,
    Record, Slot,
};

use super::{Key, Value};

const TOMBSTONE: u32 = u32::MAX;

mod tag {
    pub(super) const PROMISE: u8 = 1;
    pub(super) const ACCEPT: u8 = 2;
    pub(super) const APPLY_ACCEPTED: u8 = 3;
    pub(super) const APPLY: u8 = 4;
    pub(super) const MERGE: u8 = 5;
    pub(super) const RAISE_COMPLETE: u8 = 6;
    /// Earlier releases wrote it after a full copy; it is read as `DROP_TOMBSTONES`.
    pub(super) const RAISE_FLOOR: u8 = 7;
    pub(super) const DROP_TOMBSTONES: u8 = 8;
    /// Like `ACCEPT` and `APPLY`, with a member set after the patch.
    pub(super) const ACCEPT_MEMBERS: u8 = 9;
    pub(super) const APPLY_MEMBERS: u8 = 10;
    pub(super) const MEMBERS: u8 = 11;
}

/// Bytes that are being decoded. A function that takes them returns `None` if they are not what a
/// `put_` function wrote.
pub(super) type Input<'a, 'b> = &'a mut &'b [u8];

pub(super) fn put_record(out: &mut Vec<u8>, record: &Record<Key, Value>) {
    let put_slot = |out: &mut Vec<u8>, tag: u8, slot: Slot| {
        out.put_u8(tag);
        out.put_u64(slot.0);
    };
    match record {
        Record::Promise(ballot) => {
            out.put_u8(tag::PROMISE);
            put_ballot(out, *ballot);
        }
        Record::Accept(proposal) => {
            let has_members = proposal.decree.members.is_some();
            out.put_u8(if has_members { tag::ACCEPT_MEMBERS } else { tag::ACCEPT });
            put_proposal(out, proposal);
        }
        Record::ApplyAccepted(slot) => put_slot(out, tag::APPLY_ACCEPTED, *slot),
        Record::Apply(slot, decree) => {
            let has_members = decree.members.is_some();
            put_slot(out, if has_members { tag::APPLY_MEMBERS } else { tag::APPLY }, *slot);
            put_decree(out, decree);
        }
        Record::Merge(entries) => {
            out.put_u8(tag::MERGE);
            put_length(out, entries.len());
            entries.iter().for_each(|(key, entry)| put_entry(out, key, entry));
        }
        Record::Members(entry) => {
            out.put_u8(tag::MEMBERS);
            put_member_entry(out, entry);
        }
        Record::RaiseComplete(slot) => put_slot(out, tag::RAISE_COMPLETE, *slot),
        Record::DropTombstones(slot) => put_slot(out, tag::DROP_TOMBSTONES, *slot),
    }
}

pub(super) fn take_record(input: Input) -> Option<Record<Key, Value>> {
    Some(match input.try_get_u8().ok()? {
        tag::PROMISE => Record::Promise(take_ballot(input)?),
        tag::ACCEPT => Record::Accept(take_proposal(input, false)?),
        tag::ACCEPT_MEMBERS => Record::Accept(take_proposal(input, true)?),
        tag::APPLY_ACCEPTED => Record::ApplyAccepted(take_slot(input)?),
        tag::APPLY => Record::Apply(take_slot(input)?, take_decree(input, false)?),
        tag::APPLY_MEMBERS => Record::Apply(take_slot(input)?, take_decree(input, true)?),
        tag::MERGE => Record::Merge(take_list(input, take_entry)?),
        tag::MEMBERS => Record::Members(take_member_entry(input)?),
        tag::RAISE_COMPLETE => Record::RaiseComplete(take_slot(input)?),
        tag::RAISE_FLOOR | tag::DROP_TOMBSTONES => Record::DropTombstones(take_slot(input)?),
        _ => return None,
    })
}

pub(super) fn put_ballot(out: &mut Vec<u8>, ballot: Ballot) {
    out.put_u64(ballot.round);
    out.put_u64(ballot.node.0);
}

pub(super) fn take_ballot(input: Input) -> Option<Ballot> {
    let round = take_u64(input)?;
    Some(Ballot { round, node: NodeId(take_u64(input)?) })
}

pub(super) fn put_proposal(out: &mut Vec<u8>, proposal: &Proposal<Key, Value>) {
    put_ballot(out, proposal.ballot);
    out.put_u64(proposal.slot.0);
    put_decree(out, &proposal.decree);
}

/// Reads a proposal; `has_members` says whether its decree has a member set.
pub(super) fn take_proposal(input: Input, has_members: bool) -> Option<Proposal<Key, Value>> {
    let ballot = take_ballot(input)?;
    let slot = take_slot(input)?;
    Some(Proposal { ballot, slot, decree: take_decree(input, has_members)? })
}

/// Writes the patch and then the member set if there is one; the enclosing record says which.
fn put_decree(out: &mut Vec<u8>, decree: &Decree<Key, Value>) {
    put_patch(out, &decree.patch);
    if let Some(members) = &decree.members {
        put_members(out, members);
    }
}

fn take_decree(input: Input, has_members: bool) -> Option<Decree<Key, Value>> {
    let patch = Arc::new(take_patch(input)?);
    let members = if has_members { Some(take_members(input)?) } else { None };
    Some(Decree { patch, members })
}

/// Writes a version (8 bytes) and a member set.
pub(super) fn put_member_entry(out: &mut Vec<u8>, entry: &MemberEntry) {
    out.put_u64(entry.version.0);
    put_members(out, &entry.members);
}

pub(super) fn take_member_entry(input: Input) -> Option<MemberEntry> {
    let version = take_slot(input).filter(|version| *version > Slot::ZERO)?;
    Some(MemberEntry { version, members: take_members(input)? })
}

/// Writes a list of members, each an id (8 bytes), 0 for a voter or 1 for a learner (1 byte), the
/// id of the member that it replaces or 0 (8 bytes), and an address.
fn put_members(out: &mut Vec<u8>, members: &MemberSet) {
    put_length(out, members.iter().count());
    for Member { node, address, role, replaces } in members.iter() {
        out.put_u64(node.0);
        out.put_u8(match role {
            MemberRole::Voter => 0,
            MemberRole::Learner => 1,
        });
        out.put_u64(replaces.map_or(0, |old| old.0));
        put_bytes(out, address.as_bytes());
    }
}

fn take_members(input: Input) -> Option<MemberSet> {
    let members = take_list(input, |input| {
        let node = NodeId(take_u64(input)?);
        let role = match input.try_get_u8().ok()? {
            0 => MemberRole::Voter,
            1 => MemberRole::Learner,
            _ => return None,
        };
        let replaces = Some(NodeId(take_u64(input)?)).filter(|old| *old != NodeId(0));
        Some(Member { node, address: take_string(input)?, role, replaces })
    })?;
    MemberSet::new(members)
}

pub(super) fn take_string(input: Input) -> Option<String> {
    String::from_utf8(take_bytes(input)?.to_vec()).ok()
}

fn put_patch(out: &mut Vec<u8>, patch: &Patch<Key, Value>) {
    put_length(out, patch.writes().len());
    for (key, value) in patch.writes() {
        put_bytes(out, key);
        put_value(out, value.as_ref());
    }
}

fn take_patch(input: Input) -> Option<Patch<Key, Value>> {
    Patch::from_sorted(take_list(input, |input| Some((take_key(input)?, take_value(input)?)))?)
}

pub(super) fn put_entry(out: &mut Vec<u8>, key: &Key, entry: &Entry<Value>) {
    put_bytes(out, key);
    out.put_u64(entry.version.0);
    put_value(out, entry.value.as_ref());
}

pub(super) fn take_entry(input: Input) -> Option<(Key, Entry<Value>)> {
    let key = take_key(input)?;
    let version = take_slot(input)?;
    Some((key, Entry { value: take_value(input)?, version }))
}

pub(super) fn take_slot(input: Input) -> Option<Slot> {
    // The last slot has no next slot: a node never reaches it.
    take_u64(input).filter(|slot| *slot < u64::MAX).map(Slot)
}

pub(super) fn take_u64(input: Input) -> Option<u64> {
    input.try_get_u64().ok()
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.put_slice(bytes);
}

pub(super) fn take_bytes<'b>(input: Input<'_, 'b>) -> Option<&'b [u8]> {
    let length = input.try_get_u32().ok()?;
    take_slice(input, length)
}

pub(super) fn take_key(input: Input) -> Option<Key> {
    take_bytes(input).map(Key::new)
}

fn put_value(out: &mut Vec<u8>, value: Option<&Value>) {
    match value {
        Some(value) => put_bytes(out, value),
        None => out.put_u32(TOMBSTONE),
    }
}

fn take_value(input: Input) -> Option<Option<Value>> {
    match input.try_get_u32().ok()? {
        TOMBSTONE => Some(None),
        length => Some(Some(Value::new(take_slice(input, length)?))),
    }
}

fn take_slice<'b>(input: Input<'_, 'b>, length: u32) -> Option<&'b [u8]> {
    let (slice, rest) = input.split_at_checked(length as usize)?;
    *input = rest;
    Some(slice)
}

/// Writes a length or count; the limits on requests keep it far below 2^32.
pub(super) fn put_length(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).ok().filter(|length| *length != TOMBSTONE);
    out.put_u32(length.expect("keys, values and lists are shorter than 4 GiB"));
}

/// Reads a list of items, each with `take`.
pub(super) fn take_list<'b, T>(
    input: Input<'_, 'b>,
    take: impl Fn(&mut &'b [u8]) -> Option<T>,
) -> Option<Vec<T>> {
    let count = input.try_get_u32().ok()? as usize;
    // An item takes at least four bytes: a wrong count cannot cause a large allocation.
    let mut items = Vec::with_capacity(count.min(input.len() / 4));
    for _ in 0..count {
        items.push(take(input)?);
    }
    Some(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_kinds() -> Vec<Record<Key, Value>> {
        let key = |name: &str| Key::from(name);
        let value = |text: &'static str| Value::from(text);
        let ballot = Ballot { round: 7, node: NodeId(0xfeed) };
        let writes = [(key("a"), Some(value("1"))), (key("b"), None), (key("c"), Some(value("")))];
        let patch = Arc::new(Patch::new(writes.into_iter().collect()));
        let entry = |value| Entry { value, version: Slot(9) };
        let voter = |node: u64| Member::voter(NodeId(node), format!("10.0.0.{node}:50051"));
        let (role, replaces) = (MemberRole::Learner, Some(NodeId(1)));
        let members = vec![voter(1), Member { role, replaces, ..voter(2) }];
        let members = MemberSet::new(members).expect("a valid member set");
        let decree = Decree { patch: Arc::clone(&patch), members: Some(members.clone()) };
        vec![
            Record::Promise(ballot),
            Record::Accept(Proposal { ballot, slot: Slot(3), decree: Arc::clone(&patch).into() }),
            Record::Accept(Proposal { ballot, slot: Slot(5), decree: decree.clone() }),
            Record::ApplyAccepted(Slot(3)),
            Record::Apply(Slot(4), patch.into()),
            Record::Apply(Slot(5), decree),
            Record::Members(MemberEntry { members, version: Slot(5) }),
            Record::Merge(vec![(key("x"), entry(Some(value("y")))), (key(""), entry(None))]),
            Record::RaiseComplete(Slot(11)),
            Record::DropTombstones(Slot(6)),
        ]
    }

    #[test]
    fn every_record_reads_back() {
        let mut bytes = Vec::new();
        all_kinds().iter().for_each(|record| put_record(&mut bytes, record));
        let mut input = &bytes[..];
        let read: Vec<_> = all_kinds().iter().map_while(|_| take_record(&mut input)).collect();
        assert_eq!(read, all_kinds());
        assert!(input.is_empty());
    }

    #[test]
    fn cut_or_changed_bytes_never_panic() {
        for record in all_kinds() {
            let mut bytes = Vec::new();
            put_record(&mut bytes, &record);
            for length in 0..bytes.len() {
                assert_eq!(take_record(&mut &bytes[..length]), None, "{record:?} cut at {length}");
            }
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 0x80;
                let _ = take_record(&mut &changed[..]);
            }
        }
    }
}
