//! Tests of the wire: every message survives the way there and back, and what breaks a rule is
//! rejected with the rule's error.

mod fixtures;
mod generate;
mod rejections;
mod round_trips;

/// The message of a frame, whose length must be right.
fn payload(frame: &[u8]) -> &[u8] {
    let (length, message) = frame.split_at(4);
    let length: [u8; 4] = length.try_into().expect("split at four");
    assert_eq!(u32::from_be_bytes(length) as usize, message.len(), "the frame's length");
    message
}
