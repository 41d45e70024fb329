//! Makes frames of messages: a 4-byte big-endian length, then the message.

use byteorder::{BigEndian, ByteOrder};
use protobuf::Message;

/// The size of the length at the beginning of a frame.
const LENGTH_BYTES: usize = 4;

/// Appends `message` as a frame.
///
/// # Panics
/// If the message is larger than `limit`. The parts of a message are bounded by
/// [`limits`](crate::limits) so that this cannot happen. Were it sent, the other side would close
/// the connection at every attempt.
pub(super) fn append_frame(message: &impl Message, limit: usize, to: &mut Vec<u8>) {
    let size = usize::try_from(message.compute_size()).unwrap_or(usize::MAX);
    assert!(size <= limit, "a message of {size} bytes is above its bound of {limit}");
    append_frame_of(size, to, |to| {
        message
            .write_to_vec(to)
            .expect("a message without required fields can be written to memory");
    });
}

/// Appends a frame; `write` appends its message, which has `size` bytes.
pub(super) fn append_frame_of(size: usize, to: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let prefix = u32::try_from(size).expect("bounds of frames are 32-bit numbers");
    to.reserve(LENGTH_BYTES + size);
    to.extend_from_slice(&[0; LENGTH_BYTES]);
    let start = to.len();
    BigEndian::write_u32(&mut to[start - LENGTH_BYTES..], prefix);
    write(to);
    assert_eq!(to.len() - start, size, "a message has the size that was computed");
}

/// Returns `message` as a frame.
///
/// # Panics
/// As [`append_frame`].
pub(super) fn frame(message: &impl Message, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    append_frame(message, limit, &mut bytes);
    bytes
}
