//! Encodes and decodes requests to run a program by hand. They are nearly all that clients send;
//! the generated code would make a dozen allocations for each, and an empty parameter would cost as
//! much memory as a full one.
//!
//! If a field occurs twice, the last occurrence counts; nested messages are replaced, not merged. A
//! field with another type than in the schema is skipped, like a field with an unknown number.

use super::error::WireError;
use super::fields::{self, max};
use super::frame::append_frame_of;
use super::raw::{Field, Fields};
use super::raw::{put_bytes, put_head, put_number, size_of_bytes, size_of_number};
use super::request::RequestBody;
use crate::limits::{MAX_REQUEST_FRAME_BYTES, MAX_REQUEST_PARAMETERS};
use crate::numbers::SessionNumber;
use crate::values::{Params, ValueRef};

/// The numbers of the fields, as in `proto/client.proto`.
mod number {
    /// Of `Request`.
    pub(super) const ID: u64 = 1;
    pub(super) const TIMEOUT_MS: u64 = 2;
    pub(super) const EXECUTE: u64 = 3;
    /// Of `Execute`.
    pub(super) const PROGRAM: u64 = 1;
    pub(super) const SESSION: u64 = 2;
    pub(super) const PARAMS: u64 = 3;
    /// Of an entry of `params`.
    pub(super) const KEY: u64 = 1;
    pub(super) const VALUE: u64 = 2;
    /// Of `Value`.
    pub(super) const TEXT: u64 = 1;
    pub(super) const NUMBER: u64 = 2;
    pub(super) const TRUTH: u64 = 3;
    /// Of `SessionNumber`.
    pub(super) const SESSION_ID: u64 = 1;
    pub(super) const SESSION_NUMBER: u64 = 2;
    pub(super) const ANSWERED_BELOW: u64 = 3;
}

/// The fields of a `Request` that are decoded before its body.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    pub(super) id: u64,
    pub(super) timeout_ms: u32,
    /// The body, if it is an `Execute`.
    pub(super) execute: Option<&'a [u8]>,
}

impl<'a> Envelope<'a> {
    /// Decodes these fields of a `Request`.
    pub(super) fn take(bytes: &'a [u8]) -> Result<Envelope<'a>, WireError> {
        let mut envelope = Envelope::default();
        for field in Fields(bytes) {
            match field? {
                (number::ID, Field::Number(id)) => envelope.id = id,
                // A number above 32 bits counts as the highest; protobuf would cut off its upper
                // bits.
                (number::TIMEOUT_MS, Field::Number(ms)) => {
                    envelope.timeout_ms = u32::try_from(ms).unwrap_or(u32::MAX);
                }
                (number::EXECUTE, Field::Bytes(bytes)) => envelope.execute = Some(bytes),
                _ => {}
            }
        }
        Ok(envelope)
    }
}

/// Decodes an `Execute`.
pub(super) fn decode_execute(bytes: &[u8]) -> Result<RequestBody, WireError> {
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
    max(count, MAX_REQUEST_PARAMETERS, "params")?;
    let entries = Fields(bytes).filter_map(|field| match field {
        Ok((number::PARAMS, Field::Bytes(entry))) => Some(parameter(entry)),
        _ => None,
    });
    let params = Params::try_collect(count, size, entries)?;
    let session = numbered.map(session).transpose()?;
    Ok(RequestBody::Execute { program: text(program, "program")?.to_owned(), params, session })
}

/// Decodes an entry of the map `params`: a name and a value.
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

/// Decodes a `Value`; `None` if it has no field of a known kind.
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

/// Checks that a field is UTF-8.
fn text<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a str, WireError> {
    std::str::from_utf8(bytes)
        .map_err(|error| WireError::Malformed(format!("`{field}` is not UTF-8: {error}")))
}

/// Decodes a `SessionNumber`, and checks its numbers.
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
    // The client has no answer to the transaction that it sends, so the bound is at most its
    // number.
    if numbered.answered_below > numbered.number {
        return out_of_range("session.answered_below", numbered.answered_below);
    }
    Ok(numbered)
}

/// Returns the request as a frame.
///
/// # Errors
/// If it is larger than [`MAX_REQUEST_FRAME_BYTES`], which is the most that a server accepts.
pub(super) fn encode_execute(
    (id, timeout_ms): (u64, u32),
    program: &str,
    params: &Params,
    session: Option<SessionNumber>,
) -> Result<Vec<u8>, WireError> {
    let (timeout_ms, body_size) = (u64::from(timeout_ms), execute_size(program, params, session));
    let size = size_unless_zero(number::ID, id)
        + size_unless_zero(number::TIMEOUT_MS, timeout_ms)
        + size_of_bytes(number::EXECUTE, body_size);
    max(size, MAX_REQUEST_FRAME_BYTES, "request")?;
    let mut frame = Vec::new();
    append_frame_of(size, &mut frame, |out| {
        put_unless_zero(out, number::ID, id);
        put_unless_zero(out, number::TIMEOUT_MS, timeout_ms);
        put_head(out, number::EXECUTE, body_size);
        put_execute(out, program, params, session);
    });
    Ok(frame)
}

/// Returns the size of a field with a number; a number of 0 is not written.
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

/// Returns the encoding of a `sint64`, which is short for small numbers of either sign.
fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}
