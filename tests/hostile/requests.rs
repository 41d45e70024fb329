//! Attacks by requests of a client that was admitted.

use lattistore::kv::SessionNumber;
use lattistore::lang::Params;
use lattistore::limits::MAX_REQUEST_FRAME_BYTES;
use lattistore::lpaxos::{Message, Progress, Slot, ToLeader};
use lattistore::wire::{ClientOutcome, RequestBody, encode_peer};

use crate::raw::{Raw, Target, execute, number, part, request, varint};
use crate::table::Case;

pub(crate) const CASES: &[Case] = &[
    ("the longest length", |t| rejected(t, &[0xff; 4])),
    ("one byte too many", |t| {
        let length = u32::try_from(MAX_REQUEST_FRAME_BYTES + 1).unwrap();
        rejected(t, &length.to_be_bytes());
    }),
    ("a frame of no bytes", |t| rejected(t, &[0; 4])),
    ("a truncated request", |t| {
        let bytes = request(7, 0, execute("get \"a\";", &[]));
        for end in 1..bytes.len() {
            let mut raw = t.client();
            raw.send(&bytes[..end]);
            raw.half_close();
            raw.wait_for_end();
        }
    }),
    ("id 0", |t| rejected(t, &request(0, 0, RequestBody::Status))),
    ("no body", |t| t.client().bad_request(&number(1, 7))),
    ("an unknown body", |t| {
        t.client().bad_request(&[number(1, 7), part(99, b"x")].concat());
    }),
    ("overlong numbers", |t| {
        let overlong = [number(1, 7), varint(2 << 3), vec![0xff; 10], vec![1]].concat();
        rejected(t, &crate::raw::frame(&overlong));
    }),
    ("a program that is not text", |t| {
        let body = part(3, &part(1, b"get \"\xff\xfe\";"));
        t.client().bad_request(&[number(1, 7), body].concat());
    }),
    ("deep groups", |t| {
        let groups = varint(20 << 3 | 3).repeat(100_000);
        rejected(t, &crate::raw::frame(&[number(1, 7), groups].concat()));
    }),
    ("messages in messages", |t| {
        let mut deep = Vec::new();
        for _ in 0..2_000 {
            deep = part(3, &deep);
        }
        // No message contains a field of its own kind, so the inner ones are read as bytes.
        let mut raw = t.client();
        raw.send_frame(&[number(1, 7), deep].concat());
        raw.answer();
    }),
    ("many empty elements", |t| {
        let elements = part(3, b"").repeat(500_000);
        let body = part(3, &elements);
        t.client().bad_request(&[number(1, 7), body].concat());
    }),
    ("unknown fields", |t| {
        let fields = number(99, 1).repeat(10_000);
        let mut raw = t.client();
        raw.send_frame(&[number(1, 7), fields, part(5, b"")].concat());
        assert!(matches!(raw.answer(), (7, ClientOutcome::Status(_))));
    }),
    ("more unknown fields than a request may have", |t| {
        let fields = number(99, 1).repeat(400_000);
        t.client().bad_request(&[number(1, 7), fields, part(5, b"")].concat());
    }),
    ("many unknown fields with a program", |t| {
        let fields = number(99, 1).repeat(400_000);
        let body = part(3, &part(1, b"return 1;"));
        let mut raw = t.client();
        raw.send_frame(&[number(1, 7), fields, body].concat());
        assert!(matches!(raw.answer(), (7, ClientOutcome::Read { returned: Some(_), .. })));
    }),
    ("a parameter named twice", |t| {
        let param = |value| part(3, &[part(1, b"v"), part(2, &part(1, value))].concat());
        let program = part(1, b"return $v;");
        let body = part(3, &[program, param(b"1"), param(b"2")].concat());
        let mut raw = t.client();
        raw.send_frame(&[number(1, 7), body].concat());
        assert!(matches!(raw.answer(), (7, ClientOutcome::Read { returned: Some(_), .. })));
    }),
    ("a parameter without a value", |t| {
        let param = part(3, &[part(1, b"v"), part(2, b"")].concat());
        let body = part(3, &[part(1, b"return $v;"), param].concat());
        t.client().bad_request(&[number(1, 7), body].concat());
    }),
    ("the shortest and the longest timeout", |t| {
        let mut raw = t.client();
        for timeout_ms in [0, 1, u32::MAX] {
            raw.send(&request(7, timeout_ms, execute("put \"t\" \"1\";", &[])));
            let (_, outcome) = raw.answer();
            let in_time = matches!(outcome, ClientOutcome::Read { .. });
            assert!(in_time || timeout_ms == 1, "{timeout_ms}: {outcome:?}");
        }
    }),
    ("the same id twice", |t| {
        let mut raw = t.client();
        raw.send(&request(7, 0, RequestBody::Status).repeat(2));
        assert_eq!((raw.answer().0, raw.answer().0), (7, 7));
    }),
    ("a deeply nested program", |t| {
        for open in ["(", "!", "get ", "if a {", "-", "len(", "x = ("] {
            does_not_compile(t, &open.repeat(60_000 / open.len()));
        }
    }),
    ("a long program", |t| {
        does_not_compile(t, &";".repeat(64 * 1024 + 1));
        ran(t, &";".repeat(64 * 1024));
        ran(t, &format!("x = \"b\"{};", " + \"b\"".repeat(8_000)));
    }),
    ("texts that double", |t| {
        failed(t, &format!("x = \"b\"; {} put \"a\" x;", "x = x + x; ".repeat(60)));
    }),
    ("loops in loops, a million keys in one transaction", |t| {
        let keys: String = (0..50).map(|n| format!("put \"loop/{n}\" \"\";")).collect();
        ran(t, &keys);
        let nest = |inside: &str| {
            let loops = ["a", "b", "c", "d"].map(|k| format!("for {k}, v in scan \"loop/\" {{ "));
            format!("{}{inside}{}", loops.concat(), "} ".repeat(4))
        };
        failed(t, &nest("x = x;"));
        failed(t, &nest("put \"k/\" + a + b + c + d \"\";"));
        ran(t, "for k, v in scan \"loop/\" { delete k; }");
    }),
    ("the empty key", |t| ran(t, "put \"\" \"\"; get \"\"; delete \"\";")),
    ("a huge key", |t| {
        let outcome = t.client().ask(execute("put $k \"\";", &[("k", &"k".repeat(4097))]));
        assert!(matches!(outcome, ClientOutcome::RuntimeError(_)), "{outcome:?}");
    }),
    ("a huge value", |t| {
        let value = "v".repeat((1 << 20) + 1);
        let outcome = t.client().ask(execute("put \"a\" $v;", &[("v", &value)]));
        assert!(!matches!(outcome, ClientOutcome::Read { .. }), "{outcome:?}");
    }),
    ("a parameter that is a program", |t| {
        let outcome = t.client().ask(execute("put \"p\" $v;", &[("v", "\"; delete \"before\";")]));
        assert!(matches!(outcome, ClientOutcome::Read { .. }), "{outcome:?}");
    }),
    ("sessions that never existed", |t| {
        for session in [0, u64::MAX, 1 << 40] {
            let outcome = numbered(&mut t.client(), "put \"s\" \"1\";", session, 1, 0);
            assert_eq!(outcome, ClientOutcome::SessionExpired);
        }
    }),
    ("windows of 0 and of the highest number", |t| {
        for window in [0, u32::MAX] {
            assert!(open(&mut t.client(), window).1 >= 1);
        }
    }),
    ("impossible numbers", |t| {
        let mut raw = t.client();
        let (session, _) = open(&mut raw, 4);
        for (number, answered_below) in [(0, 0), (u64::MAX, 0), (1 << 62, 0), (1, 2), (1, u64::MAX)]
        {
            let outcome = numbered(&mut raw, "put \"s\" \"1\";", session, number, answered_below);
            assert!(matches!(outcome, ClientOutcome::BadRequest(_)), "{number}: {outcome:?}");
        }
    }),
    ("a number that is used again with another program", |t| {
        let mut raw = t.client();
        let (session, _) = open(&mut raw, 4);
        let first = numbered(&mut raw, "put \"s\" \"1\"; return \"one\";", session, 1, 0);
        let again = numbered(&mut raw, "delete \"before\"; return \"two\";", session, 1, 0);
        assert_eq!(first, again);
    }),
    ("a number outside of the window", |t| {
        let mut raw = t.client();
        let (session, window) = open(&mut raw, 4);
        numbered(&mut raw, "put \"s\" \"1\";", session, 1, 0);
        let outcome = numbered(&mut raw, "put \"s\" \"2\";", session, 1 + u64::from(window), 0);
        assert!(matches!(outcome, ClientOutcome::NumberOutsideWindow(_)), "{outcome:?}");
    }),
    ("a peer's message from a client", |t| {
        let message =
            Message::Leader(ToLeader::Progress(Progress { ballot: t.ballot, complete: Slot(9) }));
        let mut raw = t.client();
        raw.send(&encode_peer(&message));
        raw.wait_for_end();
    }),
    ("an answer from a client", |t| {
        let mut frame = Vec::new();
        lattistore::wire::encode_response(7, ClientOutcome::TooManyRequests, &mut frame);
        let mut raw = t.client();
        raw.send(&frame);
        // Its id is read as that of a request without a body.
        assert!(matches!(raw.answer(), (7 | 0, ClientOutcome::BadRequest(_))));
    }),
];

/// Sends bytes as a client; the node must say what is wrong and close the connection.
fn rejected(target: &Target, bytes: &[u8]) {
    let mut raw = target.client();
    raw.send(bytes);
    raw.expect_error_and_end();
}

fn does_not_compile(target: &Target, program: &str) {
    let outcome = target.client().run(program);
    assert!(matches!(outcome, ClientOutcome::CompileError(_)), "{outcome:?}");
}

fn failed(target: &Target, program: &str) {
    let outcome = target.client().run(program);
    assert!(matches!(outcome, ClientOutcome::RuntimeError(_)), "{outcome:?}");
}

fn ran(target: &Target, program: &str) {
    let outcome = target.client().run(program);
    assert!(matches!(outcome, ClientOutcome::Read { .. }), "{outcome:?}");
}

fn open(raw: &mut Raw, window: u32) -> (u64, u32) {
    match raw.ask(RequestBody::OpenSession { window }) {
        ClientOutcome::SessionOpened { session, window, .. } => (session, window),
        outcome => panic!("{outcome:?}"),
    }
}

fn numbered(
    raw: &mut Raw,
    program: &str,
    session: u64,
    number: u64,
    answered_below: u64,
) -> ClientOutcome {
    let session = Some(SessionNumber { session, number, answered_below });
    let (program, params) = (program.to_owned(), Params::new());
    raw.ask(RequestBody::Execute { program, params, session })
}
