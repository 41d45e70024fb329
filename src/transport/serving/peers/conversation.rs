//! Uses a connection to a peer: one thread writes what is queued, another one watches over it.

use std::mem::take;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use crossbeam_channel::{Receiver, bounded, select, tick};
use log::debug;

use super::greet::{Connection, End};
use super::link::Link;
use super::waits::Waits;
use super::watch::{Over, OwedSign, Watch};
use crate::limits::{COALESCED_BYTES, COALESCED_FRAMES};
use crate::transport::Event;
use crate::transport::links::Stream;
use crate::transport::links::{EMPTY_FRAME, FrameError, write_frames};
use crate::transport::serving::close_on_drop::CloseOnDrop;
use crate::transport::serving::shared::Shared;

/// Uses a connection to the peer at `address`, and those that take its place, until one ends.
pub(super) fn stay(
    shared: &Arc<Shared>,
    link: &Link,
    address: SocketAddr,
    first: Connection,
    waits: &mut Waits,
) -> End {
    debug!("connected to node {} at {address}", first.admitted.node);
    let mut connection = first;
    let error = loop {
        match converse(shared, link, address, connection, waits) {
            Over::Replaced(newer) => {
                debug!("a new connection to {address} replaces a silent one");
                connection = *newer;
            }
            Over::Ended(error) => break error,
        }
    };
    link.close();
    End::Lost(error.to_string())
}

/// Writes what is queued until the connection is over; gives how it is.
fn converse(
    shared: &Arc<Shared>,
    link: &Link,
    address: SocketAddr,
    connection: Connection,
    waits: &mut Waits,
) -> Over {
    let Connection { _registered, stream, reader, admitted } = connection;
    let owed = OwedSign::new();
    let (alarm, alarmed) = bounded(1);
    let over = thread::scope(|scope| {
        let _close = CloseOnDrop(&stream);
        let (owed, stream) = (&owed, &stream);
        let watching = thread::Builder::new().name(format!("watch {}", address.ip())).spawn_scoped(
            scope,
            move || {
                let over = Watch { shared, link, stream, owed, waits }.run(reader);
                // The writer is gone already when this fails.
                let _ = alarm.send(over);
                // A writer that waits for the system does not see the alarm.
                stream.close();
            },
        );
        if let Err(error) =
            watching.and_then(|_| stream.set_write_timeout(shared.settings.write_time))
        {
            return Over::Ended(FrameError::Io(error));
        }
        let is_open = link.open(admitted.node, stream);
        if !is_open || link.tell(shared, Event::Connected { address, admitted }).is_err() {
            return Over::Ended(FrameError::Closed);
        }
        write_queued(shared, link, stream, owed, &alarmed)
    });
    // What the watch says counts where it ended first, and where it has a new connection.
    match (over, alarmed.try_recv()) {
        (over, Ok(Over::Ended(FrameError::Closed)) | Err(_)) => over,
        (_, Ok(over)) => over,
    }
}

fn write_queued(
    shared: &Shared,
    link: &Link,
    stream: &Stream,
    owed: &OwedSign,
    alarmed: &Receiver<Over>,
) -> Over {
    let keepalive = tick(shared.settings.keepalive_time);
    let mut frames = Vec::new();
    loop {
        let (mut first, mut is_due) = (None, false);
        select! {
            recv(link.queued) -> frame => first = frame.ok(),
            recv(keepalive) -> _ => is_due = true,
            recv(alarmed) -> over => return over.unwrap_or(Over::Ended(FrameError::Closed)),
            recv(link.ended.0) -> _ => return Over::Ended(FrameError::Closed),
            recv(shared.stop.0) -> _ => return Over::Ended(FrameError::Closed),
        }
        let mut line = link.lock_line();
        frames.push(take(&mut line.rest));
        let mut queued = 0;
        while let Some(frame) = first.take().or_else(|| link.queued.try_recv().ok()) {
            queued += frame.len();
            frames.push(frame);
            if queued >= COALESCED_BYTES || frames.len() >= COALESCED_FRAMES {
                break;
            }
        }
        if is_due {
            frames.push(Bytes::from_static(&EMPTY_FRAME));
        }
        // A write that waits for the system is as good as a question.
        let is_first = owed.ask();
        let written = write_frames(&mut stream.clone(), &frames, shared.settings.write_time);
        if is_first && !is_due && written.is_ok() {
            owed.heard();
        }
        // Only now: as long as something is queued, no other thread writes.
        link.written(queued);
        drop(line);
        frames.clear();
        if let Err(error) = written {
            return Over::Ended(FrameError::Io(error));
        }
    }
}
