//! Decodes and validates the messages between nodes.

use bytes::Bytes;
use protobuf::Message as _;

use super::entries::{decode_decree, decode_page, key};
use super::error::WireError;
use super::fields::{ballot, ballot_value, cluster, ip, ips, max, node, number, required};
use super::fields::{slot, slot_or_zero};
use super::members::entry_from_proto;
use super::peer::{Introduction, PeerFrame};
use super::proto::peer as proto;
use super::proto::peer::peer_message::Body;
use super::scan::{PEER_MESSAGE, max_fields};
use crate::blob::{Key, Value};
use crate::limits::{MAX_NODES, MAX_PATCHES_PER_REPAIR, MAX_PEER_FIELDS, NUMBERS_BELOW};
use crate::lpaxos::{
    Accept, Accepted, Commit, Confirm, Confirmed, CopyId, Decree, FeatureLevel, FetchPage,
    Heartbeat, Low, Message, NeedPrevious, NodeId, Page, PageMerged, Prepare, Previous, Progress,
    Promise, PromisePage, Proposal, Refused, RepairPage, RepairPatches, Slot,
};

/// Decodes a message from a peer.
///
/// # Errors
/// If it breaks a rule of the module's header. Whether it fits the state of the receiver is not
/// checked here.
pub fn decode_peer(bytes: &[u8]) -> Result<PeerFrame, WireError> {
    max_fields(bytes, &PEER_MESSAGE, MAX_PEER_FIELDS)?;
    let message = proto::PeerMessage::parse_from_bytes(bytes)?;
    let core: Message<Key, Value> = match message.body.ok_or(WireError::Missing("body"))? {
        Body::Introduction(m) => return introduction(m).map(PeerFrame::Introduction),
        Body::Heartbeat(m) => Message::Heartbeat(heartbeat(m)?),
        Body::Prepare(m) => Prepare {
            ballot: ballot(m.ballot, "ballot")?,
            complete: slot_or_zero(m.complete, "complete")?,
        }
        .into(),
        Body::Promise(m) => promise(m)?.into(),
        Body::FetchPage(m) => FetchPage {
            ballot: ballot(m.ballot, "ballot")?,
            complete: slot_or_zero(m.complete, "complete")?,
            after: key(&m.after, "after")?,
        }
        .into(),
        Body::PromisePage(m) => promise_page(m)?.into(),
        Body::Refused(m) => Message::Refused(Refused {
            ballot: ballot(m.ballot, "ballot")?,
            promised: ballot(m.promised, "promised")?,
        }),
        Body::Accept(m) => accept(m)?.into(),
        Body::Accepted(m) => Accepted {
            ballot: ballot(m.ballot, "ballot")?,
            slot: slot(m.slot, "slot")?,
            complete: slot_or_zero(m.complete, "complete")?,
        }
        .into(),
        Body::NeedPrevious(m) => NeedPrevious {
            ballot: ballot(m.ballot, "ballot")?,
            slot: slot(m.slot, "slot")?,
            complete: slot_or_zero(m.complete, "complete")?,
        }
        .into(),
        Body::Confirm(m) => confirm(m)?.into(),
        Body::Confirmed(m) => confirmed(confirm(m)?),
        Body::Commit(m) => {
            Commit { ballot: ballot(m.ballot, "ballot")?, slot: slot(m.slot, "slot")? }.into()
        }
        Body::RepairPatches(m) => repair_patches(m)?.into(),
        Body::RepairPage(m) => repair_page(m)?.into(),
        Body::PageMerged(m) => PageMerged {
            ballot: ballot(m.ballot, "ballot")?,
            number: number(m.number, "number")?,
            after: key(&m.after, "after")?,
        }
        .into(),
        Body::Progress(m) => Progress {
            ballot: ballot(m.ballot, "ballot")?,
            complete: slot_or_zero(m.complete, "complete")?,
        }
        .into(),
    };
    Ok(PeerFrame::Core(core))
}

fn introduction(m: proto::Introduction) -> Result<Introduction, WireError> {
    max(m.known.len(), MAX_NODES, "known")?;
    let known =
        m.known.iter().map(|k| Ok((ip(&k.address, "known.address")?, node(k.node, "known.node")?)));
    Ok(Introduction {
        address: ip(&m.address, "address")?,
        node: node(m.node, "node")?,
        listed: ips(&m.listed, "listed")?,
        known: known.collect::<Result<_, WireError>>()?,
        cluster: cluster(m.cluster),
    })
}

fn heartbeat(m: proto::Heartbeat) -> Result<Heartbeat, WireError> {
    max(m.hears.len(), MAX_NODES, "hears")?;
    Ok(Heartbeat {
        hears: m.hears.into_iter().map(NodeId).collect(),
        has_quorum: m.has_quorum,
        follows: m.follows.as_ref().map(|b| ballot_value(b, "follows")).transpose()?,
        round: number(m.round, "round")?,
        complete: slot_or_zero(m.complete, "complete")?,
        sync_ms: m.sync_ms,
        is_reluctant: m.is_reluctant,
        low: Low { memory: m.low_memory, disk: m.low_disk },
        feature_level: FeatureLevel(m.feature_level),
    })
}

fn promise(m: proto::Promise) -> Result<Promise<Key, Value>, WireError> {
    let complete = slot_or_zero(m.complete, "complete")?;
    Ok(Promise {
        ballot: ballot(m.ballot, "ballot")?,
        accepted: m.accepted.into_option().map(proposal).transpose()?,
        complete,
        floor: floor(m.floor, complete)?,
        full: m.full,
        members: entry_from_proto(m.members)?,
        page: page(m.page, None)?,
    })
}

fn promise_page(m: proto::PromisePage) -> Result<PromisePage<Key, Value>, WireError> {
    let after = key(&m.after, "after")?;
    Ok(PromisePage {
        ballot: ballot(m.ballot, "ballot")?,
        page: page(m.page, Some(&after))?,
        after,
    })
}

fn accept(m: proto::Accept) -> Result<Accept<Key, Value>, WireError> {
    let previous = match m.previous.ok_or(WireError::Missing("previous"))? {
        proto::accept::Previous::Held(held) => Previous::Held(ballot_value(&held, "held")?),
        proto::accept::Previous::PreviousDecree(p) => Previous::Decree(decode_decree(&p)?),
    };
    Ok(Accept {
        ballot: ballot(m.ballot, "ballot")?,
        slot: slot(m.slot, "slot")?,
        decree: decree(m.decree, "decree")?,
        previous,
    })
}

/// Returns the answer `Confirmed`, which has the fields of `Confirm` on the wire.
fn confirmed(confirm: Confirm) -> Message<Key, Value> {
    let Confirm { ballot, round } = confirm;
    Confirmed { ballot, round }.into()
}

fn confirm(m: proto::Confirm) -> Result<Confirm, WireError> {
    Ok(Confirm { ballot: ballot(m.ballot, "ballot")?, round: number(m.round, "round")? })
}

fn repair_patches(m: proto::RepairPatches) -> Result<RepairPatches<Key, Value>, WireError> {
    max(m.decrees.len(), MAX_PATCHES_PER_REPAIR, "decrees")?;
    let first = slot(m.first, "first")?;
    // The slot after the last decree has to be in range, too. The sum cannot overflow, as both
    // numbers are small.
    let count = u64::try_from(m.decrees.len()).unwrap_or(NUMBERS_BELOW);
    slot(first.0.saturating_add(count), "first")?;
    Ok(RepairPatches {
        ballot: ballot(m.ballot, "ballot")?,
        first,
        decrees: m.decrees.iter().map(|d| decode_decree(d)).collect::<Result<_, _>>()?,
    })
}

fn repair_page(m: proto::RepairPage) -> Result<RepairPage<Key, Value>, WireError> {
    let copy = required(m.copy, "copy")?;
    let target = slot_or_zero(copy.target, "copy.target")?;
    let base = slot_or_zero(copy.base, "copy.base")?;
    if base > target {
        return Err(WireError::OutOfRange { field: "copy.base", value: base.0 });
    }
    let copy = CopyId {
        number: number(copy.number, "copy.number")?,
        base,
        target,
        floor: floor(copy.floor, target)?,
    };
    let after = m.after.map(|after| key(&after, "after")).transpose()?;
    Ok(RepairPage {
        ballot: ballot(m.ballot, "ballot")?,
        copy,
        members: entry_from_proto(m.members)?,
        page: page(m.page, after.as_ref())?,
        after,
    })
}

/// Checks a `floor`, which is never above the `complete` of the same replica.
fn floor(floor: u64, complete: Slot) -> Result<Slot, WireError> {
    let slot = slot_or_zero(floor, "floor")?;
    if slot > complete {
        return Err(WireError::OutOfRange { field: "floor", value: floor });
    }
    Ok(slot)
}

fn proposal(m: proto::Proposal) -> Result<Proposal<Key, Value>, WireError> {
    Ok(Proposal {
        ballot: ballot(m.ballot, "accepted.ballot")?,
        slot: slot(m.slot, "accepted.slot")?,
        decree: decree(m.decree, "accepted.decree")?,
    })
}

fn decree(bytes: Option<Bytes>, field: &'static str) -> Result<Decree<Key, Value>, WireError> {
    decode_decree(&bytes.ok_or(WireError::Missing(field))?)
}

fn page(bytes: Option<Bytes>, after: Option<&Key>) -> Result<Page<Key, Value>, WireError> {
    decode_page(&bytes.ok_or(WireError::Missing("page"))?, after)
}
