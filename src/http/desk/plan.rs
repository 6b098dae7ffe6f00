//! What the desktop shows of the plan: each queue's name, codes and target, and who serves it.

use std::collections::{BTreeMap, BTreeSet};

use super::entity::{Code, Words};
use crate::acd::{Abilities, Expression};
use crate::ids::{AgentName, QueueName, SkillName};
use crate::plan::queue::{Queue, WrapUp};
use crate::plan::{Plan, model::Label};

/// One queue of the plan.
#[derive(Clone, Debug, Default)]
pub struct QueuePlan {
    pub label: Words,
    /// What a call may be closed with; empty: any short text.
    pub codes: Vec<Code>,
    pub code_required: bool,
    /// So many percent of the calls are to be answered within so many seconds.
    pub target_s: u32,
    pub target_percent: u32,
    /// Who hangs up sooner does not count as abandoned.
    pub short_abandon_ms: u64,
    /// Explicit members; empty: everybody.
    members: BTreeSet<AgentName>,
    /// The expression as it holds when a call enters.
    skills: Option<Expression>,
}

impl QueuePlan {
    /// Whether an agent of these skills serves the queue from a call's entry on, whatever the caller's language.
    pub fn is_served_by(&self, agent: &AgentName, skills: &BTreeMap<SkillName, u8>) -> bool {
        let abilities = Abilities { skills, attributes: &BTreeMap::new(), language: None };
        (self.members.is_empty() || self.members.contains(agent))
            && self.skills.as_ref().is_none_or(|expression| expression.is_satisfied(abilities))
    }

    fn of(plan: &Plan, queue: &Queue) -> Self {
        let label = |code: &str| plan.dispositions.get(code).map(Words::from);
        let codes: Vec<String> = match queue.dispositions.is_empty() {
            true => plan.dispositions.keys().map(ToString::to_string).collect(),
            false => queue.dispositions.iter().map(ToString::to_string).collect(),
        };
        let code = |code: String| Code { words: label(&code).unwrap_or_else(|| Words::plain(&code)), code };
        Self {
            label: Words::from(&queue.label),
            codes: codes.into_iter().map(code).collect(),
            code_required: queue.wrap_up == WrapUp::CodeRequired,
            target_s: queue.service_level_s.0,
            target_percent: queue.service_level_percent,
            short_abandon_ms: u64::from(queue.short_abandon_s.0).saturating_mul(1_000),
            members: queue.members.iter().cloned().collect(),
            // A plan with an expression that cannot be read is not taken.
            skills: queue.skills.as_ref().and_then(|skills| Expression::parse(&skills.text).ok()),
        }
    }
}

/// Every queue of a plan.
pub fn queues_of(plan: &Plan) -> BTreeMap<QueueName, QueuePlan> {
    plan.queues.iter().map(|(name, queue)| (name.clone(), QueuePlan::of(plan, queue))).collect()
}

/// The plan's not-ready reasons with their words.
pub fn reasons_of(plan: &Plan) -> Vec<Code> {
    let reasons = plan.not_ready_reasons.iter();
    reasons.map(|(code, label)| Code { code: code.to_string(), words: Words::from(label) }).collect()
}

impl From<&Label> for Words {
    fn from(label: &Label) -> Self {
        Self { en: label.en.to_string(), zh: label.zh.to_string() }
    }
}
