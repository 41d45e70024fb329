//! The loops that ask and measure, for any system whose connections are a [`Wire`].
//!
//! *Closed*: each connection has `depth` operations on their way, and asks the next when one is
//! answered; one thread writes and reads. Latency counts from the moment of asking.
//!
//! *Open*: operations are due at a rate, whatever the system does; one thread asks, one reads.
//! Latency counts from the moment when the operation was due, so that a system which stalls cannot
//! hide the operations that it kept from being asked ("coordinated omission").

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::lane::Lane;
use super::open::open;
use super::plan::{Loop, Plan, Source};
use super::record::Record;
use super::wire::{Connect, Wire};

/// Makes as many connections. It takes a while, and is done before the time that is measured.
///
/// # Errors
/// When one of them cannot be made.
pub(crate) fn connect_all<W: Wire>(
    count: usize,
    connect: &Connect<'_, W>,
) -> Result<Vec<(W::Duplex, W)>, String> {
    (0..count).map(|_| connect()).collect()
}

/// Runs a plan, each connection on a thread of its own.
///
/// # Errors
/// When one of the threads fails.
pub(crate) fn run<W: Wire>(
    plan: &Plan<'_>,
    lanes: Vec<(W::Duplex, W)>,
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

/// A connection in a closed loop. One that is lost is made again, and what was on its way counts as
/// an error.
fn closed<W: Wire>(
    plan: &Plan<'_>,
    connect: &Connect<'_, W>,
    stream: W::Duplex,
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
