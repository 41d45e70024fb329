//! Partitions under load: three nodes, each in its own network namespace. Their links are cut and
//! healed in turn. When two of the three can exchange packets again, they serve. `scripts/heals`
//! measures after what time.
//!
//! Only root can make the namespaces; otherwise the test prints that it is skipped.

use std::collections::VecDeque;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::fleet::{Fleet, hold, while_disturbed};
use crate::network::{Cuts, Network};
use crate::support::eventually;

/// The environment variable with the name of the network, for the process that runs inside it.
const INSIDE: &str = "LATTISTORE_TEST_NETWORK";
/// Longer than the timeout after which a node counts as unreachable, and long enough for TCP to
/// double its retransmission timeout several times.
const CUT: Duration = Duration::from_millis(1_200);

#[test]
fn two_nodes_whose_link_has_healed_serve_while_the_third_is_cut_off() {
    if let Ok(name) = std::env::var(INSIDE) {
        return serve_after_every_heal(&Network::named(name, 3));
    }
    let network = match Network::setup(3) {
        Ok(network) => network,
        Err(error) => return println!("skipped: no network namespaces can be made here: {error}"),
    };
    // This program runs this test again inside the hub, from where clients reach all nodes.
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &network.hub()]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture"]);
    command.arg(std::thread::current().name().unwrap());
    let output = command.env(INSIDE, network.name()).output();
    network.remove();
    let output = output.unwrap();
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    assert!(output.status.success(), "{}", text.join("\n"));
}

fn serve_after_every_heal(network: &Network) {
    let namespaces = (0..3).map(|node| Some(network.namespace(node))).collect();
    let mut fleet = Fleet::new(network.addresses(), namespaces);
    fleet.share_key("cluster.key");
    fleet.start_all();
    fleet.leader();
    let ((), ()) = while_disturbed(|over| load(&fleet, over), || cut_and_heal(&fleet, network));
    fleet.check_alive();
    (0..3).for_each(|node| fleet.wait_until_caught_up(node));
}

/// Keeps the cluster, and the connections between its nodes, busy.
fn load(fleet: &Fleet, over: &AtomicBool) {
    let (client, value) = (fleet.client(), "x".repeat(4 * 1024));
    let mut pending = VecDeque::new();
    for count in 0_u64.. {
        if over.load(Ordering::Acquire) {
            break;
        }
        let key = format!("load/{}", count % 1_000);
        let params = [("k", key.as_str().into()), ("v", value.as_str().into())];
        pending.push_back(client.submit("put $k $v;", params));
        if pending.len() >= 64
            && let Some(first) = pending.pop_front()
        {
            // The request may fail because of a cut.
            let _ = first.wait();
        }
    }
}

fn cut_and_heal(fleet: &Fleet, network: &Network) {
    let both = |links: &[(usize, usize)]| -> Cuts {
        links.iter().flat_map(|(one, other)| [(*one, *other), (*other, *one)]).collect()
    };
    for turn in 0..3 {
        let leader = fleet.leader();
        let followers: Vec<usize> = (0..3).filter(|node| *node != leader).collect();
        let (one, other) = (followers[turn % 2], followers[1 - turn % 2]);
        // First these links are cut, then those: two nodes are connected again, and the third is
        // cut off.
        for (first, then) in [
            (vec![(one, other)], vec![(leader, one), (leader, other)]),
            (vec![(leader, one)], vec![(leader, other), (one, other)]),
            (vec![(leader, one), (leader, other), (one, other)], vec![(leader, one), (one, other)]),
        ] {
            network.cut(&both(&first)).unwrap();
            hold(CUT);
            network.cut(&both(&then)).unwrap();
            // Each node is asked by itself, as the new leader may be either of the connected two.
            eventually("a write to be served", || {
                (0..3).find(|node| {
                    let client = fleet.clients.clone().address(fleet.socket(*node)).follow(false);
                    let client = client.timeout(Duration::from_secs(1)).build();
                    client.put("after", "the heal").is_ok()
                })
            });
            network.cut(&Cuts::new()).unwrap();
            fleet.client().put("all", "is well").unwrap();
        }
    }
}
