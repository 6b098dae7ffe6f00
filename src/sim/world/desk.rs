//! The CTI side of the simulated people: what agents and supervisors order, and what they are told.

use core::time::Duration;

use super::super::agent::{DeskCommand, DeskNews};
use super::super::chance::{Spread, happens, pick};
use super::super::seed::{self, SUPERVISOR};
use super::{Happening, World};
use crate::command::{Actor, Command, Done, ForcedState, Order, Refusal, UserRole};
use crate::event::{AgentState, Event, Fact, OfferOutcome, RecordKind};
use crate::ids::{AgentName, CallId, QueueName};
use crate::switch::{CommandId, Input};

/// Who waits for the answer to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    SignIn(usize),
    Ready(usize),
    Nobody,
}

/// From a desk to the switch.
const DESK: Spread = Spread::millis(2, 30);

impl World<'_> {
    /// An agent does something at the desk.
    pub(super) fn on_desk(&mut self, at: usize, command: DeskCommand) {
        let Some(seat) = &self.parties[at].seat else { return };
        let (name, account, call) = (seat.name.clone(), seat.account.clone(), seat.call);
        let call = call.unwrap_or(CallId::from_u128(0));
        let (order, asked) = match command {
            DeskCommand::SignIn => (Order::SignIn { account }, Asked::SignIn(at)),
            DeskCommand::Ready => (Order::Ready {}, Asked::Ready(at)),
            DeskCommand::NotReady { reason } => (Order::NotReady { reason }, Asked::Nobody),
            DeskCommand::WrapUp { code } => {
                (Order::Wrap { call, code, notes: "noted".to_owned(), finish: true }, Asked::Nobody)
            }
            DeskCommand::SignOut => (Order::SignOut {}, Asked::Nobody),
        };
        self.order_after(Duration::ZERO, &name, UserRole::Agent, order, asked);
    }

    fn order_after(&mut self, span: Duration, by: &AgentName, role: UserRole, order: Order, asked: Asked) {
        let command = Command { by: Actor { user: by.clone(), role }, order };
        let span = span + DESK.draw(&mut self.dice);
        self.after(span, Happening::Order { command, asked });
    }

    pub(super) fn give_order(&mut self, command: Command, asked: Asked) {
        self.last_command += 1;
        let id = CommandId(self.last_command);
        self.asked.insert(id, asked);
        self.note(None, format!("order by {}: {:?}", command.by.user, command.order));
        self.tell(Input::Command { id, command });
        if self.asked.remove(&id).is_some() {
            self.blame(None, "an order was not answered".to_owned());
        }
    }

    pub(super) fn on_answer(&mut self, id: CommandId, result: Result<Done, Refusal>) {
        let Some(asked) = self.asked.remove(&id) else {
            return self.blame(None, format!("an order was answered twice, or never given: {result:?}"));
        };
        if let Err(refusal) = &result {
            self.note(None, format!("refused: {refusal}"));
        }
        let (at, news) = match (asked, result.is_ok()) {
            (Asked::SignIn(at), true) => (at, DeskNews::SignedIn),
            (Asked::SignIn(at) | Asked::Ready(at), false) => (at, DeskNews::Refused),
            (Asked::Ready(_), true) | (Asked::Nobody, _) => return,
        };
        self.tell_desk(at, news);
    }

    fn tell_desk(&mut self, at: usize, news: DeskNews) {
        let now = self.now;
        let Some(seat) = &mut self.parties[at].seat else { return };
        seat.agent.handle_desk(now, news);
        // The agent acts on its own time, not within the switch's step.
        self.at(now, Happening::Party(at));
    }

    /// What a desk shows, and what people make of it.
    pub(super) fn on_news(&mut self, event: &Event) {
        match &event.fact {
            Fact::AgentStateChanged { agent, state, reason, .. } => self.on_agent_state(agent, *state, reason),
            Fact::AgentSignedOut { agent } => self.on_signed_out(agent),
            Fact::CallOffered { agent, .. } => {
                let Some(call) = event.call else { return };
                if let Some(seat) = self.agents.get(agent).and_then(|at| self.parties[*at].seat.as_mut()) {
                    seat.call = Some(call);
                }
                if happens(&mut self.dice, 30) {
                    let after = Spread::millis(300, 4_000).draw(&mut self.dice);
                    self.order_after(after, agent, UserRole::Agent, Order::Decline { call }, Asked::Nobody);
                }
            }
            Fact::OfferEnded { agent, outcome: OfferOutcome::Answered, .. } => {
                if let Some(call) = event.call {
                    self.on_talking(agent, call);
                }
            }
            Fact::QueueEntered { .. } => {
                if let Some(call) = event.call {
                    self.on_waiting(call);
                }
            }
            _ => {}
        }
    }

    fn on_agent_state(&mut self, agent: &AgentName, state: AgentState, reason: &str) {
        let Some(at) = self.agents.get(agent).copied() else { return };
        let Some(seat) = &mut self.parties[at].seat else { return };
        let was = core::mem::replace(&mut seat.wrapping, state == AgentState::WrapUp);
        if was && state != AgentState::WrapUp {
            self.tell_desk(at, DeskNews::WrapUpOver);
        }
        if state == AgentState::NotReady && reason.starts_with("system:") {
            self.tell_desk(at, DeskNews::SetNotReady);
        }
    }

    /// Signed out by somebody else: back in after a while.
    fn on_signed_out(&mut self, agent: &AgentName) {
        let Some(at) = self.agents.get(agent).copied() else { return };
        let Some(seat) = self.parties[at].seat.as_ref().filter(|seat| seat.on_shift) else { return };
        let (name, account) = (seat.name.clone(), seat.account.clone());
        let again = Spread::secs(10, 60).draw(&mut self.dice);
        self.order_after(again, &name, UserRole::Agent, Order::SignIn { account }, Asked::Nobody);
    }

    /// Orders in a conversation, by the desk instead of the phone's keys.
    fn on_talking(&mut self, agent: &AgentName, call: CallId) {
        if self.setting.calm {
            return;
        }
        let dice = &mut self.dice;
        let (soon, later) = (Spread::secs(1, 10).draw(dice), Spread::secs(12, 25).draw(dice));
        let to = ["queue:service", "1002", "agent3", "2002", "2004", "13800138002", "13800138003", "nobody"];
        let to = pick(dice, &to).map_or(String::new(), |to| (*to).to_owned());
        let orders: Vec<(Duration, Order)> = match dice.below(40) {
            0..4 => vec![(soon, Order::Hold { call }), (later, Order::Retrieve { call })],
            4..8 => vec![(soon, Order::Transfer { call, to })],
            8 | 9 => vec![(soon, Order::SendDigits { call, digits: "12#".to_owned() })],
            10 => vec![(later, Order::HangUp { call })],
            11 => vec![(soon, Order::Hold { call }), (later, Order::Transfer { call, to })],
            12 => vec![(soon, Order::Hold { call }), (soon, Order::Hold { call }), (later, Order::HangUp { call })],
            13 => vec![(later * 3, Order::ExtendWrap {})],
            _ => Vec::new(),
        };
        for (after, order) in orders {
            self.order_after(after, agent, UserRole::Agent, order, Asked::Nobody);
        }
    }

    /// A supervisor moves callers about.
    fn on_waiting(&mut self, call: CallId) {
        if self.setting.calm || !happens(&mut self.dice, 60) {
            return;
        }
        let queues = ["sales", "billing", "laptop", "service", "gold", "night"];
        let queue = QueueName::new(pick(&mut self.dice, &queues).copied().unwrap_or_default());
        let order = match self.dice.below(3) {
            0 => Order::SetPriority { call, priority: 50 },
            1 => Order::HangUp { call },
            _ => Order::Move { call, queue },
        };
        let after = Spread::secs(1, 15).draw(&mut self.dice);
        self.order_after(after, &SUPERVISOR.into(), UserRole::Supervisor, order, Asked::Nobody);
    }

    /// Once a minute: somebody is put into a state, gets other skills, or calls out.
    pub(super) fn round(&mut self) {
        let names = core::mem::take(&mut self.names);
        let agent = seed::some_agent(&mut self.dice, &names).cloned();
        self.names = names;
        let Some(agent) = agent else { return };
        let supervisor = &SUPERVISOR.into();
        match self.dice.below(8) {
            0 | 1 => {
                let states = [ForcedState::Ready, ForcedState::NotReady, ForcedState::SignedOut];
                let state = pick(&mut self.dice, &states).copied().unwrap_or(ForcedState::Ready);
                let order = Order::ForceState { agent, state, reason: "break".to_owned() };
                self.order_after(Duration::ZERO, supervisor, UserRole::Supervisor, order, Asked::Nobody);
            }
            2 | 3 => {
                let profile = seed::profile(&agent, &mut self.dice);
                let record = serde_json::to_value(profile).unwrap_or_default();
                let order = Order::SaveRecord { kind: RecordKind::Agent, record };
                self.order_after(Duration::ZERO, supervisor, UserRole::Supervisor, order, Asked::Nobody);
            }
            4..7 => {
                let to = ["2001", "2003", "1001", "agent2", "13800138000", "13800138003", "110", "queue:sales"];
                let to = pick(&mut self.dice, &to).map_or(String::new(), |to| (*to).to_owned());
                self.order_after(Duration::ZERO, &agent, UserRole::Agent, Order::Dial { to }, Asked::Nobody);
            }
            _ => {
                let order = Order::SignOut {};
                self.order_after(Duration::ZERO, &agent, UserRole::Agent, order, Asked::Nobody);
            }
        }
    }

    pub(super) fn order_drain(&mut self) {
        self.closing = true;
        self.order_after(Duration::ZERO, &"root".into(), UserRole::Admin, Order::Drain {}, Asked::Nobody);
    }
}
