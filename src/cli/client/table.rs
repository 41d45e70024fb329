//! The status of nodes as tables.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::client::{Error, NodeStatus, Severity, Sizes};

use super::duration::show_uptime;
use super::phrases::{complete_of, one_line, severity};
use super::style::Style;

/// Returns the status of a node, with a table of the members.
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
        let state = match (member.reachable, member.hears_this_node) {
            (true, _) => style.good("up"),
            (false, Some(false)) => style.bad("does not hear this node"),
            (false, _) => style.bad("not heard"),
        };
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

/// Returns a table of several nodes, and below it why some did not answer. The table fits into 80
/// columns with IPv4 addresses and up to 1,000,000,000 slots; JSON output has all details.
pub(crate) fn nodes(nodes: &[(SocketAddr, Result<NodeStatus, Error>)], style: Style) -> String {
    let answered = || nodes.iter().filter_map(|(_, status)| status.as_ref().ok());
    let newest = answered().map(|status| status.complete.0).max().unwrap_or(0);
    let rows = nodes.iter().map(|(address, status)| match status {
        Ok(status) => {
            let leads = status.leader.is_some_and(|leader| leader.leader == status.node);
            [
                "up".to_owned(),
                address.to_string(),
                if leads { "leader" } else { "" }.to_owned(),
                status.complete.to_string(),
                (newest - status.complete.0).to_string(),
                show_bytes_short(status.sizes.memory_bytes),
                show_bytes_short(status.sizes.disk_bytes),
                show_uptime(Duration::from_millis(status.uptime_ms)),
            ]
        }
        Err(_) => {
            let mut row: [String; 8] = std::array::from_fn(|_| "-".to_owned());
            row[0] = "down".to_owned();
            row[1] = address.to_string();
            row
        }
    });
    let heads = ["state", "address", "role", "complete", "lag", "memory", "disk", "uptime"];
    let mut text = table(heads, rows.collect(), style);
    for (address, status) in nodes {
        if let Err(error) = status {
            let cause = error.cause().map_or_else(|| error.to_string(), ToString::to_string);
            let cause = one_line(&cause);
            // Most causes name the node already.
            let line = match cause.contains(&address.to_string()) {
                true => cause,
                false => format!("{address}: {cause}"),
            };
            text.push_str(&format!("{} {line}\n", style.bad("down:")));
        }
    }
    let versions: BTreeSet<&str> = answered().map(|status| &*status.version).collect();
    if versions.len() > 1 {
        let versions: Vec<String> = versions.into_iter().map(one_line).collect();
        text.push_str(&format!("versions: {}\n", versions.join(", ")));
    }
    text
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

/// Returns a size for people; a dash if it is 0, which means unknown or absent.
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

/// Returns a size for people in at most five characters, up to 1,000 TiB.
fn show_bytes_short(bytes: u64) -> String {
    const UNITS: [(u32, char); 4] = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    if bytes == 0 {
        return "-".to_owned();
    }
    let unit = UNITS.into_iter().find(|(bits, _)| bytes >> bits > 0);
    let Some((bits, unit)) = unit else { return format!("{bytes}B") };
    let whole = bytes >> bits;
    match whole {
        // One digit after the point, cut off.
        0..100 => format!("{whole}.{}{unit}", (bytes >> (bits - 10)) % 1024 * 10 / 1024),
        _ => format!("{whole}{unit}"),
    }
}

/// Returns a table. Only the last column may have colours.
pub(crate) fn table<const COLUMNS: usize>(
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
    use crate::client::{Cause, MemberStatus, NodeId, Redirect, Slot};
    use crate::lpaxos::Ballot;

    use super::super::json::{self, Form};

    #[test]
    fn members_that_are_not_heard_have_no_complete_and_no_lag() {
        let member = |node: u64, hears_this_node: Option<bool>, complete: u64| MemberStatus {
            node: NodeId(node),
            address: SocketAddr::from(([127, 0, 0, 1], 50051)),
            reachable: hears_this_node == Some(true),
            complete: Slot(complete),
            hears_this_node,
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
            members: vec![
                member(1, Some(true), 72),
                member(2, None, 0),
                member(3, Some(false), 70),
                member(4, Some(true), 70),
            ],
        };
        let text = status(&answer, Style::PLAIN);
        let rows: Vec<Vec<&str>> = text
            .lines()
            .rev()
            .take(4)
            .map(|row| row.split_whitespace().skip(2).collect())
            .collect();
        assert_eq!(
            rows,
            [
                vec!["70", "2", "up"],
                vec!["-", "-", "does", "not", "hear", "this", "node"],
                vec!["-", "-", "not", "heard"],
                vec!["72", "0", "up"]
            ]
        );
        for known in [
            r#""reachable": true, "complete": 72, "hears_this_node": true}"#,
            r#""reachable": false, "complete": null, "hears_this_node": null}"#,
            r#""reachable": false, "complete": null, "hears_this_node": false}"#,
        ] {
            let json = json::status(&answer, Form::Exact);
            assert!(json.contains(known), "{json}");
        }
    }

    #[test]
    fn the_table_of_nodes_fits_80_columns_with_the_state_first() {
        let address = |last| SocketAddr::from(([255, 255, 255, last], 65535));
        let node = NodeId(u64::MAX);
        let up = NodeStatus {
            node,
            cluster: Some(1),
            version: "0.1.0".to_owned(),
            uptime_ms: 999 * 86_400_000 + 23 * 3_600_000,
            leader: Some(Redirect { leader: node, address: address(254) }),
            promised: Ballot { round: u64::MAX, node },
            slot: Slot(999_999_999),
            complete: Slot(999_999_999),
            floor: Slot(0),
            entries: u64::MAX,
            sizes: Sizes {
                memory_bytes: 1_023 << 30,
                disk_bytes: (100 << 40) - 1,
                ..Sizes::default()
            },
            notices: Vec::new(),
            members: Vec::new(),
        };
        let behind = NodeStatus { complete: Slot(999_900_000), leader: None, ..up.clone() };
        let why = "Connection refused".to_owned();
        let down = Error::DidNotRun { cause: Cause::Unreachable { node: address(252), why } };
        let rows = [(address(254), Ok(up)), (address(253), Ok(behind)), (address(252), Err(down))];
        let text = nodes(&rows, Style::PLAIN);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let first: Vec<_> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(first, ["state", "up", "up", "down", "down:"], "{text}");
    }

    #[test]
    fn short_sizes_have_at_most_five_characters() {
        let shown = [0, 1_023, 1_024, 1_535, 102_399, 102_400, 73_400_320, 1 << 49, 1 << 50];
        let shown = shown.map(show_bytes_short);
        let expected = ["-", "1023B", "1.0K", "1.4K", "99.9K", "100K", "70.0M", "512T", "1024T"];
        assert_eq!(shown, expected);
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
