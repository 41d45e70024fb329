//! The faults: kinds of broken networks, and faults of processes.

use lattistore_sim::simulator::Random;

use crate::network::Cuts;

/// A kind of broken network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NetworkFault {
    /// A minority is cut off from the rest.
    Halves,
    /// The same, in one direction: the rest does not hear the minority.
    HalvesOneWay,
    /// Every node reaches a majority, and no two nodes reach the same one.
    MajorityRing,
    /// Two halves, and one node that reaches both.
    Bridge,
    /// The leader is cut off from the other nodes, but not from its clients.
    IsolatedLeader,
    /// The leader hears the others, but they do not hear it.
    MuteLeader,
    /// The others hear the leader, but it does not hear them.
    DeafLeader,
    /// Only one node, not the leader, reaches a majority (OmniPaxos, section 2).
    QuorumLoss,
    /// The leader is cut off, and the only node that reaches a majority was cut off before.
    ConstrainedElection,
    /// The leader and some other nodes do not reach each other, but every node reaches a majority.
    Chained,
    /// Long delays and lost packets on all links.
    Slow,
}

impl NetworkFault {
    /// Returns all kinds in random order.
    pub(crate) fn deck(random: &mut Random) -> Vec<NetworkFault> {
        use NetworkFault::*;
        let all = vec![
            Halves,
            HalvesOneWay,
            MajorityRing,
            Bridge,
            IsolatedLeader,
            MuteLeader,
            DeafLeader,
            QuorumLoss,
            ConstrainedElection,
            Chained,
            Slow,
        ];
        shuffled(all, random)
    }

    /// Returns the directions that are cut. `others` are all nodes except the leader, in random
    /// order; if one node has a special role, it is the first of them.
    pub(crate) fn cuts(self, leader: usize, others: &[usize]) -> Cuts {
        let nodes = others.len() + 1;
        let all: Vec<usize> = [leader].iter().chain(others).copied().collect();
        let minority = &all[..(nodes - 1) / 2];
        let is_minor = |node: usize| minority.contains(&node);
        let place = |node: usize| all.iter().position(|other| *other == node).unwrap_or(0);
        let hub = others.first().copied().unwrap_or(leader);
        let is_cut = |from: usize, to: usize| match self {
            NetworkFault::Halves => is_minor(from) != is_minor(to),
            NetworkFault::HalvesOneWay => is_minor(from) && !is_minor(to),
            NetworkFault::MajorityRing => {
                let apart = place(from).abs_diff(place(to));
                let apart = apart.min(nodes - apart);
                apart > (nodes / 2).div_ceil(2)
            }
            NetworkFault::Bridge => from != hub && to != hub && is_minor(from) != is_minor(to),
            NetworkFault::IsolatedLeader => from == leader || to == leader,
            NetworkFault::MuteLeader => from == leader,
            NetworkFault::DeafLeader => to == leader,
            NetworkFault::QuorumLoss => from != hub && to != hub,
            NetworkFault::ConstrainedElection => {
                from == leader || to == leader || from != hub && to != hub
            }
            NetworkFault::Chained => {
                let far = &others[others.len() - nodes / 2..];
                from == leader && far.contains(&to) || to == leader && far.contains(&from)
            }
            NetworkFault::Slow => false,
        };
        let pairs = all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to)));
        pairs.filter(|(from, to)| from != to && is_cut(*from, *to)).collect()
    }
}

/// A fault of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ProcessFault {
    /// SIGKILL of a random node.
    KillOne,
    /// SIGKILL of the leader.
    KillLeader,
    /// SIGKILL of all nodes.
    KillAll,
    /// SIGSTOP of a random node, then SIGCONT.
    PauseOne,
    /// SIGSTOP of the leader, then SIGCONT.
    PauseLeader,
    /// SIGTERM and restart of one node after another.
    RollingRestart,
    /// The fsyncs of a random node are slow.
    SlowDiskOfOne,
    /// The fsyncs of the leader are slow.
    SlowDiskOfLeader,
    /// The fsyncs of the leader and of another node are slow.
    SlowDisksOfTwo,
    /// The wall clocks of all nodes jump twice, each to another time.
    ClockJumps,
    /// SIGKILL of a random node, which restarts with another wall-clock time, perhaps an earlier
    /// one.
    KillAndClockJump,
}

impl ProcessFault {
    /// Returns all faults that this machine allows, in random order.
    pub(crate) fn deck(random: &mut Random, disks: bool, clocks: bool) -> Vec<ProcessFault> {
        use ProcessFault::*;
        let mut all = vec![KillOne, KillLeader, KillAll, PauseOne, PauseLeader, RollingRestart];
        if disks {
            all.extend([SlowDiskOfOne, SlowDiskOfLeader, SlowDisksOfTwo]);
        }
        if clocks {
            all.extend([ClockJumps, KillAndClockJump]);
        }
        shuffled(all, random)
    }
}

/// Returns things in random order.
pub(crate) fn shuffled<T>(mut things: Vec<T>, random: &mut Random) -> Vec<T> {
    for last in (1..things.len()).rev() {
        things.swap(last, random.count(0, last));
    }
    things
}
