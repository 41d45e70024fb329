//! Tests of the wire format: every message survives a round trip, every message that breaks a rule
//! is rejected with the rule's error, and the bytes of earlier releases are still read.

mod fixtures;
mod generate;
mod rejections;
mod round_trips;

/// Returns the message of a frame, and checks the frame's length.
fn payload(frame: &[u8]) -> &[u8] {
    let (length, message) = frame.split_at(4);
    let length: [u8; 4] = length.try_into().expect("split at four");
    assert_eq!(u32::from_be_bytes(length) as usize, message.len(), "the frame's length");
    message
}
