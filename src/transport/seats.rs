//! Bounds on how many connections of a kind there are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

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

/// A bounded number of seats, of which one address gets a part only: whoever takes all that he can
/// get from one address keeps nobody else out.
#[derive(Debug)]
pub(super) struct SharedSeats {
    seats: Seats,
    most_per_address: usize,
    /// How many each address has; addresses without any are not there.
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A seat of an address; free again when dropped.
#[derive(Debug)]
pub(super) struct SharedSeat {
    _seat: Seat,
    address: IpAddr,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl SharedSeats {
    pub(super) fn new(most: usize, most_per_address: usize) -> SharedSeats {
        SharedSeats { seats: Seats::new(most), most_per_address, taken: Arc::default() }
    }

    /// A seat for this address, if one is free and it has not all that it may have.
    pub(super) fn take(&self, address: IpAddr) -> Option<SharedSeat> {
        let mut taken = self.taken.lock();
        if taken.get(&address).is_some_and(|count| *count >= self.most_per_address) {
            return None;
        }
        let seat = self.seats.take()?;
        *taken.entry(address).or_default() += 1;
        Some(SharedSeat { _seat: seat, address, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for SharedSeat {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_get_all_seats() {
        let seats = SharedSeats::new(3, 2);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = seats.take(one).expect("a seat");
        let _second = seats.take(one).expect("a seat");
        assert!(seats.take(one).is_none(), "it has what it may have");
        let third = seats.take(other).expect("the last seat");
        assert!(seats.take(other).is_none(), "there is none");
        drop(third);
        drop(first);
        assert_eq!(seats.taken.lock().len(), 1);
        assert!(seats.take(one).is_some());
    }
}
