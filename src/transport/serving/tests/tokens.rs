//! Tokens of clients.

use std::path::Path;

use super::*;
use crate::security::{Token, Tokens};
use crate::transport::GreetError;
use crate::wire::Reason;

/// Knows the token "abc".
const FILE: &str = "[[client]]\nname = \"reports\"\nrole = \"read-only\"\n\
     sha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n";

fn asking() -> Running {
    start_with(loopback(), 1, settings(), knowing(FILE))
}

/// What asks for the tokens of this file.
fn knowing(file: &str) -> Security {
    let client_tokens = Tokens::parse_file(Path::new("tokens"), file.as_bytes());
    Security { client_tokens: Some(client_tokens.expect("tokens")), ..Security::default() }
}

fn role(token: &str) -> Role {
    Role::Client { token: Some(Token::new(token)) }
}

#[test]
fn a_client_with_a_token_is_let_in_with_its_rights() {
    let running = asking();
    let mut client = Client::greet(running.address(), &role("abc"));
    client.ask(1);
    running.request().1.send(said("served"));
    assert_eq!(client.answer(), answer_to(1, "served"));
    assert_eq!(*running.node.rights.lock(), Some(Rights::ReadOnly));
    // Who asks for none gives all rights.
    let open = start(settings());
    let mut client = open.client();
    client.ask(1);
    open.request().1.send(said("served"));
    assert_eq!(*open.node.rights.lock(), Some(Rights::ReadWrite));
}

#[test]
fn a_client_without_one_or_with_another_is_not_let_in() {
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
fn a_client_whose_token_is_gone_or_may_do_less_is_put_out() {
    let may_write = FILE.replace("read-only", "read-write");
    let other = FILE.replace("ba78", "0000");
    for (before, after) in [(FILE, &other[..]), (&may_write, FILE)] {
        let running = start_with(loopback(), 1, settings(), knowing(before));
        let mut client = Client::greet(running.address(), &role("abc"));
        client.ask(1);
        let (_, reply) = running.request();
        let doorkeeper = running.transport.doorkeeper();
        let waiting = std::thread::spawn({
            let security = knowing(after);
            move || doorkeeper.set(security)
        });
        // What it asked before is answered, if that does not take long.
        reply.send(said("served"));
        assert_eq!(client.answer(), answer_to(1, "served"));
        client.wait_for_end();
        waiting.join().expect("no panic");
        assert!(running.requests.is_empty());
        while !running.transport.shared.admitted.is_empty() {
            std::thread::yield_now();
        }
    }
}

/// It neither reads its answers nor ends: nothing but closing the connection ends it.
#[test]
fn a_client_that_waits_for_an_answer_does_not_stay_longer() {
    let settings = Settings { put_out_time: Duration::ZERO, ..settings() };
    let running = start_with(loopback(), 1, settings, knowing(FILE));
    let mut client = Client::greet(running.address(), &role("abc"));
    client.ask(1);
    let (_, reply) = running.request();
    running.transport.doorkeeper().set(knowing(&FILE.replace("ba78", "0000")));
    client.wait_for_end();
    // It is known no more than its connection is there, whether it is answered or not.
    reply.send(said("late"));
}

#[test]
fn a_client_whose_token_may_do_as_much_stays() {
    let running = asking();
    let mut client = Client::greet(running.address(), &role("abc"));
    let more = FILE.to_owned() + &FILE.replace("reports", "other").replace("ba78", "0000");
    for file in [&more, &FILE.replace("read-only", "read-write"), &FILE.replace("reports", "new")] {
        running.transport.doorkeeper().set(knowing(file));
        client.ask(1);
        running.request().1.send(said("served"));
        assert_eq!(client.answer(), answer_to(1, "served"));
    }
    // What it may do is that of when it came.
    assert_eq!(*running.node.rights.lock(), Some(Rights::ReadOnly));
}
