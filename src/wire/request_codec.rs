//! Encodes and decodes the requests of clients.
//!
//! `execute.rs` does so for `Execute`, by hand. Each other kind of request has a message in
//! `proto/client.proto`, a variant of [`RequestBody`], and one arm here in each direction.

use protobuf::Message;

use super::error::WireError;
use super::execute::{Envelope, decode_execute, encode_execute};
use super::fields::max;
use super::frame::frame;
use super::proto::client as proto;
use super::proto::client::request::Body;
use super::request::{ClientRequest, RequestBody, RequestError};
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
    };
    let (id, timeout_ms, body) = (*id, *timeout_ms, Some(body));
    let message = proto::Request { id, timeout_ms, body, ..Default::default() };
    let size = usize::try_from(message.compute_size()).unwrap_or(usize::MAX);
    max(size, MAX_OTHER_REQUEST_BYTES, "request")?;
    Ok(frame(&message, MAX_REQUEST_FRAME_BYTES))
}
