//! The walk: which state the caller is in, what it waits for, which edge is taken next.
//!
//! ```text
//!  Start ──▶ enter ──▶ act ──▶ (a step that needs no time: the next state at once)
//!              ▲        └────▶ Waiting ──input──▶ leave by an edge ──┐
//!              └────────────────────────────────────────────────────┘
//! ```
//!
//! A step is one file under `step/`: it begins in `act`, and what it waits for comes back to it as an input. The
//! checks of `dialplan` have proved that every loop holds a bounded input; a budget per input guards the proof.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::dialplan::Book;
use crate::dialplan::facts::{CallFacts, CustomerFacts, Facts, Vars};
use crate::dialplan::model::{Action, Dialplan, DialplanId, EdgeLabel, OutcomeId, StateId};
use crate::event::IvrAnswer;
use crate::time::Time;

use super::effect::{AskTicket, IvrEffect, PlayTicket, Spoken};
use super::input::{DialEnd, IvrInput, QueueEnd};
use super::speech;
use super::step::entry::Entry;
use super::world::World;

/// Keys pressed ahead that are kept; more than any entry takes.
const MOST_KEYS: usize = 64;
/// States passed through in answer to one input.
const MOST_STEPS: usize = 1_000;
/// Pages within pages: `check` proves less.
const DEEPEST: usize = 16;

/// A dialplan walking for one caller.
#[derive(Debug)]
pub struct Machine {
    pub(super) book: Arc<Book>,
    /// The dialplan at the bottom, pages above it; the last one walks. Empty once over.
    pub(super) frames: Vec<Frame>,
    pub(super) call: CallFacts,
    pub(super) customer: Option<CustomerFacts>,
    pub(super) effects: VecDeque<IvrEffect>,
    /// Keys not used yet: type-ahead.
    pub(super) keys: VecDeque<char>,
    pub(super) waiting: Waiting,
    /// Failed attempts of the authenticate state whose keys the store compares.
    pub(super) auth_failed: u8,
    last_ticket: u32,
    steps: usize,
}

/// One dialplan on the stack of pages.
#[derive(Debug)]
pub(super) struct Frame {
    pub plan: DialplanId,
    pub state: StateId,
    pub vars: Vars,
    /// How often each state was entered.
    visits: BTreeMap<StateId, u16>,
}

/// What the machine waits for.
#[derive(Debug)]
pub(super) enum Waiting {
    /// Not started, or over.
    Nothing,
    /// Speech that leads to the next state.
    Speech {
        ticket: PlayTicket,
        barge_in: bool,
    },
    /// The last words.
    Farewell(PlayTicket),
    /// A menu, collect, secure or authenticate state.
    Entry(Entry),
    /// A reply to a question.
    Reply(AskTicket),
    Queue {
        until: Time,
    },
    Dial,
    Message,
    /// The greeting before a message.
    Greeting(PlayTicket),
}

/// The instant of one input: what `now` is, and the house around.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub now: Time,
    pub world: &'a dyn World,
}

impl Machine {
    /// A machine that has not started; [`IvrInput::Start`] makes it walk.
    pub fn new(book: Arc<Book>, entry: DialplanId, call: CallFacts) -> Self {
        let plan = book.get(entry);
        let frame = Frame { plan: entry, state: plan.start, vars: plan.fresh_vars(), visits: BTreeMap::new() };
        Self {
            frames: vec![frame],
            call,
            customer: None,
            effects: VecDeque::new(),
            keys: VecDeque::new(),
            waiting: Waiting::Nothing,
            auth_failed: 0,
            last_ticket: 0,
            steps: 0,
            book,
        }
    }

    /// Takes one input. What comes too late (a reply after its deadline, the end of a stopped play) changes nothing.
    pub fn handle(&mut self, now: Time, world: &dyn World, input: IvrInput) {
        self.steps = 0;
        let at = Moment { now, world };
        match input {
            IvrInput::Start => {
                if let Waiting::Nothing = self.waiting
                    && let Some(frame) = self.frames.last()
                {
                    let start = frame.state;
                    self.enter(at, start);
                }
            }
            IvrInput::Key(key) => self.on_key(at, key),
            IvrInput::PlayDone(ticket) => self.on_played(at, ticket),
            IvrInput::Answered(ticket, answer) => {
                if matches!(self.waiting, Waiting::Reply(asked) if asked == ticket) {
                    self.on_answer(at, answer);
                }
            }
            IvrInput::QueueLeft(end) => self.on_queue_left(at, end),
            IvrInput::DialDone(end) => self.on_dial_done(at, end),
            IvrInput::MessageKept { .. } => self.on_message(at, true),
            IvrInput::MessageFailed => self.on_message(at, false),
            IvrInput::Timeout { .. } => self.on_timeout(at),
        }
    }

    /// The next wish; `None` when all is said.
    pub fn poll_effect(&mut self) -> Option<IvrEffect> {
        self.effects.pop_front()
    }

    /// When [`IvrInput::Timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        match &self.waiting {
            Waiting::Entry(entry) => entry.deadline(),
            Waiting::Queue { until } => Some(*until),
            _ => None,
        }
    }

    /// Whether the dialplan has come to an end.
    pub fn is_over(&self) -> bool {
        self.frames.is_empty()
    }

    /// The dialplan and state the caller is in; `None` once it is over.
    pub fn place(&self) -> Option<(DialplanId, StateId)> {
        self.frames.last().map(|frame| (frame.plan, frame.state))
    }

    /// The variables of the dialplan that walks now.
    pub fn vars(&self) -> Option<&Vars> {
        self.frames.last().map(|frame| &frame.vars)
    }

    // -- inputs ------------------------------------------------------------------------------------------------------

    fn on_key(&mut self, at: Moment<'_>, key: char) {
        match &mut self.waiting {
            Waiting::Entry(_) => self.entry_key(at, key),
            Waiting::Speech { ticket, barge_in: true } => {
                let ticket = *ticket;
                self.keep_key(key);
                self.effects.push_back(IvrEffect::StopPlay(ticket));
                self.leave(at, EdgeLabel::Next);
            }
            Waiting::Queue { .. } => self.queue_key(at, key),
            Waiting::Speech { .. } | Waiting::Reply(_) => self.keep_key(key),
            Waiting::Nothing | Waiting::Farewell(_) | Waiting::Dial | Waiting::Message | Waiting::Greeting(_) => {}
        }
    }

    pub(super) fn keep_key(&mut self, key: char) {
        if self.keys.len() < MOST_KEYS {
            self.keys.push_back(key);
        }
    }

    fn on_played(&mut self, at: Moment<'_>, done: PlayTicket) {
        match &self.waiting {
            Waiting::Speech { ticket, .. } if *ticket == done => self.leave(at, EdgeLabel::Next),
            Waiting::Farewell(ticket) if *ticket == done => self.finish(),
            Waiting::Greeting(ticket) if *ticket == done => self.record_message(),
            Waiting::Entry(entry) if entry.is_spoken_by(done) => self.entry_spoken(at),
            _ => {}
        }
    }

    fn on_timeout(&mut self, at: Moment<'_>) {
        match &self.waiting {
            Waiting::Entry(entry) if entry.deadline().is_some_and(|due| due <= at.now) => self.entry_silence(at),
            Waiting::Queue { until } if *until <= at.now => {
                self.effects.push_back(IvrEffect::LeaveQueue);
                self.leave(at, EdgeLabel::Timeout);
            }
            _ => {}
        }
    }

    fn on_queue_left(&mut self, at: Moment<'_>, end: QueueEnd) {
        if !matches!(self.waiting, Waiting::Queue { .. }) {
            return;
        }
        match end {
            QueueEnd::Answered => self.finish_quietly(),
            QueueEnd::Full => self.leave(at, EdgeLabel::Full),
            QueueEnd::Closed => self.leave(at, EdgeLabel::Closed),
            QueueEnd::NoAgents => self.leave(at, EdgeLabel::NoAgents),
            QueueEnd::Failed => self.leave(at, EdgeLabel::Failed),
        }
    }

    fn on_dial_done(&mut self, at: Moment<'_>, end: DialEnd) {
        if !matches!(self.waiting, Waiting::Dial) {
            return;
        }
        match end {
            DialEnd::Talked => self.leave(at, EdgeLabel::Next),
            DialEnd::Busy => self.leave(at, EdgeLabel::Busy),
            DialEnd::NoAnswer => self.leave(at, EdgeLabel::Timeout),
            DialEnd::Failed => self.leave(at, EdgeLabel::Failed),
        }
    }

    fn on_message(&mut self, at: Moment<'_>, kept: bool) {
        if matches!(self.waiting, Waiting::Message) {
            self.leave(at, if kept { EdgeLabel::Next } else { EdgeLabel::Failed });
        }
    }

    // -- the walk ----------------------------------------------------------------------------------------------------

    /// Enters a state of the dialplan that walks, or what its `max_visits` says instead.
    fn enter(&mut self, at: Moment<'_>, state: StateId) {
        let mut next = state;
        loop {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                self.say_stepped(EdgeLabel::Exhausted);
                return self.finish();
            }
            let Some(frame) = self.frames.last_mut() else { return };
            frame.state = next;
            let visits = frame.visits.entry(next).or_default();
            *visits = visits.saturating_add(1);
            let visits = *visits;
            match self.plan().state(next).visits.filter(|limit| visits > limit.max) {
                None => break,
                Some(limit) => {
                    self.say_stepped(EdgeLabel::Exhausted);
                    next = limit.exhausted;
                }
            }
        }
        self.refresh(at);
        self.act(at);
    }

    /// Leaves the state by an edge. An edge the state does not have is the end of the dialplan: `check` has proved
    /// that only those are missing that may be.
    pub(super) fn leave(&mut self, at: Moment<'_>, label: EdgeLabel) {
        self.waiting = Waiting::Nothing;
        self.say_stepped(label.clone());
        let Some(frame) = self.frames.last() else { return };
        let state = self.plan().state(frame.state);
        let edge = state.edges().into_iter().find(|edge| edge.label == label);
        match edge {
            Some(edge) => self.enter(at, edge.to),
            None => self.finish(),
        }
    }

    /// A page ends with an outcome: its results are taken, and the dialplan that called it goes on.
    pub(super) fn return_from_page(&mut self, at: Moment<'_>, outcome: OutcomeId) {
        let name = self.plan().returns.get(outcome.index()).cloned();
        let Some(page) = self.frames.pop() else { return };
        let (Some(name), Some(frame)) = (name, self.frames.last_mut()) else { return self.finish() };
        let plan = self.book.get(frame.plan);
        if let Action::Page(call) = &plan.state(frame.state).action {
            for (here, there) in &call.take {
                if let Some(value) = page.vars.get(*there) {
                    frame.vars.set(*here, value.clone());
                }
            }
        }
        self.leave(at, EdgeLabel::Outcome(name));
    }

    pub(super) fn call_page(&mut self, at: Moment<'_>, page: DialplanId, vars: Vars) {
        if self.frames.len() >= DEEPEST {
            return self.finish();
        }
        let start = self.book.get(page).start;
        self.frames.push(Frame { plan: page, state: start, vars, visits: BTreeMap::new() });
        self.enter(at, start);
    }

    /// The dialplan is over and the call with it.
    pub(super) fn finish(&mut self) {
        self.finish_quietly();
        self.effects.push_back(IvrEffect::HangUp);
    }

    fn finish_quietly(&mut self) {
        self.frames.clear();
        self.keys.clear();
        self.waiting = Waiting::Nothing;
    }

    fn say_stepped(&mut self, label: EdgeLabel) {
        let Some(frame) = self.frames.last() else { return };
        let plan = self.book.get(frame.plan);
        let state = plan.state(frame.state).name.clone();
        let dialplan = plan.name.clone();
        self.effects.push_back(IvrEffect::Stepped { dialplan, state, outcome: label.to_string() });
    }

    // -- what steps use ----------------------------------------------------------------------------------------------

    pub(super) fn plan(&self) -> &Dialplan {
        let frame = self.frames.last().expect("only a machine that walks acts");
        self.book.get(frame.plan)
    }

    pub(super) fn frame(&self) -> &Frame {
        self.frames.last().expect("only a machine that walks acts")
    }

    pub(super) fn frame_mut(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("only a machine that walks acts")
    }

    pub(super) fn next_play(&mut self) -> PlayTicket {
        self.last_ticket += 1;
        PlayTicket(self.last_ticket)
    }

    pub(super) fn next_ask(&mut self) -> AskTicket {
        self.last_ticket += 1;
        AskTicket(self.last_ticket)
    }

    /// Plays these parts; the ticket tells their end.
    pub(super) fn play(&mut self, parts: Vec<Spoken>) -> PlayTicket {
        let ticket = self.next_play();
        self.effects.push_back(IvrEffect::Play { ticket, parts });
        ticket
    }

    /// What expressions read now: the call, the customer, and the queues that this dialplan asks about.
    pub(super) fn facts(&self, at: Moment<'_>) -> Facts {
        let queues = self.plan().queues_read();
        let queues = queues.into_iter().map(|queue| (queue.clone(), at.world.queue(&queue))).collect();
        Facts { call: self.call.clone(), customer: self.customer.clone(), queues }
    }

    pub(super) fn speak(&self, at: Moment<'_>, prompts: &crate::dialplan::model::Prompts) -> Vec<Spoken> {
        let facts = self.facts(at);
        speech::spoken(prompts, &self.frame().vars, &facts, at.world)
    }

    /// Something the caller told, for the agent's screen and the record.
    pub(super) fn tell(&mut self, now: Time, name: &str, value: String) {
        let answer = IvrAnswer { at: now, name: name.to_owned(), value };
        self.effects.push_back(IvrEffect::Collected(answer));
    }

    /// Date and time of day as they are now.
    fn refresh(&mut self, at: Moment<'_>) {
        let local = at.world.local_time();
        self.call.date = local.date;
        self.call.hour = local.hour;
        self.call.weekday = local.weekday;
    }
}
