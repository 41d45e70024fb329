//! The use of a connection to a peer: one thread writes queued frames, and a second one watches the
//! connection.

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
use super::watch::{ConnectionEnd, PendingProbe, Watch};
use crate::limits::{COALESCED_BYTES, COALESCED_FRAMES};
use crate::transport::Event;
use crate::transport::links::Stream;
use crate::transport::links::{EMPTY_FRAME, FrameError, write_frames};
use crate::transport::serving::close_on_drop::CloseOnDrop;
use crate::transport::serving::shared::Shared;

/// Uses a connection to the peer at `address`, and the connections that replace it, until one
/// fails.
pub(super) fn use_connections(
    shared: &Arc<Shared>,
    link: &Link,
    address: SocketAddr,
    first: Connection,
    waits: &mut Waits,
) -> End {
    debug!("connected to node {} at {address}", first.admitted.node);
    let mut connection = first;
    let error = loop {
        match use_connection(shared, link, address, connection, waits) {
            ConnectionEnd::Replaced(newer) => {
                debug!("a new connection to {address} replaces a silent one");
                connection = *newer;
            }
            ConnectionEnd::Failed(error) => break error,
        }
    };
    link.close();
    End::Lost(error.to_string())
}

/// Writes queued frames until the connection has ended; returns how it ended.
fn use_connection(
    shared: &Arc<Shared>,
    link: &Link,
    address: SocketAddr,
    connection: Connection,
    waits: &mut Waits,
) -> ConnectionEnd {
    let Connection { _registered, stream, reader, admitted } = connection;
    let probe = PendingProbe::new();
    let (alarm, alarmed) = bounded(1);
    let over = thread::scope(|scope| {
        let _close = CloseOnDrop(&stream);
        let (probe, stream) = (&probe, &stream);
        let watching = thread::Builder::new().name(format!("watch {}", address.ip())).spawn_scoped(
            scope,
            move || {
                let over = Watch { shared, link, stream, probe, waits }.run(reader);
                // An error means that the writer has ended already.
                let _ = alarm.send(over);
                // A writer that is blocked in the system does not see the alarm.
                stream.close();
            },
        );
        if let Err(error) =
            watching.and_then(|_| stream.set_write_timeout(shared.settings.write_time))
        {
            return ConnectionEnd::Failed(FrameError::Io(error));
        }
        let is_open = link.open(admitted.node, stream);
        if !is_open || link.report(shared, Event::Connected { address, admitted }).is_err() {
            return ConnectionEnd::Failed(FrameError::Closed);
        }
        write_queued(shared, link, stream, probe, &alarmed)
    });
    // The result of the watch counts if the watch ended first, or if it has a new connection.
    match (over, alarmed.try_recv()) {
        (over, Ok(ConnectionEnd::Failed(FrameError::Closed)) | Err(_)) => over,
        (_, Ok(over)) => over,
    }
}

fn write_queued(
    shared: &Shared,
    link: &Link,
    stream: &Stream,
    probe: &PendingProbe,
    alarmed: &Receiver<ConnectionEnd>,
) -> ConnectionEnd {
    let keepalive = tick(shared.settings.keepalive_time);
    let mut frames = Vec::new();
    loop {
        let (mut first, mut is_due) = (None, false);
        select! {
            recv(link.queued) -> frame => first = frame.ok(),
            recv(keepalive) -> _ => is_due = true,
            recv(alarmed) -> end => {
                return end.unwrap_or(ConnectionEnd::Failed(FrameError::Closed));
            }
            recv(link.ended.0) -> _ => return ConnectionEnd::Failed(FrameError::Closed),
            recv(shared.stop.0) -> _ => return ConnectionEnd::Failed(FrameError::Closed),
        }
        let mut writer = link.lock_writer();
        frames.push(take(&mut writer.rest));
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
        // While a write is blocked in the system, the peer counts as probed: it does not read.
        let is_first = probe.sent();
        let written = write_frames(&mut stream.clone(), &frames, shared.settings.write_time);
        if is_first && !is_due && written.is_ok() {
            probe.answered();
        }
        // Only after the write: while something is queued, no other thread writes.
        link.written(queued);
        drop(writer);
        frames.clear();
        if let Err(error) = written {
            return ConnectionEnd::Failed(FrameError::Io(error));
        }
    }
}
