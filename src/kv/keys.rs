//! The keys of all kinds of entries: a first byte for each kind, so that they share one map.
//!
//! The order of the first bytes is of no importance, except that a kind is one range of keys.

use crate::blob::{Blob, Key};

/// `m`: the number of open sessions, and the id of the next one.
pub(super) const SESSION_COUNTS: &[u8] = b"mcounts";
/// `m`: the leader's time at the last sweep, and the slots of the last sweeps.
pub(super) const SWEEPS: &[u8] = b"msweeps";
/// `m`: the session at which the last sweep stopped, if it did not reach the last session.
pub(super) const SWEPT_BELOW: &[u8] = b"msweptbelow";

/// First byte of an entry for a user's key, which follows.
const USER: u8 = b'u';
/// First byte of an entry for a session; the session's id (8 bytes) follows.
const SESSION: u8 = b's';
/// First byte of a kept answer; the session's id (8 bytes) and the answer's index (4) follow.
const ANSWER: u8 = b'a';

/// Returns the key of the entry for a user's key.
pub(super) fn user(key: &[u8]) -> Key {
    Key::joined(&[&[USER], key])
}

/// A key after all entries for users' keys.
pub(super) const USER_END: &[u8] = &[USER + 1];

/// Returns the user's key that the key of an entry contains.
pub(super) fn user_key(entry_key: &Key) -> Blob {
    Blob::new(entry_key.get(1..).unwrap_or_default())
}

/// Returns the key of the entry for a session.
pub(super) fn session(id: u64) -> Key {
    Key::joined(&[&[SESSION], &id.to_be_bytes()])
}

/// A key after all entries for sessions.
pub(super) const SESSIONS_END: &[u8] = &[SESSION + 1];

/// Returns the id that the key of a session's entry contains; `None` for other entries.
pub(super) fn session_id(entry_key: &[u8]) -> Option<u64> {
    let id: [u8; 8] = entry_key.strip_prefix(&[SESSION])?.try_into().ok()?;
    Some(u64::from_be_bytes(id))
}

/// Returns the key of the entry for a kept answer.
pub(super) fn answer(session: u64, index: u32) -> Key {
    Key::joined(&[&[ANSWER], &session.to_be_bytes(), &index.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_keys_read_back_and_share_no_range_with_other_kinds() {
        for key in ["", "\0", "a", "mcounts", "\u{10ffff}"] {
            let entry = user(key.as_bytes());
            assert_eq!(&*user_key(&entry), key.as_bytes());
            assert!(entry.as_ref() < USER_END && entry.as_ref() > SESSIONS_END);
            assert!(entry.as_ref() > SWEEPS && entry > answer(u64::MAX, u32::MAX));
        }
        assert_eq!(session_id(&session(7)), Some(7));
        assert_eq!(session_id(&answer(7, 0)), None);
    }
}
