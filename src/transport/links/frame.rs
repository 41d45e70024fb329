//! Frames on a stream: a 4-byte big-endian length and that many bytes.
//!
//! A reader never believes a length: its buffer grows as bytes arrive, and a length above the limit
//! ends the connection before a byte of it is read. A frame that was begun has to be finished in a
//! bounded time, so that nobody holds a thread by sending a byte now and then.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::time::{Duration, Instant};

use byteorder::{BigEndian, ByteOrder};

use super::stream::Stream;
use crate::limits::{COALESCED_FRAMES, KEPT_BUFFER_BYTES, READ_BYTES};
use crate::wire::WireError;

/// Bytes of the length that a frame begins with.
const LENGTH_BYTES: usize = 4;

/// A read asks for at least so many bytes, so that one call brings many small frames.
const LEAST_READ_BYTES: usize = 8 * 1024;

/// A frame of no bytes.
pub(crate) const EMPTY_FRAME: [u8; LENGTH_BYTES] = [0; LENGTH_BYTES];

/// Why there is no frame.
#[derive(Debug)]
pub enum FrameError {
    /// The stream ended between two frames.
    Closed,
    /// The stream ended within a frame.
    Truncated,
    /// The frame claims to be larger than it may be.
    TooLarge {
        /// What it claims.
        bytes: usize,
        /// What it may be.
        limit: usize,
    },
    /// There is no room for a frame of this size now.
    NoRoom {
        /// What it claims.
        bytes: usize,
    },
    /// No frame began in the time for it.
    Idle,
    /// The frame was not finished in the time for it.
    TooSlow,
    /// The frame came, but what it holds is not a message that belongs here.
    Malformed(WireError),
    /// The stream failed.
    Io(io::Error),
}

impl std::error::Error for FrameError {}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Closed => write!(f, "the other side closed the connection"),
            FrameError::Truncated => write!(f, "the connection ended within a frame"),
            FrameError::TooLarge { bytes, limit } => {
                write!(f, "a frame of {bytes} bytes is announced; at most {limit} are allowed")
            }
            FrameError::NoRoom { bytes } => {
                write!(f, "there is no room for a frame of {bytes} bytes now")
            }
            FrameError::Idle => write!(f, "nothing came for too long"),
            FrameError::TooSlow => write!(f, "a frame was begun and not finished in time"),
            FrameError::Malformed(error) => write!(f, "a frame is not understood: {error}"),
            FrameError::Io(error) => error.fmt(f),
        }
    }
}

/// What a [`FrameReader`] reads from.
pub trait Source: Read {
    /// How long one read may wait; then it gives `WouldBlock` or `TimedOut`.
    ///
    /// # Errors
    /// When the system refuses.
    fn set_timeout(&mut self, time: Duration) -> io::Result<()>;
}

impl Source for Stream {
    fn set_timeout(&mut self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(time)
    }
}

/// How long a reader waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the first byte of a frame.
    pub idle: Duration,
    /// From there to its last byte.
    pub frame: Duration,
}

/// The waiting for one frame.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    /// So long; `end` is set as soon as the frame has begun.
    Patient { patience: Patience, end: Option<Instant> },
    /// Until then, whatever came before.
    Until(Instant),
}

impl Waiting {
    /// How long the next read may wait for a frame that has begun or not; none when the time is over.
    fn left(&mut self, begun: bool) -> Option<Duration> {
        let end = match self {
            Waiting::Patient { patience, .. } if !begun => return Some(patience.idle),
            Waiting::Patient { patience, end } => {
                *end.get_or_insert_with(|| Instant::now() + patience.frame)
            }
            Waiting::Until(end) => *end,
        };
        end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

/// Reads frames.
#[derive(Debug)]
pub struct FrameReader<S> {
    source: S,
    /// `buffer[start..end]` came and was not given out yet.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// What the source's timeout is now, so that it is set only when it changes.
    timeout: Option<Duration>,
    /// How much came so far.
    bytes_read: u64,
}

impl<S: Source> FrameReader<S> {
    /// A reader of what `source` gives.
    pub fn new(source: S) -> FrameReader<S> {
        FrameReader { source, buffer: Vec::new(), start: 0, end: 0, timeout: None, bytes_read: 0 }
    }

    /// The next frame, without its length; it may have at most `limit` bytes.
    ///
    /// # Errors
    /// After `Idle` and `TooSlow` nothing is lost, and reading may go on where it stopped. After any
    /// other error the stream is of no more use: where the next frame begins is not known.
    pub fn read(&mut self, limit: usize, patience: Patience) -> Result<&[u8], FrameError> {
        self.read_admitted(limit, patience, |_| Some(())).map(|(bytes, ())| bytes)
    }

    /// The same for a frame that has to be there by `until`, from its first byte to its last.
    pub(crate) fn read_until(&mut self, limit: usize, until: Instant) -> Result<&[u8], FrameError> {
        self.read_waiting(limit, Waiting::Until(until), |_| Some(())).map(|(bytes, ())| bytes)
    }

    /// The same for a frame that `admit` lets in, by the length that it claims; what that gave comes
    /// with the frame.
    pub(crate) fn read_admitted<T>(
        &mut self,
        limit: usize,
        patience: Patience,
        admit: impl FnOnce(usize) -> Option<T>,
    ) -> Result<(&[u8], T), FrameError> {
        self.read_waiting(limit, Waiting::Patient { patience, end: None }, admit)
    }

    fn read_waiting<T>(
        &mut self,
        limit: usize,
        mut waiting: Waiting,
        admit: impl FnOnce(usize) -> Option<T>,
    ) -> Result<(&[u8], T), FrameError> {
        self.give_back();
        let length = loop {
            if let Some(length) = self.claimed_length() {
                break length;
            }
            self.fill(LENGTH_BYTES, &mut waiting)?;
        };
        if length > limit {
            return Err(FrameError::TooLarge { bytes: length, limit });
        }
        let admitted = admit(length).ok_or(FrameError::NoRoom { bytes: length })?;
        let whole = LENGTH_BYTES + length;
        while self.end - self.start < whole {
            self.fill(whole - (self.end - self.start), &mut waiting)?;
        }
        let first = self.start + LENGTH_BYTES;
        self.start += whole;
        Ok((&self.buffer[first..first + length], admitted))
    }

    /// Waits for the first byte of the next frame, if that is what it is, and leaves it there.
    ///
    /// # Errors
    /// As [`read`](FrameReader::read), when it is not there by `until`.
    pub(crate) fn first_byte(&mut self, until: Instant) -> Result<u8, FrameError> {
        self.give_back();
        let mut waiting = Waiting::Until(until);
        while self.start == self.end {
            self.fill(LENGTH_BYTES, &mut waiting)?;
        }
        Ok(self.buffer[self.start])
    }

    /// Whether a whole frame came already, so that the next [`read`](FrameReader::read) asks nothing
    /// of the stream.
    pub fn has_frame(&self) -> bool {
        self.claimed_length().is_some_and(|length| self.end - self.start - LENGTH_BYTES >= length)
    }

    /// How many bytes came so far, of whole frames or not: where it grows, the other side is there.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The length that the frame at the front claims, once that much came.
    fn claimed_length(&self) -> Option<usize> {
        let came = &self.buffer[self.start..self.end];
        let prefix = came.get(..LENGTH_BYTES)?;
        Some(usize::try_from(BigEndian::read_u32(prefix)).unwrap_or(usize::MAX))
    }

    /// Gives memory back that a large frame took. What came of the next one is copied: else who always
    /// sends a byte of it along would keep the memory.
    fn give_back(&mut self) {
        let rest = &self.buffer[self.start..self.end];
        if self.buffer.len() > KEPT_BUFFER_BYTES && rest.len() <= KEPT_BUFFER_BYTES / 2 {
            self.buffer = rest.to_vec();
            (self.start, self.end) = (0, self.buffer.len());
        }
    }

    /// Reads once, for the sake of `missing` bytes.
    fn fill(&mut self, missing: usize, waiting: &mut Waiting) -> Result<(), FrameError> {
        let begun = self.end > self.start;
        let late = if begun { FrameError::TooSlow } else { FrameError::Idle };
        let Some(wait) = waiting.left(begun) else { return Err(late) };
        if self.timeout != Some(wait) {
            self.source.set_timeout(wait).map_err(FrameError::Io)?;
            self.timeout = Some(wait);
        }
        self.make_room(missing.clamp(LEAST_READ_BYTES, READ_BYTES));
        match self.source.read(&mut self.buffer[self.end..]) {
            Ok(0) if begun => Err(FrameError::Truncated),
            Ok(0) => Err(FrameError::Closed),
            Ok(count) => {
                self.end += count;
                self.bytes_read += u64::try_from(count).unwrap_or(u64::MAX);
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(late),
                _ => Err(FrameError::Io(error)),
            },
        }
    }

    /// Makes room for `bytes` more: at the front where frames were given out, else by growing.
    fn make_room(&mut self, bytes: usize) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buffer.len() - self.end < bytes {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < bytes {
            self.buffer.resize(self.end + bytes, 0);
        }
    }
}

/// Writes frames, each with its length, in as few system calls as may be.
///
/// # Errors
/// When the stream fails, or not all is written within `time` (to be exact: a single call may take
/// as long as the stream's own write timeout, and no call is begun after `time`).
pub fn write_frames(
    to: &mut impl Write,
    frames: &[impl AsRef<[u8]>],
    time: Duration,
) -> io::Result<()> {
    let mut deadline = None;
    for some in frames.chunks(COALESCED_FRAMES) {
        let mut slices: Vec<IoSlice<'_>> = some.iter().map(|f| IoSlice::new(f.as_ref())).collect();
        let mut rest = &mut slices[..];
        // Empty slices go at once, or a write of nothing would look like a closed stream.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match to.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut rest, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
            // The clock is read only where one call was not enough.
            if !rest.is_empty() {
                let now = Instant::now();
                if now > *deadline.get_or_insert(now + time) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
    Ok(())
}

/// What [`write_frames_until`] writes to.
pub trait Sink: Write {
    /// How long one write may wait; then it gives `WouldBlock` or `TimedOut`.
    ///
    /// # Errors
    /// When the system refuses.
    fn set_timeout(&mut self, time: Duration) -> io::Result<()>;
}

impl Sink for Stream {
    fn set_timeout(&mut self, time: Duration) -> io::Result<()> {
        self.set_write_timeout(time)
    }
}

/// Writes frames as [`write_frames`] does, but waits for nothing after `until`: then only what is taken
/// at once is written. One write waits for `most` at most, which is the timeout of `to` before and after.
///
/// # Errors
/// As [`write_frames`].
pub fn write_frames_until(
    to: &mut impl Sink,
    frames: &[impl AsRef<[u8]>],
    until: Instant,
    most: Duration,
) -> io::Result<()> {
    let time = until.saturating_duration_since(Instant::now());
    let mut bounded = Bounded { to, until, most, is_changed: false };
    let written = write_frames(&mut bounded, frames, time);
    let restored = if bounded.is_changed { to.set_timeout(most) } else { Ok(()) };
    written.and(restored)
}

/// A sink no write to which waits longer than until a time.
struct Bounded<'a, S> {
    to: &'a mut S,
    until: Instant,
    most: Duration,
    /// Whether the sink has another timeout than `most`.
    is_changed: bool,
}

impl<S: Sink> Write for Bounded<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left < self.most {
            self.is_changed = true;
            self.to.set_timeout(left)?;
        }
        self.to.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
