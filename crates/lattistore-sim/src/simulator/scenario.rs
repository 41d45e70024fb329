//! The configuration of a run, drawn from its seed: each fault on or off, each with its own rate.
//!
//! Most runs have few faults, so that each fault is also seen alone; some have nearly all.

use super::random::Random;
use lattistore::lpaxos::{Config, Election, PageLimits};

/// A kind of fault, for switching it off when a failing run is made smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Messages are lost.
    Loss,
    /// Messages come twice.
    Repeat,
    /// Messages are overtaken.
    Delay,
    /// Links are cut.
    Partition,
    /// Nodes crash and restart.
    Crash,
    /// Writes fail and stop the node.
    WriteFailure,
    /// Nodes stand still for a while.
    Pause,
    /// Disks are slow for a while.
    SlowDisk,
    /// Clocks jump ahead.
    ClockJump,
    /// Answers to clients are lost.
    AnswerLoss,
    /// Some nodes are slow all the time.
    SlowNode,
    /// Nodes are away for long, one while the other is, and then one of them leads.
    Absence,
    /// Disks hold the journal that ships, and tear and lose what is not synced. (The store's only.)
    Journal,
    /// Patches that were lost come after all, during a full copy.
    LatePatch,
    /// Nodes become reluctant to lead, and willing again.
    Reluctance,
    /// Operators add, replace, move and remove members; disks are lost.
    Members,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 16] = [
        Fault::Loss,
        Fault::Repeat,
        Fault::Delay,
        Fault::Partition,
        Fault::Crash,
        Fault::WriteFailure,
        Fault::Pause,
        Fault::SlowDisk,
        Fault::ClockJump,
        Fault::AnswerLoss,
        Fault::SlowNode,
        Fault::Absence,
        Fault::Journal,
        Fault::LatePatch,
        Fault::Reluctance,
        Fault::Members,
    ];

    fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

/// A set of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults(pub u32);

impl Faults {
    /// Whether the fault is on.
    pub fn has(self, fault: Fault) -> bool {
        self.0 & fault.bit() != 0
    }

    /// The set with the fault.
    pub fn with(self, fault: Fault) -> Faults {
        Faults(self.0 | fault.bit())
    }

    /// The set without the fault.
    pub fn without(self, fault: Fault) -> Faults {
        Faults(self.0 & !fault.bit())
    }

    /// Those that are on.
    pub fn on(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |fault| self.has(*fault))
    }
}

/// The configuration of a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How many nodes found the cluster.
    pub nodes: usize,
    /// How many nodes may be added.
    pub spares: usize,
    /// Between two changes of the members that are asked for, in microseconds, about.
    pub member_change_every_us: u64,
    /// How many clients, each with one request at a time.
    pub clients: usize,
    /// Which faults are on.
    pub faults: Faults,
    /// How long faults are injected, in microseconds.
    pub chaos_us: u64,
    /// Between two faults of the big kind, in microseconds, about.
    pub fault_every_us: u64,
    /// Loss of messages, in ten thousandths; the same unit for what follows.
    pub loss: u64,
    /// Repetition.
    pub repeat: u64,
    /// Messages that take a hundred times as long.
    pub delay: u64,
    /// Answers to clients that are lost.
    pub answer_loss: u64,
    /// The usual time of a message, in microseconds, at the least and at the most.
    pub message_us: (u64, u64),
    /// The usual time of a write, in microseconds, at the least and at the most.
    pub write_us: (u64, u64),
    /// A node takes in at most so much before its output is asked for.
    pub max_inputs: usize,
    /// How often a proposal is held for more requests, in ten thousandths.
    pub hold: u64,
    /// Between two requests of a client, in microseconds, at the most.
    pub think_us: u64,
    /// How long a client waits for an answer, in milliseconds.
    pub patience_ms: u64,
    /// How far the clocks are apart, in milliseconds, at the most.
    pub skew_ms: u64,
    /// The configuration of the nodes.
    pub config: Config,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(random: &mut Random) -> Scenario {
        let nodes = *random.pick(&[1, 2, 3, 3, 3, 3, 3, 4, 5, 5]);
        // One seed in eight has no fault at all, and in the others each is on with one chance.
        let chance = *random.pick(&[0, 1_000, 2_000, 3_000, 4_000, 6_000, 8_000, 9_500]);
        let mut faults = Faults(0);
        // Drawn beside the others, which are what they were without it.
        let mut aside = random.clone();
        for fault in Fault::ALL {
            let is_aside = matches!(fault, Fault::Reluctance | Fault::Members);
            let random = if is_aside { &mut aside } else { &mut *random };
            if random.happens(chance) {
                faults = faults.with(fault);
            }
        }
        let mut rate = |fault: Fault, rates: [u64; 3]| {
            let rate = *random.pick(&rates);
            if faults.has(fault) { rate } else { 0 }
        };
        let (loss, repeat) =
            (rate(Fault::Loss, [100, 500, 2_000]), rate(Fault::Repeat, [100, 1_000, 3_000]));
        let (delay, answer_loss) =
            (rate(Fault::Delay, [50, 300, 2_000]), rate(Fault::AnswerLoss, [100, 1_000, 3_000]));
        let (spares, member_change_every_us) = match faults.has(Fault::Members) {
            true => (aside.count(1, 4), aside.between(50, 1_500) * 1_000),
            false => (0, 0),
        };
        let config = draw_config(random, &mut aside);
        let message_us = random.between(50, 2_000);
        let write_us = random.between(20, 1_000);
        Scenario {
            nodes,
            spares,
            member_change_every_us,
            clients: random.count(1, 8),
            faults,
            chaos_us: random.between(1_000, 6_000) * 1_000,
            fault_every_us: random.between(100, 1_500) * 1_000,
            loss,
            repeat,
            delay,
            answer_loss,
            message_us: (message_us, message_us * random.between(1, 4)),
            write_us: (write_us, write_us * random.between(1, 6)),
            max_inputs: 8,
            hold: 1_000,
            think_us: *random.pick(&[1_000, 10_000, 50_000]),
            patience_ms: *random.pick(&[100, 500, 2_000]),
            skew_ms: *random.pick(&[0, 100, 100_000]),
            config,
        }
    }
}

fn draw_config(random: &mut Random, aside: &mut Random) -> Config {
    let heartbeat_ms = random.between(20, 60);
    let rotating = random.happens(2_000);
    // Longer than a recovery takes, or no term would be of use; for the same reason pages are larger.
    let term_ms = random.between(2_000, 4_000);
    let mut page = PageLimits {
        bytes: *random.pick(&[1, 40, 200, 1 << 16]),
        examined: *random.pick(&[1, 3, 1 << 14]),
    };
    if rotating {
        page = PageLimits { bytes: page.bytes.max(200), examined: 1 << 14 };
    }
    Config {
        election: if rotating { Election::Rotating { term_ms } } else { Election::Heartbeats },
        heartbeat_ms,
        unreachable_ms: heartbeat_ms * random.between(4, 8),
        stalled_ms: heartbeat_ms * random.between(8, 40),
        slow_write_ms: *random.pick(&[0, 1, 20, u64::MAX]),
        ahead_bytes: *random.pick(&[0, 200, 1 << 20]),
        resend_ms: heartbeat_ms * random.between(1, 3),
        hold_ms: random.between(100, 1_000),
        max_queue: *random.pick(&[2, 8, 1_000]),
        max_batch: random.count(1, 8),
        batch_bytes: *random.pick(&[1, 64, 1 << 20]),
        busy_batch: *random.pick(&[0, 1, 3, usize::MAX]),
        overlapping_batch: *random.pick(&[0, 1, 3, usize::MAX]),
        page,
        window_bytes: *random.pick(&[1, 300, 2_000, 1 << 20]),
        level_slots: *aside.pick(&[2, 5, 16]),
        member_hold_ms: *aside.pick(&[0, 20, 100]),
        abstain_ms: heartbeat_ms * aside.between(8, 40),
        tombstone_slots: *random.pick(&[0, 2, 5, 30]),
        max_tombstones: *random.pick(&[1, 4, 65_536]),
        tombstones_per_step: *random.pick(&[1, 3, 4_096]),
    }
}

impl Scenario {
    /// Returns how many computers there are: those of the founders, and of nodes that may be added.
    pub fn hosts(&self) -> usize {
        self.nodes + self.spares
    }

    /// Leaves only the faults of the set.
    pub fn restrict(&mut self, faults: Faults) {
        self.faults.0 &= faults.0;
        if !self.faults.has(Fault::Members) {
            self.spares = 0;
        }
        let rates = [
            (Fault::Loss, &mut self.loss),
            (Fault::Repeat, &mut self.repeat),
            (Fault::Delay, &mut self.delay),
            (Fault::AnswerLoss, &mut self.answer_loss),
        ];
        for (fault, rate) in rates {
            if !self.faults.has(fault) {
                *rate = 0;
            }
        }
    }
}
