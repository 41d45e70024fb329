//! From a message to a frame: the 4-byte big-endian length and the message.

use byteorder::{BigEndian, ByteOrder};
use protobuf::Message;

/// Bytes of the length that a frame begins with.
const LENGTH_BYTES: usize = 4;

/// Appends `message` as a frame.
///
/// # Panics
/// When the message is larger than `limit`: its parts are bounded by [`limits`](crate::limits) so
/// that it cannot be, and the other side would cut the connection each time it is sent.
pub(super) fn append_frame(message: &impl Message, limit: usize, to: &mut Vec<u8>) {
    let size = usize::try_from(message.compute_size()).unwrap_or(usize::MAX);
    assert!(size <= limit, "a message of {size} bytes is above its bound of {limit}");
    append_frame_of(size, to, |to| {
        message
            .write_to_vec(to)
            .expect("a message without required fields can be written to memory");
    });
}

/// Appends a message of this size, which `write` appends, as a frame.
pub(super) fn append_frame_of(size: usize, to: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let prefix = u32::try_from(size).expect("bounds of frames are 32-bit numbers");
    to.reserve(LENGTH_BYTES + size);
    to.extend_from_slice(&[0; LENGTH_BYTES]);
    let start = to.len();
    BigEndian::write_u32(&mut to[start - LENGTH_BYTES..], prefix);
    write(to);
    assert_eq!(to.len() - start, size, "a message has the size that was computed");
}

/// `message` as a frame of its own.
pub(super) fn frame(message: &impl Message, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    append_frame(message, limit, &mut bytes);
    bytes
}
