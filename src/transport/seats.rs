//! Bounds on how many connections of a kind there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bounded number of seats.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    free: Arc<AtomicUsize>,
}

/// A seat; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    free: Arc<AtomicUsize>,
}

impl Seats {
    pub(super) fn new(most: usize) -> Seats {
        Seats { free: Arc::new(AtomicUsize::new(most)) }
    }

    /// A seat, if one is free.
    pub(super) fn take(&self) -> Option<Seat> {
        self.free
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(1))
            .ok()
            .map(|_| Seat { free: Arc::clone(&self.free) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.free.fetch_add(1, Ordering::AcqRel);
    }
}
