//! Rules P10 (repair) and P11 (tombstones).

use lattistore::lpaxos::{Message, Record, Slot, ToAcceptor};
use lattistore_sim::simulator::{Command, Register};

use crate::cluster::{Cluster, Envelope, page_of};

/// Node 3 is cut off while registers 0 and 3 are deleted and register 5 is written nine times. The
/// leader, node 1, keeps `window_bytes` of patches and tombstones for `tombstone_slots` slots. At
/// the end all links work again.
fn node_3_was_away(window_bytes: usize, tombstone_slots: u64) -> Cluster {
    let mut cluster = Cluster::with(3, |config| {
        config.window_bytes = window_bytes;
        config.tombstone_slots = tombstone_slots;
        config.page = page_of(2);
    });
    cluster.elect(1);
    for register in 0..6 {
        cluster.run(1, Command::put(register, 10));
    }
    cluster.tick(1, 200);
    cluster.settle();
    assert_eq!(cluster.complete(3), 6);
    cluster.isolate(3);
    cluster.run(1, Command::delete(0));
    cluster.run(1, Command::delete(3));
    for value in 0..9 {
        cluster.run(1, Command::put(5, value));
    }
    cluster.cut.clear();
    cluster
}

/// Ticks the leader until repair must be finished; checks that node 3 equals it.
fn converge(cluster: &mut Cluster) {
    for _ in 0..6 {
        cluster.tick(1, 200);
        cluster.settle();
    }
    assert_eq!(cluster.complete(3), cluster.complete(1));
    for register in 0..6 {
        assert_eq!(cluster.value(3, register), cluster.value(1, register), "register {register}");
    }
}

#[test]
fn p10_a_node_that_lags_a_little_gets_patches_from_the_window() {
    let mut cluster = node_3_was_away(1 << 20, 1_000);
    cluster.tick(1, 200);
    cluster.settle_if(|e| !e.is("repair-patches"));
    assert!(cluster.wire.iter().any(|e| e.is("repair-patches")));
    converge(&mut cluster);
}

#[test]
fn p10_a_node_below_the_window_gets_the_newer_entries_page_by_page() {
    let mut cluster = node_3_was_away(1, 1_000);
    cluster.tick(1, 200);
    cluster.settle_if(|e| !e.is("repair-page"));
    let page = cluster.take(|e| e.is("repair-page")).remove(0);
    let Message::Acceptor(ToAcceptor::RepairPage(sent)) = &page.message else { panic!("a page") };
    assert!(!sent.copy.is_full());
    assert!(sent.page.entries.iter().all(|(_, entry)| entry.version > Slot(6)));
    cluster.deliver_one(page);
    converge(&mut cluster);
}

#[test]
fn p10_a_node_below_the_floor_gets_a_full_copy_and_deletes_what_the_copy_lacks() {
    let mut cluster = node_3_was_away(1, 2);
    assert!(cluster.durable(1).replica.floor() > Slot(6));
    cluster.tick(1, 200);
    cluster.settle_if(|e| !e.is("repair-page"));
    let page = cluster.take(|e| e.is("repair-page")).remove(0);
    let Message::Acceptor(ToAcceptor::RepairPage(sent)) = &page.message else { panic!("a page") };
    assert!(sent.copy.is_full());
    cluster.deliver_one(page);
    converge(&mut cluster);
    assert!(cluster.durable(3).replica.floor() >= Slot(8));
}

#[test]
fn p10_only_the_last_page_raises_complete_and_with_it_the_floor() {
    let mut cluster = node_3_was_away(1, 2);
    cluster.tick(1, 200);
    let mut pages = 0;
    loop {
        cluster.settle_if(|e| !e.is("repair-page"));
        let page = cluster.take(|e| e.is("repair-page")).remove(0);
        let Message::Acceptor(ToAcceptor::RepairPage(sent)) = &page.message else {
            panic!("a page")
        };
        let is_last = sent.page.next.is_none();
        assert_eq!((cluster.complete(3), cluster.durable(3).replica.floor()), (6, Slot(0)));
        pages += 1;
        cluster.deliver_one(page);
        if is_last {
            break;
        }
    }
    assert!(pages > 1);
    assert_eq!(cluster.complete(3), cluster.complete(1));
    assert_eq!(cluster.durable(3).replica.floor(), cluster.durable(1).replica.floor());
}

#[test]
fn p10_a_page_of_a_full_copy_leaves_tombstones_of_the_target_slot() {
    let mut cluster = node_3_was_away(1, 2);
    cluster.tick(1, 200);
    cluster.settle_if(|e| !e.is("repair-page"));
    let page = cluster.take(|e| e.is("repair-page")).remove(0);
    let Message::Acceptor(ToAcceptor::RepairPage(sent)) = page.message.clone() else {
        panic!("a page")
    };
    cluster.deliver_one(page);
    let entry = cluster.durable(3).replica.entry(&Register(0)).cloned().unwrap();
    assert_eq!((entry.value, entry.version), (None, sent.copy.target));
}

/// Node 3 has accepted the slot that writes `deleted` and nothing later, and is about to get a full
/// copy. The message that makes it apply that slot is delayed: it is returned.
fn node_3_missed_a_deletion(others: &[u8], deleted: u8) -> (Cluster, Envelope) {
    let mut cluster = Cluster::with(3, |config| {
        config.window_bytes = 1;
        config.tombstone_slots = 2;
        config.page = page_of(2);
    });
    cluster.elect(1);
    for register in others {
        cluster.run(1, Command::put(*register, 10));
    }
    cluster.tick(1, 200);
    cluster.settle();
    let written = cluster.run(1, Command::put(deleted, 99)).position.slot;
    cluster.request(1, Command::delete(deleted));
    let late = cluster.take(|e| e.is("accept") && e.to == 3).remove(0);
    cluster.settle();
    cluster.isolate(3);
    for value in 0..9 {
        cluster.run(1, Command::put(others[others.len() - 1], value));
    }
    cluster.cut.clear();
    assert!(cluster.durable(1).replica.floor() > written);
    cluster.tick(1, 200);
    (cluster, late)
}

/// Takes the next page of a copy off the wire.
fn next_page(cluster: &mut Cluster) -> Envelope {
    cluster.settle_if(|e| !e.is("repair-page"));
    cluster.take(|e| e.is("repair-page")).remove(0)
}

#[test]
fn p10_a_patch_that_arrives_after_its_page_restores_no_deleted_entry() {
    let (mut cluster, late) = node_3_missed_a_deletion(&[1, 2, 3, 4, 5], 0);
    let page = next_page(&mut cluster);
    cluster.deliver_one(page);
    cluster.deliver_one(late);
    assert_eq!(cluster.value(3, 0), Some(99));
    converge(&mut cluster);
}

#[test]
fn p10_a_repeated_first_page_does_not_revive_an_invalid_copy() {
    let (mut cluster, late) = node_3_missed_a_deletion(&[1, 2, 4, 5, 6, 7], 3);
    let first = next_page(&mut cluster);
    cluster.deliver_one(first.clone());
    let second = next_page(&mut cluster);
    cluster.deliver_one(second);
    // The second page has no entry for register 3, which says that the register has no value.
    let third = next_page(&mut cluster);
    cluster.deliver_one(late);
    assert_eq!(cluster.value(3, 3), Some(99));
    cluster.deliver_one(first);
    cluster.deliver_one(third);
    converge(&mut cluster);
}

#[test]
fn p10_a_page_of_an_older_copy_restores_no_deleted_entry() {
    let mut cluster = Cluster::with(3, |config| {
        config.window_bytes = 1;
        config.tombstone_slots = 2;
        config.page = page_of(2);
        config.unreachable_ms = 1_000;
    });
    cluster.elect(1);
    for register in 1..6 {
        cluster.run(1, Command::put(register, 10));
    }
    cluster.tick(1, 200);
    cluster.settle();
    cluster.isolate(3);
    for register in [0, 4, 3, 5] {
        cluster.run(1, Command::put(register, 99));
    }
    cluster.cut.clear();
    cluster.tick(1, 200);
    let late = next_page(&mut cluster);
    // The leader gives the copy up. A register of its first page is deleted, and then the tombstone
    // of that register is dropped.
    cluster.isolate(3);
    for _ in 0..20 {
        cluster.tick(1, 1_000);
    }
    cluster.run(1, Command::delete(0));
    for value in 0..9 {
        cluster.run(1, Command::put(5, value));
    }
    cluster.cut.clear();
    cluster.tick_all(200);
    cluster.settle_if(|e| !e.is("repair-page"));
    cluster.tick(1, 200);
    let first = next_page(&mut cluster);
    let Message::Acceptor(ToAcceptor::RepairPage(sent)) = &first.message else { panic!("a page") };
    assert!(sent.copy.is_full() && sent.page.next.is_some());
    cluster.deliver_one(first);
    cluster.deliver_one(late);
    assert_eq!(cluster.value(3, 0), Some(99));
    converge(&mut cluster);
}

/// Register 0 was deleted, set and deleted again, and the last tombstone was dropped. Node 4 was
/// cut off after the first deletion and holds that tombstone; node 5 was cut off after the second
/// write and holds the value.
fn nodes_4_and_5_were_away() -> Cluster {
    let mut cluster = Cluster::with(5, |config| {
        config.window_bytes = 1;
        config.tombstone_slots = 2;
        config.tombstones_per_step = 1;
        config.page = page_of(2);
    });
    let settle_all = |cluster: &mut Cluster| {
        cluster.tick(1, 200);
        cluster.settle();
    };
    cluster.elect(1);
    for register in 0..6 {
        cluster.run(1, Command::put(register, 10));
    }
    for register in [1, 2, 3, 0] {
        cluster.run(1, Command::delete(register));
    }
    settle_all(&mut cluster);
    cluster.isolate(4);
    cluster.run(1, Command::put(0, 11));
    settle_all(&mut cluster);
    cluster.isolate(5);
    cluster.run(1, Command::delete(0));
    for value in 0..9 {
        cluster.run(1, Command::put(5, value));
    }
    settle_all(&mut cluster);
    cluster.cut.clear();
    assert!(cluster.durable(4).replica.entry(&Register(0)).is_some_and(|e| e.value.is_none()));
    assert_eq!(cluster.value(5, 0), Some(11));
    for node in 1..=3 {
        assert!(cluster.durable(node).replica.entry(&Register(0)).is_none());
    }
    cluster
}

/// Node 4 got a full copy and leads: it repairs node 5. The deleted value must not come back.
fn node_4_brings_up_node_5(cluster: &mut Cluster) {
    for _ in 0..12 {
        cluster.tick(4, 200);
        cluster.settle();
    }
    assert!(cluster.durable(4).replica.floor() >= Slot(9), "it got a full copy");
    assert_eq!(cluster.complete(5), cluster.complete(4));
    assert_eq!(cluster.value(5, 0), None);
}

#[test]
fn p10_a_full_copy_leaves_no_older_tombstone_that_would_hide_a_later_deletion() {
    let mut cluster = nodes_4_and_5_were_away();
    cluster.isolate(5);
    while cluster.complete(4) < cluster.complete(1) {
        cluster.tick(1, 200);
        cluster.settle();
    }
    cluster.rest(1);
    cluster.isolate(1);
    cluster.cut.retain(|(from, to)| *from == 1 || *to == 1);
    cluster.isolate(3);
    cluster.elect(4);
    node_4_brings_up_node_5(&mut cluster);
}

#[test]
fn p3_a_full_copy_of_a_candidate_leaves_no_older_tombstone_either() {
    let mut cluster = nodes_4_and_5_were_away();
    cluster.rest(1);
    cluster.isolate(1);
    cluster.isolate(3);
    cluster.elect(4);
    node_4_brings_up_node_5(&mut cluster);
}

#[test]
fn p10_a_node_votes_during_a_copy_whose_pages_are_repeated() {
    let mut cluster = node_3_was_away(1, 2);
    cluster.tick(1, 200);
    for value in 50..60 {
        for page in cluster.wire.clone().into_iter().filter(|e| e.is("repair-page")) {
            cluster.deliver_one(page);
        }
        let ticket = cluster.request(1, Command::put(4, value));
        cluster.deliver(|e| !e.is("repair-page"));
        cluster.deliver(|_| true);
        cluster.settle();
        cluster.outcome(ticket);
    }
    converge(&mut cluster);
    assert_eq!(cluster.value(3, 4), Some(59));
}

#[test]
fn p10_a_repaired_node_promises_the_ballot_of_the_leader_that_repairs_it() {
    let mut cluster = node_3_was_away(1, 2);
    // Node 2 becomes leader without node 3, so only the pages carry its ballot to node 3.
    cluster.isolate(3);
    cluster.elect(2);
    cluster.run(2, Command::put(5, 20));
    cluster.cut.clear();
    let ballot = cluster.ballot(2);
    cluster.tick(3, 200);
    cluster.settle();
    cluster.tick(2, 200);
    cluster.settle_if(|e| !e.is("repair-page"));
    assert!(cluster.durable(3).promised < ballot);
    let page = cluster.take(|e| e.is("repair-page")).remove(0);
    cluster.deliver_one(page);
    assert_eq!(cluster.durable(3).promised, ballot);
}

#[test]
fn p10_a_lost_page_is_sent_again() {
    let mut cluster = node_3_was_away(1, 2);
    cluster.tick(1, 200);
    cluster.settle_if(|e| !e.is("repair-page"));
    assert_eq!(cluster.lose(|e| e.is("repair-page")), 1);
    cluster.tick(1, 5_000);
    converge(&mut cluster);
}

#[test]
fn p10_a_copy_outlives_a_restart_of_the_lagging_node() {
    let mut cluster = node_3_was_away(1, 2);
    cluster.tick(1, 200);
    cluster.settle_if(|e| !e.is("page-merged"));
    cluster.crash(3);
    cluster.restart(3);
    cluster.settle();
    converge(&mut cluster);
}

#[test]
fn p10_no_tombstone_is_dropped_during_a_copy() {
    // A delta copy begins. Then its tombstones become old enough to be dropped, before the pages
    // that hold them are read.
    let mut cluster = node_3_was_away(1, 9);
    assert!(cluster.durable(1).replica.floor() < Slot(6), "it is a delta copy");
    cluster.tick(1, 200);
    cluster.settle_if(|e| !e.is("repair-page"));
    for value in 100..130 {
        cluster.request(1, Command::put(5, value));
        cluster.settle_if(|e| !e.is("repair-page"));
    }
    converge(&mut cluster);
}

#[test]
fn p10_no_tombstone_is_dropped_during_a_copy_that_follows_another_repair() {
    let mut cluster = Cluster::with(3, |config| {
        config.window_bytes = 3 * 80;
        config.tombstone_slots = 9;
        config.page = page_of(2);
    });
    cluster.elect(1);
    for register in 0..6 {
        cluster.run(1, Command::put(register, 10));
    }
    cluster.tick(1, 200);
    cluster.settle();
    // Node 3 misses two slots and gets them from the window.
    cluster.isolate(3);
    cluster.run(1, Command::put(5, 11));
    cluster.run(1, Command::put(5, 12));
    cluster.cut.clear();
    cluster.tick(1, 200);
    cluster.settle_if(|e| !e.is("progress"));
    let answer = cluster.take(|e| e.is("progress") && e.from == 3).remove(0);
    // While its answer is in flight it misses many more: the copy begins with the answer.
    cluster.isolate(3);
    cluster.run(1, Command::put(0, 13));
    cluster.run(1, Command::put(1, 14));
    cluster.run(1, Command::delete(4));
    for value in 20..28 {
        cluster.run(1, Command::put(5, value));
    }
    cluster.cut.clear();
    cluster.deliver_one(answer);
    assert_eq!(cluster.wire.iter().filter(|e| e.is("repair-page")).count(), 1);
    // The tombstone becomes old enough to be dropped before its page is read.
    for value in 100..130 {
        cluster.request(1, Command::put(5, value));
        cluster.settle_if(|e| e.from != 3 && e.to != 3);
    }
    while cluster.complete(3) < 11 {
        assert!(cluster.deliver(|e| e.is("repair-page") || e.is("page-merged")) > 0);
    }
    assert_eq!(cluster.value(3, 4), None, "register 4 was deleted in slot 11");
    converge(&mut cluster);
}

#[test]
fn p10_a_node_that_is_slower_than_the_load_is_repaired() {
    let mut cluster = node_3_was_away(1 << 20, 1_000);
    let mut late = Vec::new();
    for value in 100..140 {
        cluster.request(1, Command::put(4, value));
        cluster.deliver(|e| e.to == 2);
        cluster.deliver(|e| e.from == 2);
        // A message to or from node 3 takes as long as several slots.
        late.push(cluster.take(|e| e.to == 3 || e.from == 3));
        if late.len() > 3 {
            late.remove(0).into_iter().for_each(|envelope| cluster.deliver_one(envelope));
        }
        cluster.request(1, Command::put(4, value + 1_000));
        cluster.tick(1, 60);
    }
    // Each repair holds one patch and takes as long as eight slots.
    assert!(cluster.complete(3) > 6 + 2, "complete {}", cluster.complete(3));
}

#[test]
fn p10_answers_to_repeated_repairs_do_not_multiply_them() {
    let mut cluster = node_3_was_away(1 << 20, 1_000);
    cluster.tick(1, 200);
    cluster.settle_if(|e| !e.is("repair-patches"));
    let repair = cluster.take(|e| e.is("repair-patches")).remove(0);
    for _ in 0..5 {
        cluster.deliver_one(repair.clone());
    }
    assert_eq!(cluster.deliver(|e| e.is("progress")), 5);
    assert_eq!(cluster.wire.iter().filter(|e| e.is("repair-patches")).count(), 1);
    converge(&mut cluster);
}

#[test]
fn p11_tombstones_are_dropped_only_at_least_two_slots_below_complete() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    for round in 0..20 {
        cluster.request(1, Command::put(round % 3, u64::from(round)));
        cluster.settle();
        cluster.request(1, Command::delete(round % 3));
        cluster.settle();
        for node in 1..=3 {
            let replica = &cluster.durable(node).replica;
            assert!(replica.floor().0 == 0 || replica.floor().0 + 2 <= replica.complete().0);
            let oldest = replica.entries().filter(|(_, e)| e.value.is_none());
            assert!(oldest.map(|(_, e)| e.version).all(|version| version > replica.floor()));
        }
    }
    assert!(cluster.durable(1).replica.floor() > Slot(10), "some were dropped");
}

/// All entries of node 3 were deleted while it was cut off, so the pages are nearly empty.
#[test]
fn p10_a_short_page_deletes_at_most_as_many_entries_as_it_examined() {
    const REGISTERS: u8 = 40;
    let mut cluster = Cluster::with(3, |config| {
        config.window_bytes = 1;
        config.tombstone_slots = 2;
        config.page.examined = 7;
    });
    cluster.elect(1);
    for register in 0..REGISTERS {
        cluster.run(1, Command::put(register, 10));
    }
    cluster.tick(1, 200);
    cluster.settle();
    cluster.isolate(3);
    for register in 0..REGISTERS {
        cluster.run(1, Command::delete(register));
    }
    for value in 0..9 {
        cluster.run(1, Command::put(99, value));
    }
    cluster.cut.clear();
    let living = |cluster: &Cluster| cluster.durable(3).replica.living_count();
    let mut pages = 0;
    for _ in 0..60 {
        cluster.tick(1, 200);
        cluster.settle_if(|e| !e.is("repair-page"));
        for page in cluster.take(|e| e.is("repair-page")) {
            let Message::Acceptor(ToAcceptor::RepairPage(sent)) = &page.message else {
                panic!("a page")
            };
            assert!(sent.copy.is_full());
            let before = living(&cluster);
            cluster.deliver_one(page);
            assert!(before <= living(&cluster) + 7, "a page deletes at most `examined` entries");
            pages += 1;
        }
    }
    assert!(pages > 5, "{pages}");
    assert_eq!((living(&cluster), cluster.value(3, 99)), (1, Some(8)));
    assert_eq!(cluster.complete(3), cluster.complete(1));
}

#[test]
fn p11_above_max_tombstones_the_oldest_are_dropped_sooner() {
    for (max, living) in [(4, 0), (4, 9), (20, 9)] {
        let mut cluster = Cluster::with(3, |config| {
            config.tombstone_slots = 1_000;
            config.max_tombstones = max;
        });
        cluster.elect(1);
        for register in 0..living {
            cluster.run(1, Command::put(100 + register, 1));
        }
        for register in 0..50 {
            cluster.run(1, Command::put(register, 1));
            cluster.run(1, Command::delete(register));
            // The tombstone of the last deletion may be dropped only two slots later.
            let kept = max.max(living as usize) + 2;
            for node in 1..=3 {
                let count = cluster.durable(node).replica.tombstone_count();
                assert!(count <= kept, "{count} with {living} entries");
            }
        }
        let kept = cluster.durable(1).replica.tombstone_count();
        assert!(kept >= max.max(living as usize), "{kept} are kept");
    }
}

#[test]
fn p11_dropping_a_tombstone_less_than_two_below_complete_stops_the_node() {
    let mut cluster = Cluster::new(1);
    for value in 0..5 {
        cluster.run(1, Command::put(0, value));
    }
    let state = cluster.durable(1).clone();
    let complete = state.replica.complete();
    for (floor, is_safe) in [(complete.0 - 2, true), (complete.0 - 1, false), (complete.0, false)] {
        let mut state = state.clone();
        let drop = Record::DropTombstones(Slot(floor));
        let dropped =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| state.change(&drop)));
        assert_eq!(dropped.is_ok(), is_safe, "floor {floor}");
    }
}
