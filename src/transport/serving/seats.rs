//! Bounds on how many connections of a kind there are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::transport::links::Stream;

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

/// A bounded number of seats for clients. When all are taken, a newcomer gets the seat of the client
/// that asked nothing for longest, if that is long enough: prompts that people left open keep nobody
/// out.
#[derive(Debug)]
pub(super) struct ClientSeats {
    most: usize,
    idle_time: Duration,
    start: Instant,
    taken: Arc<Mutex<Sitting>>,
}

#[derive(Debug, Default)]
struct Sitting {
    next: u64,
    clients: HashMap<u64, Sitter>,
}

#[derive(Debug)]
struct Sitter {
    stream: Stream,
    /// When it asked last, in nanoseconds since the start.
    asked_ns: Arc<AtomicU64>,
}

/// A client's seat; free again when dropped, or when it was taken away.
#[derive(Debug)]
pub(super) struct ClientSeat {
    number: u64,
    asked_ns: Arc<AtomicU64>,
    start: Instant,
    taken: Arc<Mutex<Sitting>>,
}

impl ClientSeats {
    pub(super) fn new(most: usize, idle_time: Duration) -> ClientSeats {
        ClientSeats { most, idle_time, start: Instant::now(), taken: Arc::default() }
    }

    /// A seat for the client on this connection, if one is free or idle.
    pub(super) fn take(&self, stream: &Stream) -> Option<ClientSeat> {
        let mut taken = self.taken.lock();
        if taken.clients.len() >= self.most {
            let idle_ns = nanos(self.idle_time);
            let limit_ns = nanos(self.start.elapsed()).checked_sub(idle_ns)?;
            let asked_ns = |sitter: &Sitter| sitter.asked_ns.load(Ordering::Relaxed);
            let (number, longest) =
                taken.clients.iter().min_by_key(|(_, sitter)| asked_ns(sitter))?;
            if asked_ns(longest) > limit_ns {
                return None;
            }
            let number = *number;
            // Its threads see the end of the stream.
            taken.clients.remove(&number)?.stream.close_reading();
        }
        let number = taken.next;
        taken.next += 1;
        let asked_ns = Arc::new(AtomicU64::new(nanos(self.start.elapsed())));
        let sitter = Sitter { stream: stream.clone(), asked_ns: Arc::clone(&asked_ns) };
        taken.clients.insert(number, sitter);
        Some(ClientSeat { number, asked_ns, start: self.start, taken: Arc::clone(&self.taken) })
    }
}

impl ClientSeat {
    /// Notes that the client asks something.
    pub(super) fn asks(&self) {
        self.asked_ns.store(nanos(self.start.elapsed()), Ordering::Relaxed);
    }
}

impl Drop for ClientSeat {
    fn drop(&mut self) {
        self.taken.lock().clients.remove(&self.number);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
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
