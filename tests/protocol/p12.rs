//! Rule P12 (membership): which votes count, how the members change, and what a node does that
//! missed a change.

use std::collections::BTreeSet;

use lattistore::lpaxos::{
    Ballot, Batch, Heartbeat, Loss, MAX_MEMBER_ADDRESS_BYTES, MAX_MEMBERS, Machine, Member,
    MemberChange, MemberChangeError, MemberNotice, MemberRole, MemberSet, Message, NodeId,
    Position, Prepare, Previous, Record, Refused, Replica, RequestOutcome, Slot, Ticket,
    ToAcceptor, ToCandidate,
};
use lattistore_sim::simulator::{Command, Outcome, Register, Registers};

use crate::cluster::{Cluster, Envelope, Msg, accepted_slot, formed, page_of};

fn ballot(round: u64, node: u64) -> Ballot {
    Ballot { round, node: NodeId(node) }
}

fn add(node: u64) -> MemberChange {
    MemberChange::Add { node: NodeId(node), address: format!("host{node}"), replaces: None }
}

fn replace(old: u64, node: u64) -> MemberChange {
    let replaces = Some(NodeId(old));
    MemberChange::Add { node: NodeId(node), address: format!("host{node}"), replaces }
}

fn remove(node: u64) -> MemberChange {
    MemberChange::Remove(NodeId(node))
}

/// Nodes that lead only when the test says so. Node 1 leads, and slot 1 is chosen.
fn led(count: u64) -> Cluster {
    let mut cluster = Cluster::new(count);
    begin(&mut cluster);
    cluster
}

fn begin(cluster: &mut Cluster) {
    cluster.elect(1);
    cluster.run(1, Command::put(0, 10));
}

/// Lets time pass until the leader has heard all nodes and repaired what it can.
fn beat(cluster: &mut Cluster) {
    for _ in 0..8 {
        cluster.tick_all(150);
        cluster.settle();
    }
}

/// Lets the leader 1 send its heartbeat, and with it write what no message waits for.
fn let_leader_write(cluster: &mut Cluster) {
    cluster.tick(1, 60);
    cluster.settle();
}

/// Adds a node, and goes on until it is a voter at the leader 1 and at all that are connected.
fn grow(cluster: &mut Cluster, node: u64) {
    if !cluster.nodes.contains_key(&node) {
        cluster.join(node);
    }
    cluster.change(1, add(node));
    cluster.settle();
    beat(cluster);
    assert!(cluster.voters(1).contains(&node), "{:?}", cluster.node(1).members());
}

/// Adds a node as a learner that is not heard, so that it is not promoted.
fn add_learner(cluster: &mut Cluster, node: u64) {
    cluster.join(node);
    let ticket = cluster.change(1, add(node));
    cluster.settle();
    let_leader_write(cluster);
    assert!(is_changed(cluster, ticket));
    assert!(!cluster.voters(1).contains(&node) && cluster.members(1).contains(&node));
}

fn is_changed(cluster: &Cluster, ticket: Ticket) -> bool {
    cluster.answers.get(&ticket) == Some(&RequestOutcome::MembersChanged)
}

fn error(cluster: &Cluster, ticket: Ticket) -> MemberChangeError {
    match cluster.answers.get(&ticket) {
        Some(RequestOutcome::MembersUnchanged(error)) => error.clone(),
        other => panic!("{ticket:?} was answered {other:?}"),
    }
}

/// Lets a node take in a message, and returns the records of the write that follows. What the node
/// sends is lost.
fn records_after(
    cluster: &mut Cluster,
    node: u64,
    from: u64,
    message: Msg,
) -> Vec<Record<Register, u64>> {
    let now_ms = cluster.now_ms(node);
    cluster.nodes.get_mut(&node).unwrap().message(now_ms, NodeId(from), message);
    let out = cluster.output(node);
    let Some(write) = out.write else { return Vec::new() };
    let records = write.records.clone();
    cluster.write(node, write);
    cluster.step(node);
    records
}

fn accepts_members(envelope: &Envelope) -> bool {
    matches!(
        &envelope.message,
        Message::Acceptor(ToAcceptor::Accept(accept)) if accept.decree.members.is_some()
    )
}

#[test]
fn p12_votes_of_others_than_voters_do_not_count() {
    let mut cluster = led(3);
    add_learner(&mut cluster, 4);
    let write = cluster.request(1, Command::put(0, 11));
    cluster.lose(|e| e.to == 2 || e.to == 3);
    // The learner lacks the decree before; then it votes.
    cluster.settle_if(|e| !e.is("accepted"));
    let vote = cluster.take(|e| e.is("accepted") && e.from == 4).remove(0);
    cluster.deliver_one(Envelope { from: 77, ..vote.clone() });
    cluster.deliver_one(vote);
    assert_eq!(accepted_slot(cluster.durable(4)), accepted_slot(cluster.durable(1)));
    assert!(!cluster.is_answered(write));
    cluster.tick(1, 200);
    cluster.settle();
    assert!(cluster.is_answered(write));
}

#[test]
fn p12_every_node_promises_and_accepts_whether_it_is_a_member_or_not() {
    let mut cluster = led(3);
    cluster.join(4);
    let prepare =
        Prepare { ballot: ballot(9, 2), complete: Slot::ZERO, members_version: Slot::ZERO };
    let message = Message::Acceptor(ToAcceptor::Prepare(prepare));
    cluster.deliver_one(Envelope { from: 2, to: 4, message });
    assert_eq!(cluster.lose(|e| e.is("promise") && e.from == 4), 1);
    assert_eq!(cluster.disks[&4].promised, ballot(9, 2));
}

#[test]
fn p12_the_first_decree_of_a_leader_names_the_founders() {
    let mut cluster = Cluster::bare(3);
    cluster.stand(1);
    cluster.deliver(|e| e.is("prepare"));
    let handed_out = cluster.wire.iter().any(|e| match &e.message {
        Message::Candidate(ToCandidate::Promise(promise)) => promise.members.is_some(),
        other => matches!(other, Message::MemberNotice(_)),
    });
    assert!(!handed_out, "version 0 is handed to no node");
    cluster.deliver(|e| e.is("promise"));
    // A change waits until the founders are chosen.
    cluster.join(4);
    let change = cluster.change(1, add(4));
    cluster.request(1, Command::put(0, 10));
    let founders = MemberSet::of_voters([1, 2, 3].map(NodeId));
    assert_eq!(cluster.proposed_members.get(&1), Some(&founders));
    assert!(cluster.wire.iter().filter(|e| e.is("accept")).all(accepts_members));
    cluster.settle();
    assert!(is_changed(&cluster, change));
    assert_eq!(cluster.proposed_members[&2].iter().count(), 4);
    assert_eq!(cluster.durable(3).replica.members().map(|entry| entry.version), Some(Slot(2)));
}

#[test]
fn p12_a_node_without_an_entry_neither_stands_nor_counts() {
    let mut cluster = Cluster::elected(3);
    cluster.live(2_000);
    cluster.join(4);
    cluster.live(2_000);
    assert!(cluster.ballots.iter().all(|ballot| ballot.node != NodeId(4)));
    assert!(!cluster.node(4).members().is_majority([NodeId(4)]));
}

#[test]
fn p12_a_learner_gets_accept_and_commit_and_is_repaired_and_becomes_a_voter_when_level() {
    let mut cluster = led(3);
    for register in 1..6 {
        cluster.run(1, Command::put(register, u64::from(register)));
    }
    add_learner(&mut cluster, 4);
    cluster.request(1, Command::put(6, 6));
    assert!(cluster.wire.iter().any(|e| e.is("accept") && e.to == 4));
    assert!(!cluster.wire.iter().any(|e| e.is("confirm") && e.to == 4));
    cluster.settle();
    beat(&mut cluster);
    assert_eq!(cluster.voters(1), [1, 2, 3, 4]);
    assert_eq!(cluster.complete(4), cluster.complete(1));
    assert_eq!((cluster.value(4, 1), cluster.value(4, 6)), (Some(1), Some(6)));
    // The old voters and the added one are told at once (P9), and know the set.
    for node in 2..=4 {
        assert_eq!(cluster.voters(node), [1, 2, 3, 4]);
    }
}

#[test]
fn p12_a_read_asks_voters_only() {
    let mut cluster = led(3);
    add_learner(&mut cluster, 4);
    cluster.request(1, Command::get([0]));
    let asked: Vec<u64> = cluster.wire.iter().filter(|e| e.is("confirm")).map(|e| e.to).collect();
    assert_eq!(asked, [2, 3]);
}

/// Node 2 lags behind by more than two slots, and its repair is lost as long as the test says so.
fn node_2_lags(cluster: &mut Cluster) {
    cluster.cut_both(1, 2);
    for value in 20..26 {
        cluster.run(1, Command::put(0, value));
    }
    cluster.cut.clear();
}

#[test]
fn p12_a_change_of_the_voters_waits_until_a_majority_of_the_new_ones_is_level() {
    let mut cluster = led(3);
    node_2_lags(&mut cluster);
    let change = cluster.change(1, remove(3));
    cluster.settle();
    assert!(cluster.proposed_members.is_empty(), "of 1 and 2, node 2 is not level");
    // Node 2 is repaired, and says so.
    beat(&mut cluster);
    assert!(is_changed(&cluster, change));
    assert_eq!(cluster.voters(2), [1, 2]);
    let (slot, members) = cluster.proposed_members.first_key_value().unwrap();
    assert_eq!(members.voters(), [1, 2].map(NodeId));
    assert_eq!(*slot, 8);
}

#[test]
fn p12_a_voter_is_level_at_two_slots_below_the_change_and_not_at_three() {
    for (lag, is_made) in [(2, true), (3, false)] {
        let mut cluster = led(3);
        // All know that slot 1 is chosen.
        cluster.tick(1, 200);
        cluster.settle();
        assert_eq!(cluster.complete(2), 1);
        cluster.cut_both(1, 2);
        // The change would be in slot 1 + lag.
        for value in 1..lag {
            cluster.run(1, Command::put(0, value));
        }
        cluster.cut.clear();
        cluster.change(1, remove(3));
        let proposed = cluster.proposed_members.keys().copied().collect::<Vec<_>>();
        let expected = if is_made { vec![1 + lag] } else { Vec::new() };
        assert_eq!(proposed, expected);
    }
}

#[test]
fn p12_a_change_that_is_blocked_does_not_block_a_promotion() {
    let mut cluster = led(3);
    cluster.cut_both(1, 2);
    add_learner(&mut cluster, 4);
    for value in 20..26 {
        cluster.run(1, Command::put(0, value));
    }
    // Of nodes 1 and 2, node 2 is not level; with node 4 as a voter, two of three are.
    let change = cluster.change(1, remove(3));
    cluster.settle();
    assert_eq!(cluster.proposed_members.len(), 1, "the learner alone");
    beat(&mut cluster);
    assert!(is_changed(&cluster, change));
    let voters: Vec<_> = cluster.proposed_members.values().map(MemberSet::voters).collect();
    let expected = [vec![1, 2, 3], vec![1, 2, 3, 4], vec![1, 2, 4]];
    assert_eq!(voters, expected.map(|set| set.into_iter().map(NodeId).collect::<Vec<_>>()));
}

#[test]
fn p12_the_leader_counts_itself_by_what_its_last_finished_write_holds() {
    let mut cluster = Cluster::with(3, |config| config.overlapping_batch = 1);
    begin(&mut cluster);
    cluster.tick(1, 200);
    cluster.settle();
    // During one slow write of the leader, the others choose slots that its disk does not hold.
    cluster.slow.insert(1, None);
    cluster.request(1, Command::put(0, 20));
    cluster.tick(1, 30);
    cluster.settle();
    for value in 21..25 {
        cluster.run(1, Command::put(0, value));
    }
    let durable = cluster.disks[&1].replica.complete();
    let next = cluster.complete(1) + 1;
    assert!(durable.0 + 2 < next, "{durable} is durable, slot {next} is next");
    // Of nodes 1 and 2, node 2 is level.
    let change = cluster.change(1, remove(3));
    cluster.settle();
    assert!(cluster.proposed_members.is_empty());
    while cluster.slow[&1].is_some() {
        cluster.finish_write(1);
        cluster.settle();
    }
    cluster.slow.clear();
    beat(&mut cluster);
    assert!(is_changed(&cluster, change));
    assert_eq!(cluster.voters(1), [1, 2]);
}

#[test]
fn p12_an_added_voter_must_itself_be_level() {
    // Three of four voters are level without the added one. A learner counts as ready at once.
    let mut cluster = Cluster::with(3, |config| config.level_slots = 1_000);
    begin(&mut cluster);
    cluster.join(4);
    cluster.change(1, add(4));
    cluster.settle();
    for value in 0..3 {
        cluster.run(1, Command::put(0, value));
    }
    for _ in 0..8 {
        cluster.tick_all(150);
        cluster.settle_if(|e| !e.is("repair-patches") && !e.is("repair-page"));
    }
    assert_eq!(cluster.complete(4), 0);
    assert_eq!(cluster.voters(1), [1, 2, 3]);
    assert_eq!(cluster.proposed_members.len(), 1, "the addition of the learner alone");
    beat(&mut cluster);
    assert_eq!(cluster.voters(1), [1, 2, 3, 4]);
}

#[test]
fn p12_one_voter_comes_at_a_time_and_none_before_all_that_are_heard_are_level() {
    let mut cluster = Cluster::with(3, |config| config.level_slots = 2);
    begin(&mut cluster);
    for value in 0..3 {
        cluster.run(1, Command::put(0, value));
    }
    for node in [4, 5] {
        cluster.join(node);
        cluster.change(1, add(node));
    }
    cluster.settle();
    for _ in 0..8 {
        cluster.tick_all(150);
        cluster.settle_if(|e| e.to != 5 || e.is("heartbeat") || e.is("commit"));
        cluster.lose(|_| true);
    }
    assert_eq!(cluster.complete(4), cluster.complete(1));
    assert_eq!(cluster.voters(1), [1, 2, 3], "node 5 is not level");
    beat(&mut cluster);
    assert_eq!(cluster.voters(1), [1, 2, 3, 4, 5]);
    let mut voters: BTreeSet<NodeId> = [1, 2, 3].map(NodeId).into();
    for members in cluster.proposed_members.values() {
        let next: BTreeSet<NodeId> = members.voters().iter().copied().collect();
        assert!(voters.symmetric_difference(&next).count() <= 1);
        voters = next;
    }
    let sizes: Vec<_> = cluster.proposed_members.values().map(|set| set.voters().len()).collect();
    assert_eq!(sizes, [3, 3, 4, 5]);
}

#[test]
fn p12_the_set_of_a_proposal_is_frozen() {
    let mut cluster = led(3);
    // The vote of node 3 counts for the decree that removes it, and for no later one.
    cluster.tick(1, 200);
    cluster.settle();
    cluster.change(1, remove(3));
    let write = cluster.request(1, Command::put(0, 11));
    cluster.lose(|e| e.to == 2);
    cluster.settle_if(|e| e.to == 3 || e.is("accepted"));
    let slot = *cluster.proposed_members.first_key_value().unwrap().0;
    assert_eq!(cluster.voters(1), [1, 2], "chosen by nodes 1 and 3");
    assert_eq!(accepted_slot(cluster.durable(3)), slot);
    // A copy of the next proposal reaches node 3 too.
    let accept = cluster.take(|e| e.is("accept") && e.to == 2).remove(0);
    cluster.deliver_one(Envelope { to: 3, ..accept.clone() });
    cluster.settle_if(|e| e.from == 3);
    assert!(!cluster.is_answered(write));
    cluster.deliver_one(accept);
    cluster.settle();
    assert!(cluster.is_answered(write));
}

#[test]
fn p12_a_round_of_reads_begins_again_with_the_new_voters_when_the_members_change() {
    let mut cluster = led(5);
    cluster.tick(1, 200);
    cluster.settle();
    let read = cluster.request(1, Command::get([0]));
    for node in [5, 4] {
        cluster.change(1, remove(node));
        cluster.settle_if(|e| !e.is("confirm"));
    }
    assert_eq!(cluster.voters(1), [1, 2, 3]);
    // The voters that the first round asked may be switched off. An answer to it counts no more.
    let round = |e: &Envelope| match &e.message {
        Message::Acceptor(ToAcceptor::Confirm(confirm)) => confirm.round,
        _ => 0,
    };
    let last = cluster.wire.iter().map(round).max().unwrap();
    cluster.deliver(|e| e.is("confirm") && round(e) < last);
    cluster.settle_if(|e| !e.is("confirm"));
    assert!(!cluster.is_answered(read), "answers to rounds of an older set");
    cluster.deliver(|e| e.is("confirm") && e.to == 2);
    cluster.settle_if(|e| !e.is("confirm"));
    assert_eq!(cluster.outcome(read).read, [Some(10)]);
}

/// Three voters, of which node 3 missed that it was removed.
fn node_3_missed_its_removal() -> Cluster {
    let mut cluster = led(3);
    cluster.tick(1, 200);
    cluster.settle();
    cluster.isolate(3);
    let change = cluster.change(1, remove(3));
    cluster.settle();
    let_leader_write(&mut cluster);
    assert!(is_changed(&cluster, change));
    cluster.cut.clear();
    cluster
}

#[test]
fn p12_a_candidate_that_is_not_a_voter_is_refused_with_the_entry_and_gives_up() {
    let mut cluster = node_3_missed_its_removal();
    cluster.stand(3);
    assert!(cluster.disks[&3].promised > cluster.disks[&2].promised);
    let before = cluster.disks[&2].promised;
    cluster.deliver(|e| e.is("prepare"));
    assert_eq!(cluster.disks[&2].promised, before, "it promised nothing");
    let refusal = cluster.take(|e| e.is("refused") && e.from == 2).remove(0);
    let entry = cluster.durable(2).replica.members().cloned();
    let Message::Refused(refused) = &refusal.message else { panic!("{refusal:?}") };
    assert_eq!((refused.promised, &refused.members), (before, &entry));
    cluster.deliver_one(refusal);
    let own = cluster.ballots.iter().rfind(|ballot| ballot.node == NodeId(3)).copied().unwrap();
    assert_eq!(cluster.node(3).lost(), Some((own, Loss::NewMembers)));
    assert_eq!(cluster.durable(3).replica.members(), entry.as_ref());
    cluster.settle();
    assert_eq!((cluster.node(3).leads(), cluster.leaders()), (None, vec![1]));
}

#[test]
fn p12_a_lower_ballot_of_a_node_that_is_not_a_voter_is_refused_with_the_entry_too() {
    let mut cluster = node_3_missed_its_removal();
    let lower = Prepare { ballot: ballot(0, 3), complete: Slot::ZERO, members_version: Slot::ZERO };
    assert!(lower.ballot < cluster.disks[&2].promised);
    let message = Message::Acceptor(ToAcceptor::Prepare(lower));
    cluster.deliver_one(Envelope { from: 3, to: 2, message });
    let refusal = cluster.take(|e| e.is("refused")).remove(0);
    let Message::Refused(refused) = &refusal.message else { panic!("{refusal:?}") };
    assert_eq!(refused.members.as_ref(), cluster.durable(2).replica.members());
}

#[test]
fn p12_a_candidate_whose_entry_is_as_new_is_promised_whatever_its_ballot() {
    let mut cluster = led(3);
    cluster.change(1, remove(3));
    cluster.settle();
    cluster.elect(2);
    assert_eq!(cluster.run(2, Command::put(0, 12)).read, [Some(10)]);
}

/// Node 1 leads five voters, is cut off, and does not hear that node 2 leads and removes node 5.
fn node_1_missed_a_change() -> Cluster {
    let mut cluster = led(5);
    cluster.tick(1, 200);
    cluster.settle();
    cluster.isolate(1);
    cluster.elect(2);
    cluster.change(2, remove(5));
    cluster.settle();
    assert_eq!(cluster.voters(2), [1, 2, 3, 4]);
    cluster.cut.clear();
    cluster
}

#[test]
fn p12_a_node_whose_heartbeat_shows_an_older_entry_is_told_the_newer_one() {
    let mut cluster = node_1_missed_a_change();
    cluster.tick(1, 100);
    cluster.deliver(|e| e.is("heartbeat") && e.to == 2);
    let notice = cluster.take(|e| e.is("member-notice")).remove(0);
    let entry = cluster.durable(2).replica.members().cloned().unwrap();
    let promised = cluster.disks[&2].promised;
    assert_eq!(notice.message, Message::MemberNotice(MemberNotice { promised, entry }));
    assert_eq!(notice.to, 1);
}

#[test]
fn p12_an_entry_from_outside_a_ballot_comes_with_a_promise_in_the_same_write_and_ends_leading() {
    let mut cluster = node_1_missed_a_change();
    let led_with = cluster.ballot(1);
    let entry = cluster.durable(2).replica.members().cloned().unwrap();
    let promised = cluster.durable(2).promised;
    let notice = Message::MemberNotice(MemberNotice { promised, entry: entry.clone() });
    let records = records_after(&mut cluster, 1, 2, notice.clone());
    assert_eq!(records[..2], [Record::Promise(promised), Record::Members(entry)]);
    assert_eq!(cluster.node(1).leads(), None);
    assert_eq!(cluster.node(1).lost(), Some((led_with, Loss::NewMembers)));
    // The same once more is no news.
    assert_eq!(records_after(&mut cluster, 1, 2, notice), []);
}

#[test]
fn p12_an_entry_from_outside_a_ballot_ends_standing_and_lowers_no_promise() {
    let mut cluster = node_1_missed_a_change();
    cluster.rest(1);
    cluster.stand(1);
    cluster.lose(|_| true);
    let own = cluster.disks[&1].promised;
    let entry = cluster.durable(2).replica.members().cloned().unwrap();
    let promised = ballot(1, 2);
    assert!(promised < own);
    assert!(matches!(cluster.node(1).stood(), Some((stood, _)) if stood == own));
    let notice = Message::MemberNotice(MemberNotice { promised, entry: entry.clone() });
    let records = records_after(&mut cluster, 1, 2, notice);
    // Its clock says that it stands again, with another ballot.
    assert!(matches!(&records[..], [Record::Members(first), Record::Promise(next)]
        if *first == entry && *next > own));
    assert_eq!(cluster.node(1).lost(), Some((own, Loss::NewMembers)));
}

/// Nodes 1 to 5 are voters; node 3 knows of 1 to 3 only. Node 2 lacks two slots that nodes 1, 4 and
/// 5 have chosen, and has accepted a later one. Node 1 is down.
fn node_3_missed_two_additions() -> Cluster {
    let mut cluster = led(3);
    cluster.tick(1, 200);
    cluster.settle();
    cluster.join(4);
    cluster.join(5);
    cluster.isolate(3);
    grow(&mut cluster, 4);
    grow(&mut cluster, 5);
    cluster.cut_both(1, 2);
    cluster.run(1, Command::put(1, 11));
    cluster.run(1, Command::put(2, 12));
    cluster.cut.remove(&(1, 2));
    cluster.cut.remove(&(2, 1));
    cluster.run(1, Command::put(3, 13));
    cluster.run(1, Command::put(3, 14));
    cluster.crash(1);
    cluster.cut.clear();
    cluster
}

#[test]
fn p12_a_recovery_whose_merged_entry_has_other_voters_asks_them_in_the_same_ballot() {
    let mut cluster = node_3_missed_two_additions();
    let (best, accepted) = (cluster.complete(2), accepted_slot(cluster.durable(2)));
    assert!(best + 1 < accepted, "node 2 has a gap");
    let before = cluster.complete(3);
    cluster.stand(3);
    let asked: Vec<u64> = cluster.wire.iter().filter(|e| e.is("prepare")).map(|e| e.to).collect();
    assert_eq!(asked, [1, 2]);
    // The answer to a heartbeat would bring the entry before the promise does.
    cluster.lose(|e| e.is("heartbeat"));
    cluster.settle_if(|e| e.to == 2 || e.to == 3);
    // Nodes 2 and 3 are a majority of the voters that node 3 knew, and not of those it knows now.
    assert_eq!(cluster.node(3).leads(), None);
    assert_eq!(cluster.voters(3), [1, 2, 3, 4, 5]);
    assert_eq!(cluster.complete(3), best, "not the slot before the one that node 2 accepted");
    let prepares = cluster.take(|e| e.is("prepare") && e.to > 3);
    assert_eq!(prepares.len(), 2);
    for envelope in &prepares {
        let Message::Acceptor(ToAcceptor::Prepare(prepare)) = &envelope.message else {
            panic!("{envelope:?}")
        };
        assert_eq!(prepare.ballot, cluster.disks[&3].promised);
        assert_eq!(prepare.complete, Slot(before), "as in the first one of the ballot");
    }
    prepares.into_iter().for_each(|envelope| cluster.deliver_one(envelope));
    cluster.settle();
    assert!(cluster.node(3).leads().is_some());
    for (register, value) in [(1, 11), (2, 12), (3, 14)] {
        assert_eq!(cluster.run(3, Command::get([register])).read, [Some(value)]);
    }
}

#[test]
fn p12_a_promise_that_comes_during_the_merge_joins_if_the_entry_asks_for_it() {
    let mut cluster = node_3_missed_two_additions();
    cluster.restart(1);
    cluster.rest(1);
    cluster.lose(|_| true);
    cluster.stand(3);
    // Both promises are there before the second set is known; with node 3 they are a majority of
    // it.
    cluster.deliver(|e| e.is("prepare"));
    cluster.settle_if(|e| e.to == 3 || e.is("fetch-page"));
    assert!(cluster.node(3).leads().is_some());
}

#[test]
fn p12_a_candidate_outside_of_the_merged_voters_gives_up() {
    let mut cluster = node_3_missed_its_removal();
    // A promise itself brings the entry: node 2 takes the candidate for one that knows it.
    cluster.stand(3);
    let asked = cluster.disks[&3].promised;
    cluster.lose(|_| true);
    let entry = cluster.durable(2).replica.members().cloned();
    let prepare =
        Prepare { ballot: asked, complete: Slot::ZERO, members_version: entry.unwrap().version };
    let message = Message::Acceptor(ToAcceptor::Prepare(prepare));
    cluster.deliver_one(Envelope { from: 3, to: 2, message });
    cluster.deliver(|e| e.is("promise"));
    assert_eq!((cluster.node(3).leads(), cluster.node(3).leader()), (None, None));
    assert_eq!(cluster.voters(3), [1, 2]);
    cluster.settle();
    assert_eq!(cluster.node(3).leads(), None);
}

#[test]
fn p12_what_precedes_a_reproposal_is_all_own_entries_of_that_slot_or_more_and_the_member_entry() {
    let mut cluster = led(3);
    cluster.tick(1, 200);
    cluster.settle();
    let change = cluster.change(1, MemberChange::Move { node: NodeId(2), address: "b".into() });
    cluster.settle();
    assert!(is_changed(&cluster, change));
    cluster.tick(1, 200);
    cluster.settle();
    let known = cluster.complete(3);
    cluster.isolate(3);
    // The second slot overwrites what the first one wrote.
    cluster.run(1, Command::put(0, 20));
    cluster.run(1, Command::put(0, 21));
    let last = cluster.complete(1);
    assert_eq!((known, last), (2, 4));
    cluster.cut.clear();
    cluster.rest(1);
    cluster.stand(1);
    cluster.lose(|e| e.is("prepare") && e.to == 2);
    cluster.settle_if(|e| e.is("prepare") || e.is("promise"));
    let accept = cluster.take(|e| e.is("accept") && e.to == 3).remove(0);
    let Message::Acceptor(ToAcceptor::Accept(sent)) = &accept.message else { panic!() };
    assert_eq!(sent.slot, Slot(last));
    let Previous::Entries(newer) = &sent.previous else { panic!("{:?}", sent.previous) };
    let versions: Vec<_> = newer.entries.iter().map(|(key, entry)| (*key, entry.version)).collect();
    assert_eq!(versions, [(Register(0), Slot(last))], "slot 3 wrote nothing that is left");
    assert_eq!(newer.members.as_ref(), cluster.durable(1).replica.members());
    // They are merged as facts, and `complete` rises by one.
    cluster.deliver_one(accept);
    assert_eq!((cluster.complete(3), accepted_slot(cluster.durable(3))), (3, 4));
    assert_eq!(cluster.value(3, 0), Some(21));
    cluster.settle();
    assert_eq!(cluster.run(1, Command::get([0])).read, [Some(21)]);
}

#[test]
fn p12_what_precedes_a_reproposal_raises_no_complete_over_a_gap() {
    let mut cluster = led(3);
    cluster.tick(1, 200);
    cluster.settle();
    cluster.isolate(3);
    for value in 20..24 {
        cluster.run(1, Command::put(0, value));
    }
    cluster.cut.clear();
    cluster.rest(1);
    cluster.stand(1);
    cluster.lose(|e| e.is("prepare") && e.to == 2);
    cluster.settle_if(|e| e.is("prepare") || e.is("promise"));
    cluster.deliver(|e| e.is("accept") && e.to == 3);
    assert_eq!((cluster.complete(3), accepted_slot(cluster.durable(3))), (1, 5));
    assert_eq!(cluster.value(3, 0), Some(23));
}

/// Registers of which two are more than a message takes.
#[derive(Debug, Default)]
struct HeavyRegisters(Registers);

impl Machine for HeavyRegisters {
    type Key = Register;
    type Value = u64;
    type Command = Command;
    type Outcome = Outcome;

    fn is_read_only(&self, command: &Command) -> bool {
        self.0.is_read_only(command)
    }

    fn run(
        &mut self,
        command: &Command,
        position: Position,
        batch: &mut Batch<'_, Register, u64>,
    ) -> Outcome {
        self.0.run(command, position, batch)
    }

    fn size(_: &Register, _: Option<&u64>) -> usize {
        4 << 20
    }

    fn housekeeping(&mut self, _: u64, _: &Replica<Register, u64>) -> Vec<Command> {
        Vec::new()
    }
}

#[test]
fn p12_what_precedes_a_reproposal_and_does_not_fit_a_message_is_copied_at_once() {
    let mut cluster = Cluster::<HeavyRegisters>::manual(5, formed(5), |_| ());
    cluster.elect(1);
    cluster.run(1, Command::put(0, 10));
    cluster.tick(1, 200);
    cluster.settle();
    cluster.isolate(4);
    cluster.isolate(5);
    cluster.run(1, Command::put(1, 11));
    cluster.run(1, Command::put(2, 12));
    // Nodes 1, 4 and 5 are left: two of these lack what precedes slot 3.
    cluster.cut.clear();
    cluster.crash(2);
    cluster.crash(3);
    cluster.rest(1);
    cluster.stand(1);
    cluster.settle_if(|e| !e.is("repair-page"));
    assert!(cluster.node(1).leads().is_some());
    let read = cluster.request(1, Command::get([1]));
    assert_eq!(cluster.wire.iter().filter(|e| e.is("repair-page")).count(), 2);
    assert_eq!(accepted_slot(cluster.durable(4)), 1);
    cluster.settle();
    cluster.tick(1, 200);
    cluster.settle();
    assert_eq!(cluster.outcome(read).read, [Some(11)]);
    assert_eq!((accepted_slot(cluster.durable(4)), cluster.value(4, 1)), (3, Some(11)));
}

#[test]
fn p12_a_refusal_of_a_learner_makes_the_leader_stand_higher_and_costs_no_majority() {
    let mut cluster = led(1);
    add_learner(&mut cluster, 2);
    let before = cluster.ballot(1);
    let higher = Prepare { ballot: ballot(50, 9), complete: Slot::ZERO, members_version: Slot(99) };
    let message = Message::Acceptor(ToAcceptor::Prepare(higher));
    cluster.deliver_one(Envelope { from: 9, to: 2, message });
    cluster.lose(|_| true);
    let write = cluster.request(1, Command::put(0, 11));
    assert!(cluster.deliver(|e| e.to == 2) > 0);
    assert_eq!(cluster.deliver(|e| e.is("refused")), 1);
    assert!(cluster.is_answered(write), "the only voter is the leader");
    assert_eq!(cluster.node(1).leads(), Some(before));
    cluster.tick(1, 10);
    cluster.settle();
    assert!(cluster.ballot(1) > ballot(50, 9));
    assert_eq!(cluster.run(1, Command::put(0, 12)).read, [Some(11)]);
}

#[test]
fn p12_a_refusal_of_a_node_that_is_not_a_member_is_ignored() {
    let mut cluster = led(3);
    let led_with = cluster.ballot(1);
    for stranger in [77, 78, 79] {
        let promised = ballot(50, stranger);
        let refused = Refused { ballot: led_with, promised, members: None };
        cluster.deliver_one(Envelope { from: stranger, to: 1, message: refused.into() });
    }
    cluster.tick(1, 10);
    cluster.settle();
    assert_eq!(cluster.node(1).leads(), Some(led_with));
}

/// Nodes that elect their leader. Returns the cluster, the leader and the others.
fn elected(count: u64) -> (Cluster, u64, Vec<u64>) {
    let mut cluster = Cluster::elected(count);
    cluster.live(2_000);
    let leader = cluster.leaders()[0];
    cluster.run(leader, Command::put(0, 10));
    let others = cluster.all().into_iter().filter(|node| *node != leader).collect();
    (cluster, leader, others)
}

#[test]
fn p12_a_leader_that_is_to_be_removed_hands_over_and_the_request_is_redirected() {
    let (mut cluster, leader, _) = elected(3);
    let first = cluster.change(leader, remove(leader));
    cluster.live(500);
    let next = cluster.leaders()[0];
    assert_ne!(next, leader);
    assert_eq!(cluster.answers[&first], RequestOutcome::Redirect(NodeId(next)));
    assert!(cluster.members(next).contains(&leader), "it was not made");
    let second = cluster.change(next, remove(leader));
    cluster.live(500);
    assert!(is_changed(&cluster, second));
    assert!(!cluster.members(next).contains(&leader));
    assert!(!cluster.members(leader).contains(&leader), "it is told too");
    cluster.live(1_000);
    assert_eq!(cluster.leaders(), [next]);
}

#[test]
fn p12_a_leader_that_handed_over_does_not_stand_for_abstain_ms() {
    let (mut cluster, leader, others) = elected(3);
    let ticket = cluster.change(leader, remove(leader));
    cluster.live(500);
    assert!(cluster.is_answered(ticket));
    // Each time that another node leads, its connections are cut until it has given up.
    for _ in 0..4 {
        for other in &others {
            cluster.cut_both(others[0], others[1]);
            cluster.cut_both(leader, *other);
            cluster.live(500);
            cluster.cut.clear();
            cluster.live(500);
            assert_ne!(cluster.leaders(), [leader], "at {} ms", cluster.now_ms(leader));
        }
    }
    // Both others would rather not lead.
    others.iter().for_each(|other| cluster.set_reluctant(*other, true));
    cluster.live(10_000);
    assert_eq!(cluster.leaders(), [leader]);
}

#[test]
fn p12_a_leader_outside_of_its_applied_set_commits_to_old_and_new_and_steps_down() {
    let mut cluster = led(3);
    cluster.tick(1, 200);
    cluster.settle();
    cluster.elect(2);
    // Node 2 removes node 1; nodes 1 and 2 accept that, and node 2 does not hear of it.
    cluster.change(2, remove(1));
    cluster.deliver(|e| e.is("accept") && e.to == 1);
    cluster.lose(|_| true);
    cluster.rest(2);
    cluster.cut_both(1, 2);
    cluster.stand(1);
    cluster.settle_if(|e| !e.is("accepted"));
    assert!(cluster.node(1).leads().is_some(), "it proposes its own removal again");
    cluster.cut.clear();
    cluster.deliver(|e| e.is("accepted"));
    let commits: Vec<u64> = cluster.wire.iter().filter(|e| e.is("commit")).map(|e| e.to).collect();
    assert_eq!(commits, [2, 3]);
    assert_eq!(cluster.node(1).leads(), None);
    assert_eq!(cluster.voters(1), [2, 3]);
    cluster.settle();
    assert_eq!(cluster.voters(3), [2, 3]);
    cluster.elect(3);
    assert_eq!(cluster.run(3, Command::put(0, 11)).read, [Some(10)]);
}

#[test]
fn p12_a_removed_node_is_told_by_a_commit_at_once() {
    let mut cluster = led(3);
    cluster.change(1, remove(3));
    cluster.settle_if(|e| !e.is("commit"));
    let mut commits: Vec<u64> =
        cluster.wire.iter().filter(|e| e.is("commit")).map(|e| e.to).collect();
    commits.sort_unstable();
    assert_eq!(commits, [2, 3]);
    cluster.settle();
    assert_eq!(cluster.voters(3), [1, 2]);
}

#[test]
fn p12_a_change_is_answered_when_a_majority_of_the_new_voters_holds_it() {
    let mut cluster = led(3);
    cluster.tick(1, 200);
    cluster.settle();
    let change = cluster.change(1, remove(3));
    cluster.settle_if(|e| !e.is("commit"));
    assert_eq!(cluster.voters(1), [1, 2], "it is chosen and applied at the leader");
    assert!(!cluster.is_answered(change));
    cluster.deliver(|e| e.is("commit") && e.to == 3);
    cluster.settle_if(|e| e.from == 3);
    assert!(!cluster.is_answered(change), "node 3 is not a voter of the new set");
    cluster.settle();
    let_leader_write(&mut cluster);
    assert!(is_changed(&cluster, change));
}

#[test]
fn p12_a_change_is_answered_when_a_majority_has_accepted_the_next_slot() {
    let mut cluster = led(3);
    cluster.tick(1, 200);
    cluster.settle();
    let change = cluster.change(1, remove(3));
    cluster.settle_if(|e| !e.is("commit"));
    cluster.lose(|e| e.is("commit"));
    assert!(!cluster.is_answered(change));
    cluster.run(1, Command::put(0, 11));
    assert!(is_changed(&cluster, change));
}

#[test]
fn p12_a_repeated_change_is_answered_as_done() {
    let mut cluster = led(3);
    cluster.join(4);
    for change in [add(4), remove(9), MemberChange::Move { node: NodeId(2), address: "".into() }] {
        cluster.change(1, change.clone());
        cluster.settle();
        let proposals = cluster.proposed_members.len();
        let again = cluster.change(1, change);
        cluster.settle();
        let_leader_write(&mut cluster);
        cluster.tick(1, 200);
        cluster.settle();
        assert!(is_changed(&cluster, again));
        assert_eq!(cluster.proposed_members.len(), proposals);
    }
}

#[test]
fn p12_a_repeated_change_is_not_answered_before_the_first_is_done() {
    let mut cluster = led(4);
    cluster.tick(1, 200);
    cluster.settle();
    let first = cluster.change(1, remove(4));
    cluster.settle_if(|e| !e.is("commit"));
    let again = cluster.change(1, remove(4));
    cluster.settle_if(|e| !e.is("commit"));
    assert!(!cluster.is_answered(first) && !cluster.is_answered(again));
    cluster.settle();
    assert!(is_changed(&cluster, first) && is_changed(&cluster, again));
}

#[test]
fn p12_a_replacement_goes_on_under_the_next_leader() {
    let (mut cluster, leader, others) = elected(3);
    let old = others[0];
    cluster.join(4);
    cluster.change(leader, replace(old, 4));
    for _ in 0..1_000 {
        cluster.live(10);
        if cluster.proposed_members.values().any(|set| set.is_voter(NodeId(4))) {
            break;
        }
    }
    // The leader fails when the added node has just become a voter.
    cluster.crash(leader);
    cluster.live(20_000);
    let next = cluster.leaders()[0];
    let mut expected = vec![leader, others[1], 4];
    expected.sort_unstable();
    assert_eq!(cluster.voters(next), expected);
    assert_eq!(cluster.node(next).members().get(NodeId(4)).unwrap().replaces, None);
}

#[test]
fn p12_a_leader_is_replaced_and_the_only_voter_too() {
    for count in [1, 3] {
        let (mut cluster, leader, others) = elected(count);
        let node = count + 1;
        cluster.join(node);
        cluster.change(leader, replace(leader, node));
        cluster.live(5_000);
        let expected: Vec<u64> = others.into_iter().chain([node]).collect();
        let next = cluster.leaders()[0];
        assert_eq!(cluster.voters(next), expected);
        assert_eq!(cluster.run(next, Command::get([0])).read, [Some(10)]);
        // It is not needed any more.
        cluster.crash(leader);
        cluster.live(2_000);
        let next = cluster.leaders()[0];
        assert_eq!(cluster.run(next, Command::put(0, 11)).read, [Some(10)]);
    }
}

#[test]
fn p12_a_member_keeps_its_replacement_until_the_learner_is_removed() {
    let mut cluster = led(3);
    cluster.join(4);
    cluster.change(1, replace(3, 4));
    cluster.settle();
    let by = MemberChangeError::AlreadyReplaced { old: NodeId(3), by: NodeId(4) };
    let other = cluster.change(1, replace(3, 5));
    assert_eq!(error(&cluster, other), by);
    cluster.change(1, remove(4));
    cluster.settle();
    assert_eq!(cluster.members(1), [1, 2, 3]);
    cluster.join(5);
    cluster.change(1, replace(3, 5));
    cluster.settle();
    beat(&mut cluster);
    assert_eq!(cluster.voters(1), [1, 2, 5]);
}

#[test]
fn p12_the_copy_to_a_learner_ends_when_the_learner_is_removed() {
    let mut cluster = Cluster::with(3, |config| {
        (config.window_bytes, config.page) = (1, page_of(1));
    });
    begin(&mut cluster);
    for register in 0..4 {
        cluster.run(1, Command::put(register, 1));
    }
    cluster.join(4);
    cluster.change(1, add(4));
    cluster.settle();
    for _ in 0..3 {
        cluster.tick_all(150);
        cluster.settle_if(|e| !e.is("page-merged"));
    }
    let merged = cluster.take(|e| e.is("page-merged"));
    assert!(!merged.is_empty(), "a copy is under way");
    let change = cluster.change(1, remove(4));
    cluster.settle();
    assert!(is_changed(&cluster, change));
    merged.into_iter().for_each(|envelope| cluster.deliver_one(envelope));
    assert_eq!(
        cluster.lose(|e| e.is("repair-page")),
        0,
        "a node that is not a member gets no page"
    );
    // Nothing holds the tombstones back.
    cluster.run(1, Command::delete(0));
    for value in 0..12 {
        cluster.run(1, Command::put(1, value));
        cluster.tick(1, 150);
        cluster.settle();
    }
    assert!(cluster.durable(1).replica.floor() > Slot::ZERO);
}

#[test]
fn p12_a_change_that_cannot_be_made_is_answered_with_the_reason() {
    let mut cluster = led(3);
    add_learner(&mut cluster, 4);
    let elsewhere = |node: u64| MemberChange::Move { node: NodeId(node), address: "x".into() };
    let added_elsewhere =
        MemberChange::Add { node: NodeId(4), address: "x".into(), replaces: None };
    let far =
        MemberChange::Move { node: NodeId(2), address: "x".repeat(MAX_MEMBER_ADDRESS_BYTES + 1) };
    for (change, expected) in [
        (elsewhere(9), MemberChangeError::NotAMember(NodeId(9))),
        (replace(9, 5), MemberChangeError::NotAMember(NodeId(9))),
        (added_elsewhere, MemberChangeError::AlreadyAMember(NodeId(4))),
        (far, MemberChangeError::Unsound),
        (add(0), MemberChangeError::Unsound),
    ] {
        let ticket = cluster.change(1, change);
        assert_eq!(error(&cluster, ticket), expected);
    }
    // Of 1 and 3, node 3 is not heard.
    cluster.unheard(1, 3);
    let ticket = cluster.change(1, remove(2));
    assert_eq!(error(&cluster, ticket), MemberChangeError::NoMajority);
    assert_eq!(cluster.proposed_members.len(), 1, "the learner alone");

    let mut alone = led(1);
    let ticket = alone.change(1, remove(1));
    assert_eq!(error(&alone, ticket), MemberChangeError::LastVoter(NodeId(1)));
    let all = (1..=MAX_MEMBERS as u64).map(NodeId);
    let full = MemberSet::of_voters(all);
    assert_eq!(add(99).apply(&full), Err(MemberChangeError::TooManyMembers));
}

#[test]
fn p12_a_follower_redirects_a_change_and_at_most_16_wait() {
    let mut cluster = led(3);
    // Its clock names node 1.
    cluster.tick(2, 0);
    let ticket = cluster.change(2, add(4));
    assert_eq!(cluster.answers.get(&ticket), Some(&RequestOutcome::Redirect(NodeId(1))));
    // A candidate keeps them until it leads.
    cluster.stand(3);
    let tickets: Vec<Ticket> = (0..17).map(|_| cluster.change(3, remove(9))).collect();
    let rejected =
        |ticket: &&Ticket| cluster.answers.get(*ticket) == Some(&RequestOutcome::TooManyRequests);
    let rejected: Vec<&Ticket> = tickets.iter().filter(rejected).collect();
    assert_eq!(rejected, [&tickets[16]]);
    cluster.settle();
    cluster.tick(3, 200);
    cluster.settle();
    assert!(is_changed(&cluster, tickets[15]));
}

#[test]
fn p12_a_change_has_a_deadline_before_and_after_it_is_proposed() {
    let mut cluster = led(3);
    node_2_lags(&mut cluster);
    let deadline_ms = cluster.now_ms(1) + 50;
    let waiting = cluster.change_until(1, remove(3), deadline_ms);
    cluster.tick(1, 60);
    cluster.lose(|_| true);
    let outcome = RequestOutcome::Timeout { may_have_run: false };
    assert_eq!(cluster.answers.get(&waiting), Some(&outcome));
    assert!(cluster.proposed_members.is_empty());
    beat(&mut cluster);
    assert_eq!(cluster.voters(1), [1, 2, 3]);
    let deadline_ms = cluster.now_ms(1) + 50;
    let proposed = cluster.change_until(1, remove(3), deadline_ms);
    cluster.lose(|_| true);
    cluster.tick(1, 60);
    let outcome = RequestOutcome::Timeout { may_have_run: true };
    assert_eq!(cluster.answers.get(&proposed), Some(&outcome));
    beat(&mut cluster);
    assert_eq!(cluster.voters(1), [1, 2], "it is made all the same");
}

#[test]
fn p12_proposals_are_held_for_a_change_for_member_hold_ms_and_then_go_on() {
    let mut cluster = led(3);
    node_2_lags(&mut cluster);
    cluster.change(1, remove(3));
    let write = cluster.request(1, Command::put(1, 1));
    assert_eq!(cluster.lose(|e| e.is("accept")), 0, "held");
    cluster.tick(1, 90);
    assert_eq!(cluster.lose(|e| e.is("accept")), 0, "held for 100 ms");
    cluster.lose(|_| true);
    cluster.tick(1, 20);
    assert!(cluster.wire.iter().any(|e| e.is("accept") && !accepts_members(e)));
    cluster.settle_if(|e| !e.is("repair-patches") && e.to != 2 && e.from != 2);
    assert!(cluster.is_answered(write));
    // For as long proposals are free; then they are held again.
    let free = cluster.request(1, Command::put(1, 2));
    cluster.settle_if(|e| e.to != 2 && e.from != 2);
    assert!(cluster.is_answered(free));
    cluster.tick(1, 100);
    let held = cluster.request(1, Command::put(1, 3));
    cluster.settle_if(|e| e.to != 2 && e.from != 2);
    assert!(!cluster.is_answered(held));
    // The answer of node 2 ends the hold, and the change goes first.
    cluster.settle();
    beat(&mut cluster);
    assert!(cluster.is_answered(held));
    assert_eq!(cluster.voters(1), [1, 2]);
}

#[test]
fn p12_heartbeats_go_to_members_and_to_nodes_that_were_heard_and_name_both() {
    let mut cluster = led(3);
    add_learner(&mut cluster, 4);
    cluster.tick(1, 100);
    let mut receivers: Vec<u64> =
        cluster.take(|e| e.is("heartbeat")).iter().map(|e| e.to).collect();
    receivers.sort_unstable();
    assert_eq!(receivers, [2, 3, 4]);
    let heartbeat = Message::Heartbeat(Heartbeat::default());
    cluster.deliver_one(Envelope { from: 9, to: 1, message: heartbeat });
    cluster.lose(|_| true);
    cluster.tick(1, 100);
    let to_stranger = cluster.take(|e| e.is("heartbeat") && e.to == 9).remove(0);
    let Message::Heartbeat(heartbeat) = to_stranger.message else { panic!("a heartbeat") };
    assert!(heartbeat.hears.contains(&NodeId(9)));
    assert_eq!(heartbeat.members_version, Slot(2));
}

#[test]
fn p12_an_entry_without_its_promise() {
    // A = 1, B = 2, Z = 3, K = 4, Y = 5, X = 6.
    let (a, b, z, k, y, x) = (1, 2, 3, 4, 5, 6);
    let mut cluster = Cluster::new(6);
    cluster.elect(a);
    cluster.run(a, Command::put(9, 9));
    cluster.tick(a, 200);
    cluster.settle();
    let among =
        |nodes: Vec<u64>| move |e: &Envelope| nodes.contains(&e.to) && nodes.contains(&e.from);
    // A removes X by the votes of A, B, Z and Y.
    cluster.change(a, remove(x));
    cluster.settle_if(among(vec![a, b, z, y]));
    cluster.lose(|_| true);
    // Two puts by the votes of A, B and Z; a further one reaches K alone, with the one before it.
    for (register, value) in [(0, 2), (1, 3)] {
        cluster.request(a, Command::put(register, value));
        cluster.settle_if(among(vec![a, b, z]));
        cluster.lose(|_| true);
    }
    cluster.request(a, Command::put(2, 4));
    cluster.settle_if(among(vec![a, k]));
    cluster.lose(|_| true);
    let last = accepted_slot(cluster.durable(k));
    assert_eq!((last, cluster.value(k, 0), cluster.value(k, 1)), (5, None, Some(3)));
    // X, which knows of no change, stands; then K does with a higher ballot, and Y promises.
    cluster.stand(x);
    cluster.deliver(|e| e.is("heartbeat") && e.to == k);
    cluster.lose(|_| true);
    cluster.stand(k);
    assert!(cluster.disks[&k].promised > cluster.disks[&x].promised);
    let late = cluster.take(|e| e.is("prepare") && e.to == x).remove(0);
    cluster.deliver(|e| e.is("prepare") && e.to == y);
    let promise_of_y = cluster.take(|e| e.is("promise") && e.to == k).remove(0);
    cluster.lose(|_| true);
    // A leads again, chooses the last put of the majority again, copies to Y, and removes Z and B.
    cluster.rest(a);
    let higher = cluster.durable(k).promised;
    let nothing = Refused { ballot: Ballot::ZERO, promised: higher, members: None };
    cluster.deliver_one(Envelope { from: y, to: a, message: nothing.into() });
    cluster.stand(a);
    let without_k = |e: &Envelope| [a, b, z, y].contains(&e.to) && [a, b, z, y].contains(&e.from);
    cluster.settle_if(without_k);
    for node in [z, b] {
        for _ in 0..8 {
            [a, b, z, y].iter().for_each(|node| cluster.tick(*node, 150));
            cluster.settle_if(without_k);
            cluster.lose(|_| true);
        }
        cluster.change(a, remove(node));
        cluster.settle_if(without_k);
    }
    assert_eq!(cluster.voters(a), [a, k, y]);
    cluster.lose(|_| true);
    // X shows A that its entry is older, and takes the promise of A in with that of A.
    cluster.tick(x, 200);
    cluster.deliver(|e| e.to == a);
    cluster.settle_if(|e| e.to == x && (e.is("refused") || e.is("member-notice")));
    assert_eq!(cluster.voters(x), [a, k, y]);
    assert!(cluster.disks[&x].promised >= cluster.ballot(a));
    // So the ballot of K is refused, and K does not come to lead without the first put.
    cluster.lose(|_| true);
    cluster.deliver_one(late);
    assert_eq!(cluster.lose(|e| e.is("promise")), 0);
    cluster.deliver_one(promise_of_y);
    cluster.settle_if(|e| e.is("refused"));
    assert_eq!(cluster.node(k).leads(), None);
    assert!(cluster.complete(k) < last - 1);
}

#[test]
fn p12_a_set_read_again() {
    let mut cluster = led(5);
    cluster.tick(1, 200);
    cluster.settle();
    // Node 1 begins a round, and node 2 confirms it.
    let read = cluster.request(1, Command::get([0]));
    cluster.deliver(|e| e.is("confirm") && e.to == 2);
    let confirmed = cluster.take(|e| e.is("confirmed")).remove(0);
    cluster.lose(|_| true);
    cluster.deliver_one(confirmed.clone());
    // Without node 1, and first without node 2, a ballot chooses and acknowledges another value.
    cluster.isolate(1);
    cluster.isolate(2);
    cluster.elect(3);
    assert_eq!(cluster.run(3, Command::put(0, 77)).read, [Some(10)]);
    cluster.cut.clear();
    cluster.isolate(1);
    beat(&mut cluster);
    for node in [5, 4] {
        let change = cluster.change(3, remove(node));
        cluster.settle();
        beat(&mut cluster);
        assert!(is_changed(&cluster, change), "{node}: {:?}", cluster.answers.get(&change));
        beat(&mut cluster);
    }
    // Node 1 learns of the three that are left, and of the answer of node 2 once more.
    let entry = cluster.durable(3).replica.members().cloned().unwrap();
    let promised = cluster.durable(3).promised;
    let notice = MemberNotice { promised, entry };
    cluster.deliver_one(Envelope { from: 3, to: 1, message: notice.into() });
    assert_eq!(cluster.voters(1), [1, 2, 3]);
    cluster.deliver_one(confirmed);
    match cluster.answers.get(&read) {
        None | Some(RequestOutcome::Redirect(_)) => {}
        other => panic!("the read was answered {other:?}"),
    }
}

#[test]
fn p12_a_voter_that_slept_through_a_change() {
    let (mut cluster, leader, others) = elected(3);
    let (sleeper, removed) = (others[0], others[1]);
    cluster.crash(sleeper);
    cluster.join(4);
    cluster.change(leader, add(4));
    cluster.live(5_000);
    assert!(cluster.voters(leader).contains(&4));
    let change = cluster.change(leader, remove(removed));
    cluster.live(2_000);
    assert!(is_changed(&cluster, change));
    cluster.crash(removed);
    // The node that knows of no change comes back when the leader dies.
    cluster.crash(leader);
    cluster.restart(sleeper);
    cluster.live(3_000);
    let next = cluster.leaders()[0];
    assert_eq!(cluster.run(next, Command::put(0, 11)).read, [Some(10)]);
    let mut expected = vec![leader, sleeper, 4];
    expected.sort_unstable();
    assert_eq!(cluster.voters(sleeper), expected);
}

#[test]
fn p12_a_learner_is_removed_and_a_removed_member_may_come_back_with_its_state() {
    let mut cluster = led(3);
    cluster.change(1, remove(3));
    cluster.settle();
    assert_eq!(cluster.members(3), [1, 2]);
    cluster.change(1, add(3));
    cluster.settle();
    beat(&mut cluster);
    assert_eq!(cluster.voters(1), [1, 2, 3]);
    let role = cluster.node(3).members().get(NodeId(3)).map(|member: &Member| member.role);
    assert_eq!(role, Some(MemberRole::Voter));
}
