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

/// The keys and values of an operation; the memory of one serves the next.
#[derive(Default)]
pub(super) struct Put<'a> {
    key: String,
    value: &'a str,
    more: Vec<(String, &'a str)>,
}

impl<'a> Put<'a> {
    /// Takes the keys of these numbers; tells whether there was one.
    pub(super) fn set(&mut self, space: &'a Space, mut numbers: impl Iterator<Item = u64>) -> bool {
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

    pub(super) fn operation(&self, kind: Kind) -> Operation<'_> {
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
    pub(super) first: u64,
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
pub(super) struct Lane<W: Wire> {
    stream: W::Link,
    pub(super) wire: W,
    pub(super) open: Open,
    out: Vec<u8>,
    buffer: Vec<u8>,
    end: usize,
    pub(super) done: Vec<(u64, Result<(), String>)>,
}

impl<W: Wire> Lane<W> {
    pub(super) fn new(stream: W::Link, wire: W) -> Result<Lane<W>, String> {
        stream.set_read_timeout(PATIENCE).map_err(|error| error.to_string())?;
        let (out, done) = (Vec::new(), Vec::new());
        Ok(Lane { stream, wire, open: Open::new(), out, buffer: Vec::new(), end: 0, done })
    }

    pub(super) fn ask(&mut self, operation: &Operation<'_>) {
        let id = self.open.begin(operation.kind, Instant::now());
        self.wire.ask(id, operation, &mut self.out);
    }

    /// Sends what is to be sent, and takes what comes next.
    pub(super) fn exchange(&mut self) -> Result<(), String> {
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
