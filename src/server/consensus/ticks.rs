//! The work of each tick.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::room::note_low;
use super::state::{Consensus, Phase};
use crate::server::error::ServerError;

/// The time between two introductions while the cluster is forming.
const INTRODUCTION_PERIOD: Duration = Duration::from_millis(200);

impl Consensus {
    /// Does the work that is due, and sets the time of the next tick.
    pub(super) fn tick(&mut self) -> Result<(), ServerError> {
        let now = Instant::now();
        self.duplicates.look(&self.notices, now);
        self.next_tick = now + Duration::from_millis(self.config.heartbeat_ms.div_ceil(2));
        match &mut self.phase {
            Phase::Forming(_) if now >= self.next_introduction => {
                self.next_introduction = now + INTRODUCTION_PERIOD;
                self.introduce();
                self.note_forming();
            }
            Phase::Forming(_) | Phase::Joining(_) => {}
            Phase::Member(member) => {
                let now_ms = self.clock.now_ms();
                let low = self.space.look(&member.node.durable().replica);
                note_low(&self.notices, &self.space, low);
                member.node.set_low(now_ms, low);
                // A leader without room would refuse commands that another leader may accept.
                let is_reluctant = self.is_reluctant.load(Ordering::Relaxed) || low.any();
                member.node.set_reluctant(now_ms, is_reluctant);
                member.node.tick(now_ms);
                member.log_news(self.me);
                member.look_for_room(&self.notices);
            }
        }
        self.tick_membership(now)
    }
}
