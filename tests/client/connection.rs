//! One connection with many requests in flight, which are answered in any order.

use std::thread;
use std::time::{Duration, Instant};

use lattistore::client::Cause;
use lattistore::client::internals::Connection;
use lattistore::wire::{ClientOutcome, RequestBody};

use crate::fake::{LONG, Node, client, execute, result, returned};

fn connected(node: &Node) -> (Connection, crate::fake::ServerEnd) {
    let address = node.address;
    let connecting = thread::spawn(move || Connection::connect(address, LONG));
    let server = node.accept();
    let connection = connecting.join().expect("the client does not panic").expect("it connects");
    (connection, server)
}

#[test]
fn threads_get_their_own_answers_in_any_order() {
    let node = Node::start();
    let (connection, mut server) = connected(&node);
    let rounds = 50;
    let calls: Vec<_> = (0..8_u32)
        .map(|window| {
            let connection = connection.clone();
            thread::spawn(move || {
                for _ in 0..rounds {
                    let answer =
                        connection.ask(RequestBody::OpenSession { window: window + 1 }, LONG);
                    let Ok(ClientOutcome::SessionOpened { window: answered, .. }) = answer else {
                        panic!("an answer was expected, not {answer:?}");
                    };
                    assert_eq!(answered, window + 1);
                }
            })
        })
        .collect();
    for _ in 0..rounds {
        // One request of each thread, answered in reverse order.
        let mut requests: Vec<_> = (0..8).map(|_| server.any_request()).collect();
        while let Some(request) = requests.pop() {
            let RequestBody::OpenSession { window } = request.body else {
                panic!("the request is not the one that was sent");
            };
            let position = crate::fake::position(1);
            let outcome = ClientOutcome::SessionOpened { session: 1, window, position };
            server.answer(request.id, outcome);
        }
    }
    for call in calls {
        call.join().expect("the thread got its own answers");
    }
}

#[test]
fn one_thread_may_have_many_requests_in_flight() {
    let node = Node::start();
    let (connection, mut server) = connected(&node);
    let tickets: Vec<_> =
        (0..20).map(|_| connection.send(RequestBody::Status, LONG).expect("it is sent")).collect();
    for number in 0..20 {
        let id = server.any_request().id;
        server.answer(id, returned(number));
    }
    let until = Instant::now() + LONG;
    for (number, ticket) in tickets.iter().enumerate().rev() {
        let number = i64::try_from(number).expect("below 20");
        assert_eq!(ticket.wait(until), Ok(Some(returned(number))));
    }
}

#[test]
fn a_wait_that_timed_out_may_be_repeated() {
    let node = Node::start();
    let (connection, mut server) = connected(&node);
    let ticket = connection.send(RequestBody::Status, LONG).expect("it is sent");
    assert_eq!(ticket.wait(Instant::now() + Duration::from_millis(5)), Ok(None));
    let id = server.any_request().id;
    // Half of the answer, a wait that times out, the other half.
    let mut frame = Vec::new();
    lattistore::wire::encode_response(id, returned(3), &mut frame);
    let (head, tail) = frame.split_at(frame.len() / 2);
    server.write(head);
    assert_eq!(ticket.wait(Instant::now() + Duration::from_millis(50)), Ok(None));
    server.write(tail);
    assert_eq!(ticket.wait(Instant::now() + LONG), Ok(Some(returned(3))));
}

#[test]
fn all_waiting_calls_fail_when_the_connection_is_lost() {
    let node = Node::start();
    let (connection, mut server) = connected(&node);
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let connection = connection.clone();
            thread::spawn(move || connection.ask(RequestBody::Status, LONG))
        })
        .collect();
    for _ in 0..4 {
        server.any_request();
    }
    drop(server);
    for call in waiting {
        let answer = call.join().expect("the client does not panic");
        assert!(matches!(answer, Err(Cause::ConnectionLost { .. })), "{answer:?}");
    }
    assert!(connection.is_lost());
    assert!(connection.send(RequestBody::Status, LONG).is_err());
}

#[test]
fn the_last_clone_closes_the_connection() {
    let node = Node::start();
    let client = client([&node]);
    let call = execute(&client);
    let mut server = node.accept();
    server.open_session(7, 8);
    let (id, _) = server.transaction();
    server.answer(id, returned(1));
    assert_eq!(result(call), Ok(Some(1)));
    let clone = client.clone();
    drop(client);
    drop(clone);
    server.expect_end();
}
