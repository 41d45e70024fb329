//! The closed loop of one connection; `run` explains it.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::plan::OperationSource;
use super::protocol::{Connect, Protocol};
use super::record::Record;
use super::run_state::Run;

/// Runs one connection in a closed loop. A lost connection is made again, and its operations in
/// flight count as errors.
pub(super) fn closed<P: Protocol>(
    run: &Run<'_>,
    connect: &Connect<'_, P>,
    stream: P::Stream,
    protocol: P,
    number: u32,
) -> Record {
    let mut record = Record::new();
    let mut source = OperationSource::new(run.plan, number);
    let mut next = Some(Ok((stream, protocol)));
    while Instant::now() < run.span.to {
        let connection = next.take().unwrap_or_else(connect);
        let connection =
            connection.and_then(|(stream, protocol)| Connection::new(stream, protocol));
        let ended = connection.and_then(|mut connection| {
            let ended = converse(run, &mut connection, &mut source, &mut record);
            if let Err(error) = &ended {
                (0..connection.in_flight.count).for_each(|_| record.error(error));
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

fn converse<P: Protocol>(
    run: &Run<'_>,
    connection: &mut Connection<P>,
    source: &mut OperationSource<'_>,
    record: &mut Record,
) -> Result<(), String> {
    loop {
        let over = Instant::now() >= run.span.to;
        while !over && connection.in_flight.count < run.plan.depth && connection.protocol.has_room()
        {
            connection.send(&source.next());
        }
        if over && connection.in_flight.count == 0 {
            return Ok(());
        }
        connection.exchange()?;
        let now = Instant::now();
        for (id, result) in connection.done.drain(..) {
            let Some((kind, sent)) = connection.in_flight.end(id) else { continue };
            run.answered.fetch_add(1, Ordering::Relaxed);
            if !run.span.contains(now) {
                continue;
            }
            match result {
                Ok(()) => {
                    record.answered += 1;
                    record.latency(kind.writes(), now - sent);
                }
                Err(error) => record.error(&error),
            }
        }
    }
}
