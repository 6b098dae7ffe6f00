//! The switch's thread: one inbox, one switch, and the carrying out of effects in their order.
//!
//! ```text
//! loop { wait for an input, at most until the switch's next deadline
//!        take what has gathered meanwhile, handle it, and carry the effects out
//!        hand the events of this round to the writer in one submission }
//! ```
//!
//! Nothing here waits for a disk, a socket or a person. Events that the writer cannot take now are kept and handed in
//! again, in order; meanwhile the switch is told that the store stalls, and refuses new calls.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::command::{Command, Done, Refusal};
use crate::event::{Event, Fact, Seq};
use crate::ids::{AgentName, CallId};
use crate::limits::runtime::WATCHED_CALLS;
use crate::media::MediaCommand;
use crate::runtime::clock::SystemClock;
use crate::runtime::inbox::{self, Inbox, NotTaken, Outbox, Taken};
use crate::sip::flow::Transmit;
use crate::store::writer::{Refused, Writer};
use crate::switch::{Boot, CommandId, Counts, Effect, EngineId, Input, Levels, Query, RequestId, StoreHealth, Switch};
use crate::time::Time;

/// Inputs taken in one round, so that effects are never far behind.
const ROUND: usize = 256;
/// How long the thread sleeps at most without an input.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);
/// How often counts are published for the metrics.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// How often the invariants are checked.
const WATCH_EVERY: Duration = Duration::from_secs(10);
/// Broken invariants that are logged one by one; the others are counted.
const BROKEN_TOLD: usize = 8;

/// Where effects go. Each is called on the switch's thread and must not wait.
pub struct Outlets {
    pub send: Box<dyn Fn(Transmit) + Send>,
    /// Rings an agent's phone, once the agent's desktop has the offer or has had its head start.
    pub ring: Box<dyn Fn(Transmit, Offered) + Send>,
    pub media: Box<dyn Fn(EngineId, MediaCommand) + Send>,
    pub ask: Box<dyn Fn(RequestId, Query, Time) + Send>,
    /// Hears every event before the disk has it.
    pub publish: Box<dyn Fn(Arc<Event>) + Send>,
    pub trace: Box<dyn Fn(CallId, Time, bool, std::net::SocketAddr, Bytes) + Send>,
    /// Once a second, and at the end.
    pub figures: Box<dyn Fn(Counts, Levels) + Send>,
    pub measure: Box<dyn Fn(Measure) + Send>,
    /// Draining is done.
    pub drained: Box<dyn Fn() + Send>,
}

/// The offers of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    pub agents: Vec<AgentName>,
    /// The last of them.
    pub seq: Seq,
}

impl Offered {
    fn add(&mut self, event: &Event) {
        if let Fact::CallOffered { agent, .. } = &event.fact {
            self.agents.push(agent.clone());
            self.seq = event.seq;
        }
    }

    /// Whether a message of the same step rings their phones.
    fn rings(&self, transmit: &Transmit) -> bool {
        !self.agents.is_empty() && transmit.bytes.starts_with(b"INVITE ")
    }
}

/// What the thread measures of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// What one input cost, its effects included.
    Step(Duration),
    /// From emitting a round's first event to having the round on disk.
    Durable(Duration),
    /// Invariants that do not hold now.
    Broken(usize),
}

/// What goes to the thread besides inputs.
enum Message {
    Input(Box<Input>),
    Command(Box<Command>, oneshot::Sender<Result<Done, Refusal>>),
}

/// A handle to the thread; clones share it.
#[derive(Clone)]
pub struct SwitchHandle {
    inbox: Inbox<Message>,
}

impl SwitchHandle {
    /// Hands in what its sender repeats; never waits.
    pub fn input(&self, input: Input) -> Result<(), NotTaken> {
        self.inbox.offer(Message::Input(Box::new(input)))
    }

    /// Hands in what is told once; never waits, and is taken also where the inbox is full.
    pub fn input_kept(&self, input: Input) -> Result<(), NotTaken> {
        self.inbox.keep(Message::Input(Box::new(input)))
    }

    /// Hands an input in that must not be lost; waits where the inbox is full. Not for asynchronous tasks.
    pub fn input_surely(&self, input: Input) -> Result<(), NotTaken> {
        self.inbox.wait(Message::Input(Box::new(input)))
    }

    /// Gives an order and waits for its answer.
    pub async fn order(&self, command: Command) -> Result<Done, Refusal> {
        let (answer, answered) = oneshot::channel();
        let busy = |_| Refusal::later("system.busy", "The exchange is overloaded. Try again in a moment.");
        self.inbox.offer(Message::Command(Box::new(command), answer)).map_err(busy)?;
        answered.await.unwrap_or_else(|_| Err(Refusal::later("system.stopped", "The exchange is stopping.")))
    }
}

/// Makes the inbox before the thread, so that sockets and engines can be started with a handle in hand.
pub fn inbox() -> (SwitchHandle, SwitchInbox) {
    let (inbox, messages) = inbox::inbox();
    (SwitchHandle { inbox }, SwitchInbox { messages })
}

/// The switch's end of the inbox.
pub struct SwitchInbox {
    messages: Outbox<Message>,
}

/// Starts the thread. It ends when every handle is gone or draining is done; the writer comes back to be closed.
pub fn start(
    inbox: SwitchInbox,
    boot: Boot,
    clock: SystemClock,
    writer: Writer,
    outlets: Outlets,
) -> std::io::Result<JoinHandle<Writer>> {
    thread::Builder::new().name("switch".to_owned()).spawn(move || {
        let mut thread = SwitchThread {
            switch: Switch::new(boot),
            messages: inbox.messages,
            clock,
            writer,
            outlets,
            unwritten: VecDeque::new(),
            emitted: None,
            submitted: VecDeque::new(),
            answers: BTreeMap::new(),
            last_command: 0,
            store: StoreHealth::Well,
            figures_at: Time::EPOCH,
            watched_at: Time::EPOCH,
            repairs: 0,
            defects: 0,
            drained: false,
        };
        thread.run();
        thread.writer
    })
}

struct SwitchThread {
    switch: Switch,
    messages: Outbox<Message>,
    clock: SystemClock,
    writer: Writer,
    outlets: Outlets,
    /// Events the writer has not taken yet, in order.
    unwritten: VecDeque<(Seq, Vec<u8>)>,
    /// When the first of them was emitted.
    emitted: Option<Instant>,
    /// The last event of each submission that is not durable yet, and when its first was emitted.
    submitted: VecDeque<(Seq, Instant)>,
    answers: BTreeMap<CommandId, oneshot::Sender<Result<Done, Refusal>>>,
    last_command: u64,
    store: StoreHealth,
    figures_at: Time,
    watched_at: Time,
    /// Repairs and defects that the log has.
    repairs: u64,
    defects: u64,
    drained: bool,
}

impl SwitchThread {
    fn run(&mut self) {
        self.carry_out();
        let mut round = VecDeque::with_capacity(ROUND);
        while !self.drained {
            match self.messages.take(&mut round, ROUND, self.patience()) {
                Taken::Some => round.drain(..).for_each(|message| self.take(message)),
                Taken::Nothing => self.handle(Input::Timeout),
                Taken::Orphaned => break,
            }
            self.write();
            self.tell_figures();
            self.watch();
        }
        (self.outlets.figures)(self.switch.counts(), self.switch.levels());
        (self.outlets.drained)();
    }

    fn patience(&self) -> Duration {
        let now = self.clock.now();
        let due = self.switch.poll_timeout().map_or(LONGEST_SLEEP, |at| at.since(now));
        let longest = if self.unwritten.is_empty() { LONGEST_SLEEP } else { Duration::from_millis(20) };
        due.min(longest)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Input(input) => {
                // Who asks whether new calls are taken hears of a drain at once.
                match *input {
                    Input::Drain { .. } => self.figures_at = Time::EPOCH,
                    Input::Durable(last) => self.measure_durable(last),
                    _ => {}
                }
                self.handle(*input);
            }
            Message::Command(command, answer) => {
                self.last_command += 1;
                let id = CommandId(self.last_command);
                self.answers.insert(id, answer);
                self.handle(Input::Command { id, command: *command });
            }
        }
    }

    fn handle(&mut self, input: Input) {
        let began = Instant::now();
        self.switch.handle(self.clock.now(), input);
        self.carry_out();
        (self.outlets.measure)(Measure::Step(began.elapsed()));
    }

    fn measure_durable(&mut self, last: Seq) {
        while let Some((_, emitted)) = self.submitted.pop_front_if(|(seq, _)| *seq <= last) {
            (self.outlets.measure)(Measure::Durable(emitted.elapsed()));
        }
    }

    fn carry_out(&mut self) {
        let mut offered = Offered::default();
        while let Some(effect) = self.switch.poll_effect() {
            match effect {
                Effect::Send(transmit) if offered.rings(&transmit) => (self.outlets.ring)(transmit, offered.clone()),
                Effect::Send(transmit) => (self.outlets.send)(transmit),
                Effect::Media { engine, command } => (self.outlets.media)(engine, command),
                Effect::Request { id, query, deadline } => (self.outlets.ask)(id, query, deadline),
                Effect::Emit(event) => {
                    let payload = serde_json::to_vec(&event).expect("a fact is plain data and always serialises");
                    self.unwritten.push_back((event.seq, payload));
                    self.emitted.get_or_insert_with(Instant::now);
                    offered.add(&event);
                    (self.outlets.publish)(Arc::new(event));
                }
                Effect::Answer { id, result } => {
                    if let Some(answer) = self.answers.remove(&id) {
                        // Whoever asked may have gone; the order is carried out all the same.
                        let _ = answer.send(result);
                    }
                }
                Effect::Trace { call, sent, peer, bytes } => {
                    (self.outlets.trace)(call, self.clock.now(), sent, peer, bytes);
                }
                Effect::Drained => self.drained = true,
            }
        }
    }

    /// Hands the events of this round to the writer; what it cannot take stays, and the switch is told.
    fn write(&mut self) {
        let Some((first, _)) = self.unwritten.front() else { return };
        let first = *first;
        let last = self.unwritten.back().map_or(first, |(seq, _)| *seq);
        let batch: Vec<Vec<u8>> = self.unwritten.iter().map(|(_, payload)| payload.clone()).collect();
        match self.writer.submit(first, batch) {
            Ok(()) => {
                self.unwritten.clear();
                self.submitted.extend(self.emitted.take().map(|emitted| (last, emitted)));
                self.tell_store(StoreHealth::Well);
            }
            Err(Refused::Backlog) => self.tell_store(StoreHealth::Stalled),
            Err(refused @ (Refused::Size | Refused::Behind { .. } | Refused::Closed)) => {
                tracing::error!(%refused, %first, "the ledger refuses events");
                self.write_one_by_one();
            }
        }
    }

    /// A submission was over a limit: each event by itself, so that one bad apple costs only itself.
    fn write_one_by_one(&mut self) {
        while let Some((seq, payload)) = self.unwritten.pop_front() {
            match self.writer.submit(seq, vec![payload.clone()]) {
                Ok(()) => {}
                Err(Refused::Backlog) => {
                    self.unwritten.push_front((seq, payload));
                    return self.tell_store(StoreHealth::Stalled);
                }
                Err(refused) => tracing::error!(%refused, %seq, "an event is not kept"),
            }
        }
    }

    /// The writer's own queue is full before the disk says so; only a change is told.
    fn tell_store(&mut self, health: StoreHealth) {
        if self.store != health {
            self.store = health;
            self.switch.handle(self.clock.now(), Input::Store(health));
            self.carry_out();
        }
    }

    /// What the switch had to mend or caught is a defect of ours: it is logged once, and invariants are checked.
    fn watch(&mut self) {
        let counts = self.switch.counts();
        if counts.repairs > self.repairs {
            self.repairs = counts.repairs;
            let repairs = self.switch.last_repairs();
            tracing::error!(total = counts.repairs, ?repairs, "derived state had drifted and was mended: a defect");
        }
        if counts.defects > self.defects {
            self.defects = counts.defects;
            tracing::error!(total = counts.defects, "a step of the switch panicked; its call was cleared: a defect");
        }
        let now = self.clock.now();
        if now.since(self.watched_at) < WATCH_EVERY || !is_watched(self.switch.levels().calls) {
            return;
        }
        self.watched_at = now;
        let broken = self.switch.check_invariants();
        for what in broken.iter().take(BROKEN_TOLD) {
            tracing::error!(%what, all = broken.len(), "an invariant does not hold: a defect");
        }
        (self.outlets.measure)(Measure::Broken(broken.len()));
    }

    fn tell_figures(&mut self) {
        let now = self.clock.now();
        if now.since(self.figures_at) >= PUBLISH_EVERY {
            self.figures_at = now;
            (self.outlets.figures)(self.switch.counts(), self.switch.levels());
        }
    }
}

/// Whether the check of the invariants is small beside what so many calls cost anyway.
fn is_watched(calls: usize) -> bool {
    calls <= WATCHED_CALLS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_invariants_of_a_very_busy_switch_are_left_to_the_simulator() {
        assert!(is_watched(0) && is_watched(WATCHED_CALLS) && !is_watched(WATCHED_CALLS + 1));
    }
}
