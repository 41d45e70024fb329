//! Requests and answers of clients, and clients that misbehave.

use super::greetings::greeted_at_last;
use super::*;

#[test]
fn answers_arrive_in_the_order_in_which_the_node_gives_them() {
    let running = start(settings());
    let mut client = running.client();
    for id in 1..=3 {
        client.ask(id);
    }
    let mut replies: Vec<_> = (1..=3)
        .map(|id| {
            let (asked, reply) = running.request();
            assert_eq!(asked, request(id));
            reply
        })
        .collect();
    while let Some(reply) = replies.pop() {
        reply.send(said("done"));
    }
    for id in [3, 2, 1] {
        assert_eq!(client.answer(), answer_to(id, "done"));
    }
}

#[test]
fn a_client_that_sent_its_last_request_still_gets_its_answers() {
    let running = start(settings());
    let mut client = running.client();
    client.ask(1);
    client.ask(2);
    client.stream.close_writing();
    let (first, second) = (running.request().1, running.request().1);
    first.send(said("first"));
    assert_eq!(client.answer(), answer_to(1, "first"));
    second.send(said("second"));
    assert_eq!(client.answer(), answer_to(2, "second"));
    assert!(matches!(client.frame(), Err(FrameError::Closed)));
}

#[test]
fn a_request_whose_reply_is_dropped_is_answered() {
    let running = start(settings());
    let mut client = running.client();
    client.ask(1);
    drop(running.request());
    assert_eq!(client.answer().outcome, ClientOutcome::Closing { could_handle: true });
}

#[test]
fn an_answer_to_a_disconnected_client_does_no_harm() {
    let running = start(settings());
    let mut client = running.client();
    client.ask(1);
    let (_, reply) = running.request();
    client.stream.close();
    drop(client);
    reply.send(said("too late"));
    let mut other = running.client();
    other.ask(1);
    running.request().1.send(said("served"));
    assert_eq!(other.answer(), answer_to(1, "served"));
}

#[test]
fn a_request_without_a_body_is_answered_and_the_next_is_served() {
    let running = start(settings());
    let mut client = running.client();
    // The request has only field 1, the id.
    client.send(&[0, 0, 0, 2, 0x08, 7]);
    let answer = client.answer();
    assert_eq!(answer.id, 7);
    assert!(matches!(answer.outcome, ClientOutcome::BadRequest(_)), "{answer:?}");
    client.ask(8);
    running.request().1.send(said("served"));
    assert_eq!(client.answer(), answer_to(8, "served"));
}

#[test]
fn an_invalid_request_ends_the_connection_with_a_reason() {
    let running = start(settings());
    let frames: [&[u8]; 4] = [
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 1, 2, 3],
        &[0, 0, 1],
    ];
    for bytes in frames {
        let mut client = running.client();
        client.ask(1);
        client.send(bytes);
        client.stream.close_writing();
        // The earlier request is still answered.
        running.request().1.send(said("served"));
        let mut answers = [client.answer(), client.answer()];
        answers.sort_by_key(|answer| answer.id);
        assert_eq!(answers[0].id, 0);
        assert!(matches!(answers[0].outcome, ClientOutcome::BadRequest(_)), "{answers:?}");
        assert_eq!(answers[1], answer_to(1, "served"));
        assert!(matches!(client.frame(), Err(FrameError::Closed)));
    }
}

#[test]
fn silent_and_slow_clients_are_cut_off() {
    let short = Duration::from_millis(20);
    let running = start(Settings { client_idle_time: short, frame_time: short, ..settings() });
    for bytes in [&b""[..], &[0, 0, 0, 9, 1]] {
        let mut client = running.client();
        client.send(bytes);
        let answer = client.answer();
        assert_eq!(answer.id, 0);
        assert!(matches!(answer.outcome, ClientOutcome::BadRequest(_)), "{answer:?}");
        assert!(matches!(client.frame(), Err(FrameError::Closed)));
    }
}

/// Returns the beginning of a large request.
fn begun() -> Vec<u8> {
    [&1_000_000_u32.to_be_bytes()[..], &[8, 1]].concat()
}

#[test]
fn a_large_request_for_which_there_is_no_room_is_not_read() {
    let running = start(Settings { max_incoming_bytes: 999_999, ..settings() });
    let mut large = running.client();
    large.send(&begun());
    let answer = ClientResponse { id: 0, outcome: ClientOutcome::TooManyRequests };
    assert_eq!(large.answer(), answer);
    large.wait_for_end();
    let mut small = running.client();
    small.ask(1);
    running.request().1.send(said("served"));
    assert_eq!(small.answer(), answer_to(1, "served"));
}

#[test]
fn an_unfinished_large_request_releases_its_room() {
    let running = start(Settings { max_incoming_bytes: 1_000_000, ..settings() });
    for _ in 0..3 {
        let mut large = running.client();
        large.send(&begun());
        large.stream.close_writing();
        // The request was read to its end, which came too early.
        assert!(matches!(large.answer().outcome, ClientOutcome::BadRequest(_)));
        large.wait_for_end();
    }
}

#[test]
fn at_most_max_pipelined_requests_are_read() {
    const MAX: usize = 3;
    let running = start(Settings { max_pipelined: MAX, ..settings() });
    let mut client = running.client();
    for id in 1..=20 {
        client.ask(id);
    }
    let mut held = std::collections::VecDeque::new();
    for id in 1..=20 {
        if held.len() == MAX {
            let reply: Reply = held.pop_front().expect("held");
            reply.send(said("done"));
        }
        let (asked, reply) = running.request();
        assert_eq!(asked.id, id);
        held.push_back(reply);
        assert!(held.len() + running.requests.len() <= MAX);
    }
    drop(held);
    for id in 1..=20 {
        assert_eq!(client.answer().id, id);
    }
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_delays_no_other_client() {
    let running = start(Settings {
        write_time: Duration::from_millis(50),
        linger_time: Duration::ZERO,
        max_clients: 2,
        ..settings()
    });
    let mut deaf = running.client();
    let mut other = running.client();
    let asked = (1..=LARGE_ANSWERS).map(|id| {
        deaf.ask(id);
        running.request().1
    });
    for reply in asked.collect::<Vec<_>>() {
        reply.send(large_answer());
    }
    other.ask(1);
    running.request().1.send(said("served"));
    assert_eq!(other.answer(), answer_to(1, "served"));
    // There is room for another client only after the connection that does not read was cut off.
    greeted_at_last(&running);
    let answers = (1..).take_while(|_| deaf.frame().is_ok()).count();
    assert!(answers < usize::try_from(LARGE_ANSWERS).expect("few"));
}

#[test]
fn a_batch_of_answers_reaches_all_clients_without_waiting_for_a_slow_one() {
    let running = start(settings());
    let mut slow = running.client();
    let mut others: Vec<_> = (0..3).map(|_| running.client()).collect();
    let mut of_slow = Vec::new();
    for id in 1..=LARGE_ANSWERS {
        slow.ask(id);
        of_slow.push(running.request().1);
    }
    let mut of_others = Vec::new();
    for other in &mut others {
        for id in 1..=2 {
            other.ask(id);
            of_others.push(running.request().1);
        }
    }
    let mut together = ReplyBatch::default();
    of_slow.into_iter().for_each(|reply| together.send(reply, large_answer()));
    of_others.into_iter().for_each(|reply| together.send(reply, said("served")));
    drop(together);
    for other in &mut others {
        assert_eq!(other.answer(), answer_to(1, "served"));
        assert_eq!(other.answer(), answer_to(2, "served"));
    }
    for id in 1..=LARGE_ANSWERS {
        assert_eq!(slow.answer(), ClientResponse { id, outcome: large_answer() });
    }
}

#[test]
fn a_rejection_in_a_batch_does_not_delay_the_other_answers() {
    let running = start(settings());
    let mut client = running.client();
    for round in 0..100 {
        let replies: Vec<_> = (1..=2)
            .map(|id| {
                client.ask(2 * round + id);
                running.request().1
            })
            .collect();
        let mut together = ReplyBatch::default();
        for (reply, outcome) in
            replies.into_iter().zip([ClientOutcome::TooManyRequests, said("served")])
        {
            together.send(reply, outcome);
        }
        drop(together);
        let mut answers = [client.answer(), client.answer()];
        answers.sort_by_key(|answer| answer.id);
        assert_eq!(answers[0].outcome, ClientOutcome::TooManyRequests);
        assert_eq!(answers[1], answer_to(2 * round + 2, "served"));
    }
}

#[test]
fn parts_arrive_in_order_and_the_request_keeps_its_slot_until_the_last_answer() {
    let running = start(Settings { max_pipelined: 1, ..settings() });
    let mut client = running.client();
    client.ask(1);
    let (_, reply) = running.request();
    reply.send_part(said("a")).expect("room");
    assert_eq!(client.answer(), answer_to(1, "a"));
    let mut together = ReplyBatch::default();
    together.send_part(&reply, said("b")).expect("room");
    together.send_part(&reply, said("c")).expect("room");
    drop(together);
    assert_eq!(client.answer(), answer_to(1, "b"));
    assert_eq!(client.answer(), answer_to(1, "c"));
    client.ask(2);
    client.ask(3);
    reply.send(said("d"));
    assert_eq!(client.answer(), answer_to(1, "d"));
    for id in 2..=3 {
        running.request().1.send(said("served"));
        assert_eq!(client.answer(), answer_to(id, "served"));
    }
}

#[test]
fn a_client_that_does_not_read_its_parts_reaches_its_own_bound_only() {
    let running = start(Settings { max_client_parts_bytes: 1, ..settings() });
    let (mut slow, mut other) = (running.client(), running.client());
    slow.ask(1);
    let (_, reply) = running.request();
    let mut sent = 0;
    // The system's buffers take the first parts at once.
    while reply.send_part(large_answer()) == Ok(()) {
        sent += 1;
    }
    other.ask(1);
    running.request().1.send(said("served"));
    assert_eq!(other.answer(), answer_to(1, "served"));
    for _ in 0..sent {
        assert_eq!(slow.answer(), ClientResponse { id: 1, outcome: large_answer() });
    }
    while let Err(refused) = reply.send_part(said("a")) {
        assert_eq!(
            refused,
            NotSent::Full(said("a")),
            "the share of the last part is about to be released"
        );
    }
    reply.send(said("b"));
    assert_eq!(slow.answer(), answer_to(1, "a"));
    assert_eq!(slow.answer(), answer_to(1, "b"));
}

#[test]
fn parts_for_a_disconnected_client_are_refused() {
    let running = start(settings());
    let mut client = running.client();
    client.ask(1);
    let (_, reply) = running.request();
    client.stream.close();
    while reply.send_part(said("a")) != Err(NotSent::Gone) {
        std::thread::yield_now();
    }
    reply.send(said("b"));
}

#[test]
fn a_panic_in_a_connection_is_an_event() {
    let running = start(settings());
    let mut client = running.client();
    let panics = ClientRequest { timeout_ms: PANIC_MS, ..request(1) };
    client.send(&encode_request(&panics).expect("small enough"));
    match running.event() {
        Event::ThreadDied { thread, reason } => {
            assert_eq!(thread, "inbound");
            assert!(reason.contains("asked to panic"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    client.wait_for_end();
}
