//! The dialplan's side of a call: the machine's wishes carried out, the answers taken back to it.

use std::sync::Arc;

use jiff::civil::DateTime;

use crate::acd::{Acd, AgentState};
use crate::call::leg::{Leg, Purpose};
use crate::cause::{Cause, Party, What};
use crate::dialplan::facts::{CallFacts, QueueFacts};
use crate::dialplan::value::Date;
use crate::event::Fact;
use crate::ids::{AgentName, CallId, DialplanName, HoursName, Language, PromptName, QueueName};
use crate::ivr::{Answer, IvrEffect, IvrInput, LocalTime, Machine, Opening, World};
use crate::media::{MediaCommand, PortChange, Repeat};
use crate::number::Number;
use crate::plan::model::Dialer;

use super::call::{AfterDial, Call, Stage};
use super::dial::{Dial, DialTo};
use super::request::{Asker, Query, Reply, RequestId, query_of};
use super::talk::Destination;
use super::timer::Timer;
use super::waiting::Wishes;
use super::{Edition, Effect, Switch};
use crate::sip::endpoint::{Hop, Resolve};
use crate::time::Time;

impl Switch {
    /// The caller enters a dialplan: answered as soon as the record is durable, walked as soon as the ACK is in.
    pub(super) fn enter_dialplan(&mut self, id: CallId, dialplan: &DialplanName, open: bool) {
        self.with_call(id, |switch, call| {
            let called = call.to.number.clone();
            switch.meet(call, dialplan, &called, open);
        });
    }

    /// The caller of a running call goes over to a number of ours for good, as if it had called there.
    pub(super) fn enter_line(&mut self, call: &mut Call, number: &Number) {
        let edition = self.edition.clone();
        let Some(line) = edition.plan.inbound(number, self.now) else {
            return self.clear_call(call, Cause::with_status(What::NotFound, Party::Plan, 404));
        };
        // Lines that send callers to each other end as any other loop does (RFC 3261 §16.3).
        let Some(hops) = call.max_forwards.checked_sub(1) else {
            return self.clear_call(call, Cause::with_status(What::Failed, Party::Plan, 483));
        };
        call.max_forwards = hops;
        // Who has been in a dialplan keeps the language found there.
        if !call.walking {
            call.language = line.language.clone();
        }
        let caller = call.caller;
        self.stop_play(call, caller);
        self.let_hear(call, caller, &[]);
        call.edition = edition.clone();
        call.walking = false;
        let open = line.hours.as_ref().is_none_or(|verdict| verdict.open);
        self.meet(call, line.dialplan, number.as_str(), open);
        if call.leg(caller).is_some_and(Leg::is_answered) {
            self.on_caller_connected(call, caller);
        }
    }

    fn meet(&mut self, call: &mut Call, dialplan: &DialplanName, called: &str, open: bool) {
        let book = call.edition.book.clone();
        let Some(entry) = book.find(dialplan.as_str()) else {
            return self.clear_call(call, Cause::with_status(What::NotFound, Party::Plan, 404));
        };
        let headers = core::mem::take(&mut call.headers);
        let from = call.leg(call.caller).map_or(&call.from, |leg| &leg.address);
        let facts = CallFacts {
            caller: Arc::from(from.number.as_str()),
            called: Arc::from(called),
            trunk: Arc::from(from.trunk.as_ref().map_or("", |trunk| trunk.as_str())),
            language: call.language.clone(),
            headers,
            open,
            ..CallFacts::default()
        };
        call.ivr = Some(Box::new(Machine::new(book, entry, facts)));
        call.stage = Stage::Ivr;
        self.answer_caller(call);
    }

    pub(super) fn start_walk(&mut self, call: &mut Call) {
        call.walking = true;
        self.tell_walk(call, IvrInput::Start);
    }

    /// Tells the machine; what it wants is picked up once this step is done.
    pub(super) fn tell_walk(&mut self, call: &mut Call, input: IvrInput) {
        let world = House { edition: &call.edition, acd: &self.acd, now: self.now };
        if let Some(machine) = &mut call.ivr {
            machine.handle(self.now, &world, input);
            self.restless.insert(call.id);
        }
    }

    /// Carries out what the machine wants.
    pub(super) fn walk(&mut self, id: CallId) {
        self.with_call(id, |switch, call| {
            while let Some(effect) = call.ivr.as_mut().and_then(|machine| machine.poll_effect()) {
                switch.carry_out(call, effect);
            }
            switch.timers.clear(Timer::Ivr(id));
            if let Some(at) = call.ivr.as_ref().and_then(|machine| machine.poll_timeout()) {
                switch.timers.set(at, Timer::Ivr(id));
            }
        });
    }

    pub(super) fn on_walk_timeout(&mut self, id: CallId) {
        let at = self.now;
        self.with_call(id, |switch, call| switch.tell_walk(call, IvrInput::Timeout { at }));
    }

    fn carry_out(&mut self, call: &mut Call, effect: IvrEffect) {
        let caller = call.caller;
        match effect {
            IvrEffect::Play { ticket, parts } => {
                let sounds = self.sounds(call, &parts);
                self.play(call, caller, sounds, Repeat::Once, Purpose::Ivr(ticket));
            }
            IvrEffect::StopPlay(ticket) => {
                let playing = call.leg(caller).and_then(|leg| leg.playing);
                if playing.is_some_and(|playing| playing.purpose == Purpose::Ivr(ticket)) {
                    self.stop_play(call, caller);
                }
            }
            IvrEffect::Ask { ticket, question, deadline } => {
                self.ask(Asker::Ivr(call.id, ticket), query_of(question), deadline);
            }
            IvrEffect::Queue { queue, priority, skills, prefer, attach } => {
                let at = self.now;
                call.answers.extend(attach.into_iter().map(|(name, value)| crate::event::IvrAnswer {
                    at,
                    name: name.to_string(),
                    value,
                }));
                let wishes = Wishes { points: priority, skills, agent: prefer.as_deref().map(AgentName::new) };
                self.enter_queue(call, &queue, wishes);
            }
            IvrEffect::LeaveQueue => self.leave_queue_by_dialplan(call),
            IvrEffect::Dial { to, account, caller_id, ring } => {
                let caller_id = caller_id.map(|id| id.to_string());
                let to = match account {
                    true => self.account_named(&to).map(|account| Destination::Dial(DialTo::Account(account))),
                    false => self.destination(&to, Dialer::Dialplan),
                };
                match to {
                    Some(Destination::Dial(to)) => {
                        self.dial(call, Dial { to, caller_id, ring: Some(ring), then: AfterDial::Ivr });
                    }
                    Some(Destination::Line(number)) => self.enter_line(call, &number),
                    // A queue is entered by `queue`, whose edges say what follows.
                    Some(Destination::Queue(_)) | None => {
                        let cause = Cause::with_status(What::NotFound, Party::Plan, 404);
                        self.dial_failed(call, AfterDial::Ivr, cause);
                    }
                }
            }
            IvrEffect::Message { mailbox, beep, max, silence } => {
                self.take_message(call, mailbox, beep, Some(max), silence);
            }
            IvrEffect::Secure(on) => self.set_secure(call, on),
            IvrEffect::Consent(agreed) => call.consent = Some(agreed),
            IvrEffect::Language(language) => call.language = language,
            IvrEffect::Stepped { dialplan, state, outcome } => {
                self.emit(Some(call.id), Fact::CallStepped { dialplan, state: state.to_string(), outcome });
            }
            IvrEffect::Collected(answer) => {
                call.answers.push(answer.clone());
                self.emit(Some(call.id), Fact::CallCollected { answer });
            }
            IvrEffect::HangUp => self.clear_call(call, Cause::new(What::Completed, Party::Plan)),
        }
    }

    /// While secure, the caller's keys reach nobody but the dialplan, and the recording is silent.
    fn set_secure(&mut self, call: &mut Call, on: bool) {
        call.secure = on;
        if let Some(port) = call.caller_leg().map(|leg| leg.media.port) {
            let change = PortChange { pass_keys: Some(!on), ..PortChange::default() };
            self.media(call, MediaCommand::Update { port, change });
        }
        if let Some(recording) = call.recording {
            self.media(call, MediaCommand::MaskRecording { recording, masked: on });
            let why = if on { "secure entry" } else { "secure entry over" }.to_owned();
            self.emit(Some(call.id), Fact::RecordingMasked { recording, masked: on, why });
        }
    }

    // -- questions ---------------------------------------------------------------------------------------------------

    pub(super) fn ask(&mut self, asker: Asker, query: Query, deadline: Time) {
        let id = self.requests.open(asker, deadline);
        self.timers.set(deadline, Timer::Request(id));
        self.effects.push_back(Effect::Request { id, query, deadline });
    }

    pub(super) fn ask_resolver(&mut self, resolve: Resolve) {
        let deadline = self.now + core::time::Duration::from_secs(5);
        self.ask(Asker::Sip(resolve.id), Query::Resolve(resolve), deadline);
    }

    /// A shell's reply, or (`None`) its deadline.
    pub(super) fn on_reply(&mut self, request: RequestId, reply: Option<Reply>) {
        let Some((asker, deadline)) = self.requests.close(request) else { return };
        self.timers.clear_at(deadline, Timer::Request(request));
        match asker {
            Asker::Card(call) => {
                if let Some(Reply::Customer(Some(known))) = reply {
                    self.with_call(call, |switch, call| {
                        call.card = known.card.clone();
                        switch.tell_tier(call);
                        switch.emit(Some(call.id), Fact::CustomerMatched { card: known.card });
                    });
                }
            }
            Asker::Ivr(call, ticket) => {
                let answer = match reply {
                    None => Answer::TimedOut,
                    Some(Reply::Customer(known)) => Answer::Customer(known.map(|known| known.facts)),
                    Some(Reply::Http { status, body }) => Answer::Http { status, body },
                    Some(Reply::Compared(verdict)) => Answer::Compared(verdict),
                    Some(Reply::Resolved(_) | Reply::Failed(_)) => Answer::Failed,
                };
                self.with_call(call, |switch, call| switch.tell_walk(call, IvrInput::Answered(ticket, answer)));
            }
            Asker::Sip(id) => {
                let hops: Vec<Hop> = match reply {
                    Some(Reply::Resolved(hops)) => hops,
                    _ => Vec::new(),
                };
                self.endpoint.handle_resolved(self.now, id, hops);
            }
        }
    }
}

/// The house as a dialplan sees it: its own edition's hours, the queues as they are now.
struct House<'a> {
    edition: &'a Edition,
    acd: &'a Acd,
    now: Time,
}

impl World for House<'_> {
    fn opening(&self, hours: &HoursName) -> Opening {
        let Some(hours) = self.edition.plan.hours.get(hours) else { return Opening::Open };
        let verdict = hours.verdict(self.now);
        match (verdict.open, verdict.exception.is_some()) {
            (true, _) => Opening::Open,
            (false, true) => Opening::Holiday,
            (false, false) => Opening::Closed,
        }
    }

    fn queue(&self, queue: &QueueName) -> QueueFacts {
        let standing = self.acd.waiting(self.now, queue);
        let waiting = u32::try_from(standing.len()).unwrap_or(u32::MAX);
        let agents = self.acd.agents().iter().filter_map(|agent| self.acd.agent(self.now, agent));
        let serving = agents.filter(|view| view.state != AgentState::SignedOut && view.queues.contains(queue)).count();
        let last = standing.last().and_then(|view| self.acd.estimate(self.now, view.call));
        let wait = last.map_or(0, |estimate| estimate.mean.as_secs());
        QueueFacts {
            waiting,
            wait_s: u32::try_from(wait).unwrap_or(u32::MAX),
            agents: u32::try_from(serving).unwrap_or(u32::MAX),
        }
    }

    fn has_prompt(&self, language: &Language, prompt: &PromptName) -> bool {
        self.edition.sounds.has_prompt(language, prompt)
    }

    fn local_time(&self) -> LocalTime {
        let local = self.edition.plan.time_zone.local(self.now).unwrap_or(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
        LocalTime {
            date: date_of(local).unwrap_or(Date::EPOCH),
            hour: u8::try_from(local.hour()).unwrap_or(0),
            weekday: u8::try_from(local.weekday().to_monday_one_offset()).unwrap_or(1),
        }
    }
}

fn date_of(local: DateTime) -> Option<Date> {
    let part = |n: i8| u8::try_from(n).ok();
    Date::new(u16::try_from(local.year()).ok()?, part(local.month())?, part(local.day())?)
}
