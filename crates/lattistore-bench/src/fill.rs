//! Writes all keys once, before a run.

use std::ops::Range;

use super::connection::Connection;
use super::plan::PutBuffer;
use super::protocol::{Connect, Protocol};
use super::workload::{KeySpace, Kind};

/// Writes all keys once, `writes` of them in each put. A lost connection is made again: what was in
/// flight is then written twice, with the same values.
///
/// # Errors
/// When a connection makes no progress, or an operation fails.
pub(crate) fn fill<P: Protocol>(
    space: &KeySpace,
    depth: usize,
    writes: usize,
    connect: &Connect<'_, P>,
) -> Result<(), String> {
    let mut from = 0;
    loop {
        let (stream, protocol) = connect()?;
        let mut connection = Connection::new(stream, protocol)?;
        match put_all(space, from..space.keys, depth, writes, &mut connection) {
            Err(_) if connection.in_flight.first > 0 => {
                from += connection.in_flight.first * writes as u64
            }
            done => return done,
        }
    }
}

fn put_all<P: Protocol>(
    space: &KeySpace,
    mut numbers: Range<u64>,
    depth: usize,
    writes: usize,
    connection: &mut Connection<P>,
) -> Result<(), String> {
    let mut put = PutBuffer::default();
    loop {
        while connection.in_flight.count < depth && connection.protocol.has_room() {
            if !put.set(space, numbers.by_ref().take(writes)) {
                break;
            }
            connection.send(&put.operation(Kind::Put));
        }
        if connection.in_flight.count == 0 {
            return Ok(());
        }
        connection.exchange()?;
        for (id, result) in std::mem::take(&mut connection.done) {
            result?;
            connection.in_flight.end(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::super::protocol::ByteStream;
    use super::super::workload::{Distribution, Operation};
    use super::*;

    /// A stream that returns what was written to it.
    #[derive(Default)]
    struct Loopback(Mutex<Vec<u8>>);

    impl ByteStream for Loopback {
        fn read(&self, to: &mut [u8]) -> io::Result<usize> {
            let mut bytes = self.0.lock().expect("no thread failed");
            let count = bytes.len().min(to.len());
            to[..count].copy_from_slice(&bytes[..count]);
            bytes.drain(..count);
            Ok(count)
        }

        fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
            self.0.lock().expect("no thread failed").extend_from_slice(bytes);
            Ok(())
        }

        fn set_read_timeout(&self, _: Duration) -> io::Result<()> {
            Ok(())
        }

        fn close(&self) {}
    }

    /// Records the keys of the requests, one line for each operation, and fails after some answers.
    struct KeyRecorder<'a> {
        keys: &'a Mutex<BTreeSet<String>>,
        answers: usize,
        next: u64,
    }

    impl Protocol for KeyRecorder<'_> {
        type Stream = Loopback;

        fn has_room(&self) -> bool {
            true
        }

        fn encode(&mut self, _: u64, operation: &Operation<'_>, to: &mut Vec<u8>) {
            let keys: Vec<&str> = operation.pairs().map(|(key, _)| key).collect();
            to.extend_from_slice(keys.join(" ").as_bytes());
            to.push(b'\n');
        }

        fn decode(
            &mut self,
            received: &[u8],
            done: &mut Vec<(u64, Result<(), String>)>,
            _: &mut Vec<u8>,
        ) -> Result<usize, String> {
            let mut used = 0;
            for line in received.split_inclusive(|byte| *byte == b'\n') {
                if self.answers == 0 {
                    let lost = Err("the connection is lost".to_owned());
                    return if used == 0 { lost } else { Ok(used) };
                }
                let line_text = std::str::from_utf8(line).expect("keys are text").trim_end();
                let keys = line_text.split(' ').map(str::to_owned);
                self.keys.lock().expect("no thread failed").extend(keys);
                done.push((self.next, Ok(())));
                self.next += 1;
                self.answers -= 1;
                used += line.len();
            }
            Ok(used)
        }
    }

    /// Fills with connections that are lost after these numbers of answers; returns how many keys
    /// were written and how many connections were made.
    fn filled(keys: u64, answers: &[usize]) -> (Result<(), String>, usize, usize) {
        let (written, made) = (Mutex::new(BTreeSet::new()), AtomicUsize::new(0));
        let connect = || {
            let answers = answers[made.fetch_add(1, Ordering::Relaxed)];
            Ok((Loopback::default(), KeyRecorder { keys: &written, answers, next: 0 }))
        };
        let space = KeySpace::new(keys, 16, 1, Distribution::Uniform);
        let result = fill(&space, 8, 3, &connect);
        let written = written.lock().expect("no thread failed").len();
        (result, written, made.load(Ordering::Relaxed))
    }

    #[test]
    fn all_keys_are_written_although_connections_are_lost() {
        assert_eq!(filled(1_000, &[usize::MAX]), (Ok(()), 1_000, 1));
        assert_eq!(filled(1_000, &[5, 100, 1, usize::MAX]), (Ok(()), 1_000, 4));
    }

    #[test]
    fn a_connection_without_progress_ends_the_filling() {
        let (result, written, made) = filled(1_000, &[5, 0]);
        assert_eq!((result, written, made), (Err("the connection is lost".to_owned()), 15, 2));
    }
}
