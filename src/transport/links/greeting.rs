//! The greeting of the side that connects: the first frame in each direction. Until it is done only
//! small frames are read, and only for a short time.

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

/// Why a greeting came to nothing.
#[derive(Debug)]
pub enum GreetError {
    /// The other side refused, and says why.
    Refused(Refusal),
    /// The other side answered what is no answer to a greeting.
    Answer(WireError),
    /// The other side did not prove what it should, so this side refuses it.
    NotBelieved(Refusal),
    /// The connection failed before the answer came.
    Connection(FrameError),
    /// The system gives no random numbers.
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
            GreetError::Random => write!(f, "the system gives no random numbers"),
        }
    }
}

/// Greets on a connection that this side opened, as one that understands what release 0.1.0 does,
/// and gives the reader of what follows.
///
/// # Errors
/// When the other side refuses, or no answer comes in `time`.
pub fn greet(
    stream: &Stream,
    role: &Role,
    time: Duration,
) -> Result<(FrameReader<Stream>, Admitted), GreetError> {
    let greeting = Greeting { role: role.clone(), minor_version: FIRST_MINOR_VERSION };
    greet_with(stream, &greeting, time)
}

/// The same with the whole greeting.
///
/// # Errors
/// As [`greet`].
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
