//! Messages that break one rule each, and the error of each rule.

use std::sync::Arc;

use bytes::Bytes;
use protobuf::{EnumOrUnknown, MessageField};

use super::payload;
use crate::blob::{Key, Value};
use crate::limits::{
    ENTRY_OVERHEAD_BYTES, MAX_ENTRY_KEY_BYTES, MAX_ENTRY_VALUE_BYTES, MAX_NODES,
    MAX_OTHER_REQUEST_BYTES, MAX_PATCH_BYTES, MAX_PATCHES_PER_REPAIR, MAX_PEER_FIELDS,
    MAX_REQUEST_FRAME_BYTES, MAX_REQUEST_PARAMETERS, MAX_RESPONSE_FRAME_BYTES, MAX_SECRET_BYTES,
    NUMBERS_BELOW,
};
use crate::lpaxos::{
    Ballot, Entry, Message, NodeId, Page, Patch, Position, PromisePage, RepairPatches, Slot,
    ToAcceptor, ToCandidate,
};
use crate::wire::proto::peer::peer_message::Body;
use crate::wire::proto::{client, hello, peer};
use crate::wire::raw::put_bytes;
use crate::wire::{
    ClientOutcome, ClientRequest, PROTOCOL_VERSION, Reason, Refusal, RequestBody, RequestError,
    WireError, decode_challenge, decode_hello, decode_peer, decode_request, decode_response,
    decode_signed_hello, decode_signed_welcome, decode_welcome, encode_peer, encode_request,
    encode_response,
};

fn bytes(message: &impl protobuf::Message) -> Vec<u8> {
    message.write_to_bytes().expect("written to memory")
}

fn peer_error(body: Body) -> WireError {
    let message = peer::PeerMessage { body: Some(body), ..Default::default() };
    decode_peer(&bytes(&message)).expect_err("rejected")
}

fn out_of_range(field: &'static str, value: u64) -> WireError {
    WireError::OutOfRange { field, value }
}

fn some_ballot() -> MessageField<peer::Ballot> {
    MessageField::some(peer::Ballot { round: 1, node: 1, ..Default::default() })
}

fn write(key: &[u8]) -> peer::Write {
    peer::Write { key: Bytes::copy_from_slice(key), ..Default::default() }
}

fn decree_of(writes: Vec<peer::Write>) -> peer::Decree {
    peer::Decree { writes, ..Default::default() }
}

/// Returns the content of a field that is declared as `bytes`.
fn bytes_of(message: &impl protobuf::Message) -> Bytes {
    message.write_to_bytes().expect("it can be written to memory").into()
}

fn accept(slot: u64, decree: peer::Decree) -> peer::Accept {
    peer::Accept {
        ballot: some_ballot(),
        slot,
        decree: Some(bytes_of(&decree)),
        previous: Some(peer::accept::Previous::PreviousDecree(Bytes::new())),
        ..Default::default()
    }
}

fn entry(key: &[u8], version: u64) -> peer::Entry {
    peer::Entry { key: Bytes::copy_from_slice(key), version, ..Default::default() }
}

fn repair_page(after: Option<&'static [u8]>, page: peer::Page) -> peer::RepairPage {
    peer::RepairPage {
        ballot: some_ballot(),
        copy: MessageField::some(peer::CopyId { base: 3, target: 9, ..Default::default() }),
        after: after.map(Bytes::from_static),
        page: Some(bytes_of(&page)),
        ..Default::default()
    }
}

fn page_error(after: Option<&'static [u8]>, entries: Vec<peer::Entry>, next: &[u8]) -> WireError {
    let next = (!next.is_empty()).then(|| Bytes::copy_from_slice(next));
    let page = peer::Page { entries, next, ..Default::default() };
    peer_error(Body::RepairPage(repair_page(after, page)))
}

#[test]
fn a_message_without_a_known_body_is_rejected() {
    assert_eq!(decode_peer(&[]), Err(WireError::Missing("body")));
    // Field 99, a varint: a body that only a later release knows.
    assert_eq!(decode_peer(&[0x98, 0x06, 0x01]), Err(WireError::Missing("body")));
    assert!(matches!(decode_peer(&[0xff; 20]), Err(WireError::Malformed(_))));
}

#[test]
fn ballots_and_slots_out_of_range_are_rejected() {
    let too_high = peer::Ballot { round: NUMBERS_BELOW, node: 1, ..Default::default() };
    let prepare = peer::Prepare { ballot: MessageField::some(too_high), ..Default::default() };
    assert_eq!(peer_error(Body::Prepare(prepare)), out_of_range("ballot", NUMBERS_BELOW));
    let no_ballot = peer::Prepare::default();
    assert_eq!(peer_error(Body::Prepare(no_ballot)), WireError::Missing("ballot"));
    let complete = u64::MAX;
    let prepare = peer::Prepare { ballot: some_ballot(), complete, ..Default::default() };
    assert_eq!(peer_error(Body::Prepare(prepare)), out_of_range("complete", u64::MAX));
    let heartbeat = peer::Heartbeat { round: NUMBERS_BELOW, ..Default::default() };
    assert_eq!(peer_error(Body::Heartbeat(heartbeat)), out_of_range("round", NUMBERS_BELOW));
    for slot in [0, NUMBERS_BELOW, u64::MAX] {
        let accept = accept(slot, peer::Decree::default());
        assert_eq!(peer_error(Body::Accept(accept)), out_of_range("slot", slot));
        let accepted = peer::Accepted { ballot: some_ballot(), slot, ..Default::default() };
        assert_eq!(peer_error(Body::Accepted(accepted)), out_of_range("slot", slot));
        let commit = peer::Commit { ballot: some_ballot(), slot, ..Default::default() };
        assert_eq!(peer_error(Body::Commit(commit)), out_of_range("slot", slot));
        let need = peer::NeedPrevious { ballot: some_ballot(), slot, ..Default::default() };
        assert_eq!(peer_error(Body::NeedPrevious(need)), out_of_range("slot", slot));
    }
}

#[test]
fn an_accept_without_a_decree_or_previous_is_rejected() {
    let mut without_decree = accept(1, peer::Decree::default());
    without_decree.decree = None;
    assert_eq!(peer_error(Body::Accept(without_decree)), WireError::Missing("decree"));
    let mut without_previous = accept(1, peer::Decree::default());
    without_previous.previous = None;
    assert_eq!(peer_error(Body::Accept(without_previous)), WireError::Missing("previous"));
}

#[test]
fn patches_that_are_out_of_order_or_too_large_are_rejected() {
    for writes in [vec![write(b"b"), write(b"a")], vec![write(b"a"), write(b"a")]] {
        let error = peer_error(Body::Accept(accept(1, decree_of(writes))));
        assert_eq!(error, WireError::OutOfOrder("patch"));
    }
    let long = write(&vec![0; MAX_ENTRY_KEY_BYTES + 1]);
    let error = peer_error(Body::Accept(accept(1, decree_of(vec![long]))));
    assert!(matches!(error, WireError::TooLarge { field: "key", .. }), "{error}");
    let mut large = write(b"a");
    large.value = Some(Bytes::from(vec![0; MAX_ENTRY_VALUE_BYTES + 1]));
    let error = peer_error(Body::Accept(accept(1, decree_of(vec![large]))));
    assert!(matches!(error, WireError::TooLarge { field: "value", .. }), "{error}");
}

/// An acceptor sends the patch again, together with a page: the message would not fit into a frame.
#[test]
fn patches_that_leave_no_room_for_a_page_are_rejected() {
    let value = Bytes::from(vec![0; MAX_ENTRY_VALUE_BYTES]);
    let large = |key: u8| peer::Write { value: Some(value.clone()), ..write(&[key]) };
    let count = u8::try_from(MAX_PATCH_BYTES / MAX_ENTRY_VALUE_BYTES).expect("a few");
    let writes = (0..=count).map(large).collect();
    let error = peer_error(Body::Accept(accept(1, decree_of(writes))));
    assert!(matches!(error, WireError::TooLarge { field: "patch", .. }), "{error}");
}

#[test]
fn pages_that_are_out_of_order_are_rejected() {
    let out_of_order = WireError::OutOfOrder("page");
    let descending = vec![entry(b"b", 1), entry(b"a", 1)];
    assert_eq!(page_error(None, descending, b""), out_of_order);
    let repeated = vec![entry(b"a", 1), entry(b"a", 2)];
    assert_eq!(page_error(None, repeated, b""), out_of_order);
    assert_eq!(page_error(Some(b"a"), vec![entry(b"a", 1)], b""), out_of_order);
    assert_eq!(page_error(None, vec![entry(b"c", 1)], b"b"), out_of_order);
    assert_eq!(page_error(Some(b"c"), vec![], b"b"), out_of_order);
}

#[test]
fn entries_copies_and_floors_out_of_range_are_rejected() {
    assert_eq!(page_error(None, vec![entry(b"a", 0)], b""), out_of_range("version", 0));
    let mut page = repair_page(None, peer::Page::default());
    page.copy.mut_or_insert_default().base = 10;
    assert_eq!(peer_error(Body::RepairPage(page)), out_of_range("copy.base", 10));
    let mut page = repair_page(None, peer::Page::default());
    page.copy.mut_or_insert_default().floor = 10;
    assert_eq!(peer_error(Body::RepairPage(page)), out_of_range("floor", 10));
    let mut page = repair_page(None, peer::Page::default());
    page.page = None;
    assert_eq!(peer_error(Body::RepairPage(page)), WireError::Missing("page"));
    let promise = peer::Promise {
        ballot: some_ballot(),
        complete: 4,
        floor: 5,
        page: Some(Bytes::new()),
        ..Default::default()
    };
    assert_eq!(peer_error(Body::Promise(promise)), out_of_range("floor", 5));
}

#[test]
fn repairs_with_too_many_patches_or_past_the_last_slot_are_rejected() {
    let repair = |first, count| peer::RepairPatches {
        ballot: some_ballot(),
        first,
        decrees: vec![Bytes::new(); count],
        ..Default::default()
    };
    let error = peer_error(Body::RepairPatches(repair(1, MAX_PATCHES_PER_REPAIR + 1)));
    assert!(matches!(error, WireError::TooLarge { field: "decrees", .. }), "{error}");
    let error = peer_error(Body::RepairPatches(repair(NUMBERS_BELOW - 1, 1)));
    assert_eq!(error, out_of_range("first", NUMBERS_BELOW));
}

#[test]
fn introductions_with_bad_addresses_or_too_many_are_rejected() {
    let introduction = |address: &str| peer::Introduction {
        address: address.to_owned(),
        node: 1,
        ..Default::default()
    };
    for text in ["", "localhost", "127.0.0.1:50051", "1.2.3", "::1%lo"] {
        let error = peer_error(Body::Introduction(introduction(text)));
        let text = text.to_owned();
        assert_eq!(error, WireError::BadAddress { field: "address", text });
    }
    let mut many = introduction("::1");
    many.listed = vec!["::1".to_owned(); MAX_NODES + 1];
    let error = peer_error(Body::Introduction(many));
    assert!(matches!(error, WireError::TooLarge { field: "listed", .. }), "{error}");
    let mut without_id = introduction("::1");
    without_id.node = 0;
    assert_eq!(peer_error(Body::Introduction(without_id)), out_of_range("node", 0));
}

#[test]
fn greetings_of_another_version_or_without_a_role_are_refused() {
    let version = PROTOCOL_VERSION + 1;
    let role = Some(hello::hello::Role::Client(hello::ClientHello::default()));
    let other = hello::Hello { version, role, ..Default::default() };
    let refusal = decode_hello(&bytes(&other)).expect_err("refused");
    assert_eq!(refusal.reason, Reason::UnknownVersion);
    let none = hello::Hello { version: PROTOCOL_VERSION, ..Default::default() };
    for bytes in [bytes(&none), vec![0xff; 8]] {
        assert_eq!(decode_hello(&bytes).expect_err("refused").reason, Reason::Malformed);
    }
}

#[test]
fn nonces_proofs_and_tokens_of_a_wrong_size_are_rejected() {
    let hello = |role| {
        let hello =
            hello::Hello { version: PROTOCOL_VERSION, role: Some(role), ..Default::default() };
        bytes(&hello)
    };
    let answer = |answer| {
        let version = PROTOCOL_VERSION;
        bytes(&hello::Welcome { version, answer: Some(answer), ..Default::default() })
    };
    for size in [0, 31, 33, 4096] {
        let wrong = |field| WireError::WrongSize { field, size, expected: 32 };
        let (short, whole) = (Bytes::from(vec![1; size]), Bytes::from(vec![1; 32]));
        let address = "::1".to_owned();
        let auth_hello = hello::AuthHello { nonce: short.clone(), address, ..Default::default() };
        let refusal = decode_hello(&hello(hello::hello::Role::AuthHello(auth_hello)));
        assert_eq!(refusal, Err(Refusal::malformed(&wrong("nonce"))));
        let challenge =
            hello::Challenge { nonce: whole, proof: short.clone(), ..Default::default() };
        let challenge = decode_challenge(&answer(hello::welcome::Answer::Challenge(challenge)));
        assert_eq!(challenge, Err(wrong("proof")));
        let signed = hello::Signed { proof: short, ..Default::default() };
        let refusal = decode_signed_hello(&hello(hello::hello::Role::Signed(signed.clone())));
        assert_eq!(refusal, Err(Refusal::malformed(&wrong("proof"))));
        let welcome = decode_signed_welcome(&answer(hello::welcome::Answer::Signed(signed)));
        assert_eq!(welcome, Err(wrong("proof")));
    }
    let token = Bytes::from(vec![b't'; MAX_SECRET_BYTES + 1]);
    let client = hello::ClientHello { token, ..Default::default() };
    let refusal = decode_hello(&hello(hello::hello::Role::Client(client))).expect_err("refused");
    assert_eq!(refusal.reason, Reason::Malformed);
}

#[test]
fn a_refusal_is_understood_from_any_version() {
    let refusal = hello::Refusal {
        reason: EnumOrUnknown::from_i32(99),
        message: "later".to_owned(),
        ..Default::default()
    };
    let answer = Some(hello::welcome::Answer::Refusal(refusal));
    let welcome = hello::Welcome { version: 7, answer, ..Default::default() };
    let refusal = decode_welcome(&bytes(&welcome)).expect("decoded").expect_err("refused");
    assert_eq!((refusal.reason, refusal.message.as_str()), (Reason::Unknown, "later"));
    let admitted = hello::Admitted { node: 1, ..Default::default() };
    let answer = Some(hello::welcome::Answer::Admitted(admitted));
    let welcome = hello::Welcome { version: 7, answer, ..Default::default() };
    assert_eq!(decode_welcome(&bytes(&welcome)), Err(WireError::UnknownVersion(7)));
}

#[test]
fn requests_that_break_a_rule_keep_their_id() {
    let rejected = |request: client::Request| {
        let error = decode_request(&bytes(&request)).expect_err("rejected");
        (error.id, error.error)
    };
    let empty = |id| client::Request { id, ..Default::default() };
    assert_eq!(rejected(empty(0)), (None, out_of_range("id", 0)));
    assert_eq!(rejected(empty(7)), (Some(7), WireError::Missing("body")));
    let execute = |session: client::SessionNumber, value| {
        let mut execute = client::Execute { session: Some(session).into(), ..Default::default() };
        execute.params.insert("p".to_owned(), value);
        let body = Some(client::request::Body::Execute(execute));
        client::Request { id: 7, body, ..Default::default() }
    };
    let fine = client::SessionNumber { number: 1, ..Default::default() };
    let no_kind = execute(fine.clone(), client::Value::default());
    assert_eq!(rejected(no_kind), (Some(7), WireError::Missing("params")));
    let kind = Some(client::value::Kind::Truth(true));
    let value = client::Value { kind, ..Default::default() };
    for (number, answered_below, error) in [
        (0, 0, out_of_range("session.number", 0)),
        (u64::MAX, 0, out_of_range("session.number", u64::MAX)),
        (2, 3, out_of_range("session.answered_below", 3)),
    ] {
        let session = client::SessionNumber { number, answered_below, ..fine.clone() };
        assert_eq!(rejected(execute(session, value.clone())), (Some(7), error));
    }
}

#[test]
fn a_request_that_is_too_large_for_a_frame_is_not_encoded() {
    let program = "x".repeat(MAX_REQUEST_FRAME_BYTES);
    let body = RequestBody::Execute { program, params: Default::default(), session: None };
    let error = encode_request(&ClientRequest { id: 1, timeout_ms: 0, body });
    assert!(matches!(error, Err(WireError::TooLarge { field: "request", .. })));
}

#[test]
fn an_answer_that_is_too_large_for_a_frame_says_that_the_transaction_ran() {
    let position = Position { slot: Slot(3), place: 2 };
    let value = Value::from(vec![b'x'; MAX_RESPONSE_FRAME_BYTES]);
    let values = [(Value::from("k"), value)].into();
    let mut frame = Vec::new();
    encode_response(5, ClientOutcome::Read { values, returned: None, position }, &mut frame);
    let response = decode_response(payload(&frame)).expect("decoded");
    assert_eq!(response.outcome, ClientOutcome::AnswerNotKept { position });
}

#[test]
fn the_overhead_of_an_entry_is_within_its_bound() {
    let page = |entries| {
        let (ballot, after) = (Ballot { round: 1, node: NodeId(1) }, Key::from(""));
        encode_peer(&Message::Candidate(ToCandidate::PromisePage(PromisePage {
            ballot,
            after,
            page: Page { entries, next: None },
        })))
    };
    let key = Key::new(&[1; MAX_ENTRY_KEY_BYTES]);
    let value = Value::from(vec![2; MAX_ENTRY_VALUE_BYTES]);
    let size = key.len() + value.len();
    let entry = Entry { value: Some(value), version: Slot(NUMBERS_BELOW - 1) };
    let overhead = page(vec![(key, entry)]).len() - page(vec![]).len() - size;
    assert!(overhead <= ENTRY_OVERHEAD_BYTES + 4, "{overhead} bytes, with the length of the page");
}

#[test]
#[should_panic(expected = "above its bound")]
fn encoding_a_message_that_is_too_large_for_a_frame_panics() {
    let value = Value::from(vec![0; MAX_ENTRY_VALUE_BYTES]);
    let patch = Patch::new([(Key::from(""), Some(value))].into());
    let patch = Arc::new(patch);
    let decrees = vec![patch.into(); 9];
    let ballot = Ballot { round: 1, node: NodeId(1) };
    encode_peer(&Message::Acceptor(ToAcceptor::RepairPatches(RepairPatches {
        ballot,
        first: Slot(1),
        decrees,
    })));
}

#[test]
fn a_request_with_too_many_parameters_is_rejected() {
    let request = |count: usize| {
        let params = (0..count).map(|number| (format!("p{number}"), ""));
        let params = params.collect();
        let body = RequestBody::Execute { program: String::new(), params, session: None };
        encode_request(&ClientRequest { id: 7, timeout_ms: 0, body }).expect("small enough")
    };
    let allowed = request(MAX_REQUEST_PARAMETERS);
    assert_eq!(decode_request(payload(&allowed)).expect("the number is allowed").id, 7);
    let error = decode_request(payload(&request(MAX_REQUEST_PARAMETERS + 1)));
    let RequestError { id, error } = error.expect_err("rejected");
    assert!(matches!(error, WireError::TooLarge { field: "params", .. }), "{error}");
    assert_eq!(id, Some(7));
}

/// The generated code decodes these requests, and an unknown field takes much more in memory than
/// on the wire.
#[test]
fn a_large_request_other_than_a_program_is_rejected() {
    let request = |size: usize| {
        let mut bytes = vec![0x08, 7, 0x2a, 0];
        put_bytes(&mut bytes, 100, &vec![0; size]);
        decode_request(&bytes)
    };
    assert!(request(MAX_OTHER_REQUEST_BYTES - 100).is_ok());
    let RequestError { id, error } = request(MAX_OTHER_REQUEST_BYTES).expect_err("rejected");
    assert!(matches!(error, WireError::TooLarge { field: "request", .. }), "{error}");
    assert_eq!(id, Some(7));
}

#[test]
fn requests_with_invalid_text_or_cut_off_fields_keep_their_id() {
    let text = |field, bytes: &[u8]| {
        let mut out = Vec::new();
        put_bytes(&mut out, field, bytes);
        out
    };
    let value = text(2, &text(1, &[0xff]));
    let not_text = [text(3, &text(1, &[0xff])), text(3, &text(3, &value))];
    for body in not_text.into_iter().chain([text(3, &[0x08]), text(4, &[0x08, 0x80])]) {
        let error = decode_request(&[&[0x08, 7], &body[..]].concat()).expect_err("rejected");
        assert!(matches!(error.error, WireError::Malformed(_)), "{error}");
        assert_eq!(error.id, Some(7));
    }
}

#[test]
fn a_message_with_too_many_fields_is_rejected() {
    let patch = decree_of(vec![peer::Write::default(); MAX_PEER_FIELDS]);
    let error = peer_error(Body::Accept(accept(1, patch)));
    assert!(matches!(error, WireError::TooLarge { field: "fields", .. }), "{error}");
}

#[test]
fn groups_and_cut_off_fields_are_rejected() {
    let deep_groups = [0x0b].repeat(100_000);
    let overlong_varint = [&[0x08][..], &[0x80; 10], &[1]].concat();
    for bytes in [&deep_groups[..], &overlong_varint, &[0x08], &[0x1a, 5, 0], &[0x09, 1, 2]] {
        assert!(matches!(decode_peer(bytes), Err(WireError::Malformed(_))));
        let error = decode_request(bytes).expect_err("rejected").error;
        assert!(matches!(error, WireError::Malformed(_)), "{error}");
    }
}
