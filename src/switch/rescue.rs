//! Nothing sticks: a reconciler that compares derived state with live legs, and the rescue after a defect.

use std::collections::{BTreeMap, BTreeSet};

use crate::acd::{Repair, SwitchFacts};
use crate::cause::{Cause, Party, What};
use crate::ids::CallId;
use crate::media::MediaCommand;

use super::call::Stage;
use super::timer::Timer;
use super::{Effect, Switch};

impl Switch {
    /// Tells the ACD what is true; whatever it had otherwise is mended and counted.
    pub(super) fn reconcile(&mut self) {
        let facts = self.facts();
        let repairs = self.acd.reconcile(self.now, &facts);
        self.counts.repairs += u64::try_from(repairs.len()).unwrap_or(u64::MAX);
        if !repairs.is_empty() {
            self.repaired = repairs;
        }
    }

    /// What the reconciler mended when it last had to: each is a defect somewhere, to be logged and looked into.
    pub fn last_repairs(&self) -> &[Repair] {
        &self.repaired
    }

    fn facts(&self) -> SwitchFacts {
        let mut facts = SwitchFacts::default();
        for call in self.calls.values() {
            if call.is_waiting() && call.ending.is_none() {
                facts.waiting.insert(call.id);
            }
            for agent in call.offers.values().filter(|agent| Self::is_ringing(call, agent)) {
                facts.ringing.insert((call.id, agent.clone()));
            }
        }
        let mut live: BTreeMap<_, u32> = BTreeMap::new();
        for leg in self.calls.values().flat_map(Self::live_legs) {
            if let Some(agent) = leg.address.account.as_ref().and_then(|account| self.desks.agent_at(account)) {
                *live.entry(agent.clone()).or_default() += 1;
            }
        }
        facts.live_legs = live;
        for (agent, account) in self.desks.agents() {
            if self.endpoint.registrar().is_bound(account.as_str()) {
                facts.registered.insert(agent.clone());
            }
            if !self.unlinked.contains(agent) {
                facts.linked.insert(agent.clone());
            }
        }
        facts
    }

    /// A step panicked. The call at work is cleared as far as that goes, then everything derived is rebuilt.
    pub(super) fn rescue(&mut self) {
        self.counts.defects += 1;
        if let Some(id) = self.at_work.take() {
            self.bury(id);
        }
        self.reconcile();
        self.settle();
    }

    /// A call that was taken out of the map by the step that panicked is gone with it: its sessions, ports and plays
    /// are let go by their tables, and its record is closed.
    fn bury(&mut self, id: CallId) {
        let cause = Cause::with_status(What::Defect, Party::Switch, 500);
        if self.calls.contains_key(&id) {
            self.with_call(id, |switch, call| switch.clear_call(call, cause));
            return;
        }
        let sessions: Vec<_> = self.sessions.iter().filter(|(_, (call, _))| *call == id).map(|(s, _)| *s).collect();
        for session in sessions {
            self.sessions.remove(&session);
            self.endpoint.end(self.now, session, Some("SIP;cause=500;text=\"Internal error\""));
        }
        let ports: Vec<_> = self.legs.iter().filter(|(_, place)| place.call == id).map(|(p, at)| (*p, *at)).collect();
        for (port, place) in ports {
            let command = MediaCommand::Close { port };
            self.effects.push_back(Effect::Media { engine: place.engine, command });
            self.release_port(port);
        }
        self.plays.retain(|_, (call, _)| *call != id);
        self.restless.remove(&id);
        for timer in [Timer::Accepted(id), Timer::Ivr(id), Timer::Recording(id), Timer::Comfort(id)] {
            self.timers.clear(timer);
        }
        self.emit(Some(id), crate::event::Fact::CallEnded { cause });
        self.counts.ended += 1;
    }

    /// Everything that does not hold; empty in a healthy switch. For the simulator after each step, for production
    /// now and then.
    pub fn check_invariants(&self) -> Vec<String> {
        let mut wrong: Vec<String> = self.acd.check_invariants(self.now).iter().map(ToString::to_string).collect();
        for (session, (call, leg)) in &self.sessions {
            let live = self.calls.get(call).and_then(|call| call.leg(*leg)).is_some_and(|leg| leg.session == *session);
            if !live {
                wrong.push(format!("session {session:?} belongs to no leg of call {call}"));
            }
        }
        let legs: usize = self.calls.values().map(|call| call.legs.len()).sum();
        if usize::try_from(self.ports.leased()).ok() != Some(legs) {
            wrong.push(format!("{} ports are leased for {legs} legs", self.ports.leased()));
        }
        let mut offered = BTreeSet::new();
        for agent in self.calls.values().flat_map(|call| call.offers.values()) {
            if !offered.insert(agent) {
                wrong.push(format!("agent {agent} is offered two calls"));
            }
        }
        for call in self.calls.values() {
            if call.ending.is_some() && call.stage != Stage::Clearing {
                wrong.push(format!("call {} is ending in stage {:?}", call.id, call.stage));
            }
            if call.ending.is_none() && !call.legs.values().any(|leg| leg.is_live()) {
                wrong.push(format!("call {} has nobody left and does not end", call.id));
            }
        }
        wrong
    }

    /// Whether nothing is left: no call, no session, no lease, no question. What a test asserts at its end.
    pub fn is_at_rest(&self) -> bool {
        self.left().is_empty()
    }

    /// What is left, in words; empty at rest. The house's own timers stay.
    pub fn left(&self) -> Vec<String> {
        let (sessions, _) = self.endpoint.counts();
        let left = [
            (self.calls.len(), "calls"),
            (self.sessions.len(), "sessions of legs"),
            (sessions, "sessions of the user agent"),
            (self.legs.len(), "legs"),
            (self.plays.len(), "plays"),
            (self.writing.len(), "recordings being written"),
            (usize::try_from(self.ports.leased()).unwrap_or(usize::MAX), "ports leased"),
            (self.requests.len(), "questions"),
            (self.restless.len(), "calls with something to say"),
            (self.timers.of_calls(), "timers of nobody"),
        ];
        left.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
    }
}
