//! Nodes that were down for longer than the leader's window of patches: they catch up by a copy. If
//! the sender or the receiver is killed during the copy, the copy begins again.

use lattistore::Client;
use lattistore::client::Pending;
use lattistore::lpaxos::Slot;
use std::collections::VecDeque;

use crate::fleet::Fleet;
use crate::support::{PATIENCE, eventually};

/// The size of a value: the keys fill many pages with few requests.
const VALUE_BYTES: usize = 8 * 1024;
/// How many requests are in flight at a time.
const PIPELINED: usize = 64;

fn key(number: usize) -> String {
    format!("key/{number:06}")
}

fn value(number: usize, round: usize) -> String {
    let mut value = format!("{number} of {round};");
    value.push_str(&"x".repeat(VALUE_BYTES - value.len()));
    value
}

/// Runs one request for each number, [`PIPELINED`] at a time.
fn pipelined(numbers: impl Iterator<Item = usize>, submit: impl Fn(usize) -> Pending) {
    let mut pending = VecDeque::new();
    for number in numbers {
        pending.push_back(submit(number));
        if pending.len() >= PIPELINED {
            pending.pop_front().unwrap().wait().unwrap();
        }
    }
    pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
}

fn write(client: &Client, numbers: impl Iterator<Item = usize>, round: usize) {
    pipelined(numbers, |number| {
        let params = [("key", key(number)), ("value", value(number, round))];
        let params = params.map(|(name, value)| (name, value.as_str().into()));
        client.submit("put $key $value;", params)
    });
}

fn delete(client: &Client, numbers: impl Iterator<Item = usize>) {
    pipelined(numbers, |number| {
        client.submit("delete $key;", [("key", key(number).as_str().into())])
    });
}

/// Restarts the leader until this node leads.
fn make_lead(fleet: &mut Fleet, node: usize) {
    eventually("the node to lead", || {
        let leader = fleet.leader();
        if leader == node {
            return Some(());
        }
        fleet.stop(leader);
        // The two others elect a leader.
        fleet.leader();
        fleet.start(leader);
        fleet.wait_until_caught_up(leader);
        // The next election waits for the foremost node only if all nodes hear it.
        eventually("all to hear each other", || {
            let hears_all =
                |node| fleet.status(node)?.members.iter().all(|m| m.reachable).then_some(());
            (0..fleet.len()).all(|node| hears_all(node).is_some()).then_some(())
        });
        None
    });
}

/// Checks the keys that a node holds. It must lead meanwhile, so that its own replica answers; if
/// it lost the lead, another node may have answered, and all is asked again.
fn check(fleet: &mut Fleet, node: usize, expected: impl Fn(usize) -> Option<String>, keys: usize) {
    eventually("the node to lead while it is asked", || {
        make_lead(fleet, node);
        let client = Client::builder().address(fleet.socket(node)).timeout(PATIENCE).build();
        for number in (0..keys).step_by(7) {
            assert_eq!(client.get(&key(number)).unwrap(), expected(number), "{}", key(number));
        }
        (fleet.leader() == node).then_some(())
    });
}

#[test]
fn a_node_below_the_window_catches_up_by_a_copy_although_either_side_of_it_is_killed() {
    const KEYS: usize = 6_000;
    let mut fleet = Fleet::loopback(3);
    let client = fleet.client();
    write(&client, 0..KEYS, 1);
    fleet.wait_until_caught_up(0);
    // Of nodes that are equally far the one with the highest id is elected, so this one can lead
    // later.
    let id = |node: &usize| fleet.status(*node).map(|status| status.node);
    let away = fleet.followers().into_iter().max_by_key(id).unwrap();
    let before = fleet.status(away).unwrap().complete;
    fleet.kill(away);
    // More than the leader's window holds; keys are changed, deleted, or left as they are.
    write(&client, (0..KEYS).filter(|number| number % 3 == 0), 2);
    delete(&client, (0..KEYS).filter(|number| number % 3 == 1));
    write(&client, (0..KEYS).filter(|number| number % 3 == 0), 3);
    let expected = |number: usize| match number % 3 {
        0 => Some(value(number, 3)),
        1 => None,
        _ => Some(value(number, 1)),
    };

    // The receiver is killed, and then the sender, each in the middle of the copy.
    fleet.start(away);
    let killed_receiver = wait_for_copy(&fleet, away, before);
    fleet.kill(away);
    fleet.start(away);
    let killed_sender = wait_for_copy(&fleet, away, before);
    let sender = fleet.leader();
    fleet.kill(sender);
    client.put("during", "the copy").unwrap();
    fleet.start(sender);
    println!("killed in a copy: receiver {killed_receiver}, sender {killed_sender}");
    fleet.wait_until_caught_up(away);
    fleet.wait_until_caught_up(sender);
    check(&mut fleet, away, expected, KEYS);
    assert_eq!(fleet.client().get("during").unwrap().as_deref(), Some("the copy"));
}

/// Waits until a copy to the node is under way; returns whether it was still unfinished then.
fn wait_for_copy(fleet: &Fleet, node: usize, before: Slot) -> bool {
    eventually("the copy to begin", || {
        let status = fleet.status(node)?;
        let goal = fleet.status(fleet.leader_now()?)?.complete;
        if status.complete > before {
            return Some(status.complete < goal);
        }
        // The node follows a leader, so the copy has begun.
        status.leader.is_some().then_some(true)
    })
}
