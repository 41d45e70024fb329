//! The consensus thread: it owns the node, the store and the storage, and does what the core says in
//! the order in which the core says it.
//!
//! It never waits for a socket: what is not taken at once, frames to peers and answers to clients, is
//! queued or dropped. It takes all events that are there, up to a bound, steps the core with each, and
//! writes once; where the core goes on beside a write, the sync thread waits for the disk.

mod diary;
mod forming;
mod member;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use forming::Forming;
use log::{debug, error, info};
use member::Member;

use super::answers::client_outcome;
use super::clock::{Clock, millis};
use super::error::ServerError;
use super::formation::{Formation, Roster};
use super::gate::{Event, Gate};
use super::links::Links;
use super::notices::Notices;
use super::pulse::Pulse;
use super::requests::{Asked, Requests};
use super::resources::Meter;
use super::space::Space;
use super::status;
use super::syncer::Syncer;
use super::syncs::Syncs;
use crate::kv::{self, Key, Value};
use crate::limits::REQUESTS_CROWDED;
use crate::lpaxos::{Answer, Config, Durable, Low, NodeId, Output, Ready, Request, Ticket};
use crate::storage::{Storage, Unsynced};
use crate::transport::{self, Reply, ReplyBatch};
use crate::wire::{ClientOutcome, NodeStatus, PeerFrame, Reason, Redirect, Severity, Shortage};

/// Events taken before the core is asked for its output, at most: a bound on how long the first of
/// them waits.
const EVENTS_PER_STEP: usize = 1_024;
/// Between two introductions while the cluster is forming.
const INTRODUCTION_PERIOD: Duration = Duration::from_millis(200);
/// A node that cannot go on tells so for as long before it ends, so that the other side of a
/// disagreement learns of it too.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where the node is in its life.
enum Phase {
    /// The nodes agree on who is a member. The state is not touched before they have.
    Forming(Box<Forming>),
    Member(Box<Member>),
}

/// The consensus thread's belongings.
pub(super) struct Consensus {
    me: NodeId,
    config: Config,
    gate: Arc<Gate>,
    links: Links,
    /// Before the storage, as it ends first.
    syncer: Syncer,
    pulse: Pulse,
    syncs: Syncs,
    storage: Box<dyn Storage>,
    notices: Arc<Notices>,
    events: Receiver<Event>,
    requests: Requests,
    stop: Arc<AtomicBool>,
    /// Set while clients cannot connect to the node, or soon cannot.
    is_reluctant: Arc<AtomicBool>,
    space: Space,
    /// Measures for `space`.
    _meter: Meter,
    phase: Phase,
    replies: HashMap<Ticket, Reply>,
    next_ticket: u64,
    clock: Clock,
    next_tick: Instant,
    next_introduction: Instant,
    /// What the node will end with, and when.
    ending: Option<(ServerError, Instant)>,
}

/// What the consensus thread starts with.
pub(super) struct Start {
    pub(super) me: NodeId,
    pub(super) config: Config,
    pub(super) gate: Arc<Gate>,
    pub(super) links: Links,
    pub(super) syncer: Syncer,
    pub(super) pulse: Pulse,
    pub(super) storage: Box<dyn Storage>,
    pub(super) notices: Arc<Notices>,
    pub(super) durable: Durable<Key, Value>,
    /// The roster of the cluster that the node belongs to already.
    pub(super) roster: Option<Roster>,
    pub(super) events: Receiver<Event>,
    pub(super) requests: Requests,
    pub(super) stop: Arc<AtomicBool>,
    /// Set while the node is to leave the lead to others.
    pub(super) is_reluctant: Arc<AtomicBool>,
    pub(super) space: Space,
    pub(super) meter: Meter,
}

/// The state in memory: millions of entries take seconds to be freed, which need not be waited for.
pub(super) struct Remains {
    _phase: Phase,
}

impl Consensus {
    pub(super) fn new(start: Start) -> Consensus {
        let Start {
            me,
            config,
            gate,
            links,
            syncer,
            pulse,
            storage,
            notices,
            durable,
            roster,
            events,
            requests,
            stop,
            is_reluctant,
            space,
            meter,
        } = start;
        let formation = Formation::new(links.address(), me, links.listed().clone());
        let now = Instant::now();
        let mut consensus = Consensus {
            me,
            config,
            gate,
            links,
            syncer,
            pulse,
            syncs: Syncs::default(),
            storage,
            notices,
            events,
            requests,
            stop,
            is_reluctant,
            space,
            _meter: meter,
            phase: Phase::Forming(Box::new(Forming { formation, durable })),
            replies: HashMap::new(),
            next_ticket: 0,
            clock: Clock::new(),
            next_tick: now,
            next_introduction: now,
            ending: None,
        };
        if let Some(roster) = roster {
            consensus.become_member(roster);
        }
        consensus
    }

    /// Runs until told to stop, or until the node cannot go on; says why it ended. The storage is closed
    /// then.
    pub(super) fn run(mut self) -> (Result<(), ServerError>, Remains) {
        let mut result = self.serve();
        match &result {
            Ok(()) => {
                let waiting = self.replies.len() + self.requests.len();
                info!(event = "stopping", requests = waiting;
                    "the node stops; {waiting} requests of clients wait and are told so");
            }
            // Why is said at the very end.
            Err(_) => error!(event = "stopping"; "the node cannot go on, and stops"),
        }
        // A node whose write failed holds more than is durable, and must not say another word of it.
        if !matches!(result, Err(ServerError::Storage(_))) {
            let handed_over = self.hand_over();
            result = result.and(handed_over);
        }
        self.dismiss_clients();
        (result, Remains { _phase: self.phase })
    }

    fn is_forming(&self) -> bool {
        matches!(self.phase, Phase::Forming(_))
    }

    fn has_room(&self) -> bool {
        match &self.phase {
            Phase::Forming(_) => true,
            Phase::Member(member) => member.node.has_room(),
        }
    }

    fn must_wait(&self) -> bool {
        matches!(&self.phase, Phase::Member(member) if member.node.must_wait())
    }

    fn serve(&mut self) -> Result<(), ServerError> {
        self.try_form()?;
        while !self.stop.load(Ordering::Acquire) {
            self.gate.note_progress();
            let first = self.next_event();
            self.take_events(first)?;
            // One look at the clock is for all of them.
            let now = Instant::now();
            for _ in 0..EVENTS_PER_STEP {
                // What there is no room for waits in the channel, and who finds that full is refused
                // on his own thread.
                if !self.has_room() {
                    break;
                }
                let Some(asked) = self.requests.take() else { break };
                self.on_request(asked, now);
            }
            if Instant::now() >= self.next_tick {
                self.tick();
            }
            self.do_output()?;
            let took = if self.must_wait() { self.wait_for_sync()? } else { self.syncer.poll()? };
            if let Some(took) = took {
                self.written(took)?;
                // Votes may have come meanwhile, and what they bring leaves before the next write.
                let first = self.events.try_recv().ok();
                self.take_events(first)?;
                self.do_output()?;
            }
            if let Some((_, at)) = &self.ending
                && Instant::now() >= *at
                && let Some((error, _)) = self.ending.take()
            {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes an event and those after it that are there.
    fn take_events(&mut self, first: Option<Event>) -> Result<(), ServerError> {
        let mut next = first;
        for left in (0..EVENTS_PER_STEP).rev() {
            let Some(event) = next else { break };
            self.on_event(event)?;
            next = if left > 0 { self.events.try_recv().ok() } else { None };
        }
        Ok(())
    }

    /// Sleeps until there is an event, a request that the node is ready for, as many as are waited for, or
    /// time for a tick.
    fn next_event(&self) -> Option<Event> {
        let (ready, missing) = match &self.phase {
            Phase::Forming(_) => (Ready { reads: true, writes: true }, None),
            Phase::Member(member) => (member.node.ready(), member.missing()),
        };
        let until = missing.map_or(self.next_tick, |(_, until)| until.min(self.next_tick));
        let crowd = missing.map_or(REQUESTS_CROWDED, |(missing, _)| missing.min(REQUESTS_CROWDED));
        let crowd = self.has_room().then_some(crowd);
        let event = match self.requests.sleep(ready, crowd) {
            true => self.events.try_recv().ok(),
            // The gate holds a sender, so that no event means that it is time for something.
            false => self.events.recv_deadline(until).ok(),
        };
        self.requests.awake();
        event
    }

    fn on_event(&mut self, event: Event) -> Result<(), ServerError> {
        match event {
            Event::Transport(transport::Event::Frame { from, frame }) => match frame {
                PeerFrame::Core(message) => {
                    if let Phase::Member(member) = &mut self.phase {
                        member.node.message(self.clock.now_ms(), from, message);
                    }
                }
                PeerFrame::Introduction(introduction) => self.on_introduction(&introduction)?,
            },
            Event::Transport(transport::Event::Connected { address, .. }) => {
                debug!("connected to {address}");
                self.links.let_in_by(address.ip());
                self.introduce();
            }
            Event::Transport(transport::Event::Disconnected { address, reason }) => {
                debug!("lost the connection to {address}: {reason}");
                if let Phase::Member(member) = &mut self.phase
                    && let Some(node) = member.cluster.roster.get(&address.ip())
                {
                    member.node.unheard(self.clock.now_ms(), *node);
                }
            }
            // The transport has logged it.
            Event::Transport(transport::Event::Refused { address, refusal, by_peer }) => {
                let fatal = matches!(
                    refusal.reason,
                    Reason::ListsDiffer | Reason::OtherCluster | Reason::UnknownNode
                );
                // A member that one peer refuses may be right; one that most refuse is of no use.
                if by_peer && fatal && (self.links.refused_by(address.ip()) || self.is_forming()) {
                    let (address, message) = (address.ip(), refusal.message);
                    self.end(ServerError::RefusedByPeer { address, message });
                }
            }
            Event::Transport(transport::Event::ThreadDied { thread, reason }) => {
                return Err(ServerError::ThreadDied { thread, reason });
            }
            Event::Status { reply, memory_bytes } => {
                let status = self.status(memory_bytes);
                reply.send(ClientOutcome::Status(status));
            }
            // It is told with the end, and to the other node, which says so as often as it asks.
            Event::ListsDiffer(difference) if self.is_forming() => self.end(difference.into()),
            Event::ListsDiffer(difference) => debug!("{difference}"),
            Event::Wake => {}
        }
        Ok(())
    }

    /// Ends soon, unless it ends for another reason already.
    fn end(&mut self, error: ServerError) {
        self.ending.get_or_insert((error, Instant::now() + LAST_WORDS));
    }

    fn on_request(&mut self, asked: Asked, now: Instant) {
        let Asked { command, time, since, reply } = asked;
        // What it waited already counts.
        let left = time.saturating_sub(now.saturating_duration_since(since));
        let now_ms = self.clock.ms_at(now);
        match &mut self.phase {
            _ if left.is_zero() => reply.send(ClientOutcome::Timeout { could_handle: false }),
            Phase::Forming(forming) => {
                reply.send(ClientOutcome::NodesUnreachable(forming.shortage()));
            }
            Phase::Member(member) if member.refuses(&command) => {
                reply.send(ClientOutcome::OutOfSpace(member.why_no_room()));
            }
            Phase::Member(member) => {
                self.next_ticket += 1;
                let ticket = Ticket(self.next_ticket);
                let deadline_ms = now_ms.saturating_add(millis(left));
                self.replies.insert(ticket, reply);
                member.node.request(now_ms, Request { ticket, command, deadline_ms });
            }
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.next_tick = now + Duration::from_millis(self.config.heartbeat_ms.div_ceil(2));
        match &mut self.phase {
            Phase::Forming(_) if now >= self.next_introduction => {
                self.next_introduction = now + INTRODUCTION_PERIOD;
                self.introduce();
                self.note_forming();
            }
            Phase::Forming(_) => {}
            Phase::Member(member) => {
                let now_ms = self.clock.now_ms();
                let low = self.space.look(&member.node.durable().replica);
                note_low(&self.notices, &self.space, low);
                member.node.set_low(now_ms, low);
                // A leader without room would refuse what another may take.
                let is_reluctant = self.is_reluctant.load(Ordering::Relaxed) || low.any();
                member.node.set_reluctant(now_ms, is_reluctant);
                member.node.tick(now_ms);
                member.log_news(self.me);
                member.note_room(&self.notices);
            }
        }
    }

    /// Does what the core wants, in its order (see [`Output`]), until it wants no more or a tick is
    /// due: many heavy programs must not keep the node from hearing and being heard.
    fn do_output(&mut self) -> Result<(), ServerError> {
        loop {
            self.gate.note_progress();
            let Phase::Member(member) = &mut self.phase else { return Ok(()) };
            let output = member.output(Instant::now(), self.requests.len());
            if output.is_empty() {
                return self.maintain();
            }
            let Output { early, answers, records, overlaps, late } = output;
            // Then the answers are in the next one, which nobody may keep them waiting for.
            let only_early = answers.is_empty() && records.is_empty() && late.is_empty();
            self.links.send(&early);
            let locate = |node| member.cluster.locate(node, self.links.port());
            give(&mut self.replies, answers, locate, || member.shortage());
            if !records.is_empty() {
                self.pulse.note(member.node.heartbeat());
                let begun = Instant::now();
                let begin = || self.storage.begin(&records);
                match self.pulse.during(begun, begin)? {
                    // Where much waits to be maintained, that needs a moment without a write.
                    Some(unsynced) if overlaps && !self.storage.is_behind() => {
                        self.syncer.give(unsynced);
                    }
                    unsynced => {
                        let sync = || unsynced.map_or(Ok(()), Unsynced::sync);
                        self.pulse.during(begun, sync)?;
                        let took = begun.elapsed();
                        self.syncs.note(took);
                        member.node.note_sync(millis(took));
                        member.node.written();
                    }
                }
            }
            self.links.send(&late);
            let is_late = Instant::now() >= self.next_tick && !self.stop.load(Ordering::Acquire);
            if is_late && !only_early {
                return self.maintain();
            }
        }
    }

    /// Waits for the overlapped write, if there is one; tells how long it took.
    fn wait_for_sync(&mut self) -> Result<Option<Duration>, ServerError> {
        let Some(since) = self.syncer.since() else { return Ok(None) };
        if let Phase::Member(member) = &self.phase {
            self.pulse.note(member.node.heartbeat());
        }
        let syncer = &mut self.syncer;
        Ok(self.pulse.during(since, || syncer.wait())?)
    }

    /// An overlapped write is over.
    fn written(&mut self, took: Duration) -> Result<(), ServerError> {
        self.syncs.note(took);
        if let Phase::Member(member) = &mut self.phase {
            member.node.note_sync(millis(took));
            member.node.written();
        }
        self.maintain()
    }

    /// Lets the storage work beside the writing, if nothing is being written.
    fn maintain(&mut self) -> Result<(), ServerError> {
        if let Phase::Member(member) = &self.phase
            && member.node.is_written()
        {
            let (storage, durable) = (&mut self.storage, member.node.durable());
            self.pulse.note(member.node.heartbeat());
            // It may sync as well, now and then.
            self.pulse.during(Instant::now(), || storage.maintain(durable))?;
        }
        Ok(())
    }

    fn status(&self, memory_bytes: u64) -> NodeStatus {
        let uptime_ms = self.clock.uptime_ms();
        let sizes = status::sizes(memory_bytes, &self.storage.status(), &self.syncs);
        let notices = self.notices.all();
        match &self.phase {
            Phase::Forming(forming) => {
                status::of_forming(self.me, &forming.durable, sizes, uptime_ms, notices)
            }
            Phase::Member(member) => {
                let port = self.links.port();
                let Member { node, cluster, .. } = &**member;
                status::of_member(self.me, node, cluster, port, sizes, uptime_ms, notices)
            }
        }
    }

    /// Takes no more requests, hands over the lead, and writes what is not yet written.
    fn hand_over(&mut self) -> Result<(), ServerError> {
        if let Some(took) = self.wait_for_sync()? {
            self.written(took)?;
        }
        let now_ms = self.clock.now_ms();
        if let Phase::Member(member) = &mut self.phase {
            // What has changed since the last tick, before the end.
            member.log_news(self.me);
            member.node.close(now_ms);
            member.log_news(self.me);
        }
        self.do_output()
    }

    /// Answers everybody who waits.
    fn dismiss_clients(&mut self) {
        for (_, reply) in self.replies.drain() {
            reply.send(ClientOutcome::Closing { could_handle: true });
        }
        while let Some(asked) = self.requests.take() {
            asked.reply.send(ClientOutcome::Closing { could_handle: false });
        }
        while let Ok(event) = self.events.try_recv() {
            if let Event::Status { reply, .. } = event {
                reply.send(ClientOutcome::Closing { could_handle: false });
            }
        }
    }
}

/// States what the node has too little of.
fn note_low(notices: &Notices, space: &Space, low: Low) {
    const LOW: &str = "low_space";
    if low.any() {
        // Without the figures, which would make a new notice of each look.
        let what = member::in_words(low);
        let message = format!(
            "this node is low on {what} ({}): delete what is not needed, or give it more",
            space.bounds_in_words(low)
        );
        notices.set(LOW, Severity::Warning, message);
    } else {
        notices.clear(LOW, "this node has room again");
    }
}

fn give(
    replies: &mut HashMap<Ticket, Reply>,
    answers: Vec<(Ticket, Answer<kv::Outcome>)>,
    locate: impl Fn(NodeId) -> Option<Redirect>,
    shortage: impl Fn() -> Shortage,
) {
    let mut given = ReplyBatch::default();
    for (ticket, answer) in answers {
        if let Some(reply) = replies.remove(&ticket) {
            given.send(reply, client_outcome(answer, &locate, &shortage));
        }
    }
}
