//! Decisions: an agent who becomes free looks at all waiting calls, a call looks at all idle agents.
//!
//! Both meet in [`Acd::offer`], which judges every agent for one call, lets the fit and the strategy rank the
//! eligible, reserves the best, and keeps the explanation.

use std::sync::Arc;

use super::agent::{Agent, AgentState, NotReady, Wish};
use super::distributor::Acd;
use super::explain::{Explanation, Rival, Score, Trigger, Verdict, Verdicts};
use super::output::{Offer, Output};
use super::queue::Queue;
use super::settings::Fit;
use super::skill::Expression;
use super::strategy::{Facts, Strategy, Turn};
use super::waiting::{Lease, Waiting};
use crate::ids::{AgentName, CallId};
use crate::limits;
use crate::time::Time;

impl Acd {
    /// Offers whatever can be offered after an input. Nothing is scanned that the input cannot have changed.
    pub(super) fn decide(&mut self, now: Time) {
        self.advance_steps(now);
        let free: Vec<AgentName> = self.pending.agents.iter().filter(|name| self.is_idle(name, now)).cloned().collect();
        match free.as_slice() {
            [] if !self.pending.all => {
                self.calls_choose(now, self.in_order(&self.pending.offerable, now), &Trigger::Call)
            }
            [agent] if !self.pending.all && self.pending.offerable.is_empty() => self.agent_chooses(now, agent),
            _ => {
                let everyone = self.calls.keys().copied().collect();
                self.calls_choose(now, self.in_order(&everyone, now), &Trigger::All);
            }
        }
        for id in core::mem::take(&mut self.pending.widen) {
            if self.calls.get(&id).is_some_and(|call| call.rings() && call.leases.len() < limits::ACD_RINGING) {
                self.offer(now, id, Trigger::Widen, Vec::new(), 0);
            }
        }
    }

    fn is_idle(&self, name: &AgentName, now: Time) -> bool {
        self.agents.get(name).is_some_and(|agent| agent.is_idle(now))
    }

    /// Brings the steps of touched calls up to their age.
    fn advance_steps(&mut self, now: Time) {
        let touched = self.pending.offerable.iter().chain(self.pending.calls.iter().filter(|_| self.pending.all));
        for id in touched {
            let Some(call) = self.calls.get_mut(id) else { continue };
            let queue = self.queues.get(call.queue).expect("a call's queue is there as long as the call");
            call.step = call.step_at(&queue.rules, now.since(call.clock), |step| queue.staff.lacks_step(step));
        }
    }

    /// Those of these calls that wait, in the order of service.
    fn in_order(&self, ids: &std::collections::BTreeSet<CallId>, now: Time) -> Vec<CallId> {
        let mut calls: Vec<_> = ids
            .iter()
            .filter_map(|id| self.calls.get(id))
            .filter(|call| !call.rings())
            .map(|call| (call.standing(&self.queue(call.queue).rules, now), call.id()))
            .collect();
        calls.sort_unstable();
        calls.into_iter().map(|(_, id)| id).collect()
    }

    fn calls_choose(&mut self, now: Time, order: Vec<CallId>, trigger: &Trigger) {
        if order.is_empty() {
            return;
        }
        let mut idle: Vec<AgentName> =
            self.agents.values().filter(|a| a.is_idle(now)).map(|a| a.entry.name.clone()).collect();
        for id in order {
            if idle.is_empty() {
                return;
            }
            let Some(call) = self.calls.get(&id) else { continue };
            let queue = self.queue(call.queue);
            let judge = Judge::new(&self.agents, queue, call, now);
            let takeable = idle.iter().filter_map(|name| self.agents.get(name));
            if takeable.into_iter().any(|agent| judge.verdict(agent).0 == Verdict::Eligible)
                && self.offer(now, id, trigger.clone(), Vec::new(), 0)
            {
                idle.retain(|name| self.is_idle(name, now));
            }
        }
    }

    /// The agent takes the call that stands first among all the agent may take; again, should it go to another.
    fn agent_chooses(&mut self, now: Time, name: &AgentName) {
        while self.is_idle(name, now) {
            let (rivals, takeable) = self.takeable(now, name);
            let Some(best) = rivals.first().map(|rival| rival.call) else { return };
            if !self.offer(now, best, Trigger::AgentFree(name.clone()), rivals, takeable) {
                return;
            }
        }
    }

    /// The calls that an idle agent may take, best first (as many as an explanation keeps), and their number.
    fn takeable(&self, now: Time, name: &AgentName) -> (Vec<Rival>, u16) {
        let mut best: Vec<Rival> = Vec::with_capacity(limits::ACD_RIVALS + 1);
        let mut count = 0u16;
        let agents = &self.agents;
        let Some(agent) = agents.get(name) else { return (best, 0) };
        for call in self.calls.values().filter(|call| !call.rings()) {
            let Some(queue) = self.queues.get(call.queue) else { continue };
            if agent.membership(call.queue).is_none() {
                continue;
            }
            if Judge::new(agents, queue, call, now).verdict(agent).0 != Verdict::Eligible {
                continue;
            }
            count = count.saturating_add(1);
            let rival = Rival { call: call.id(), standing: call.standing(&queue.rules, now) };
            let place = best.partition_point(|other| other.standing < rival.standing);
            if place < limits::ACD_RIVALS {
                best.insert(place, rival);
                best.truncate(limits::ACD_RIVALS);
            }
        }
        (best, count)
    }

    /// Offers one call to the best of its eligible agents. False: nobody is eligible.
    fn offer(&mut self, now: Time, id: CallId, trigger: Trigger, rivals: Vec<Rival>, takeable: u16) -> bool {
        let Some(call) = self.calls.get(&id) else { return false };
        let queue = self.queues.get(call.queue).expect("a call's queue is there as long as the call");
        let rules = queue.rules.clone();
        let width = match trigger {
            Trigger::Widen => 1,
            Trigger::Call | Trigger::AgentFree(_) | Trigger::All => rules.strategy.width(),
        };
        let judged = judge_all(&self.agents, queue, call, now, &mut self.stream);
        if judged.scores.is_empty() {
            return false;
        }
        let explanation = Arc::new(Explanation {
            at: now,
            call: id,
            queue: rules.name.clone(),
            step: u8::try_from(call.step).unwrap_or(u8::MAX),
            waited: now.since(call.entered),
            trigger,
            strategy: rules.strategy,
            fit: rules.fit,
            width: u8::try_from(width).unwrap_or(u8::MAX),
            roster: self.roster.clone(),
            eligible: u16::try_from(judged.scores.len()).unwrap_or(u16::MAX),
            scores: judged.scores.iter().take(limits::ACD_SCORES).copied().collect(),
            verdicts: judged.verdicts,
            rivals,
            takeable,
        });
        let chosen: Vec<u16> = judged.scores.iter().take(width).map(|score| score.agent).collect();
        let agents: Vec<AgentName> =
            chosen.iter().filter_map(|index| self.roster.names.get(usize::from(*index)).cloned()).collect();
        let last = agents.last().and_then(|name| self.agents.get(name)).map(|agent| {
            let index = chosen.last().copied().unwrap_or(0);
            position(agent, call.queue, usize::from(index))
        });
        let index = call.queue;
        self.queue_mut(index).last_position = last;
        self.reserve(now, id, agents, explanation);
        true
    }

    fn reserve(&mut self, now: Time, id: CallId, agents: Vec<AgentName>, explanation: Arc<Explanation>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let rules = &self.queues.get(call.queue).expect("a call's queue is there as long as the call").rules;
        let deadline = now + rules.ring_timeout;
        if rules.strategy == Strategy::RingProgressively && call.widen_at.is_none() {
            call.widen_at = Some(now + rules.widen_every);
        }
        for name in &agents {
            call.leases.push(Lease { agent: name.clone(), deadline, made_in: self.step });
            if let Some(agent) = self.agents.get_mut(name) {
                agent.offered = Some(id);
            }
            self.pending.agents.insert(name.clone());
        }
        self.pending.calls.insert(id);
        let offer = Offer { call: id, queue: rules.name.clone(), agents, deadline, explanation: explanation.clone() };
        self.outputs.push_back(Output::Offer(offer));
        self.remember(explanation);
    }

    /// Why this agent is not offered this call at this moment, in words; `None` where nothing stands between them or
    /// either is unknown. The kept decisions of the past are in [`Acd::explanations`].
    pub fn why_not(&self, now: Time, call: CallId, agent: &AgentName) -> Option<String> {
        let call = self.calls.get(&call)?;
        let agent = self.agents.get(agent)?;
        let queue = self.queue(call.queue);
        let (verdict, _) = Judge::new(&self.agents, queue, call, now).verdict(agent);
        let abilities = agent.entry.abilities(call.entry.language.as_ref());
        let step = queue.rules.steps.get(call.step).and_then(|step| step.expression.as_ref());
        let missing = match verdict {
            Verdict::Eligible => return None,
            Verdict::Unskilled => step.and_then(|expression| expression.missing(abilities)),
            Verdict::CallNeedsOther => {
                call.entry.requires.as_ref().and_then(|expression| expression.missing(abilities))
            }
            _ => None,
        };
        let missing = missing.map(|missing| format!(": {missing}")).unwrap_or_default();
        Some(format!("{} {verdict}{missing}.", agent.entry.name))
    }

    /// Why an agent has no call: own state first, then what every waiting call of the agent's queues wants.
    pub fn why_idle(&self, now: Time, agent: &AgentName) -> Vec<String> {
        let Some(known) = self.agents.get(agent) else { return vec![format!("{agent} is not on the roster.")] };
        if let Some(verdict) = own_verdict(known, now) {
            return vec![format!("{agent} {verdict}.")];
        }
        let queues: Vec<_> = (0..self.queues.len()).filter(|index| known.membership(*index).is_some()).collect();
        if queues.is_empty() {
            return vec![format!("{agent} is a member of no queue.")];
        }
        let calls = self.calls.values().filter(|call| !call.rings() && queues.contains(&call.queue));
        let reasons: Vec<String> = calls
            .filter_map(|call| Some(format!("{}: {}", call.id(), self.why_not(now, call.id(), agent)?)))
            .take(20)
            .collect();
        if reasons.is_empty() {
            vec![format!("No call waits in the {} queues of {agent}.", queues.len())]
        } else {
            reasons
        }
    }
}

/// Judges agents for one call.
pub(super) struct Judge<'a> {
    call: &'a Waiting,
    /// The expression of the call's current step.
    step: Option<&'a Expression>,
    now: Time,
    /// Only the preferred agent counts for now.
    held: bool,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        agents: &std::collections::BTreeMap<AgentName, Agent>,
        queue: &'a Queue,
        call: &'a Waiting,
        now: Time,
    ) -> Self {
        let preferred = call.entry.preferred.as_ref().and_then(|name| agents.get(name));
        let present = preferred.is_some_and(|agent| agent.signed_in && agent.membership(call.queue).is_some());
        let step = queue.rules.steps.get(call.step).and_then(|step| step.expression.as_ref());
        Self { call, step, now, held: call.held_for_preferred(&queue.rules, now, present) }
    }

    /// What stands between the agent and the call, and the fit where nothing does.
    pub(super) fn verdict(&self, agent: &Agent) -> (Verdict, u16) {
        if !agent.signed_in {
            return (Verdict::SignedOut, 0);
        }
        if let Some(verdict) = self.lacks(agent) {
            return (verdict, 0);
        }
        match own_verdict(agent, self.now) {
            Some(_) if self.call.rings_at(&agent.entry.name) => (Verdict::RingsAlready, 0),
            Some(verdict) => (verdict, 0),
            None if self.is_held_from(agent) => (Verdict::HeldForPreferred, 0),
            None => (Verdict::Eligible, self.fit(agent)),
        }
    }

    /// May the agent take the call, whatever the agent is doing now?
    pub(super) fn is_able(&self, agent: &Agent) -> bool {
        agent.signed_in && self.lacks(agent).is_none() && !self.is_held_from(agent)
    }

    fn is_held_from(&self, agent: &Agent) -> bool {
        self.held && self.call.entry.preferred.as_ref() != Some(&agent.entry.name)
    }

    /// What the agent lacks for good.
    fn lacks(&self, agent: &Agent) -> Option<Verdict> {
        let Some(belongs) = agent.membership(self.call.queue) else { return Some(Verdict::NotMember) };
        let abilities = agent.entry.abilities(self.call.entry.language.as_ref());
        let unskilled = self.step.is_some_and(|expression| {
            if expression.asks_language() {
                !expression.is_satisfied(abilities)
            } else {
                // Worked out when roster or settings changed.
                belongs.steps >> self.call.step & 1 == 0
            }
        });
        if unskilled {
            return Some(Verdict::Unskilled);
        }
        let asks = self.call.entry.requires.as_ref();
        asks.is_some_and(|expression| !expression.is_satisfied(abilities)).then_some(Verdict::CallNeedsOther)
    }

    /// The mean level in what queue and call ask for.
    fn fit(&self, agent: &Agent) -> u16 {
        let abilities = agent.entry.abilities(self.call.entry.language.as_ref());
        let fit = |expression: &Expression| expression.fit(abilities);
        match (self.step.and_then(fit), self.call.entry.requires.as_ref().and_then(fit)) {
            (Some(by_step), Some(by_call)) => by_step.midpoint(by_call),
            (one, other) => one.or(other).unwrap_or(0),
        }
    }
}

/// What stands between an agent who is signed in and any call at all.
fn own_verdict(agent: &Agent, now: Time) -> Option<Verdict> {
    Some(match agent.state() {
        AgentState::SignedOut => Verdict::SignedOut,
        AgentState::Offered { .. } => Verdict::Offered,
        AgentState::Talking { .. } | AgentState::Busy => Verdict::OnCall,
        AgentState::WrapUp { .. } => Verdict::WrapUp,
        AgentState::NotReady { reason } => match (&agent.wish, reason) {
            (Wish::Ready, NotReady::PhoneUnregistered) => Verdict::PhoneUnregistered,
            (Wish::Ready, NotReady::LinkLost) => Verdict::LinkLost,
            _ => Verdict::NotReady,
        },
        AgentState::Ready if agent.backs_off(now) => Verdict::BackOff,
        AgentState::Ready => return None,
    })
}

struct Judged {
    verdicts: Verdicts,
    /// Best first.
    scores: Vec<Score>,
}

fn judge_all(
    agents: &std::collections::BTreeMap<AgentName, Agent>,
    queue: &Queue,
    call: &Waiting,
    now: Time,
    stream: &mut crate::ids::IdSource,
) -> Judged {
    let rules = &queue.rules;
    let judge = Judge::new(agents, queue, call, now);
    let turn = Turn { last: queue.last_position, positions: positions(queue, agents.len()) };
    let mut judged = Judged { verdicts: Verdicts::default(), scores: Vec::new() };
    for (index, agent) in agents.values().enumerate() {
        let (verdict, fit) = judge.verdict(agent);
        judged.verdicts.push(verdict);
        if verdict == Verdict::Eligible {
            let facts = Facts {
                idle_since: agent.idle_since,
                position: position(agent, call.queue, index),
                calls: agent.calls,
                talk: agent.talk,
                occupancy_ppm: if rules.strategy == Strategy::LeastOccupied { agent.occupancy_ppm(now) } else { 0 },
                weight: agent.entry.weight,
            };
            let rank = rules.strategy.rank(&facts, turn, stream);
            let fit = if rules.fit == Fit::Best { fit } else { 0 };
            judged.scores.push(Score { agent: u16::try_from(index).unwrap_or(u16::MAX), fit, rank });
        }
    }
    judged.scores.sort_by_key(|score| score.order(rules.fit));
    judged
}

/// Place in the queue's own list, else in the roster.
fn position(agent: &Agent, queue: usize, index: usize) -> u32 {
    let listed = agent.membership(queue).and_then(|membership| membership.position);
    listed.unwrap_or(u32::try_from(index).unwrap_or(u32::MAX))
}

fn positions(queue: &Queue, roster: usize) -> u32 {
    let count = match &queue.rules.members {
        super::settings::Membership::Listed(names) => names.len(),
        super::settings::Membership::BySkills | super::settings::Membership::Assigned => roster,
    };
    u32::try_from(count).unwrap_or(u32::MAX)
}
