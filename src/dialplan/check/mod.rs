//! The proofs: what holds of every call before there is one.
//!
//! | proof | code of the finding |
//! |---|---|
//! | every path ends or queues | `dialplan.missing-edge` (parsing), `dialplan.never-ends` |
//! | no state is unreachable | `dialplan.unreachable-state` |
//! | every outside step has its timeout and failure edges | `dialplan.missing-edge` (parsing) |
//! | loops are bounded | `dialplan.endless-loop` |
//! | every prompt exists in every language | `dialplan.missing-prompt`, `dialplan.unknown-language` |
//! | variables are set before use, on every path | `dialplan.unset-variable`, `dialplan.unset-customer`, `dialplan.unset-result` |
//! | types agree | `dialplan.type` (typing) |
//! | nothing secret leaves a secure state | `dialplan.secret-leaves` (typing: no expression can hold a secret) |
//! | a human can be reached | `dialplan.no-human` |
//! | pages exist and end | `dialplan.unknown-page` (parsing), `dialplan.page-recursion` |
//! | names exist | `dialplan.unknown-queue`, `dialplan.unknown-hours`, `dialplan.no-route` |

mod human;
mod loops;
mod names;
mod pages;
mod paths;
mod prompts;
mod variables;

use crate::finding::Finding;

use super::context::{Names, PromptCatalogue};
use super::model::{Dialplan, State};

/// Proves what can be proved of each dialplan that was read; `None` stands for one that was not.
pub(super) fn check(plans: &[Option<Dialplan>], catalogue: &PromptCatalogue, known: &Names) -> Vec<Finding> {
    let mut findings = Vec::new();
    for plan in plans.iter().flatten() {
        let reached = paths::reached(plan);
        findings.extend(paths::check_reachable(plan, &reached));
        findings.extend(paths::check_ends(plan, &reached));
        findings.extend(loops::check_bounded(plan, &reached));
        findings.extend(variables::check_set_before_use(plan, &reached));
        findings.extend(prompts::check_recorded(plan, catalogue));
        findings.extend(names::check_exist(plan, known));
    }
    findings.extend(human::check_reachable(plans));
    findings.extend(pages::check_depth(plans));
    findings
}

/// The place of a quoted word in a state, for things the model keeps no place of; the state's name where it is not
/// found.
fn place_of(plan: &Dialplan, state: &State, word: &str) -> core::ops::Range<usize> {
    let end = plan.states.iter().map(|other| other.span.start).filter(|start| *start > state.span.start).min();
    let end = end.unwrap_or(plan.source.text.len());
    let text = plan.source.text.get(state.span.end..end).unwrap_or("");
    let quoted = [format!("\"{word}\""), format!("'{word}'")];
    let found = quoted.iter().find_map(|quoted| text.find(quoted.as_str()).map(|at| (at, quoted.len())));
    match found {
        Some((at, length)) => state.span.end + at..state.span.end + at + length,
        None => state.span.clone(),
    }
}
