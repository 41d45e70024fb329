//! Attacks by connections: too many, silent, slow, or closed at a bad moment.

use std::thread;

use lattistore::lang::Value;
use lattistore::wire::{ClientOutcome, Reason, RequestBody, Role, encode_hello};

use crate::raw::{Raw, execute, request};
use crate::support::eventually;
use crate::table::{Case, settings};

pub(crate) const CASES: &[Case] = &[
    ("more connections than may wait for a greeting", |t| {
        let max = settings().max_ungreeted_per_address;
        let mut refused = 0;
        let held: Vec<Raw> = (0..max + 8).map(|_| t.silent()).collect();
        for mut raw in held {
            // Connections above the limit are rejected at once, the others after the greeting
            // timeout.
            let reason = raw.welcome().unwrap_err().reason;
            refused += usize::from(reason == Reason::TooManyConnections);
            raw.wait_for_end();
        }
        assert!(refused > 0);
    }),
    ("more clients than the limit", |t| {
        let mut held = Vec::new();
        let refusal = (0..2 * settings().max_clients).find_map(|_| {
            let mut raw = t.silent();
            raw.send(&encode_hello(&Role::Client { token: None }));
            let answer = raw.welcome();
            held.push(raw);
            answer.err()
        });
        assert_eq!(refusal.unwrap().reason, Reason::TooManyConnections);
        // Clients that were admitted are served.
        assert!(matches!(held[0].ask(RequestBody::Status), ClientOutcome::Status(_)));
    }),
    ("connections that come and go", |t| {
        for _ in 0..300 {
            drop(t.silent());
        }
    }),
    ("answers that are never read", |t| {
        let mut raw = t.client();
        let value = "x".repeat(1 << 20);
        raw.ask(execute("put \"large\" $v;", &[("v", &value)]));
        let mut raw = t.client();
        for id in 1..=100 {
            raw.send(&request(id, 0, execute("get \"large\";", &[])));
        }
        // The node closes the connection, but the answers in the buffers of the system are still
        // there.
        eventually("the end of the connection", || {
            let sent = std::io::Write::write_all(&mut raw.0, &request(1, 0, RequestBody::Status));
            sent.is_err().then_some(())
        });
        t.client().run("delete \"large\";");
    }),
    ("a pipeline that is reset", |t| {
        for _ in 0..20 {
            let mut raw = t.client();
            for id in 1..=100 {
                raw.send(&request(id, 0, execute("put \"reset\" \"1\";", &[])));
            }
            // Closing a connection with unread answers resets it.
            assert!(raw.0.peek(&mut [0]).unwrap() > 0);
        }
    }),
    ("a pipeline that is half-closed", |t| {
        let mut raw = t.client();
        for id in 1..=300 {
            raw.send(&request(id, 0, execute("put \"half\" \"1\";", &[])));
        }
        raw.half_close();
        for _ in 1..=300 {
            assert!(matches!(raw.answer().1, ClientOutcome::Read { .. }));
        }
        raw.wait_for_end();
    }),
    ("a request that stalls", |t| {
        let mut raw = t.client();
        let bytes = request(7, 0, RequestBody::Status);
        raw.send(&bytes[..bytes.len() - 1]);
        raw.expect_error_and_end();
    }),
    ("large requests that stall", |t| {
        let value = "x".repeat(1 << 20);
        let bytes = request(7, 0, execute("return len($v);", &[("v", &value)]));
        thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    let mut raw = t.client();
                    raw.send(&bytes[..bytes.len() - 1]);
                    raw.expect_error_and_end();
                });
            }
        });
    }),
    ("large requests that are complete", |t| {
        let value = "x".repeat(1 << 20);
        let bytes = request(7, 0, execute("return len($v);", &[("v", &value)]));
        let mut raw = t.client();
        let mut served = 0;
        // Answers are read concurrently: otherwise both sides would wait for each other.
        thread::scope(|scope| {
            let mut sender = Raw(raw.0.try_clone().unwrap());
            scope.spawn(move || (0..60).for_each(|_| sender.send(&bytes)));
            for _ in 0..60 {
                match raw.answer().1 {
                    ClientOutcome::Read { returned, .. } => {
                        assert_eq!(returned, Some(Value::from(1 << 20)));
                        served += 1;
                    }
                    outcome => assert_eq!(outcome, ClientOutcome::TooManyRequests),
                }
            }
        });
        assert!(served > 0);
    }),
];
