//! The walk: which state the caller is in, what it waits for, which edge is taken next.
//!
//! ```text
//!  Start ──▶ enter ──▶ act ──▶ (a step that needs no time: leaves at once)──┐
//!              ▲        └────▶ Waiting ──input──▶ leave by an edge ──────────┤
//!              └─────────────────────────── next ────────────────────────────┘
//! ```
//!
//! A step is one file under `step/`: it begins in `act`, and what it waits for comes back to it as an input. Leaving
//! only notes the next state; [`Machine::handle`] enters states until one waits, so that a long way needs no deep
//! stack. The checks of `dialplan` have proved that every loop holds a bounded input; a budget per input guards the
//! proof.
//!
//! Whatever a state was left for is told by one [`IvrEffect::Stepped`] a visit, the last state's included.

use core::fmt;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::dialplan::Book;
use crate::dialplan::facts::{CallFacts, CustomerFacts, Facts, Vars};
use crate::dialplan::model::{Action, Dialplan, DialplanId, EdgeLabel, OutcomeId, Prompts, StateId, VarId};
use crate::dialplan::value::{Key, Value};
use crate::event::IvrAnswer;
use crate::ids::DialplanName;
use crate::limits;
use crate::time::Time;

use super::effect::{AskTicket, IvrEffect, PlayTicket, Spoken};
use super::input::{DialEnd, IvrInput, QueueEnd};
use super::speech;
use super::step::entry::Entry;
use super::world::World;

/// A dialplan walking for one caller.
pub struct Machine {
    pub(super) book: Arc<Book>,
    /// The dialplan at the bottom, pages above it; the last one walks. Empty once over.
    pub(super) frames: Vec<Frame>,
    pub(super) call: CallFacts,
    pub(super) customer: Option<CustomerFacts>,
    pub(super) effects: VecDeque<IvrEffect>,
    /// Keys not used yet: type-ahead.
    pub(super) keys: VecDeque<char>,
    /// A `#` that comes until then still belongs to an entry that was full without it.
    pub(super) late_terminator: Option<(Key, Time)>,
    pub(super) waiting: Waiting,
    /// The state to enter next.
    next: Option<StateId>,
    /// Failed attempts of the authenticate state whose keys the store compares.
    pub(super) auth_failed: u8,
    last_ticket: u32,
    /// How the page that walked by itself has returned.
    returned: Option<OutcomeId>,
}

/// One dialplan on the stack of pages.
pub(super) struct Frame {
    pub plan: DialplanId,
    pub state: StateId,
    pub vars: Vars,
    /// How often each state was entered.
    visits: BTreeMap<StateId, u16>,
}

/// What the machine waits for.
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
            late_terminator: None,
            waiting: Waiting::Nothing,
            next: None,
            auth_failed: 0,
            last_ticket: 0,
            returned: None,
            book,
        }
    }

    /// A machine for a page by itself, given its parameters and, where it needs one, a customer: for tests of pages.
    pub fn of_page(
        book: Arc<Book>,
        page: DialplanId,
        call: CallFacts,
        given: &[(VarId, Value)],
        customer: Option<CustomerFacts>,
    ) -> Self {
        let mut machine = Self::new(book, page, call);
        for (var, value) in given {
            machine.frame_mut().vars.set(*var, value.clone());
        }
        machine.customer = customer;
        machine
    }

    /// Takes one input. What comes too late (a reply after its deadline, the end of a stopped play) changes nothing.
    pub fn handle(&mut self, now: Time, world: &dyn World, input: IvrInput) {
        let at = Moment { now, world };
        match input {
            IvrInput::Start => self.on_start(at),
            IvrInput::Key(key) => self.on_key(at, key),
            IvrInput::PlayDone(ticket) => self.on_played(at, ticket),
            IvrInput::Answered(ticket, answer) => {
                if matches!(self.waiting, Waiting::Reply(asked) if asked == ticket) {
                    self.on_answer(at, answer);
                }
            }
            IvrInput::QueueLeft(end) => self.on_queue_left(end),
            IvrInput::DialDone(end) => self.on_dial_done(end),
            IvrInput::MessageKept { .. } => self.on_message(true),
            IvrInput::MessageFailed => self.on_message(false),
            IvrInput::Timeout { .. } => self.on_timeout(at),
        }
        self.walk(at);
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

    /// Whether a key would be heard now: an entry is under way, or a queue that keys lead out of.
    pub fn takes_keys(&self) -> bool {
        match &self.waiting {
            Waiting::Entry(_) => true,
            Waiting::Queue { .. } => matches!(self.state_action(), Action::Queue(queue) if !queue.keys.is_empty()),
            _ => false,
        }
    }

    /// How a page that was walked by itself ([`Machine::of_page`]) has returned.
    pub fn returned(&self) -> Option<OutcomeId> {
        self.returned
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

    fn on_start(&mut self, at: Moment<'_>) {
        let (Waiting::Nothing, Some(frame)) = (&self.waiting, self.frames.last()) else { return };
        self.next = Some(frame.state);
        let speaks = &self.plan().languages;
        if let Some(first) = speaks.first().filter(|_| !speaks.contains(&self.call.language)).cloned() {
            self.call.language = first.clone();
            self.effects.push_back(IvrEffect::Language(first));
        }
        self.refresh(at);
    }

    fn on_key(&mut self, at: Moment<'_>, key: char) {
        if let Some((terminator, until)) = self.late_terminator.take()
            && terminator.as_char() == key
            && at.now <= until
        {
            return;
        }
        match self.waiting {
            Waiting::Entry(_) => self.entry_key(at, key),
            Waiting::Speech { ticket, barge_in: true } => {
                self.keep_key(key);
                self.effects.push_back(IvrEffect::StopPlay(ticket));
                self.leave(EdgeLabel::Next);
            }
            Waiting::Queue { .. } => self.queue_key(key),
            Waiting::Speech { .. } | Waiting::Reply(_) => self.keep_key(key),
            Waiting::Nothing | Waiting::Farewell(_) | Waiting::Dial | Waiting::Message | Waiting::Greeting(_) => {}
        }
    }

    pub(super) fn keep_key(&mut self, key: char) {
        if self.keys.len() < limits::IVR_KEYS {
            self.keys.push_back(key);
        }
    }

    fn on_played(&mut self, at: Moment<'_>, done: PlayTicket) {
        match &self.waiting {
            Waiting::Speech { ticket, .. } if *ticket == done => self.leave(EdgeLabel::Next),
            Waiting::Farewell(ticket) if *ticket == done => self.hang_up(),
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
                self.leave(EdgeLabel::Timeout);
            }
            _ => {}
        }
    }

    fn on_queue_left(&mut self, end: QueueEnd) {
        if !matches!(self.waiting, Waiting::Queue { .. }) {
            return;
        }
        match end {
            QueueEnd::Answered => {
                self.say_stepped("answered");
                self.forget();
            }
            QueueEnd::Full => self.leave(EdgeLabel::Full),
            QueueEnd::Closed => self.leave(EdgeLabel::Closed),
            QueueEnd::NoAgents => self.leave(EdgeLabel::NoAgents),
            QueueEnd::Failed => self.leave(EdgeLabel::Failed),
        }
    }

    fn on_dial_done(&mut self, end: DialEnd) {
        if !matches!(self.waiting, Waiting::Dial) {
            return;
        }
        match end {
            DialEnd::Talked => self.leave(EdgeLabel::Next),
            DialEnd::Busy => self.leave(EdgeLabel::Busy),
            DialEnd::NoAnswer => self.leave(EdgeLabel::Timeout),
            DialEnd::Failed => self.leave(EdgeLabel::Failed),
        }
    }

    fn on_message(&mut self, kept: bool) {
        if matches!(self.waiting, Waiting::Message) {
            self.leave(if kept { EdgeLabel::Next } else { EdgeLabel::Failed });
        }
    }

    // -- the walk ----------------------------------------------------------------------------------------------------

    /// Enters states until one waits for an input.
    fn walk(&mut self, at: Moment<'_>) {
        for _ in 0..limits::IVR_STEPS {
            let Some(state) = self.next.take() else { return };
            self.enter(at, state);
        }
        if self.next.take().is_some() {
            self.say_stepped("runaway");
            self.finish();
        }
    }

    /// Enters a state of the dialplan that walks, or goes where its `max_visits` says instead.
    fn enter(&mut self, at: Moment<'_>, state: StateId) {
        let Some(frame) = self.frames.last_mut() else { return };
        frame.state = state;
        let visits = frame.visits.entry(state).or_default();
        *visits = visits.saturating_add(1);
        let visits = *visits;
        if self.plan().state(state).visits.is_some_and(|limit| visits > limit.max) {
            return self.leave(EdgeLabel::Exhausted);
        }
        self.refresh(at);
        self.act(at);
    }

    /// Leaves the state by an edge. An edge the state does not have is the end of the dialplan: `check` has proved
    /// that only those are missing that may be.
    pub(super) fn leave(&mut self, label: EdgeLabel) {
        self.waiting = Waiting::Nothing;
        self.say_stepped(&label.to_string());
        let Some(frame) = self.frames.last() else { return };
        let edge = self.plan().state(frame.state).edges().into_iter().find(|edge| edge.label == label);
        match edge {
            Some(edge) => self.next = Some(edge.to),
            None => self.finish(),
        }
    }

    /// A page ends with an outcome: its results are taken, and the dialplan that called it goes on.
    pub(super) fn return_from_page(&mut self, outcome: OutcomeId) {
        let Some(name) = self.plan().returns.get(outcome.index()).cloned() else { return self.finish() };
        self.say_stepped(&format!("return {name}"));
        let Some(page) = self.frames.pop() else { return };
        let Some(frame) = self.frames.last_mut() else {
            self.returned = Some(outcome);
            return self.finish();
        };
        let plan = self.book.get(frame.plan);
        if let Action::Page(call) = &plan.state(frame.state).action {
            for (here, there) in &call.take {
                if let Some(value) = page.vars.get(*there) {
                    frame.vars.set(*here, value.clone());
                }
            }
        }
        self.leave(EdgeLabel::Outcome(name));
    }

    pub(super) fn call_page(&mut self, page: DialplanId, vars: Vars) {
        // The dialplan at the bottom and as many pages above it as `check` lets through.
        if self.frames.len() > limits::DIALPLAN_PAGE_DEPTH {
            return self.finish();
        }
        let start = self.book.get(page).start;
        self.frames.push(Frame { plan: page, state: start, vars, visits: BTreeMap::new() });
        self.next = Some(start);
    }

    /// The dialplan ends by a `hangup` state.
    pub(super) fn hang_up(&mut self) {
        self.say_stepped("hangup");
        self.finish();
    }

    /// The dialplan is over and the call with it.
    pub(super) fn finish(&mut self) {
        self.forget();
        self.effects.push_back(IvrEffect::HangUp);
    }

    /// Nothing is left of the walk: no variable, no key, no secret.
    fn forget(&mut self) {
        self.frames.clear();
        self.keys.clear();
        self.next = None;
        self.waiting = Waiting::Nothing;
    }

    fn say_stepped(&mut self, outcome: &str) {
        let Some((dialplan, state)) = self.here() else { return };
        self.effects.push_back(IvrEffect::Stepped { dialplan, state, outcome: outcome.to_owned() });
    }

    /// The names of the dialplan and the state the caller is in.
    fn here(&self) -> Option<(DialplanName, Arc<str>)> {
        let frame = self.frames.last()?;
        let plan = self.book.get(frame.plan);
        Some((plan.name.clone(), plan.state(frame.state).name.clone()))
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

    /// Plays these parts; the ticket tells their end. Nothing to say is over at once: `None`.
    pub(super) fn play(&mut self, parts: Vec<Spoken>) -> Option<PlayTicket> {
        if parts.is_empty() {
            return None;
        }
        let ticket = self.next_play();
        self.effects.push_back(IvrEffect::Play { ticket, parts });
        Some(ticket)
    }

    /// What the expressions of this state read now: the call, the customer, and the queues they ask about.
    pub(super) fn facts(&self, at: Moment<'_>) -> Facts {
        let mut queues = BTreeMap::new();
        self.plan().state(self.frame().state).each_expr(&mut |expr| {
            expr.each_queue(&mut |queue| {
                queues.entry(queue.clone()).or_insert_with(|| at.world.queue(queue));
            });
        });
        Facts { call: self.call.clone(), customer: self.customer.clone(), queues }
    }

    pub(super) fn speak(&self, at: Moment<'_>, prompts: &Prompts) -> Vec<Spoken> {
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

/// Keys and variables may be secret: only where the caller is.
impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("here", &self.here()).field("pages", &self.frames.len()).finish_non_exhaustive()
    }
}
