//! Bounds on how many connections of a kind there are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::transport::links::Stream;

/// A bounded number of slots.
#[derive(Clone, Debug)]
pub(super) struct ConnectionLimit {
    free: Arc<AtomicUsize>,
}

/// A slot; free again when dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    free: Arc<AtomicUsize>,
}

impl ConnectionLimit {
    pub(super) fn new(most: usize) -> ConnectionLimit {
        ConnectionLimit { free: Arc::new(AtomicUsize::new(most)) }
    }

    /// A slot, if one is free.
    pub(super) fn take(&self) -> Option<ConnectionSlot> {
        self.free
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(1))
            .ok()
            .map(|_| ConnectionSlot { free: Arc::clone(&self.free) })
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.free.fetch_add(1, Ordering::AcqRel);
    }
}

/// A bounded number of slots for clients. When all are taken, a newcomer gets the slot of the client
/// that asked nothing for longest, if that is long enough: prompts that people left open keep nobody
/// out.
#[derive(Debug)]
pub(super) struct ClientSlots {
    most: usize,
    idle_time: Duration,
    start: Instant,
    taken: Arc<Mutex<OpenClients>>,
}

#[derive(Debug, Default)]
struct OpenClients {
    next: u64,
    clients: HashMap<u64, OpenClient>,
}

#[derive(Debug)]
struct OpenClient {
    stream: Stream,
    /// When it asked last, in nanoseconds since the start.
    asked_ns: Arc<AtomicU64>,
}

/// A client's slot; free again when dropped, or when it was taken away.
#[derive(Debug)]
pub(super) struct ClientSlot {
    number: u64,
    asked_ns: Arc<AtomicU64>,
    start: Instant,
    taken: Arc<Mutex<OpenClients>>,
}

impl ClientSlots {
    pub(super) fn new(most: usize, idle_time: Duration) -> ClientSlots {
        ClientSlots { most, idle_time, start: Instant::now(), taken: Arc::default() }
    }

    /// A slot for the client on this connection, if one is free or idle.
    pub(super) fn take(&self, stream: &Stream) -> Option<ClientSlot> {
        let mut taken = self.taken.lock();
        if taken.clients.len() >= self.most {
            let idle_ns = nanos(self.idle_time);
            let limit_ns = nanos(self.start.elapsed()).checked_sub(idle_ns)?;
            let asked_ns = |client: &OpenClient| client.asked_ns.load(Ordering::Relaxed);
            let (number, longest) =
                taken.clients.iter().min_by_key(|(_, client)| asked_ns(client))?;
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
        let client = OpenClient { stream: stream.clone(), asked_ns: Arc::clone(&asked_ns) };
        taken.clients.insert(number, client);
        Some(ClientSlot { number, asked_ns, start: self.start, taken: Arc::clone(&self.taken) })
    }
}

impl ClientSlot {
    /// Notes that the client asks something.
    pub(super) fn asks(&self) {
        self.asked_ns.store(nanos(self.start.elapsed()), Ordering::Relaxed);
    }
}

impl Drop for ClientSlot {
    fn drop(&mut self) {
        self.taken.lock().clients.remove(&self.number);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A bounded number of slots, of which one address gets a part only: whoever takes all that he can
/// get from one address keeps nobody else out.
#[derive(Debug)]
pub(super) struct SharedSlots {
    slots: ConnectionLimit,
    max_per_address: usize,
    /// How many each address has; addresses without any are not there.
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A slot of an address; free again when dropped.
#[derive(Debug)]
pub(super) struct SharedSlot {
    _seat: ConnectionSlot,
    address: IpAddr,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl SharedSlots {
    pub(super) fn new(most: usize, max_per_address: usize) -> SharedSlots {
        SharedSlots { slots: ConnectionLimit::new(most), max_per_address, taken: Arc::default() }
    }

    /// A slot for this address, if one is free and it has not all that it may have.
    pub(super) fn take(&self, address: IpAddr) -> Option<SharedSlot> {
        let mut taken = self.taken.lock();
        if taken.get(&address).is_some_and(|count| *count >= self.max_per_address) {
            return None;
        }
        let slot = self.slots.take()?;
        *taken.entry(address).or_default() += 1;
        Some(SharedSlot { _seat: slot, address, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for SharedSlot {
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
        let slots = SharedSlots::new(3, 2);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = slots.take(one).expect("a slot");
        let _second = slots.take(one).expect("a slot");
        assert!(slots.take(one).is_none(), "it has what it may have");
        let third = slots.take(other).expect("the last slot");
        assert!(slots.take(other).is_none(), "there is none");
        drop(third);
        drop(first);
        assert_eq!(slots.taken.lock().len(), 1);
        assert!(slots.take(one).is_some());
    }
}
