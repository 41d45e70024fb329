//! Counts the fields of a message before it is decoded.
//!
//! A field of two bytes takes a hundred in memory once it is decoded, so a bound on the bytes of a
//! frame does not bound what it costs: an empty element costs as much as a full one, and a field
//! that the decoder does not know is kept in a table. This walks through a message without
//! allocating, and rejects one with more fields than any message that is meant seriously.

use super::error::WireError;

/// Which fields of a message hold messages, and of what shape.
pub(super) struct Shape(pub(super) &'static [(u64, &'static Shape)]);

/// No field holds a message.
const FLAT: Shape = Shape(&[]);

const PARAMETER: Shape = Shape(&[(2, &FLAT)]);
const EXECUTE: Shape = Shape(&[(2, &FLAT), (3, &PARAMETER)]);
/// A client's request.
pub(super) const REQUEST: Shape = Shape(&[(3, &EXECUTE), (4, &FLAT), (5, &FLAT)]);

/// A patch of writes, or a page of entries.
const LIST: Shape = Shape(&[(1, &FLAT)]);
const INTRODUCTION: Shape = Shape(&[(4, &FLAT)]);
const PROPOSAL: Shape = Shape(&[(1, &FLAT), (3, &LIST)]);
const HEARTBEAT: Shape = Shape(&[(3, &FLAT)]);
const PROMISE: Shape = Shape(&[(1, &FLAT), (2, &PROPOSAL), (6, &LIST)]);
const PROMISE_PAGE: Shape = Shape(&[(1, &FLAT), (3, &LIST)]);
const ACCEPT: Shape = Shape(&[(1, &FLAT), (3, &LIST), (4, &FLAT), (5, &LIST)]);
const REPAIR_PATCHES: Shape = Shape(&[(1, &FLAT), (3, &LIST)]);
const REPAIR_PAGE: Shape = Shape(&[(1, &FLAT), (2, &FLAT), (4, &LIST)]);
/// A message that begins with a ballot, and has no other message in it.
const BALLOT_FIRST: Shape = Shape(&[(1, &FLAT)]);
/// A message with nothing but ballots in it.
const BALLOTS: Shape = Shape(&[(1, &FLAT), (2, &FLAT)]);
/// A message between nodes.
pub(super) const PEER_MESSAGE: Shape = Shape(&[
    (1, &INTRODUCTION),
    (2, &HEARTBEAT),
    (3, &BALLOT_FIRST),
    (4, &PROMISE),
    (5, &BALLOT_FIRST),
    (6, &PROMISE_PAGE),
    (7, &BALLOTS),
    (8, &ACCEPT),
    (9, &BALLOT_FIRST),
    (10, &BALLOT_FIRST),
    (11, &BALLOT_FIRST),
    (12, &BALLOT_FIRST),
    (13, &BALLOT_FIRST),
    (14, &REPAIR_PATCHES),
    (15, &REPAIR_PAGE),
    (16, &BALLOT_FIRST),
    (17, &BALLOT_FIRST),
]);

/// Rejects a message of this shape with more than `most` fields, those of messages in it included.
pub(super) fn fields_at_most(bytes: &[u8], shape: &Shape, most: usize) -> Result<(), WireError> {
    let mut left = most;
    count(bytes, shape, &mut left).map_err(|stop| match stop {
        Stop::TooMany => WireError::TooLarge { field: "fields", size: most + 1, limit: most },
        Stop::Broken => WireError::Malformed("a field is cut off or of no known type".to_owned()),
    })
}

enum Stop {
    TooMany,
    Broken,
}

/// Recurses only as deep as the shape is.
fn count(mut bytes: &[u8], shape: &Shape, left: &mut usize) -> Result<(), Stop> {
    while !bytes.is_empty() {
        *left = left.checked_sub(1).ok_or(Stop::TooMany)?;
        let tag = varint(&mut bytes)?;
        let skipped = match tag & 7 {
            0 => varint(&mut bytes).map(|_| 0)?,
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)?).map_err(|_| Stop::Broken)?,
            5 => 4,
            // Groups, which proto3 has not: nothing of this project sends them.
            _ => return Err(Stop::Broken),
        };
        let (field, rest) = bytes.split_at_checked(skipped).ok_or(Stop::Broken)?;
        bytes = rest;
        let inner = shape.0.iter().find(|(number, _)| *number == tag >> 3);
        if let (2, Some((_, inner))) = (tag & 7, inner) {
            count(field, inner, left)?;
        }
    }
    Ok(())
}

/// Takes a number of at most ten bytes from the front.
fn varint(bytes: &mut &[u8]) -> Result<u64, Stop> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(Stop::Broken)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Stop::Broken)
}
