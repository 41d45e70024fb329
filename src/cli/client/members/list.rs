//! The list of the members as a table and as JSON, and how many members may fail.

use crate::client::{ListedMember, MemberList, Slot};

use super::super::exit::Exit;
use super::super::json::{Form, Object, node_at, number, text as json_text};
use super::super::style::Style;
use super::super::table::table;

/// How many voters there are, are needed, and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Margin {
    voters: usize,
    needed: usize,
    reachable: usize,
}

impl Margin {
    fn of(list: &MemberList) -> Margin {
        let voters = || list.members.iter().filter(|member| !member.is_learner);
        let count = voters().count();
        let reachable = voters().filter(|member| member.reachable).count();
        Margin { voters: count, needed: count / 2 + 1, reachable }
    }

    /// Returns how many more voters may fail; `None` if there is no majority.
    fn spare(self) -> Option<usize> {
        self.reachable.checked_sub(self.needed)
    }
}

/// Returns how many members may fail, in one line.
pub(super) fn margin(list: &MemberList) -> String {
    if list.members.is_empty() {
        return "the node knows no members yet: it waits to be added to a cluster, or for its \
                cluster to be formed"
            .to_owned();
    }
    let margin = Margin::of(list);
    let result = match margin.spare() {
        None => "no majority".to_owned(),
        Some(0) => "no more node may fail".to_owned(),
        Some(1) => "one more node may fail".to_owned(),
        Some(spare) => format!("{spare} more nodes may fail"),
    };
    let Margin { voters, needed, reachable } = margin;
    let noun = if voters == 1 { "voter" } else { "voters" };
    let verb = if reachable == 1 { "is" } else { "are" };
    format!("{result}: {needed} of {voters} {noun} must run, {reachable} {verb} reachable")
}

/// Returns the exit code for a list.
pub(super) fn exit(list: &MemberList) -> Exit {
    if list.leader.is_none() || Margin::of(list).spare().is_none() {
        Exit::NotHealthy
    } else if list.members.iter().any(|member| !member.reachable) {
        Exit::NodeDown
    } else {
        Exit::Fine
    }
}

/// Returns how many slots a member is behind the newest one; `None` if it is not reachable.
pub(super) fn lag(list: &MemberList, member: &ListedMember) -> Option<u64> {
    let reachable = list.members.iter().filter(|member| member.reachable);
    let newest = reachable.map(|member| member.complete.0).max().unwrap_or(0);
    member.reachable.then(|| newest - member.complete.0)
}

fn leads(list: &MemberList, member: &ListedMember) -> bool {
    list.leader.is_some_and(|leader| leader.leader == member.node)
}

/// Returns the list as text. With IPv4 addresses it fits into 80 columns, except for the ids of
/// members that are replaced.
pub(super) fn text(list: &MemberList, style: Style) -> String {
    if list.members.is_empty() {
        return margin(list) + "\n";
    }
    let leader = match list.leader {
        Some(leader) => format!("{} at {}", leader.leader, leader.address),
        None => "not known".to_owned(),
    };
    let of_node = list.members.iter().find(|member| member.node == list.node);
    let place = of_node.map_or(String::new(), |member| format!(" at {}", member.address));
    let facts = [
        ("cluster", list.cluster.map_or("none yet".to_owned(), |id| format!("{id:016x}"))),
        (
            "since",
            match list.version {
                Slot::ZERO => "the cluster was formed".to_owned(),
                slot => format!("slot {slot}"),
            },
        ),
        ("leader", leader),
        ("seen by", format!("{}{place}", list.node)),
    ];
    let mut shown = String::new();
    for (name, value) in facts {
        shown.push_str(&format!("{} {value}\n", style.faint(format_args!("{name:<9}"))));
    }
    let mut members: Vec<&ListedMember> = list.members.iter().collect();
    members.sort_by_key(|member| (member.address, member.node));
    let rows = members.iter().map(|member| {
        let role = match (member.is_learner, leads(list, member)) {
            (_, true) => "leader",
            (true, false) => "learner",
            (false, false) => "voter",
        };
        let state = if member.reachable { style.good("up") } else { style.bad("not heard") };
        let replaces = member.replaces.map_or(String::new(), |old| format!(", replaces {old}"));
        [
            member.address.to_string(),
            member.node.to_string(),
            role.to_owned(),
            lag(list, member).map_or("-".to_owned(), |lag| lag.to_string()),
            state + &replaces,
        ]
    });
    shown.push('\n');
    shown.push_str(&table(["address", "node", "role", "lag", "state"], rows.collect(), style));
    for waiting in &list.waiting {
        let ip = waiting.address.ip();
        // A node with an empty directory is another node than the member at its address.
        let is_in_use = list.members.iter().any(|member| member.address == waiting.address);
        let task = if is_in_use { "replace" } else { "add" };
        shown.push_str(&format!(
            "node {} waits at {ip} to be added: member {task} {ip}\n",
            waiting.node
        ));
    }
    shown + &format!("\n{}\n", margin(list))
}

/// Returns the list as JSON.
pub(super) fn json(list: &MemberList, form: Form) -> Object {
    let or_null = |value: Option<String>| value.unwrap_or("null".to_owned());
    let slot = |slot: u64| number(slot, slot, form);
    let members = list.members.iter().map(|member| {
        let complete = member.reachable.then(|| slot(member.complete.0));
        Object::new(form)
            .text("node", &member.node.to_string())
            .text("address", &member.address.to_string())
            .text("role", if member.is_learner { "learner" } else { "voter" })
            .raw("leads", &leads(list, member).to_string())
            .raw("reachable", &member.reachable.to_string())
            .raw("complete", &or_null(complete))
            .raw("lag", &or_null(lag(list, member).map(slot)))
            .raw("replaces", &or_null(member.replaces.map(|old| json_text(&old.to_string()))))
            .end()
    });
    let waiting = list.waiting.iter().map(|node| {
        Object::new(form)
            .text("node", &node.node.to_string())
            .text("address", &node.address.to_string())
            .end()
    });
    let array = |items: Vec<String>| format!("[{}]", items.join(", "));
    let spare = Margin::of(list).spare();
    let cluster = list.cluster.map(|id| json_text(&format!("{id:016x}")));
    Object::new(form)
        .text("node", &list.node.to_string())
        .raw("cluster", &or_null(cluster))
        .number("since_slot", list.version.0)
        .raw("leader", &or_null(list.leader.map(|leader| node_at(leader, form))))
        .raw("members", &array(members.collect()))
        .raw("waiting", &array(waiting.collect()))
        .raw("has_majority", &spare.is_some().to_string())
        .number("may_fail", u64::try_from(spare.unwrap_or(0)).unwrap_or(u64::MAX))
        .text("message", &margin(list))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{NodeId, Redirect, WaitingNode};
    use std::net::SocketAddr;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 50051))
    }

    fn member(node: u8, reachable: bool) -> ListedMember {
        ListedMember {
            node: NodeId(u64::from(node)),
            address: address(node),
            is_learner: false,
            replaces: None,
            reachable,
            complete: Slot(72),
        }
    }

    fn list(members: Vec<ListedMember>) -> MemberList {
        let leader = Some(Redirect { leader: NodeId(1), address: address(1) });
        let (node, cluster) = (NodeId(1), Some(9));
        MemberList { node, cluster, version: Slot(17), leader, members, waiting: Vec::new() }
    }

    fn example() -> MemberList {
        let learner = ListedMember {
            is_learner: true,
            replaces: Some(NodeId(3)),
            complete: Slot(60),
            ..member(4, true)
        };
        let mut list = list(vec![member(1, true), member(2, true), member(3, false), learner]);
        list.waiting.push(WaitingNode { node: NodeId(5), address: address(5) });
        list.waiting.push(WaitingNode { node: NodeId(6), address: address(3) });
        list
    }

    #[test]
    fn the_table_shows_roles_and_lags_and_ends_with_what_may_fail() {
        let expected = "\
cluster   0000000000000009
since     slot 17
leader    0000000000000001 at 127.0.0.1:50051
seen by   0000000000000001 at 127.0.0.1:50051

address          node              role     lag  state
127.0.0.1:50051  0000000000000001  leader   0    up
127.0.0.2:50051  0000000000000002  voter    0    up
127.0.0.3:50051  0000000000000003  voter    -    not heard
127.0.0.4:50051  0000000000000004  learner  12   up, replaces 0000000000000003
node 0000000000000005 waits at 127.0.0.5 to be added: member add 127.0.0.5
node 0000000000000006 waits at 127.0.0.3 to be added: member replace 127.0.0.3

no more node may fail: 2 of 3 voters must run, 2 are reachable
";
        assert_eq!(text(&example(), Style::PLAIN), expected);
    }

    #[test]
    fn json_has_all_of_the_table() {
        let expected = concat!(
            r#"{"node": "0000000000000001", "cluster": "0000000000000009", "since_slot": 17, "#,
            r#""leader": {"node": "0000000000000001", "address": "127.0.0.1:50051"}, "#,
            r#""members": ["#,
            r#"{"node": "0000000000000001", "address": "127.0.0.1:50051", "role": "voter", "#,
            r#""leads": true, "reachable": true, "complete": 72, "lag": 0, "replaces": null}, "#,
            r#"{"node": "0000000000000002", "address": "127.0.0.2:50051", "role": "voter", "#,
            r#""leads": false, "reachable": true, "complete": 72, "lag": 0, "replaces": null}, "#,
            r#"{"node": "0000000000000003", "address": "127.0.0.3:50051", "role": "voter", "#,
            r#""leads": false, "reachable": false, "complete": null, "lag": null, "#,
            r#""replaces": null}, "#,
            r#"{"node": "0000000000000004", "address": "127.0.0.4:50051", "role": "learner", "#,
            r#""leads": false, "reachable": true, "complete": 60, "lag": 12, "#,
            r#""replaces": "0000000000000003"}], "#,
            r#""waiting": [{"node": "0000000000000005", "address": "127.0.0.5:50051"}, "#,
            r#"{"node": "0000000000000006", "address": "127.0.0.3:50051"}], "#,
            r#""has_majority": true, "may_fail": 0, "#,
            r#""message": "no more node may fail: 2 of 3 voters must run, 2 are reachable"}"#,
        );
        assert_eq!(json(&example(), Form::Exact).end(), expected);
    }

    #[test]
    fn what_may_fail_is_computed_from_the_voters_that_are_reachable() {
        let list = |voters: u8, up: u8| list((1..=voters).map(|n| member(n, n <= up)).collect());
        for (voters, up, expected, code) in [
            (1, 1, "no more node may fail: 1 of 1 voter must run, 1 is reachable", Exit::Fine),
            (2, 2, "no more node may fail: 2 of 2 voters must run, 2 are reachable", Exit::Fine),
            (3, 3, "one more node may fail: 2 of 3 voters must run, 3 are reachable", Exit::Fine),
            (3, 1, "no majority: 2 of 3 voters must run, 1 is reachable", Exit::NotHealthy),
            (5, 5, "2 more nodes may fail: 3 of 5 voters must run, 5 are reachable", Exit::Fine),
            (
                5,
                4,
                "one more node may fail: 3 of 5 voters must run, 4 are reachable",
                Exit::NodeDown,
            ),
        ] {
            assert_eq!(margin(&list(voters, up)), expected);
            assert_eq!(exit(&list(voters, up)), code, "{expected}");
        }
        let unknown = list(0, 0);
        assert!(text(&unknown, Style::PLAIN).ends_with("its cluster to be formed\n"));
        assert_eq!(exit(&unknown), Exit::NotHealthy);
        let mut leaderless = list(3, 3);
        leaderless.leader = None;
        assert_eq!(exit(&leaderless), Exit::NotHealthy);
        let mut learner = list(2, 1);
        learner.members[1].is_learner = true;
        assert_eq!(exit(&learner), Exit::NodeDown, "a learner is not needed for a majority");
    }
}
