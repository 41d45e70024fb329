//! Tables of nodes.

use std::net::SocketAddr;
use std::time::Duration;

use lattistore::client::{Error, NodeStatus, Severity, Sizes};

use crate::duration::show_uptime;
use crate::report::{complete_of, one_line, severity};
use crate::style::Style;

/// How a node is, and what it knows of the members.
pub(crate) fn status(status: &NodeStatus, style: Style) -> String {
    let leader = match status.leader {
        Some(leader) => format!("{} at {}", leader.leader, leader.address),
        None => "not known".to_owned(),
    };
    let cluster = status.cluster.map_or("none yet".to_owned(), |id| format!("{id:016x}"));
    let facts = [
        ("node", status.node.to_string()),
        ("cluster", cluster),
        ("leader", leader),
        ("ballot", status.promised.to_string()),
        ("slot", status.slot.to_string()),
        ("complete", status.complete.to_string()),
        ("floor", status.floor.to_string()),
        ("entries", status.entries.to_string()),
        ("memory", show_bytes(status.sizes.memory_bytes)),
        ("disk", disk(&status.sizes)),
        ("uptime", show_uptime(Duration::from_millis(status.uptime_ms))),
        ("version", one_line(&status.version)),
    ];
    let mut text = String::new();
    for (name, value) in facts {
        text.push_str(&format!("{} {value}\n", style.faint(format_args!("{name:<9}"))));
    }
    let newest = status.members.iter().filter_map(complete_of).max().unwrap_or_default();
    let or_dash = |known: Option<u64>| known.map_or("-".to_owned(), |number| number.to_string());
    let rows = status.members.iter().map(|member| {
        let is_leader = status.leader.is_some_and(|leader| leader.leader == member.node);
        let role = if is_leader { "leader" } else { "" };
        let complete = complete_of(member).map(|slot| slot.0);
        let state = if member.reachable { style.good("up") } else { style.bad("not heard") };
        [
            member.address.to_string(),
            member.node.to_string(),
            role.to_owned(),
            or_dash(complete),
            or_dash(complete.map(|complete| newest.0 - complete)),
            state,
        ]
    });
    for notice in &status.notices {
        let name = severity(notice.severity);
        let name = match notice.severity {
            Severity::Info => name.to_owned(),
            Severity::Warning | Severity::Error => style.bad(name),
        };
        text.push_str(&format!("{name}: {}\n", one_line(&notice.message)));
    }
    text.push('\n');
    text + &table(["member", "node", "role", "complete", "lag", "state"], rows.collect(), style)
}

/// How several nodes are.
pub(crate) fn nodes(nodes: &[(SocketAddr, Result<NodeStatus, Error>)], style: Style) -> String {
    let answered = || nodes.iter().filter_map(|(_, status)| status.as_ref().ok());
    let newest = answered().map(|status| status.complete.0).max().unwrap_or(0);
    let rows = nodes.iter().map(|(address, status)| match status {
        Ok(status) => {
            let leads = status.leader.is_some_and(|leader| leader.leader == status.node);
            [
                address.to_string(),
                status.node.to_string(),
                if leads { "leader" } else { "" }.to_owned(),
                status.promised.round.to_string(),
                status.slot.to_string(),
                status.complete.to_string(),
                (newest - status.complete.0).to_string(),
                status.entries.to_string(),
                show_bytes(status.sizes.memory_bytes),
                show_bytes(status.sizes.disk_bytes),
                show_uptime(Duration::from_millis(status.uptime_ms)),
                one_line(&status.version),
                style.good("up"),
            ]
        }
        Err(error) => {
            let mut row: [String; 13] = std::array::from_fn(|_| "-".to_owned());
            row[0] = address.to_string();
            let cause = error.cause().map_or_else(|| error.to_string(), ToString::to_string);
            row[12] = style.bad(one_line(&cause));
            row
        }
    });
    let heads = [
        "address", "node", "role", "ballot", "slot", "complete", "lag", "entries", "memory",
        "disk", "uptime", "version", "state",
    ];
    table(heads, rows.collect(), style)
}

fn disk(sizes: &Sizes) -> String {
    match sizes.disk_bytes {
        0 => "none: the state is in memory only".to_owned(),
        bytes => {
            let replay = show_bytes(sizes.replay_bytes);
            format!("{}, of which a start replays {replay}", show_bytes(bytes))
        }
    }
}

/// Bytes as people read them; a dash for what is not known, or not there.
fn show_bytes(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    // One digit after the point, cut off.
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0 => "-".to_owned(),
        1..KIB => format!("{bytes} B"),
        KIB..MIB => tenths(KIB) + " KiB",
        MIB..GIB => tenths(MIB) + " MiB",
        GIB.. => tenths(GIB) + " GiB",
    }
}

/// A table whose last column may have colours and any width.
fn table<const COLUMNS: usize>(
    heads: [&str; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
    style: Style,
) -> String {
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or(0)
    });
    let line = |cells: &[String; COLUMNS]| {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            match column + 1 == COLUMNS {
                true => line.push_str(cell),
                false => line.push_str(&format!("{cell:<width$}  ", width = widths[column])),
            }
        }
        line.trim_end().to_owned()
    };
    let heads = line(&heads.map(str::to_owned));
    let rows: String = rows.iter().map(|row| line(row) + "\n").collect();
    format!("{}\n{rows}", style.strong(heads))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lattistore::client::{MemberStatus, NodeId, Slot};
    use lattistore::lpaxos::Ballot;

    use crate::json;

    #[test]
    fn of_members_that_are_not_heard_nothing_is_claimed() {
        let member = |node: u64, reachable: bool, complete: u64| MemberStatus {
            node: NodeId(node),
            address: SocketAddr::from(([127, 0, 0, 1], 50051)),
            reachable,
            complete: Slot(complete),
        };
        let answer = NodeStatus {
            node: NodeId(1),
            cluster: Some(1),
            version: "0".to_owned(),
            uptime_ms: 0,
            leader: None,
            promised: Ballot { round: 1, node: NodeId(1) },
            slot: Slot(72),
            complete: Slot(72),
            floor: Slot(0),
            entries: 0,
            sizes: Sizes::default(),
            notices: Vec::new(),
            members: vec![member(1, true, 72), member(2, false, 0), member(3, true, 70)],
        };
        let text = status(&answer, Style::PLAIN);
        let rows: Vec<Vec<&str>> = text
            .lines()
            .rev()
            .take(3)
            .map(|row| row.split_whitespace().skip(2).collect())
            .collect();
        assert_eq!(
            rows,
            [vec!["70", "2", "up"], vec!["-", "-", "not", "heard"], vec!["72", "0", "up"]]
        );
        let known = r#""reachable": false, "complete": null}"#;
        assert!(json::status(&answer).contains(known), "{}", json::status(&answer));
    }

    #[test]
    fn bytes_are_shown_in_the_largest_unit_that_fits() {
        let shown = [0, 1_023, 1_024, 1_535, 73_400_320, (1 << 30) - 1, 5 << 30, u64::MAX];
        let shown = shown.map(show_bytes);
        let expected = [
            "-",
            "1023 B",
            "1.0 KiB",
            "1.4 KiB",
            "70.0 MiB",
            "1023.9 MiB",
            "5.0 GiB",
            "17179869183.9 GiB",
        ];
        assert_eq!(shown, expected);
    }
}
