//! Session numbers: no transaction runs twice, and no node keeps an answer longer than needed.

use lattistore::client::{Cause, Error};
use lattistore::wire::ClientOutcome;

use crate::fake::{NO_PARAMS, Node, client, execute, result, returned};

#[test]
fn a_session_that_expired_before_the_first_attempt_is_replaced() {
    let node = Node::start();
    let call = execute(&client([&node]));
    let mut server = node.accept();
    server.open_session(7, 8);
    let (id, number) = server.transaction();
    assert_eq!((number.session, number.number), (7, 1));
    server.answer(id, ClientOutcome::SessionExpired);
    server.open_session(8, 8);
    let (id, number) = server.transaction();
    assert_eq!((number.session, number.number, number.answered_below), (8, 1, 1));
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_session_that_expired_after_an_attempt_that_did_not_run_is_replaced() {
    let node = Node::start();
    let call = execute(&client([&node]));
    let mut server = node.accept();
    server.open_session(7, 8);
    let (id, _) = server.transaction();
    server.answer(id, ClientOutcome::TooManyRequests);
    let (id, _) = server.transaction();
    server.answer(id, ClientOutcome::NumberOutsideWindow("it is long ago".to_owned()));
    server.open_session(8, 8);
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_session_that_expired_after_an_undecided_attempt_means_may_have_run() {
    for (expiry, cause) in [
        (ClientOutcome::SessionExpired, Cause::SessionExpired),
        (
            ClientOutcome::NumberOutsideWindow("so".to_owned()),
            Cause::NumberOutsideWindow("so".to_owned()),
        ),
    ] {
        let node = Node::start();
        let call = execute(&client([&node]));
        let mut server = node.accept();
        server.open_session(7, 8);
        server.transaction();
        drop(server);
        let mut server = node.accept();
        let (id, number) = server.transaction();
        assert_eq!((number.session, number.number), (7, 1));
        server.answer(id, expiry);
        assert_eq!(result(call), Err(Error::MayHaveRun { cause }));
    }
}

#[test]
fn an_answer_that_was_not_kept_means_that_it_ran() {
    let node = Node::start();
    let call = execute(&client([&node]));
    let mut server = node.accept();
    server.open_session(7, 8);
    let (id, _) = server.transaction();
    let position = crate::fake::position(9);
    server.answer(id, ClientOutcome::AnswerNotKept { position });
    let error = Error::Ran { position: Some(position), cause: Cause::AnswerNotKept };
    assert_eq!(result(call), Err(error));
}

#[test]
fn answered_below_is_the_lowest_number_without_a_result() {
    let node = Node::start();
    let client = client([&node]);
    let first = execute(&client);
    let mut server = node.accept();
    server.open_session(7, 8);
    let (first_id, number) = server.transaction();
    assert_eq!((number.number, number.answered_below), (1, 1));

    let second = execute(&client);
    let (id, number) = server.transaction();
    assert_eq!((number.number, number.answered_below), (2, 1));
    server.answer(id, returned(2));
    assert_eq!(result(second), Ok(Some(2)));

    let third = execute(&client);
    let (third_id, number) = server.transaction();
    assert_eq!((number.number, number.answered_below), (3, 1), "1 has no answer");
    server.answer(first_id, returned(1));
    assert_eq!(result(first), Ok(Some(1)));
    server.answer(third_id, ClientOutcome::TooManyRequests);
    let (third_id, number) = server.transaction();
    assert_eq!(
        (number.number, number.answered_below),
        (3, 3),
        "a retry reports what was answered meanwhile"
    );
    server.answer(third_id, returned(3));
    assert_eq!(result(third), Ok(Some(3)));
}

#[test]
fn an_abandoned_transaction_does_not_block_the_window() {
    let node = Node::start();
    let client = client([&node]);
    let script = std::thread::spawn(move || {
        let mut server = node.accept();
        server.open_session(7, 1);
        let (_, number) = server.transaction();
        assert_eq!((number.number, number.answered_below), (1, 1));
        let (id, number) = server.transaction();
        assert_eq!((number.number, number.answered_below), (2, 2));
        server.answer(id, returned(2));
        node
    });
    drop(client.submit("put \"a\" \"b\";", NO_PARAMS));
    assert!(client.execute("put \"a\" \"c\";", NO_PARAMS).is_ok());
    drop(script.join().expect("the script runs to its end"));
}

#[test]
fn one_thread_may_submit_more_than_the_window_holds() {
    let node = Node::start();
    let client = client([&node]);
    let script = std::thread::spawn(move || {
        let mut server = node.accept();
        server.open_session(7, 4);
        let mut open = Vec::new();
        for expected in 1..=20 {
            let (id, number) = server.transaction();
            assert_eq!(number.number, expected);
            assert!(number.number - number.answered_below < 4, "{number:?}");
            open.push((id, number.number));
            // The window is full: answer all, the newest first.
            if open.len() == 4 {
                while let Some((id, number)) = open.pop() {
                    server.answer(id, returned(i64::try_from(number).expect("at most 20")));
                }
            }
        }
        node
    });
    let pending: Vec<_> = (0..20).map(|_| client.submit("put \"a\" \"b\";", NO_PARAMS)).collect();
    for (expected, one) in (1..).zip(pending) {
        let answer = one.wait().expect("it ran");
        assert_eq!(answer.returned, Some(lattistore::client::Value::Number(expected)));
    }
    drop(script.join().expect("the script runs to its end"));
}

#[test]
fn more_threads_than_the_window_holds_are_all_served() {
    let node = Node::start();
    let client = client([&node]);
    let calls: Vec<_> = (0..12).map(|_| execute(&client)).collect();
    let mut server = node.accept();
    server.open_session(7, 3);
    let mut seen = Vec::new();
    for _ in 0..12 {
        let (id, number) = server.transaction();
        assert!(number.number - number.answered_below < 3, "{number:?}");
        seen.push(number.number);
        server.answer(id, returned(i64::try_from(number.number).expect("at most 20")));
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=12).collect::<Vec<u64>>());
    let mut results: Vec<_> = calls.into_iter().map(|call| result(call).expect("it ran")).collect();
    results.sort_unstable();
    assert_eq!(results, (1..=12).map(Some).collect::<Vec<_>>());
}

#[test]
fn a_session_that_could_not_be_opened_is_opened_by_the_next_call() {
    let node = Node::start();
    let client = client([&node]);
    let first = execute(&client);
    let mut server = node.accept();
    let opening = server.request();
    let second = execute(&client);
    // The second call waits for the session of the first one, or begins after that has failed.
    server.answer(opening.id, ClientOutcome::BadRequest("not now".to_owned()));
    let cause = Cause::BadRequest("not now".to_owned());
    assert_eq!(result(first), Err(Error::DidNotRun { cause }));
    server.open_session(7, 8);
    let (id, _) = server.transaction();
    server.answer(id, returned(2));
    assert_eq!(result(second), Ok(Some(2)));
}
