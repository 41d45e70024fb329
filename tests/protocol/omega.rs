//! Ω, the failure detector that elects the leader: which node leads when nodes stop and links are
//! cut.
//!
//! Every message that is not lost arrives at once. The partitions "quorum loss", "constrained
//! election" and "chained" are those of the omnipaxos paper.

use lattistore::lpaxos::{
    Cause, Election, FeatureLevel, Heartbeat, Loss, Message, NodeId, RequestOutcome,
};
use lattistore_sim::simulator::Command;

use crate::cluster::Cluster;

const LONG_MS: u64 = 3_000;

/// Checks that a leader answers a write and a read.
fn serves(cluster: &mut Cluster, node: u64) {
    let write = cluster.request(node, Command::put(9, 1));
    let read = cluster.request(node, Command::get([9]));
    cluster.live(500);
    cluster.outcome(write);
    cluster.outcome(read);
}

/// Returns the leader; fails if there is not exactly one.
fn only_leader(cluster: &Cluster) -> u64 {
    let leaders = cluster.leaders();
    assert_eq!(leaders.len(), 1, "leaders {leaders:?}");
    leaders[0]
}

/// Returns a cluster after its first election, and the leader.
fn elected(count: u64) -> (Cluster, u64) {
    let mut cluster = Cluster::elected(count);
    cluster.live(LONG_MS);
    let leader = only_leader(&cluster);
    (cluster, leader)
}

#[test]
fn a_leader_is_elected_is_known_to_all_and_is_not_contested() {
    for count in 1..=5 {
        let (mut cluster, leader) = elected(count);
        for node in cluster.all() {
            assert_eq!(cluster.node(node).leader().map(|n| n.0), Some(leader));
        }
        serves(&mut cluster, leader);
        let ballots = cluster.ballots.len();
        cluster.live(20 * LONG_MS);
        assert_eq!((cluster.ballots.len(), only_leader(&cluster)), (ballots, leader));
    }
}

#[test]
fn a_crashed_leader_is_replaced_and_follows_when_it_returns() {
    let (mut cluster, leader) = elected(5);
    serves(&mut cluster, leader);
    cluster.crash(leader);
    cluster.live(LONG_MS);
    let next = only_leader(&cluster);
    assert_ne!(next, leader);
    serves(&mut cluster, next);
    cluster.restart(leader);
    cluster.live(LONG_MS);
    assert_eq!(only_leader(&cluster), next, "a node that returns follows");
    assert_eq!(cluster.value(leader, 9), Some(1));
}

#[test]
fn a_minority_has_no_leader_and_answers_that_a_quorum_is_unreachable() {
    let (mut cluster, leader) = elected(5);
    for node in cluster.all().into_iter().filter(|node| *node != leader).take(3) {
        cluster.crash(node);
    }
    cluster.live(LONG_MS);
    assert!(cluster.leaders().is_empty());
    let ticket = cluster.request(leader, Command::put(0, 1));
    cluster.live(LONG_MS);
    assert!(matches!(cluster.answers[&ticket], RequestOutcome::Unreachable));
}

#[test]
fn a_feature_counts_as_known_only_while_all_members_say_that_they_know_it() {
    let (mut cluster, leader) = elected(3);
    let lowest = |cluster: &Cluster| cluster.node(leader).lowest_feature_level();
    assert_eq!(lowest(&cluster), FeatureLevel::OWN);
    let other = cluster.all().into_iter().find(|node| *node != leader).expect("there are three");
    let (sent, _) = cluster.node(other).heartbeat().expect("it was sent");
    // Release 0.1.0 does not say its level.
    let older = Heartbeat { feature_level: FeatureLevel::default(), ..sent.clone() };
    cluster.send(other, vec![(NodeId(leader), Message::Heartbeat(older))]);
    cluster.settle();
    assert_eq!(lowest(&cluster), FeatureLevel::FIRST);
    cluster.live(LONG_MS);
    assert_eq!(lowest(&cluster), FeatureLevel::OWN, "the next heartbeat replaced the older one");
    cluster.crash(other);
    cluster.live(LONG_MS);
    assert_eq!(lowest(&cluster), FeatureLevel::FIRST, "the node may return as another release");
}

#[test]
fn a_follower_names_the_leader() {
    let (mut cluster, leader) = elected(3);
    let follower = leader % 3 + 1;
    let ticket = cluster.request(follower, Command::put(0, 1));
    assert!(matches!(cluster.answers[&ticket], RequestOutcome::Redirect(node) if node.0 == leader));
}

#[test]
fn an_isolated_leader_resigns_and_answers_no_request_with_success() {
    let (mut cluster, leader) = elected(5);
    cluster.isolate(leader);
    let write = cluster.request(leader, Command::put(0, 1));
    let read = cluster.request(leader, Command::get([0]));
    cluster.live(LONG_MS);
    assert_ne!(only_leader(&cluster), leader);
    assert!(matches!(
        cluster.answers[&write],
        RequestOutcome::LostLeadership { may_have_run: true, .. }
    ));
    assert!(matches!(cluster.answers[&read], RequestOutcome::Unreachable));
}

#[test]
fn a_node_knows_whether_the_nodes_that_it_hears_hear_it() {
    let (mut cluster, leader) = elected(3);
    let (one, other) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    let known = |cluster: &Cluster| {
        let node = cluster.node(one);
        (node.peer(NodeId(other)).0, node.is_heard_by(NodeId(other)))
    };
    assert_eq!(known(&cluster), (true, Some(true)));
    assert_eq!(cluster.node(one).is_heard_by(NodeId(one)), Some(true));
    cluster.cut.insert((one, other));
    cluster.live(LONG_MS);
    assert_eq!(known(&cluster), (false, Some(false)));
    cluster.cut_both(one, other);
    cluster.live(LONG_MS);
    assert_eq!(known(&cluster), (false, None));
}

#[test]
fn quorum_loss_the_only_node_with_a_quorum_takes_over() {
    // Only the links to and from the hub work. The leader is not the hub, and it is alive.
    let (mut cluster, leader) = elected(5);
    let hub = leader % 5 + 1;
    for one in cluster.all() {
        for other in cluster.all() {
            if one < other && one != hub && other != hub {
                cluster.cut_both(one, other);
            }
        }
    }
    cluster.live(LONG_MS);
    assert_eq!(only_leader(&cluster), hub);
    serves(&mut cluster, hub);
    let ballots = cluster.ballots.len();
    cluster.live(10 * LONG_MS);
    assert_eq!(cluster.ballots.len(), ballots, "no duel");
}

#[test]
fn constrained_election_the_only_node_with_a_quorum_leads_although_it_is_behind() {
    let (mut cluster, leader) = elected(5);
    let hub = leader % 5 + 1;
    // The hub misses some slots first.
    cluster.isolate(hub);
    for value in 0..5 {
        cluster.run(leader, Command::put(0, value));
    }
    // Then the leader is cut off, and the others hear the hub alone.
    cluster.cut.clear();
    cluster.isolate(leader);
    for one in cluster.all() {
        for other in cluster.all() {
            if one < other && one != hub && other != hub {
                cluster.cut_both(one, other);
            }
        }
    }
    cluster.live(LONG_MS);
    assert_eq!(only_leader(&cluster), hub);
    serves(&mut cluster, hub);
    assert_eq!(cluster.value(hub, 0), Some(4));
}

#[test]
fn chained_partition_does_not_make_two_nodes_depose_each_other() {
    for cut_off in 1..=2 {
        let (mut cluster, leader) = elected(3);
        let end = (leader - 1 + cut_off) % 3 + 1;
        cluster.cut_both(leader, end);
        cluster.live(LONG_MS);
        let leader = only_leader(&cluster);
        serves(&mut cluster, leader);
        let ballots = cluster.ballots.len();
        cluster.live(20 * LONG_MS);
        assert_eq!((cluster.ballots.len(), only_leader(&cluster)), (ballots, leader));
    }
}

#[test]
fn one_way_links_do_not_count_towards_a_quorum() {
    let (mut cluster, leader) = elected(3);
    // All nodes hear the leader, and it hears none of them.
    for node in cluster.all().into_iter().filter(|node| *node != leader) {
        cluster.cut.insert((node, leader));
    }
    cluster.live(LONG_MS);
    let next = only_leader(&cluster);
    assert_ne!(next, leader);
    serves(&mut cluster, next);
}

#[test]
fn the_node_that_is_furthest_stands_first() {
    let (mut cluster, leader) = elected(5);
    let behind = [leader % 5 + 1, (leader + 1) % 5 + 1];
    behind.into_iter().for_each(|node| cluster.isolate(node));
    for value in 0..5 {
        cluster.run(leader, Command::put(0, value));
    }
    cluster.live(200);
    // They return at the moment in which the leader crashes.
    cluster.cut.clear();
    cluster.crash(leader);
    cluster.live(LONG_MS);
    assert!(!behind.contains(&only_leader(&cluster)));
}

#[test]
fn a_leader_that_closes_is_replaced_at_once() {
    let (mut cluster, leader) = elected(3);
    let ticket = cluster.request(leader, Command::put(0, 1));
    cluster.nodes.get_mut(&leader).unwrap().close(LONG_MS);
    cluster.step(leader);
    assert!(cluster.is_answered(ticket));
    cluster.crash(leader);
    cluster.live(LONG_MS);
    let next = only_leader(&cluster);
    serves(&mut cluster, next);
}

#[test]
fn two_candidates_of_one_ballot_round_end_with_one_leader() {
    for seed in 0..20 {
        let mut cluster = Cluster::elected(4);
        // A half has no quorum. When the links work again, all nodes stand at the same time.
        for one in [1, 2] {
            for other in [3, 4] {
                cluster.cut_both(one, other);
            }
        }
        cluster.live(500 + 10 * seed);
        assert!(cluster.leaders().is_empty());
        cluster.cut.clear();
        cluster.live(LONG_MS);
        let leader = only_leader(&cluster);
        serves(&mut cluster, leader);
    }
}

/// Lets `for_ms` pass; returns the longest time without a leader, in milliseconds.
fn longest_gap_ms(cluster: &mut Cluster, for_ms: u64) -> u64 {
    let (mut gap_ms, mut longest_ms) = (0, 0);
    for _ in 0..for_ms / 10 {
        cluster.live(10);
        gap_ms = if cluster.leaders().is_empty() { gap_ms + 10 } else { 0 };
        longest_ms = longest_ms.max(gap_ms);
    }
    longest_ms
}

#[test]
fn the_turn_of_a_crashed_node_is_skipped() {
    let mut cluster = Cluster::rotating(3, 2_000);
    cluster.live(13_000);
    cluster.crash(2);
    let gap_ms = longest_gap_ms(&mut cluster, 2_000);
    assert!(gap_ms < 800, "the first turn of the crashed node: {gap_ms} ms");
    let gap_ms = longest_gap_ms(&mut cluster, 12_000);
    assert!(gap_ms < 100, "no node waits for it later: {gap_ms} ms");
    let leader = only_leader(&cluster);
    serves(&mut cluster, leader);
    cluster.restart(2);
    let mut led = false;
    for _ in 0..700 {
        cluster.live(10);
        led |= cluster.leaders() == [2];
    }
    assert!(led, "a node that returns gets its turn");
}

#[test]
fn the_turn_of_a_node_that_a_majority_hears_is_not_skipped() {
    let mut cluster = Cluster::rotating(3, 2_000);
    cluster.live(3_000);
    cluster.cut_both(1, 3);
    cluster.live(6_000);
    let ballots = cluster.ballots.len();
    cluster.live(12_000);
    let terms = 6;
    assert!(cluster.ballots.len() <= ballots + terms + 1, "one ballot for each term, no duel");
}

#[test]
fn a_node_that_waited_for_its_disk_suspects_no_other_node() {
    let (mut cluster, leader) = elected(5);
    let ballots = cluster.ballots.len();
    for waits in cluster.all() {
        // One node is stuck for two seconds; then it hears what was sent meanwhile, bit by bit.
        for _ in 0..200 {
            cluster
                .all()
                .into_iter()
                .filter(|node| *node != waits)
                .for_each(|n| cluster.tick(n, 10));
            cluster.settle_if(|e| e.to != waits && e.from != waits);
            // Its transport repeats its last heartbeat.
            let repeated: Vec<_> =
                cluster.node(waits).heartbeat().into_iter().map(|h| h.0.clone()).collect();
            let others: Vec<_> = cluster.all().into_iter().filter(|node| *node != waits).collect();
            for heartbeat in repeated {
                let to_all =
                    others.iter().map(|to| (NodeId(*to), Message::Heartbeat(heartbeat.clone())));
                cluster.send(waits, to_all.collect());
            }
            cluster.settle_if(|e| e.to != waits);
        }
        cluster.tick(waits, 2_000);
        cluster.live(500);
        assert_eq!((cluster.ballots.len(), only_leader(&cluster)), (ballots, leader), "{waits}");
    }
}

/// A follower that waits for its disk repeats a heartbeat from before the leader's farewell.
#[test]
fn a_leader_that_sent_a_farewell_is_replaced_although_another_node_still_names_it() {
    let mut cluster = Cluster::with(3, |config| {
        // Shorter than the time for which the node that is furthest is waited for.
        (config.election, config.unreachable_ms) = (Election::Heartbeats, 60);
    });
    cluster.live(LONG_MS);
    let leader = only_leader(&cluster);
    let mut others = cluster.all();
    others.retain(|node| *node != leader);
    let [stands, waits] = others[..] else { panic!("two others") };
    let last = |cluster: &Cluster, node: u64| cluster.node(node).heartbeat().unwrap().0.clone();
    let (farewell, repeated) = (last(&cluster, leader).farewell(), last(&cluster, waits));
    assert_eq!(repeated.follows, Some(cluster.ballot(leader)));
    cluster.crash(leader);
    cluster.send(leader, vec![(NodeId(stands), Message::Heartbeat(farewell))]);
    cluster.settle();
    for _ in 0..30 {
        cluster.send(waits, vec![(NodeId(stands), Message::Heartbeat(repeated.clone()))]);
        cluster.settle_if(|e| e.to == stands);
        cluster.tick(stands, 10);
    }
    let stood = cluster.node(stands).stood().map(|(_, why)| why);
    assert_eq!(stood, Some(Cause::Farewell(NodeId(leader))));
}

#[test]
fn of_equally_advanced_nodes_the_one_with_the_fastest_disk_stands_first() {
    for place in 0..4 {
        let (mut cluster, leader) = elected(5);
        let others = cluster.all().into_iter().filter(|node| *node != leader);
        let fast = others.clone().nth(place).unwrap();
        for node in others {
            let sync_ms = if node == fast { 2 } else { 900 };
            cluster.nodes.get_mut(&node).unwrap().note_sync(sync_ms);
        }
        cluster.live(200);
        cluster.crash(leader);
        cluster.live(LONG_MS);
        assert_eq!(only_leader(&cluster), fast);
    }
}

/// The causes are what a node writes to its log.
#[test]
fn a_node_says_why_it_stands_and_why_it_gives_up() {
    let why = |cluster: &Cluster, node| cluster.node(node).stood().map(|(_, why)| why);
    let (mut cluster, first) = elected(3);
    assert_eq!(why(&cluster, first), Some(Cause::NoLeader));
    assert_eq!(cluster.node(first).lost(), None);

    // It falls silent: its last heartbeat said that it leads.
    cluster.isolate(first);
    cluster.live(LONG_MS);
    let lost = cluster.node(first).lost().map(|(_, why)| why);
    assert_eq!(lost, Some(Loss::NoQuorum));
    let second = cluster.leaders()[0];
    assert_eq!(why(&cluster, second), Some(Cause::NoLeader));
    cluster.cut.clear();
    cluster.live(LONG_MS);
    assert_eq!(only_leader(&cluster), second);

    // It sends a farewell.
    cluster.nodes.get_mut(&second).unwrap().close(0);
    cluster.step(second);
    let closed = cluster.node(second).lost().map(|(_, why)| why);
    assert_eq!(closed, Some(Loss::Closing));
    cluster.live(LONG_MS);
    let third = only_leader(&cluster);
    assert_ne!(third, second);
    assert_eq!(why(&cluster, third), Some(Cause::Farewell(NodeId(second))));
}

#[test]
fn a_node_that_sees_the_connection_of_its_leader_end_says_so_when_it_stands() {
    let (mut cluster, leader) = elected(3);
    cluster.crash(leader);
    for node in cluster.all().into_iter().filter(|node| *node != leader) {
        cluster.nodes.get_mut(&node).unwrap().unheard(0, NodeId(leader));
    }
    cluster.live(LONG_MS);
    let next = only_leader(&cluster);
    let stood = cluster.node(next).stood().map(|(_, why)| why);
    assert_eq!(stood, Some(Cause::ConnectionEnded(NodeId(leader))));
}

#[test]
fn a_reluctant_leader_hands_over_and_does_not_come_back_while_another_can_lead() {
    let (mut cluster, leader) = elected(3);
    cluster.set_reluctant(leader, true);
    assert!(cluster.leaders().is_empty(), "it resigns at once");
    assert_eq!(cluster.node(leader).lost().map(|(_, why)| why), Some(Loss::Reluctant));
    cluster.live(LONG_MS);
    let next = only_leader(&cluster);
    assert_ne!(next, leader);
    serves(&mut cluster, next);
    // When this one crashes the other follower stands, although the reluctant node is as far.
    cluster.crash(next);
    cluster.live(LONG_MS);
    let last = only_leader(&cluster);
    assert!(![leader, next].contains(&last));
    serves(&mut cluster, last);
}

#[test]
fn a_reluctant_node_leads_if_no_willing_one_can_and_keeps_the_lead_among_reluctant_ones() {
    let (mut cluster, leader) = elected(3);
    let (next, last) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    // All of them, the leader last: it stays.
    for node in [next, last, leader] {
        cluster.set_reluctant(node, true);
        cluster.settle();
    }
    let ballots = cluster.ballots.len();
    cluster.live(20 * LONG_MS);
    assert_eq!((cluster.ballots.len(), only_leader(&cluster)), (ballots, leader));
    serves(&mut cluster, leader);
    // Reluctant nodes elect one of themselves, too.
    cluster.crash(leader);
    cluster.live(LONG_MS);
    let second = only_leader(&cluster);
    serves(&mut cluster, second);
    // A willing node takes over as soon as it can.
    cluster.restart(leader);
    cluster.live(LONG_MS);
    assert_eq!(only_leader(&cluster), leader, "a restarted node is willing");
    serves(&mut cluster, leader);
}

#[test]
fn a_reluctant_leader_stays_while_the_willing_nodes_have_no_quorum() {
    let (mut cluster, leader) = elected(5);
    let far = leader % 5 + 1;
    // Only `far` is willing, and it hears the leader alone.
    for node in cluster.all().into_iter().filter(|node| *node != far) {
        if node != leader {
            cluster.cut_both(far, node);
        }
    }
    cluster.live(LONG_MS);
    for node in cluster.all().into_iter().filter(|node| *node != far) {
        cluster.set_reluctant(node, true);
    }
    cluster.live(LONG_MS);
    let leads = only_leader(&cluster);
    assert_ne!(leads, far);
    serves(&mut cluster, leads);
    // As soon as it has a quorum, it leads.
    cluster.cut.clear();
    cluster.live(LONG_MS);
    assert_eq!(only_leader(&cluster), far);
    serves(&mut cluster, far);
}

#[test]
fn the_turn_of_a_reluctant_node_passes_to_the_next() {
    let mut cluster = Cluster::new(3);
    let all = cluster.all();
    for (reluctant, turns) in [
        (&[2][..], [(1, 1), (2, 3), (3, 3)]),
        (&[2, 3], [(1, 1), (2, 1), (3, 1)]),
        (&[1, 2, 3], [(1, 1), (2, 2), (3, 3)]),
    ] {
        for node in reluctant {
            cluster.set_reluctant(*node, true);
            cluster.settle();
        }
        for (turn, leads) in turns {
            all.iter().for_each(|node| cluster.turn(*node, turn));
            cluster.settle();
            assert_eq!(
                only_leader(&cluster),
                leads,
                "{reluctant:?} are reluctant, and it is the turn of {turn}"
            );
        }
    }
}
