//! Encodes and decodes the answers to clients (`proto/client.proto`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use protobuf::{Message, MessageField};

use super::error::WireError;
use super::fields;
use super::frame::append_frame;
use super::outcome::{
    ClientOutcome, ListedMember, MemberList, MemberStatus, MembersUnchangedReason, NodeStatus,
    Notice, ProgramError, Redirect, Severity, Shortage, Sizes, WaitingNode,
};
use super::proto::client as proto;
use super::proto::client::members_unchanged::Reason as WireReason;
use super::proto::client::response::Outcome as Wire;
use crate::blob::Blob;
use crate::limits::{MAX_ENTRY_VALUE_BYTES, MAX_NODES, MAX_NOTICES, MAX_RESPONSE_FRAME_BYTES};
use crate::numbers::{Ballot, NodeId, Position, Slot};
use crate::values::Value;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientResponse {
    /// The request's id; zero if the answer is about the connection, which the node then closes.
    pub id: u64,
    /// The answer.
    pub outcome: ClientOutcome,
}

/// Appends the answer as a frame.
///
/// If a `Read` is too large for a frame, `AnswerNotKept` takes its place, which also says that the
/// transaction ran.
pub fn encode_response(id: u64, outcome: ClientOutcome, to: &mut Vec<u8>) {
    let position = match &outcome {
        ClientOutcome::Read { position, .. } => Some(*position),
        _ => None,
    };
    let mut message = response(id, outcome);
    let too_large = usize::try_from(message.compute_size())
        .map_or(true, |size| size > MAX_RESPONSE_FRAME_BYTES);
    if let (true, Some(position)) = (too_large, position) {
        message = response(id, ClientOutcome::AnswerNotKept { position });
    }
    append_frame(&message, MAX_RESPONSE_FRAME_BYTES, to);
}

fn response(id: u64, outcome: ClientOutcome) -> proto::Response {
    proto::Response { id, outcome: Some(outcome_to_proto(outcome)), ..Default::default() }
}

fn outcome_to_proto(outcome: ClientOutcome) -> Wire {
    match outcome {
        ClientOutcome::Read { values, returned, position } => Wire::Read(proto::Read {
            values: values
                .into_iter()
                .map(|(key, value)| proto::Pair {
                    key: key.to_bytes(),
                    value: value.to_bytes(),
                    ..Default::default()
                })
                .collect(),
            position: position_to_proto(position),
            returned: returned.as_ref().map(value_to_proto).into(),
            ..Default::default()
        }),
        ClientOutcome::SessionOpened { session, window, position } => {
            Wire::SessionOpened(proto::SessionOpened {
                session,
                window,
                position: position_to_proto(position),
                ..Default::default()
            })
        }
        ClientOutcome::Status(status) => Wire::Status(status_to_proto(status)),
        ClientOutcome::RedirectTo(leader) => Wire::RedirectTo(redirect_to_proto(leader)),
        ClientOutcome::NodesUnreachable(shortage) => {
            Wire::NodesUnreachable(shortage_to_proto(&shortage))
        }
        ClientOutcome::LostLeadership { leader, could_handle } => {
            Wire::LostLeadership(proto::LostLeadership {
                leader: leader.map(redirect_to_proto).into(),
                could_handle,
                ..Default::default()
            })
        }
        ClientOutcome::Closing { could_handle } => {
            Wire::Closing(proto::Closing { could_handle, ..Default::default() })
        }
        ClientOutcome::Timeout { could_handle } => {
            Wire::Timeout(proto::Timeout { could_handle, ..Default::default() })
        }
        ClientOutcome::OutOfSpace(message) => Wire::OutOfSpace(proto::OutOfSpace {
            message: fields::message(&message),
            ..Default::default()
        }),
        ClientOutcome::TooManyRequests => Wire::TooManyRequests(Default::default()),
        ClientOutcome::CompileError(error) => Wire::CompileError(error_to_proto(error)),
        ClientOutcome::RuntimeError(error) => Wire::RuntimeError(error_to_proto(error)),
        ClientOutcome::Aborted { message, position } => Wire::Aborted(proto::Aborted {
            // This text belongs to the program and is not cut to `MAX_MESSAGE_BYTES`.
            message: fields::cut(&message, MAX_ENTRY_VALUE_BYTES),
            position: position_to_proto(position),
            ..Default::default()
        }),
        ClientOutcome::SessionExpired => Wire::SessionExpired(Default::default()),
        ClientOutcome::NumberOutsideWindow(message) => {
            Wire::NumberOutsideWindow(proto::NumberOutsideWindow {
                message: fields::message(&message),
                ..Default::default()
            })
        }
        ClientOutcome::AnswerNotKept { position } => Wire::AnswerNotKept(proto::AnswerNotKept {
            position: position_to_proto(position),
            ..Default::default()
        }),
        ClientOutcome::BadRequest(message) => Wire::BadRequest(proto::BadRequest {
            message: fields::message(&message),
            ..Default::default()
        }),
        ClientOutcome::PermissionDenied(message) => {
            Wire::PermissionDenied(proto::PermissionDenied {
                message: fields::message(&message),
                ..Default::default()
            })
        }
        ClientOutcome::MembersChanged(list) => Wire::MembersChanged(proto::MembersChanged {
            members: MessageField::some(list_to_proto(list)),
            ..Default::default()
        }),
        ClientOutcome::MembersUnchanged { reason, message } => {
            Wire::MembersUnchanged(proto::MembersUnchanged {
                reason: reason_to_proto(reason).into(),
                message: fields::message(&message),
                ..Default::default()
            })
        }
        ClientOutcome::MemberList(list) => Wire::MemberList(list_to_proto(list)),
    }
}

fn position_to_proto(position: Position) -> MessageField<proto::Position> {
    MessageField::some(proto::Position {
        slot: position.slot.0,
        place: position.place,
        ..Default::default()
    })
}

fn redirect_to_proto(redirect: Redirect) -> proto::RedirectTo {
    proto::RedirectTo {
        leader: redirect.leader.0,
        address: redirect.address.to_string(),
        ..Default::default()
    }
}

fn shortage_to_proto(shortage: &Shortage) -> proto::NodesUnreachable {
    proto::NodesUnreachable {
        is_forming: shortage.is_forming,
        waiting_for: shortage.waiting_for.iter().map(IpAddr::to_string).collect(),
        message: fields::message(&shortage.message),
        ..Default::default()
    }
}

fn error_to_proto(error: ProgramError) -> proto::ProgramError {
    proto::ProgramError {
        line: error.line,
        column: error.column,
        message: fields::message(&error.message),
        ..Default::default()
    }
}

fn status_to_proto(status: NodeStatus) -> proto::NodeStatus {
    let member = |member: MemberStatus| proto::Member {
        node: member.node.0,
        address: member.address.to_string(),
        reachable: member.reachable,
        complete: member.complete.0,
        hears_this_node: member.hears_this_node,
        ..Default::default()
    };
    proto::NodeStatus {
        node: status.node.0,
        cluster: status.cluster.unwrap_or(0),
        version: fields::message(&status.version),
        uptime_ms: status.uptime_ms,
        leader: status.leader.map(redirect_to_proto).into(),
        ballot_round: status.promised.round,
        ballot_node: status.promised.node.0,
        slot: status.slot.0,
        complete: status.complete.0,
        floor: status.floor.0,
        entries: status.entries,
        members: status.members.into_iter().map(member).collect(),
        memory_bytes: status.sizes.memory_bytes,
        disk_bytes: status.sizes.disk_bytes,
        replay_bytes: status.sizes.replay_bytes,
        last_sync_us: status.sizes.last_sync_us,
        longest_sync_us: status.sizes.longest_sync_us,
        notices: status.notices.into_iter().map(notice_to_proto).collect(),
        ..Default::default()
    }
}

fn notice_to_proto(notice: Notice) -> proto::Notice {
    let severity = match notice.severity {
        Severity::Info => proto::notice::Severity::INFO,
        Severity::Warning => proto::notice::Severity::WARNING,
        Severity::Error => proto::notice::Severity::ERROR,
    };
    proto::Notice {
        kind: fields::message(&notice.kind),
        severity: severity.into(),
        message: fields::message(&notice.message),
        ..Default::default()
    }
}

fn notice_from(notice: proto::Notice) -> Notice {
    let severity = match notice.severity.enum_value() {
        Ok(proto::notice::Severity::INFO) => Severity::Info,
        Ok(proto::notice::Severity::WARNING) => Severity::Warning,
        // A severity that only a later release knows is shown as an error.
        Ok(proto::notice::Severity::ERROR) | Err(_) => Severity::Error,
    };
    Notice { kind: notice.kind, severity, message: notice.message }
}

/// Decodes an answer.
///
/// # Errors
/// If it is not an answer, or breaks a rule.
pub fn decode_response(bytes: &[u8]) -> Result<ClientResponse, WireError> {
    let response = proto::Response::parse_from_bytes(bytes)?;
    let outcome = response.outcome.ok_or(WireError::Missing("outcome"))?;
    Ok(ClientResponse { id: response.id, outcome: outcome_from(outcome)? })
}

fn outcome_from(outcome: Wire) -> Result<ClientOutcome, WireError> {
    Ok(match outcome {
        Wire::Read(read) => read_from(read)?,
        Wire::SessionOpened(opened) => ClientOutcome::SessionOpened {
            session: opened.session,
            window: opened.window,
            position: fields::position(opened.position, "position")?,
        },
        Wire::Status(status) => ClientOutcome::Status(status_from(status)?),
        Wire::RedirectTo(leader) => ClientOutcome::RedirectTo(redirect_from(&leader)?),
        Wire::NodesUnreachable(shortage) => {
            ClientOutcome::NodesUnreachable(shortage_from(shortage)?)
        }
        Wire::LostLeadership(lost) => ClientOutcome::LostLeadership {
            leader: lost.leader.as_ref().map(redirect_from).transpose()?,
            could_handle: lost.could_handle,
        },
        Wire::Closing(closing) => ClientOutcome::Closing { could_handle: closing.could_handle },
        Wire::Timeout(timeout) => ClientOutcome::Timeout { could_handle: timeout.could_handle },
        Wire::OutOfSpace(out) => ClientOutcome::OutOfSpace(out.message),
        Wire::TooManyRequests(_) => ClientOutcome::TooManyRequests,
        Wire::CompileError(error) => ClientOutcome::CompileError(error_from(error)),
        Wire::RuntimeError(error) => ClientOutcome::RuntimeError(error_from(error)),
        Wire::Aborted(aborted) => ClientOutcome::Aborted {
            message: aborted.message,
            position: fields::position(aborted.position, "position")?,
        },
        Wire::SessionExpired(_) => ClientOutcome::SessionExpired,
        Wire::NumberOutsideWindow(outside) => ClientOutcome::NumberOutsideWindow(outside.message),
        Wire::AnswerNotKept(kept) => {
            ClientOutcome::AnswerNotKept { position: fields::position(kept.position, "position")? }
        }
        Wire::BadRequest(bad) => ClientOutcome::BadRequest(bad.message),
        Wire::PermissionDenied(denied) => ClientOutcome::PermissionDenied(denied.message),
        Wire::MembersChanged(changed) => {
            let list = fields::required(changed.members, "members")?;
            ClientOutcome::MembersChanged(list_from(list)?)
        }
        Wire::MembersUnchanged(unchanged) => ClientOutcome::MembersUnchanged {
            reason: reason_from(unchanged.reason.enum_value_or_default()),
            message: unchanged.message,
        },
        Wire::MemberList(list) => ClientOutcome::MemberList(list_from(list)?),
    })
}

fn read_from(read: proto::Read) -> Result<ClientOutcome, WireError> {
    if !read.values.is_sorted_by(|a, b| a.key < b.key) {
        return Err(WireError::OutOfOrder("values"));
    }
    let values: BTreeMap<_, _> =
        read.values.iter().map(|pair| (Blob::new(&pair.key), Blob::new(&pair.value))).collect();
    let returned = read.returned.into_option();
    Ok(ClientOutcome::Read {
        values,
        returned: returned.map(|value| value_from(value, "returned")).transpose()?,
        position: fields::position(read.position, "position")?,
    })
}

fn redirect_from(redirect: &proto::RedirectTo) -> Result<Redirect, WireError> {
    Ok(Redirect {
        leader: fields::node(redirect.leader, "leader")?,
        address: fields::socket_address(&redirect.address, "leader.address")?,
    })
}

fn shortage_from(shortage: proto::NodesUnreachable) -> Result<Shortage, WireError> {
    fields::max(shortage.waiting_for.len(), MAX_NODES, "waiting_for")?;
    Ok(Shortage {
        is_forming: shortage.is_forming,
        waiting_for: fields::ips(&shortage.waiting_for, "waiting_for")?,
        message: fields::message(&shortage.message),
    })
}

fn error_from(error: proto::ProgramError) -> ProgramError {
    ProgramError { line: error.line, column: error.column, message: error.message }
}

fn status_from(status: proto::NodeStatus) -> Result<NodeStatus, WireError> {
    fields::max(status.members.len(), MAX_NODES, "members")?;
    fields::max(status.notices.len(), MAX_NOTICES, "notices")?;
    let member = |member: &proto::Member| {
        Ok(MemberStatus {
            node: fields::node(member.node, "members.node")?,
            address: fields::socket_address(&member.address, "members.address")?,
            reachable: member.reachable,
            complete: Slot(member.complete),
            hears_this_node: member.hears_this_node,
        })
    };
    Ok(NodeStatus {
        node: fields::node(status.node, "node")?,
        cluster: fields::cluster(status.cluster),
        members: status.members.iter().map(member).collect::<Result<_, WireError>>()?,
        version: status.version,
        uptime_ms: status.uptime_ms,
        leader: status.leader.as_ref().map(redirect_from).transpose()?,
        promised: Ballot { round: status.ballot_round, node: NodeId(status.ballot_node) },
        slot: Slot(status.slot),
        complete: Slot(status.complete),
        floor: Slot(status.floor),
        entries: status.entries,
        sizes: Sizes {
            memory_bytes: status.memory_bytes,
            disk_bytes: status.disk_bytes,
            replay_bytes: status.replay_bytes,
            last_sync_us: status.last_sync_us,
            longest_sync_us: status.longest_sync_us,
        },
        notices: status.notices.into_iter().map(notice_from).collect(),
    })
}

/// Returns the message of a value of the language.
fn value_to_proto(value: &Value) -> proto::Value {
    let kind = match value {
        Value::Text(text) => proto::value::Kind::Text(text.as_str().to_owned()),
        Value::Number(number) => proto::value::Kind::Number(*number),
        Value::Truth(truth) => proto::value::Kind::Truth(*truth),
    };
    proto::Value { kind: Some(kind), ..Default::default() }
}

/// Returns the value of the language in a message.
fn value_from(value: proto::Value, field: &'static str) -> Result<Value, WireError> {
    match value.kind {
        Some(proto::value::Kind::Text(text)) => Ok(Value::Text(text.as_str().into())),
        Some(proto::value::Kind::Number(number)) => Ok(Value::Number(number)),
        Some(proto::value::Kind::Truth(truth)) => Ok(Value::Truth(truth)),
        None => Err(WireError::Missing(field)),
    }
}

fn list_to_proto(list: MemberList) -> proto::MemberList {
    let member = |member: ListedMember| proto::ListedMember {
        node: member.node.0,
        address: member.address.to_string(),
        is_learner: member.is_learner,
        replaces: member.replaces.map_or(0, |old| old.0),
        reachable: member.reachable,
        complete: member.complete.0,
        ..Default::default()
    };
    let waiting = |waiting: WaitingNode| proto::WaitingNode {
        node: waiting.node.0,
        address: waiting.address.to_string(),
        ..Default::default()
    };
    proto::MemberList {
        node: list.node.0,
        cluster: list.cluster.unwrap_or(0),
        version: list.version.0,
        leader: list.leader.map(redirect_to_proto).into(),
        members: list.members.into_iter().map(member).collect(),
        waiting: list.waiting.into_iter().map(waiting).collect(),
        ..Default::default()
    }
}

fn list_from(list: proto::MemberList) -> Result<MemberList, WireError> {
    fields::max(list.members.len(), MAX_NODES, "members")?;
    fields::max(list.waiting.len(), MAX_NODES, "waiting")?;
    let member = |member: &proto::ListedMember| {
        Ok(ListedMember {
            node: fields::node(member.node, "members.node")?,
            address: fields::socket_address(&member.address, "members.address")?,
            is_learner: member.is_learner,
            replaces: (member.replaces != 0).then_some(NodeId(member.replaces)),
            reachable: member.reachable,
            complete: Slot(member.complete),
        })
    };
    let waiting = |waiting: &proto::WaitingNode| {
        Ok(WaitingNode {
            node: fields::node(waiting.node, "waiting.node")?,
            address: fields::socket_address(&waiting.address, "waiting.address")?,
        })
    };
    Ok(MemberList {
        node: fields::node(list.node, "node")?,
        cluster: fields::cluster(list.cluster),
        version: Slot(list.version),
        leader: list.leader.as_ref().map(redirect_from).transpose()?,
        members: list.members.iter().map(member).collect::<Result<_, WireError>>()?,
        waiting: list.waiting.iter().map(waiting).collect::<Result<_, WireError>>()?,
    })
}

fn reason_to_proto(reason: MembersUnchangedReason) -> WireReason {
    match reason {
        MembersUnchangedReason::Unknown => WireReason::UNKNOWN,
        MembersUnchangedReason::NotAMember => WireReason::NOT_A_MEMBER,
        MembersUnchangedReason::AlreadyAMember => WireReason::ALREADY_A_MEMBER,
        MembersUnchangedReason::AlreadyReplaced => WireReason::ALREADY_REPLACED,
        MembersUnchangedReason::TooManyMembers => WireReason::TOO_MANY_MEMBERS,
        MembersUnchangedReason::LastVoter => WireReason::LAST_VOTER,
        MembersUnchangedReason::NoMajority => WireReason::NO_MAJORITY,
        MembersUnchangedReason::Invalid => WireReason::INVALID,
        MembersUnchangedReason::NoNodeWaits => WireReason::NO_NODE_WAITS,
        MembersUnchangedReason::AddressInUse => WireReason::ADDRESS_IN_USE,
        MembersUnchangedReason::SeveralMembers => WireReason::SEVERAL_MEMBERS,
    }
}

fn reason_from(reason: WireReason) -> MembersUnchangedReason {
    match reason {
        WireReason::UNKNOWN => MembersUnchangedReason::Unknown,
        WireReason::NOT_A_MEMBER => MembersUnchangedReason::NotAMember,
        WireReason::ALREADY_A_MEMBER => MembersUnchangedReason::AlreadyAMember,
        WireReason::ALREADY_REPLACED => MembersUnchangedReason::AlreadyReplaced,
        WireReason::TOO_MANY_MEMBERS => MembersUnchangedReason::TooManyMembers,
        WireReason::LAST_VOTER => MembersUnchangedReason::LastVoter,
        WireReason::NO_MAJORITY => MembersUnchangedReason::NoMajority,
        WireReason::INVALID => MembersUnchangedReason::Invalid,
        WireReason::NO_NODE_WAITS => MembersUnchangedReason::NoNodeWaits,
        WireReason::ADDRESS_IN_USE => MembersUnchangedReason::AddressInUse,
        WireReason::SEVERAL_MEMBERS => MembersUnchangedReason::SeveralMembers,
    }
}
