//! A caller's behaviour: dials, waits, presses keys, waits in the queue as long as patience lasts, talks, hangs up.
//!
//! It speaks through a trunk or a phone that its driver holds: the driver carries out each [`CallerAct`], and tells
//! the caller what its call reports and what it hears.
//!
//! | state | ends by |
//! |---|---|
//! | Before | [`Caller::start`] → Dialling |
//! | Dialling | answer → Connected; answer patience → gives up |
//! | Connected | keys at their moments; a person is heard → Talking; queue patience → gives up |
//! | Talking | talk time → hangs up |
//! | Over | – |

use core::time::Duration;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::chance::{Spread, pick};
use super::report::{EndedBy, Ending, PhoneReport};
use super::trunk::InboundCall;
use crate::ids::IdSource;
use crate::time::Time;

/// What one caller will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerScript {
    pub call: InboundCall,
    /// How long it may ring before the caller gives up.
    pub answer_patience: Duration,
    /// Keys, in order.
    pub keys: Vec<KeyPress>,
    /// How long after the answer the caller waits for a person.
    pub queue_patience: Duration,
    /// How long the caller talks with the person; then it hangs up.
    pub talk: Duration,
}

/// Digits to press.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPress {
    pub when: KeyMoment,
    pub digits: String,
}

/// When keys are pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyMoment {
    /// So long after the answer, prompt or no prompt (barge-in).
    AfterAnswer(Duration),
    /// So long after that many prompts have ended since the answer.
    AfterPrompts { count: u32, pause: Duration },
}

/// What reaches the caller's ear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// A prompt or an announcement came to its end.
    PromptEnded,
    /// An agent speaks.
    Person,
}

/// What the caller wants done on its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerAct {
    Dial(InboundCall),
    Press(char),
    HangUp,
}

/// How the call went, for reports and oracles. Times are unset where it did not come to that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallerStory {
    pub dialled: Option<Time>,
    /// First 180 or 183.
    pub progress: Option<Time>,
    pub answered: Option<Time>,
    /// A person was heard.
    pub person: Option<Time>,
    pub ended: Option<Time>,
    pub ending: Option<Ending>,
    /// The caller ran out of patience.
    pub gave_up: bool,
}

/// Whom callers are drawn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerProfile {
    /// Numbers that they call from; known customers among them.
    pub from: Vec<String>,
    /// Numbers that they dial.
    pub to: Vec<String>,
    /// Ways through the IVR.
    pub ways: Vec<Vec<KeyPress>>,
    pub answer_patience: Spread,
    pub queue_patience: Spread,
    pub talk: Spread,
}

impl CallerProfile {
    /// One caller of this profile.
    pub fn draw(&self, dice: &mut IdSource) -> CallerScript {
        let from = pick(dice, &self.from).map_or("anonymous", String::as_str);
        let to = pick(dice, &self.to).map_or("", String::as_str);
        CallerScript {
            call: InboundCall::new(from, to),
            answer_patience: self.answer_patience.draw(dice),
            keys: pick(dice, &self.ways).cloned().unwrap_or_default(),
            queue_patience: self.queue_patience.draw(dice),
            talk: self.talk.draw(dice),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Caller {
    script: CallerScript,
    state: State,
    keys: VecDeque<KeyPress>,
    /// Digits under way: the next one and its time.
    digits: VecDeque<char>,
    next_digit: Option<Time>,
    prompts: u32,
    story: CallerStory,
    acts: VecDeque<CallerAct>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    Dialling { until: Time },
    Connected { until: Time },
    Talking { until: Time },
    Over,
}

/// Pause between two digits of one press: 120 ms of tone and a human finger's way.
pub const BETWEEN_DIGITS: Duration = Duration::from_millis(350);

impl Caller {
    pub fn new(script: CallerScript) -> Self {
        Self {
            keys: script.keys.iter().cloned().collect(),
            script,
            state: State::Before,
            digits: VecDeque::new(),
            next_digit: None,
            prompts: 0,
            story: CallerStory::default(),
            acts: VecDeque::new(),
        }
    }

    /// Dials.
    pub fn start(&mut self, now: Time) {
        self.story.dialled = Some(now);
        self.state = State::Dialling { until: now + self.script.answer_patience };
        self.acts.push_back(CallerAct::Dial(self.script.call.clone()));
    }

    /// Takes a report about this caller's call.
    pub fn handle_report(&mut self, now: Time, report: &PhoneReport) {
        match report {
            PhoneReport::Progress { .. } => {
                self.story.progress.get_or_insert(now);
            }
            PhoneReport::Answered { .. } if matches!(self.state, State::Dialling { .. }) => {
                self.story.answered = Some(now);
                self.state = State::Connected { until: now + self.script.queue_patience };
                self.arm_keys(now);
            }
            PhoneReport::Ended { ending, .. } => self.over(now, *ending),
            _ => {}
        }
    }

    /// The call could not even be placed.
    pub fn handle_refused(&mut self, now: Time) {
        self.over(now, Ending { status: 503, by: EndedBy::Us });
    }

    /// Takes what the caller hears.
    pub fn handle_hearing(&mut self, now: Time, hearing: Hearing) {
        match (hearing, self.state) {
            (Hearing::PromptEnded, State::Connected { .. }) => {
                self.prompts = self.prompts.saturating_add(1);
                self.arm_keys(now);
            }
            (Hearing::Person, State::Connected { .. }) => {
                self.story.person = Some(now);
                self.digits.clear();
                self.next_digit = None;
                self.state = State::Talking { until: now + self.script.talk };
            }
            _ => {}
        }
    }

    /// Presses what is due; gives up or hangs up when the time has come.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.next_digit.is_some_and(|at| at <= now) {
            self.acts.extend(self.digits.pop_front().map(CallerAct::Press));
            self.next_digit = (!self.digits.is_empty()).then(|| now + BETWEEN_DIGITS);
            self.arm_keys(now);
        }
        match self.state {
            State::Dialling { until } | State::Connected { until } if until <= now => {
                self.story.gave_up = true;
                self.hang_up();
            }
            State::Talking { until } if until <= now => self.hang_up(),
            _ => {}
        }
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let until = match self.state {
            State::Dialling { until } | State::Connected { until } | State::Talking { until } => Some(until),
            State::Before | State::Over => None,
        };
        [until, self.next_digit].into_iter().flatten().min()
    }

    pub fn poll_act(&mut self) -> Option<CallerAct> {
        self.acts.pop_front()
    }

    pub fn story(&self) -> &CallerStory {
        &self.story
    }

    pub fn script(&self) -> &CallerScript {
        &self.script
    }

    /// Nothing more will come; the ending may still be on its way.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Makes the next keys wait for their moment, once the last ones are pressed and the moment is known.
    fn arm_keys(&mut self, now: Time) {
        let (Some(answered), None) = (self.story.answered, self.next_digit) else { return };
        let Some(next) = self.keys.front() else { return };
        let at = match next.when {
            KeyMoment::AfterAnswer(delay) => answered + delay,
            KeyMoment::AfterPrompts { count, pause } if self.prompts >= count => now + pause,
            KeyMoment::AfterPrompts { .. } => return,
        };
        if let Some(keys) = self.keys.pop_front() {
            self.digits = keys.digits.chars().collect();
            self.next_digit = (!self.digits.is_empty()).then_some(at.max(now));
        }
    }

    fn hang_up(&mut self) {
        self.acts.push_back(CallerAct::HangUp);
        self.state = State::Over;
        self.next_digit = None;
    }

    fn over(&mut self, now: Time, ending: Ending) {
        self.story.ended = Some(now);
        self.story.ending = Some(ending);
        (self.state, self.next_digit) = (State::Over, None);
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::CallKey;
    use super::*;

    const CALL: CallKey = CallKey(1);

    fn script(keys: Vec<KeyPress>) -> CallerScript {
        CallerScript {
            call: InboundCall::new("+4930", "+4940"),
            answer_patience: Duration::from_secs(30),
            keys,
            queue_patience: Duration::from_secs(60),
            talk: Duration::from_secs(10),
        }
    }

    fn answered_at(caller: &mut Caller, ms: u64) {
        caller.start(Time::EPOCH);
        assert!(matches!(caller.poll_act(), Some(CallerAct::Dial(_))));
        caller.handle_report(Time::from_millis(ms), &PhoneReport::Answered { call: CALL });
    }

    /// Runs the caller's own clock and notes what it does when, in milliseconds.
    fn run_to(caller: &mut Caller, end_ms: u64) -> Vec<(u64, CallerAct)> {
        let mut acts = Vec::new();
        while let Some(at) = caller.poll_timeout().filter(|at| at.as_millis() <= end_ms) {
            caller.handle_timeout(at);
            while let Some(act) = caller.poll_act() {
                acts.push((at.as_millis(), act));
            }
        }
        acts
    }

    #[test]
    fn keys_are_pressed_one_by_one_at_their_moments() {
        let first = KeyPress { when: KeyMoment::AfterAnswer(Duration::from_secs(2)), digits: "12".into() };
        let pause = Duration::from_millis(500);
        let second = KeyPress { when: KeyMoment::AfterPrompts { count: 2, pause }, digits: "#".into() };
        let mut caller = Caller::new(script(vec![first, second]));
        answered_at(&mut caller, 1_000);
        let pressed = run_to(&mut caller, 10_000);
        assert_eq!(pressed, [(3_000, CallerAct::Press('1')), (3_350, CallerAct::Press('2'))]);
        caller.handle_hearing(Time::from_secs(11), Hearing::PromptEnded);
        assert_eq!(run_to(&mut caller, 12_000), []);
        caller.handle_hearing(Time::from_secs(12), Hearing::PromptEnded);
        assert_eq!(run_to(&mut caller, 13_000), [(12_500, CallerAct::Press('#'))]);
    }

    #[test]
    fn a_caller_gives_up_ringing_and_waiting_and_says_so() {
        let mut ringing = Caller::new(script(Vec::new()));
        ringing.start(Time::EPOCH);
        let acts = run_to(&mut ringing, 100_000);
        assert_eq!(acts.last(), Some(&(30_000, CallerAct::HangUp)));
        assert!(ringing.story().gave_up && ringing.is_over());

        let mut waiting = Caller::new(script(Vec::new()));
        answered_at(&mut waiting, 5_000);
        assert_eq!(run_to(&mut waiting, 100_000), [(65_000, CallerAct::HangUp)]);
        assert!(waiting.story().gave_up);
    }

    #[test]
    fn a_served_caller_talks_for_its_time_and_hangs_up_content() {
        let late = KeyPress { when: KeyMoment::AfterAnswer(Duration::from_secs(50)), digits: "9".into() };
        let mut caller = Caller::new(script(vec![late]));
        answered_at(&mut caller, 1_000);
        caller.handle_hearing(Time::from_secs(20), Hearing::Person);
        assert_eq!(run_to(&mut caller, 100_000), [(30_000, CallerAct::HangUp)]);
        let ending = Ending { status: 200, by: EndedBy::Us };
        caller.handle_report(Time::from_millis(30_040), &PhoneReport::Ended { call: CALL, ending });
        let story = caller.story();
        assert_eq!((story.person, story.gave_up), (Some(Time::from_secs(20)), false));
        assert_eq!((story.ended, story.ending), (Some(Time::from_millis(30_040)), Some(ending)));
    }

    #[test]
    fn the_same_seed_draws_the_same_callers() {
        let profile = CallerProfile {
            from: vec!["+491".into(), "+492".into(), "+493".into()],
            to: vec!["+4940".into()],
            ways: vec![Vec::new()],
            answer_patience: Spread::secs(10, 60),
            queue_patience: Spread::secs(20, 300),
            talk: Spread::secs(30, 400),
        };
        let draw = |seed| {
            let mut dice = IdSource::from_seed(seed);
            (0..20).map(|_| profile.draw(&mut dice)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
