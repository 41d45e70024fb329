//! Tokens of clients.

use super::*;
use crate::security::{Token, Tokens};
use crate::transport::GreetError;
use crate::wire::Reason;

/// Knows the token "abc".
const FILE: &str = "[[client]]\nname = \"reports\"\nrole = \"read-only\"\n\
     sha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n";

fn asking() -> Running {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), FILE).expect("a file");
    let client_tokens = Some(Tokens::read(file.path()).expect("tokens"));
    start_with(loopback(), 1, settings(), Security { client_tokens, ..Security::default() })
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
