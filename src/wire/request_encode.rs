//! Requests of clients, for the wire, by hand as they are decoded.

use super::error::WireError;
use super::fields::at_most;
use super::frame::append_frame_of;
use super::raw::{put_bytes, put_head, put_number, size_of_bytes, size_of_number};
use super::request::{ClientRequest, RequestBody, number};
use crate::limits::MAX_REQUEST_FRAME_BYTES;
use crate::numbers::SessionNumber;
use crate::values::{Params, ValueRef};

/// The request as a frame; an error when that has more bytes than a server takes.
pub fn encode_request(request: &ClientRequest) -> Result<Vec<u8>, WireError> {
    let (field, body_size) = match &request.body {
        RequestBody::Execute { program, params, session } => {
            (number::EXECUTE, execute_size(program, params, *session))
        }
        RequestBody::OpenSession { window } => {
            (number::OPEN_SESSION, size_unless_zero(number::WINDOW, u64::from(*window)))
        }
        RequestBody::Status => (number::STATUS, 0),
    };
    let timeout_ms = u64::from(request.timeout_ms);
    let size = size_unless_zero(number::ID, request.id)
        + size_unless_zero(number::TIMEOUT_MS, timeout_ms)
        + size_of_bytes(field, body_size);
    at_most(size, MAX_REQUEST_FRAME_BYTES, "request")?;
    let mut frame = Vec::new();
    append_frame_of(size, &mut frame, |out| {
        put_unless_zero(out, number::ID, request.id);
        put_unless_zero(out, number::TIMEOUT_MS, timeout_ms);
        put_head(out, field, body_size);
        match &request.body {
            RequestBody::Execute { program, params, session } => {
                put_execute(out, program, params, *session);
            }
            RequestBody::OpenSession { window } => {
                put_unless_zero(out, number::WINDOW, u64::from(*window));
            }
            RequestBody::Status => {}
        }
    });
    Ok(frame)
}

/// A number that is zero is not written.
fn size_unless_zero(field: u64, number: u64) -> usize {
    if number == 0 { 0 } else { size_of_number(field, number) }
}

fn put_unless_zero(out: &mut Vec<u8>, field: u64, number: u64) {
    if number != 0 {
        put_number(out, field, number);
    }
}

fn execute_size(program: &str, params: &Params, session: Option<SessionNumber>) -> usize {
    let session = session.map_or(0, |s| size_of_bytes(number::SESSION, session_size(s)));
    let params = params.iter().map(|(name, value)| entry_size(name, value));
    size_of_bytes(number::PROGRAM, program.len())
        + session
        + params.map(|size| size_of_bytes(number::PARAMS, size)).sum::<usize>()
}

fn put_execute(out: &mut Vec<u8>, program: &str, params: &Params, session: Option<SessionNumber>) {
    put_bytes(out, number::PROGRAM, program.as_bytes());
    if let Some(session) = session {
        put_head(out, number::SESSION, session_size(session));
        for (field, number) in session_numbers(session) {
            put_unless_zero(out, field, number);
        }
    }
    for (name, value) in params.iter() {
        put_head(out, number::PARAMS, entry_size(name, value));
        put_bytes(out, number::KEY, name.as_bytes());
        put_head(out, number::VALUE, value_size(value));
        match value {
            ValueRef::Text(text) => put_bytes(out, number::TEXT, text.as_bytes()),
            ValueRef::Number(number) => put_number(out, number::NUMBER, zigzag(number)),
            ValueRef::Truth(truth) => put_number(out, number::TRUTH, u64::from(truth)),
        }
    }
}

fn session_numbers(session: SessionNumber) -> [(u64, u64); 3] {
    [
        (number::SESSION_ID, session.session),
        (number::SESSION_NUMBER, session.number),
        (number::ANSWERED_BELOW, session.answered_below),
    ]
}

fn session_size(session: SessionNumber) -> usize {
    session_numbers(session).map(|(field, number)| size_unless_zero(field, number)).iter().sum()
}

fn entry_size(name: &str, value: ValueRef<'_>) -> usize {
    size_of_bytes(number::KEY, name.len()) + size_of_bytes(number::VALUE, value_size(value))
}

fn value_size(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(text) => size_of_bytes(number::TEXT, text.len()),
        ValueRef::Number(number) => size_of_number(number::NUMBER, zigzag(number)),
        ValueRef::Truth(truth) => size_of_number(number::TRUTH, u64::from(truth)),
    }
}

/// `sint64`: small numbers of either sign are short.
fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}
