//! The API of etcd 3 (rpc.proto): Put, linearizable Range, and Txn with one comparison. The
//! messages are small and few, so their protobuf is encoded by hand.

use std::collections::HashMap;

use super::grpc::{Grpc, Method};
use crate::protocol::Protocol;
use crate::workload::{Kind, Operation};

/// The protocol state of a connection.
pub(crate) struct Etcd {
    grpc: Grpc,
    put: Method,
    range: Method,
    txn: Method,
    calls: HashMap<u32, Call>,
}

/// A call in flight.
enum Call {
    /// A call whose answer needs no check.
    Plain(u64),
    /// The first half of a read-modify-write; the write follows.
    Read { id: u64, key: Vec<u8>, value: Vec<u8> },
    /// The second half; if another write came between, the operation starts again.
    Write { id: u64, key: Vec<u8>, value: Vec<u8> },
    /// A compare-and-set.
    Cas(u64),
}

impl Etcd {
    pub(crate) fn new() -> Etcd {
        Etcd {
            grpc: Grpc::new(),
            put: Method::new("/etcdserverpb.KV/Put"),
            range: Method::new("/etcdserverpb.KV/Range"),
            txn: Method::new("/etcdserverpb.KV/Txn"),
            calls: HashMap::new(),
        }
    }

    fn read(&mut self, id: u64, key: Vec<u8>, value: Vec<u8>, to: &mut Vec<u8>) {
        let stream = self.grpc.call(&self.range, &range_request(&key), to);
        self.calls.insert(stream, Call::Read { id, key, value });
    }

    fn next(
        &mut self,
        call: Call,
        answer: Option<Vec<u8>>,
        done: &mut Vec<(u64, Result<(), String>)>,
        to: &mut Vec<u8>,
    ) {
        let (Call::Plain(id) | Call::Cas(id) | Call::Read { id, .. } | Call::Write { id, .. }) =
            call;
        let Some(answer) = answer else {
            return done.push((id, Err("etcd answered with an error".to_owned())));
        };
        match call {
            Call::Plain(_) => done.push((id, Ok(()))),
            Call::Cas(_) if succeeded(&answer) => done.push((id, Ok(()))),
            Call::Cas(_) => done.push((id, Err("the value was not the expected one".to_owned()))),
            Call::Read { key, value, .. } => {
                let request = write_if_unchanged(&key, &value, mod_revision(&answer));
                let stream = self.grpc.call(&self.txn, &request, to);
                self.calls.insert(stream, Call::Write { id, key, value });
            }
            Call::Write { .. } if succeeded(&answer) => done.push((id, Ok(()))),
            Call::Write { key, value, .. } => self.read(id, key, value, to),
        }
    }
}

impl Protocol for Etcd {
    type Stream = std::net::TcpStream;

    fn has_room(&self) -> bool {
        true
    }

    fn encode(&mut self, id: u64, operation: &Operation<'_>, to: &mut Vec<u8>) {
        let (key, value) = (operation.key.as_bytes(), operation.value.as_bytes());
        let (method, request, call) = match operation.kind {
            Kind::Put if operation.more.is_empty() => {
                (&self.put, put_request(key, value), Call::Plain(id))
            }
            Kind::Put => (&self.txn, puts(operation), Call::Plain(id)),
            Kind::Get => (&self.range, range_request(key), Call::Plain(id)),
            Kind::Cas => (&self.txn, write_if_value_is(key, value), Call::Cas(id)),
            Kind::Rmw => return self.read(id, key.to_vec(), value.to_vec(), to),
        };
        let stream = self.grpc.call(method, &request, to);
        self.calls.insert(stream, call);
    }

    fn decode(
        &mut self,
        received: &[u8],
        done: &mut Vec<(u64, Result<(), String>)>,
        to: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut ended = Vec::new();
        let used = self.grpc.decode(received, &mut ended, to)?;
        for (stream, answer) in ended {
            if let Some(call) = self.calls.remove(&stream) {
                self.next(call, answer, done, to);
            }
        }
        Ok(used)
    }
}

fn put_varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}

fn put_bytes(to: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(to, field << 3 | 2);
    put_varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn put_number(to: &mut Vec<u8>, field: u64, number: u64) {
    put_varint(to, field << 3);
    put_varint(to, number);
}

fn put_request(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut request = Vec::with_capacity(key.len() + value.len() + 8);
    put_bytes(&mut request, 1, key);
    put_bytes(&mut request, 2, value);
    request
}

/// A Range is linearizable by default.
fn range_request(key: &[u8]) -> Vec<u8> {
    let mut request = Vec::with_capacity(key.len() + 4);
    put_bytes(&mut request, 1, key);
    request
}

const MOD: u64 = 2;
const VALUE: u64 = 3;

/// Encodes a transaction: a put, if the comparison holds (equality, which is the default).
fn txn(target: u64, key: &[u8], compared: impl Fn(&mut Vec<u8>), value: &[u8]) -> Vec<u8> {
    let mut compare = Vec::new();
    put_number(&mut compare, 2, target);
    put_bytes(&mut compare, 3, key);
    compared(&mut compare);
    let mut request = Vec::new();
    put_bytes(&mut request, 1, &compare);
    put_bytes(&mut request, 2, &put_operation(key, value));
    request
}

/// Encodes a RequestOp: a Range is its field 1, a Put its field 2.
fn put_operation(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut operation = Vec::new();
    put_bytes(&mut operation, 2, &put_request(key, value));
    operation
}

/// Encodes a transaction without a comparison, which puts all of an operation's keys.
fn puts(operation: &Operation<'_>) -> Vec<u8> {
    let mut request = Vec::new();
    for (key, value) in operation.pairs() {
        put_bytes(&mut request, 2, &put_operation(key.as_bytes(), value.as_bytes()));
    }
    request
}

fn write_if_value_is(key: &[u8], value: &[u8]) -> Vec<u8> {
    txn(VALUE, key, |compare| put_bytes(compare, 7, value), value)
}

fn write_if_unchanged(key: &[u8], value: &[u8], mod_revision: u64) -> Vec<u8> {
    txn(MOD, key, |compare| put_number(compare, 6, mod_revision), value)
}

/// Returns the fields of a message: the field's number, and its value as a number or as bytes.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, u64, &[u8])> {
    std::iter::from_fn(move || {
        let tag = take_varint(&mut message)?;
        match tag & 7 {
            0 => Some((tag >> 3, take_varint(&mut message)?, &[][..])),
            2 => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                message = rest;
                Some((tag >> 3, 0, bytes))
            }
            _ => None,
        }
    })
}

fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Whether `TxnResponse.succeeded` is set.
fn succeeded(answer: &[u8]) -> bool {
    fields(answer).any(|(field, number, _)| field == 2 && number == 1)
}

/// Returns `RangeResponse.kvs[0].mod_revision`; zero for a key without a value, as etcd compares
/// it.
fn mod_revision(answer: &[u8]) -> u64 {
    let kv = fields(answer).find(|(field, ..)| *field == 2);
    let found = kv.and_then(|(_, _, kv)| fields(kv).find(|(field, ..)| *field == 3));
    found.map_or(0, |(_, number, _)| number)
}
