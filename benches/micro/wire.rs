//! The message that carries a decree to the other nodes. The leader encodes it once for all of
//! them.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use lattistore::kv::{Key, Value};
use lattistore::lpaxos::{Accept, Message, Previous, Slot, ToAcceptor};
use lattistore::wire::{decode_peer, encode_peer};

use super::data::{BALLOT, Random};

const WRITES: [usize; 2] = [32, 256];
/// The size of the length before the message in a frame.
const LENGTH_BYTES: usize = 4;

fn accept(writes: usize) -> Message<Key, Value> {
    let decree = Random::new().patch(writes, 1_000_000).into();
    Message::Acceptor(ToAcceptor::Accept(Accept {
        ballot: BALLOT,
        slot: Slot(1_000_000),
        decree,
        previous: Previous::Held(BALLOT),
    }))
}

#[divan::bench(args = WRITES)]
fn encode_accept(bencher: Bencher<'_, '_>, writes: usize) {
    let message = accept(writes);
    bencher
        .counter(ItemsCount::new(writes))
        .counter(BytesCount::new(encode_peer(&message).len()))
        .bench(|| encode_peer(black_box(&message)));
}

#[divan::bench(args = WRITES)]
fn decode_accept(bencher: Bencher<'_, '_>, writes: usize) {
    let frame = encode_peer(&accept(writes));
    bencher
        .counter(ItemsCount::new(writes))
        .counter(BytesCount::new(frame.len()))
        .bench(|| decode_peer(black_box(&frame[LENGTH_BYTES..])).expect("the frame is valid"));
}
