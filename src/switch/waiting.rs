//! The queue's side of a call: entering, music and announcements, offers, overflow, and the agent's states.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::acd::{self, CallEntry, Claim, Entered, Expression, Left, Offer, Outcome, Output, Withdrawn};
use crate::call::leg::{LegState, Purpose};
use crate::cause::{Cause, Party, What};
use crate::event::{AgentState, Fact, OfferOutcome, QueueExit};
use crate::ids::{AgentName, CallId, LegId, PromptName, QueueName};
use crate::ivr::{IvrInput, QueueEnd, Spoken, say};
use crate::media::{Repeat, Sound};
use crate::plan::model::Dialer;
use crate::plan::queue::OverflowWhen;

use super::Switch;
use super::call::{AfterDial, Call, Stage, Words};
use super::dial::DialTo;
use super::record::MESSAGE_SILENCE;
use super::timer::Timer;
use crate::time::Time;

/// What a dialplan asks of a queue for one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Points beside the tier's and the queue's own.
    pub points: i32,
    /// A skill expression beside the queue's own.
    pub skills: Option<Arc<str>>,
    /// Who is to take it, as long as that agent is there and the queue waits for one.
    pub agent: Option<AgentName>,
}

impl Switch {
    // -- entering and leaving ----------------------------------------------------------------------------------------

    /// Puts the caller into a queue. The clock of an earlier stay is kept: nobody loses the place to a menu.
    pub(super) fn enter_queue(&mut self, call: &mut Call, queue: &QueueName, wishes: Wishes) {
        self.enter(call, queue, wishes, false);
    }

    fn enter(&mut self, call: &mut Call, queue: &QueueName, wishes: Wishes, returns: bool) {
        let caller = call.caller;
        self.let_hear(call, caller, &[]);
        call.wishes = wishes.clone();
        let entry = CallEntry {
            caller: (!call.from.number.is_empty()).then(|| Arc::from(call.from.number.as_str())),
            clock: call.queue_clock,
            tier: call.card.tier.parse().ok(),
            points: wishes.points,
            requires: wishes.skills.and_then(|text| Expression::parse(&text).ok()),
            preferred: wishes.agent,
            language: Some(call.language.clone()),
            returns,
            ..CallEntry::new(call.id, queue.clone())
        };
        match self.acd.handle_call_enters(self.now, entry) {
            Ok(entered) => {
                call.waiting_since = self.now;
                call.queue_clock.get_or_insert(self.now);
                match entered {
                    Entered::Waits { queue: in_queue, .. } if in_queue == *queue => self.on_waiting(call, in_queue),
                    // Overflow took it on at once: it has passed through this queue, and the outputs tell the rest.
                    Entered::Waits { .. } | Entered::Overflowed(_) => self.on_entered(call, queue.clone()),
                }
            }
            Err(refusal) => {
                let end = match refusal {
                    acd::Refusal::QueueFull(_) | acd::Refusal::TooManyCalls => QueueEnd::Full,
                    acd::Refusal::QueueClosed(_) => QueueEnd::Closed,
                    _ => QueueEnd::Failed,
                };
                self.not_queued(call, end);
            }
        }
    }

    /// The record says that the caller is in this queue, if only to pass through it.
    fn on_entered(&mut self, call: &mut Call, queue: QueueName) {
        call.stage = Stage::Waiting { queue: queue.clone(), pending: VecDeque::new() };
        let (position, priority) = self.standing(call.id, &queue);
        let tier = call.card.tier.clone();
        self.emit(Some(call.id), Fact::QueueEntered { queue, priority, tier, position });
    }

    /// The call's place in the queue and its points; zeros where it does not wait there.
    pub(super) fn standing(&self, call: CallId, queue: &QueueName) -> (u32, i32) {
        let standing = self.acd.waiting(self.now, queue);
        let place = standing.iter().find(|view| view.call == call);
        place.map_or((0, 0), |view| (view.position, points(view.priority)))
    }

    /// The caller waits: the record says so, and there is music.
    fn on_waiting(&mut self, call: &mut Call, queue: QueueName) {
        self.on_entered(call, queue.clone());
        self.answer_caller(call);
        call.comforted = 0;
        self.set_comfort(call);
        self.stop_play(call, call.caller);
        let greeting = call.edition.plan.queues.get(&queue).and_then(|queue| queue.announcements.greeting.clone());
        let greeting = greeting.map(|prompt| vec![Spoken::Prompt { language: call.language.clone(), prompt }]);
        // What the queue before this one had to say comes first.
        let words: Vec<Words> = call.passing.take().into_iter().chain(greeting).collect();
        if words.is_empty() {
            return self.play_queue_music(call);
        }
        for words in words {
            self.announce(call, words);
        }
    }

    // -- hours -------------------------------------------------------------------------------------------------------

    /// Opens and closes queues as their hours say: now, and again when the first of them turns over. Who waits in a
    /// queue that closes is served on.
    pub(super) fn tell_hours(&mut self) {
        let edition = self.edition.clone();
        let mut turn: Option<Time> = None;
        for queue in edition.plan.queues.values() {
            let hours = edition.plan.hours_of(queue);
            let open = hours.as_ref().is_none_or(|hours| hours.is_open(self.now));
            // The ACD has every queue of the edition in force.
            let _ = self.acd.handle_queue_open(self.now, &queue.name, open);
            turn = turn.into_iter().chain(hours.and_then(|hours| hours.next_change(self.now))).min();
        }
        self.timers.clear(Timer::Hours);
        if let Some(at) = turn {
            self.timers.set(at, Timer::Hours);
        }
    }

    /// The queue did not take the call: the dialplan goes on, or the call ends where there is none.
    fn not_queued(&mut self, call: &mut Call, end: QueueEnd) {
        if call.ivr.is_some() {
            call.stage = Stage::Ivr;
            return self.tell_walk(call, IvrInput::QueueLeft(end));
        }
        self.clear_call(call, Cause::with_status(What::Congestion, Party::Plan, 480));
    }

    /// Back to the queue it was answered from, with its old clock and wishes: a transfer that reached nobody. It waits for
    /// no one agent again.
    pub(super) fn return_to_queue(&mut self, call: &mut Call, queue: &QueueName, cause: Cause) {
        if call.caller_leg().is_none() {
            return self.clear_call(call, cause);
        }
        let wishes = Wishes { agent: None, ..call.wishes.clone() };
        self.enter(call, queue, wishes, true);
    }

    /// Who calls has become known: a call that waits has its tier's points from here on.
    pub(super) fn tell_tier(&mut self, call: &Call) {
        if let (true, Ok(tier)) = (call.is_waiting(), call.card.tier.parse()) {
            // Refused where its offer was just answered: it waits no more.
            let _ = self.acd.handle_tier_known(self.now, call.id, tier);
        }
    }

    /// The call leaves its queue for good because it ends.
    pub(super) fn leave_queue(&mut self, call: &mut Call, cause: Cause) {
        let Stage::Waiting { queue, .. } = call.stage.clone() else { return };
        let (how, exit) = match cause.by {
            Party::Caller => (Left::Abandoned, QueueExit::Abandoned),
            Party::Plan | Party::Operator => (Left::Moved, QueueExit::Moved),
            _ => (Left::Failed, QueueExit::Failed),
        };
        self.left_queue(call, queue, how, exit);
    }

    /// The dialplan takes the caller out again: a key was pressed, or the wait was long enough.
    pub(super) fn leave_queue_by_dialplan(&mut self, call: &mut Call) {
        let Stage::Waiting { queue, .. } = call.stage.clone() else { return };
        self.left_queue(call, queue, Left::Moved, QueueExit::Moved);
        let caller = call.caller;
        self.stop_play(call, caller);
        call.stage = Stage::Ivr;
    }

    fn left_queue(&mut self, call: &mut Call, queue: QueueName, how: Left, exit: QueueExit) {
        // A call whose offer was just answered waits no more; its exit is told by the output.
        let _ = self.acd.handle_call_leaves(self.now, call.id, how);
        let waited_ms = self.waited_ms(call);
        self.emit(Some(call.id), Fact::QueueLeft { queue, exit, waited_ms });
    }

    fn waited_ms(&self, call: &Call) -> u64 {
        u64::try_from(self.now.since(call.waiting_since).as_millis()).unwrap_or(u64::MAX)
    }

    // -- what the caller hears ---------------------------------------------------------------------------------------

    pub(super) fn music_of(&self, call: &Call) -> PromptName {
        let queue = match &call.stage {
            Stage::Waiting { queue, .. } => Some(queue),
            _ => call.served_from.as_ref(),
        };
        let queue = queue.and_then(|queue| call.edition.plan.queues.get(queue));
        queue.map_or_else(|| PromptName::new("music"), |queue| queue.announcements.music.clone())
    }

    fn play_queue_music(&mut self, call: &mut Call) {
        let (caller, music) = (call.caller, self.music_of(call));
        self.play_music(call, caller, &music);
    }

    /// Speaks to a waiting caller between two stretches of music; words that come meanwhile wait their turn.
    fn announce(&mut self, call: &mut Call, words: Vec<Spoken>) {
        let caller = call.caller;
        let speaking = call
            .leg(caller)
            .and_then(|leg| leg.playing)
            .is_some_and(|playing| playing.purpose == Purpose::Announcement);
        let Stage::Waiting { pending, .. } = &mut call.stage else { return };
        if speaking {
            if pending.len() < MOST_PENDING {
                pending.push_back(words);
            }
            return;
        }
        let sounds = self.sounds(call, &words);
        self.play(call, caller, sounds, Repeat::Once, Purpose::Announcement);
    }

    fn set_comfort(&mut self, call: &Call) {
        self.timers.clear(Timer::Comfort(call.id));
        let Stage::Waiting { queue, .. } = &call.stage else { return };
        let Some(queue) = call.edition.plan.queues.get(queue) else { return };
        if !queue.announcements.comfort.is_empty() {
            let every = queue.announcements.comfort_every_s.span().max(SHORTEST_COMFORT);
            self.timers.set(self.now + every, Timer::Comfort(call.id));
        }
    }

    /// The next of the queue's comfort announcements, in turn.
    pub(super) fn on_comfort(&mut self, id: CallId) {
        self.with_call(id, |switch, call| {
            let Stage::Waiting { queue, .. } = &call.stage else { return };
            let Some(queue) = call.edition.plan.queues.get(queue) else { return };
            let prompt = queue.announcements.comfort.iter().cycle().nth(call.comforted).cloned();
            call.comforted = (call.comforted + 1) % queue.announcements.comfort.len().max(1);
            if let Some(prompt) = prompt {
                let language = call.language.clone();
                switch.announce(call, vec![Spoken::Prompt { language, prompt }]);
            }
            switch.set_comfort(call);
        });
    }

    pub(super) fn on_announced(&mut self, call: &mut Call, leg: LegId) {
        if leg != call.caller {
            return;
        }
        let Stage::Waiting { pending, .. } = &mut call.stage else { return };
        match pending.pop_front() {
            Some(words) => self.announce(call, words),
            None => self.play_queue_music(call),
        }
    }

    pub(super) fn sounds(&self, call: &Call, words: &[Spoken]) -> Vec<Sound> {
        let sounds = &call.edition.sounds;
        words
            .iter()
            .filter_map(|spoken| match spoken {
                Spoken::Prompt { language, prompt } => sounds.prompt(language, prompt).map(Sound::Clip),
                Spoken::Silence(span) => Some(Sound::Silence(*span)),
            })
            .collect()
    }

    // -- what the ACD says -------------------------------------------------------------------------------------------

    pub(super) fn on_acd(&mut self, output: Output) {
        match output {
            Output::Offer(offer) => {
                let call = offer.call;
                self.with_call(call, |switch, call| switch.on_offer(call, &offer));
            }
            Output::OfferWithdrawn { call, agent, why } => {
                self.with_call(call, |switch, call| switch.on_withdrawn(call, &agent, why));
            }
            Output::Connected { call, queue, agent, .. } => {
                self.with_call(call, |switch, call| switch.on_served(call, queue, &agent));
            }
            Output::AgentStateChanged { agent, state, .. } => self.tell_agent_state(agent, &state),
            Output::WrapUpEnded { agent, call, code, auto, .. } => self.on_wrapped(agent, call, code, auto),
            Output::Announce { call, queue, position, wait, .. } => {
                self.with_call(call, |switch, call| {
                    let wait = wait.map(|wait| (round_up_s(wait.p50), round_up_s(wait.p90)));
                    let words = say::announcement(&call.language, position, wait);
                    let position = position.unwrap_or(0);
                    switch.emit(Some(call.id), Fact::QueueAnnounced { queue, position, wait_s: wait });
                    switch.announce(call, words);
                });
            }
            Output::Overflow { call, queue, why, action } => {
                self.with_call(call, |switch, call| switch.on_overflow(call, queue, why, action));
            }
            Output::Moved { call, from, to } => {
                self.with_call(call, |switch, call| switch.on_moved(call, from, to));
            }
            Output::QueueFigures { .. } => {}
        }
    }

    /// Rings the agents the ACD chose. The offer with the caller's record stands before the INVITE.
    fn on_offer(&mut self, call: &mut Call, offer: &Offer) {
        let explanation = serde_json::to_value(&*offer.explanation).unwrap_or_default();
        let (queue, agents) = (offer.queue.clone(), offer.agents.clone());
        self.emit(Some(call.id), Fact::RoutingDecided { queue, agents, explanation });
        for agent in &offer.agents {
            let Some(account) = self.desks.account_of(agent).cloned() else {
                self.report_outcome(call.id, agent, Outcome::Unreachable);
                continue;
            };
            let headers = vec![("X-CTI-Call".to_owned(), call.id.to_string())];
            match self.ring(call, &DialTo::Account(account), None, Some(agent.clone()), headers) {
                Ok(leg) => {
                    call.offers.insert(leg, agent.clone());
                    let fact = Fact::CallOffered {
                        agent: agent.clone(),
                        queue: offer.queue.clone(),
                        leg,
                        deadline: offer.deadline,
                        waited_ms: self.waited_ms(call),
                        card: call.card.clone(),
                        answers: call.answers.clone(),
                    };
                    self.emit(Some(call.id), fact);
                }
                Err(_) => self.report_outcome(call.id, agent, Outcome::Unreachable),
            }
        }
    }

    fn report_outcome(&mut self, call: CallId, agent: &AgentName, outcome: Outcome) {
        // An offer that was over before needs no answer.
        let (Claim::Taken | Claim::TooLate) = self.acd.handle_offer_outcome(self.now, call, agent, outcome);
    }

    pub(super) fn on_offer_answered(&mut self, call: &mut Call, leg: LegId) {
        let Some(agent) = call.offers.get(&leg).cloned() else { return };
        match self.acd.handle_offer_outcome(self.now, call.id, &agent, Outcome::Answered) {
            // The ACD's output connects them.
            Claim::Taken => {}
            Claim::TooLate => {
                call.offers.remove(&leg);
                self.emit(Some(call.id), Fact::OfferEnded { agent, leg, outcome: OfferOutcome::Withdrawn });
                self.drop_leg(call, leg, Cause::new(What::NoAnswer, Party::Switch));
            }
        }
    }

    /// An offer ends without this agent.
    pub(super) fn end_offer(&mut self, call: &mut Call, leg: LegId, outcome: OfferOutcome) {
        let Some(agent) = call.offers.remove(&leg) else { return };
        self.emit(Some(call.id), Fact::OfferEnded { agent: agent.clone(), leg, outcome });
        let reported = match outcome {
            OfferOutcome::Answered | OfferOutcome::Withdrawn => return,
            OfferOutcome::NoAnswer => Outcome::NoAnswer,
            OfferOutcome::Declined => Outcome::Declined,
            OfferOutcome::Busy => Outcome::Busy,
            OfferOutcome::Unreachable => Outcome::Unreachable,
        };
        self.report_outcome(call.id, &agent, reported);
    }

    fn on_withdrawn(&mut self, call: &mut Call, agent: &AgentName, why: Withdrawn) {
        let Some(leg) = call.offers.iter().find(|(_, a)| *a == agent).map(|(leg, _)| *leg) else { return };
        call.offers.remove(&leg);
        let (outcome, cause) = match why {
            Withdrawn::NoAnswer => (OfferOutcome::NoAnswer, Cause::new(What::NoAnswer, Party::Agent)),
            Withdrawn::AnsweredElsewhere => (OfferOutcome::Withdrawn, Cause::new(What::Completed, Party::Switch)),
            Withdrawn::CallLeft => (OfferOutcome::Withdrawn, Cause::new(What::Abandoned, Party::Caller)),
            Withdrawn::AgentGone => (OfferOutcome::Withdrawn, Cause::new(What::Unreachable, Party::Agent)),
        };
        self.emit(Some(call.id), Fact::OfferEnded { agent: agent.clone(), leg, outcome });
        self.drop_leg(call, leg, cause);
    }

    /// An agent has the call.
    fn on_served(&mut self, call: &mut Call, queue: QueueName, agent: &AgentName) {
        let Some(leg) = call.offers.iter().find(|(_, a)| *a == agent).map(|(leg, _)| *leg) else { return };
        call.offers.remove(&leg);
        let waited_ms = self.waited_ms(call);
        self.emit(Some(call.id), Fact::OfferEnded { agent: agent.clone(), leg, outcome: OfferOutcome::Answered });
        self.emit(Some(call.id), Fact::QueueLeft { queue: queue.clone(), exit: QueueExit::Answered, waited_ms });
        call.served_from = Some(queue.clone());
        // The dialplan is over; its secrets go with it.
        call.ivr = None;
        let caller = call.caller;
        self.connect(call, caller, leg, AfterDial::End);
        self.record_talk(call, &queue, leg);
    }

    /// In another queue now, by a supervisor or by overflow; only passing where that one overflows as well.
    fn on_moved(&mut self, call: &mut Call, from: QueueName, to: QueueName) {
        // The caller may have hung up since.
        if !call.is_waiting() {
            return;
        }
        let waited_ms = self.waited_ms(call);
        self.emit(Some(call.id), Fact::QueueLeft { queue: from, exit: QueueExit::Moved, waited_ms });
        call.waiting_since = self.now;
        if self.acd.waiting(self.now, &to).iter().any(|view| view.call == call.id) {
            self.on_waiting(call, to);
        } else {
            self.on_entered(call, to);
        }
    }

    fn on_overflow(&mut self, call: &mut Call, queue: QueueName, why: acd::OverflowWhy, action: acd::Action) {
        // The caller may have hung up since.
        if !call.is_waiting() {
            return;
        }
        let why_said = why;
        let why = serde_json::to_value(why).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        let to = match &action {
            acd::Action::Queue(queue) => format!("queue:{queue}"),
            acd::Action::Voicemail(mailbox) => format!("voicemail:{mailbox}"),
            acd::Action::Number(number) => format!("number:{number}"),
            acd::Action::HangUp => "hangup".to_owned(),
        };
        self.emit(Some(call.id), Fact::QueueOverflowed { queue: queue.clone(), to, why });
        let words = overflow_words(call, &queue, why_said);
        if let acd::Action::Queue(_) = action {
            // `Moved` tells the rest; the words are heard in the next queue, before its own.
            call.passing = words;
            return;
        }
        let waited_ms = self.waited_ms(call);
        self.emit(Some(call.id), Fact::QueueLeft { queue: queue.clone(), exit: QueueExit::Moved, waited_ms });
        let caller = call.caller;
        self.stop_play(call, caller);
        call.ivr = None;
        // It waits no more, whatever the action makes of it: a hang-up must not leave the queue a second time.
        call.stage = Stage::Ringing;
        self.answer_caller(call);
        call.leaving = Some(action);
        match words {
            Some(words) => {
                let sounds = self.sounds(call, &words);
                self.play(call, caller, sounds, Repeat::Once, Purpose::Overflow);
            }
            None => self.leave_for(call),
        }
    }

    /// The words of overflow are said: the caller goes.
    pub(super) fn leave_for(&mut self, call: &mut Call) {
        match call.leaving.take() {
            None | Some(acd::Action::Queue(_)) => {}
            Some(acd::Action::Voicemail(mailbox)) => self.take_message(call, mailbox, true, None, MESSAGE_SILENCE),
            Some(acd::Action::Number(number)) => match self.number_destination(&number, Dialer::Dialplan) {
                Some(to) => self.lead(call, to, AfterDial::End),
                None => self.clear_call(call, Cause::new(What::NotFound, Party::Plan)),
            },
            Some(acd::Action::HangUp) => self.clear_call(call, Cause::new(What::Completed, Party::Plan)),
        }
    }

    // -- agents ------------------------------------------------------------------------------------------------------

    /// Tells the ACD how many live legs there are at the agent who sits where this leg rings: busy follows from that.
    pub(super) fn count_agent_legs(&mut self, call: &Call, leg: LegId) {
        let Some(account) = call.leg(leg).and_then(|leg| leg.address.account.clone()) else { return };
        let Some(agent) = self.desks.agent_at(&account).cloned() else { return };
        let at_account = |call: &Call| {
            call.legs.values().filter(|leg| leg.is_live() && leg.address.account.as_ref() == Some(&account)).count()
        };
        let live = self.calls.values().map(at_account).sum::<usize>() + at_account(call);
        let live = u32::try_from(live).unwrap_or(u32::MAX);
        // Refused only where the agent is off the roster, who then has no state either.
        let _ = self.acd.handle_live_legs(self.now, &agent, live);
    }

    fn tell_agent_state(&mut self, agent: AgentName, state: &acd::AgentState) {
        let (state, reason, deadline) = match state {
            acd::AgentState::SignedOut => (AgentState::SignedOut, String::new(), None),
            acd::AgentState::NotReady { reason } => (AgentState::NotReady, not_ready_word(reason), None),
            acd::AgentState::Ready => (AgentState::Ready, String::new(), None),
            acd::AgentState::Offered { .. } => (AgentState::Offered, String::new(), None),
            acd::AgentState::Talking { .. } => (AgentState::Talking, String::new(), None),
            acd::AgentState::Busy => (AgentState::Talking, "private".to_owned(), None),
            acd::AgentState::WrapUp { until, .. } => (AgentState::WrapUp, String::new(), Some(*until)),
        };
        self.emit(None, Fact::AgentStateChanged { agent, state, reason, deadline });
    }

    fn on_wrapped(&mut self, agent: AgentName, call: CallId, code: Option<Arc<str>>, auto: bool) {
        let notes = self.drafts.remove(&agent).unwrap_or_default();
        let code = code.map(|code| code.to_string()).unwrap_or_default();
        self.emit(Some(call), Fact::InteractionWrapped { agent, code, notes, auto });
    }

    /// Whether any leg of this call still rings or talks; the ACD is told of each.
    pub(super) fn is_ringing(call: &Call, agent: &AgentName) -> bool {
        let rings = |leg: &crate::call::leg::Leg| matches!(leg.state, LegState::Trying | LegState::Ringing);
        call.offers.iter().any(|(leg, a)| a == agent && call.leg(*leg).is_some_and(rings))
    }
}

/// What this queue says to a caller who overflows for that reason.
fn overflow_words(call: &Call, queue: &QueueName, why: acd::OverflowWhy) -> Option<Vec<Spoken>> {
    let rules = &call.edition.plan.queues.get(queue)?.overflow;
    let rule = rules.iter().find(|rule| {
        matches!(
            (rule.when, why),
            (OverflowWhen::WaitedS(_), acd::OverflowWhy::Time)
                | (OverflowWhen::Waiting(_), acd::OverflowWhy::Length)
                | (OverflowWhen::NobodySignedIn, acd::OverflowWhy::NobodySignedIn)
                | (OverflowWhen::Closed, acd::OverflowWhy::Closed)
        )
    });
    let prompt = rule?.play.clone()?;
    Some(vec![Spoken::Prompt { language: call.language.clone(), prompt }])
}

/// Comfort announcements do not follow each other closer than this.
const SHORTEST_COMFORT: Duration = Duration::from_secs(5);

/// Announcements that may wait behind one that is being spoken; a caller is never talked at for minutes.
const MOST_PENDING: usize = 2;

/// The reason as the desktop shows it: the agent's own, or a system word with a colon, which no own reason has.
fn not_ready_word(reason: &acd::NotReady) -> String {
    match reason {
        acd::NotReady::Chosen(reason) => reason.to_string(),
        acd::NotReady::SignedIn => "system:signed_in".to_owned(),
        acd::NotReady::NoAnswer => "system:no_answer".to_owned(),
        acd::NotReady::LinkLost => "system:link_lost".to_owned(),
        acd::NotReady::PhoneUnregistered => "system:phone_unregistered".to_owned(),
    }
}

fn round_up_s(span: core::time::Duration) -> u32 {
    u32::try_from(span.as_secs() + u64::from(span.subsec_nanos() > 0)).unwrap_or(u32::MAX)
}

/// Whole points of an effective priority, for people.
fn points(priority: f64) -> i32 {
    // Saturates at the ends of the range, which no settings reach.
    priority.round() as i32
}
