//! An agent's behaviour at phone and desk: signs in, goes ready, answers (or lets it ring, or declines), holds,
//! transfers, hangs up, wraps up with a code, takes breaks.
//!
//! Its driver carries out each [`AgentAction`]: a [`PhoneAct`] at the agent's phone, a [`DeskCommand`] at the CTI API
//! (in simulation, at the switch). Back come the phone's reports and the desk's news.
//!
//! | state | ends by |
//! |---|---|
//! | Away | [`Agent::start`] registers the phone; Registered → SigningIn |
//! | SigningIn | signed in → Free, asks for ready |
//! | Free | a call rings → Ringing; set not ready by the switch → Resting |
//! | Ringing | answers, declines, or lets it ring until it stops → Talking or Free |
//! | Talking | hold, resume, transfer, hang up at their times; the call's end → WrappingUp |
//! | WrappingUp | the wrap-up's time → code, then Free or Resting |
//! | Resting | the rest's time → Free, asks for ready |

use core::time::Duration;
use std::collections::VecDeque;

use super::chance::{Spread, happens, pick};
use super::report::{CallKey, PhoneReport};
use crate::ids::IdSource;
use crate::time::Time;

/// How an agent tends to act. Shares are per thousand of the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentHabits {
    pub answer_delay: Spread,
    pub lets_ring_permille: u32,
    pub declines_permille: u32,
    /// 486 or 603.
    pub decline_status: u16,
    pub holds_permille: u32,
    pub hold: Spread,
    pub transfers_permille: u32,
    /// Numbers and colleagues that calls are transferred to.
    pub transfer_to: Vec<String>,
    /// In the other calls the caller hangs up first.
    pub hangs_up_permille: u32,
    pub talk: Spread,
    pub wrap_up: Spread,
    pub wrap_codes: Vec<String>,
    pub breaks_permille: u32,
    pub break_reason: String,
    pub rest: Spread,
}

impl Default for AgentHabits {
    /// A reliable agent: answers in one to four seconds, talks up to two minutes, never declines.
    fn default() -> Self {
        Self {
            answer_delay: Spread::secs(1, 4),
            lets_ring_permille: 0,
            declines_permille: 0,
            decline_status: 486,
            holds_permille: 100,
            hold: Spread::secs(5, 20),
            transfers_permille: 0,
            transfer_to: Vec::new(),
            hangs_up_permille: 300,
            talk: Spread::secs(20, 120),
            wrap_up: Spread::secs(3, 20),
            wrap_codes: vec!["resolved".into(), "follow_up".into()],
            breaks_permille: 20,
            break_reason: "break".into(),
            rest: Spread::secs(30, 120),
        }
    }
}

/// What the agent wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentAction {
    Phone(PhoneAct),
    Desk(DeskCommand),
}

/// At the phone's own keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneAct {
    Register,
    Unregister,
    Answer(CallKey),
    Decline(CallKey, u16),
    Hold(CallKey),
    Resume(CallKey),
    Transfer(CallKey, String),
    HangUp(CallKey),
}

/// At the desk: the agent's own commands of the CTI API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeskCommand {
    SignIn,
    Ready,
    NotReady { reason: String },
    WrapUp { code: String },
    SignOut,
}

/// What the desk tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeskNews {
    SignedIn,
    /// The switch made the agent Not Ready on its own (no answer).
    SetNotReady,
    /// The switch ended the wrap-up on its own, or there was none.
    WrapUpOver,
    /// The last command was refused: try again after a rest.
    Refused,
}

/// See the module.
pub struct Agent {
    habits: AgentHabits,
    dice: IdSource,
    state: State,
    actions: VecDeque<AgentAction>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Away,
    SigningIn,
    Free,
    /// `at` is the time of the decision; unset where the agent lets it ring.
    Ringing {
        call: CallKey,
        decision: Option<(Time, Decision)>,
    },
    /// Answered; what comes next, soonest first.
    Talking {
        call: CallKey,
        next: VecDeque<(Time, PhoneAct)>,
    },
    WrappingUp {
        until: Time,
    },
    Resting {
        until: Time,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Answer,
    Decline,
}

impl Agent {
    pub fn new(habits: AgentHabits, seed: u64) -> Self {
        Self { habits, dice: IdSource::from_seed(seed), state: State::Away, actions: VecDeque::new() }
    }

    /// The shift begins: the phone registers, the desk follows.
    pub fn start(&mut self) {
        self.phone(PhoneAct::Register);
    }

    /// The shift ends. Calls in progress are left to the phone.
    pub fn finish(&mut self) {
        self.desk(DeskCommand::SignOut);
        self.phone(PhoneAct::Unregister);
        self.state = State::Away;
    }

    /// Takes a report of the agent's phone.
    pub fn handle_phone(&mut self, now: Time, report: &PhoneReport) {
        match (report, &self.state) {
            (PhoneReport::Registered { .. }, State::Away) => {
                self.state = State::SigningIn;
                self.desk(DeskCommand::SignIn);
            }
            (PhoneReport::Ringing(ringing), State::Free | State::WrappingUp { .. } | State::Resting { .. }) => {
                self.on_ringing(now, ringing.call);
            }
            // A second call on the same phone: one at a time.
            (PhoneReport::Ringing(ringing), _) => self.phone(PhoneAct::Decline(ringing.call, 486)),
            (PhoneReport::Answered { call }, State::Ringing { call: ours, .. }) if call == ours => {
                self.on_answered(now, *call);
            }
            (PhoneReport::Ended { call, .. }, State::Ringing { call: ours, .. }) if call == ours => {
                self.state = State::Free;
            }
            (PhoneReport::Ended { call, .. }, State::Talking { call: ours, .. }) if call == ours => {
                self.state = State::WrappingUp { until: now + self.habits.wrap_up.draw(&mut self.dice) };
            }
            _ => {}
        }
    }

    /// Takes what the desk tells.
    pub fn handle_desk(&mut self, now: Time, news: DeskNews) {
        match (news, &self.state) {
            (DeskNews::SignedIn, State::SigningIn) => self.ready(),
            (DeskNews::SetNotReady, State::Free | State::Ringing { .. }) | (DeskNews::Refused, State::Free) => {
                self.rest(now);
            }
            (DeskNews::Refused, State::SigningIn) => self.rest(now),
            (DeskNews::WrapUpOver, State::WrappingUp { .. }) => self.state = State::Free,
            _ => {}
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        match &mut self.state {
            State::Ringing { call, decision } => {
                let call = *call;
                match decision.take_if(|(at, _)| *at <= now) {
                    Some((_, Decision::Answer)) => self.phone(PhoneAct::Answer(call)),
                    Some((_, Decision::Decline)) => {
                        let status = self.habits.decline_status;
                        self.phone(PhoneAct::Decline(call, status));
                    }
                    None => {}
                }
            }
            State::Talking { next, .. } => {
                if let Some((_, act)) = next.pop_front_if(|(at, _)| *at <= now) {
                    self.phone(act);
                }
            }
            State::WrappingUp { until } if *until <= now => self.on_wrapped_up(now),
            State::Resting { until } if *until <= now => self.ready(),
            _ => {}
        }
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        match &self.state {
            State::Ringing { decision, .. } => decision.as_ref().map(|(at, _)| *at),
            State::Talking { next, .. } => next.front().map(|(at, _)| *at),
            State::WrappingUp { until } | State::Resting { until } => Some(*until),
            State::Away | State::SigningIn | State::Free => None,
        }
    }

    /// The call that rings or is up.
    pub fn at_call(&self) -> Option<CallKey> {
        match &self.state {
            State::Ringing { call, .. } | State::Talking { call, .. } => Some(*call),
            _ => None,
        }
    }

    pub fn poll_action(&mut self) -> Option<AgentAction> {
        self.actions.pop_front()
    }

    fn on_ringing(&mut self, now: Time, call: CallKey) {
        let at = now + self.habits.answer_delay.draw(&mut self.dice);
        let roll = self.dice.below(1_000);
        let lets_ring = self.habits.lets_ring_permille;
        let decision = match roll {
            roll if roll < lets_ring => None,
            roll if roll < lets_ring + self.habits.declines_permille => Some((at, Decision::Decline)),
            _ => Some((at, Decision::Answer)),
        };
        self.state = State::Ringing { call, decision };
    }

    fn on_answered(&mut self, now: Time, call: CallKey) {
        let Self { habits, dice, .. } = self;
        let (mut next, mut at) = (VecDeque::new(), now);
        if happens(dice, habits.holds_permille) {
            at += habits.talk.draw(dice) / 2;
            next.push_back((at, PhoneAct::Hold(call)));
            at += habits.hold.draw(dice);
            next.push_back((at, PhoneAct::Resume(call)));
        }
        at += habits.talk.draw(dice);
        let transfer = happens(dice, habits.transfers_permille);
        match pick(dice, &habits.transfer_to).filter(|_| transfer) {
            Some(to) => next.push_back((at, PhoneAct::Transfer(call, to.clone()))),
            None if happens(dice, habits.hangs_up_permille) => next.push_back((at, PhoneAct::HangUp(call))),
            None => {}
        }
        self.state = State::Talking { call, next };
    }

    fn on_wrapped_up(&mut self, now: Time) {
        let code = pick(&mut self.dice, &self.habits.wrap_codes).cloned();
        if let Some(code) = code {
            self.desk(DeskCommand::WrapUp { code });
        }
        if happens(&mut self.dice, self.habits.breaks_permille) {
            let reason = self.habits.break_reason.clone();
            self.desk(DeskCommand::NotReady { reason });
            self.rest(now);
        } else {
            self.ready();
        }
    }

    fn ready(&mut self) {
        self.state = State::Free;
        self.desk(DeskCommand::Ready);
    }

    fn rest(&mut self, now: Time) {
        // Never shorter than a second: a refused Ready must not become a loop.
        let rest = self.habits.rest.draw(&mut self.dice).max(Duration::from_secs(1));
        self.state = State::Resting { until: now + rest };
    }

    fn phone(&mut self, act: PhoneAct) {
        self.actions.push_back(AgentAction::Phone(act));
    }

    fn desk(&mut self, command: DeskCommand) {
        self.actions.push_back(AgentAction::Desk(command));
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{EndedBy, Ending, Ringing};
    use super::*;

    const CALL: CallKey = CallKey(1);

    fn rings(call: CallKey) -> PhoneReport {
        let (dialled, from) = ("1001".into(), "+4930".into());
        PhoneReport::Ringing(Ringing { call, dialled, from, from_display: None, asserted: None, cti_call: None })
    }

    fn free_agent(habits: AgentHabits) -> Agent {
        let mut agent = Agent::new(habits, 1);
        agent.start();
        agent.handle_phone(Time::EPOCH, &PhoneReport::Registered { expires_s: 300 });
        agent.handle_desk(Time::EPOCH, DeskNews::SignedIn);
        let said: Vec<AgentAction> = core::iter::from_fn(|| agent.poll_action()).collect();
        let desk = AgentAction::Desk;
        assert_eq!(said, [AgentAction::Phone(PhoneAct::Register), desk(DeskCommand::SignIn), desk(DeskCommand::Ready)]);
        agent
    }

    /// Runs the agent's own clock until nothing is due, and notes what it does.
    fn run(agent: &mut Agent) -> Vec<AgentAction> {
        let mut actions = Vec::new();
        while let Some(at) = agent.poll_timeout() {
            agent.handle_timeout(at);
            actions.extend(core::iter::from_fn(|| agent.poll_action()));
        }
        actions
    }

    fn ended() -> PhoneReport {
        PhoneReport::Ended { call: CALL, ending: Ending { status: 200, by: EndedBy::Them } }
    }

    #[test]
    fn an_agent_answers_talks_wraps_up_with_a_code_and_is_ready_again() {
        let (holds_permille, hangs_up_permille, breaks_permille) = (1_000, 1_000, 0);
        let wrap_codes = vec!["resolved".to_owned()];
        let habits =
            AgentHabits { holds_permille, hangs_up_permille, breaks_permille, wrap_codes, ..AgentHabits::default() };
        let mut agent = free_agent(habits);
        agent.handle_phone(Time::EPOCH, &rings(CALL));
        assert_eq!(run(&mut agent), [AgentAction::Phone(PhoneAct::Answer(CALL))]);
        agent.handle_phone(Time::from_secs(4), &PhoneReport::Answered { call: CALL });
        let talk = [PhoneAct::Hold(CALL), PhoneAct::Resume(CALL), PhoneAct::HangUp(CALL)].map(AgentAction::Phone);
        assert_eq!(run(&mut agent), talk);
        agent.handle_phone(Time::from_secs(90), &ended());
        let after = [DeskCommand::WrapUp { code: "resolved".into() }, DeskCommand::Ready].map(AgentAction::Desk);
        assert_eq!(run(&mut agent), after);
    }

    #[test]
    fn an_agent_who_lets_it_ring_is_set_not_ready_and_comes_back_after_a_rest() {
        let mut agent = free_agent(AgentHabits { lets_ring_permille: 1_000, ..AgentHabits::default() });
        agent.handle_phone(Time::EPOCH, &rings(CALL));
        assert_eq!((agent.poll_timeout(), agent.poll_action()), (None, None));
        agent.handle_phone(Time::from_secs(20), &ended());
        agent.handle_desk(Time::from_secs(20), DeskNews::SetNotReady);
        assert!(agent.poll_timeout() >= Some(Time::from_secs(50)));
        assert_eq!(run(&mut agent), [AgentAction::Desk(DeskCommand::Ready)]);
    }

    #[test]
    fn a_declined_call_leaves_the_agent_free() {
        let mut agent = free_agent(AgentHabits { declines_permille: 1_000, ..AgentHabits::default() });
        agent.handle_phone(Time::EPOCH, &rings(CALL));
        assert_eq!(run(&mut agent), [AgentAction::Phone(PhoneAct::Decline(CALL, 486))]);
        agent.handle_phone(Time::from_secs(3), &ended());
        agent.handle_phone(Time::from_secs(4), &rings(CallKey(2)));
        assert_eq!(run(&mut agent), [AgentAction::Phone(PhoneAct::Decline(CallKey(2), 486))]);
    }

    #[test]
    fn a_second_call_meets_busy_and_a_break_is_taken_with_its_reason() {
        let mut agent = free_agent(AgentHabits { breaks_permille: 1_000, ..AgentHabits::default() });
        agent.handle_phone(Time::EPOCH, &rings(CALL));
        agent.handle_phone(Time::EPOCH, &rings(CallKey(2)));
        assert_eq!(agent.poll_action(), Some(AgentAction::Phone(PhoneAct::Decline(CallKey(2), 486))));
        agent.handle_phone(Time::from_secs(4), &PhoneReport::Answered { call: CALL });
        agent.handle_phone(Time::from_secs(9), &ended());
        let actions = run(&mut agent);
        assert!(matches!(&actions[0], AgentAction::Desk(DeskCommand::WrapUp { .. })));
        let reason = "break".to_owned();
        assert_eq!(actions[1..], [DeskCommand::NotReady { reason }, DeskCommand::Ready].map(AgentAction::Desk));
    }
}
