//! Requests of clients, from the wire, by hand: a message made for each of them would be a dozen pieces
//! of memory, and an empty parameter would cost as much as a full one.
//!
//! Of a field that comes twice the last one counts, a message as a whole; and a field of another kind than it
//! should be is one that this version does not know.

use super::error::WireError;
use super::fields::{self, at_most};
use super::raw::{Field, Fields};
use super::request::{ClientRequest, RequestBody, RequestError, number};
use crate::limits::MAX_REQUEST_PARAMETERS;
use crate::numbers::SessionNumber;
use crate::values::{Params, ValueRef};

/// Decodes a client's request.
pub fn decode_request(bytes: &[u8]) -> Result<ClientRequest, RequestError> {
    let request = Request::take(bytes).map_err(|error| RequestError { id: None, error })?;
    let Request { id, timeout_ms, body } = request;
    if id == 0 {
        let error = WireError::OutOfRange { field: "id", value: 0 };
        return Err(RequestError { id: None, error });
    }
    match body.map_or(Err(WireError::Missing("body")), Body::decode) {
        Ok(body) => Ok(ClientRequest { id, timeout_ms, body }),
        Err(error) => Err(RequestError { id: Some(id), error }),
    }
}

/// `Request`, as it is on the wire.
#[derive(Default)]
struct Request<'a> {
    id: u64,
    timeout_ms: u32,
    body: Option<Body<'a>>,
}

enum Body<'a> {
    Execute(&'a [u8]),
    OpenSession(&'a [u8]),
    Status,
}

impl<'a> Request<'a> {
    fn take(bytes: &'a [u8]) -> Result<Request<'a>, WireError> {
        let mut request = Request::default();
        for field in Fields(bytes) {
            match field? {
                (number::ID, Field::Number(id)) => request.id = id,
                (number::TIMEOUT_MS, Field::Number(ms)) => request.timeout_ms = at_most_32_bits(ms),
                (number::EXECUTE, Field::Bytes(bytes)) => request.body = Some(Body::Execute(bytes)),
                (number::OPEN_SESSION, Field::Bytes(bytes)) => {
                    request.body = Some(Body::OpenSession(bytes));
                }
                (number::STATUS, Field::Bytes(_)) => request.body = Some(Body::Status),
                _ => {}
            }
        }
        Ok(request)
    }
}

impl Body<'_> {
    fn decode(self) -> Result<RequestBody, WireError> {
        match self {
            Body::Execute(bytes) => execute(bytes),
            Body::OpenSession(bytes) => {
                let mut window = 0;
                for field in Fields(bytes) {
                    if let (number::WINDOW, Field::Number(number)) = field? {
                        window = at_most_32_bits(number);
                    }
                }
                Ok(RequestBody::OpenSession { window: window.max(1) })
            }
            Body::Status => Ok(RequestBody::Status),
        }
    }
}

/// A number of 32 bits. A larger one counts as the largest, where protobuf would cut it off.
fn at_most_32_bits(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn execute(bytes: &[u8]) -> Result<RequestBody, WireError> {
    let (mut program, mut numbered) = (&[][..], None);
    let (mut count, mut size) = (0, 0);
    for field in Fields(bytes) {
        match field? {
            (number::PROGRAM, Field::Bytes(text)) => program = text,
            (number::SESSION, Field::Bytes(number)) => numbered = Some(number),
            (number::PARAMS, Field::Bytes(entry)) => {
                count += 1;
                size += entry.len();
            }
            _ => {}
        }
    }
    at_most(count, MAX_REQUEST_PARAMETERS, "params")?;
    let entries = Fields(bytes).filter_map(|field| match field {
        Ok((number::PARAMS, Field::Bytes(entry))) => Some(parameter(entry)),
        _ => None,
    });
    let params = Params::try_collect(count, size, entries)?;
    let session = numbered.map(session).transpose()?;
    Ok(RequestBody::Execute { program: text(program, "program")?.to_owned(), params, session })
}

/// An entry of `params`, which is a map: its key, and its value.
fn parameter(bytes: &[u8]) -> Result<(&str, ValueRef<'_>), WireError> {
    let (mut name, mut value) = (&[][..], None);
    for field in Fields(bytes) {
        match field? {
            (number::KEY, Field::Bytes(bytes)) => name = bytes,
            (number::VALUE, Field::Bytes(bytes)) => value = value_of(bytes)?,
            _ => {}
        }
    }
    Ok((text(name, "params")?, value.ok_or(WireError::Missing("params"))?))
}

fn value_of(bytes: &[u8]) -> Result<Option<ValueRef<'_>>, WireError> {
    let mut value = None;
    for field in Fields(bytes) {
        match field? {
            (number::TEXT, Field::Bytes(bytes)) => {
                value = Some(ValueRef::Text(text(bytes, "params")?));
            }
            (number::NUMBER, Field::Number(zigzag)) => {
                let half = (zigzag >> 1).cast_signed();
                value = Some(ValueRef::Number(half ^ -(zigzag & 1).cast_signed()));
            }
            (number::TRUTH, Field::Number(truth)) => value = Some(ValueRef::Truth(truth != 0)),
            _ => {}
        }
    }
    Ok(value)
}

fn text<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a str, WireError> {
    std::str::from_utf8(bytes)
        .map_err(|error| WireError::Malformed(format!("`{field}` is no UTF-8: {error}")))
}

fn session(bytes: &[u8]) -> Result<SessionNumber, WireError> {
    let mut numbered = SessionNumber { session: 0, number: 0, answered_below: 0 };
    for field in Fields(bytes) {
        match field? {
            (number::SESSION_ID, Field::Number(session)) => numbered.session = session,
            (number::SESSION_NUMBER, Field::Number(number)) => numbered.number = number,
            (number::ANSWERED_BELOW, Field::Number(below)) => numbered.answered_below = below,
            _ => {}
        }
    }
    let out_of_range = |field, value| Err(WireError::OutOfRange { field, value });
    fields::number(numbered.number, "session.number")?;
    if numbered.number == 0 {
        return out_of_range("session.number", 0);
    }
    // The client has no answer to the very transaction that it sends.
    if numbered.answered_below > numbered.number {
        return out_of_range("session.answered_below", numbered.answered_below);
    }
    Ok(numbered)
}
