//! The configuration of a run, drawn from its seed: each fault is on or off, with its own rate.
//!
//! Most runs have few faults, so that each fault is also reached alone; some runs have nearly all.

use super::random::Random;
use lattistore::lpaxos::{Config, Election, PageLimits};

/// A kind of fault, which can be switched off when a failing run is shrunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Messages are lost.
    Loss,
    /// Messages are delivered twice.
    Repeat,
    /// Messages are delayed, and overtaken by younger ones.
    Delay,
    /// Links are cut.
    Partition,
    /// Nodes crash and restart.
    Crash,
    /// Writes fail and stop the node.
    WriteFailure,
    /// Nodes pause for up to 2 s.
    Pause,
    /// Disks are slow for up to 4 s.
    SlowDisk,
    /// Clocks jump ahead.
    ClockJump,
    /// Answers to clients are lost.
    AnswerLoss,
    /// Some nodes are slow during the whole run, and their clocks run at other rates.
    SlowNode,
    /// Nodes are cut off for long and in overlap, and then one of them must lead.
    Absence,
    /// Disks hold the shipped journal, and tear and lose what is not synced (the store's nodes
    /// only).
    Journal,
    /// Patches that were lost arrive during a full copy.
    DelayedPatch,
    /// Nodes become reluctant to lead, and willing again.
    Reluctance,
    /// Operators add, replace, move and remove members; disks are lost.
    Members,
}

impl Fault {
    /// Every fault.
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
        Fault::DelayedPatch,
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

    /// Returns the set with the fault.
    pub fn with(self, fault: Fault) -> Faults {
        Faults(self.0 | fault.bit())
    }

    /// Returns the set without the fault.
    pub fn without(self, fault: Fault) -> Faults {
        Faults(self.0 & !fault.bit())
    }

    /// Returns the faults that are on.
    pub fn on(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |fault| self.has(*fault))
    }
}

/// The configuration of a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The number of nodes that found the cluster.
    pub nodes: usize,
    /// The number of nodes that may be added.
    pub spares: usize,
    /// The mean time between two changes of the members, in microseconds.
    pub member_change_every_us: u64,
    /// How often something goes wrong just when the voters change, in ten thousandths.
    pub member_schedules: u64,
    /// The number of clients, each with one request in flight.
    pub clients: usize,
    /// The faults that are on.
    pub faults: Faults,
    /// How long faults are injected, in microseconds.
    pub chaos_us: u64,
    /// The mean time between two faults of the nemesis, in microseconds, approximately.
    pub fault_every_us: u64,
    /// The share of messages that are lost, in ten thousandths.
    pub loss: u64,
    /// The share of messages that are repeated, in ten thousandths.
    pub repeat: u64,
    /// The share of messages that take up to 200 times as long, in ten thousandths.
    pub delay: u64,
    /// The share of answers to clients that are lost, in ten thousandths.
    pub answer_loss: u64,
    /// The usual time of a message: minimum and maximum, in microseconds.
    pub message_us: (u64, u64),
    /// The usual time of a write: minimum and maximum, in microseconds.
    pub write_us: (u64, u64),
    /// The most inputs that a node takes before its output is requested.
    pub max_inputs: usize,
    /// How often a proposal is held for more requests, in ten thousandths.
    pub hold: u64,
    /// The longest time between two requests of a client, in microseconds.
    pub think_us: u64,
    /// How long a client waits for an answer, in milliseconds.
    pub patience_ms: u64,
    /// The greatest difference between clocks, in milliseconds.
    pub skew_ms: u64,
    /// The configuration of the nodes.
    pub config: Config,
}

impl Scenario {
    /// Draws the scenario of a seed.
    pub fn draw(random: &mut Random) -> Scenario {
        let nodes = *random.pick(&[1, 2, 3, 3, 3, 3, 3, 4, 5, 5]);
        // One seed in eight has no fault; in the others each fault is on with this chance.
        let chance = *random.pick(&[0, 1_000, 2_000, 3_000, 4_000, 6_000, 8_000, 9_500]);
        let mut faults = Faults(0);
        // Reluctance is drawn from a copy of the source, so that the other draws of a seed do not
        // depend on it.
        let mut copy = random.clone();
        for fault in Fault::ALL {
            let is_separate = matches!(fault, Fault::Reluctance | Fault::Members);
            let random = if is_separate { &mut copy } else { &mut *random };
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
            true => (copy.count(1, 4), copy.between(50, 1_500) * 1_000),
            false => (0, 0),
        };
        let config = draw_config(random, &mut copy);
        let message_us = random.between(50, 2_000);
        let write_us = random.between(20, 1_000);
        Scenario {
            nodes,
            spares,
            member_change_every_us,
            member_schedules: 1_500,
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

fn draw_config(random: &mut Random, copy: &mut Random) -> Config {
    let heartbeat_ms = random.between(20, 60);
    let rotating = random.happens(2_000);
    // A term must be longer than a recovery, or no leader would serve; for the same reason pages
    // are larger with rotating elections.
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
        level_slots: *copy.pick(&[2, 5, 16]),
        member_hold_ms: *copy.pick(&[0, 20, 100]),
        abstain_ms: heartbeat_ms * copy.between(8, 40),
        tombstone_slots: *random.pick(&[0, 2, 5, 30]),
        max_tombstones: *random.pick(&[1, 4, 65_536]),
        tombstones_per_step: *random.pick(&[1, 3, 4_096]),
    }
}

impl Scenario {
    /// Returns the number of computers: those of the founders, and of nodes that may be added.
    pub fn hosts(&self) -> usize {
        self.nodes + self.spares
    }

    /// Makes changes of the members frequent, and other faults few: two to five voters, and a
    /// change several times a second.
    pub fn make_dense(&mut self, random: &mut Random) {
        self.nodes = *random.pick(&[2, 3, 3, 3, 4, 4, 5]);
        self.spares = random.count(2, 5);
        self.member_change_every_us = random.between(20, 250) * 1_000;
        self.member_schedules = *random.pick(&[0, 2_000, 5_000]);
        self.clients = random.count(1, 5);
        self.chaos_us = random.between(2_000, 5_000) * 1_000;
        self.answer_loss = 0;
        let mut faults = Faults(0).with(Fault::Members);
        let others = [(Fault::Crash, 4_000), (Fault::Partition, 4_000), (Fault::Absence, 2_500)];
        let slow = [(Fault::Pause, 1_000), (Fault::SlowDisk, 3_000), (Fault::SlowNode, 1_500)];
        let few = [(Fault::Loss, 2_500), (Fault::Repeat, 2_500), (Fault::Delay, 3_500)];
        for (fault, chance) in others.into_iter().chain(slow).chain(few) {
            if random.happens(chance) {
                faults = faults.with(fault);
            }
        }
        self.faults = faults;
        let mut rate =
            |fault, rate: u64| if faults.has(fault) { random.between(50, rate) } else { 0 };
        self.loss = rate(Fault::Loss, 800);
        self.repeat = rate(Fault::Repeat, 1_500);
        self.delay = rate(Fault::Delay, 1_000);
        self.config.election = Election::Heartbeats;
    }

    /// Removes the faults that are not in the set.
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
