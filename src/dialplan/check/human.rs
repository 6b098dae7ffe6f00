//! From every menu a human can be reached, unless the administrator says that the line is self-service.

use crate::finding::Finding;

use super::super::model::{Action, Dialplan, State};

pub(super) fn check_reachable(plans: &[Option<Dialplan>]) -> Vec<Finding> {
    let to_human = humans(plans);
    let mut findings = Vec::new();
    for (plan, to_human) in plans.iter().zip(&to_human) {
        let Some(plan) = plan.as_ref().filter(|plan| !plan.self_service) else { continue };
        let stranded = plan.states.iter().zip(to_human).filter(|(state, to_human)| is_menu(state) && !**to_human);
        findings.extend(stranded.map(|(state, _)| {
            plan.source.error(
                "dialplan.no-human",
                state.span.clone(),
                format!("From the menu `{}` no caller can reach a human.", state.name),
                "Lead some way to a `queue` or `dial` state, or write `self_service = true` at the top.",
            )
        }));
    }
    findings
}

fn is_menu(state: &State) -> bool {
    matches!(state.action, Action::Menu(_))
}

/// For each state of each dialplan, whether some way leads to a queue or a dialled number. A page that returns leaves
/// that to its caller; a page that could not be read gets the benefit of the doubt.
fn humans(plans: &[Option<Dialplan>]) -> Vec<Vec<bool>> {
    let mut reach: Vec<Vec<bool>> =
        plans.iter().map(|plan| vec![false; plan.as_ref().map_or(0, |plan| plan.states.len())]).collect();
    let mut grown = true;
    while grown {
        grown = false;
        for (index, plan) in plans.iter().enumerate() {
            let Some(plan) = plan else { continue };
            // From the last to the first: most edges lead down the file.
            for id in plan.ids().collect::<Vec<_>>().into_iter().rev() {
                let state = plan.state(id);
                let here = match &state.action {
                    Action::Queue(_) | Action::Dial(_) | Action::Return(_) => true,
                    Action::Page(page) => match &plans[page.page.index()] {
                        Some(callee) => reaches_itself(callee, &reach[page.page.index()]),
                        None => true,
                    },
                    _ => false,
                };
                let there = || state.edges().iter().any(|edge| reach[index][edge.to.index()]);
                if !reach[index][id.index()] && (here || there()) {
                    reach[index][id.index()] = true;
                    grown = true;
                }
            }
        }
    }
    reach
}

/// Whether the page itself has a human; its `return`s are no help to its caller.
fn reaches_itself(page: &Dialplan, reach: &[bool]) -> bool {
    let has = |state: &State| matches!(state.action, Action::Queue(_) | Action::Dial(_));
    reach[page.start.index()] && page.states.iter().any(has)
}
