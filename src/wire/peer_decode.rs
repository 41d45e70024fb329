//! Messages between nodes, from the wire.
//!
//! Keys and values are copies of their own: they may stay in the store for years, and a slice of the
//! frame would keep all of it in memory.

use std::sync::Arc;

use bytes::Bytes;
use protobuf::{Message as _, MessageField};

use super::error::WireError;
use super::fields::{at_most, ballot, ballot_value, cluster, ip, ips, node, number, required};
use super::fields::{slot, slot_or_zero};
use super::peer::{Introduction, PeerFrame};
use super::proto::peer as proto;
use super::proto::peer::peer_message::Body;
use super::scan::{PEER_MESSAGE, fields_at_most};
use crate::kv::{Key, Value};
use crate::limits::{
    ENTRY_OVERHEAD_BYTES, MAX_ENTRY_KEY_BYTES, MAX_ENTRY_VALUE_BYTES, MAX_NODES, MAX_PATCH_BYTES,
    MAX_PATCHES_PER_REPAIR, MAX_PEER_FIELDS, NUMBERS_BELOW,
};
use crate::lpaxos::{
    Accept, Accepted, Commit, Confirm, CopyId, Entry, FetchPage, Heartbeat, Message, NeedPrevious,
    NodeId, Page, PageMerged, Patch, Prepare, Previous, Progress, Promise, PromisePage, Proposal,
    Refused, RepairPage, RepairPatches, Slot,
};

/// Decodes a frame from a peer.
pub fn decode_peer(bytes: &[u8]) -> Result<PeerFrame, WireError> {
    fields_at_most(bytes, &PEER_MESSAGE, MAX_PEER_FIELDS)?;
    let message = proto::PeerMessage::parse_from_bytes(bytes)?;
    let core = match message.body.ok_or(WireError::Missing("body"))? {
        Body::Introduction(m) => return introduction(m).map(PeerFrame::Introduction),
        Body::Heartbeat(m) => Message::Heartbeat(heartbeat(m)?),
        Body::Prepare(m) => Message::Prepare(Prepare {
            ballot: ballot(m.ballot, "ballot")?,
            complete: slot_or_zero(m.complete, "complete")?,
        }),
        Body::Promise(m) => Message::Promise(promise(m)?),
        Body::FetchPage(m) => Message::FetchPage(FetchPage {
            ballot: ballot(m.ballot, "ballot")?,
            complete: slot_or_zero(m.complete, "complete")?,
            after: key(m.after, "after")?,
        }),
        Body::PromisePage(m) => Message::PromisePage(promise_page(m)?),
        Body::Refused(m) => Message::Refused(Refused {
            ballot: ballot(m.ballot, "ballot")?,
            promised: ballot(m.promised, "promised")?,
        }),
        Body::Accept(m) => Message::Accept(accept(m)?),
        Body::Accepted(m) => Message::Accepted(Accepted {
            ballot: ballot(m.ballot, "ballot")?,
            slot: slot(m.slot, "slot")?,
            complete: slot_or_zero(m.complete, "complete")?,
        }),
        Body::NeedPrevious(m) => Message::NeedPrevious(NeedPrevious {
            ballot: ballot(m.ballot, "ballot")?,
            slot: slot(m.slot, "slot")?,
            complete: slot_or_zero(m.complete, "complete")?,
        }),
        Body::Confirm(m) => Message::Confirm(confirm(m)?),
        Body::Confirmed(m) => Message::Confirmed(confirm(m)?),
        Body::Commit(m) => Message::Commit(Commit {
            ballot: ballot(m.ballot, "ballot")?,
            slot: slot(m.slot, "slot")?,
        }),
        Body::RepairPatches(m) => Message::RepairPatches(repair_patches(m)?),
        Body::RepairPage(m) => Message::RepairPage(repair_page(m)?),
        Body::PageMerged(m) => Message::PageMerged(PageMerged {
            ballot: ballot(m.ballot, "ballot")?,
            number: number(m.number, "number")?,
            after: key(m.after, "after")?,
        }),
        Body::Progress(m) => Message::Progress(Progress {
            ballot: ballot(m.ballot, "ballot")?,
            complete: slot_or_zero(m.complete, "complete")?,
        }),
    };
    Ok(PeerFrame::Core(core))
}

fn introduction(m: proto::Introduction) -> Result<Introduction, WireError> {
    at_most(m.known.len(), MAX_NODES, "known")?;
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
    at_most(m.hears.len(), MAX_NODES, "hears")?;
    Ok(Heartbeat {
        hears: m.hears.into_iter().map(NodeId).collect(),
        has_quorum: m.has_quorum,
        follows: m.follows.as_ref().map(|b| ballot_value(b, "follows")).transpose()?,
        round: number(m.round, "round")?,
        complete: slot_or_zero(m.complete, "complete")?,
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
        page: page(m.page, None)?,
    })
}

fn promise_page(m: proto::PromisePage) -> Result<PromisePage<Key, Value>, WireError> {
    let after = key(m.after, "after")?;
    Ok(PromisePage {
        ballot: ballot(m.ballot, "ballot")?,
        page: page(m.page, Some(&after))?,
        after,
    })
}

fn accept(m: proto::Accept) -> Result<Accept<Key, Value>, WireError> {
    let previous = match m.previous.ok_or(WireError::Missing("previous"))? {
        proto::accept::Previous::Held(held) => Previous::Held(ballot_value(&held, "held")?),
        proto::accept::Previous::PreviousPatch(p) => Previous::Patch(patch(p)?),
    };
    Ok(Accept {
        ballot: ballot(m.ballot, "ballot")?,
        slot: slot(m.slot, "slot")?,
        patch: patch(required(m.patch, "patch")?)?,
        previous,
    })
}

fn confirm(m: proto::Confirm) -> Result<Confirm, WireError> {
    Ok(Confirm { ballot: ballot(m.ballot, "ballot")?, round: number(m.round, "round")? })
}

fn repair_patches(m: proto::RepairPatches) -> Result<RepairPatches<Key, Value>, WireError> {
    at_most(m.patches.len(), MAX_PATCHES_PER_REPAIR, "patches")?;
    let first = slot(m.first, "first")?;
    // The slot of the last patch is in range too; the sum cannot overflow, as both parts are small.
    let count = u64::try_from(m.patches.len()).unwrap_or(NUMBERS_BELOW);
    slot(first.0.saturating_add(count), "first")?;
    Ok(RepairPatches {
        ballot: ballot(m.ballot, "ballot")?,
        first,
        patches: m.patches.into_iter().map(patch).collect::<Result<_, _>>()?,
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
    let after = m.after.map(|after| key(after, "after")).transpose()?;
    Ok(RepairPage {
        ballot: ballot(m.ballot, "ballot")?,
        copy,
        page: page(m.page, after.as_ref())?,
        after,
    })
}

/// A replica's floor is never above its `complete`.
fn floor(floor: u64, complete: Slot) -> Result<Slot, WireError> {
    let slot = slot_or_zero(floor, "floor")?;
    if slot > complete {
        return Err(WireError::OutOfRange { field: "floor", value: floor });
    }
    Ok(slot)
}

fn key(key: Bytes, field: &'static str) -> Result<Key, WireError> {
    at_most(key.len(), MAX_ENTRY_KEY_BYTES, field)?;
    Ok(key.into())
}

fn value(value: Option<Bytes>) -> Result<Option<Value>, WireError> {
    at_most(value.as_ref().map_or(0, Bytes::len), MAX_ENTRY_VALUE_BYTES, "value")?;
    Ok(value)
}

fn patch(m: proto::Patch) -> Result<Arc<Patch<Key, Value>>, WireError> {
    let writes = m.writes.into_iter().map(|w| Ok((key(w.key, "key")?, value(w.value)?)));
    let writes = writes.collect::<Result<Vec<_>, WireError>>()?;
    let size = |(key, value): &(Key, Option<Value>)| {
        ENTRY_OVERHEAD_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len)
    };
    // An accepted patch is sent on, with another or with a page: it must leave room for them.
    at_most(writes.iter().map(size).sum(), MAX_PATCH_BYTES, "patch")?;
    Patch::from_sorted(writes).map(Arc::new).ok_or(WireError::OutOfOrder("patch"))
}

fn proposal(m: proto::Proposal) -> Result<Proposal<Key, Value>, WireError> {
    Ok(Proposal {
        ballot: ballot(m.ballot, "accepted.ballot")?,
        slot: slot(m.slot, "accepted.slot")?,
        patch: patch(required(m.patch, "accepted.patch")?)?,
    })
}

fn page(m: MessageField<proto::Page>, after: Option<&Key>) -> Result<Page<Key, Value>, WireError> {
    let m = required(m, "page")?;
    let entries = m.entries.into_iter().map(|e| {
        let entry = Entry { value: value(e.value)?, version: slot(e.version, "version")? };
        Ok((key(e.key, "key")?, entry))
    });
    let page = Page {
        entries: entries.collect::<Result<Vec<_>, WireError>>()?,
        next: m.next.map(|next| key(next, "next")).transpose()?,
    };
    if page.follows(after) { Ok(page) } else { Err(WireError::OutOfOrder("page")) }
}
