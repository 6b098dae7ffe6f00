//! Nothing can stick: facts from the switch against what is derived from them, and the mending of any gap.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::distributor::{Acd, Owner};
use super::output::{Left, Output};
use crate::ids::{AgentName, CallId};
use crate::time::Time;

/// What is true in the switch at this moment. Whatever is not in here, is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwitchFacts {
    /// Calls whose caller is on the line and waits in a queue.
    pub waiting: BTreeSet<CallId>,
    /// Agents' phones that ring for a queue call.
    pub ringing: BTreeSet<(CallId, AgentName)>,
    /// Live legs by agent.
    pub live_legs: BTreeMap<AgentName, u32>,
    /// Agents whose address of record has a registered phone.
    pub registered: BTreeSet<AgentName>,
    /// Agents whose desktop is linked. A desk-phone agent without a desktop counts as linked.
    pub linked: BTreeSet<AgentName>,
}

/// A gap that was found and mended. Each is a defect somewhere: count them, show them, mend the cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "repair", rename_all = "snake_case")]
pub enum Repair {
    /// Waited here, but is not on the line any more.
    CallGone {
        call: CallId,
    },
    /// Reserved here, but no phone rings.
    OfferGone {
        call: CallId,
        agent: AgentName,
    },
    LegsDiffered {
        agent: AgentName,
        had: u32,
        are: u32,
    },
    PhoneDiffered {
        agent: AgentName,
        registered: bool,
    },
    LinkDiffered {
        agent: AgentName,
        linked: bool,
    },
    /// The agent's side of a reservation disagreed with the calls'.
    ReservationDiffered {
        agent: AgentName,
    },
}

impl Acd {
    /// Compares with the facts, mends, and decides anew. Offers that still wait in the outputs are left alone: the
    /// switch cannot know of them yet.
    pub fn reconcile(&mut self, now: Time, facts: &SwitchFacts) -> Vec<Repair> {
        self.step += 1;
        let mut repairs = Vec::new();
        self.drop_absent_calls(now, facts, &mut repairs);
        self.drop_silent_offers(facts, &mut repairs);
        self.rebuild_reservations(&mut repairs);
        self.adopt_agent_facts(now, facts, &mut repairs);
        self.recount_members();
        self.rebuild_timers();
        self.touch_everything();
        self.settle(now);
        repairs
    }

    fn drop_absent_calls(&mut self, now: Time, facts: &SwitchFacts, repairs: &mut Vec<Repair>) {
        let absent: Vec<CallId> = self.calls.keys().filter(|id| !facts.waiting.contains(id)).copied().collect();
        for call in absent {
            self.let_go(now, call, Left::Failed);
            repairs.push(Repair::CallGone { call });
        }
    }

    fn drop_silent_offers(&mut self, facts: &SwitchFacts, repairs: &mut Vec<Repair>) {
        let mut unsent: BTreeSet<(CallId, AgentName)> = BTreeSet::new();
        for output in &self.outputs {
            if let Output::Offer(offer) = output {
                unsent.extend(offer.agents.iter().map(|agent| (offer.call, agent.clone())));
            }
        }
        let leases =
            self.calls.values().flat_map(|call| call.leases.iter().map(|lease| (call.id(), lease.agent.clone())));
        let silent: Vec<_> = leases.filter(|lease| !facts.ringing.contains(lease) && !unsent.contains(lease)).collect();
        for (call, agent) in silent {
            self.end_lease(call, &agent);
            repairs.push(Repair::OfferGone { call, agent });
        }
    }

    fn rebuild_reservations(&mut self, repairs: &mut Vec<Repair>) {
        let leases = self.calls.values().flat_map(|call| call.leases.iter().map(|lease| (&lease.agent, call.id())));
        let held: BTreeMap<AgentName, CallId> = leases.map(|(agent, call)| (agent.clone(), call)).collect();
        for (name, agent) in &mut self.agents {
            let offered = held.get(name).copied();
            if agent.offered != offered {
                agent.offered = offered;
                repairs.push(Repair::ReservationDiffered { agent: name.clone() });
            }
        }
    }

    fn adopt_agent_facts(&mut self, now: Time, facts: &SwitchFacts, repairs: &mut Vec<Repair>) {
        let names: Vec<AgentName> = self.agents.keys().cloned().collect();
        for name in names {
            let Some(agent) = self.agents.get_mut(&name) else { continue };
            let (had, are) = (agent.live_legs, facts.live_legs.get(&name).copied().unwrap_or(0));
            if agent.signed_in {
                let (registered, linked) = (facts.registered.contains(&name), facts.linked.contains(&name));
                if registered != agent.unregistered_since.is_none() {
                    agent.unregistered_since = (!registered).then_some(now);
                    repairs.push(Repair::PhoneDiffered { agent: name.clone(), registered });
                }
                if linked != agent.link_lost_since.is_none() {
                    agent.link_lost_since = (!linked).then_some(now);
                    repairs.push(Repair::LinkDiffered { agent: name.clone(), linked });
                }
            }
            if had != are {
                repairs.push(Repair::LegsDiffered { agent: name.clone(), had, are });
            }
            self.set_live_legs(now, &name, are);
        }
    }

    fn rebuild_timers(&mut self) {
        let calls = self.calls.values().filter_map(|call| Some((call.due?, Owner::Call(call.id()))));
        let agents = self.agents.iter().filter_map(|(name, agent)| Some((agent.due?, Owner::Agent(name.clone()))));
        self.timers = calls.chain(agents).collect();
    }
}
