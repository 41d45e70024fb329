//! The keys and values of entries: bytes that a clone shares instead of copying.
//!
//! Short bytes, and nearly all keys are short, are stored inside of the value and not behind a
//! pointer. So a search in the map reads keys that are next to each other in memory, and neither a
//! search nor a drop accesses other memory.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

/// The key of an entry.
pub type Key = Blob<38>;
/// The value of an entry.
pub type Value = Blob;

/// Bytes, ordered like a [`slice`].
///
/// Up to `SHORT` bytes are stored in place. Two more bytes hold the length and the form, so `SHORT`
/// plus two should be a multiple of a word.
#[derive(Clone)]
pub struct Blob<const SHORT: usize = 30>(Form<SHORT>);

#[derive(Clone)]
enum Form<const SHORT: usize> {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Arc<[u8]>),
}

impl<const SHORT: usize> Blob<SHORT> {
    /// No bytes.
    pub const EMPTY: Blob<SHORT> = Blob(Form::Short { length: 0, bytes: [0; SHORT] });

    /// Returns a blob with these bytes.
    pub fn new(bytes: &[u8]) -> Blob<SHORT> {
        Blob::joined(&[bytes])
    }

    /// Returns a blob with the concatenated bytes of all parts.
    pub fn joined(parts: &[&[u8]]) -> Blob<SHORT> {
        let all: usize = parts.iter().map(|part| part.len()).sum();
        let Some(length) = u8::try_from(all).ok().filter(|_| all <= SHORT) else {
            return Blob(Form::Long(match parts {
                [bytes] => Arc::from(*bytes),
                parts => Arc::from(parts.concat()),
            }));
        };
        let mut bytes = [0; SHORT];
        let mut free = bytes.as_mut_slice();
        for part in parts {
            let (target, rest) = free.split_at_mut(part.len());
            target.copy_from_slice(part);
            free = rest;
        }
        Blob(Form::Short { length, bytes })
    }

    /// Returns the bytes for a message; long ones are shared, not copied.
    pub fn to_bytes(&self) -> Bytes {
        match &self.0 {
            Form::Short { .. } => Bytes::copy_from_slice(self),
            Form::Long(bytes) => Bytes::from_owner(Arc::clone(bytes)),
        }
    }
}

impl<const SHORT: usize> From<&[u8]> for Blob<SHORT> {
    fn from(bytes: &[u8]) -> Blob<SHORT> {
        Blob::new(bytes)
    }
}

impl<const SHORT: usize> From<Vec<u8>> for Blob<SHORT> {
    fn from(bytes: Vec<u8>) -> Blob<SHORT> {
        Blob::new(&bytes)
    }
}

impl<const SHORT: usize> From<&str> for Blob<SHORT> {
    fn from(text: &str) -> Blob<SHORT> {
        Blob::new(text.as_bytes())
    }
}

impl<const SHORT: usize> Default for Blob<SHORT> {
    fn default() -> Blob<SHORT> {
        Blob::EMPTY
    }
}

impl<const SHORT: usize> Deref for Blob<SHORT> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Short { length, bytes } => &bytes[..usize::from(*length)],
            Form::Long(bytes) => bytes,
        }
    }
}

impl<const SHORT: usize> Borrow<[u8]> for Blob<SHORT> {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl<const SHORT: usize> AsRef<[u8]> for Blob<SHORT> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl<const SHORT: usize> PartialEq for Blob<SHORT> {
    fn eq(&self, other: &Blob<SHORT>) -> bool {
        **self == **other
    }
}

impl<const SHORT: usize> Eq for Blob<SHORT> {}

impl<const SHORT: usize> PartialOrd for Blob<SHORT> {
    fn partial_cmp(&self, other: &Blob<SHORT>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const SHORT: usize> Ord for Blob<SHORT> {
    fn cmp(&self, other: &Blob<SHORT>) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<const SHORT: usize> Hash for Blob<SHORT> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<const SHORT: usize> fmt::Debug for Blob<SHORT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short_and_long<const SHORT: usize>() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut all: Vec<Blob<SHORT>> = Vec::new();
        for length in [0, 1, SHORT - 1, SHORT, SHORT + 1, 255, 256] {
            let blob = Blob::new(&bytes[..length]);
            assert_eq!(&*blob, &bytes[..length]);
            assert_eq!(blob.to_bytes(), &bytes[..length]);
            assert_eq!(Blob::from(blob.to_vec()), blob);
            assert_eq!(blob.clone(), blob);
            let (first, second) = bytes[..length].split_at(length / 2);
            assert_eq!(Blob::joined(&[first, &[], second]), blob);
            assert!(all.last().is_none_or(|shorter| *shorter < blob));
            all.push(blob);
        }
        assert_eq!(all[0], Blob::EMPTY);
        assert!(Blob::new(&bytes[1..3]) > all[6]);
    }

    #[test]
    fn short_and_long_blobs_equal_their_bytes_and_share_one_order() {
        short_and_long::<38>();
        short_and_long::<30>();
    }

    #[test]
    fn a_key_takes_five_words_and_a_value_four() {
        assert_eq!((size_of::<Key>(), size_of::<Option<Key>>()), (40, 40));
        assert_eq!((size_of::<Value>(), size_of::<Option<Value>>()), (32, 32));
    }

    #[test]
    fn debug_shows_ascii_as_text_and_escapes_other_bytes() {
        assert_eq!(format!("{:?}", Key::from("a\"\0\u{e9}")), r#"b"a\"\x00\xc3\xa9""#);
    }
}
