//! What clients ask (`proto/client.proto`).

use std::fmt;
use std::time::Duration;

use protobuf::{Message, MessageField};

use super::error::WireError;
use super::fields;
use super::frame::frame;
use super::proto::client as proto;
use super::scan::{REQUEST, fields_at_most};
use crate::kv::SessionNumber;
use crate::lang::{Params, Value};
use crate::limits::{
    DEFAULT_REQUEST_TIME, MAX_REQUEST_FIELDS, MAX_REQUEST_FRAME_BYTES, MAX_REQUEST_TIME,
};

/// A client's request.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientRequest {
    /// Names the answer on this connection; not zero.
    pub id: u64,
    /// How long the client will wait, in milliseconds; 0 for as long as the server thinks right.
    pub timeout_ms: u32,
    /// What it asks.
    pub body: RequestBody,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestBody {
    /// Run a transaction.
    Execute {
        /// The program's text.
        program: String,
        /// The values of its parameters.
        params: Params,
        /// Without it the transaction runs as often as it is sent.
        session: Option<SessionNumber>,
    },
    /// Open a session.
    OpenSession {
        /// How many of its transactions may be unanswered at once; at least 1.
        window: u32,
    },
    /// Ask the node how it is.
    Status,
}

/// A request that was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// The request's id, where that much was understood: the answer carries it.
    pub id: Option<u64>,
    /// What is wrong.
    pub error: WireError,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for RequestError {}

impl ClientRequest {
    /// How long to try: what the client said, within the server's bounds.
    pub fn time(&self) -> Duration {
        match self.timeout_ms {
            0 => DEFAULT_REQUEST_TIME,
            ms => Duration::from_millis(ms.into()).min(MAX_REQUEST_TIME),
        }
    }
}

/// The request as a frame; an error when it is larger than a server takes.
pub fn encode_request(request: &ClientRequest) -> Result<Vec<u8>, WireError> {
    let body = match &request.body {
        RequestBody::Execute { program, params, session } => {
            proto::request::Body::Execute(proto::Execute {
                program: program.clone(),
                session: session.map(session_to_proto).into(),
                params: params.iter().map(|(k, v)| (k.clone(), value_to_proto(v))).collect(),
                ..Default::default()
            })
        }
        RequestBody::OpenSession { window } => {
            proto::request::Body::OpenSession(proto::OpenSession {
                window: *window,
                ..Default::default()
            })
        }
        RequestBody::Status => proto::request::Body::Status(proto::Status::default()),
    };
    let message = proto::Request {
        id: request.id,
        timeout_ms: request.timeout_ms,
        body: Some(body),
        ..Default::default()
    };
    let size = usize::try_from(message.compute_size()).unwrap_or(usize::MAX);
    fields::at_most(size, MAX_REQUEST_FRAME_BYTES, "request")?;
    Ok(frame(&message, MAX_REQUEST_FRAME_BYTES))
}

/// Decodes a client's request.
pub fn decode_request(bytes: &[u8]) -> Result<ClientRequest, RequestError> {
    let request = fields_at_most(bytes, &REQUEST, MAX_REQUEST_FIELDS)
        .and_then(|()| Ok(proto::Request::parse_from_bytes(bytes)?))
        .map_err(|error| RequestError { id: None, error })?;
    let id = request.id;
    if id == 0 {
        let error = WireError::OutOfRange { field: "id", value: 0 };
        return Err(RequestError { id: None, error });
    }
    let timeout_ms = request.timeout_ms;
    match body_from(request.body) {
        Ok(body) => Ok(ClientRequest { id, timeout_ms, body }),
        Err(error) => Err(RequestError { id: Some(id), error }),
    }
}

fn body_from(body: Option<proto::request::Body>) -> Result<RequestBody, WireError> {
    match body {
        Some(proto::request::Body::Execute(execute)) => {
            let mut params = Params::new();
            for (name, value) in execute.params {
                params.insert(name, value_from(value, "params")?);
            }
            let session = execute.session.into_option().map(session_from).transpose()?;
            Ok(RequestBody::Execute { program: execute.program, params, session })
        }
        Some(proto::request::Body::OpenSession(open)) => {
            Ok(RequestBody::OpenSession { window: open.window.max(1) })
        }
        Some(proto::request::Body::Status(_)) => Ok(RequestBody::Status),
        None => Err(WireError::Missing("body")),
    }
}

fn session_to_proto(number: SessionNumber) -> proto::SessionNumber {
    proto::SessionNumber {
        session: number.session,
        number: number.number,
        answered_below: number.answered_below,
        ..Default::default()
    }
}

fn session_from(number: proto::SessionNumber) -> Result<SessionNumber, WireError> {
    let out_of_range = |field, value| Err(WireError::OutOfRange { field, value });
    fields::number(number.number, "session.number")?;
    if number.number == 0 {
        return out_of_range("session.number", 0);
    }
    // The client has no answer to the very transaction that it sends.
    if number.answered_below > number.number {
        return out_of_range("session.answered_below", number.answered_below);
    }
    Ok(SessionNumber {
        session: number.session,
        number: number.number,
        answered_below: number.answered_below,
    })
}

/// A value of the language for the wire.
pub(super) fn value_to_proto(value: &Value) -> proto::Value {
    let kind = match value {
        Value::Text(text) => proto::value::Kind::Text(text.as_str().to_owned()),
        Value::Number(number) => proto::value::Kind::Number(*number),
        Value::Truth(truth) => proto::value::Kind::Truth(*truth),
    };
    proto::Value { kind: Some(kind), ..Default::default() }
}

/// A value of the language from the wire.
pub(super) fn value_from(value: proto::Value, field: &'static str) -> Result<Value, WireError> {
    match value.kind {
        Some(proto::value::Kind::Text(text)) => Ok(Value::Text(text.as_str().into())),
        Some(proto::value::Kind::Number(number)) => Ok(Value::Number(number)),
        Some(proto::value::Kind::Truth(truth)) => Ok(Value::Truth(truth)),
        None => Err(WireError::Missing(field)),
    }
}

/// A value that may be absent, for the wire.
pub(super) fn optional_value(value: Option<&Value>) -> MessageField<proto::Value> {
    value.map(value_to_proto).into()
}
