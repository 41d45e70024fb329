//! Writing all keys once, before what is measured.

use std::ops::Range;

use super::lane::Lane;
use super::plan::Put;
use super::wire::{Connect, Wire};
use super::workload::{Kind, Space};

/// Writes all keys once, `writes` of them in each put. A connection that is lost is made again:
/// what was on its way is written twice then, with the same values.
///
/// # Errors
/// When keys cannot be written, a new connection notwithstanding.
pub(crate) fn fill<W: Wire>(
    space: &Space,
    depth: usize,
    writes: usize,
    connect: &Connect<'_, W>,
) -> Result<(), String> {
    let mut from = 0;
    loop {
        let (stream, wire) = connect()?;
        let mut lane = Lane::new(stream, wire)?;
        match put_all(space, from..space.keys, depth, writes, &mut lane) {
            Err(_) if lane.open.first > 0 => from += lane.open.first * writes as u64,
            done => return done,
        }
    }
}

fn put_all<W: Wire>(
    space: &Space,
    mut numbers: Range<u64>,
    depth: usize,
    writes: usize,
    lane: &mut Lane<W>,
) -> Result<(), String> {
    let mut put = Put::default();
    loop {
        while lane.open.count < depth && lane.wire.has_room() {
            if !put.set(space, numbers.by_ref().take(writes)) {
                break;
            }
            lane.ask(&put.operation(Kind::Put));
        }
        if lane.open.count == 0 {
            return Ok(());
        }
        lane.exchange()?;
        for (id, result) in std::mem::take(&mut lane.done) {
            result?;
            lane.open.end(id);
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

    use super::super::wire::Duplex;
    use super::super::workload::{Distribution, Operation};
    use super::*;

    /// Gives back what was written to it.
    #[derive(Default)]
    struct Mirror(Mutex<Vec<u8>>);

    impl Duplex for Mirror {
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

    /// Notes the keys of what is asked, a line for each operation, and fails after some of them.
    struct Notes<'a> {
        keys: &'a Mutex<BTreeSet<String>>,
        answers: usize,
        next: u64,
    }

    impl Wire for Notes<'_> {
        type Duplex = Mirror;

        fn has_room(&self) -> bool {
            true
        }

        fn ask(&mut self, _: u64, operation: &Operation<'_>, to: &mut Vec<u8>) {
            let keys: Vec<&str> = operation.pairs().map(|(key, _)| key).collect();
            to.extend_from_slice(keys.join(" ").as_bytes());
            to.push(b'\n');
        }

        fn take(
            &mut self,
            came: &[u8],
            done: &mut Vec<(u64, Result<(), String>)>,
            _: &mut Vec<u8>,
        ) -> Result<usize, String> {
            let mut used = 0;
            for line in came.split_inclusive(|byte| *byte == b'\n') {
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

    /// Fills with connections that are lost after these numbers of answers; gives how many keys
    /// were written and how many connections it took.
    fn filled(keys: u64, answers: &[usize]) -> (Result<(), String>, usize, usize) {
        let (written, made) = (Mutex::new(BTreeSet::new()), AtomicUsize::new(0));
        let connect = || {
            let answers = answers[made.fetch_add(1, Ordering::Relaxed)];
            Ok((Mirror::default(), Notes { keys: &written, answers, next: 0 }))
        };
        let space = Space::new(keys, 16, 1, Distribution::Uniform);
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
    fn a_connection_that_brings_nothing_ends_the_filling() {
        let (result, written, made) = filled(1_000, &[5, 0]);
        assert_eq!((result, written, made), (Err("the connection is lost".to_owned()), 15, 2));
    }
}
