//! A queue at work: its rules, its figures, who belongs to it, and its memory of how long things take.

use std::sync::Arc;

use super::agent::{AgentEntry, Membership as Belongs};
use super::figures::{Figures, Rolling};
use super::settings::{Membership, QueueSettings};
use crate::limits;
use crate::time::Time;

#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub rules: Arc<QueueSettings>,
    pub figures: Figures,
    pub handle_time: Rolling,
    pub patience: Rolling,
    pub open: bool,
    /// The position that was offered a call last, for round robin.
    pub last_position: Option<u32>,
    /// Not in the settings any more; lives on until its last call has left.
    pub retired: bool,
    /// Members signed in; and by step, those of them who satisfy its expression.
    pub staff: Staff,
}

/// Who of a queue is signed in, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Staff {
    pub members: u32,
    pub by_step: [u32; limits::ACD_STEPS],
}

impl Staff {
    pub(super) fn count(&mut self, belongs: Belongs, signs_in: bool) {
        let change = |n: &mut u32| *n = if signs_in { *n + 1 } else { n.saturating_sub(1) };
        change(&mut self.members);
        let satisfied = self.by_step.iter_mut().enumerate().filter(|(step, _)| belongs.steps >> step & 1 == 1);
        satisfied.for_each(|(_, n)| change(n));
    }

    pub(super) fn lacks_step(&self, step: usize) -> bool {
        self.by_step.get(step).is_none_or(|n| *n == 0)
    }
}

impl Queue {
    pub(super) fn new(rules: QueueSettings) -> Self {
        Self {
            figures: Figures::default(),
            handle_time: Rolling::assumed(rules.assumed_handle_time),
            patience: Rolling::assumed(rules.assumed_patience),
            open: true,
            last_position: None,
            retired: false,
            staff: Staff::default(),
            rules: Arc::new(rules),
        }
    }

    /// Until when a call that entered at `entered` may wait here.
    pub(super) fn wait_deadline(&self, entered: Time) -> Time {
        entered + self.rules.wait_limit()
    }

    pub(super) fn is_full(&self) -> bool {
        usize::try_from(self.figures.waiting).unwrap_or(usize::MAX) >= self.rules.length_limit
    }

    /// How an agent belongs to this queue, if at all.
    pub(super) fn belongs(&self, agent: &AgentEntry) -> Option<Belongs> {
        let steps = self.steps_satisfied(agent);
        match &self.rules.members {
            Membership::BySkills => (steps != 0).then_some(Belongs { steps, position: None }),
            Membership::Assigned => {
                agent.queues.contains(&self.rules.name).then_some(Belongs { steps, position: None })
            }
            Membership::Listed(names) => {
                let position = names.iter().position(|name| *name == agent.name)?;
                Some(Belongs { steps, position: u32::try_from(position).ok() })
            }
        }
    }

    fn steps_satisfied(&self, agent: &AgentEntry) -> u8 {
        if self.rules.steps.is_empty() {
            return 1;
        }
        let satisfied = self.rules.steps.iter().enumerate().filter(|(_, step)| {
            step.expression.as_ref().is_none_or(|expression| expression.is_satisfied(agent.abilities(None)))
        });
        satisfied.fold(0, |bits, (step, _)| bits | 1u8.checked_shl(u32::try_from(step).unwrap_or(8)).unwrap_or(0))
    }
}
