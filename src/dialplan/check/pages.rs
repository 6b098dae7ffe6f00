//! Pages in pages end: no page comes to call itself, and none is nested too deep.

use crate::finding::Finding;
use crate::limits;

use super::super::model::{Action, Dialplan, DialplanId, State};

pub(super) fn check_depth(plans: &[Option<Dialplan>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told = vec![false; plans.len()];
    for (index, plan) in plans.iter().enumerate() {
        let Some(plan) = plan else { continue };
        let Some(id) = u16::try_from(index).ok().map(DialplanId) else { break };
        for (state, page) in calls(plan) {
            if reaches(plans, page, id) && !core::mem::replace(&mut told[index], true) {
                findings.push(plan.source.error(
                    "dialplan.page-recursion",
                    super::place_of(plan, state, plan_name(plans, page)),
                    format!("`{}` calls itself by the page `{}`, without bound.", plan.name, plan_name(plans, page)),
                    "Return from the page, and go round in the dialplan that called it.",
                ));
            }
        }
    }
    if findings.is_empty() {
        findings.extend(too_deep(plans));
    }
    findings
}

fn plan_name(plans: &[Option<Dialplan>], id: DialplanId) -> &str {
    plans[id.index()].as_ref().map_or("", |plan| plan.name.as_str())
}

/// The states of `plan` that call a page, with the page.
fn calls(plan: &Dialplan) -> impl Iterator<Item = (&State, DialplanId)> {
    plan.states.iter().filter_map(|state| match &state.action {
        Action::Page(page) => Some((state, page.page)),
        _ => None,
    })
}

fn reaches(plans: &[Option<Dialplan>], from: DialplanId, to: DialplanId) -> bool {
    let mut seen = vec![false; plans.len()];
    let mut open = vec![from];
    while let Some(id) = open.pop() {
        if id == to {
            return true;
        }
        if !core::mem::replace(&mut seen[id.index()], true)
            && let Some(plan) = &plans[id.index()]
        {
            open.extend(calls(plan).map(|(_, page)| page));
        }
    }
    false
}

/// Only asked where nothing recurs: each round settles at least one more page.
fn too_deep(plans: &[Option<Dialplan>]) -> Option<Finding> {
    let mut depth = vec![0_usize; plans.len()];
    for _ in 0..=limits::DIALPLAN_PAGE_DEPTH {
        for (index, plan) in plans.iter().enumerate() {
            let below = plan.iter().flat_map(calls).map(|(_, page)| depth[page.index()] + 1).max();
            depth[index] = below.unwrap_or(0);
        }
    }
    let deepest = (0..plans.len()).find(|index| depth[*index] > limits::DIALPLAN_PAGE_DEPTH)?;
    let plan = plans[deepest].as_ref()?;
    let reason = format!("Pages are nested more than {} deep from here.", limits::DIALPLAN_PAGE_DEPTH);
    Some(plan.source.error("dialplan.page-recursion", 0..0, reason, "Join some of the pages."))
}
