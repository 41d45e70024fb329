//! The users' keys as a [`Snapshot`] for the language: the state before a transaction.

use std::ops::Bound;

use super::{Key, Value, keys};
use crate::blob::Blob;
use crate::lang::Snapshot;
use crate::lpaxos::Batch;

/// The users' keys and values in the state that a batch shows.
pub(super) struct UserKeys<'a, 'b>(pub(super) &'b Batch<'a, Key, Value>);

impl Snapshot for UserKeys<'_, '_> {
    fn get(&self, key: &str) -> Option<Blob> {
        self.0.get(&*keys::user(key.as_bytes())).map(text)
    }

    fn exists(&self, key: &str) -> bool {
        self.0.get(&*keys::user(key.as_bytes())).is_some()
    }

    fn scan(
        &self,
        from: Bound<&str>,
        to: Bound<&str>,
        reverse: bool,
    ) -> Box<dyn Iterator<Item = (Blob, Option<Blob>)> + '_> {
        let from = match from {
            Bound::Included(key) => Bound::Included(keys::user(key.as_bytes())),
            Bound::Excluded(key) => Bound::Excluded(keys::user(key.as_bytes())),
            Bound::Unbounded => Bound::Included(keys::user(b"")),
        };
        let to = match to {
            Bound::Included(key) => Bound::Included(keys::user(key.as_bytes())),
            Bound::Excluded(key) => Bound::Excluded(keys::user(key.as_bytes())),
            Bound::Unbounded => Bound::Excluded(Key::new(keys::USER_END)),
        };
        let rows = self.0.range::<[u8]>((as_slice(&from), as_slice(&to)), reverse);
        Box::new(rows.map(|row| (text(&keys::user_key(row.key)), row.value.map(text))))
    }
}

/// Returns the bytes if they are UTF-8, otherwise a copy with replacement characters.
///
/// Programs write only text. But to the protocol a value is bytes: a value from another member that
/// is not UTF-8 must not cause a panic in the node that reads it.
fn text(bytes: &Blob) -> Blob {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.clone(),
        Err(_) => Blob::from(&*String::from_utf8_lossy(bytes)),
    }
}

fn as_slice(bound: &Bound<Key>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}
