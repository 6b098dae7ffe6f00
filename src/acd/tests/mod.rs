//! Scenarios and storms in virtual time, on a small house that a test reads like a ladder.

mod agents;
mod entering;
mod order;
mod ringing;
mod storm;
mod supervision;

use core::time::Duration;

use super::*;
use crate::ids::{AgentName, CallId};
use crate::tier::Tier;
use crate::time::Time;

/// A house under test. After every input the invariants are checked, and outputs are kept until asked for.
struct House {
    acd: Acd,
    now: Time,
    outputs: Vec<Output>,
}

const START: Time = Time::from_secs(1_000_000);

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn id(n: u128) -> CallId {
    CallId::from_u128(n)
}

/// One queue `q` with these rules changed.
fn queue(change: impl FnOnce(&mut QueueSettings)) -> Settings {
    let mut rules = QueueSettings::named("q");
    change(&mut rules);
    Settings { queues: vec![rules], ..Settings::default() }
}

fn step(expression: &str, lasts: u64, skip_if_nobody: bool) -> Step {
    let expression = (!expression.is_empty()).then(|| Expression::parse(expression).unwrap());
    Step { expression, lasts: secs(lasts), skip_if_nobody }
}

impl House {
    fn new(settings: Settings) -> Self {
        Self { acd: Acd::new(settings, 1).unwrap(), now: START, outputs: Vec::new() }
    }

    /// Agents with these names, signed in and ready, one second after another so that idle times differ.
    fn with_ready(mut self, agents: &[&str]) -> Self {
        for name in agents {
            self = self.with_agent(AgentEntry::named(*name));
            self.ready(name);
        }
        self.outputs.clear();
        self
    }

    fn with_agent(mut self, entry: AgentEntry) -> Self {
        let name = entry.name.clone();
        self.acd.handle_roster(self.now, RosterChange::Put(entry)).unwrap();
        self.acd.handle_sign_in(self.now, &name, true).unwrap();
        self.settle();
        self
    }

    fn ready(&mut self, agent: &str) {
        self.pass(1);
        self.acd.handle_ready(self.now, &agent.into()).unwrap();
        self.settle();
    }

    /// Drains the outputs and proves the invariants.
    fn settle(&mut self) {
        while let Some(output) = self.acd.poll_output() {
            self.outputs.push(output);
        }
        assert_eq!(self.acd.check_invariants(self.now), []);
    }

    /// Lets time pass, timer by timer.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + secs(seconds);
        while let Some(at) = self.acd.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.acd.handle_timeout(self.now);
            self.settle();
            assert!(self.acd.poll_timeout().is_none_or(|next| next > self.now), "time stands still at {}", self.now);
        }
        self.now = end;
    }

    fn enter(&mut self, n: u128) -> Entered {
        self.enter_as(CallEntry::new(id(n), "q"))
    }

    fn enter_as(&mut self, entry: CallEntry) -> Entered {
        let entered = self.acd.handle_call_enters(self.now, entry).unwrap();
        self.settle();
        entered
    }

    fn leave(&mut self, n: u128, how: Left) {
        self.acd.handle_call_leaves(self.now, id(n), how).unwrap();
        self.settle();
    }

    fn outcome(&mut self, n: u128, agent: &str, outcome: Outcome) -> Claim {
        let claim = self.acd.handle_offer_outcome(self.now, id(n), &agent.into(), outcome);
        self.settle();
        claim
    }

    fn answer(&mut self, n: u128, agent: &str) {
        assert_eq!(self.outcome(n, agent, Outcome::Answered), Claim::Taken);
    }

    fn legs(&mut self, agent: &str, legs: u32) {
        self.acd.handle_live_legs(self.now, &agent.into(), legs).unwrap();
        self.settle();
    }

    fn state(&self, agent: &str) -> AgentState {
        self.acd.agent_state(&agent.into()).unwrap()
    }

    /// Who rings for a call, in order of offer.
    fn ringing(&self, n: u128) -> Vec<String> {
        let call = self.acd.calls.get(&id(n));
        call.map_or_else(Vec::new, |call| call.leases.iter().map(|lease| lease.agent.to_string()).collect())
    }

    /// The calls offered since the last question: (call, agents).
    fn offers(&mut self) -> Vec<(u128, Vec<String>)> {
        let outputs = core::mem::take(&mut self.outputs);
        let offers = outputs.into_iter().filter_map(|output| match output {
            Output::Offer(offer) => {
                Some((offer.call.as_u128(), offer.agents.iter().map(AgentName::to_string).collect()))
            }
            _ => None,
        });
        offers.collect()
    }

    /// The overflows since the last question.
    fn overflows(&mut self) -> Vec<(OverflowWhy, Action)> {
        let outputs = core::mem::take(&mut self.outputs);
        let overflows = outputs.into_iter().filter_map(|output| match output {
            Output::Overflow { why, action, .. } => Some((why, action)),
            _ => None,
        });
        overflows.collect()
    }

    fn figures(&self) -> Figures {
        self.acd.figures(&"q".into()).unwrap()
    }
}

fn not_ready(reason: NotReady) -> AgentState {
    AgentState::NotReady { reason }
}

fn tiered(n: u128, tier: Tier) -> CallEntry {
    CallEntry { tier: Some(tier), ..CallEntry::new(id(n), "q") }
}

fn chain(names: &[&str], to: impl Fn(usize) -> Option<Action>) -> Settings {
    let queues = names.iter().enumerate().map(|(index, name)| {
        let mut rules = QueueSettings::named(*name);
        rules.members = Membership::Assigned;
        rules.overflow.nobody_signed_in = to(index);
        rules
    });
    Settings { queues: queues.collect(), ..Settings::default() }
}
