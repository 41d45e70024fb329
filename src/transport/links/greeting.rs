//! The greeting on the side that connects: the first frame in each direction. Until the greeting is
//! complete, only frames of up to `MAX_GREETING_FRAME_BYTES` are read, and only for a short time.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use super::frame::{FrameError, FrameReader, write_frames};
use super::stream::Stream;
use crate::limits::MAX_GREETING_FRAME_BYTES;
use crate::wire::{
    Admitted, FIRST_MINOR_VERSION, Greeting, Refusal, Role, WireError, decode_welcome,
    encode_greeting,
};

/// Why a greeting failed.
#[derive(Debug)]
pub enum GreetError {
    /// The other side refused, and says why.
    Refused(Refusal),
    /// The answer is not a valid answer to a greeting.
    Answer(WireError),
    /// The other side did not prove that it knows the cluster key, so this side refuses it.
    NotBelieved(Refusal),
    /// The connection failed before the answer was received.
    Connection(FrameError),
    /// The system returns no random numbers.
    Random,
}

impl From<io::Error> for GreetError {
    fn from(error: io::Error) -> GreetError {
        GreetError::Connection(FrameError::Io(error))
    }
}

impl std::error::Error for GreetError {}

impl fmt::Display for GreetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GreetError::Refused(refusal) | GreetError::NotBelieved(refusal) => refusal.fmt(f),
            GreetError::Answer(error) => write!(f, "the answer to the greeting is wrong: {error}"),
            GreetError::Connection(error) => error.fmt(f),
            GreetError::Random => write!(f, "the system returns no random numbers"),
        }
    }
}

/// Greets on a connection that this side opened, with the minor version of release 0.1.0. Returns
/// the reader for the frames that follow.
///
/// # Errors
/// If the other side refuses, or no answer is received within `time`.
pub fn greet(
    stream: &Stream,
    role: &Role,
    time: Duration,
) -> Result<(FrameReader<Stream>, Admitted), GreetError> {
    let greeting = Greeting { role: role.clone(), minor_version: FIRST_MINOR_VERSION };
    greet_with(stream, &greeting, time)
}

/// Greets with the given greeting; see [`greet`].
///
/// # Errors
/// See [`greet`].
pub fn greet_with(
    stream: &Stream,
    greeting: &Greeting,
    time: Duration,
) -> Result<(FrameReader<Stream>, Admitted), GreetError> {
    let until = Instant::now() + time;
    stream.set_write_timeout(time)?;
    write_frames(&mut stream.clone(), &[encode_greeting(greeting)], time)?;
    let mut reader = FrameReader::new(stream.clone());
    let answer = reader.read_until(MAX_GREETING_FRAME_BYTES, until);
    let answer = answer.map_err(GreetError::Connection)?;
    let admitted =
        decode_welcome(answer).map_err(GreetError::Answer)?.map_err(GreetError::Refused)?;
    Ok((reader, admitted))
}
