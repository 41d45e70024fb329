//! What is done to a cluster: shapes of broken networks, and what happens to processes.

use lattistore_sim::simulator::Random;

use crate::network::Cuts;

/// What is wrong with the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Broken {
    /// A minority is cut off from the rest.
    Halves,
    /// The same, in one direction.
    HalvesOneWay,
    /// Every node reaches a majority, no two the same one.
    MajorityRing,
    /// Two halves, and one node that reaches both.
    Bridge,
    /// The leader is cut off; its clients are not.
    IsolatedLeader,
    /// The leader is not heard, but hears.
    MuteLeader,
    /// The leader hears nothing, but is heard.
    DeafLeader,
    /// Only one node, not the leader, reaches a majority (OmniPaxos, section 2).
    QuorumLoss,
    /// The leader is cut off, and the only node that reaches a majority was away before.
    ConstrainedElection,
    /// The leader and some others do not reach each other, but all reach a majority.
    Chained,
    /// Long delays and lost packets on all links.
    Slow,
}

impl Broken {
    /// All, in an order of chance.
    pub(crate) fn deck(random: &mut Random) -> Vec<Broken> {
        use Broken::*;
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

    /// What is cut among `nodes` nodes of which `leader` leads. `others` are the others, in an order
    /// of chance; the first of them plays the special part where there is one.
    pub(crate) fn cuts(self, leader: usize, others: &[usize]) -> Cuts {
        let nodes = others.len() + 1;
        let all: Vec<usize> = [leader].iter().chain(others).copied().collect();
        let minority = &all[..(nodes - 1) / 2];
        let is_minor = |node: usize| minority.contains(&node);
        let place = |node: usize| all.iter().position(|other| *other == node).unwrap_or(0);
        let hub = others.first().copied().unwrap_or(leader);
        let is_cut = |from: usize, to: usize| match self {
            Broken::Halves => is_minor(from) != is_minor(to),
            Broken::HalvesOneWay => is_minor(from) && !is_minor(to),
            Broken::MajorityRing => {
                let apart = place(from).abs_diff(place(to));
                let apart = apart.min(nodes - apart);
                apart > (nodes / 2).div_ceil(2)
            }
            Broken::Bridge => from != hub && to != hub && is_minor(from) != is_minor(to),
            Broken::IsolatedLeader => from == leader || to == leader,
            Broken::MuteLeader => from == leader,
            Broken::DeafLeader => to == leader,
            Broken::QuorumLoss => from != hub && to != hub,
            Broken::ConstrainedElection => {
                from == leader || to == leader || from != hub && to != hub
            }
            Broken::Chained => {
                let far = &others[others.len() - nodes / 2..];
                from == leader && far.contains(&to) || to == leader && far.contains(&from)
            }
            Broken::Slow => false,
        };
        let pairs = all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to)));
        pairs.filter(|(from, to)| from != to && is_cut(*from, *to)).collect()
    }
}

/// What happens to processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hurt {
    /// kill -9 of any one.
    KillOne,
    /// kill -9 of the leader.
    KillLeader,
    /// kill -9 of all.
    KillAll,
    /// SIGSTOP of any one, and SIGCONT.
    PauseOne,
    /// SIGSTOP of the leader, and SIGCONT.
    PauseLeader,
    /// SIGTERM and restart of one after another.
    RollingRestart,
    /// Syncs of any one stall.
    SlowDiskOfOne,
    /// Syncs of the leader stall.
    SlowDiskOfLeader,
    /// Syncs of the leader and of another stall.
    SlowDisksOfTwo,
    /// The wall clocks of all jump, each elsewhere, and again.
    ClockJumps,
    /// kill -9 of any one, which starts again at another time of day, perhaps an earlier one.
    KillAndClockJump,
}

impl Hurt {
    /// All that can be done here, in an order of chance.
    pub(crate) fn deck(random: &mut Random, disks: bool, clocks: bool) -> Vec<Hurt> {
        use Hurt::*;
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

/// The same things in an order of chance.
pub(crate) fn shuffled<T>(mut things: Vec<T>, random: &mut Random) -> Vec<T> {
    for last in (1..things.len()).rev() {
        things.swap(last, random.count(0, last));
    }
    things
}
