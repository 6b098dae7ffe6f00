//! Agents: state, seat, phones, skills.

use std::collections::BTreeMap;

use super::super::entity::Agent;
use crate::event::{AgentState, Event, Fact, Seq};
use crate::http::wire::Moment;
use crate::ids::{AccountName, AgentName};
use crate::time::Time;

use super::{Desk, Touched};

impl Desk {
    pub(super) fn on_agent(&mut self, event: &Event, touched: &mut Touched) {
        match &event.fact {
            Fact::AgentSignedIn { agent, account } => {
                let registered = self.phones.contains_key(account);
                let before = self.agents.get(agent).and_then(|agent| agent.account.clone());
                for seat in before.iter().chain([account]) {
                    touched.calls.extend(self.calls_at(seat));
                }
                let agent = self.touch_agent(agent, event, touched);
                (agent.account, agent.registered, agent.linked) = (Some(account.clone()), registered, true);
                if agent.state == AgentState::SignedOut {
                    (agent.state, agent.since) = (AgentState::NotReady, Moment(event.at));
                }
            }
            Fact::AgentStateChanged { agent, state, reason, deadline } => {
                let agent = self.touch_agent(agent, event, touched);
                if agent.state != *state || agent.reason != *reason {
                    agent.since = Moment(event.at);
                }
                (agent.state, agent.reason) = (*state, reason.clone());
                agent.deadline = deadline.map(Moment);
                let at_work = matches!(state, AgentState::Offered | AgentState::Talking | AgentState::WrapUp);
                let left = if at_work { None } else { agent.call.take() };
                touched.calls.extend(left);
            }
            Fact::AgentSignedOut { agent } => {
                let seat = self.agents.get(agent).and_then(|agent| agent.account.clone());
                touched.calls.extend(seat.iter().flat_map(|seat| self.calls_at(seat)));
                let agent = self.touch_agent(agent, event, touched);
                (agent.state, agent.since) = (AgentState::SignedOut, Moment(event.at));
                (agent.account, agent.registered, agent.deadline) = (None, false, None);
                agent.reason.clear();
                let left = agent.call.take();
                touched.calls.extend(left);
            }
            Fact::AgentLinkLost { agent } => self.touch_agent(agent, event, touched).linked = false,
            Fact::AgentLinkRestored { agent } => self.touch_agent(agent, event, touched).linked = true,
            Fact::PhoneRegistered { account, contact, .. } => {
                self.phones.entry(account.clone()).or_default().insert(contact.clone());
                self.on_phone(account, event, touched);
            }
            Fact::PhoneUnregistered { account, contact, .. } => {
                if let Some(contacts) = self.phones.get_mut(account) {
                    contacts.remove(contact);
                    if contacts.is_empty() {
                        self.phones.remove(account);
                    }
                }
                self.on_phone(account, event, touched);
            }
            _ => {}
        }
    }

    pub(super) fn on_phone(&mut self, account: &AccountName, event: &Event, touched: &mut Touched) {
        let registered = self.phones.contains_key(account);
        let seated = self.agents.values().find(|agent| agent.account.as_ref() == Some(account));
        let changed = seated.filter(|agent| agent.registered != registered).map(|agent| agent.id.clone());
        if let Some(name) = changed {
            self.touch_agent(&name, event, touched).registered = registered;
        }
    }

    pub(super) fn touch_agent(&mut self, name: &AgentName, event: &Event, touched: &mut Touched) -> &mut Agent {
        touched.agents.insert(name.clone());
        let fresh = self.new_agent(name, event.seq, event.at);
        let agent = self.agents.entry(name.clone()).or_insert(fresh);
        agent.rev = event.seq;
        agent
    }

    pub(super) fn new_agent(&self, name: &AgentName, rev: Seq, at: Time) -> Agent {
        Agent {
            id: name.clone(),
            rev,
            display: String::new(),
            state: AgentState::SignedOut,
            reason: String::new(),
            since: Moment(at),
            deadline: None,
            account: None,
            registered: false,
            linked: true,
            call: None,
            skills: BTreeMap::new(),
            queues: self.served_by(name, &BTreeMap::new()),
        }
    }
}
