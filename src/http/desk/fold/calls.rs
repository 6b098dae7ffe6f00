//! Calls: legs, the caller's card, where the IVR is, offers, talk and its end.

use std::collections::BTreeSet;

use super::super::entity::{Address, Agent, Answer, Call, CallState, Card, IvrPlace, Leg, LegState, Offer, Recording};
use crate::event::{self, Event, Fact, Role};
use crate::http::wire::Moment;
use crate::ids::{AgentName, CallId, LegId, QueueName};
use crate::limits::http as limits;

use super::{Desk, Touched};

impl Desk {
    pub(super) fn on_call(&mut self, event: &Event, touched: &mut Touched) {
        let Some(id) = event.call else { return };
        let at = Moment(event.at);
        if let Fact::CallAccepted { leg, direction, from, to, dialplan, .. } = &event.fact {
            let mut call = new_call(id, event, *direction, from, to);
            call.ivr = dialplan.clone().map(|dialplan| IvrPlace { dialplan, state: String::new() });
            call.legs.push(new_leg(*leg, Role::Caller, from, None, at));
            self.calls.insert(id, call);
            return self.touch_call(id, event, touched);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        match &event.fact {
            Fact::CustomerMatched { card } => call.customer = Some(Card::from(card)),
            Fact::CallStepped { dialplan, state, .. } => {
                call.ivr = Some(IvrPlace { dialplan: dialplan.clone(), state: state.clone() });
            }
            Fact::CallCollected { answer } => call.answers.push(Answer::from(answer)),
            Fact::LegAdded { leg, role, to, agent } if call.legs.len() < limits::DESK_LEGS => {
                call.legs.push(new_leg(*leg, *role, to, agent.clone(), at));
            }
            Fact::LegRinging { leg, .. } => set_leg(call, *leg, LegState::Ringing, at),
            Fact::LegAnswered { leg, .. } => {
                set_leg(call, *leg, LegState::Answered, at);
                let Some(leg) = call.legs.iter().find(|l| l.id == *leg) else { return };
                if leg.role == Role::Caller {
                    call.answered.get_or_insert(at);
                }
                let seated = |agent: &&Agent| leg.account.is_some() && agent.account == leg.account;
                let spoke = self.spoke.entry(id).or_default();
                match &leg.agent {
                    Some(agent) => drop(spoke.insert(agent.clone())),
                    None => spoke.extend(self.agents.values().filter(seated).map(|agent| agent.id.clone())),
                }
            }
            Fact::LegEnded { leg, .. } => set_leg(call, *leg, LegState::Ended, at),
            Fact::LegHeld { leg, .. } => set_held(call, *leg, true),
            Fact::LegResumed { leg, .. } => set_held(call, *leg, false),
            Fact::RecordingStarted { .. } => call.recording = Recording::On,
            Fact::RecordingMasked { masked, .. } => {
                call.recording = if *masked { Recording::Masked } else { Recording::On };
            }
            Fact::RecordingSealed { .. } => call.recording = Recording::Off,
            Fact::RecordingFailed { .. } => call.recording = Recording::Failed,
            Fact::CallOffered { agent, leg, deadline, card, answers, .. } => {
                call.customer = Some(Card::from(card));
                call.answers = answers.iter().map(Answer::from).collect();
                call.offers.push(Offer { agent: agent.clone(), leg: *leg, deadline: Moment(*deadline) });
                let left = self.touch_agent(agent, event, touched).call.replace(id);
                touched.calls.extend(left);
                self.offer_in_queue(id, event, touched);
            }
            Fact::OfferEnded { leg, agent, outcome } => {
                call.offers.retain(|offer| offer.leg != *leg);
                if *outcome != event::OfferOutcome::Answered {
                    let entry = self.agents.get_mut(agent).filter(|entry| entry.call == Some(id));
                    if let Some(entry) = entry {
                        (entry.call, entry.rev) = (None, event.seq);
                        touched.agents.insert(agent.clone());
                    }
                }
                self.offer_in_queue(id, event, touched);
            }
            Fact::CallEnded { cause } => {
                (call.ended, call.cause) = (Some(at), Some(*cause));
                call.offers.clear();
                call.legs.iter_mut().for_each(|leg| leg.state = LegState::Ended);
                call.recording = Recording::Off;
                let keys: Vec<(QueueName, CallId)> = self.waiting.keys().filter(|key| key.1 == id).cloned().collect();
                for key in keys {
                    self.waiting.remove(&key);
                    self.touch_queue(&key.0, event, touched);
                    self.count_waiting(&key.0);
                    touched.waiting.insert(key);
                }
            }
            Fact::LegsConnected { .. }
            | Fact::LegAdded { .. }
            | Fact::CallTransferred { .. }
            | Fact::InteractionWrapped { .. } => {}
            _ => return,
        }
        self.touch_call(id, event, touched);
    }

    /// Marks the call and derives its state anew.
    pub(super) fn touch_call(&mut self, id: CallId, event: &Event, touched: &mut Touched) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.rev = event.seq;
        call.state = state_of(call);
        touched.calls.insert(id);
    }

    /// Ended calls go when nobody wraps them up any more, or when there are too many.
    pub(super) fn forget_ended(&mut self, touched: &mut Touched) {
        let held: BTreeSet<CallId> = self.agents.values().filter_map(|agent| agent.call).collect();
        for id in &touched.calls {
            if self.calls.get(id).is_some_and(|call| call.ended.is_some()) && !held.contains(id) {
                self.calls.remove(id);
            }
        }
        if self.calls.len() <= limits::DESK_CALLS {
            return;
        }
        let oldest_ended = self.calls.values().find(|call| call.ended.is_some()).map(|call| call.id);
        if let Some(id) = oldest_ended {
            self.calls.remove(&id);
            touched.calls.insert(id);
        }
    }
}

fn state_of(call: &Call) -> CallState {
    let live = || call.legs.iter().filter(|leg| leg.state != LegState::Ended);
    let talking = live().filter(|leg| leg.state == LegState::Answered).count() > 1;
    if call.ended.is_some() {
        return CallState::Ended;
    }
    if talking {
        return if live().any(|leg| leg.held) { CallState::Held } else { CallState::Talking };
    }
    match (call.offers.is_empty(), call.queue_since.is_some()) {
        (false, _) => CallState::Offered,
        (true, true) => CallState::Waiting,
        (true, false) if call.ivr.is_some() && live().all(|leg| leg.role == Role::Caller) => CallState::Ivr,
        (true, false) => CallState::Ringing,
    }
}

fn set_leg(call: &mut Call, id: LegId, state: LegState, at: Moment) {
    if let Some(leg) = call.legs.iter_mut().find(|leg| leg.id == id) {
        (leg.state, leg.since) = (state, at);
        leg.held &= state != LegState::Ended;
    }
}

fn set_held(call: &mut Call, id: LegId, held: bool) {
    if let Some(leg) = call.legs.iter_mut().find(|leg| leg.id == id) {
        leg.held = held;
    }
}

fn new_call(
    id: CallId,
    event: &Event,
    direction: event::Direction,
    from: &event::Address,
    to: &event::Address,
) -> Call {
    Call {
        id,
        rev: event.seq,
        state: CallState::Ivr,
        direction,
        from: Address::from(from),
        to: Address::from(to),
        since: Moment(event.at),
        answered: None,
        ended: None,
        cause: None,
        customer: None,
        answers: Vec::new(),
        ivr: None,
        queue: None,
        queue_since: None,
        priority: 0,
        offers: Vec::new(),
        legs: Vec::new(),
        recording: Recording::Off,
    }
}

fn new_leg(id: LegId, role: Role, at: &event::Address, agent: Option<AgentName>, since: Moment) -> Leg {
    let (number, account) = (at.number.clone(), at.account.clone());
    Leg { id, role, number, account, agent, state: LegState::Dialling, since, held: false }
}

impl From<&event::Address> for Address {
    fn from(address: &event::Address) -> Self {
        Self { number: address.number.clone(), name: address.name.clone() }
    }
}
