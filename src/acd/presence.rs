//! Agents: the roster, signing in and out, ready and not ready, links, phones, live legs, wrap-up.

use core::time::Duration;
use std::sync::Arc;

use super::agent::{Agent, AgentEntry, AgentState, NotReady, Occupancy, Wish, WrapUp};
use super::distributor::{Acd, Owner, count_staff};
use super::explain::Roster;
use super::output::{Output, Refusal};
use super::ringing::turn_not_ready;
use crate::ids::{AgentName, CallId};
use crate::limits;
use crate::time::Time;

/// A change of the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosterChange {
    /// A new agent, or other skills, queues or attributes for one who is there. Takes effect at the next decision.
    Put(AgentEntry),
    /// The agent is gone; an offer that rings there is withdrawn, a conversation is left alone.
    Remove(AgentName),
}

impl Acd {
    pub fn handle_roster(&mut self, now: Time, change: RosterChange) -> Result<(), Refusal> {
        match change {
            RosterChange::Put(entry) => self.put_agent(now, entry)?,
            RosterChange::Remove(name) => self.remove_agent(&name)?,
        }
        self.step += 1;
        // Whom a step skips and whom a call prefers may have changed for any call.
        self.pending.all = true;
        self.pending.calls.extend(self.calls.keys());
        self.overflow_unstaffed(now);
        self.settle(now);
        Ok(())
    }

    fn put_agent(&mut self, now: Time, entry: AgentEntry) -> Result<(), Refusal> {
        let name = entry.name.clone();
        if !entry.within_limits() {
            return Err(Refusal::TooManyItems(name));
        }
        if !entry.levels_in_range() {
            return Err(Refusal::LevelOutOfRange(name));
        }
        if !self.agents.contains_key(&name) {
            if self.agents.len() >= limits::ACD_AGENTS {
                return Err(Refusal::TooManyAgents);
            }
            self.agents.insert(name.clone(), Agent::new(entry.clone(), now));
            self.renew_roster();
        }
        let serves = self.queues.iter().map(|queue| queue.belongs(&entry)).collect();
        if let Some(agent) = self.agents.get_mut(&name) {
            if agent.signed_in {
                count_staff(&mut self.queues, agent, false);
            }
            agent.entry = entry;
            agent.serves = serves;
            if agent.signed_in {
                count_staff(&mut self.queues, agent, true);
            }
        }
        self.pending.agents.insert(name);
        Ok(())
    }

    fn remove_agent(&mut self, name: &AgentName) -> Result<(), Refusal> {
        self.known_agent(name)?;
        self.withdraw_from(name);
        let Some(mut agent) = self.agents.remove(name) else { return Ok(()) };
        if agent.signed_in {
            count_staff(&mut self.queues, &agent, false);
        }
        if let Some(at) = agent.due.take() {
            self.timers.remove(&(at, Owner::Agent(name.clone())));
        }
        self.renew_roster();
        Ok(())
    }

    fn renew_roster(&mut self) {
        let revision = self.roster.revision + 1;
        self.roster = Arc::new(Roster { revision, names: self.agents.keys().cloned().collect() });
    }

    /// Signs in, to Not Ready. `phone_registered`: is the bound address of record registered? Counters start level
    /// with the colleagues', so that a newcomer is not flooded by *fewest calls* and its like.
    pub fn handle_sign_in(&mut self, now: Time, name: &AgentName, phone_registered: bool) -> Result<(), Refusal> {
        if self.known_agent(name)?.signed_in {
            return Err(Refusal::SignedIn(name.clone()));
        }
        self.step += 1;
        let (calls, talk, occupancy) = self.level_of_colleagues(now);
        let agent = self.known_agent(name)?;
        agent.signed_in = true;
        agent.wish = Wish::NotReady(NotReady::SignedIn);
        agent.unregistered_since = (!phone_registered).then_some(now);
        agent.link_lost_since = None;
        agent.back_off_until = None;
        agent.missed = 0;
        (agent.calls, agent.talk, agent.occupancy) = (calls, talk, occupancy);
        if let Some(agent) = self.agents.get(name) {
            count_staff(&mut self.queues, agent, true);
        }
        self.pending.agents.insert(name.clone());
        self.settle(now);
        Ok(())
    }

    fn level_of_colleagues(&self, now: Time) -> (u32, Duration, Occupancy) {
        let mut count = 0u32;
        let (mut calls, mut talk, mut ppm) = (0u64, Duration::ZERO, 0u64);
        for agent in self.agents.values().filter(|agent| agent.signed_in) {
            count += 1;
            calls += u64::from(agent.calls);
            talk += agent.talk;
            ppm += u64::from(agent.occupancy_ppm(now));
        }
        if count == 0 {
            return (0, Duration::ZERO, Occupancy::default());
        }
        let mean = |sum: u64| u32::try_from(sum / u64::from(count)).unwrap_or(u32::MAX);
        (mean(calls), talk / count, Occupancy::level(mean(ppm)))
    }

    /// Signs out. Only from Not Ready, with no call and no wrap-up: nobody vanishes from under a ringing phone.
    pub fn handle_sign_out(&mut self, now: Time, name: &AgentName) -> Result<(), Refusal> {
        let agent = self.signed_in_agent(name)?;
        if !matches!(agent.state(), AgentState::NotReady { .. }) {
            return Err(Refusal::NotFromHere(name.clone()));
        }
        self.step += 1;
        self.sign_out(now, name);
        self.settle(now);
        Ok(())
    }

    /// What signing out does, from any state.
    pub(super) fn sign_out(&mut self, now: Time, name: &AgentName) {
        self.withdraw_from(name);
        self.end_talk(now, name);
        self.end_wrap_up(now, name, true);
        let Some(agent) = self.agents.get_mut(name) else { return };
        count_staff(&mut self.queues, agent, false);
        agent.signed_in = false;
        agent.wish = Wish::NotReady(NotReady::SignedIn);
        agent.back_off_until = None;
        self.pending.agents.insert(name.clone());
        self.pending.all = true;
        self.pending.calls.extend(self.calls.keys());
        self.overflow_unstaffed(now);
    }

    /// Ready, now or as soon as call and wrap-up are over.
    pub fn handle_ready(&mut self, now: Time, name: &AgentName) -> Result<(), Refusal> {
        let agent = self.signed_in_agent(name)?;
        if agent.unregistered_since.is_some() {
            return Err(Refusal::PhoneUnregistered(name.clone()));
        }
        agent.wish = Wish::Ready;
        agent.missed = 0;
        self.step += 1;
        self.settle(now);
        Ok(())
    }

    /// Not ready, now or as soon as call and wrap-up are over. An offer that rings already rings on.
    pub fn handle_not_ready(&mut self, now: Time, name: &AgentName, reason: &str) -> Result<(), Refusal> {
        self.check_reason(reason)?;
        turn_not_ready(self.signed_in_agent(name)?, NotReady::Chosen(Arc::from(reason)));
        self.step += 1;
        self.settle(now);
        Ok(())
    }

    pub(super) fn check_reason(&self, reason: &str) -> Result<(), Refusal> {
        if is_known(reason, &self.settings.not_ready_reasons) {
            Ok(())
        } else {
            Err(Refusal::UnknownReason(Arc::from(reason)))
        }
    }

    /// The desktop's link is lost: no new offers at once. Back within the grace, all is as before; else Not Ready.
    pub fn handle_link_lost(&mut self, now: Time, name: &AgentName) -> Result<(), Refusal> {
        let agent = self.signed_in_agent(name)?;
        agent.link_lost_since = agent.link_lost_since.or(Some(now));
        self.step += 1;
        self.settle(now);
        Ok(())
    }

    pub fn handle_link_restored(&mut self, now: Time, name: &AgentName) -> Result<(), Refusal> {
        self.signed_in_agent(name)?.link_lost_since = None;
        self.step += 1;
        self.settle(now);
        Ok(())
    }

    /// Whether a phone is registered at the agent's address of record: a fact like a lost link.
    pub fn handle_phone_registered(&mut self, now: Time, name: &AgentName, registered: bool) -> Result<(), Refusal> {
        let agent = self.signed_in_agent(name)?;
        agent.unregistered_since = if registered { None } else { agent.unregistered_since.or(Some(now)) };
        self.step += 1;
        self.settle(now);
        Ok(())
    }

    /// How many live legs there are on the agent's address of record, private calls included. Busy follows from it.
    pub fn handle_live_legs(&mut self, now: Time, name: &AgentName, legs: u32) -> Result<(), Refusal> {
        self.known_agent(name)?;
        self.step += 1;
        self.set_live_legs(now, name, legs);
        self.settle(now);
        Ok(())
    }

    pub(super) fn set_live_legs(&mut self, now: Time, name: &AgentName, legs: u32) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        agent.live_legs = legs;
        self.pending.agents.insert(name.clone());
        if legs == 0 {
            self.end_talk(now, name);
        }
    }

    /// The conversation over a queue call is over for this agent. Wrap-up begins when no leg is live any more.
    pub fn handle_talk_ended(&mut self, now: Time, name: &AgentName, call: CallId) -> Result<(), Refusal> {
        let agent = self.signed_in_agent(name)?;
        match agent.serving.as_mut().filter(|serving| serving.call == call) {
            Some(serving) => serving.ended = serving.ended.or(Some(now)),
            None => return Err(Refusal::UnknownCall(call)),
        }
        self.step += 1;
        if self.agents.get(name).is_some_and(|agent| agent.live_legs == 0) {
            self.end_talk(now, name);
        }
        self.settle(now);
        Ok(())
    }

    /// From conversation to wrap-up, or to nothing where the queue has none.
    fn end_talk(&mut self, now: Time, name: &AgentName) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        let Some(serving) = agent.serving.take() else { return };
        let talk = serving.ended.unwrap_or(now).since(serving.answered);
        agent.talk += talk;
        let rule = &serving.rules.wrap_up;
        let wraps_up = !rule.lasts.is_zero();
        if wraps_up {
            agent.wrap_up = Some(WrapUp {
                call: serving.call,
                queue: serving.queue.clone(),
                talk,
                since: now,
                until: now + rule.lasts,
                extensions: 0,
                code: None,
                rules: serving.rules.clone(),
            });
        }
        self.pending.agents.insert(name.clone());
        if let Some(index) = self.queue_index.get(&serving.queue).copied() {
            let queue = self.queue_mut(index);
            queue.figures.talk += talk;
            if !wraps_up {
                queue.handle_time.ended(talk);
            }
        }
    }

    /// Notes a wrap-up code; it stands when the time runs out.
    pub fn handle_wrap_up_code(&mut self, now: Time, name: &AgentName, code: &str) -> Result<(), Refusal> {
        let wrap_up = self.running_wrap_up(name)?;
        if !is_known(code, &wrap_up.rule().codes) {
            return Err(Refusal::UnknownCode(Arc::from(code)));
        }
        wrap_up.code = Some(Arc::from(code));
        self.step += 1;
        self.settle(now);
        Ok(())
    }

    /// Finishes the wrap-up; where a code is required, one must have been noted.
    pub fn handle_wrap_up_finished(&mut self, now: Time, name: &AgentName) -> Result<(), Refusal> {
        let wrap_up = self.running_wrap_up(name)?;
        if wrap_up.rule().code_required && wrap_up.code.is_none() {
            return Err(Refusal::CodeRequired(name.clone()));
        }
        self.step += 1;
        self.end_wrap_up(now, name, false);
        self.settle(now);
        Ok(())
    }

    /// Adds one extension to the wrap-up.
    pub fn handle_wrap_up_extended(&mut self, now: Time, name: &AgentName) -> Result<(), Refusal> {
        let wrap_up = self.running_wrap_up(name)?;
        if wrap_up.extensions >= wrap_up.rule().extensions {
            return Err(Refusal::NoMoreExtensions(name.clone()));
        }
        wrap_up.extensions += 1;
        wrap_up.until += wrap_up.rules.wrap_up.extend_by;
        self.step += 1;
        self.settle(now);
        Ok(())
    }

    fn running_wrap_up(&mut self, name: &AgentName) -> Result<&mut WrapUp, Refusal> {
        self.signed_in_agent(name)?.wrap_up.as_mut().ok_or_else(|| Refusal::NoWrapUp(name.clone()))
    }

    pub(super) fn end_wrap_up(&mut self, now: Time, name: &AgentName, auto: bool) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        let Some(wrap_up) = agent.wrap_up.take() else { return };
        self.pending.agents.insert(name.clone());
        let WrapUp { call, queue, talk, since, code, .. } = wrap_up;
        let took = now.since(since);
        if let Some(index) = self.queue_index.get(&queue).copied() {
            let queue = self.queue_mut(index);
            queue.figures.wrap_up += took;
            queue.figures.wrapped += 1;
            queue.handle_time.ended(talk + took);
        }
        self.outputs.push_back(Output::WrapUpEnded { agent: name.clone(), call, queue, code, auto, took });
    }

    pub(super) fn on_agent_timer(&mut self, now: Time, name: &AgentName) {
        self.pending.agents.insert(name.clone());
        let grace = self.settings.outage_grace;
        let Some(agent) = self.agents.get_mut(name) else { return };
        if agent.back_off_until.is_some_and(|until| until <= now) {
            agent.back_off_until = None;
        }
        if agent.wish == Wish::Ready {
            let over = |since: Option<Time>| since.is_some_and(|since| since + grace <= now);
            if over(agent.unregistered_since) {
                turn_not_ready(agent, NotReady::PhoneUnregistered);
            } else if over(agent.link_lost_since) {
                turn_not_ready(agent, NotReady::LinkLost);
            }
        }
        let over = agent.live_legs == 0 && agent.wrap_up.as_ref().is_some_and(|wrap_up| wrap_up.until <= now);
        if over {
            self.end_wrap_up(now, name, true);
        }
    }
}

/// Is this one of the words to choose from? Where none are given, any short one is.
fn is_known(word: &str, words: &[Arc<str>]) -> bool {
    if words.is_empty() {
        return (1..=limits::ACD_WORD_BYTES).contains(&word.len());
    }
    words.iter().any(|known| **known == *word)
}
