//! The loops that ask and measure, for any system whose connections are a [`Wire`].
//!
//! *Closed*: each connection has `depth` operations on their way, and asks the next when one is
//! answered; one thread writes and reads. Latency counts from the moment of asking.
//!
//! *Open*: operations are due at a rate, whatever the system does; one thread asks, one reads.
//! Latency counts from the moment when the operation was due, so that a system which stalls cannot
//! hide the operations that it kept from being asked ("coordinated omission").

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::open::open;
use super::record::{Record, Span};
use super::workload::{Kind, Operation, Random, Space, Workload};

/// A system that gives no sign for so long has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 256 << 10;

/// What bytes go over. Two threads may use it, one to read and one to write.
pub(crate) trait Link: Send + Sync {
    /// Reads once; zero bytes at the end.
    fn read(&self, to: &mut [u8]) -> io::Result<usize>;

    /// Writes all.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()>;

    /// How long one read may wait.
    fn set_read_timeout(&self, time: Duration) -> io::Result<()>;

    /// Ends both directions.
    fn close(&self);
}

impl Link for TcpStream {
    fn read(&self, to: &mut [u8]) -> io::Result<usize> {
        let mut this = self;
        Read::read(&mut this, to)
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut this = self;
        Write::write_all(&mut this, bytes)
    }

    fn set_read_timeout(&self, time: Duration) -> io::Result<()> {
        TcpStream::set_read_timeout(self, Some(time))
    }

    fn close(&self) {
        // The only error is that it is closed already.
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// One connection's protocol: bytes out, bytes in.
pub(crate) trait Wire: Send {
    /// What it goes over.
    type Link: Link;

    /// Whether another operation may be asked now, beside the depth.
    fn has_room(&self) -> bool;

    /// Appends what asks for an operation.
    fn ask(&mut self, id: u64, operation: &Operation<'_>, to: &mut Vec<u8>);

    /// Takes what came and gives how much of it was used; appends what is to be sent now.
    ///
    /// # Errors
    /// When the connection is of no more use.
    fn take(
        &mut self,
        came: &[u8],
        done: &mut Vec<(u64, Result<(), String>)>,
        to: &mut Vec<u8>,
    ) -> Result<usize, String>;
}

/// Makes connections.
pub(crate) type Connect<'a, W> = dyn Fn() -> Result<(<W as Wire>::Link, W), String> + Sync + 'a;

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loop {
    Closed,
    /// So many operations a second, over all connections.
    Open(f64),
}

/// What to run.
pub(crate) struct Plan<'a> {
    pub(crate) workload: Workload,
    /// How many keys each put writes.
    pub(crate) writes: usize,
    pub(crate) space: &'a Space,
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    pub(crate) how: Loop,
    pub(crate) span: Span,
    /// Counts what is answered, for who watches.
    pub(crate) answered: &'a AtomicU64,
}

/// Makes as many connections. It takes a while, and is done before the time that is measured.
///
/// # Errors
/// When one of them cannot be made.
pub(crate) fn connect_all<W: Wire>(
    count: usize,
    connect: &Connect<'_, W>,
) -> Result<Vec<(W::Link, W)>, String> {
    (0..count).map(|_| connect()).collect()
}

/// Runs a plan, each connection on a thread of its own.
///
/// # Errors
/// When one of the threads fails.
pub(crate) fn run<W: Wire>(
    plan: &Plan<'_>,
    lanes: Vec<(W::Link, W)>,
    connect: &Connect<'_, W>,
) -> Result<Record, String> {
    let mut all = Record::new();
    thread::scope(|scope| {
        let lanes = lanes.into_iter().zip(0u32..).map(|((stream, wire), number)| {
            scope.spawn(move || match plan.how {
                Loop::Closed => closed(plan, connect, stream, wire, number),
                Loop::Open(rate) => open(plan, &stream, wire, number, rate),
            })
        });
        for lane in lanes.collect::<Vec<_>>() {
            all.add(&lane.join().map_err(|_| "a thread of the load generator failed")?);
        }
        Ok(all)
    })
}

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

/// The keys and values of an operation; the memory of one serves the next.
#[derive(Default)]
struct Put<'a> {
    key: String,
    value: &'a str,
    more: Vec<(String, &'a str)>,
}

impl<'a> Put<'a> {
    /// Takes the keys of these numbers; tells whether there was one.
    fn set(&mut self, space: &'a Space, mut numbers: impl Iterator<Item = u64>) -> bool {
        let Some(first) = numbers.next() else { return false };
        space.key(first, &mut self.key);
        self.value = space.value(first);
        let mut more = 0;
        for number in numbers {
            if more == self.more.len() {
                self.more.push((String::new(), ""));
            }
            let (key, value) = &mut self.more[more];
            space.key(number, key);
            *value = space.value(number);
            more += 1;
        }
        self.more.truncate(more);
        true
    }

    fn operation(&self, kind: Kind) -> Operation<'_> {
        Operation { kind, key: &self.key, value: self.value, more: &self.more }
    }
}

/// Draws operations.
pub(super) struct Source<'a> {
    workload: Workload,
    writes: usize,
    space: &'a Space,
    random: Random,
    put: Put<'a>,
}

impl<'a> Source<'a> {
    pub(super) fn new(plan: &Plan<'a>, lane: u32) -> Source<'a> {
        let random = Random::new(u64::from(lane) + 1);
        let Plan { workload, writes, space, .. } = *plan;
        Source { workload, writes, space, random, put: Put::default() }
    }

    pub(super) fn next(&mut self) -> Operation<'_> {
        let kind = self.workload.draw(&mut self.random);
        let keys = if kind == Kind::Put { self.writes } else { 1 };
        let (space, random) = (self.space, &mut self.random);
        self.put.set(space, (0..keys).map(|_| space.draw(random)));
        self.put.operation(kind)
    }
}

/// The operations on their way, by id.
pub(super) struct Open {
    /// All operations before it are answered.
    first: u64,
    asked: VecDeque<Option<(Kind, Instant)>>,
    pub(super) count: usize,
}

impl Open {
    pub(super) fn new() -> Open {
        Open { first: 0, asked: VecDeque::new(), count: 0 }
    }

    pub(super) fn begin(&mut self, kind: Kind, at: Instant) -> u64 {
        self.asked.push_back(Some((kind, at)));
        self.count += 1;
        self.first + self.asked.len() as u64 - 1
    }

    pub(super) fn end(&mut self, id: u64) -> Option<(Kind, Instant)> {
        let place = usize::try_from(id.checked_sub(self.first)?).ok()?;
        let asked = self.asked.get_mut(place)?.take()?;
        self.count -= 1;
        while self.asked.front().is_some_and(Option::is_none) {
            self.asked.pop_front();
            self.first += 1;
        }
        Some(asked)
    }
}

/// One connection that one thread uses.
struct Lane<W: Wire> {
    stream: W::Link,
    wire: W,
    open: Open,
    out: Vec<u8>,
    buffer: Vec<u8>,
    end: usize,
    done: Vec<(u64, Result<(), String>)>,
}

impl<W: Wire> Lane<W> {
    fn new(stream: W::Link, wire: W) -> Result<Lane<W>, String> {
        stream.set_read_timeout(PATIENCE).map_err(|error| error.to_string())?;
        let (out, done) = (Vec::new(), Vec::new());
        Ok(Lane { stream, wire, open: Open::new(), out, buffer: Vec::new(), end: 0, done })
    }

    fn ask(&mut self, operation: &Operation<'_>) {
        let id = self.open.begin(operation.kind, Instant::now());
        self.wire.ask(id, operation, &mut self.out);
    }

    /// Sends what is to be sent, and takes what comes next.
    fn exchange(&mut self) -> Result<(), String> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).map_err(|error| error.to_string())?;
            self.out.clear();
        }
        self.end += read(&self.stream, &mut self.buffer, self.end)?;
        let came = &self.buffer[..self.end];
        let used = self.wire.take(came, &mut self.done, &mut self.out)?;
        self.buffer.copy_within(used..self.end, 0);
        self.end -= used;
        Ok(())
    }
}

/// Reads once, behind the `end` bytes that are there; gives how much came.
pub(super) fn read(from: &impl Link, buffer: &mut Vec<u8>, end: usize) -> Result<usize, String> {
    if buffer.len() - end < READ_BYTES / 2 {
        buffer.resize(end + READ_BYTES, 0);
    }
    match from.read(&mut buffer[end..]) {
        Ok(0) => Err("the system closed the connection".to_owned()),
        Ok(count) => Ok(count),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(format!("no answer for {} s", PATIENCE.as_secs()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A connection in a closed loop. One that is lost is made again, and what was on its way counts as
/// an error.
fn closed<W: Wire>(
    plan: &Plan<'_>,
    connect: &Connect<'_, W>,
    stream: W::Link,
    wire: W,
    number: u32,
) -> Record {
    let mut record = Record::new();
    let mut source = Source::new(plan, number);
    let mut next = Some(Ok((stream, wire)));
    while Instant::now() < plan.span.to {
        let lane = next.take().unwrap_or_else(connect);
        let lane = lane.and_then(|(stream, wire)| Lane::new(stream, wire));
        let ended = lane.and_then(|mut lane| {
            let ended = converse(plan, &mut lane, &mut source, &mut record);
            if let Err(error) = &ended {
                (0..lane.open.count).for_each(|_| record.error(error));
            }
            ended
        });
        if let Err(error) = ended {
            record.error(&error);
            thread::sleep(Duration::from_millis(20));
        }
    }
    record
}

fn converse<W: Wire>(
    plan: &Plan<'_>,
    lane: &mut Lane<W>,
    source: &mut Source<'_>,
    record: &mut Record,
) -> Result<(), String> {
    loop {
        let over = Instant::now() >= plan.span.to;
        while !over && lane.open.count < plan.depth && lane.wire.has_room() {
            lane.ask(&source.next());
        }
        if over && lane.open.count == 0 {
            return Ok(());
        }
        lane.exchange()?;
        let now = Instant::now();
        for (id, result) in lane.done.drain(..) {
            let Some((kind, asked)) = lane.open.end(id) else { continue };
            plan.answered.fetch_add(1, Ordering::Relaxed);
            if !plan.span.contains(now) {
                continue;
            }
            match result {
                Ok(()) => {
                    record.answered += 1;
                    record.latency(kind.writes(), now - asked);
                }
                Err(error) => record.error(&error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use super::super::workload::Distribution;
    use super::*;

    /// Gives back what was written to it.
    #[derive(Default)]
    struct Mirror(Mutex<Vec<u8>>);

    impl Link for Mirror {
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
        type Link = Mirror;

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
