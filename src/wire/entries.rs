//! Encodes and decodes decrees and pages by hand. They are nearly all of what nodes send to each
//! other, and the generated code would make several allocations for each write.
//!
//! Decoded keys and values are copies: they may stay in the store for years, and a slice of the
//! frame would keep the whole frame in memory.

use std::sync::Arc;

use bytes::Bytes;

use super::error::WireError;
use super::fields::{max, slot};
use super::members::{decode_members, encode_members};
use super::raw::{Field, Fields};
use super::raw::{put_bytes, put_head, put_number, size_of_bytes, size_of_number};
use crate::blob::{Key, Value};
use crate::limits::{
    ENTRY_OVERHEAD_BYTES, MAX_ENTRY_KEY_BYTES, MAX_ENTRY_VALUE_BYTES, MAX_PATCH_BYTES,
};
use crate::lpaxos::{Decree, Entry, Page, Patch, Slot};

/// The numbers of the fields: `KEY`, `VALUE` and `VERSION` of `Write` and `Entry`; `ROW` of the
/// repeated `Write`s or `Entry`s in `Decree` and `Page`, and `MEMBERS` and `NEXT` of the field
/// after them.
const KEY: u64 = 1;
const VALUE: u64 = 2;
const VERSION: u64 = 3;
const ROW: u64 = 1;
const NEXT: u64 = 2;
const MEMBERS: u64 = 3;

/// A `Write` or an `Entry`, as it is on the wire.
#[derive(Default)]
struct Row<'a> {
    key: &'a [u8],
    value: Option<&'a [u8]>,
    /// The slot that wrote the entry; 0 in a write, which does not have this field.
    version: u64,
}

impl<'a> Row<'a> {
    /// Returns the size of the encoded row in bytes.
    fn size(&self) -> usize {
        let key = if self.key.is_empty() { 0 } else { size_of_bytes(KEY, self.key.len()) };
        let value = self.value.map_or(0, |value| size_of_bytes(VALUE, value.len()));
        let version = if self.version == 0 { 0 } else { size_of_number(VERSION, self.version) };
        key + value + version
    }

    /// Appends the row. As protobuf does, it leaves out an empty key and a version of 0. An empty
    /// value is written, as the absence of a value means a deletion.
    fn put(&self, out: &mut Vec<u8>) {
        put_head(out, ROW, self.size());
        if !self.key.is_empty() {
            put_bytes(out, KEY, self.key);
        }
        if let Some(value) = self.value {
            put_bytes(out, VALUE, value);
        }
        if self.version != 0 {
            put_number(out, VERSION, self.version);
        }
    }

    /// Decodes a row.
    fn take(bytes: &'a [u8]) -> Result<Row<'a>, WireError> {
        let mut row = Row::default();
        for field in Fields(bytes) {
            match field? {
                (KEY, Field::Bytes(key)) => row.key = key,
                (VALUE, Field::Bytes(value)) => row.value = Some(value),
                (VERSION, Field::Number(version)) => row.version = version,
                _ => {}
            }
        }
        Ok(row)
    }

    /// Returns a copy of the value, if it has one.
    fn value(&self) -> Result<Option<Value>, WireError> {
        max(self.value.map_or(0, <[u8]>::len), MAX_ENTRY_VALUE_BYTES, "value")?;
        Ok(self.value.map(Value::new))
    }
}

/// Returns a copy of a key, after checking its size.
pub(super) fn key(bytes: &[u8], field: &'static str) -> Result<Key, WireError> {
    max(bytes.len(), MAX_ENTRY_KEY_BYTES, field)?;
    Ok(Key::new(bytes))
}

/// Encodes rows and the field `last` after them.
fn encode<'a>(rows: impl Iterator<Item = Row<'a>> + Clone, last: Option<(u64, &[u8])>) -> Bytes {
    let rows_size: usize = rows.clone().map(|row| size_of_bytes(ROW, row.size())).sum();
    let size = rows_size + last.map_or(0, |(field, bytes)| size_of_bytes(field, bytes.len()));
    let mut out = Vec::with_capacity(size);
    rows.for_each(|row| row.put(&mut out));
    if let Some((field, bytes)) = last {
        put_bytes(&mut out, field, bytes);
    }
    debug_assert_eq!(out.len(), size);
    Bytes::from(out)
}

/// Decodes rows with `take`, and the field `last` after them.
fn decode<'a, T>(
    bytes: &'a [u8],
    last: u64,
    take: impl Fn(&Row<'a>) -> Result<T, WireError>,
) -> Result<(Vec<T>, Option<&'a [u8]>), WireError> {
    let is_row = |field: &Result<_, _>| matches!(field, Ok((ROW, Field::Bytes(_))));
    // The exact capacity: an acceptor keeps the patch until it accepts the next one.
    let mut rows = Vec::with_capacity(Fields(bytes).filter(is_row).count());
    let mut found = None;
    for field in Fields(bytes) {
        match field? {
            (ROW, Field::Bytes(row)) => rows.push(take(&Row::take(row)?)?),
            (number, Field::Bytes(bytes)) if number == last => found = Some(bytes),
            _ => {}
        }
    }
    Ok((rows, found))
}

/// Encodes a `Decree`.
pub(super) fn encode_decree(decree: &Decree<Key, Value>) -> Bytes {
    let rows = decree.patch.writes().iter();
    let rows = rows.map(|(key, value)| Row { key, value: value.as_deref(), version: 0 });
    let members = decree.members.as_ref().map(encode_members);
    encode(rows, members.as_ref().map(|members| (MEMBERS, &members[..])))
}

/// Decodes a `Decree`, and checks its bounds and the order of its keys.
pub(super) fn decode_decree(bytes: &[u8]) -> Result<Decree<Key, Value>, WireError> {
    let (writes, members) = decode(bytes, MEMBERS, |row| Ok((key(row.key, "key")?, row.value()?)))?;
    let size = |(key, value): &(Key, Option<Value>)| {
        ENTRY_OVERHEAD_BYTES + key.len() + value.as_ref().map_or(0, |value| value.len())
    };
    // An accepted patch is sent again, together with another patch or with a page, so it must leave
    // room for these in the frame.
    max(writes.iter().map(size).sum(), MAX_PATCH_BYTES, "patch")?;
    let patch = Patch::from_sorted(writes).ok_or(WireError::OutOfOrder("patch"))?;
    let members = members.map(decode_members).transpose()?;
    Ok(Decree { patch: Arc::new(patch), members })
}

/// Encodes a `Page`.
pub(super) fn encode_page(page: &Page<Key, Value>) -> Bytes {
    let rows = page.entries.iter().map(|(key, entry)| Row {
        key,
        value: entry.value.as_deref(),
        version: entry.version.0,
    });
    encode(rows, page.next.as_ref().map(|next| (NEXT, &next[..])))
}

/// Decodes a `Page`, and checks that its keys are in order and above `after`, the last key of the
/// previous page.
pub(super) fn decode_page(
    bytes: &[u8],
    after: Option<&Key>,
) -> Result<Page<Key, Value>, WireError> {
    let (entries, next) = decode(bytes, NEXT, |row| {
        let version: Slot = slot(row.version, "version")?;
        Ok((key(row.key, "key")?, Entry { value: row.value()?, version }))
    })?;
    let next = next.map(|last| key(last, "next")).transpose()?;
    let page = Page { entries, next };
    if page.follows(after) { Ok(page) } else { Err(WireError::OutOfOrder("page")) }
}
