//! What a caller is told while waiting: position and wait, only when they have changed for the better, or
//! so much for the worse that silence would deceive.

use super::distributor::Acd;
use super::matcher::Judge;
use super::output::{Output, Rise};
use super::wait::{WaitEstimate, WaitModel};
use super::waiting::{Told, Waiting};
use crate::ids::CallId;
use crate::time::Time;

impl Acd {
    /// The wait that a waiting call still has before it, from this moment. `None`: nobody works for it, or it rings.
    pub fn estimate(&self, now: Time, call: CallId) -> Option<WaitEstimate> {
        let call = self.calls.get(&call).filter(|call| !call.rings())?;
        let queue = self.queue(call.queue);
        let ahead = self.ahead(now, call);
        let own = ahead.get(call.queue).copied().unwrap_or(0);
        let model = WaitModel {
            ahead: own,
            agents: self.agents_for(now, call, &ahead),
            handle_time: queue.handle_time.mean(),
            patience: queue.patience.mean(),
        };
        model.estimate()
    }

    /// Calls that stand before this one, by queue.
    fn ahead(&self, now: Time, call: &Waiting) -> Vec<u32> {
        let mine = call.standing(&self.queue(call.queue).rules, now);
        let mut ahead = vec![0u32; self.queues.len()];
        for other in self.calls.values().filter(|other| !other.rings()) {
            if other.standing(&self.queue(other.queue).rules, now) < mine
                && let Some(count) = ahead.get_mut(other.queue)
            {
                *count += 1;
            }
        }
        ahead
    }

    /// n_eff: each agent who works and may take the call counts by the share this queue has of the demand on that
    /// agent: the calls here up to this one, over those and the calls before this one in the agent's other queues.
    fn agents_for(&self, now: Time, call: &Waiting, ahead: &[u32]) -> f64 {
        let judge = Judge::new(&self.agents, self.queue(call.queue), call, now);
        let own = f64::from(ahead.get(call.queue).copied().unwrap_or(0)) + 1.0;
        let rivals: Vec<(usize, f64)> = ahead
            .iter()
            .enumerate()
            .filter(|(queue, count)| *queue != call.queue && **count > 0)
            .map(|(queue, count)| (queue, f64::from(*count)))
            .collect();
        let share = |agent: &super::agent::Agent| {
            let others: f64 =
                rivals.iter().filter(|(queue, _)| agent.membership(*queue).is_some()).map(|(_, count)| count).sum();
            own / (own + others)
        };
        self.agents.values().filter(|agent| agent.works() && judge.is_able(agent)).map(share).sum()
    }

    /// Speaks to those whose time has come and who still wait after the decisions of this input.
    pub(super) fn announce(&mut self, now: Time) {
        for id in core::mem::take(&mut self.pending.entered) {
            let predicted = self.estimate(now, id).map(|estimate| (estimate.p50, estimate.p90));
            if let Some(call) = self.calls.get_mut(&id) {
                call.predicted = predicted;
            }
        }
        for id in core::mem::take(&mut self.pending.announce) {
            self.announce_to(now, id);
        }
    }

    fn announce_to(&mut self, now: Time, id: CallId) {
        let Some(call) = self.calls.get(&id).filter(|call| !call.rings()) else { return };
        let rules = self.queue(call.queue).rules.clone();
        let ahead = self.ahead(now, call);
        let position = ahead.get(call.queue).copied().unwrap_or(0) + 1;
        let wait = if rules.announce.wait { self.estimate(now, id) } else { None };
        let told = call.told;
        let position_says = Says::of(told.position.map(f64::from), f64::from(position), rules.announce.position);
        let wait_says = match wait {
            Some(wait) => Says::of(told.wait.map(|wait| wait.as_secs_f64()), wait.spoken().1.as_secs_f64(), true),
            None => Says::Nothing,
        };
        let call = self.calls.get_mut(&id).expect("was there above");
        call.announce_at = Some(now + rules.announce.every);
        if position_says == Says::Nothing && wait_says == Says::Nothing {
            return;
        }
        let rose = position_says == Says::Rise || wait_says == Says::Rise;
        let came_ahead = told.position.is_some_and(|told| position > told);
        let rise = rose.then_some(if came_ahead { Rise::CallsAhead } else { Rise::FewerAgents });
        let position_told = (position_says != Says::Nothing).then_some(position);
        let wait_told = wait.filter(|_| wait_says != Says::Nothing);
        call.told = Told {
            // What is true but not worth saying is no reason to speak later either: only what was heard is kept.
            position: position_told.or(told.position),
            wait: wait_told.map(|wait| wait.spoken().1).or(told.wait),
        };
        let queue = rules.name.clone();
        self.outputs.push_back(Output::Announce { call: id, queue, position: position_told, wait: wait_told, rise });
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Nothing,
    /// The first time, or better than before.
    Figure,
    /// Worse by more than a quarter.
    Rise,
}

impl Says {
    fn of(told: Option<f64>, now: f64, wanted: bool) -> Self {
        match told {
            _ if !wanted => Says::Nothing,
            None => Says::Figure,
            Some(told) if now < told => Says::Figure,
            Some(told) if now > 1.25 * told => Says::Rise,
            Some(_) => Says::Nothing,
        }
    }
}
