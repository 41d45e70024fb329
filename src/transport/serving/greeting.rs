//! The greeting on the accepting side, and the orderly end of a connection.

use std::io::{self, Read};
use std::time::Instant;

use super::settings::Settings;
use crate::limits::MAX_GREETING_FRAME_BYTES;
use crate::transport::links::{FrameError, FrameReader, Source, Stream, write_frames};
use crate::wire::{Greeting, Refusal, decode_greeting};

/// Reads the greeting of a new connection; an inner error is the refusal to send.
pub(super) fn read_hello(
    reader: &mut FrameReader<impl Source>,
    until: Instant,
) -> Result<Result<Greeting, Refusal>, FrameError> {
    match reader.read_until(MAX_GREETING_FRAME_BYTES, until) {
        Ok(bytes) => Ok(decode_greeting(bytes)),
        Err(error @ (FrameError::TooLarge { .. } | FrameError::Idle | FrameError::TooSlow)) => {
            Ok(Err(Refusal::malformed(&error)))
        }
        Err(error) => Err(error),
    }
}

/// Answers a greeting with these bytes.
pub(super) fn answer(stream: &Stream, bytes: &[u8], settings: &Settings) -> io::Result<()> {
    write_frames(&mut stream.clone(), &[bytes], settings.write_time)
}

/// Ends a connection after a last message: reads and discards what the other side still sends, for
/// `linger_time`, because closing a socket with unread bytes could discard the last message too. A
/// stop ends this at once, because it ends all reading.
pub(super) fn linger(stream: &Stream, settings: &Settings) {
    stream.close_writing();
    let deadline = Instant::now() + settings.linger_time;
    let mut scratch = [0; 8 * 1024];
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        if stream.set_read_timeout(left).is_err() {
            break;
        }
        match stream.clone().read(&mut scratch) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
}
