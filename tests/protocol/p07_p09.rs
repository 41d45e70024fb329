//! Rules P7 (reply), P8 (read) and P9 (commit).

use std::collections::BTreeSet;

use lattistore::lpaxos::{Config, Message, RequestOutcome, Slot, ToAcceptor};
use lattistore_sim::simulator::Command;

use crate::cluster::{Cluster, Envelope};

#[test]
fn p7_a_write_is_not_answered_before_it_is_chosen() {
    let mut cluster = Cluster::new(5);
    cluster.elect(1);
    let ticket = cluster.request(1, Command::put(0, 10));
    cluster.deliver(|e| e.is("accept") && e.to == 2);
    cluster.deliver(|e| e.is("accepted"));
    assert!(!cluster.is_answered(ticket), "two of five are not a majority");
    cluster.deliver(|e| e.is("accept") && e.to == 3);
    assert!(!cluster.is_answered(ticket));
    cluster.deliver(|e| e.is("accepted"));
    assert_eq!(cluster.outcome(ticket).position.slot, Slot(1));
}

#[test]
fn p7_repeated_votes_of_one_node_are_one_vote() {
    let mut cluster = Cluster::new(5);
    cluster.elect(1);
    let ticket = cluster.request(1, Command::put(0, 10));
    let accept = cluster.take(|e| e.is("accept") && e.to == 2).remove(0);
    for _ in 0..4 {
        cluster.deliver_one(accept.clone());
    }
    assert_eq!(cluster.deliver(|e| e.is("accepted")), 4);
    assert!(!cluster.is_answered(ticket));
}

#[test]
fn p7_the_vote_of_the_leader_counts_only_when_it_is_durable() {
    let mut cluster = Cluster::new(1);
    let now_ms = 1 << 45;
    cluster.tick(1, 1);
    let request = lattistore::lpaxos::Request {
        ticket: lattistore::lpaxos::Ticket(99),
        command: Command::put(0, 10),
        deadline_ms: u64::MAX,
    };
    cluster.nodes.get_mut(&1).unwrap().request(now_ms, request);
    let out = cluster.output(1);
    assert!(out.answers.is_empty());
    cluster.write(1, out.write.expect("the vote of the leader itself is written"));
    assert!(matches!(cluster.output(1).answers[..], [(_, RequestOutcome::Done(_))]));
}

#[test]
fn p7_one_refusal_does_not_stop_a_leader_that_a_majority_accepts() {
    let mut cluster = Cluster::new(5);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.stand(2);
    cluster.deliver(|e| e.is("prepare") && e.to == 5);
    cluster.lose(|_| true);
    cluster.cut.clear();
    cluster.crash(2);
    let ticket = cluster.request(1, Command::put(0, 10));
    cluster.deliver(|e| e.is("accept") && e.to == 5);
    assert_eq!(cluster.deliver(|e| e.is("refused")), 1);
    assert!(cluster.node(1).leads().is_some());
    cluster.settle_if(|e| e.to != 5 && e.from != 5);
    assert_eq!(cluster.outcome(ticket).read, [None]);
}

#[test]
fn p7_a_leader_that_a_minority_refuses_stands_again_so_that_all_follow() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.stand(3);
    cluster.lose(|_| true);
    cluster.cut.clear();
    cluster.crash(3);
    cluster.restart(3);
    cluster.rest(3);
    cluster.run(1, Command::put(0, 10));
    for _ in 0..3 {
        cluster.tick(1, 200);
        cluster.settle();
    }
    assert_eq!(cluster.durable(3).promised, cluster.ballot(1));
    assert_eq!(cluster.run(1, Command::get([0])).read, [Some(10)]);
}

/// Three nodes. Node 1 leads; node 2 promised a higher ballot to node 3, which crashed then.
fn half_refused() -> Cluster {
    let mut cluster = Cluster::with(3, |config| config.unreachable_ms = 300);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.stand(3);
    cluster.deliver(|e| e.is("prepare") && e.to == 2);
    cluster.lose(|_| true);
    cluster.cut.clear();
    cluster.crash(3);
    cluster
}

#[test]
fn p7_a_leader_whose_proposal_can_get_no_majority_stands_again() {
    let mut cluster = half_refused();
    cluster.request(1, Command::put(0, 10));
    cluster.live(1_000);
    assert_eq!(cluster.run(1, Command::put(1, 11)).read, [None]);
}

#[test]
fn p8_a_read_waits_for_a_majority_that_confirms_the_ballot() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.run(1, Command::put(0, 10));
    let read = cluster.request(1, Command::get([0]));
    assert!(!cluster.is_answered(read));
    cluster.deliver(|e| e.is("confirm") && e.to == 2);
    cluster.deliver(|e| e.is("confirmed"));
    let outcome = cluster.outcome(read);
    assert_eq!(
        (outcome.read, outcome.position.slot.0, outcome.position.place),
        (vec![Some(10)], 1, 0)
    );
}

#[test]
fn p8_a_deposed_leader_answers_no_read() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.run(1, Command::put(0, 10));
    cluster.isolate(1);
    cluster.elect(2);
    cluster.run(2, Command::put(0, 20));
    cluster.cut.clear();
    let read = cluster.request(1, Command::get([0]));
    cluster.settle_if(|e| !e.is("heartbeat"));
    assert!(
        !matches!(cluster.answers.get(&read), Some(RequestOutcome::Done(_))),
        "the read would be stale"
    );
}

#[test]
fn p8_confirmations_of_an_earlier_round_do_not_count() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.request(1, Command::get([0]));
    cluster.deliver(|e| e.is("confirm"));
    let answers = cluster.take(|e| e.is("confirmed"));
    cluster.deliver_one(answers[0].clone());
    let read = cluster.request(1, Command::get([0]));
    cluster.isolate(1);
    cluster.elect(2);
    cluster.run(2, Command::put(0, 20));
    answers.into_iter().for_each(|answer| cluster.deliver_one(answer));
    assert!(!cluster.is_answered(read));
}

#[test]
fn p8_a_read_sees_what_is_chosen_and_not_what_is_in_flight() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.run(1, Command::put(0, 10));
    cluster.request(1, Command::put(0, 11));
    let read = cluster.request(1, Command::get([0]));
    cluster.settle_if(|e| e.is("confirm") || e.is("confirmed"));
    assert_eq!(cluster.outcome(read).read, [Some(10)]);
}

/// Three nodes; node 1 leads, and its reads wait while a proposal is in flight.
fn busy() -> Cluster {
    let mut cluster = Cluster::with(3, |config| config.busy_batch = 1);
    cluster.elect(1);
    cluster
}

#[test]
fn p8_votes_for_the_next_proposal_confirm_the_reads_that_waited_for_it() {
    let mut cluster = busy();
    cluster.request(1, Command::put(0, 10));
    let read = cluster.request(1, Command::get([0]));
    cluster.request(1, Command::put(0, 11));
    assert!(!cluster.wire.iter().any(|e| e.is("confirm")), "the read waits for the next proposal");
    cluster.deliver(|e| e.is("accept") && e.to == 2);
    cluster.deliver(|e| e.is("accepted"));
    assert!(
        !cluster.is_answered(read),
        "these votes are for a proposal that was sent before the read"
    );
    cluster.deliver(|e| e.is("accept") && e.to == 3);
    cluster.deliver(|e| e.is("accepted"));
    let outcome = cluster.outcome(read);
    assert!(outcome.read == [Some(10)] || outcome.read == [Some(11)], "{outcome:?}");
    assert!(!cluster.wire.iter().any(|e| e.is("confirm")));
}

#[test]
fn p8_a_read_is_answered_together_with_the_writes_of_its_proposal() {
    let mut cluster = busy();
    let before = cluster.request(1, Command::put(0, 10));
    let waiting = [Command::get([0]), Command::put(0, 11), Command::get([1])];
    let waiting = waiting.map(|command| cluster.request(1, command));
    cluster.deliver(|e| e.is("accept") && e.to == 2);
    cluster.deliver(|e| e.is("accepted"));
    // The next proposal is ready by then, and is not held back.
    let last = cluster.request(1, Command::put(0, 12));
    cluster.deliver(|e| e.is("accept") && e.to == 3);
    cluster.deliver(|e| e.is("accepted"));
    assert_eq!(cluster.together, [BTreeSet::from([before]), BTreeSet::from(waiting)]);
    let slot = |e: &Envelope| match &e.message {
        Message::Acceptor(ToAcceptor::Accept(accept)) => Some(accept.slot),
        _ => None,
    };
    assert!(cluster.wire.iter().any(|e| slot(e) == Some(Slot(3))), "it is in flight");
    assert!(!cluster.is_answered(last));
}

#[test]
fn p8_a_read_waits_for_the_vote_that_chooses_its_proposal() {
    let both = |config: &mut Config| (config.busy_batch, config.overlapping_batch) = (1, 1);
    let mut cluster = Cluster::with(3, both);
    cluster.elect(1);
    let before = cluster.request(1, Command::put(0, 10));
    let waiting = [Command::get([0]), Command::put(0, 11)];
    let waiting = waiting.map(|command| cluster.request(1, command));
    cluster.slow.insert(1, None);
    cluster.deliver(|e| e.is("accept") && e.to == 2);
    cluster.deliver(|e| e.is("accepted"));
    assert!(cluster.is_answered(before));
    cluster.deliver(|e| e.is("accept") && e.to == 3);
    cluster.deliver(|e| e.is("accepted"));
    assert!(!cluster.is_answered(waiting[0]), "the leader's own vote is not durable");
    cluster.finish_write(1);
    assert_eq!(cluster.together.last(), Some(&BTreeSet::from(waiting)));
}

#[test]
fn p8_a_read_that_waited_for_a_proposal_begins_a_round_if_none_comes() {
    let mut cluster = busy();
    cluster.request(1, Command::put(0, 10));
    let read = cluster.request(1, Command::get([0]));
    cluster.settle_if(|e| !e.is("confirm"));
    assert!(!cluster.is_answered(read));
    cluster.settle();
    assert_eq!(cluster.outcome(read).read, [Some(10)]);
}

#[test]
fn p8_a_vote_from_before_the_read_does_not_count() {
    for busy_batch in [1, usize::MAX] {
        let mut cluster = Cluster::with(3, |config| config.busy_batch = busy_batch);
        cluster.elect(1);
        cluster.request(1, Command::put(0, 10));
        cluster.deliver(|e| e.is("accept") && e.to == 2);
        let votes = cluster.take(|e| e.is("accepted"));
        let read = cluster.request(1, Command::get([0]));
        cluster.isolate(1);
        cluster.elect(2);
        cluster.run(2, Command::put(0, 20));
        votes.into_iter().for_each(|vote| cluster.deliver_one(vote));
        assert!(!cluster.is_answered(read), "the read would have missed a write");
    }
}

#[test]
fn p8_a_read_needs_no_slot_and_no_write() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.run(1, Command::put(0, 10));
    let before = cluster.disks.clone();
    cluster.run(1, Command::get([0]));
    assert_eq!(before, cluster.disks);
}

#[test]
fn p8_a_node_that_promised_less_confirms_too() {
    // Node 3 was cut off when node 1 was elected. Then node 2 crashed.
    let mut cluster = Cluster::new(3);
    cluster.isolate(3);
    cluster.elect(1);
    cluster.run(1, Command::put(0, 10));
    cluster.cut.clear();
    cluster.crash(2);
    assert!(cluster.durable(3).promised < cluster.ballot(1));
    assert_eq!(cluster.run(1, Command::get([0])).read, [Some(10)]);
    assert_eq!(cluster.disks[&3].promised, cluster.ballot(1), "the promise is durable");
}

#[test]
fn p8_a_leader_whose_reads_can_get_no_majority_stands_again() {
    let mut cluster = half_refused();
    let read = cluster.request(1, Command::get([0]));
    cluster.live(1_000);
    assert_eq!(cluster.outcome(read).read, [None]);
}

#[test]
fn p8_a_read_outlives_the_leadership_if_the_node_leads_again() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    let read = cluster.request(1, Command::get([0]));
    cluster.lose(|_| true);
    cluster.deliver(|_| true);
    cluster.tick(1, 200);
    cluster.settle();
    assert_eq!(cluster.outcome(read).read, [None]);
}

#[test]
fn p9_the_last_slot_is_committed_when_there_is_nothing_to_propose() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.run(1, Command::put(0, 10));
    assert_eq!(cluster.value(2, 0), None);
    cluster.tick(1, 200);
    assert_eq!(cluster.deliver(|e| e.is("commit")), 2);
    cluster.settle();
    assert_eq!((cluster.value(2, 0), cluster.value(3, 0)), (Some(10), Some(10)));
    cluster.tick(1, 200);
    assert_eq!(cluster.lose(|e| e.is("commit")), 0, "no commit is sent once they know");
}

#[test]
fn p9_a_commit_applies_nothing_but_the_proposal_it_names() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.run(1, Command::put(0, 10));
    cluster.tick(1, 200);
    let commits = cluster.take(|e| e.is("commit") && e.to == 2);
    cluster.settle();
    cluster.request(1, Command::put(0, 11));
    cluster.deliver(|e| e.is("accept") && e.to == 2);
    commits.into_iter().for_each(|commit| cluster.deliver_one(commit));
    assert_eq!((cluster.complete(2), cluster.value(2, 0)), (1, Some(10)));
}
