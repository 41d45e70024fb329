//! How the kinds of entries share one map: a first byte for each kind.

use crate::blob::{Blob, Key};

/// `m`: how many sessions there are, and the number of the next.
pub(super) const SESSION_COUNTS: &[u8] = b"mcounts";
/// `m`: when sessions were swept.
pub(super) const SWEEPS: &[u8] = b"msweeps";
/// `m`: the session at which the last sweep stopped, if it did not come to the end.
pub(super) const SWEPT_BELOW: &[u8] = b"msweptbelow";

/// `u` and the user's key.
const USER: u8 = b'u';
/// `s` and the session's id.
const SESSION: u8 = b's';
/// `a`, the session's id, and the place in the ring of its answers.
const ANSWER: u8 = b'a';

/// The entry of a user's key.
pub(super) fn user(key: &[u8]) -> Key {
    Key::joined(&[&[USER], key])
}

/// After the last entry of a user's key.
pub(super) const USER_END: &[u8] = &[USER + 1];

/// The user's key in the key of its entry.
pub(super) fn user_key(entry_key: &Key) -> Blob {
    Blob::new(entry_key.get(1..).unwrap_or_default())
}

/// The entry of a session.
pub(super) fn session(id: u64) -> Key {
    Key::joined(&[&[SESSION], &id.to_be_bytes()])
}

/// After the last entry of a session.
pub(super) const SESSIONS_END: &[u8] = &[SESSION + 1];

/// The id in the key of a session's entry.
pub(super) fn session_id(entry_key: &[u8]) -> Option<u64> {
    let id: [u8; 8] = entry_key.strip_prefix(&[SESSION])?.try_into().ok()?;
    Some(u64::from_be_bytes(id))
}

/// The entry of a kept answer.
pub(super) fn answer(session: u64, place: u32) -> Key {
    Key::joined(&[&[ANSWER], &session.to_be_bytes(), &place.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_keys_come_back_and_stay_apart_from_the_rest() {
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
