//! Bytes of clients' requests and answers under way: from when a request was decoded until its answer
//! is written. Whoever is above the bound, or finds the node above it, is told to come again.
//!
//! Large requests are counted from when their length is known, too, on a meter of their own: so those
//! that are sent in part, and held, do not take the room of those that are whole.
//!
//! How large an answer will be is not known before, so answers are counted and never refused; while
//! they take the bytes, no further request is let in. Parts of an answer, which more follow, have a bound
//! of their own for each connection: above it they are not taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a request takes besides its bytes, about.
const REQUEST_BYTES: usize = 1024;

/// A count of bytes with a bound.
#[derive(Debug)]
pub(crate) struct Meter {
    used: AtomicUsize,
    most: usize,
}

impl Meter {
    pub(crate) fn new(most: usize) -> Arc<Meter> {
        Arc::new(Meter { used: AtomicUsize::new(0), most })
    }

    fn is_above(&self) -> bool {
        self.used.load(Ordering::Acquire) > self.most
    }
}

/// What a request takes while it comes; given back when dropped.
#[derive(Debug)]
pub(crate) struct Coming {
    meter: Arc<Meter>,
    bytes: usize,
}

impl Coming {
    /// The share of a request that claims so many bytes, if there is room for it.
    pub(crate) fn take(meter: &Arc<Meter>, bytes: usize) -> Option<Coming> {
        let used = meter.used.fetch_add(bytes, Ordering::AcqRel);
        let coming = Coming { meter: Arc::clone(meter), bytes };
        (used + bytes <= meter.most).then_some(coming)
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.meter.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// What one request and its answer take; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    /// Of the connection and of the node.
    meters: [Arc<Meter>; 2],
    bytes: usize,
}

impl Share {
    /// The share of a request of so many bytes, if there is room for it on both meters.
    pub(crate) fn take(meters: [Arc<Meter>; 2], bytes: usize) -> Option<Share> {
        let mut share = Share { meters, bytes: 0 };
        share.grow(REQUEST_BYTES + bytes);
        let is_above = share.meters.iter().any(|meter| meter.is_above());
        (!is_above).then_some(share)
    }

    /// Returns the share of a part of the answer, if there is room on `parts` and on the node's meter:
    /// one part may go above the bound.
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
    fn what_comes_is_counted_until_it_came() {
        let meter = Meter::new(1_000);
        let first = Coming::take(&meter, 600).expect("room");
        assert!(Coming::take(&meter, 600).is_none(), "there is no room for both");
        let second = Coming::take(&meter, 400).expect("room for less");
        drop((first, second));
        assert_eq!(meter.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_share_is_taken_from_both_meters_and_given_back() {
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
