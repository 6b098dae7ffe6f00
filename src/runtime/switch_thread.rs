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
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::command::{Command, Done, Refusal};
use crate::event::{Event, Seq};
use crate::ids::CallId;
use crate::media::MediaCommand;
use crate::runtime::clock::SystemClock;
use crate::sip::flow::Transmit;
use crate::store::writer::{Refused, Writer};
use crate::switch::{Boot, CommandId, Counts, Effect, EngineId, Input, Levels, Query, RequestId, StoreHealth, Switch};
use crate::time::Time;

/// Inputs that may wait for the switch: about ten seconds of a flood. Beyond, messages are dropped (SIP repeats them)
/// and commands refused.
pub const INBOX: usize = 32_768;
/// Inputs taken in one round, so that effects are never far behind.
const ROUND: usize = 256;
/// How long the thread sleeps at most without an input.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);
/// How often counts are published for the metrics.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// Where effects go. Each is called on the switch's thread and must not wait.
pub struct Outlets {
    pub send: Box<dyn Fn(Transmit) + Send>,
    pub media: Box<dyn Fn(EngineId, MediaCommand) + Send>,
    pub ask: Box<dyn Fn(RequestId, Query, Time) + Send>,
    /// Hears every event before the disk has it.
    pub publish: Box<dyn Fn(Arc<Event>) + Send>,
    pub trace: Box<dyn Fn(CallId, Time, bool, std::net::SocketAddr, Bytes) + Send>,
    /// Once a second, and at the end.
    pub figures: Box<dyn Fn(Counts, Levels) + Send>,
    /// Draining is done.
    pub drained: Box<dyn Fn() + Send>,
}

/// What goes to the thread besides inputs.
enum Message {
    Input(Box<Input>),
    Command(Box<Command>, oneshot::Sender<Result<Done, Refusal>>),
}

/// A handle to the thread; clones share it.
#[derive(Clone)]
pub struct SwitchHandle {
    inbox: SyncSender<Message>,
}

/// The inbox is full, or the switch has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("the switch is behind")]
    Full,
    #[error("the switch has stopped")]
    Stopped,
}

impl SwitchHandle {
    /// Hands an input in; never waits.
    pub fn input(&self, input: Input) -> Result<(), NotTaken> {
        self.inbox.try_send(Message::Input(Box::new(input))).map_err(not_taken)
    }

    /// Hands an input in that must not be lost; waits where the inbox is full. Not for asynchronous tasks.
    pub fn input_surely(&self, input: Input) -> Result<(), NotTaken> {
        self.inbox.send(Message::Input(Box::new(input))).map_err(|_| NotTaken::Stopped)
    }

    /// Gives an order and waits for its answer.
    pub async fn order(&self, command: Command) -> Result<Done, Refusal> {
        let (answer, answered) = oneshot::channel();
        let busy = |_| Refusal::later("system.busy", "The exchange is overloaded. Try again in a moment.");
        self.inbox.try_send(Message::Command(Box::new(command), answer)).map_err(busy)?;
        answered.await.unwrap_or_else(|_| Err(Refusal::later("system.stopped", "The exchange is stopping.")))
    }
}

fn not_taken<T>(error: TrySendError<T>) -> NotTaken {
    match error {
        TrySendError::Full(_) => NotTaken::Full,
        TrySendError::Disconnected(_) => NotTaken::Stopped,
    }
}

/// Makes the inbox before the thread, so that sockets and engines can be started with a handle in hand.
pub fn inbox() -> (SwitchHandle, SwitchInbox) {
    let (inbox, messages) = mpsc::sync_channel(INBOX);
    (SwitchHandle { inbox }, SwitchInbox { messages })
}

/// The switch's end of the inbox.
pub struct SwitchInbox {
    messages: Receiver<Message>,
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
            answers: BTreeMap::new(),
            last_command: 0,
            store: StoreHealth::Well,
            figures_at: Time::EPOCH,
            drained: false,
        };
        thread.run();
        thread.writer
    })
}

struct SwitchThread {
    switch: Switch,
    messages: Receiver<Message>,
    clock: SystemClock,
    writer: Writer,
    outlets: Outlets,
    /// Events the writer has not taken yet, in order.
    unwritten: VecDeque<(Seq, Vec<u8>)>,
    answers: BTreeMap<CommandId, oneshot::Sender<Result<Done, Refusal>>>,
    last_command: u64,
    store: StoreHealth,
    figures_at: Time,
    drained: bool,
}

impl SwitchThread {
    fn run(&mut self) {
        self.carry_out();
        while !self.drained {
            match self.messages.recv_timeout(self.patience()) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => self.handle(Input::Timeout),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            for _ in 1..ROUND {
                match self.messages.try_recv() {
                    Ok(message) => self.take(message),
                    Err(_) => break,
                }
            }
            self.write();
            self.tell_figures();
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
                if matches!(*input, Input::Drain { .. }) {
                    self.figures_at = Time::EPOCH;
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
        self.switch.handle(self.clock.now(), input);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.switch.poll_effect() {
            match effect {
                Effect::Send(transmit) => (self.outlets.send)(transmit),
                Effect::Media { engine, command } => (self.outlets.media)(engine, command),
                Effect::Request { id, query, deadline } => (self.outlets.ask)(id, query, deadline),
                Effect::Emit(event) => {
                    let payload = serde_json::to_vec(&event).expect("a fact is plain data and always serialises");
                    self.unwritten.push_back((event.seq, payload));
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
        let batch: Vec<Vec<u8>> = self.unwritten.iter().map(|(_, payload)| payload.clone()).collect();
        match self.writer.submit(first, batch) {
            Ok(()) => {
                self.unwritten.clear();
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

    fn tell_figures(&mut self) {
        let now = self.clock.now();
        if now.since(self.figures_at) >= PUBLISH_EVERY {
            self.figures_at = now;
            (self.outlets.figures)(self.switch.counts(), self.switch.levels());
        }
    }
}
