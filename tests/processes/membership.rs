//! The members of a cluster change while it serves: nodes join, replace others and are removed.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use lattistore::client::internals::Connection;
use lattistore::wire::{
    ClientOutcome, MemberList, MemberName, MemberRequest, MembersUnchangedReason, RequestBody,
};

use crate::fleet::clients::{Clients, Load};
use crate::fleet::{Fleet, Process, joining, server, while_disturbed};
use crate::support::{PATIENCE, PORT, addresses, client_of, eventually};

/// Server processes that are started one by one, with their directories and logs.
struct Nodes {
    ips: Vec<IpAddr>,
    directory: tempfile::TempDir,
    /// How many processes were started: each has a log of its own.
    started: usize,
}

impl Nodes {
    fn new(count: u8) -> Nodes {
        Nodes { ips: addresses(count), directory: tempfile::tempdir().unwrap(), started: 0 }
    }

    /// Starts a command for a node, with its data directory `data`.
    fn start(&mut self, mut command: Command, data: &str) -> Process {
        self.started += 1;
        let log = self.directory.path().join(format!("{}.log", self.started));
        command.arg("--data-dir").arg(self.directory.path().join(data));
        Process::start(&mut command, log)
    }

    /// Starts a cluster of one.
    fn found(&mut self, node: usize) -> Process {
        let ip = self.ips[node];
        self.start(server(ip, &[ip]), &node.to_string())
    }

    /// Starts a node that waits to be added.
    fn join(&mut self, node: usize, of: &[usize], data: &str) -> Process {
        let of: Vec<IpAddr> = of.iter().map(|node| self.ips[*node]).collect();
        self.start(joining(self.ips[node], &of), data)
    }
}

fn socket(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, PORT)
}

/// Sends a request to one node.
fn ask(ip: IpAddr, body: RequestBody) -> Option<ClientOutcome> {
    Connection::connect(socket(ip), PATIENCE).ok()?.ask(body, PATIENCE).ok()
}

/// Returns the members, as a node knows them.
fn members(ip: IpAddr) -> Option<MemberList> {
    match ask(ip, RequestBody::ListMembers)? {
        ClientOutcome::MemberList(list) => Some(list),
        other => panic!("{other:?}"),
    }
}

/// Sends a request to change the members to one node after another until the leader answers.
fn change(ips: &[IpAddr], request: &MemberRequest) -> ClientOutcome {
    eventually(format!("the leader to answer to {request:?}"), || {
        ips.iter().find_map(|ip| match ask(*ip, RequestBody::ChangeMembers(request.clone()))? {
            ClientOutcome::RedirectTo(_)
            | ClientOutcome::NodesUnreachable(_)
            | ClientOutcome::Timeout { .. }
            | ClientOutcome::LostLeadership { .. } => None,
            outcome => Some(outcome),
        })
    })
}

/// Adds a node; it becomes a voter.
fn add(ips: &[IpAddr], address: IpAddr, replaces: Option<MemberName>) {
    let request = MemberRequest::Add { address, replaces };
    let outcome = change(ips, &request);
    assert!(matches!(outcome, ClientOutcome::MembersChanged(_)), "{outcome:?}");
}

/// Waits until the members at these addresses are voters, and no others are members.
fn wait_for_voters(ask: &[IpAddr], expected: &[IpAddr]) {
    eventually(format!("{expected:?} to be the voters"), || {
        let found = ask.iter().find_map(|ip| {
            let list = members(*ip)?;
            (!list.members.is_empty()).then_some(list)
        })?;
        let mut voters: Vec<IpAddr> =
            found.members.iter().filter(|m| !m.is_learner).map(|m| m.address.ip()).collect();
        voters.sort_unstable();
        (voters == expected && found.members.len() == expected.len()).then_some(())
    });
}

#[test]
fn one_node_grows_to_three_under_load_and_loses_its_first_member() {
    let mut nodes = Nodes::new(3);
    let ips = nodes.ips.clone();
    let first = nodes.found(0);
    client_of(&ips[..1]).put("a", "1").unwrap();
    let mut clients = Clients::with(lattistore::Client::builder(), &ips, Load::default(), 7);
    let grow = || {
        let second = nodes.join(1, &[0], "1");
        add(&ips[..1], ips[1], None);
        wait_for_voters(&ips[..1], &ips[..2]);
        let third = nodes.join(2, &[0, 1], "2");
        add(&ips[..2], ips[2], None);
        wait_for_voters(&ips[..2], &ips);
        first.kill();
        client_of(&ips[1..]).put("a", "2").unwrap();
        (second, third)
    };
    let ((), (_second, _third)) = while_disturbed(|over| clients.run(over), grow);
    clients.read_all();
    clients.expect_clean();
    assert_eq!(client_of(&ips[1..]).get("a").unwrap().as_deref(), Some("2"));
    let remove = MemberRequest::Remove(MemberName::Address(ips[0]));
    let outcome = change(&ips[1..], &remove);
    assert!(matches!(outcome, ClientOutcome::MembersChanged(_)), "{outcome:?}");
    wait_for_voters(&ips[1..], &ips[1..]);
    client_of(&ips[1..]).put("a", "3").unwrap();
}

#[test]
fn a_node_that_lost_its_disk_is_replaced_at_the_same_address() {
    let mut fleet = Fleet::loopback(3);
    let ips = fleet.addresses.clone();
    fleet.client().put("a", "1").unwrap();
    fleet.kill(2);
    fs::remove_dir_all(fleet.data(2)).unwrap();
    let others = ips[..2].to_vec();
    // It is another node at the same address: nothing of the old one may count.
    let mut command = joining(ips[2], &others);
    command.arg("--data-dir").arg(fleet.data(2));
    let _third = Process::start(&mut command, fleet.directory().join("replaced.log"));
    let without = change(&others, &MemberRequest::Add { address: ips[2], replaces: None });
    let in_use = MembersUnchangedReason::AddressInUse;
    assert!(
        matches!(without, ClientOutcome::MembersUnchanged { reason, .. } if reason == in_use)
            || matches!(without, ClientOutcome::MembersChanged(_)),
        "{without:?}"
    );
    let before = members(ips[0]).unwrap();
    let old = before.members.iter().find(|m| m.address.ip() == ips[2]).unwrap().node;
    add(&others, ips[2], Some(MemberName::Node(old)));
    wait_for_voters(&others, &ips);
    let after = members(ips[0]).unwrap();
    assert!(after.members.iter().all(|member| member.node != old), "{after:?}");
    // The node that came counts: with it and one other the cluster serves.
    fleet.kill(0);
    let client = client_of(&ips[1..]);
    client.put("a", "2").unwrap();
    assert_eq!(client.get("a").unwrap().as_deref(), Some("2"));
}

#[test]
fn a_removed_node_ends_with_its_exit_code_and_its_directory_is_of_no_use() {
    let mut fleet = Fleet::loopback(3);
    let ips = fleet.addresses.clone();
    fleet.client().put("a", "1").unwrap();
    let remove = |node: usize| MemberRequest::Remove(MemberName::Address(ips[node]));
    // The leader, too, can be removed.
    let leader = fleet.leader();
    let outcome = change(&ips, &remove(leader));
    assert!(matches!(outcome, ClientOutcome::MembersChanged(_)), "{outcome:?}");
    let ended = fleet.take(leader).wait();
    assert_eq!(ended.code, Some(7), "{}", ended.log);
    assert!(ended.error().contains("was removed from its cluster by slot"), "{}", ended.log);
    let others: Vec<usize> = (0..3).filter(|node| *node != leader).collect();
    let left: Vec<IpAddr> = others.iter().map(|node| ips[*node]).collect();
    wait_for_voters(&left, &left);
    client_of(&left).put("a", "2").unwrap();
    fleet.start(leader);
    let ended = fleet.take(leader).wait();
    assert_eq!(ended.code, Some(7), "{}", ended.log);
}

#[test]
fn a_node_that_was_stopped_while_it_was_removed_learns_it_from_the_others() {
    let mut fleet = Fleet::loopback(4);
    let ips = fleet.addresses.clone();
    fleet.client().put("a", "1").unwrap();
    fleet.kill(3);
    let outcome = change(&ips[..3], &MemberRequest::Remove(MemberName::Address(ips[3])));
    assert!(matches!(outcome, ClientOutcome::MembersChanged(_)), "{outcome:?}");
    wait_for_voters(&ips[..3], &ips[..3]);
    fleet.start(3);
    let ended = fleet.take(3).wait();
    assert_eq!(ended.code, Some(7), "{}", ended.log);
    client_of(&ips[..3]).put("a", "2").unwrap();
}

#[test]
fn join_with_a_directory_of_another_cluster_changes_nothing() {
    let mut nodes = Nodes::new(3);
    let ips = nodes.ips.clone();
    let (_one, two) = (nodes.found(0), nodes.found(1));
    client_of(&ips[..1]).put("a", "1").unwrap();
    client_of(&ips[1..2]).put("a", "2").unwrap();
    let clusters = [members(ips[0]).unwrap(), members(ips[1]).unwrap()];
    // It waits at the first cluster, and is then started for the second one.
    let third = nodes.join(2, &[0], "2");
    eventually("the node to wait", || (!members(ips[0])?.waiting.is_empty()).then_some(()));
    third.kill();
    let third = nodes.join(2, &[1], "2");
    eventually("the refusal", || third.log().contains("another cluster").then_some(()));
    let outcome = ask_soon(ips[1], ips[2]);
    assert!(
        matches!(&outcome, ClientOutcome::MembersUnchanged { reason, message }
            if *reason == MembersUnchangedReason::NoNodeWaits && message.contains("--join")),
        "{outcome:?}"
    );
    for (ip, before) in ips.iter().zip(&clusters) {
        let after = members(*ip).unwrap();
        let nodes = |list: &MemberList| list.members.iter().map(|m| m.node).collect::<Vec<_>>();
        assert_eq!((nodes(&after), after.cluster), (nodes(before), before.cluster));
    }
    // A member ignores --join.
    let log = nodes.directory.path().join("ignored.log");
    two.kill();
    let mut command = joining(ips[1], &[ips[0]]);
    command.arg("--data-dir").arg(nodes.directory.path().join("1"));
    let again = Process::start(&mut command, log);
    assert_eq!(client_of(&ips[1..2]).get("a").unwrap().as_deref(), Some("2"));
    assert!(again.log().contains("--join is ignored"), "{}", again.log());
}

/// Asks a node to add another one, for a short time only.
fn ask_soon(ip: IpAddr, address: IpAddr) -> ClientOutcome {
    let connection = Connection::connect(socket(ip), PATIENCE).unwrap();
    let time = std::time::Duration::from_millis(500);
    let body = RequestBody::ChangeMembers(MemberRequest::Add { address, replaces: None });
    let pending = connection.send(body, time).unwrap();
    pending.wait(std::time::Instant::now() + PATIENCE).unwrap().unwrap()
}

#[test]
fn a_node_that_joins_waits_for_a_node_to_answer() {
    let mut nodes = Nodes::new(2);
    let ips = nodes.ips.clone();
    let second = nodes.join(1, &[0], "1");
    eventually("the line", || second.log().contains("to answer at one of").then_some(()));
    let _first = nodes.found(0);
    eventually("the line", || second.log().contains("client member add").then_some(()));
    add(&ips[..1], ips[1], None);
    wait_for_voters(&ips[..1], &ips);
    assert!(Path::new(&nodes.directory.path().join("1")).exists());
}

#[test]
fn a_node_may_be_killed_while_it_waits_and_after_it_was_added() {
    let mut nodes = Nodes::new(2);
    let ips = nodes.ips.clone();
    let _first = nodes.found(0);
    let second = nodes.join(1, &[0], "1");
    eventually("the node to wait", || (!members(ips[0])?.waiting.is_empty()).then_some(()));
    second.kill();
    let second = nodes.join(1, &[0], "1");
    eventually("the node to wait", || (!members(ips[0])?.waiting.is_empty()).then_some(()));
    add(&ips[..1], ips[1], None);
    second.kill();
    // The first node alone still decides, as the other one is a learner, or both are voters.
    let second = nodes.join(1, &[0], "1");
    wait_for_voters(&ips[..1], &ips);
    client_of(&ips).put("a", "1").unwrap();
    second.kill();
    let second = nodes.join(1, &[0], "1");
    let ignored = || second.log().contains("--join is ignored").then_some(());
    eventually("the member to ignore the option", ignored);
    client_of(&ips).put("a", "2").unwrap();
}

#[test]
fn a_replacement_goes_on_under_the_next_leader() {
    let mut fleet = Fleet::loopback(3);
    let mut nodes = Nodes::new(1);
    let ips = fleet.addresses.clone();
    for key in 0..50 {
        fleet.client().put(&format!("k{key}"), &"x".repeat(100_000)).unwrap();
    }
    let leader = fleet.leader();
    let old = (leader + 1) % 3;
    fleet.kill(old);
    let address = nodes.ips[0];
    let command = joining(address, &ips);
    let _replacing = nodes.start(command, "0");
    let replaces = Some(MemberName::Address(ips[old]));
    add(&[ips[leader]], address, replaces);
    fleet.kill(leader);
    fleet.start(leader);
    let left: Vec<IpAddr> = (0..3).filter(|node| *node != old).map(|node| ips[node]).collect();
    let mut expected = left.clone();
    expected.push(address);
    expected.sort_unstable();
    wait_for_voters(&left, &expected);
    // A repeated request finds it done.
    let again = change(&left, &MemberRequest::Add { address, replaces });
    assert!(matches!(again, ClientOutcome::MembersChanged(_)), "{again:?}");
    client_of(&left).put("a", "2").unwrap();
}

#[test]
fn a_cluster_that_has_grown_starts_again_as_a_whole() {
    let mut nodes = Nodes::new(3);
    let ips = nodes.ips.clone();
    let first = nodes.found(0);
    let second = nodes.join(1, &[0], "1");
    add(&ips[..1], ips[1], None);
    let third = nodes.join(2, &[0], "2");
    add(&ips[..1], ips[2], None);
    wait_for_voters(&ips[..1], &ips);
    client_of(&ips).put("a", "1").unwrap();
    for process in [first, second, third] {
        process.kill();
    }
    // The options are those of the first start: the data directories count.
    let _running = [nodes.found(0), nodes.join(1, &[0], "1"), nodes.join(2, &[0], "2")];
    assert_eq!(client_of(&ips).get("a").unwrap().as_deref(), Some("1"));
    wait_for_voters(&ips, &ips);
    client_of(&ips).put("a", "2").unwrap();
}
