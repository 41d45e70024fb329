//! Frames on a stream: a 4-byte big-endian length, and the bytes of the message.
//!
//! A reader does not trust a length: its buffer grows only as bytes arrive, and a length above the
//! limit ends the connection before the frame is read. A frame must be complete within a bounded
//! time after its first byte, so that no sender can hold a thread with a byte now and then.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::time::{Duration, Instant};

use byteorder::{BigEndian, ByteOrder};

use super::stream::Stream;
use crate::limits::{COALESCED_FRAMES, KEPT_BUFFER_BYTES, READ_BYTES};
use crate::wire::WireError;

/// The size of the length at the start of a frame.
const LENGTH_BYTES: usize = 4;

/// A read asks for at least this many bytes, so that one call can return many small frames.
const MIN_READ_BYTES: usize = 8 * 1024;

/// An empty frame: the keepalive of all connections.
pub(crate) const EMPTY_FRAME: [u8; LENGTH_BYTES] = [0; LENGTH_BYTES];

/// The reason why no frame was read.
#[derive(Debug)]
pub enum FrameError {
    /// The stream ended between two frames.
    Closed,
    /// The stream ended within a frame.
    Truncated,
    /// The length of the frame is above the limit.
    TooLarge {
        /// The length of the frame.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// There is currently no room for a frame of this size.
    NoRoom {
        /// The length of the frame.
        bytes: usize,
    },
    /// No frame began within [`Patience::idle`].
    Idle,
    /// The frame was not complete within [`Patience::frame`].
    TooSlow,
    /// The frame does not contain a valid message of the expected kind.
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
            FrameError::Idle => write!(f, "no frame was received in time"),
            FrameError::TooSlow => write!(f, "a frame was begun and not finished in time"),
            FrameError::Malformed(error) => write!(f, "a frame is not valid: {error}"),
            FrameError::Io(error) => error.fmt(f),
        }
    }
}

/// The input of a [`FrameReader`].
pub trait Source: Read {
    /// Sets how long one read may wait; then it returns `WouldBlock` or `TimedOut`.
    ///
    /// # Errors
    /// If the system refuses.
    fn set_timeout(&mut self, time: Duration) -> io::Result<()>;
}

impl Source for Stream {
    fn set_timeout(&mut self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(time)
    }
}

/// The timeouts of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The timeout for the first byte of a frame.
    pub idle: Duration,
    /// The timeout from the first byte of a frame to its last.
    pub frame: Duration,
}

/// The deadline for one frame.
#[derive(Clone, Copy, Debug)]
enum Deadline {
    /// Two timeouts; `end` is set once the frame has begun.
    Timeouts { patience: Patience, end: Option<Instant> },
    /// One deadline for the whole frame, from before its first byte.
    Until(Instant),
}

impl Deadline {
    /// Returns how long the next read may wait; `begun` says whether the frame has begun. `None` if
    /// the time is over.
    fn left(&mut self, begun: bool) -> Option<Duration> {
        let end = match self {
            Deadline::Timeouts { patience, .. } if !begun => return Some(patience.idle),
            Deadline::Timeouts { patience, end } => {
                *end.get_or_insert_with(|| Instant::now() + patience.frame)
            }
            Deadline::Until(end) => *end,
        };
        end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

/// Reads frames from a source.
#[derive(Debug)]
pub struct FrameReader<S> {
    source: S,
    /// `buffer[start..end]` was received and not returned yet.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The timeout that is set on the source, so that it is set only when it changes.
    timeout: Option<Duration>,
    /// The number of bytes received so far.
    bytes_read: u64,
}

impl<S: Source> FrameReader<S> {
    /// Returns a reader of `source`.
    pub fn new(source: S) -> FrameReader<S> {
        FrameReader { source, buffer: Vec::new(), start: 0, end: 0, timeout: None, bytes_read: 0 }
    }

    /// Returns the next frame, without its length; it may have at most `limit` bytes.
    ///
    /// # Errors
    /// After `Idle` and `TooSlow` nothing is lost, and reading can continue where it stopped. After
    /// any other error the stream cannot be used further, because the start of the next frame is
    /// unknown.
    pub fn read(&mut self, limit: usize, patience: Patience) -> Result<&[u8], FrameError> {
        self.read_admitted(limit, patience, |_| Some(())).map(|(bytes, ())| bytes)
    }

    /// Returns the next frame; all of it must arrive by `until`, including its first byte.
    pub(crate) fn read_until(&mut self, limit: usize, until: Instant) -> Result<&[u8], FrameError> {
        self.read_by(limit, Deadline::Until(until), |_| Some(())).map(|(bytes, ())| bytes)
    }

    /// Returns the next frame if `admit`, which is called with the length of the frame, returns a
    /// value; that value is returned with the frame.
    pub(crate) fn read_admitted<T>(
        &mut self,
        limit: usize,
        patience: Patience,
        admit: impl FnOnce(usize) -> Option<T>,
    ) -> Result<(&[u8], T), FrameError> {
        self.read_by(limit, Deadline::Timeouts { patience, end: None }, admit)
    }

    fn read_by<T>(
        &mut self,
        limit: usize,
        mut deadline: Deadline,
        admit: impl FnOnce(usize) -> Option<T>,
    ) -> Result<(&[u8], T), FrameError> {
        self.shrink();
        let length = loop {
            if let Some(length) = self.claimed_length() {
                break length;
            }
            self.fill(LENGTH_BYTES, &mut deadline)?;
        };
        if length > limit {
            return Err(FrameError::TooLarge { bytes: length, limit });
        }
        let admitted = admit(length).ok_or(FrameError::NoRoom { bytes: length })?;
        let whole = LENGTH_BYTES + length;
        while self.end - self.start < whole {
            self.fill(whole - (self.end - self.start), &mut deadline)?;
        }
        let first = self.start + LENGTH_BYTES;
        self.start += whole;
        Ok((&self.buffer[first..first + length], admitted))
    }

    /// Waits for the first byte of the next frame; the byte stays in the buffer.
    ///
    /// # Errors
    /// See [`read`](FrameReader::read); also if the byte does not arrive by `until`.
    pub(crate) fn first_byte(&mut self, until: Instant) -> Result<u8, FrameError> {
        self.shrink();
        let mut deadline = Deadline::Until(until);
        while self.start == self.end {
            self.fill(LENGTH_BYTES, &mut deadline)?;
        }
        Ok(self.buffer[self.start])
    }

    /// Returns whether a complete frame is in the buffer, so that the next
    /// [`read`](FrameReader::read) does not read from the source.
    pub fn has_frame(&self) -> bool {
        self.claimed_length().is_some_and(|length| self.end - self.start - LENGTH_BYTES >= length)
    }

    /// Returns the number of bytes received so far. While it grows, the other side is alive.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Returns the length of the frame at the front, once its bytes have arrived.
    fn claimed_length(&self) -> Option<usize> {
        let received = &self.buffer[self.start..self.end];
        let prefix = received.get(..LENGTH_BYTES)?;
        Some(usize::try_from(BigEndian::read_u32(prefix)).unwrap_or(usize::MAX))
    }

    /// Frees the memory that a large frame took. The received part of the next frame is copied;
    /// otherwise a sender that always sends a byte of the next frame along would keep the memory
    /// allocated.
    fn shrink(&mut self) {
        let rest = &self.buffer[self.start..self.end];
        if self.buffer.len() > KEPT_BUFFER_BYTES && rest.len() <= KEPT_BUFFER_BYTES / 2 {
            self.buffer = rest.to_vec();
            (self.start, self.end) = (0, self.buffer.len());
        }
    }

    /// Reads once; `missing` bytes are needed.
    fn fill(&mut self, missing: usize, deadline: &mut Deadline) -> Result<(), FrameError> {
        let begun = self.end > self.start;
        let timed_out = if begun { FrameError::TooSlow } else { FrameError::Idle };
        let Some(wait) = deadline.left(begun) else { return Err(timed_out) };
        if self.timeout != Some(wait) {
            self.source.set_timeout(wait).map_err(FrameError::Io)?;
            self.timeout = Some(wait);
        }
        self.make_room(missing.clamp(MIN_READ_BYTES, READ_BYTES));
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
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(timed_out),
                _ => Err(FrameError::Io(error)),
            },
        }
    }

    /// Makes room for at least `bytes` more: moves the received bytes to the front, and then grows
    /// the buffer if needed.
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

/// Writes frames in as few system calls as possible. Each frame already contains its length.
///
/// # Errors
/// If the stream fails, or not all is written within `time`. (A single call may take as long as the
/// stream's own write timeout; no call begins after `time`.)
pub fn write_frames(
    to: &mut impl Write,
    frames: &[impl AsRef<[u8]>],
    time: Duration,
) -> io::Result<()> {
    let mut deadline = None;
    for chunk in frames.chunks(COALESCED_FRAMES) {
        let mut slices: Vec<IoSlice<'_>> = chunk.iter().map(|f| IoSlice::new(f.as_ref())).collect();
        let mut rest = &mut slices[..];
        // Skips empty slices first: a write of zero bytes would look like a closed stream.
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
            // Reads the clock only if one call was not enough.
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

/// The output of [`write_frames_until`].
pub trait Sink: Write {
    /// Sets how long one write may wait; then it returns `WouldBlock` or `TimedOut`.
    ///
    /// # Errors
    /// If the system refuses.
    fn set_timeout(&mut self, time: Duration) -> io::Result<()>;
}

impl Sink for Stream {
    fn set_timeout(&mut self, time: Duration) -> io::Result<()> {
        self.set_write_timeout(time)
    }
}

/// Writes frames as [`write_frames`] does, but does not wait after `until`: then it writes only
/// what the system takes at once. One write waits for at most `max_wait`, which is the timeout of
/// `to` before and after the call.
///
/// # Errors
/// See [`write_frames`].
pub fn write_frames_until(
    to: &mut impl Sink,
    frames: &[impl AsRef<[u8]>],
    until: Instant,
    max_wait: Duration,
) -> io::Result<()> {
    let time = until.saturating_duration_since(Instant::now());
    let mut bounded = Bounded { to, until, max_wait, is_changed: false };
    let written = write_frames(&mut bounded, frames, time);
    let restored = if bounded.is_changed { to.set_timeout(max_wait) } else { Ok(()) };
    written.and(restored)
}

/// A sink whose writes do not wait longer than until `until`.
struct Bounded<'a, S> {
    to: &'a mut S,
    until: Instant,
    max_wait: Duration,
    /// Whether the sink has another timeout than `max_wait`.
    is_changed: bool,
}

impl<S: Sink> Write for Bounded<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left < self.max_wait {
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
