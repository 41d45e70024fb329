//! Meters of the bytes of clients' requests and answers in flight: from the decoding of a request
//! until its answer is written. A request above the connection's or the node's bound is answered
//! `TooManyRequests`.
//!
//! Large requests are also counted while they are being received, on a meter of their own: so
//! requests that are sent only in part do not take the room of complete ones.
//!
//! The size of an answer is not known before, so answers are counted and never refused; while they
//! exceed the bound, no further request is admitted. Parts of an answer have a bound of their own
//! for each connection: above it, further parts are not accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a request takes besides its bytes, approximately.
const REQUEST_BYTES: usize = 1024;

/// A count of bytes with a bound.
#[derive(Debug)]
pub(crate) struct Meter {
    used: AtomicUsize,
    max: usize,
}

impl Meter {
    pub(crate) fn new(max: usize) -> Arc<Meter> {
        Arc::new(Meter { used: AtomicUsize::new(0), max })
    }

    fn is_above(&self) -> bool {
        self.used.load(Ordering::Acquire) > self.max
    }
}

/// The bytes of a request that is being received; they are released when dropped.
#[derive(Debug)]
pub(crate) struct IncomingBytes {
    meter: Arc<Meter>,
    bytes: usize,
}

impl IncomingBytes {
    /// Takes the bytes of a request of this length, if there is room for it.
    pub(crate) fn take(meter: &Arc<Meter>, bytes: usize) -> Option<IncomingBytes> {
        let used = meter.used.fetch_add(bytes, Ordering::AcqRel);
        let incoming = IncomingBytes { meter: Arc::clone(meter), bytes };
        (used + bytes <= meter.max).then_some(incoming)
    }
}

impl Drop for IncomingBytes {
    fn drop(&mut self) {
        self.meter.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// The bytes of one request and its answer; they are released when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    /// The meters of the connection and of the node.
    meters: [Arc<Meter>; 2],
    bytes: usize,
}

impl Share {
    /// Takes the share of a request of this many bytes, if there is room for it on both meters.
    pub(crate) fn take(meters: [Arc<Meter>; 2], bytes: usize) -> Option<Share> {
        let mut share = Share { meters, bytes: 0 };
        share.grow(REQUEST_BYTES + bytes);
        let is_above = share.meters.iter().any(|meter| meter.is_above());
        (!is_above).then_some(share)
    }

    /// Returns the share of a part of the answer, if neither `parts` nor the node's meter is above
    /// its bound: one part may exceed the bound.
    pub(super) fn of_part(&self, parts: &Arc<Meter>, bytes: usize) -> Option<Share> {
        let [_, node] = &self.meters;
        let meters = [Arc::clone(parts), Arc::clone(node)];
        if meters.iter().any(|meter| meter.is_above()) {
            return None;
        }
        let mut share = Share { meters, bytes: 0 };
        share.grow(bytes);
        Some(share)
    }

    /// Counts bytes of the answer too.
    pub(super) fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
        for meter in &self.meters {
            meter.used.fetch_add(bytes, Ordering::AcqRel);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        for meter in &self.meters {
            meter.used.fetch_sub(self.bytes, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_request_is_counted_while_it_is_received() {
        let meter = Meter::new(1_000);
        let first = IncomingBytes::take(&meter, 600).expect("room");
        assert!(IncomingBytes::take(&meter, 600).is_none(), "there is no room for both");
        let second = IncomingBytes::take(&meter, 400).expect("room for less");
        drop((first, second));
        assert_eq!(meter.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_share_is_taken_from_both_meters_and_released() {
        let (one, other, node) = (Meter::new(5_000), Meter::new(5_000), Meter::new(8_000));
        let take = |client: &Arc<Meter>, bytes| {
            Share::take([Arc::clone(client), Arc::clone(&node)], bytes)
        };
        let mut first = take(&one, 3_000).expect("room");
        assert!(take(&one, 3_000).is_none(), "the connection has no room");
        let second = take(&other, 2_000).expect("room");
        assert!(take(&other, 0).is_none(), "the node has no room");
        first.grow(10_000);
        drop(second);
        assert!(take(&other, 0).is_none(), "an answer takes all");
        drop(first);
        assert!(take(&one, 3_000).is_some());
        assert_eq!(node.used.load(Ordering::Relaxed), 0);
    }
}
