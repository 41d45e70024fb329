//! Encodes the messages between nodes as frames.

use bytes::Bytes;
use protobuf::MessageField;

use super::entries::{encode_decree, encode_page};
use super::frame::frame;
use super::members::entry_to_proto;
use super::peer::Introduction;
use super::proto::peer as proto;
use super::proto::peer::peer_message::Body;
use crate::blob::{Key, Value};
use crate::limits::MAX_PEER_FRAME_BYTES;
use crate::lpaxos::{Ballot, Message, Previous, Proposal, ToAcceptor, ToCandidate, ToLeader};

/// Returns an introduction as a frame.
pub fn encode_introduction(introduction: &Introduction) -> Bytes {
    let known = introduction.known.iter().map(|(address, node)| proto::KnownNode {
        address: address.to_string(),
        node: node.0,
        ..Default::default()
    });
    let body = Body::Introduction(proto::Introduction {
        address: introduction.address.to_string(),
        node: introduction.node.0,
        listed: introduction.listed.iter().map(ToString::to_string).collect(),
        known: known.collect(),
        cluster: introduction.cluster.unwrap_or(0),
        ..Default::default()
    });
    frame_of(body)
}

/// Returns a message of LPaxos as a frame. One frame may be sent to several peers.
///
/// # Panics
/// If the message is larger than [`MAX_PEER_FRAME_BYTES`]. The core bounds batches and pages so
/// that this cannot happen.
pub fn encode_peer(message: &Message<Key, Value>) -> Bytes {
    frame_of(body(message))
}

fn frame_of(body: Body) -> Bytes {
    let message = proto::PeerMessage { body: Some(body), ..Default::default() };
    Bytes::from(frame(&message, MAX_PEER_FRAME_BYTES))
}

fn body(message: &Message<Key, Value>) -> Body {
    match message {
        Message::Heartbeat(m) => Body::Heartbeat(proto::Heartbeat {
            hears: m.hears.iter().map(|node| node.0).collect(),
            has_quorum: m.has_quorum,
            follows: m.follows.map(ballot_value).into(),
            round: m.round,
            complete: m.complete.0,
            sync_ms: m.sync_ms,
            is_reluctant: m.is_reluctant,
            low_memory: m.low.memory,
            low_disk: m.low.disk,
            feature_level: m.feature_level.0,
            ..Default::default()
        }),
        Message::Acceptor(ToAcceptor::Prepare(m)) => Body::Prepare(proto::Prepare {
            ballot: ballot(m.ballot),
            complete: m.complete.0,
            ..Default::default()
        }),
        Message::Candidate(ToCandidate::Promise(m)) => Body::Promise(proto::Promise {
            ballot: ballot(m.ballot),
            accepted: m.accepted.as_ref().map(proposal).into(),
            complete: m.complete.0,
            floor: m.floor.0,
            full: m.full,
            page: Some(encode_page(&m.page)),
            members: entry_to_proto(m.members.as_ref()),
            ..Default::default()
        }),
        Message::Acceptor(ToAcceptor::FetchPage(m)) => Body::FetchPage(proto::FetchPage {
            ballot: ballot(m.ballot),
            complete: m.complete.0,
            after: m.after.to_bytes(),
            ..Default::default()
        }),
        Message::Candidate(ToCandidate::PromisePage(m)) => Body::PromisePage(proto::PromisePage {
            ballot: ballot(m.ballot),
            after: m.after.to_bytes(),
            page: Some(encode_page(&m.page)),
            ..Default::default()
        }),
        Message::Refused(m) => Body::Refused(proto::Refused {
            ballot: ballot(m.ballot),
            promised: ballot(m.promised),
            ..Default::default()
        }),
        Message::Acceptor(ToAcceptor::Accept(m)) => Body::Accept(proto::Accept {
            ballot: ballot(m.ballot),
            slot: m.slot.0,
            decree: Some(encode_decree(&m.decree)),
            previous: Some(previous(&m.previous)),
            ..Default::default()
        }),
        Message::Leader(ToLeader::Accepted(m)) => Body::Accepted(proto::Accepted {
            ballot: ballot(m.ballot),
            slot: m.slot.0,
            complete: m.complete.0,
            ..Default::default()
        }),
        Message::Leader(ToLeader::NeedPrevious(m)) => Body::NeedPrevious(proto::NeedPrevious {
            ballot: ballot(m.ballot),
            slot: m.slot.0,
            complete: m.complete.0,
            ..Default::default()
        }),
        Message::Acceptor(ToAcceptor::Confirm(m)) => Body::Confirm(proto::Confirm {
            ballot: ballot(m.ballot),
            round: m.round,
            ..Default::default()
        }),
        Message::Leader(ToLeader::Confirmed(m)) => Body::Confirmed(proto::Confirm {
            ballot: ballot(m.ballot),
            round: m.round,
            ..Default::default()
        }),
        Message::Acceptor(ToAcceptor::Commit(m)) => Body::Commit(proto::Commit {
            ballot: ballot(m.ballot),
            slot: m.slot.0,
            ..Default::default()
        }),
        Message::Acceptor(ToAcceptor::RepairPatches(m)) => {
            Body::RepairPatches(proto::RepairPatches {
                ballot: ballot(m.ballot),
                first: m.first.0,
                decrees: m.decrees.iter().map(encode_decree).collect(),
                ..Default::default()
            })
        }
        Message::Acceptor(ToAcceptor::RepairPage(m)) => Body::RepairPage(proto::RepairPage {
            ballot: ballot(m.ballot),
            copy: MessageField::some(proto::CopyId {
                number: m.copy.number,
                base: m.copy.base.0,
                target: m.copy.target.0,
                floor: m.copy.floor.0,
                ..Default::default()
            }),
            after: m.after.as_ref().map(Key::to_bytes),
            members: entry_to_proto(m.members.as_ref()),
            page: Some(encode_page(&m.page)),
            ..Default::default()
        }),
        Message::Leader(ToLeader::PageMerged(m)) => Body::PageMerged(proto::PageMerged {
            ballot: ballot(m.ballot),
            number: m.number,
            after: m.after.to_bytes(),
            ..Default::default()
        }),
        Message::Leader(ToLeader::Progress(m)) => Body::Progress(proto::Progress {
            ballot: ballot(m.ballot),
            complete: m.complete.0,
            ..Default::default()
        }),
    }
}

fn ballot_value(ballot: Ballot) -> proto::Ballot {
    proto::Ballot { round: ballot.round, node: ballot.node.0, ..Default::default() }
}

fn ballot(ballot: Ballot) -> MessageField<proto::Ballot> {
    MessageField::some(ballot_value(ballot))
}

fn previous(previous: &Previous<Key, Value>) -> proto::accept::Previous {
    match previous {
        Previous::Held(ballot) => proto::accept::Previous::Held(ballot_value(*ballot)),
        Previous::Decree(decree) => proto::accept::Previous::PreviousDecree(encode_decree(decree)),
    }
}

fn proposal(proposal: &Proposal<Key, Value>) -> proto::Proposal {
    proto::Proposal {
        ballot: ballot(proposal.ballot),
        slot: proposal.slot.0,
        decree: Some(encode_decree(&proposal.decree)),
        ..Default::default()
    }
}
