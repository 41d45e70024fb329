//! Limits on the number of connections, one type for each kind of connection: `ConnectionLimit`
//! (any), `ClientSlots` (clients), `PerAddressLimit` (connections that have not greeted).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::transport::links::Stream;

/// A limited number of slots.
#[derive(Clone, Debug)]
pub(super) struct ConnectionLimit {
    free: Arc<AtomicUsize>,
}

/// A slot; it is free again when dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    free: Arc<AtomicUsize>,
}

impl ConnectionLimit {
    pub(super) fn new(max: usize) -> ConnectionLimit {
        ConnectionLimit { free: Arc::new(AtomicUsize::new(max)) }
    }

    /// Takes a slot, if one is free.
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

/// A limited number of slots for clients. When all are taken, a new client gets the slot of the
/// client that has been idle for longest, if that client was idle for at least `idle_time`: prompts
/// that were left open do not keep other clients out.
#[derive(Debug)]
pub(super) struct ClientSlots {
    max: usize,
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
    /// The time of its last request, in nanoseconds since the start.
    asked_ns: Arc<AtomicU64>,
}

/// A client's slot; it is free again when dropped, or when another client took it.
#[derive(Debug)]
pub(super) struct ClientSlot {
    number: u64,
    asked_ns: Arc<AtomicU64>,
    start: Instant,
    taken: Arc<Mutex<OpenClients>>,
}

impl ClientSlots {
    pub(super) fn new(max: usize, idle_time: Duration) -> ClientSlots {
        ClientSlots { max, idle_time, start: Instant::now(), taken: Arc::default() }
    }

    /// Takes a slot for the client on this connection, if one is free or its client is idle.
    pub(super) fn take(&self, stream: &Stream) -> Option<ClientSlot> {
        let mut taken = self.taken.lock();
        if taken.clients.len() >= self.max {
            let idle_ns = nanos(self.idle_time);
            let limit_ns = nanos(self.start.elapsed()).checked_sub(idle_ns)?;
            let asked_ns = |client: &OpenClient| client.asked_ns.load(Ordering::Relaxed);
            let (number, longest) =
                taken.clients.iter().min_by_key(|(_, client)| asked_ns(client))?;
            if asked_ns(longest) > limit_ns {
                return None;
            }
            let number = *number;
            // The threads of the idle client see the end of the stream.
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
    /// Notes that the client sent a request.
    pub(super) fn note_request(&self) {
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

/// A limited number of slots, of which one address gets a part only: connections from one address
/// cannot keep all others out.
#[derive(Debug)]
pub(super) struct PerAddressLimit {
    slots: ConnectionLimit,
    max_per_address: usize,
    /// The number of slots of each address that has any.
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A slot of an address; it is free again when dropped.
#[derive(Debug)]
pub(super) struct PerAddressSlot {
    _slot: ConnectionSlot,
    address: IpAddr,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl PerAddressLimit {
    pub(super) fn new(max: usize, max_per_address: usize) -> PerAddressLimit {
        PerAddressLimit { slots: ConnectionLimit::new(max), max_per_address, taken: Arc::default() }
    }

    /// Takes a slot for this address, if one is free and the address is below its own limit.
    pub(super) fn take(&self, address: IpAddr) -> Option<PerAddressSlot> {
        let mut taken = self.taken.lock();
        if taken.get(&address).is_some_and(|count| *count >= self.max_per_address) {
            return None;
        }
        let slot = self.slots.take()?;
        *taken.entry(address).or_default() += 1;
        Some(PerAddressSlot { _slot: slot, address, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for PerAddressSlot {
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
    fn one_address_does_not_get_all_slots() {
        let slots = PerAddressLimit::new(3, 2);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = slots.take(one).expect("a slot");
        let _second = slots.take(one).expect("a slot");
        assert!(slots.take(one).is_none(), "the address is at its limit");
        let third = slots.take(other).expect("the last slot");
        assert!(slots.take(other).is_none(), "all slots are taken");
        drop(third);
        drop(first);
        assert_eq!(slots.taken.lock().len(), 1);
        assert!(slots.take(one).is_some());
    }
}
