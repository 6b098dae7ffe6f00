//! What must always hold. Checked after every step in tests and simulation, now and then in production, where
//! the number of violations is exported and must be zero.

use crate::ids::{AgentName, CallId, QueueName};
use crate::time::Time;

use super::distributor::{Acd, Owner};
use super::explain::Verdict;
use super::matcher::Judge;
use super::queue::Staff;
use super::waiting::Waiting;

/// A promise that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("{agent} is idle while call {call}, which {agent} may take, waits")]
    IdleWhileCallWaits { agent: AgentName, call: CallId },
    #[error("call {younger} was offered to {agent} past call {older}, which stands before it")]
    Overtaken { older: CallId, younger: CallId, agent: AgentName },
    #[error("{agent} is reserved for {calls} calls")]
    ReservedTwice { agent: AgentName, calls: usize },
    #[error("the reservation of {agent} is on one side only")]
    ReservationDisagrees { agent: AgentName },
    #[error("call {call} is past its deadline and no timer is due")]
    PastDeadline { call: CallId },
    #[error("queue {queue}: offered is not answered + abandoned + moved + failed + waiting")]
    FiguresDoNotAdd { queue: QueueName },
    #[error("queue {queue}: {counted} wait by the figures, {are} are there")]
    WaitingDisagrees { queue: QueueName, counted: u64, are: u64 },
    #[error("queue {queue}: who is signed in was miscounted")]
    StaffDisagrees { queue: QueueName },
    #[error("a timer stands that nobody owns, or one is missing")]
    TimersDisagree,
    #[error("the state of {agent} has changed and was not told")]
    StateNotTold { agent: AgentName },
}

impl Acd {
    /// Everything that does not hold at `now`. Call it after what is due at `now` has been handled.
    pub fn check_invariants(&self, now: Time) -> Vec<Violation> {
        let mut found = Vec::new();
        self.check_idle_and_order(now, &mut found);
        self.check_reservations(&mut found);
        self.check_deadlines(now, &mut found);
        self.check_counts(&mut found);
        found
    }

    fn check_idle_and_order(&self, now: Time, found: &mut Vec<Violation>) {
        let idle: Vec<_> = self.agents.values().filter(|agent| agent.is_idle(now)).collect();
        // Who was offered what in the input just handled. Later the standings have changed with age.
        let just_now = self.settled_at == now;
        let fresh: Vec<_> = self.calls.values().filter(|_| just_now).flat_map(|call| self.fresh_leases(call)).collect();
        for call in self.calls.values().filter(|call| !call.rings()) {
            let queue = self.queue(call.queue);
            let judge = Judge::new(&self.agents, queue, call, now);
            for agent in &idle {
                if judge.verdict(agent).0 == Verdict::Eligible {
                    let agent = agent.entry.name.clone();
                    found.push(Violation::IdleWhileCallWaits { agent, call: call.id() });
                }
            }
            let standing = call.standing(&queue.rules, now);
            for (name, younger) in &fresh {
                let passed = standing < younger.standing(&self.queue(younger.queue).rules, now);
                if passed && self.agents.get(*name).is_some_and(|agent| judge.is_able(agent)) {
                    let (older, younger, agent) = (call.id(), younger.id(), (*name).clone());
                    found.push(Violation::Overtaken { older, younger, agent });
                }
            }
        }
    }

    fn fresh_leases<'a>(&'a self, call: &'a Waiting) -> impl Iterator<Item = (&'a AgentName, &'a Waiting)> {
        call.leases.iter().filter(|lease| lease.made_in == self.step).map(move |lease| (&lease.agent, call))
    }

    fn check_reservations(&self, found: &mut Vec<Violation>) {
        for (name, agent) in &self.agents {
            let holders = self.calls.values().filter(|call| call.rings_at(name)).count();
            if holders > 1 {
                found.push(Violation::ReservedTwice { agent: name.clone(), calls: holders });
            }
            let here = agent.offered.is_some_and(|id| self.calls.get(&id).is_some_and(|call| call.rings_at(name)));
            if here != (holders > 0) || agent.offered.is_some() != here {
                found.push(Violation::ReservationDisagrees { agent: name.clone() });
            }
            if agent.state() != agent.shown.0 {
                found.push(Violation::StateNotTold { agent: name.clone() });
            }
        }
    }

    fn check_deadlines(&self, now: Time, found: &mut Vec<Violation>) {
        for call in self.calls.values() {
            let deadline = match call.leases.iter().map(|lease| lease.deadline).min() {
                Some(lease) => lease,
                None => self.queue(call.queue).wait_deadline(call.entered),
            };
            if deadline < now && call.due.is_none_or(|due| due > now) {
                found.push(Violation::PastDeadline { call: call.id() });
            }
        }
        let calls = self.calls.values().filter_map(|call| Some((call.due?, Owner::Call(call.id()))));
        let agents = self.agents.iter().filter_map(|(name, agent)| Some((agent.due?, Owner::Agent(name.clone()))));
        let owned: std::collections::BTreeSet<_> = calls.chain(agents).collect();
        if owned != self.timers {
            found.push(Violation::TimersDisagree);
        }
    }

    fn check_counts(&self, found: &mut Vec<Violation>) {
        for (index, queue) in self.queues.iter().enumerate() {
            let name = || queue.rules.name.clone();
            if !queue.figures.identity_holds() {
                found.push(Violation::FiguresDoNotAdd { queue: name() });
            }
            let are = self.calls.values().filter(|call| call.queue == index).count() as u64;
            if are != queue.figures.waiting {
                found.push(Violation::WaitingDisagrees { queue: name(), counted: queue.figures.waiting, are });
            }
            let mut staff = Staff::default();
            let signed_in = self.agents.values().filter(|agent| agent.signed_in);
            signed_in.filter_map(|agent| agent.membership(index)).for_each(|belongs| staff.count(belongs, true));
            if staff != queue.staff {
                found.push(Violation::StaffDisagrees { queue: name() });
            }
        }
    }
}
