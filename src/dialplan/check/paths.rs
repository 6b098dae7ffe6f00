//! Every state can be reached, and from every state the call can come to an end.

use crate::finding::Finding;

use super::super::model::{Dialplan, StateId};

/// Which states a call can be in, by index.
pub(super) fn reached(plan: &Dialplan) -> Vec<bool> {
    let mut reached = vec![false; plan.states.len()];
    let mut open = vec![plan.start];
    while let Some(id) = open.pop() {
        if !core::mem::replace(&mut reached[id.index()], true) {
            open.extend(plan.state(id).edges().into_iter().map(|edge| edge.to));
        }
    }
    reached
}

pub(super) fn check_reachable(plan: &Dialplan, reached: &[bool]) -> Vec<Finding> {
    let unreached = plan.states.iter().zip(reached).filter(|(_, reached)| !**reached);
    unreached
        .map(|(state, _)| {
            plan.source.error(
                "dialplan.unreachable-state",
                state.span.clone(),
                format!("No call can come to state `{}`.", state.name),
                "Lead an edge to it, or remove it.",
            )
        })
        .collect()
}

/// One finding for all states that share a trap.
pub(super) fn check_ends(plan: &Dialplan, reached: &[bool]) -> Option<Finding> {
    let mut ends: Vec<bool> = plan.states.iter().map(super::State::can_end).collect();
    // From the last to the first: most edges lead down the file, so that one round settles most states.
    let backwards: Vec<StateId> = plan.ids().filter(|id| reached[id.index()]).collect();
    let mut grown = true;
    while grown {
        grown = false;
        for id in backwards.iter().rev().copied() {
            if !ends[id.index()] && plan.state(id).edges().iter().any(|edge| ends[edge.to.index()]) {
                ends[id.index()] = true;
                grown = true;
            }
        }
    }
    let trapped: Vec<_> = plan.ids().filter(|id| reached[id.index()] && !ends[id.index()]).collect();
    let first = trapped.first()?;
    let names: Vec<_> = trapped.iter().take(8).map(|id| format!("`{}`", plan.state(*id).name)).collect();
    Some(plan.source.error(
        "dialplan.never-ends",
        plan.state(*first).span.clone(),
        format!("A call in {} never queues, is connected, leaves a message or hangs up.", names.join(", ")),
        "Lead an edge to a `queue`, `dial`, `voicemail`, `return` or `hangup` state.",
    ))
}
