//! The bytes of a kept answer, which a retry of the transaction receives.
//!
//! ```text
//! number (8), tag (1), slot (8), place (4), then by the tag:
//!   READ               count (4), that many pairs of a key and a value
//!   READ_AND_RETURNED  as READ, then the returned value
//!   FAILED             line (4), column (4), kind (1), message
//!   ABORTED            message
//!   NOT_KEPT           nothing
//! ```
//!
//! A key, a value or a message is its length (4) and its bytes; numbers are big-endian. Entries
//! live as long as their session, also when another release of the server reads them: a tag never
//! changes its meaning.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};

use super::Value as Entry;
use super::command::Outcome;
use crate::blob::Blob;
use crate::lang::{Failure, FailureKind, Limit, SourcePosition, Value};
use crate::lpaxos::{Position, Slot};

/// The most bytes of a kept answer.
///
/// Of a larger answer only [`NOT_KEPT`] is kept: a retry learns that the transaction ran and that
/// its writes took effect, but not what it read. Kept answers are replicated and stay in memory
/// until the session uses their index again.
const MAX_KEPT_BYTES: usize = 16 << 10;

/// The most bytes of a failure's message that are kept.
///
/// A longer message is cut, so that every failure can be kept: a retry must learn that the
/// transaction failed.
const MAX_KEPT_MESSAGE_BYTES: usize = 8 << 10;

const READ: u8 = 1;
const READ_AND_RETURNED: u8 = 2;
const FAILED: u8 = 3;
const ABORTED: u8 = 4;
const NOT_KEPT: u8 = 5;

const TEXT: u8 = 1;
const NUMBER: u8 = 2;
const TRUTH: u8 = 3;

/// Returns the entry that keeps `outcome` for transaction `number`.
pub(super) fn keep(number: u64, outcome: &Outcome) -> Entry {
    let mut bytes = Vec::with_capacity(64);
    bytes.put_u64(number);
    put_outcome(&mut bytes, outcome);
    if bytes.len() > MAX_KEPT_BYTES {
        bytes.truncate(8);
        put_head(&mut bytes, NOT_KEPT, position_of(outcome));
    }
    Entry::from(bytes)
}

/// Returns the number of the transaction to which the kept answer belongs.
pub(super) fn number(entry: &[u8]) -> Option<u64> {
    (&*entry).try_get_u64().ok()
}

/// Returns the answer that the entry keeps, or `None` if [`keep`] did not make these bytes.
pub(super) fn outcome(entry: &[u8]) -> Option<Outcome> {
    let mut bytes = entry;
    bytes.try_get_u64().ok()?;
    let tag = bytes.try_get_u8().ok()?;
    let slot = Slot(bytes.try_get_u64().ok()?);
    let position = Position { slot, place: bytes.try_get_u32().ok()? };
    let outcome = match tag {
        READ => Outcome::Read { values: pairs(&mut bytes)?, returned: None, position },
        READ_AND_RETURNED => {
            let values = pairs(&mut bytes)?;
            Outcome::Read { values, returned: Some(value(&mut bytes)?), position }
        }
        FAILED => Outcome::Failed { failure: failure(&mut bytes)?, position },
        ABORTED => {
            let failure = Failure::Aborted { message: text(&mut bytes)? };
            Outcome::Failed { failure, position }
        }
        NOT_KEPT => Outcome::AnswerNotKept { position },
        _ => return None,
    };
    Some(outcome)
}

fn position_of(outcome: &Outcome) -> Position {
    match outcome {
        Outcome::Read { position, .. }
        | Outcome::Failed { position, .. }
        | Outcome::SessionOpened { position, .. }
        | Outcome::AnswerNotKept { position } => *position,
        _ => Position { slot: Slot::ZERO, place: 0 },
    }
}

fn put_head(bytes: &mut Vec<u8>, tag: u8, position: Position) {
    bytes.put_u8(tag);
    bytes.put_u64(position.slot.0);
    bytes.put_u32(position.place);
}

fn put_outcome(bytes: &mut Vec<u8>, outcome: &Outcome) {
    let position = position_of(outcome);
    match outcome {
        Outcome::Read { values, returned, .. } => {
            put_head(bytes, if returned.is_some() { READ_AND_RETURNED } else { READ }, position);
            put_length(bytes, values.len());
            for (key, value) in values {
                put_bytes(bytes, key);
                put_bytes(bytes, value);
            }
            if let Some(returned) = returned {
                put_value(bytes, returned);
            }
        }
        Outcome::Failed { failure: Failure::Runtime { at, kind, message }, .. } => {
            put_head(bytes, FAILED, position);
            bytes.put_u32(at.line);
            bytes.put_u32(at.column);
            bytes.put_u8(kind_tag(*kind));
            put_message(bytes, message);
        }
        Outcome::Failed { failure: Failure::Aborted { message }, .. } => {
            put_head(bytes, ABORTED, position);
            put_message(bytes, message);
        }
        _ => put_head(bytes, NOT_KEPT, position),
    }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

fn put_bytes(bytes: &mut Vec<u8>, part: &[u8]) {
    put_length(bytes, part.len());
    bytes.put_slice(part);
}

fn put_message(bytes: &mut Vec<u8>, message: &str) {
    let kept = &message[..message.floor_char_boundary(MAX_KEPT_MESSAGE_BYTES)];
    put_bytes(bytes, kept.as_bytes());
}

fn put_value(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => {
            bytes.put_u8(TEXT);
            put_bytes(bytes, text.as_bytes());
        }
        Value::Number(number) => {
            bytes.put_u8(NUMBER);
            bytes.put_i64(*number);
        }
        Value::Truth(truth) => {
            bytes.put_u8(TRUTH);
            bytes.put_u8(u8::from(*truth));
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    String::from_utf8(take(bytes)?.to_vec()).ok()
}

fn pairs(bytes: &mut &[u8]) -> Option<BTreeMap<Blob, Blob>> {
    let count = bytes.try_get_u32().ok()?;
    (0..count).map(|_| Some((take(bytes)?.into(), take(bytes)?.into()))).collect()
}

fn value(bytes: &mut &[u8]) -> Option<Value> {
    match bytes.try_get_u8().ok()? {
        TEXT => Some(Value::from(text(bytes)?.as_str())),
        NUMBER => Some(Value::Number(bytes.try_get_i64().ok()?)),
        TRUTH => Some(Value::Truth(bytes.try_get_u8().ok()? != 0)),
        _ => None,
    }
}

fn failure(bytes: &mut &[u8]) -> Option<Failure> {
    let at = SourcePosition { line: bytes.try_get_u32().ok()?, column: bytes.try_get_u32().ok()? };
    let tag = bytes.try_get_u8().ok()?;
    let kind = KINDS.into_iter().find(|kind| kind_tag(*kind) == tag)?;
    Some(Failure::Runtime { at, kind, message: text(bytes)? })
}

/// All kinds of failures; an entry holds the [`kind_tag`] of one.
const KINDS: [FailureKind; 13] = [
    FailureKind::WrongType,
    FailureKind::Overflow,
    FailureKind::DivisionByZero,
    FailureKind::NotANumber,
    FailureKind::OutOfRange,
    FailureKind::UnboundParameter,
    FailureKind::Limit(Limit::Steps),
    FailureKind::Limit(Limit::KeyBytes),
    FailureKind::Limit(Limit::TextBytes),
    FailureKind::Limit(Limit::ReadBytes),
    FailureKind::Limit(Limit::WrittenBytes),
    FailureKind::Limit(Limit::WrittenKeys),
    FailureKind::Limit(Limit::ReadKeys),
];

/// Returns the tag of a kind. The match is exhaustive, so a kind without a tag does not compile.
fn kind_tag(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::WrongType => 1,
        FailureKind::Overflow => 2,
        FailureKind::DivisionByZero => 3,
        FailureKind::NotANumber => 4,
        FailureKind::OutOfRange => 5,
        FailureKind::UnboundParameter => 6,
        FailureKind::Limit(Limit::Steps) => 7,
        FailureKind::Limit(Limit::KeyBytes) => 8,
        FailureKind::Limit(Limit::TextBytes) => 9,
        FailureKind::Limit(Limit::ReadBytes) => 10,
        FailureKind::Limit(Limit::WrittenBytes) => 11,
        FailureKind::Limit(Limit::WrittenKeys) => 12,
        FailureKind::Limit(Limit::ReadKeys) => 13,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Position = Position { slot: Slot(7), place: 3 };

    fn read(value: &[u8], returned: Option<Value>) -> Outcome {
        let values = BTreeMap::from([(Blob::from("k"), Blob::new(value))]);
        Outcome::Read { values, returned, position: AT }
    }

    #[test]
    fn every_kept_answer_reads_back_unchanged() {
        let mut outcomes = vec![
            read(b"v", None),
            read(b"", Some(Value::from("text"))),
            read(b"v", Some(Value::from(-7))),
            read(b"v", Some(Value::from(true))),
            Outcome::Failed { failure: Failure::Aborted { message: "no".into() }, position: AT },
        ];
        for kind in KINDS {
            let at = SourcePosition { line: 1, column: 2 };
            let failure = Failure::Runtime { at, kind, message: "why".into() };
            outcomes.push(Outcome::Failed { failure, position: AT });
        }
        for expected in outcomes {
            let entry = keep(9, &expected);
            assert_eq!(number(&entry), Some(9));
            assert_eq!(outcome(&entry), Some(expected));
            for cut in 0..entry.len() {
                assert_eq!(outcome(&entry[..cut]), None, "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_long_message_of_a_failure_is_cut_and_the_rest_is_kept() {
        let message = "\u{20ac}".repeat(MAX_KEPT_BYTES);
        let at = SourcePosition { line: 1, column: 2 };
        let kind = FailureKind::UnboundParameter;
        let entries = [
            Failure::Aborted { message: message.clone() },
            Failure::Runtime { at, kind, message: message.clone() },
        ]
        .map(|failure| keep(9, &Outcome::Failed { failure, position: AT }));
        for entry in entries {
            assert!(entry.len() <= MAX_KEPT_BYTES);
            let Some(Outcome::Failed { failure, position: AT }) = outcome(&entry) else {
                panic!("the entry says that the transaction failed")
            };
            let (Failure::Aborted { message: kept } | Failure::Runtime { message: kept, .. }) =
                failure;
            assert!(kept.len() > MAX_KEPT_MESSAGE_BYTES - 4 && message.starts_with(&kept));
        }
    }

    #[test]
    fn of_an_answer_too_large_to_keep_the_entry_says_that_the_transaction_ran() {
        let entry = keep(9, &read(&[b'x'; MAX_KEPT_BYTES], None));
        assert!(entry.len() < 64);
        assert_eq!(outcome(&entry), Some(Outcome::AnswerNotKept { position: AT }));
    }
}
