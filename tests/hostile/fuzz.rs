//! A short run of each fuzz target: the inputs of `corpus`, and random inputs from seeds, the same
//! in every run. `HOSTILE_SECONDS` sets the time of a run, and `HOSTILE_SEED` its first seed; a
//! failure prints its seed. `scripts/fuzz` runs the same targets with coverage feedback.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use lattistore::blob::Blob;
use lattistore::kv::SessionNumber;
use lattistore::lang::Value;
use lattistore::lpaxos::{NodeId, Position, Slot};
use lattistore::wire::{
    Admitted, Build, ClientOutcome, ClientRequest, Introduction, MemberName, MemberRequest,
    PeerHello, Reason, Refusal, RequestBody, Role, encode_hello, encode_introduction,
    encode_request, encode_response, encode_welcome,
};
use lattistore_sim::simulator::Random;

use crate::core::core;
use crate::disk::disk;
use crate::frames::frames;
use crate::targets::{language, messages};

/// Runs `case` with one seed after another: `cases` of them, or until `HOSTILE_SECONDS` are over.
fn each_seed(cases: u64, mut case: impl FnMut(&mut Random)) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let first = number("HOSTILE_SEED").unwrap_or(0);
    let time = number("HOSTILE_SECONDS").map(Duration::from_secs);
    let begun = Instant::now();
    let mut seed = first;
    while time.map_or(seed - first < cases, |time| begun.elapsed() < time) {
        let failing = Failing(seed);
        case(&mut Random::new(seed, 0));
        std::mem::forget(failing);
        seed += 1;
    }
    println!("{} seeds from {first}", seed - first);
}

/// Prints the seed when it is dropped, which happens only if a case panics.
struct Failing(u64);

impl Drop for Failing {
    fn drop(&mut self) {
        eprintln!("HOSTILE_SEED={} fails", self.0);
    }
}

fn random_bytes(random: &mut Random, max: usize) -> Vec<u8> {
    let count = random.count(0, max);
    (0..count).map(|_| random.next().to_le_bytes()[3]).collect()
}

/// Damages bytes: flips bits, removes, doubles and exchanges parts, and inserts extreme numbers.
fn damage(random: &mut Random, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    for _ in 0..random.count(1, 4) {
        let at = random.count(0, bytes.len());
        let to = random.count(at, bytes.len());
        match random.count(0, 6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.count(0, 7),
            1 if at < bytes.len() => bytes[at] = *random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..to)),
            4 => bytes.splice(at..at, bytes[at..to].to_vec()).for_each(drop),
            5 => {
                let other = random.pick(others);
                let from = random.count(0, other.len());
                bytes.splice(at..to, other[from..].iter().copied()).for_each(drop);
            }
            _ => bytes.splice(at..at, [0xff; 9].into_iter().chain([1])).for_each(drop),
        }
        bytes.truncate(64 << 10);
    }
}

/// Runs a target on each input of its corpus.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/corpus").join(name);
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        println!("{}", file.display());
        target(&fs::read(&file).unwrap());
    }
}

#[test]
fn no_input_of_the_corpus_does_harm() {
    replay("core", core);
    replay("disk", disk);
    replay("frames", frames);
    replay("language", language);
    replay("messages", messages);
}

#[test]
fn fuzz_frames() {
    each_seed(60_000, |random| {
        let mut bytes = random_bytes(random, 65);
        for _ in 0..random.count(0, 6) {
            let body = random_bytes(random, 600);
            let length = match random.count(0, 20) {
                0 => random.between(0, u32::MAX.into()),
                _ => body.len() as u64,
            };
            bytes.extend(&length.to_be_bytes()[4..]);
            bytes.extend(body);
        }
        bytes.truncate(bytes.len() - random.count(0, 8).min(bytes.len()));
        frames(&bytes);
    });
}

#[test]
fn fuzz_the_disk() {
    each_seed(400, |random| disk(&random_bytes(random, 60)));
}

#[test]
fn fuzz_the_core() {
    each_seed(12_000, |random| core(&random_bytes(random, 1_500)));
}

#[test]
fn fuzz_messages() {
    let valid = valid_messages();
    each_seed(150_000, |random| {
        let mut bytes = random.pick(&valid).clone();
        damage(random, &mut bytes, &valid);
        messages(&bytes);
    });
}

#[test]
fn fuzz_the_language() {
    let valid: Vec<Vec<u8>> = PROGRAMS.iter().map(|text| text.as_bytes().to_vec()).collect();
    valid.iter().for_each(|text| language(text));
    each_seed(60_000, |random| {
        let mut bytes = random.pick(&valid).clone();
        damage(random, &mut bytes, &valid);
        language(&bytes);
    });
}

const PROGRAMS: [&str; 12] = [
    "put \"a\" \"1\"; get \"a\"; delete \"b\";",
    "n = get \"n\"; if n == \"\" { n = \"0\"; } put \"n\" str(int(n) + 1);",
    "for k, v in scan \"u/\" { if v > \"a\" { put k v + \"!\"; } }",
    "for k, v in scan \"\" limit 3 reverse { return k + v; }",
    "x = (1 + 2) * -3 / 4 % 5; return x;",
    "if !exists get \"a\" && true || false { abort \"no\\n\\u{1f600}\"; } else { x = 1; }",
    "for a, b in scan from \"a\" to \"u/2\" { for c, d in scan \"\" { n = n + \"x\"; } }",
    "put $k $v; return len($v) + -9223372036854775807;",
    "x = get get \"a\"; y = get (\"u/\" + x); return slice(y, 0, 1);",
    "# a comment\nput \"k\" + str(1) \"v\";",
    "return 1 == 1 != false;;;",
    "x = \"b\"; x = x + x; x = x + x; x = x + x;",
];

fn valid_messages() -> Vec<Vec<u8>> {
    let ip = "10.0.0.1".parse().unwrap();
    let hello = PeerHello {
        node: NodeId(7),
        address: ip,
        cluster: Some(9),
        listed: vec![ip; 3],
        build: Build::own(),
        is_joining: false,
    };
    let introduction = Introduction {
        address: ip,
        node: NodeId(7),
        listed: vec![ip; 3],
        known: vec![(ip, NodeId(7)); 2],
        cluster: None,
    };
    let admitted = Admitted { node: NodeId(7), cluster: Some(9), build: Build::own() };
    let mut frames = vec![
        encode_hello(&Role::Client { token: None }),
        encode_hello(&Role::Peer(hello)),
        encode_welcome(&Ok(admitted)),
        encode_welcome(&Err(Refusal::new(Reason::Closing, "stopping"))),
        encode_introduction(&introduction).to_vec(),
    ];
    let bodies = [
        RequestBody::Status,
        RequestBody::ListMembers,
        RequestBody::ChangeMembers(MemberRequest::Add {
            address: ip,
            replaces: Some(MemberName::Node(NodeId(7))),
        }),
        RequestBody::ChangeMembers(MemberRequest::Remove(MemberName::Address(ip))),
        RequestBody::OpenSession { window: 8 },
        RequestBody::Execute {
            program: "put $k $v;".to_owned(),
            params: [("k".to_owned(), Value::from("a")), ("v".to_owned(), Value::from(-7))]
                .into_iter()
                .collect(),
            session: Some(SessionNumber { session: 1, number: 2, answered_below: 2 }),
        },
    ];
    let requests = bodies.map(|body| ClientRequest { id: 1, timeout_ms: 100, body });
    frames.extend(requests.iter().map(|request| encode_request(request).unwrap()));
    let position = Position { slot: Slot(3), place: 1 };
    let values = BTreeMap::from([(Blob::from("a"), Blob::from("1"))]);
    for outcome in [
        ClientOutcome::Read { values, returned: Some(Value::from(true)), position },
        ClientOutcome::Aborted { message: "no".into(), position },
        ClientOutcome::LostLeadership { leader: None, could_handle: true },
    ] {
        let mut frame = Vec::new();
        encode_response(5, outcome, &mut frame);
        frames.push(frame);
    }
    let mut messages: Vec<Vec<u8>> = frames.into_iter().map(|frame| frame[4..].to_vec()).collect();
    messages.extend(crate::core::sample(400));
    messages
}
