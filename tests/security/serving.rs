//! A cluster that requires TLS, a cluster key and tokens serves authorized clients, also while
//! nodes fail, and rejects the others with a reason.

use std::time::Duration;

use lattistore::Client;
use lattistore::client::internals::Connection;
use lattistore::client::{Cause, ClientTls, Error, Position, Slot, Token, Value};
use lattistore::kv::NO_SESSION;
use lattistore::wire::Reason;
use lattistore::wire::{ClientOutcome, MemberName, MemberRequest, RequestBody};

use crate::authority::Authority;
use crate::fleet::clients::{Clients, Load};
use crate::fleet::{hold, while_disturbed};
use crate::secure_cluster::{ADMIN, READER, SecureCluster, UNKNOWN, WRITER};
use crate::support::{PATIENCE, eventually};

const NO_PARAMS: [(&str, Value); 0] = [];
const SHORT: Duration = Duration::from_millis(200);

#[test]
fn the_cluster_serves_without_its_leader_and_admits_it_again() {
    let mut cluster = SecureCluster::started(3);
    let client = cluster.fleet.client();
    client.put("a", "1").unwrap();
    let leader = cluster.fleet.leader();
    cluster.fleet.kill(leader);
    client.put("a", "2").unwrap();
    assert_eq!(client.get("a").unwrap().as_deref(), Some("2"));
    cluster.fleet.start(leader);
    cluster.fleet.wait_until_caught_up(leader);
    for node in 0..cluster.fleet.len() {
        cluster.fleet.stop(node);
        client.put("a", &node.to_string()).unwrap();
        cluster.fleet.start(node);
        cluster.fleet.wait_until_caught_up(node);
    }
    assert_eq!(client.get("a").unwrap().as_deref(), Some("2"));
    cluster.fleet.check_alive();
}

#[test]
fn no_acknowledged_write_is_lost_while_leaders_are_killed() {
    let mut cluster = SecureCluster::started(3);
    let mut clients =
        Clients::with(cluster.fleet.clients.clone(), &cluster.fleet.addresses, Load::default(), 7);
    let disturb = || {
        for _ in 0..3 {
            hold(Duration::from_millis(700));
            let leader = cluster.fleet.leader();
            cluster.fleet.kill(leader);
            hold(Duration::from_millis(300));
            cluster.fleet.start(leader);
        }
    };
    let ((), ()) = while_disturbed(|over| clients.run(over), disturb);
    clients.read_all();
    clients.expect_clean();
}

#[test]
fn a_client_without_token_or_tls_is_rejected_at_once_with_the_reason() {
    let cluster = SecureCluster::started(1);
    cluster.fleet.client().put("a", "1").unwrap();
    let ca = ClientTls::read(&cluster.authority.ca()).unwrap();
    let refusal = |client: &Client| match client.get("a").unwrap_err() {
        Error::DidNotRun { cause: Cause::Refused { refusal, .. } } => refusal,
        other => panic!("{other}"),
    };
    let wrong = cluster.client(cluster.clients(UNKNOWN));
    assert_eq!(refusal(&wrong).reason, Reason::NotAuthorized);
    let none = refusal(&cluster.client(Client::builder().tls(ca)));
    assert!(
        none.reason == Reason::NotAuthorized && none.message.contains("--token-file"),
        "{none}"
    );
    let plain = refusal(&cluster.client(Client::builder()));
    assert!(plain.reason == Reason::TlsExpected && plain.message.contains("--tls-ca"), "{plain}");
    // The client sends no token to a node with a certificate that it does not trust.
    let other = ClientTls::read(&Authority::new().ca()).unwrap();
    let client = cluster.clients(WRITER).tls(other).address(cluster.fleet.socket(0)).timeout(SHORT);
    match client.build().get("a").unwrap_err() {
        Error::DidNotRun { cause: Cause::Unreachable { why, .. } } => {
            assert!(why.contains("is not trusted"), "{why}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_read_only_client_reads_and_writes_nothing() {
    let cluster = SecureCluster::started(3);
    let writer = cluster.fleet.client();
    writer.put("a", "1").unwrap();
    let reader = cluster.client(cluster.clients(READER));
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
            // A read has no session, but is checked in the same way.
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

/// A read-only client asks for a session as others do; every node answers with `NO_SESSION`.
#[test]
fn a_read_only_client_gets_no_session() {
    let cluster = SecureCluster::started(3);
    cluster.fleet.client().put("a", "1").unwrap();
    let reader = cluster.clients(READER);
    for node in 0..cluster.fleet.len() {
        let address = cluster.fleet.socket(node);
        let node = Connection::connect_with(address, PATIENCE, reader.credentials()).unwrap();
        let opened = node.ask(RequestBody::OpenSession { window: 4 }, PATIENCE).unwrap();
        let position = Position { slot: Slot(0), place: 0 };
        let none = ClientOutcome::SessionOpened { session: NO_SESSION, window: 4, position };
        assert_eq!(opened, none);
    }
}

#[test]
fn only_a_client_with_the_role_admin_may_change_the_members() {
    let cluster = SecureCluster::started(3);
    cluster.fleet.client().put("a", "1").unwrap();
    let leader = cluster.fleet.leader();
    let other = cluster.fleet.addresses[(leader + 1) % 3];
    let remove = RequestBody::ChangeMembers(MemberRequest::Remove(MemberName::Address(other)));
    let ask = |token: &str, body: &RequestBody| {
        let (address, clients) = (cluster.fleet.socket(leader), cluster.clients(token));
        let node = Connection::connect_with(address, PATIENCE, clients.credentials()).unwrap();
        node.ask(body.clone(), PATIENCE).unwrap()
    };
    for token in [READER, WRITER] {
        let outcome = ask(token, &remove);
        assert!(matches!(outcome, ClientOutcome::PermissionDenied(_)), "{outcome:?}");
        let outcome = ask(token, &RequestBody::ListMembers);
        assert!(matches!(&outcome, ClientOutcome::MemberList(list) if list.members.len() == 3));
    }
    // A leader that has not heard all members yet refuses to remove one of them.
    eventually("the leader to hear all members", || {
        let ClientOutcome::MemberList(list) = ask(ADMIN, &RequestBody::ListMembers) else {
            return None;
        };
        list.members.iter().all(|member| member.reachable).then_some(())
    });
    let outcome = ask(ADMIN, &remove);
    assert!(
        matches!(&outcome, ClientOutcome::MembersChanged(list) if list.members.len() == 2),
        "{outcome:?}"
    );
    let log = cluster.fleet.process(leader).log();
    assert!(log.contains("the client ops (admin) at 127."), "{log}");
    let admin = cluster.client(cluster.clients(ADMIN));
    admin.put("a", "2").unwrap();
}

/// Without TLS a token is sent to this machine only, unless `token_in_clear` allows more.
#[test]
fn a_token_does_not_leave_the_machine_in_clear() {
    // This address is reserved for documentation (RFC 5737): no machine has it.
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
