//! What a supervisor does to the distribution (G3): move a call, change its priority, force an agent's state.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::agent::{NotReady, Wish};
use super::distributor::Acd;
use super::output::{Output, Refusal, Withdrawn};
use super::ringing::turn_not_ready;
use crate::ids::{AgentName, CallId, QueueName};
use crate::tier::Tier;
use crate::time::Time;

/// The state a supervisor puts an agent into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForcedState {
    /// Refused like the agent's own wish where no phone is registered.
    Ready,
    /// An offer that rings is withdrawn.
    NotReady(Arc<str>),
    /// An offer is withdrawn and a wrap-up closed; a conversation goes on, but is no longer counted as the agent's.
    SignedOut,
}

impl Acd {
    /// Puts a waiting call into another queue, with its clock; ringing phones stop. Its overflow rules apply.
    pub fn handle_move_call(&mut self, now: Time, id: CallId, to: &QueueName) -> Result<(), Refusal> {
        let target = self.known_queue(to)?;
        let from = self.calls.get(&id).map(|call| call.queue).ok_or(Refusal::UnknownCall(id))?;
        if from == target {
            return Ok(());
        }
        if self.queue(target).is_full() {
            return Err(Refusal::QueueFull(to.clone()));
        }
        self.step += 1;
        let Some(mut call) = self.take_out(id, Withdrawn::CallLeft) else { return Ok(()) };
        let wait = now.since(call.entered);
        let queue = self.queue_mut(from);
        queue.figures.moves(wait);
        let from = queue.rules.name.clone();
        self.outputs.push_back(Output::Moved { call: id, from, to: to.clone() });
        (call.hops, call.step) = (0, 0);
        self.place(now, call, target);
        self.settle(now);
        Ok(())
    }

    /// Gives a waiting call other points (those of its tier are replaced too). It takes effect at the next decision.
    pub fn handle_change_priority(&mut self, now: Time, id: CallId, points: i32) -> Result<(), Refusal> {
        self.calls.get_mut(&id).ok_or(Refusal::UnknownCall(id))?.points = points;
        self.step += 1;
        self.settle(now);
        Ok(())
    }

    /// Who calls has become known while the call waits: the tier's points are added. Not where somebody has given the
    /// call points of its own, nor where its tier was known.
    pub fn handle_tier_known(&mut self, now: Time, id: CallId, tier: Tier) -> Result<(), Refusal> {
        let tiers = self.settings.tiers;
        let call = self.calls.get_mut(&id).ok_or(Refusal::UnknownCall(id))?;
        let as_entered = tiers.of(None).saturating_add(call.entry.points);
        if call.entry.tier.is_some() || call.points != as_entered {
            return Ok(());
        }
        call.entry.tier = Some(tier);
        call.points = tiers.of(Some(tier)).saturating_add(call.entry.points);
        self.step += 1;
        self.settle(now);
        Ok(())
    }

    pub fn handle_force_state(&mut self, now: Time, name: &AgentName, state: &ForcedState) -> Result<(), Refusal> {
        match state {
            ForcedState::Ready => return self.handle_ready(now, name),
            ForcedState::NotReady(reason) => {
                self.check_reason(reason)?;
                turn_not_ready(self.signed_in_agent(name)?, NotReady::Chosen(reason.clone()));
                self.step += 1;
                self.withdraw_from(name);
            }
            ForcedState::SignedOut => {
                self.signed_in_agent(name)?.wish = Wish::NotReady(NotReady::SignedIn);
                self.step += 1;
                self.sign_out(now, name);
            }
        }
        self.settle(now);
        Ok(())
    }
}
