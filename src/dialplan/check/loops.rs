//! Loops are bounded: a call that nobody answers, on a line where nobody presses a key, comes to its end.
//!
//! An edge is *paid for* where a caller had to press a key to take it (a menu's key, a collected entry, an
//! authenticated answer, a key that leaves a queue). A state with `max_visits` is, once they are used up, nothing but
//! the way to `exhausted`. What is left must have no cycle. A menu's own asking again is bounded by `retries`; that its
//! `failed` edge leads back to the menu is not.

use crate::finding::Finding;

use super::super::model::{Action, Dialplan, Edge, EdgeLabel, State, StateId};

pub(super) fn check_bounded(plan: &Dialplan, reached: &[bool]) -> Vec<Finding> {
    let free: Vec<Vec<StateId>> = plan
        .states
        .iter()
        .map(|state| {
            if let Some(visits) = state.visits {
                return vec![visits.exhausted];
            }
            let edges = state.edges();
            edges.iter().filter(|edge| !is_paid(state, edge)).map(|edge| edge.to).collect()
        })
        .collect();
    let starts = plan.ids().filter(|id| reached[id.index()]);
    cycles(&free, starts).iter().map(|cycle| finding(plan, cycle)).collect()
}

fn is_paid(state: &State, edge: &Edge) -> bool {
    match state.action {
        Action::Menu(_) | Action::Queue(_) => matches!(edge.label, EdgeLabel::Key(_)),
        Action::Collect(_) | Action::Secure(_) | Action::Authenticate(_) => edge.label == EdgeLabel::Next,
        _ => false,
    }
}

fn finding(plan: &Dialplan, cycle: &[StateId]) -> Finding {
    let names: Vec<_> = cycle.iter().chain(cycle.first()).map(|id| &*plan.state(*id).name).collect();
    let first = cycle.iter().min().copied().unwrap_or(plan.start);
    let counted = cycle.iter().find(|id| plan.state(**id).visits.is_some());
    let mend = match counted {
        Some(id) => format!("Lead `exhausted` of `{}` out of the loop.", plan.state(*id).name),
        None => {
            format!("Give `{}` a bound: `max_visits = 3` and `exhausted = \"…\"`.", plan.state(first).name)
        }
    };
    plan.source.error(
        "dialplan.endless-loop",
        plan.state(first).span.clone(),
        format!("A call can go round {} for ever without a key pressed.", names.join(" → ")),
        mend,
    )
}

/// Where a depth-first search stands with a state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    OnPath,
    Done,
}

/// One cycle for each edge that closes one in depth-first order; bounded by the number of edges. No recursion: a
/// dialplan may have thousands of states in a row.
fn cycles(edges: &[Vec<StateId>], starts: impl Iterator<Item = StateId>) -> Vec<Vec<StateId>> {
    let mut found = Vec::new();
    let mut marks = vec![Mark::New; edges.len()];
    for start in starts {
        let mut path: Vec<(StateId, usize)> = Vec::new();
        if marks[start.index()] == Mark::New {
            marks[start.index()] = Mark::OnPath;
            path.push((start, 0));
        }
        while let Some((id, next)) = path.last_mut() {
            let Some(to) = edges[id.index()].get(*next).copied() else {
                marks[id.index()] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match marks[to.index()] {
                Mark::New => {
                    marks[to.index()] = Mark::OnPath;
                    path.push((to, 0));
                }
                Mark::OnPath => {
                    let begin = path.iter().position(|(id, _)| *id == to).unwrap_or(0);
                    found.push(path[begin..].iter().map(|(id, _)| *id).collect());
                }
                Mark::Done => {}
            }
        }
    }
    found
}
