//! Encodes and decodes member sets.

use protobuf::{Message as _, MessageField};

use super::error::WireError;
use super::fields::{max, node, required, slot};
use super::proto::peer as proto;
use crate::limits::MAX_NODES;
use crate::lpaxos::{MAX_MEMBER_ADDRESS_BYTES, Member, MemberEntry, MemberRole, MemberSet};

/// Encodes a `MemberSet`.
pub(super) fn encode_members(members: &MemberSet) -> Vec<u8> {
    to_proto(members).write_to_bytes().expect("a message in memory is always written")
}

/// Decodes a `MemberSet`.
pub(super) fn decode_members(bytes: &[u8]) -> Result<MemberSet, WireError> {
    from_proto(proto::MemberSet::parse_from_bytes(bytes)?)
}

/// Returns the message of a `MemberEntry`, if there is one.
pub(super) fn entry_to_proto(entry: Option<&MemberEntry>) -> MessageField<proto::MemberEntry> {
    let entry = entry.map(|entry| proto::MemberEntry {
        members: MessageField::some(to_proto(&entry.members)),
        version: entry.version.0,
        ..Default::default()
    });
    entry.into()
}

/// Checks a `MemberEntry`, if there is one.
pub(super) fn entry_from_proto(
    entry: MessageField<proto::MemberEntry>,
) -> Result<Option<MemberEntry>, WireError> {
    let Some(entry) = entry.into_option() else { return Ok(None) };
    let members = from_proto(required(entry.members, "members")?)?;
    Ok(Some(MemberEntry { members, version: slot(entry.version, "members.version")? }))
}

fn to_proto(members: &MemberSet) -> proto::MemberSet {
    let members = members.iter().map(|member| proto::Member {
        node: member.node.0,
        address: member.address.clone(),
        is_learner: member.role == MemberRole::Learner,
        ..Default::default()
    });
    proto::MemberSet { members: members.collect(), ..Default::default() }
}

fn from_proto(set: proto::MemberSet) -> Result<MemberSet, WireError> {
    max(set.members.len(), MAX_NODES, "members")?;
    let members = set.members.into_iter().map(|member| {
        max(member.address.len(), MAX_MEMBER_ADDRESS_BYTES, "members.address")?;
        let role = if member.is_learner { MemberRole::Learner } else { MemberRole::Voter };
        Ok(Member { node: node(member.node, "members.node")?, address: member.address, role })
    });
    let members = members.collect::<Result<_, WireError>>()?;
    MemberSet::new(members)
        .ok_or(WireError::Malformed("a member set that has an id twice or has no voter".to_owned()))
}
