//! The key of an entry. Short ones, which nearly all are, lie in it and not behind a pointer: a search
//! in the map reads keys that lie side by side, and looking one up allocates nothing.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// Keys of up to so many bytes lie in place: what fits in the room of the other form and one word more.
const SHORT_BYTES: usize = 38;

/// A key: bytes in the order of [`slice`]. A long one is shared, not copied, when it is cloned.
#[derive(Clone)]
pub struct Key(Form);

#[derive(Clone)]
enum Form {
    Short { length: u8, bytes: [u8; SHORT_BYTES] },
    Long(Bytes),
}

impl Key {
    /// The key with these bytes.
    pub fn new(bytes: &[u8]) -> Key {
        Key::joined(&[bytes])
    }

    /// The key with the bytes of all parts, one after the other.
    pub fn joined(parts: &[&[u8]]) -> Key {
        let all: usize = parts.iter().map(|part| part.len()).sum();
        let Some(length) = u8::try_from(all).ok().filter(|_| all <= SHORT_BYTES) else {
            return Key(Form::Long(Bytes::from(parts.concat())));
        };
        let mut bytes = [0; SHORT_BYTES];
        let mut free = bytes.as_mut_slice();
        for part in parts {
            let (place, rest) = free.split_at_mut(part.len());
            place.copy_from_slice(part);
            free = rest;
        }
        Key(Form::Short { length, bytes })
    }

    /// The key's bytes as a value of their own.
    pub fn to_bytes(&self) -> Bytes {
        match &self.0 {
            Form::Short { .. } => Bytes::copy_from_slice(self),
            Form::Long(bytes) => bytes.clone(),
        }
    }
}

/// Takes bytes that are nobody else's: of a long key they stay as long as the key does.
impl From<Bytes> for Key {
    fn from(bytes: Bytes) -> Key {
        if bytes.len() <= SHORT_BYTES { Key::new(&bytes) } else { Key(Form::Long(bytes)) }
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        Key::new(text.as_bytes())
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Short { length, bytes } => &bytes[..usize::from(*length)],
            Form::Long(bytes) => bytes,
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        **self == **other
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_keys_are_their_bytes_and_in_one_order() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut keys: Vec<Key> = Vec::new();
        for length in [0, 1, SHORT_BYTES - 1, SHORT_BYTES, SHORT_BYTES + 1, 255, 256] {
            let key = Key::new(&bytes[..length]);
            assert_eq!(&*key, &bytes[..length]);
            assert_eq!(key.to_bytes(), &bytes[..length]);
            assert_eq!(Key::from(key.to_bytes()), key);
            let (first, second) = bytes[..length].split_at(length / 2);
            assert_eq!(Key::joined(&[first, &[], second]), key);
            assert!(keys.last().is_none_or(|shorter| *shorter < key));
            keys.push(key);
        }
        assert!(Key::new(&bytes[1..3]) > keys[6]);
    }

    #[test]
    fn a_key_takes_no_more_than_five_words() {
        assert_eq!(size_of::<Key>(), 40);
        assert_eq!(size_of::<Option<Key>>(), 40);
    }

    #[test]
    fn keys_are_shown_as_text_where_they_are() {
        assert_eq!(format!("{:?}", Key::from("a\"\0\u{e9}")), r#"b"a\"\x00\xc3\xa9""#);
    }
}
