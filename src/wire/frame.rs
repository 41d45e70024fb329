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
    let start = to.len();
    let claimed = usize::try_from(message.compute_size()).unwrap_or(usize::MAX);
    assert!(claimed <= limit, "a message of {claimed} bytes is above its bound of {limit}");
    to.reserve(LENGTH_BYTES + claimed);
    to.extend_from_slice(&[0; LENGTH_BYTES]);
    message.write_to_vec(to).expect("a message without required fields can be written to memory");
    let length = to.len() - start - LENGTH_BYTES;
    assert_eq!(length, claimed, "a message has the size that was computed");
    let prefix = u32::try_from(length).expect("bounds of frames are 32-bit numbers");
    BigEndian::write_u32(&mut to[start..start + LENGTH_BYTES], prefix);
}

/// `message` as a frame of its own.
pub(super) fn frame(message: &impl Message, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    append_frame(message, limit, &mut bytes);
    bytes
}
