//! The users' keys as the language sees them: the state before a transaction.

use std::iter::Peekable;
use std::ops::Bound;

use bytes::Bytes;

use super::keys;
use crate::lang::Snapshot;
use crate::lpaxos::{Batch, Entry};

/// The users' part of what a batch shows.
pub(super) struct UserKeys<'a, 'b>(pub(super) &'b Batch<'a, Bytes, Bytes>);

impl Snapshot for UserKeys<'_, '_> {
    fn get(&self, key: &str) -> Option<Bytes> {
        self.0.get(&*keys::user(key.as_bytes())).map(text)
    }

    fn scan(
        &self,
        from: Bound<&str>,
        to: Bound<&str>,
        reverse: bool,
    ) -> Box<dyn Iterator<Item = (Bytes, Bytes)> + '_> {
        let from = match from {
            Bound::Included(key) => Bound::Included(keys::user(key.as_bytes())),
            Bound::Excluded(key) => Bound::Excluded(keys::user(key.as_bytes())),
            Bound::Unbounded => Bound::Included(keys::user(b"")),
        };
        let to = match to {
            Bound::Included(key) => Bound::Included(keys::user(key.as_bytes())),
            Bound::Excluded(key) => Bound::Excluded(keys::user(key.as_bytes())),
            Bound::Unbounded => Bound::Excluded(Bytes::from_static(keys::USER_END)),
        };
        let bounds = (as_slice(&from), as_slice(&to));
        let base = self.0.base().range::<[u8]>(bounds).map(base_row as BaseRow<'_>);
        let written = self.0.writes().range::<[u8], _>(bounds).map(written_row as WrittenRow<'_>);
        if reverse {
            let rows =
                Merged { base: base.rev().peekable(), written: written.rev().peekable(), reverse };
            Box::new(rows.filter_map(present))
        } else {
            let rows = Merged { base: base.peekable(), written: written.peekable(), reverse };
            Box::new(rows.filter_map(present))
        }
    }
}

type Row<'a> = (&'a Bytes, Option<&'a Bytes>);
type BaseRow<'a> = fn((&'a Bytes, &'a Entry<Bytes>)) -> Row<'a>;
type WrittenRow<'a> = fn((&'a Bytes, &'a Option<Bytes>)) -> Row<'a>;

fn base_row<'a>((key, entry): (&'a Bytes, &'a Entry<Bytes>)) -> Row<'a> {
    (key, entry.value.as_ref())
}

fn written_row<'a>((key, value): (&'a Bytes, &'a Option<Bytes>)) -> Row<'a> {
    (key, value.as_ref())
}

fn present((key, value): Row<'_>) -> Option<(Bytes, Bytes)> {
    Some((text(&keys::user_key(key)), text(value?)))
}

/// Text as it is; of what is none, what can be read of it. Programs write text only, but what another
/// member sends is bytes to the protocol, and must not end the node that reads it.
fn text(bytes: &Bytes) -> Bytes {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.clone(),
        Err(_) => Bytes::from(String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn as_slice(bound: &Bound<Bytes>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// Two runs of rows in the same order as one; of two rows of one key the written one.
struct Merged<B: Iterator, W: Iterator> {
    base: Peekable<B>,
    written: Peekable<W>,
    reverse: bool,
}

impl<'a, B, W> Iterator for Merged<B, W>
where
    B: Iterator<Item = Row<'a>>,
    W: Iterator<Item = Row<'a>>,
{
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        let (Some((base, _)), Some((written, _))) = (self.base.peek(), self.written.peek()) else {
            return self.base.next().or_else(|| self.written.next());
        };
        let order = if self.reverse { written.cmp(base) } else { base.cmp(written) };
        if order.is_lt() {
            return self.base.next();
        }
        if order.is_eq() {
            self.base.next();
        }
        self.written.next()
    }
}
