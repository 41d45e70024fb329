//! Tests of frames, with sources and sinks that split and delay them in different ways.

use std::collections::VecDeque;

use super::*;

const PATIENCE: Patience =
    Patience { idle: Duration::from_secs(60), frame: Duration::from_secs(60) };

/// The result of one read.
enum Step {
    Bytes(Vec<u8>),
    Error(io::ErrorKind),
}

/// A source that returns its steps one by one, and then the end of the stream.
#[derive(Default)]
struct Script {
    steps: VecDeque<Step>,
    timeouts: Vec<Duration>,
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>) -> Script {
        Script { steps: steps.into_iter().collect(), timeouts: Vec::new() }
    }

    fn bytes(bytes: &[u8]) -> Script {
        Script::new([Step::Bytes(bytes.to_vec())])
    }
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.steps.pop_front() {
            None => Ok(0),
            Some(Step::Error(kind)) => Err(kind.into()),
            Some(Step::Bytes(bytes)) => {
                let (first, rest) = bytes.split_at(bytes.len().min(buffer.len()));
                buffer[..first.len()].copy_from_slice(first);
                if !rest.is_empty() {
                    self.steps.push_front(Step::Bytes(rest.to_vec()));
                }
                Ok(first.len())
            }
        }
    }
}

impl Source for Script {
    fn set_timeout(&mut self, time: Duration) -> io::Result<()> {
        self.timeouts.push(time);
        Ok(())
    }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a small frame");
    [&length.to_be_bytes(), bytes].concat()
}

fn error_of(source: Script, limit: usize) -> FrameError {
    FrameReader::new(source).read(limit, PATIENCE).expect_err("no frame")
}

#[test]
fn frames_that_come_together_are_read_one_by_one() {
    let bytes = [framed(b"one"), framed(b""), framed(b"three")].concat();
    let mut reader = FrameReader::new(Script::bytes(&bytes));
    for expected in [&b"one"[..], b"", b"three"] {
        assert_eq!(reader.read(5, PATIENCE).expect("a frame"), expected);
    }
    assert!(matches!(reader.read(5, PATIENCE), Err(FrameError::Closed)));
}

#[test]
fn a_frame_may_come_byte_by_byte() {
    let large = vec![7; 3 * READ_BYTES + 5];
    let bytes = [framed(b"small"), framed(&large), framed(b"last")].concat();
    let steps = bytes.chunks(1).map(|byte| Step::Bytes(byte.to_vec()));
    let mut reader = FrameReader::new(Script::new(steps));
    for expected in [&b"small"[..], &large, b"last"] {
        assert_eq!(reader.read(large.len(), PATIENCE).expect("a frame"), expected);
    }
}

#[test]
fn a_frame_of_the_limit_is_read_and_one_above_is_not() {
    let mut reader = FrameReader::new(Script::bytes(&framed(&[1; 100])));
    assert_eq!(reader.read(100, PATIENCE).expect("a frame").len(), 100);
    let error = error_of(Script::bytes(&framed(&[1; 101])), 100);
    assert!(matches!(error, FrameError::TooLarge { bytes: 101, limit: 100 }), "{error}");
    let error = error_of(Script::bytes(&[0xff; 4]), 100);
    assert!(matches!(error, FrameError::TooLarge { bytes: 0xffff_ffff, .. }), "{error}");
    let error = error_of(Script::bytes(&framed(b"x")), 0);
    assert!(matches!(error, FrameError::TooLarge { bytes: 1, limit: 0 }), "{error}");
}

#[test]
fn a_stream_may_end_between_frames_only() {
    assert!(matches!(error_of(Script::default(), 10), FrameError::Closed));
    let whole = framed(b"abc");
    for end in 1..whole.len() {
        let error = error_of(Script::bytes(&whole[..end]), 10);
        assert!(matches!(error, FrameError::Truncated), "{error} after {end} bytes");
    }
}

#[test]
fn memory_grows_with_received_bytes_and_not_with_the_claimed_length() {
    let limit = 64 * 1024 * 1024;
    let announced = u32::try_from(limit).expect("32 bits").to_be_bytes();
    let mut reader = FrameReader::new(Script::bytes(&announced));
    assert!(matches!(reader.read(limit, PATIENCE), Err(FrameError::Truncated)));
    assert!(reader.buffer.capacity() <= 2 * READ_BYTES, "{}", reader.buffer.capacity());
}

#[test]
fn memory_of_a_large_frame_is_freed() {
    let large = vec![0; 2 * KEPT_BUFFER_BYTES];
    let bytes = [framed(&large), framed(b"small")].concat();
    let mut reader = FrameReader::new(Script::bytes(&bytes));
    reader.read(large.len(), PATIENCE).expect("the large frame");
    reader.read(large.len(), PATIENCE).expect("the small frame");
    assert!(matches!(reader.read(1, PATIENCE), Err(FrameError::Closed)));
    assert!(reader.buffer.capacity() <= KEPT_BUFFER_BYTES, "{}", reader.buffer.capacity());
}

#[test]
fn memory_of_a_large_frame_is_freed_although_the_next_frame_has_begun() {
    // The last byte of the large frame is read together with the next frame.
    let large = vec![0; MIN_READ_BYTES + 8 * READ_BYTES + 1 - LENGTH_BYTES];
    let next = framed(b"small");
    for next in [&next[..1], &next] {
        let mut reader = FrameReader::new(Script::bytes(&[&framed(&large), next].concat()));
        assert_eq!(reader.read(large.len(), PATIENCE).expect("the large frame").len(), large.len());
        assert!(reader.end > reader.start, "part of the next frame was received");
        let read = reader.read(large.len(), PATIENCE).map(<[u8]>::to_vec);
        match read {
            Ok(bytes) => assert_eq!(bytes, b"small"),
            Err(error) => assert!(matches!(error, FrameError::Truncated), "{error}"),
        }
        assert!(reader.buffer.capacity() <= KEPT_BUFFER_BYTES, "{}", reader.buffer.capacity());
    }
}

#[test]
fn a_timeout_between_frames_is_idle_and_within_a_frame_too_slow() {
    for kind in [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut] {
        let error = error_of(Script::new([Step::Error(kind)]), 10);
        assert!(matches!(error, FrameError::Idle), "{error}");
        let begun = Script::new([Step::Bytes(vec![0]), Step::Error(kind)]);
        assert!(matches!(error_of(begun, 10), FrameError::TooSlow));
    }
    let reset = Script::new([Step::Error(io::ErrorKind::ConnectionReset)]);
    assert!(matches!(error_of(reset, 10), FrameError::Io(_)));
}

#[test]
fn an_interrupted_read_is_tried_again() {
    let steps = [Step::Error(io::ErrorKind::Interrupted), Step::Bytes(framed(b"abc"))];
    let mut reader = FrameReader::new(Script::new(steps));
    assert_eq!(reader.read(3, PATIENCE).expect("a frame"), b"abc");
}

#[test]
fn single_bytes_do_not_extend_the_deadline_of_a_frame() {
    let steps = framed(b"abc").into_iter().map(|byte| Step::Bytes(vec![byte]));
    let mut reader = FrameReader::new(Script::new(steps));
    let patience = Patience { idle: Duration::from_secs(60), frame: Duration::ZERO };
    assert!(matches!(reader.read(3, patience), Err(FrameError::TooSlow)));
}

#[test]
fn read_until_does_not_wait_longer() {
    let steps = framed(b"abc").into_iter().map(|byte| Step::Bytes(vec![byte]));
    let mut reader = FrameReader::new(Script::new(steps));
    let until = Instant::now() + PATIENCE.frame;
    assert_eq!(reader.read_until(3, until).expect("a frame"), b"abc");
    let timeouts = &reader.source.timeouts;
    assert!(timeouts[0] <= PATIENCE.frame && timeouts.is_sorted_by(|a, b| a >= b), "{timeouts:?}");
    let mut reader = FrameReader::new(Script::bytes(&framed(b"abc")));
    assert!(matches!(reader.read_until(3, Instant::now()), Err(FrameError::Idle)));
}

#[test]
fn the_timeout_is_set_only_when_it_changes() {
    let frames = (0..10).map(|_| Step::Bytes(framed(b"abc")));
    let mut reader = FrameReader::new(Script::new(frames));
    for _ in 0..10 {
        reader.read(3, PATIENCE).expect("a frame");
    }
    assert_eq!(reader.source.timeouts, [PATIENCE.idle]);
}

/// A sink that takes at most `at_once` bytes in each write.
struct ShortWrites {
    taken: Vec<u8>,
    at_once: usize,
    errors: VecDeque<io::ErrorKind>,
    timeouts: Vec<Duration>,
}

impl Sink for ShortWrites {
    fn set_timeout(&mut self, time: Duration) -> io::Result<()> {
        self.timeouts.push(time);
        Ok(())
    }
}

impl Write for ShortWrites {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(kind) = self.errors.pop_front() {
            return Err(kind.into());
        }
        let count = bytes.len().min(self.at_once);
        self.taken.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn short_writes(at_once: usize, errors: &[io::ErrorKind]) -> ShortWrites {
    let errors = errors.iter().copied().collect();
    ShortWrites { taken: Vec::new(), at_once, errors, timeouts: Vec::new() }
}

#[test]
fn everything_is_written_in_order_by_short_writes() {
    let frames: Vec<Vec<u8>> = (0..200_u8).map(|i| vec![i; usize::from(i % 7)]).collect();
    for at_once in [1, 3, 1000] {
        let mut to = short_writes(at_once, &[io::ErrorKind::Interrupted]);
        write_frames(&mut to, &frames, PATIENCE.frame).expect("written");
        assert_eq!(to.taken, frames.concat());
    }
    let nothing: [Vec<u8>; 2] = [vec![], vec![]];
    write_frames(&mut short_writes(0, &[]), &nothing, PATIENCE.frame).expect("nothing to write");
}

#[test]
fn a_write_that_fails_or_takes_too_long_is_an_error() {
    let frames = [vec![1; 10]];
    let kind = |mut to: ShortWrites, time| {
        write_frames(&mut to, &frames, time).expect_err("not written").kind()
    };
    let time = PATIENCE.frame;
    assert_eq!(kind(short_writes(0, &[]), time), io::ErrorKind::WriteZero);
    assert_eq!(kind(short_writes(9, &[io::ErrorKind::WouldBlock]), time), io::ErrorKind::TimedOut);
    assert_eq!(
        kind(short_writes(9, &[io::ErrorKind::BrokenPipe]), time),
        io::ErrorKind::BrokenPipe
    );
    assert_eq!(kind(short_writes(1, &[]), Duration::ZERO), io::ErrorKind::TimedOut);
}

#[test]
fn write_frames_until_does_not_wait_longer() {
    let (frames, max_wait) = ([vec![1; 10]], Duration::from_secs(1));
    let now = Instant::now();
    let mut to = short_writes(3, &[]);
    write_frames_until(&mut to, &frames, now + PATIENCE.frame, max_wait).expect("written");
    assert_eq!((to.taken, to.timeouts), (frames.concat(), vec![]), "there is enough time");
    let mut to = short_writes(3, &[]);
    write_frames_until(&mut to, &frames, now + max_wait, max_wait).expect("written");
    assert_eq!(to.taken, frames.concat());
    let (last, before) = to.timeouts.split_last().expect("some were set");
    assert_eq!(before.len(), 4, "one for each write");
    assert!(before.iter().all(|time| *time <= max_wait) && before.is_sorted_by(|a, b| a >= b));
    assert_eq!(*last, max_wait);
}

#[test]
fn after_the_deadline_only_what_is_taken_at_once_is_written() {
    let (frames, max_wait) = ([vec![1; 10]], Duration::from_secs(1));
    let mut to = short_writes(10, &[]);
    write_frames_until(&mut to, &frames, Instant::now(), max_wait).expect("written");
    let mut to = short_writes(1, &[]);
    let error =
        write_frames_until(&mut to, &frames, Instant::now(), max_wait).expect_err("too slow");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(to.timeouts.last(), Some(&max_wait));
    assert!(to.timeouts.contains(&Duration::ZERO));
}
