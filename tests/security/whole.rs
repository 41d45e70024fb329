//! A cluster that asks for everything serves, through failures, who may ask.

use std::time::Duration;

use lattistore::Client;
use lattistore::client::internals::Connection;
use lattistore::client::{Cause, ClientTls, Error, Position, Slot, Token, Value};
use lattistore::kv::NO_SESSION;
use lattistore::wire::Reason;
use lattistore::wire::{ClientOutcome, RequestBody};

use crate::authority::Authority;
use crate::fleet::clients::{Clients, Load};
use crate::fleet::{hold, while_disturbed};
use crate::fort::{Fort, READER, STRANGER, WRITER};
use crate::support::PATIENCE;

const NO_PARAMS: [(&str, Value); 0] = [];
const SHORT: Duration = Duration::from_millis(200);

#[test]
fn the_cluster_serves_through_the_loss_of_its_leader_and_takes_it_back() {
    let mut fort = Fort::started(3);
    let client = fort.fleet.client();
    client.put("a", "1").unwrap();
    let leader = fort.fleet.leader();
    fort.fleet.kill(leader);
    client.put("a", "2").unwrap();
    assert_eq!(client.get("a").unwrap().as_deref(), Some("2"));
    fort.fleet.start(leader);
    fort.fleet.wait_until_caught_up(leader);
    for node in 0..fort.fleet.len() {
        fort.fleet.stop(node);
        client.put("a", &node.to_string()).unwrap();
        fort.fleet.start(node);
        fort.fleet.wait_until_caught_up(node);
    }
    assert_eq!(client.get("a").unwrap().as_deref(), Some("2"));
    fort.fleet.check_alive();
}

#[test]
fn no_answer_is_lost_while_leaders_are_killed() {
    let mut fort = Fort::started(3);
    let mut clients =
        Clients::with(fort.fleet.clients.clone(), &fort.fleet.addresses, Load::default(), 7);
    let disturb = || {
        for _ in 0..3 {
            hold(Duration::from_millis(700));
            let leader = fort.fleet.leader();
            fort.fleet.kill(leader);
            hold(Duration::from_millis(300));
            fort.fleet.start(leader);
        }
    };
    let ((), ()) = while_disturbed(|over| clients.run(over), disturb);
    clients.read_all();
    clients.expect_clean();
}

#[test]
fn who_does_not_show_what_is_asked_for_is_told_so_at_once() {
    let fort = Fort::started(1);
    fort.fleet.client().put("a", "1").unwrap();
    let ca = ClientTls::read(&fort.authority.ca()).unwrap();
    let refusal = |client: &Client| match client.get("a").unwrap_err() {
        Error::DidNotRun { cause: Cause::Refused { refusal, .. } } => refusal,
        other => panic!("{other}"),
    };
    let wrong = fort.client(fort.clients(STRANGER));
    assert_eq!(refusal(&wrong).reason, Reason::NotAuthorized);
    let none = refusal(&fort.client(Client::builder().tls(ca)));
    assert!(
        none.reason == Reason::NotAuthorized && none.message.contains("--token-file"),
        "{none}"
    );
    let plain = refusal(&fort.client(Client::builder()));
    assert!(plain.reason == Reason::TlsExpected && plain.message.contains("--tls-ca"), "{plain}");
    // Whom the client does not trust, he tells no token.
    let other = ClientTls::read(&Authority::new().ca()).unwrap();
    let client = fort.clients(WRITER).tls(other).address(fort.fleet.socket(0)).timeout(SHORT);
    match client.build().get("a").unwrap_err() {
        Error::DidNotRun { cause: Cause::Unreachable { why, .. } } => {
            assert!(why.contains("is not trusted"), "{why}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_read_only_client_reads_and_writes_nothing() {
    let fort = Fort::started(3);
    let writer = fort.fleet.client();
    writer.put("a", "1").unwrap();
    let reader = fort.client(fort.clients(READER));
    assert_eq!(reader.get("a").unwrap().as_deref(), Some("1"));
    assert_eq!(reader.execute("get \"a\";", NO_PARAMS).unwrap().values["a"], "1");
    assert!(reader.status().unwrap().leader.is_some());
    for program in [
        "put \"a\" \"2\";",
        "delete \"a\";",
        "if get \"a\" == \"nothing\" { put \"a\" \"2\"; }",
        "get \"a\"; abort \"no\"; delete \"b\";",
    ] {
        for result in [
            reader.execute(program, NO_PARAMS),
            // As a read, it has no session; it is no way around.
            reader.read(program, NO_PARAMS),
        ] {
            match result.unwrap_err() {
                Error::DidNotRun { cause: Cause::PermissionDenied(why) } => {
                    assert!(why.contains("read-only"), "{why}");
                }
                other => panic!("{program}: {other}"),
            }
        }
    }
    assert_eq!(writer.get("a").unwrap().as_deref(), Some("1"));
}

/// Who may only read asks for a session as others do, and is given one that is none, by any node.
#[test]
fn a_read_only_client_takes_no_session() {
    let fort = Fort::started(3);
    fort.fleet.client().put("a", "1").unwrap();
    let reader = fort.clients(READER);
    for node in 0..fort.fleet.len() {
        let address = fort.fleet.socket(node);
        let node = Connection::connect_with(address, PATIENCE, reader.credentials()).unwrap();
        let opened = node.ask(RequestBody::OpenSession { window: 4 }, PATIENCE).unwrap();
        let position = Position { slot: Slot(0), place: 0 };
        let none = ClientOutcome::SessionOpened { session: NO_SESSION, window: 4, position };
        assert_eq!(opened, none);
    }
}

/// Without TLS, a token is sent to this machine only, unless it is said that it may go further.
#[test]
fn a_token_does_not_leave_the_machine_in_clear() {
    // For documentation (RFC 5737): nobody is there.
    let node = "192.0.2.1:50051".parse().unwrap();
    let token = Token::new(WRITER);
    let clients = Client::builder().token(token).address(node).timeout(SHORT);
    let cause = |client: Client| match client.get("a").unwrap_err() {
        Error::DidNotRun { cause } => cause,
        other => panic!("{other}"),
    };
    assert_eq!(cause(clients.clone().build()), Cause::TokenInClear { node });
    assert!(!matches!(cause(clients.token_in_clear(true).build()), Cause::TokenInClear { .. }));
}
