//! Rules P1 (prepare), P2 (promise) and P3 (recover).

use lattistore::lpaxos::{
    Ballot, Durable, FetchPage, Loss, Message, NodeId, Prepare, Record, Slot, ToAcceptor,
    ToCandidate,
};
use lattistore_sim::simulator::{Command, Register, Registers};

use crate::cluster::{Cluster, accepted_slot, page_of};

fn ballot(round: u64, node: u64) -> Ballot {
    Ballot { round, node: NodeId(node) }
}

#[test]
fn p1_a_candidate_promises_its_ballot_durably_before_it_sends_prepare() {
    let mut cluster = Cluster::new(3);
    cluster.stand(1);
    let asked = cluster.wire.iter().find_map(|e| match &e.message {
        Message::Acceptor(ToAcceptor::Prepare(prepare)) => Some(prepare.ballot),
        _ => None,
    });
    assert_eq!(asked, Some(cluster.disks[&1].promised));
    assert_eq!(asked.unwrap().node, NodeId(1));
}

#[test]
fn p1_a_candidate_that_crashes_before_its_write_has_sent_no_prepare() {
    let mut cluster = Cluster::new(3);
    let now_ms = 3 << 40;
    cluster.nodes.get_mut(&1).unwrap().tick(now_ms);
    let records = cluster.crash_before_write(1);
    assert!(matches!(records[..], [Record::Promise(_)]), "{records:?}");
    assert_eq!(cluster.lose(|e| e.is("prepare")), 0);
}

#[test]
fn p1_a_candidate_stands_above_every_ballot_it_has_seen_also_after_a_restart() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.elect(2);
    let seen = cluster.disks[&3].promised;
    cluster.crash(3);
    cluster.restart(3);
    cluster.stand(3);
    assert!(cluster.disks[&3].promised > seen);
    let first = cluster.disks[&3].promised;
    cluster.crash(3);
    cluster.restart(3);
    cluster.stand(3);
    assert!(cluster.disks[&3].promised > first, "a ballot is never used twice");
}

#[test]
fn p2_a_promise_is_durable_before_it_is_sent() {
    let mut cluster = Cluster::new(3);
    cluster.stand(1);
    let prepare = cluster.take(|e| e.is("prepare") && e.to == 2).remove(0);
    cluster.nodes.get_mut(&2).unwrap().message(0, NodeId(1), prepare.message);
    let out = cluster.output(2);
    assert!(out.before_write.is_empty());
    let write = out.write.expect("a promise is written");
    assert!(matches!(write.records[..], [Record::Promise(_)]), "{:?}", write.records);
    assert!(
        write
            .token
            .after_write()
            .iter()
            .any(|(_, message)| matches!(message, Message::Candidate(ToCandidate::Promise(_))))
    );
}

#[test]
fn p2_a_lower_ballot_is_refused_with_the_reason() {
    let mut cluster = Cluster::new(3);
    cluster.stand(1);
    let stale = cluster.take(|e| e.is("prepare") && e.to == 3).remove(0);
    cluster.settle();
    cluster.elect(2);
    let promised = cluster.durable(3).promised;
    cluster.deliver_one(stale);
    let refusals = cluster.take(|e| e.is("refused"));
    assert_eq!(refusals.len(), 1);
    assert!(matches!(&refusals[0].message, Message::Refused(r) if r.promised == promised));
}

#[test]
fn p2_a_repeated_prepare_gets_the_same_promise() {
    let mut cluster = Cluster::new(3);
    cluster.stand(1);
    let prepare = cluster.take(|e| e.is("prepare") && e.to == 2).remove(0);
    cluster.deliver_one(prepare.clone());
    cluster.deliver_one(prepare);
    let promises = cluster.take(|e| e.is("promise"));
    assert_eq!(promises.len(), 2);
    assert_eq!(promises[0].message, promises[1].message);
}

#[test]
fn p2_only_the_owner_of_a_ballot_may_speak_for_it() {
    let mut cluster = Cluster::new(3);
    let prepare =
        Prepare { ballot: ballot(9, 1), complete: Slot::ZERO, members_version: Slot::ZERO };
    let now_ms = 0;
    let node = cluster.nodes.get_mut(&2).unwrap();
    node.message(now_ms, NodeId(3), Message::Acceptor(ToAcceptor::Prepare(prepare.clone())));
    node.message(now_ms, NodeId(77), Message::Acceptor(ToAcceptor::Prepare(prepare)));
    assert_eq!(node.durable().promised, Ballot::ZERO);
}

/// Three nodes. Registers 0 to `registers` are set on nodes 1 and 2; node 3 has heard of none.
fn node_3_fell_behind(registers: u8, page_entries: usize) -> Cluster {
    let mut cluster = Cluster::with(3, |config| config.page = page_of(page_entries));
    cluster.isolate(3);
    cluster.elect(1);
    for register in 0..registers {
        cluster.run(1, Command::put(register, 100 + u64::from(register)));
    }
    cluster.cut.clear();
    cluster
}

#[test]
fn p2_pages_are_served_only_while_the_promise_stands() {
    let mut cluster = node_3_fell_behind(5, 2);
    cluster.stand(3);
    cluster.deliver(|e| e.is("prepare") && e.to == 2);
    cluster.deliver(|e| e.is("promise"));
    let fetch = cluster.take(|e| e.is("fetch-page")).remove(0);
    cluster.deliver_one(fetch.clone());
    assert_eq!(cluster.lose(|e| e.is("promise-page")), 1);
    cluster.rest(1);
    cluster.stand(1);
    cluster.deliver(|e| e.is("prepare") && e.to == 2);
    cluster.deliver_one(fetch);
    assert_eq!(cluster.lose(|e| e.is("promise-page")), 0);
    assert_eq!(cluster.lose(|e| e.is("refused") && e.to == 3), 1);
}

#[test]
fn p2_a_promise_holds_only_what_the_candidate_lacks() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.run(1, Command::put(0, 10));
    cluster.tick(1, 200);
    cluster.settle();
    cluster.isolate(3);
    for value in 1..4 {
        cluster.run(1, Command::put(1, value));
    }
    cluster.cut.clear();
    let complete = cluster.complete(3);
    cluster.stand(3);
    cluster.deliver(|e| e.is("prepare") && e.to == 2);
    let promise = cluster.take(|e| e.is("promise")).remove(0).message;
    let Message::Candidate(ToCandidate::Promise(promise)) = promise else { panic!("{promise:?}") };
    assert!(!promise.full);
    assert_eq!(promise.page.entries.len(), 1);
    assert!(promise.page.entries[0].1.version > Slot(complete));
}

#[test]
fn p3_a_recovery_takes_the_pages_of_a_long_promise_one_by_one() {
    let mut cluster = node_3_fell_behind(7, 2);
    cluster.rest(1);
    cluster.stand(3);
    cluster.settle_if(|e| e.from != 1 && e.to != 1);
    assert!(cluster.node(3).leads().is_some());
    for register in 0..7 {
        assert_eq!(cluster.value(3, register), Some(100 + u64::from(register)));
    }
}

#[test]
fn p3_a_lost_page_is_asked_for_again() {
    let mut cluster = node_3_fell_behind(5, 2);
    cluster.rest(1);
    cluster.stand(3);
    cluster.settle_if(|e| e.from != 1 && e.to != 1 && !e.is("promise-page"));
    assert_eq!(cluster.lose(|e| e.is("promise-page")), 1);
    cluster.tick(3, 200);
    cluster.settle_if(|e| e.from != 1 && e.to != 1);
    assert!(cluster.node(3).leads().is_some());
}

#[test]
fn p3_the_greatest_slot_wins_and_then_the_greatest_ballot() {
    let mut cluster = Cluster::new(5);
    cluster.elect(1);
    cluster.run(1, Command::put(0, 10));
    // In the ballot of node 1, slot 2 reaches node 1 alone.
    cluster.request(1, Command::put(0, 11));
    cluster.lose(|_| true);
    cluster.rest(1);
    // In the ballot of node 2, without node 1, node 2 alone accepts another decree for slot 2.
    cluster.isolate(1);
    cluster.elect(2);
    cluster.request(2, Command::put(0, 12));
    cluster.lose(|_| true);
    cluster.rest(2);
    // Node 3 hears both: slot 2 is the greatest, and the ballot of node 2 is the greater one.
    cluster.cut.clear();
    cluster.isolate(5);
    cluster.isolate(4);
    cluster.elect(3);
    assert_eq!(cluster.value(3, 0), Some(12));
    assert_eq!(cluster.complete(3), 2);
}

#[test]
fn p3_a_chosen_decree_that_was_never_announced_survives() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    let ticket = cluster.request(1, Command::put(0, 10));
    cluster.deliver(|e| e.is("accept") && e.to == 2);
    cluster.lose(|_| true);
    assert!(!cluster.is_answered(ticket));
    cluster.isolate(1);
    cluster.elect(3);
    assert_eq!(cluster.value(3, 0), Some(10));
    assert_eq!(cluster.run(3, Command::put(0, 20)).read, [Some(10)]);
}

#[test]
fn p3_a_new_leader_answers_nothing_before_its_reproposal_is_chosen() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.request(1, Command::put(0, 10));
    cluster.deliver(|e| e.is("accept") && e.to == 2);
    cluster.lose(|_| true);
    cluster.isolate(1);
    cluster.stand(3);
    let read = cluster.request(3, Command::get([0]));
    let write = cluster.request(3, Command::put(0, 20));
    cluster.settle_if(|e| e.is("prepare") || e.is("promise"));
    assert!(cluster.node(3).leads().is_some());
    assert!(!cluster.is_answered(read) && !cluster.is_answered(write));
    assert_eq!(cluster.lose(|e| e.is("confirm")), 0, "no round of reads begins before");
    cluster.settle();
    assert_eq!(cluster.outcome(write).read, [Some(10)]);
    assert!(matches!(cluster.outcome(read).read[..], [Some(10 | 20)]));
}

#[test]
fn p3_a_new_leader_sends_the_previous_patch_to_a_node_that_lacks_it() {
    // Slot 1 is on nodes 1 and 2 only; slot 2 is accepted by node 1 alone.
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.isolate(3);
    cluster.run(1, Command::put(0, 10));
    cluster.request(1, Command::put(1, 20));
    cluster.lose(|_| true);
    // Node 1 leads again with node 3 alone, which has neither.
    cluster.cut.clear();
    cluster.isolate(2);
    cluster.rest(1);
    cluster.elect(1);
    assert_eq!(cluster.value(3, 0), Some(10), "slot 1 is applied when slot 2 is accepted");
    assert_eq!(accepted_slot(cluster.durable(3)), 2);
    // So nodes 2 and 3 together know all that is chosen.
    cluster.cut.clear();
    cluster.isolate(1);
    cluster.elect(2);
    assert_eq!((cluster.value(2, 0), cluster.value(2, 1)), (Some(10), Some(20)));
}

#[test]
fn p3_a_deletion_whose_tombstone_was_dropped_reaches_a_candidate_that_was_away() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.run(1, Command::put(0, 10));
    cluster.run(1, Command::put(1, 11));
    assert_eq!(cluster.value(3, 0), Some(10));
    cluster.isolate(3);
    cluster.run(1, Command::delete(0));
    for value in 0..9 {
        cluster.run(1, Command::put(1, value));
    }
    assert!(cluster.durable(2).replica.floor() > Slot(3), "node 2 dropped the tombstone");
    assert!(cluster.durable(2).replica.entry(&Register(0)).is_none());
    cluster.cut.clear();
    cluster.isolate(1);
    cluster.elect(3);
    assert_eq!((cluster.value(3, 0), cluster.value(3, 1)), (None, Some(8)));
    assert!(cluster.durable(3).replica.floor() >= cluster.durable(2).replica.floor());
}

#[test]
fn p3_entries_below_the_best_complete_are_not_merged_from_other_nodes() {
    let mut cluster = Cluster::new(5);
    cluster.isolate(5);
    cluster.elect(1);
    cluster.run(1, Command::put(0, 10));
    cluster.run(1, Command::put(1, 11));
    cluster.isolate(4);
    cluster.run(1, Command::delete(0));
    for value in 0..9 {
        cluster.run(1, Command::put(1, value));
    }
    assert_eq!(cluster.value(4, 0), Some(10), "node 4 still holds a value that was deleted later");
    assert!(
        cluster.durable(2).replica.entry(&Register(0)).is_none(),
        "node 2 dropped the tombstone"
    );
    cluster.cut.clear();
    cluster.isolate(1);
    cluster.isolate(3);
    cluster.elect(5);
    assert_eq!((cluster.value(5, 0), cluster.value(5, 1)), (None, Some(8)));
}

#[test]
fn p3_a_recovery_left_unfinished_does_no_harm() {
    let mut cluster = node_3_fell_behind(7, 2);
    cluster.rest(1);
    cluster.stand(3);
    cluster.settle_if(|e| e.from != 1 && e.to != 1 && !e.is("promise-page"));
    assert_eq!(cluster.complete(3), 0, "a first page does not complete a copy");
    cluster.crash(3);
    cluster.restart(3);
    cluster.rest(3);
    cluster.lose(|_| true);
    cluster.elect(1);
    cluster.run(1, Command::put(0, 200));
    cluster.elect(3);
    assert_eq!((cluster.value(3, 0), cluster.value(3, 6)), (Some(200), Some(106)));
}

#[test]
fn p3_one_refusal_does_not_stop_a_candidate_that_a_majority_accepts() {
    let mut cluster = Cluster::new(5);
    // Node 5 promised a higher ballot to node 4. No other node heard of it.
    let higher =
        Prepare { ballot: ballot(50, 4), complete: Slot::ZERO, members_version: Slot::ZERO };
    cluster.nodes.get_mut(&5).unwrap().message(
        0,
        NodeId(4),
        Message::Acceptor(ToAcceptor::Prepare(higher)),
    );
    cluster.step(5);
    cluster.lose(|_| true);
    cluster.stand(1);
    cluster.deliver(|e| e.is("prepare") && e.to == 5);
    assert_eq!(cluster.deliver(|e| e.is("refused")), 1);
    cluster.settle();
    assert!(cluster.node(1).leads().is_some());
    assert_eq!(cluster.run(1, Command::put(0, 1)).read, [None]);
}

#[test]
fn p3_hostile_pages_are_ignored() {
    let mut cluster = node_3_fell_behind(5, 2);
    cluster.rest(1);
    cluster.stand(3);
    let mut promise = {
        cluster.deliver(|e| e.is("prepare") && e.to == 2);
        cluster.take(|e| e.is("promise")).remove(0)
    };
    let Message::Candidate(ToCandidate::Promise(sent)) = &mut promise.message else {
        panic!("a promise")
    };
    sent.page.entries.reverse();
    cluster.deliver_one(promise);
    assert!(cluster.node(3).leads().is_none());
    let fetch = FetchPage { ballot: ballot(1, 1), complete: Slot(9), after: Register(3) };
    cluster.nodes.get_mut(&3).unwrap().message(
        0,
        NodeId(1),
        Message::Acceptor(ToAcceptor::FetchPage(fetch)),
    );
    cluster.step(3);
}

#[test]
fn p3_a_candidate_that_finds_a_chosen_slot_and_no_accepted_proposal_gives_up() {
    let mut disk = Durable::default();
    disk.change(&Record::RaiseComplete(Slot(5)));
    let mut cluster = Cluster::<Registers>::manual(3, disk, |_| ());
    cluster.stand(1);
    let stood = cluster.disks[&1].promised;
    cluster.deliver(|e| e.is("prepare"));
    cluster.deliver(|e| e.is("promise"));
    assert_eq!(cluster.node(1).leads(), None);
    assert_eq!(cluster.node(1).lost(), Some((stood, Loss::NoProposal)));
}
