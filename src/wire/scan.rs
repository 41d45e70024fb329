//! Counts the fields of a message before the generated code decodes it.
//!
//! A field of two bytes can take a hundred bytes in memory once it is decoded: an empty element
//! costs as much as a full one, and the generated code keeps unknown fields in a table. So a bound
//! on the size of a frame does not bound the memory of its message. The functions here walk through
//! a message without allocating, and reject it if it has more fields than any valid message.

use super::error::WireError;
use super::raw::{Broken, Field, Fields};

/// The shape of a message: the numbers of the fields that hold messages, and the shape of each.
pub(super) struct Shape(pub(super) &'static [(u64, &'static Shape)]);

/// A message without messages in it.
const FLAT: Shape = Shape(&[]);

/// A list of messages: a page of entries, a member set.
const LIST: Shape = Shape(&[(1, &FLAT)]);
const DECREE: Shape = Shape(&[(1, &FLAT), (3, &LIST)]);
const MEMBER_ENTRY: Shape = Shape(&[(1, &LIST)]);
const INTRODUCTION: Shape = Shape(&[(4, &FLAT)]);
const PROPOSAL: Shape = Shape(&[(1, &FLAT), (3, &DECREE)]);
const HEARTBEAT: Shape = Shape(&[(3, &FLAT)]);
const PROMISE: Shape = Shape(&[(1, &FLAT), (2, &PROPOSAL), (6, &LIST), (7, &MEMBER_ENTRY)]);
const PROMISE_PAGE: Shape = Shape(&[(1, &FLAT), (3, &LIST)]);
const ACCEPT: Shape = Shape(&[(1, &FLAT), (3, &DECREE), (4, &FLAT), (5, &DECREE)]);
const REPAIR_PATCHES: Shape = Shape(&[(1, &FLAT), (3, &DECREE)]);
const REPAIR_PAGE: Shape = Shape(&[(1, &FLAT), (2, &FLAT), (4, &LIST), (5, &MEMBER_ENTRY)]);
/// A message with a ballot in field 1 and no other message in it.
const BALLOT_FIRST: Shape = Shape(&[(1, &FLAT)]);
/// A message with ballots in fields 1 and 2.
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

/// Rejects a message of this shape with more than `limit` fields, including those of messages in
/// it.
pub(super) fn max_fields(bytes: &[u8], shape: &Shape, limit: usize) -> Result<(), WireError> {
    let mut left = limit;
    count(bytes, shape, &mut left)?.then_some(()).ok_or(WireError::TooLarge {
        field: "fields",
        size: limit + 1,
        limit,
    })
}

/// Subtracts the number of fields from `left`, and returns whether `left` was enough. The depth of
/// the recursion is that of the shape, not of the input.
fn count(bytes: &[u8], shape: &Shape, left: &mut usize) -> Result<bool, Broken> {
    for field in Fields(bytes) {
        let (number, field) = field?;
        let Some(fewer) = left.checked_sub(1) else { return Ok(false) };
        *left = fewer;
        let inner = shape.0.iter().find(|(named, _)| *named == number);
        if let (Field::Bytes(bytes), Some((_, inner))) = (field, inner)
            && !count(bytes, inner, left)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}
