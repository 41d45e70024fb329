//! Encodes and decodes the requests of clients.
//!
//! `execute.rs` does so for `Execute`, by hand. Each other kind of request has a message in
//! `proto/client.proto`, a variant of [`RequestBody`], and one arm here in each direction.

use protobuf::{Message, MessageField};

use super::error::WireError;
use super::execute::{Envelope, decode_execute, encode_execute};
use super::fields::{ip, max, node, required};
use super::frame::frame;
use super::proto::client as proto;
use super::proto::client::change_members::Change;
use super::proto::client::member_name::Name;
use super::proto::client::request::Body;
use super::request::{ClientRequest, MemberName, MemberRequest, RequestBody, RequestError};
use crate::limits::{MAX_OTHER_REQUEST_BYTES, MAX_REQUEST_FRAME_BYTES};

/// Decodes a client's request. If it has an `Execute`, any other body in it is ignored.
///
/// # Errors
/// If it breaks a rule. The error has the request's id, if that could be decoded.
pub fn decode_request(bytes: &[u8]) -> Result<ClientRequest, RequestError> {
    let envelope = Envelope::take(bytes).map_err(|error| RequestError { id: None, error })?;
    let Envelope { id, timeout_ms, execute } = envelope;
    if id == 0 {
        let error = WireError::OutOfRange { field: "id", value: 0 };
        return Err(RequestError { id: None, error });
    }
    let body = match execute {
        Some(execute) => decode_execute(execute),
        None => decode_other(bytes),
    };
    match body {
        Ok(body) => Ok(ClientRequest { id, timeout_ms, body }),
        Err(error) => Err(RequestError { id: Some(id), error }),
    }
}

/// Decodes the body of a request other than `Execute`, with the generated code.
fn decode_other(bytes: &[u8]) -> Result<RequestBody, WireError> {
    max(bytes.len(), MAX_OTHER_REQUEST_BYTES, "request")?;
    match proto::Request::parse_from_bytes(bytes)?.body {
        Some(Body::OpenSession(open)) => {
            Ok(RequestBody::OpenSession { window: open.window.max(1) })
        }
        Some(Body::Status(_)) => Ok(RequestBody::Status),
        Some(Body::ChangeMembers(change)) => Ok(RequestBody::ChangeMembers(change_from(change)?)),
        Some(Body::ListMembers(_)) => Ok(RequestBody::ListMembers),
        // `decode_request` has looked for an `Execute` before.
        Some(Body::Execute(_)) | None => Err(WireError::Missing("body")),
    }
}

/// Returns the request as a frame.
///
/// # Errors
/// If it is larger than a server accepts.
pub fn encode_request(request: &ClientRequest) -> Result<Vec<u8>, WireError> {
    let ClientRequest { id, timeout_ms, body } = request;
    let body = match body {
        RequestBody::Execute { program, params, session } => {
            return encode_execute((*id, *timeout_ms), program, params, *session);
        }
        RequestBody::OpenSession { window } => {
            Body::OpenSession(proto::OpenSession { window: *window, ..Default::default() })
        }
        RequestBody::Status => Body::Status(proto::Status::default()),
        RequestBody::ChangeMembers(change) => Body::ChangeMembers(change_to_proto(change)),
        RequestBody::ListMembers => Body::ListMembers(proto::ListMembers::default()),
    };
    let (id, timeout_ms, body) = (*id, *timeout_ms, Some(body));
    let message = proto::Request { id, timeout_ms, body, ..Default::default() };
    let size = usize::try_from(message.compute_size()).unwrap_or(usize::MAX);
    max(size, MAX_OTHER_REQUEST_BYTES, "request")?;
    Ok(frame(&message, MAX_REQUEST_FRAME_BYTES))
}

fn change_to_proto(change: &MemberRequest) -> proto::ChangeMembers {
    let change = match change {
        MemberRequest::Add { address, replaces } => Change::Add(proto::AddMember {
            address: address.to_string(),
            replaces: replaces.map(name_to_proto).into(),
            ..Default::default()
        }),
        MemberRequest::Remove(member) => Change::Remove(proto::RemoveMember {
            member: MessageField::some(name_to_proto(*member)),
            ..Default::default()
        }),
    };
    proto::ChangeMembers { change: Some(change), ..Default::default() }
}

fn change_from(change: proto::ChangeMembers) -> Result<MemberRequest, WireError> {
    match change.change.ok_or(WireError::Missing("change_members.change"))? {
        Change::Add(add) => Ok(MemberRequest::Add {
            address: ip(&add.address, "add.address")?,
            replaces: add
                .replaces
                .into_option()
                .map(|member| name_from(member, "add.replaces"))
                .transpose()?,
        }),
        Change::Remove(remove) => {
            let member = required(remove.member, "remove.member")?;
            Ok(MemberRequest::Remove(name_from(member, "remove.member")?))
        }
    }
}

fn name_to_proto(name: MemberName) -> proto::MemberName {
    let name = match name {
        MemberName::Node(node) => Name::Node(node.0),
        MemberName::Address(address) => Name::Address(address.to_string()),
    };
    proto::MemberName { name: Some(name), ..Default::default() }
}

fn name_from(name: proto::MemberName, field: &'static str) -> Result<MemberName, WireError> {
    Ok(match name.name.ok_or(WireError::Missing(field))? {
        Name::Node(id) => MemberName::Node(node(id, field)?),
        Name::Address(address) => MemberName::Address(ip(&address, field)?),
    })
}
