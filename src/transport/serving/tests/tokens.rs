//! Tokens of clients.

use std::path::Path;

use super::*;
use crate::security::{Token, Tokens};
use crate::transport::GreetError;
use crate::wire::Reason;

/// A file with the token "abc".
const FILE: &str = "[[client]]\nname = \"reports\"\nrole = \"read-only\"\n\
     sha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n";

fn asking() -> Running {
    start_with(loopback(), 1, settings(), knowing(FILE))
}

/// Returns security settings with the tokens of this file.
fn knowing(file: &str) -> Security {
    let client_tokens = Tokens::parse_file(Path::new("tokens"), file.as_bytes());
    Security { client_tokens: Some(client_tokens.expect("tokens")), ..Security::default() }
}

fn role(token: &str) -> Role {
    Role::Client { token: Some(Token::new(token)) }
}

#[test]
fn a_client_with_a_token_is_admitted_with_its_rights() {
    let running = asking();
    let mut client = Client::greet(running.address(), &role("abc"));
    client.ask(1);
    running.request().1.send(said("served"));
    assert_eq!(client.answer(), answer_to(1, "served"));
    assert_eq!(*running.node.rights.lock(), Some(Rights::ReadOnly));
    // A node that asks for no tokens gives all rights.
    let open = start(settings());
    let mut client = open.client();
    client.ask(1);
    open.request().1.send(said("served"));
    assert_eq!(*open.node.rights.lock(), Some(Rights::ReadWrite));
}

#[test]
fn a_client_without_a_known_token_is_refused() {
    let running = asking();
    for (role, says) in [
        (Role::Client { token: None }, "--token-file"),
        (role("abd"), "does not know"),
        (role("ab"), "does not know"),
        (role(&"a".repeat(4096)), "does not know"),
    ] {
        let stream = Stream::connect(running.address(), FOREVER).expect("connected");
        match greet(&stream, &role, FOREVER).expect_err("refused") {
            GreetError::Refused(refusal) => {
                assert_eq!(refusal.reason, Reason::NotAuthorized);
                assert!(refusal.message.contains(says), "{refusal}");
            }
            other => panic!("{other}"),
        }
    }
    assert!(running.requests.is_empty());
}

#[test]
fn a_client_whose_token_is_removed_or_reduced_is_disconnected() {
    let may_write = FILE.replace("read-only", "read-write");
    let other = FILE.replace("ba78", "0000");
    for (before, after) in [(FILE, &other[..]), (&may_write, FILE)] {
        let running = start_with(loopback(), 1, settings(), knowing(before));
        let mut client = Client::greet(running.address(), &role("abc"));
        client.ask(1);
        let (_, reply) = running.request();
        let handle = running.transport.security_handle();
        let waiting = std::thread::spawn({
            let security = knowing(after);
            move || handle.set(security)
        });
        // The earlier request is answered, if that does not take long.
        reply.send(said("served"));
        assert_eq!(client.answer(), answer_to(1, "served"));
        client.wait_for_end();
        waiting.join().expect("no panic");
        assert!(running.requests.is_empty());
        while !running.transport.shared.access.is_empty() {
            std::thread::yield_now();
        }
    }
}

/// The client neither reads its answers nor ends: only closing the connection ends it.
#[test]
fn a_client_that_waits_for_an_answer_is_disconnected_too() {
    let settings = Settings { revoked_client_time: Duration::ZERO, ..settings() };
    let running = start_with(loopback(), 1, settings, knowing(FILE));
    let mut client = Client::greet(running.address(), &role("abc"));
    client.ask(1);
    let (_, reply) = running.request();
    running.transport.security_handle().set(knowing(&FILE.replace("ba78", "0000")));
    client.wait_for_end();
    // It is forgotten with its connection, whether it is answered or not.
    reply.send(said("too late"));
}

#[test]
fn a_client_whose_token_keeps_its_rights_stays_connected() {
    let running = asking();
    let mut client = Client::greet(running.address(), &role("abc"));
    let more = FILE.to_owned() + &FILE.replace("reports", "other").replace("ba78", "0000");
    for file in [&more, &FILE.replace("read-only", "read-write"), &FILE.replace("reports", "new")] {
        running.transport.security_handle().set(knowing(file));
        client.ask(1);
        running.request().1.send(said("served"));
        assert_eq!(client.answer(), answer_to(1, "served"));
    }
    // Its rights are still those from when it connected.
    assert_eq!(*running.node.rights.lock(), Some(Rights::ReadOnly));
}
