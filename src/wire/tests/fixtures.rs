//! This release reads the bytes of release 0.1.0, and what it writes still has all their fields.
//!
//! `tests/fixtures/0.1.0/frames` has a file for each kind of message, with [`OF_EACH_KIND`]
//! messages: the bytes after the length, in hexadecimal digits, and then the message that release
//! 0.1.0 decoded from them. The ignored test below wrote the files, run in that release; they never
//! change.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::generate::{challenge, introduction, message, outcome, request, role, signed, welcome};
use super::payload;
use crate::wire::{
    ClientOutcome, ClientRequest, PeerFrame, RequestBody, Role, decode_challenge, decode_hello,
    decode_peer, decode_peer_payload, decode_request, decode_response, decode_signed_hello,
    decode_signed_welcome, decode_welcome, decode_welcome_payload, encode_challenge, encode_hello,
    encode_introduction, encode_peer, encode_peer_payload, encode_request, encode_response,
    encode_signed_hello, encode_signed_welcome, encode_welcome, encode_welcome_payload,
};

/// The number of messages of each kind.
const OF_EACH_KIND: usize = 4;

/// Every kind of message.
const KINDS: [&str; 56] = [
    "challenge",
    "hello-auth-hello",
    "hello-client",
    "hello-peer",
    "introduction",
    "peer-accept",
    "peer-accepted",
    "peer-commit",
    "peer-confirm",
    "peer-confirmed",
    "peer-fetch-page",
    "peer-heartbeat",
    "peer-need-previous",
    "peer-page-merged",
    "peer-payload",
    "peer-prepare",
    "peer-progress",
    "peer-promise",
    "peer-promise-page",
    "peer-refused",
    "peer-repair-page",
    "peer-repair-patches",
    "request-execute",
    "request-open-session",
    "request-status",
    "response-aborted",
    "response-answer-not-kept",
    "response-bad-request",
    "response-closing",
    "response-compile-error",
    "response-lost-leadership",
    "response-nodes-unreachable",
    "response-number-outside-window",
    "response-permission-denied",
    "response-read",
    "response-redirect-to",
    "response-runtime-error",
    "response-session-expired",
    "response-session-opened",
    "response-status",
    "response-timeout",
    "response-too-many-requests",
    "signed-hello",
    "signed-welcome",
    "welcome-accepted",
    "welcome-closing",
    "welcome-lists-differ",
    "welcome-malformed",
    "welcome-not-authorized",
    "welcome-other-cluster",
    "welcome-payload",
    "welcome-tls-expected",
    "welcome-too-many-connections",
    "welcome-unknown",
    "welcome-unknown-node",
    "welcome-unknown-version",
];

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0.1.0/frames")
}

/// Decodes a message. Returns it as a text of many lines, and the bytes that this release encodes
/// it to.
fn read(kind: &str, bytes: &[u8]) -> (String, Vec<u8>) {
    let text = |value: &dyn Debug| format!("{value:#?}");
    let read = match kind {
        "challenge" => {
            let challenge = decode_challenge(bytes).expect("read").expect("no refusal");
            (text(&challenge), encode_challenge(&challenge))
        }
        "signed-hello" => {
            let signed = decode_signed_hello(bytes).expect("read");
            (text(&signed), encode_signed_hello(&signed))
        }
        "signed-welcome" => {
            let signed = decode_signed_welcome(bytes).expect("read").expect("no refusal");
            (text(&signed), encode_signed_welcome(&signed))
        }
        // These two are payloads, not frames: they have no length before them.
        "peer-payload" => {
            let peer = decode_peer_payload(bytes).expect("read");
            return (text(&peer), encode_peer_payload(&peer).to_vec());
        }
        "welcome-payload" => {
            let welcome = decode_welcome_payload(bytes).expect("read");
            return (text(&welcome), encode_welcome_payload(&welcome).to_vec());
        }
        _ if kind.starts_with("hello-") => {
            let role = decode_hello(bytes).expect("read");
            (text(&role), encode_hello(&role))
        }
        _ if kind.starts_with("welcome-") => {
            let welcome = decode_welcome(bytes).expect("read");
            (text(&welcome), encode_welcome(&welcome))
        }
        _ if kind.starts_with("request-") => {
            let request = decode_request(bytes).expect("read");
            (text(&request), encode_request(&request).expect("small enough"))
        }
        _ if kind.starts_with("response-") => {
            let response = decode_response(bytes).expect("read");
            let mut frame = Vec::new();
            encode_response(response.id, response.outcome.clone(), &mut frame);
            (text(&response), frame)
        }
        _ => match decode_peer(bytes).expect("read") {
            PeerFrame::Introduction(introduction) => {
                (text(&introduction), encode_introduction(&introduction).to_vec())
            }
            PeerFrame::Core(message) => (text(&message), encode_peer(&message).to_vec()),
        },
    };
    (read.0, payload(&read.1).to_vec())
}

/// Returns the name of a variant, as `{:?}` writes it, in lower case with dashes.
fn variant(value: &dyn Debug) -> String {
    let text = format!("{value:?}");
    let name = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let mut dashed = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !dashed.is_empty() {
            dashed.push('-');
        }
        dashed.extend(letter.to_lowercase());
    }
    dashed
}

/// Returns the fields of a message: number, type, content. `None` if the bytes are not a message.
fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, u64, &[u8])>> {
    fn varint(bytes: &mut &[u8]) -> Option<u64> {
        let length = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
        let (taken, rest) = bytes.split_at_checked(length).filter(|_| length <= 10)?;
        *bytes = rest;
        let part = |(index, byte): (usize, &u8)| {
            u64::from(byte & 0x7f).checked_shl(u32::try_from(7 * index).ok()?)
        };
        taken.iter().enumerate().map(part).try_fold(0, |sum, part| Some(sum | part?))
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let start = bytes;
        let length = match tag & 7 {
            0 => {
                varint(&mut bytes)?;
                start.len() - bytes.len()
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)?).ok()?,
            5 => 4,
            _ => return None,
        };
        if tag & 7 == 0 {
            bytes = start;
        }
        let (content, rest) = bytes.split_at_checked(length)?;
        fields.push((tag >> 3, tag & 7, content));
        bytes = rest;
    }
    Some(fields)
}

/// Whether a message has all the fields of the old one, as often and with the same content. It may
/// have further fields, with other numbers, which release 0.1.0 skips.
fn keeps(old: &[u8], new: &[u8]) -> bool {
    let (Some(old_fields), Some(new_fields)) = (fields(old), fields(new)) else {
        return old == new;
    };
    let count = |fields: &[(u64, u64, &[u8])], number| {
        fields.iter().filter(|field| field.0 == number).count()
    };
    old == new
        || old_fields.iter().all(|(number, encoding, content)| {
            count(&old_fields, *number) == count(&new_fields, *number)
                && new_fields.iter().any(|(n, e, new)| {
                    n == number
                        && e == encoding
                        && (new == content || *e == 2 && keeps(content, new))
                })
        })
}

/// Whether `text` has all `lines` in their order. Further lines may stand between them: those of
/// fields that a later release added. Indentation and the name of a field may differ: fields may
/// have moved into a type of their own.
fn has_lines(text: &str, lines: &[&str]) -> bool {
    let mut rest = text.lines().map(str::trim_start);
    let is_same = |found: &str, line: &str| {
        let line = line.trim_start();
        // A variant without fields may have some in a later release.
        let unit = line.strip_suffix(',').and_then(|line| found.strip_prefix(line));
        let is_named = found.strip_suffix(line).is_some_and(|name| name.ends_with(": "));
        found == line || is_named || unit.is_some_and(|content| matches!(content, "(" | " {"))
    };
    lines.iter().all(|line| rest.any(|found| is_same(found, line)))
}

#[test]
fn messages_of_release_0_1_0_are_read_and_keep_their_fields() {
    let mut kinds: Vec<String> = fs::read_dir(directory())
        .expect("the fixtures")
        .map(|entry| entry.expect("a file").file_name().to_string_lossy().replace(".txt", ""))
        .collect();
    kinds.sort();
    assert_eq!(kinds, KINDS);
    for kind in KINDS {
        let content = fs::read_to_string(directory().join(format!("{kind}.txt"))).expect("read");
        let mut count = 0;
        for message in content.split("\n\n").filter(|message| !message.is_empty()) {
            let lines: Vec<&str> = message.lines().collect();
            let digits = lines[0].strip_prefix("bytes ").expect("the bytes come first");
            let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
            let bytes: Vec<u8> =
                pairs.map(|pair| u8::from_str_radix(pair, 16).expect("digits")).collect();
            let (text, written) = read(kind, &bytes);
            assert!(has_lines(&text, &lines[1..]), "{kind}: {message}\nis read as\n{text}");
            assert!(keeps(&bytes, &written), "{kind}: {digits} is written as {written:02x?}");
            assert_eq!(read(kind, &written).0, text, "{kind}: {digits}");
            count += 1;
        }
        assert!(count >= 1, "{kind} has no messages");
    }
}

#[test]
fn the_comparison_notices_a_lost_or_changed_field() {
    let bytes = |numbers: &[u8]| numbers.to_vec();
    // Field 1 is 5, field 2 a message with field 1, which is 7.
    let old = bytes(&[0x08, 5, 0x12, 2, 0x08, 7]);
    let more = bytes(&[0x08, 5, 0x12, 4, 0x08, 7, 0x10, 1, 0x18, 9]);
    assert!(keeps(&old, &old) && keeps(&old, &more));
    assert!(!keeps(&more, &old), "fields are missing");
    assert!(!keeps(&old, &[0x08, 6, 0x12, 2, 0x08, 7]), "another number");
    assert!(!keeps(&old, &[0x08, 5, 0x12, 2, 0x08, 8]), "another number in the nested message");
    assert!(!keeps(&old, &[0x08, 5, 0x08, 5, 0x12, 2, 0x08, 7]), "a field occurs twice");
    assert!(!keeps(&old, &[0x08, 5, 0x1a, 2, 0x08, 7]), "another field");
    assert!(has_lines("a\nb\nc", &["a", "c"]) && !has_lines("a\nb", &["b", "a"]));
    assert!(has_lines("a: B(\n    C,\n),", &["a: B,"]) && !has_lines("a: Bc(\n),", &["a: B,"]));
}

/// Writes the files into the directory that LATTISTORE_FIXTURES names, which must have none of
/// them.
#[test]
#[ignore = "makes fixtures"]
fn make_frames() {
    let target =
        std::env::var("LATTISTORE_FIXTURES").expect("LATTISTORE_FIXTURES names the directory");
    let target = PathBuf::from(target).join("frames");
    fs::create_dir_all(&target).expect("a directory");
    let mut runner = TestRunner::deterministic();
    let mut made: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    let mut add = |kind: String, bytes: Vec<u8>| {
        let of_kind = made.entry(kind).or_default();
        if of_kind.len() < OF_EACH_KIND && !of_kind.contains(&bytes) {
            of_kind.push(bytes);
        }
    };
    macro_rules! sample {
        ($strategy:expr) => {
            $strategy.new_tree(&mut runner).expect("a value").current()
        };
    }
    for _ in 0..2_000 {
        let sampled = role_and_payload(sample!(role()));
        sampled.into_iter().for_each(|(kind, bytes)| add(kind, bytes));
        let welcome = sample!(welcome());
        let kind = match &welcome {
            Ok(admitted) => variant(admitted),
            Err(refusal) => variant(&refusal.reason),
        };
        add("welcome-payload".into(), encode_welcome_payload(&welcome).to_vec());
        add(format!("welcome-{kind}"), payload(&encode_welcome(&welcome)).to_vec());
        let challenge = sample!(challenge());
        add("challenge".into(), payload(&encode_challenge(&challenge)).to_vec());
        let signed = sample!(signed());
        add("signed-hello".into(), payload(&encode_signed_hello(&signed)).to_vec());
        add("signed-welcome".into(), payload(&encode_signed_welcome(&signed)).to_vec());
        let introduction = sample!(introduction());
        add("introduction".into(), payload(&encode_introduction(&introduction)).to_vec());
        let message = sample!(message());
        let kind = format!("peer-{}", variant(&message));
        add(kind, payload(&encode_peer(&message)).to_vec());
        let request: ClientRequest = sample!(request());
        let kind = match &request.body {
            RequestBody::Execute { .. } => "execute",
            RequestBody::OpenSession { .. } => "open-session",
            RequestBody::Status => "status",
            RequestBody::ChangeMembers(_) => "change-members",
            RequestBody::ListMembers => "list-members",
        };
        let frame = encode_request(&request).expect("small enough");
        add(format!("request-{kind}"), payload(&frame).to_vec());
        let outcome: ClientOutcome = sample!(outcome());
        let kind = format!("response-{}", variant(&outcome));
        let mut frame = Vec::new();
        encode_response(1 + frame.len() as u64, outcome, &mut frame);
        add(kind, payload(&frame).to_vec());
    }
    for (kind, messages) in made {
        let mut content = String::new();
        for bytes in messages {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            content.push_str(&format!("bytes {digits}\n{}\n\n", read(&kind, &bytes).0));
        }
        let path = target.join(format!("{kind}.txt"));
        assert!(!path.exists(), "{} exists", path.display());
        fs::write(path, content).expect("written");
    }
}

fn role_and_payload(role: Role) -> Vec<(String, Vec<u8>)> {
    let kind = format!("hello-{}", variant(&role));
    let mut made = vec![(kind, payload(&encode_hello(&role)).to_vec())];
    if let Role::Peer(peer) = role {
        made.push(("peer-payload".into(), encode_peer_payload(&peer).to_vec()));
    }
    made
}
