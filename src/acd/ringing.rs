//! Offers: a reservation is a lease with a deadline, one answer wins, a failed one goes to the next agent.
//!
//! ```text
//! waiting ── offer ──▶ ringing ── answered ─────────────▶ left the queue, agent talks
//!    ▲                    │  no answer (deadline), declined, busy, unreachable: this lease ends
//!    └── no lease left ───┘  (the clock is kept, so the call stands before all who came later)
//! ```

use super::agent::{Agent, NotReady, Serving, Wish};
use super::distributor::Acd;
use super::output::{Claim, Outcome, Output, OverflowWhy, Withdrawn};
use super::settings::Action;
use super::strategy::Strategy;
use crate::ids::{AgentName, CallId};
use crate::time::Time;

impl Acd {
    /// What became of one agent's ringing for one call.
    pub fn handle_offer_outcome(&mut self, now: Time, call: CallId, agent: &AgentName, outcome: Outcome) -> Claim {
        if !self.calls.get(&call).is_some_and(|call| call.rings_at(agent)) {
            return Claim::TooLate;
        }
        self.step += 1;
        match outcome {
            Outcome::Answered => self.answer(now, call, agent),
            Outcome::NoAnswer | Outcome::Declined | Outcome::Busy | Outcome::Unreachable => {
                self.lose(now, call, agent, outcome);
            }
        }
        self.settle(now);
        Claim::Taken
    }

    fn answer(&mut self, now: Time, id: CallId, name: &AgentName) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.leases.retain(|lease| lease.agent != *name);
        }
        self.free(name);
        let Some(call) = self.take_out(id, Withdrawn::AnsweredElsewhere) else { return };
        let wait = now.since(call.entered);
        let queue = self.queue_mut(call.queue);
        let rules = queue.rules.clone();
        queue.figures.answers(wait, &rules);
        queue.patience.endured(wait);
        if let Some((p50, p90)) = call.predicted {
            queue.figures.estimate_came_true(wait, p50, p90);
        }
        if let Some(agent) = self.agents.get_mut(name) {
            // An answer is a live leg; the switch's own count follows and overrides this one.
            agent.live_legs = agent.live_legs.max(1);
            agent.missed = 0;
            agent.calls = agent.calls.saturating_add(1);
            let queue = rules.name.clone();
            agent.serving = Some(Serving { call: id, queue, answered: now, ended: None, rules: rules.clone() });
        }
        let queue = rules.name.clone();
        self.outputs.push_back(Output::Connected { call: id, queue, agent: name.clone(), waited: wait });
    }

    /// One lease ends without an answer.
    fn lose(&mut self, now: Time, id: CallId, name: &AgentName, outcome: Outcome) {
        let Some(index) = self.end_lease(id, name) else { return };
        self.queue_mut(index).figures.offers_failed += 1;
        let (limit, back_off) = (self.queue(index).rules.no_answer_limit, self.settings.back_off);
        let Some(agent) = self.agents.get_mut(name) else { return };
        let rest = match outcome {
            Outcome::NoAnswer => {
                agent.missed += 1;
                if agent.missed >= limit {
                    agent.missed = 0;
                    // Who asked for a break while the phone rang keeps that reason.
                    if agent.wish == Wish::Ready {
                        turn_not_ready(agent, NotReady::NoAnswer);
                    }
                    return;
                }
                back_off.no_answer
            }
            Outcome::Declined => back_off.declined,
            Outcome::Busy => back_off.busy,
            Outcome::Unreachable | Outcome::Answered => back_off.unreachable,
        };
        agent.back_off_until = Some(now + rest);
    }

    /// Takes one lease away. A call with none left waits again and may be offered at once. Returns its queue.
    pub(super) fn end_lease(&mut self, id: CallId, name: &AgentName) -> Option<usize> {
        let call = self.calls.get_mut(&id)?;
        call.leases.retain(|lease| lease.agent != *name);
        let (queue, rings) = (call.queue, call.rings());
        if !rings {
            call.widen_at = None;
            self.pending.offerable.insert(id);
        }
        self.pending.calls.insert(id);
        self.free(name);
        Some(queue)
    }

    /// The agent is not reserved any more.
    pub(super) fn free(&mut self, name: &AgentName) {
        if let Some(agent) = self.agents.get_mut(name) {
            agent.offered = None;
            self.pending.agents.insert(name.clone());
        }
    }

    /// Stops the ringing at an agent who cannot answer any more.
    pub(super) fn withdraw_from(&mut self, name: &AgentName) {
        let Some(id) = self.agents.get(name).and_then(|agent| agent.offered) else { return };
        self.end_lease(id, name);
        let why = Withdrawn::AgentGone;
        self.outputs.push_back(Output::OfferWithdrawn { call: id, agent: name.clone(), why });
    }

    pub(super) fn on_call_timer(&mut self, now: Time, id: CallId) {
        self.pending.calls.insert(id);
        let Some(call) = self.calls.get(&id) else { return };
        if call.rings() {
            self.on_ringing_timer(now, id);
        } else {
            self.on_waiting_timer(now, id);
        }
    }

    fn on_ringing_timer(&mut self, now: Time, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let over = call.leases.iter().filter(|lease| lease.deadline <= now);
        let over: Vec<AgentName> = over.map(|lease| lease.agent.clone()).collect();
        if call.widen_at.is_some_and(|at| at <= now) {
            let rules = &self.queues.get(call.queue).expect("a call's queue is there as long as the call").rules;
            // The strategy may have been configured away meanwhile.
            call.widen_at = (rules.strategy == Strategy::RingProgressively).then(|| now + rules.widen_every);
            self.pending.widen.insert(id);
        }
        for agent in over {
            self.lose(now, id, &agent, Outcome::NoAnswer);
            self.outputs.push_back(Output::OfferWithdrawn { call: id, agent, why: Withdrawn::NoAnswer });
        }
    }

    fn on_waiting_timer(&mut self, now: Time, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let queue = self.queue(call.queue);
        if queue.wait_deadline(call.entered) <= now {
            let action = queue.rules.overflow.after.as_ref().map_or(Action::HangUp, |(_, action)| action.clone());
            self.overflow_waiting(now, id, OverflowWhy::Time, action);
            return;
        }
        if call.announce_at.is_some_and(|at| at <= now) {
            self.pending.announce.insert(id);
        }
        self.pending.offerable.insert(id);
    }
}

pub(super) fn turn_not_ready(agent: &mut Agent, reason: NotReady) {
    agent.wish = Wish::NotReady(reason);
}
