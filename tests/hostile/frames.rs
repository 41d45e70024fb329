//! Fuzz target: any stream of bytes, which arrives in pieces of any size. The reader returns the
//! frames in it, or the error of the stream.

use std::io::{self, Read};
use std::time::Duration;

use lattistore::transport::{FrameError, FrameReader, Patience, Source};

use crate::chance::Chance;

/// A stream that returns its bytes in pieces.
struct Pieces<'a> {
    sizes: Chance<'a>,
    left: &'a [u8],
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = match self.sizes.byte() {
            1..8 => return Err(io::ErrorKind::Interrupted.into()),
            8..16 => return Err(io::ErrorKind::WouldBlock.into()),
            16..128 => 1 + self.sizes.below(8),
            // This is also the result when the choices are used up (0).
            _ => buffer.len(),
        };
        let count = wanted.min(buffer.len()).min(self.left.len());
        let (piece, rest) = self.left.split_at(count);
        buffer[..count].copy_from_slice(piece);
        self.left = rest;
        Ok(count)
    }
}

impl Source for Pieces<'_> {
    fn set_timeout(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the frames of a stream, and why no further one follows.
fn expected(mut bytes: &[u8], limit: usize) -> (Vec<&[u8]>, &'static str) {
    let mut frames = Vec::new();
    loop {
        if bytes.is_empty() {
            return (frames, "closed");
        }
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
            return (frames, "truncated");
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
        if length > limit {
            return (frames, "too large");
        }
        let Some(frame) = rest.get(..length) else { return (frames, "truncated") };
        frames.push(frame);
        bytes = &rest[length..];
    }
}

/// The first byte is the limit of a frame, the next 64 choose the pieces in which the rest arrives.
pub(crate) fn frames(bytes: &[u8]) {
    let Some((limit, bytes)) = bytes.split_first() else { return };
    let (sizes, stream) = bytes.split_at(bytes.len().min(64));
    let limit = usize::from(*limit) * 8;
    let (expected, end) = expected(stream, limit);
    let patience = Patience { idle: Duration::MAX, frame: Duration::from_secs(3600) };
    let mut reader = FrameReader::new(Pieces { sizes: Chance::new(sizes), left: stream });
    let mut expected = expected.into_iter();
    let ended = loop {
        match reader.read(limit, patience) {
            Ok(frame) => assert_eq!(Some(frame), expected.next()),
            // The next call continues where this one stopped.
            Err(FrameError::Idle | FrameError::TooSlow) => {}
            Err(FrameError::Closed) => break "closed",
            Err(FrameError::Truncated) => break "truncated",
            Err(FrameError::TooLarge { .. }) => break "too large",
            Err(error) => panic!("this stream has no other error: {error}"),
        }
    };
    assert_eq!(expected.next(), None, "a frame is missing");
    assert_eq!(ended, end);
}
