//! Variables are set before they are read, on every path.
//!
//! A forward dataflow: what is known on entering a state is what is known on all edges into it. A state sets variables
//! on the edges where it succeeded, `lookup` makes the customer known, and the states that leave the caller to somebody
//! else make the machine forget secrets.

use core::ops::Range;
use std::collections::VecDeque;

use crate::finding::Finding;

use super::super::expr::Expr;
use super::super::model::{Action, Dialplan, EdgeLabel, Role, State, StateId, VarId};
use super::super::value::Type;

/// What is set: one place for each variable and a last one for the customer's record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known(Vec<bool>);

/// Something read: a variable, or the customer's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Var(VarId),
    Customer,
}

impl Known {
    fn at_start(plan: &Dialplan) -> Known {
        let set = plan.vars.iter().map(|var| var.initial.is_some() || var.role == Role::Param);
        Known(set.chain([plan.needs_customer]).collect())
    }

    fn has(&self, read: Read) -> bool {
        self.0[self.place(read)]
    }

    fn put(&mut self, read: Read, set: bool) {
        let place = self.place(read);
        self.0[place] = set;
    }

    fn place(&self, read: Read) -> usize {
        match read {
            Read::Var(var) => var.index(),
            Read::Customer => self.0.len() - 1,
        }
    }

    /// Keeps what both know; whether that is less than before.
    fn meet(&mut self, other: &Known) -> bool {
        let before = self.clone();
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine &= theirs);
        *self != before
    }
}

pub(super) fn check_set_before_use(plan: &Dialplan, reached: &[bool]) -> Vec<Finding> {
    let entering = flow(plan);
    let mut findings = Vec::new();
    for id in plan.ids().filter(|id| reached[id.index()]) {
        let Some(known) = &entering[id.index()] else { continue };
        let state = plan.state(id);
        for (read, place) in unset_reads(plan, state, known) {
            findings.push(finding(plan, id, read, place));
        }
    }
    findings
}

/// What is known on entering each state; `None` where no call comes.
fn flow(plan: &Dialplan) -> Vec<Option<Known>> {
    let mut entering: Vec<Option<Known>> = vec![None; plan.states.len()];
    entering[plan.start.index()] = Some(Known::at_start(plan));
    let mut open = VecDeque::from([plan.start]);
    while let Some(id) = open.pop_front() {
        let Some(known) = entering[id.index()].clone() else { continue };
        let state = plan.state(id);
        for edge in state.edges() {
            let leaving = after(plan, state, &edge.label, known.clone());
            let changed = match &mut entering[edge.to.index()] {
                Some(there) => there.meet(&leaving),
                empty => {
                    *empty = Some(leaving);
                    true
                }
            };
            if changed {
                open.push_back(edge.to);
            }
        }
    }
    entering
}

/// What is known on an edge, `known` on entering the state.
fn after(plan: &Dialplan, state: &State, label: &EdgeLabel, mut known: Known) -> Known {
    match (&state.action, label) {
        // The visit limit is met before the state does anything.
        (_, EdgeLabel::Exhausted) => {}
        (Action::Queue(_) | Action::Dial(_) | Action::Voicemail(_), _) => {
            for (id, _) in (0..).map(VarId).zip(&plan.vars).filter(|(_, var)| var.kind == Type::Secret) {
                known.put(Read::Var(id), false);
            }
        }
        (Action::Lookup(_), EdgeLabel::Next) => known.put(Read::Customer, true),
        (Action::Collect(collect) | Action::Secure(collect), EdgeLabel::Next) => {
            known.put(Read::Var(collect.into), true);
            if let Some(var) = collect.last4 {
                known.put(Read::Var(var), true);
            }
        }
        (Action::Set(set), _) => set.values.iter().for_each(|(var, _)| known.put(Read::Var(*var), true)),
        (Action::Script(script), EdgeLabel::Next) => {
            script.writes.iter().for_each(|var| known.put(Read::Var(*var), true));
        }
        (Action::Http(http), EdgeLabel::Next) => http.into.iter().for_each(|(var, _)| known.put(Read::Var(*var), true)),
        (Action::Page(page), _) => page.take.iter().for_each(|(var, _)| known.put(Read::Var(*var), true)),
        _ => {}
    }
    known
}

/// What the state reads that is not known, each once.
fn unset_reads(plan: &Dialplan, state: &State, known: &Known) -> Vec<(Read, Range<usize>)> {
    let mut known = known.clone();
    let mut unset: Vec<(Read, Range<usize>)> = Vec::new();
    let mut read = |read: Read, place: Range<usize>, known: &Known| {
        if !known.has(read) && !unset.iter().any(|(other, _)| *other == read) {
            unset.push((read, place));
        }
    };
    let mut expr = |expr: &Expr, known: &Known| {
        expr.each_var(&mut |var| read(Read::Var(var), expr.place(), known));
        if expr.reads_customer() {
            read(Read::Customer, expr.place(), known);
        }
    };
    match &state.action {
        Action::Set(set) => {
            for (var, value) in &set.values {
                expr(value, &known);
                known.put(Read::Var(*var), true);
            }
        }
        Action::Collect(collect) => {
            state.each_prompts(&mut |prompts| prompts.0.iter().filter_map(|p| p.expr()).for_each(|e| expr(e, &known)));
            known.put(Read::Var(collect.into), true);
            collect.valid.iter().for_each(|valid| expr(valid, &known));
        }
        Action::Script(script) => {
            for var in script.reads.iter().filter(|var| !script.writes.contains(var)) {
                read(Read::Var(*var), super::place_of(plan, state, &plan.var(*var).name), &known);
            }
        }
        Action::Authenticate(_) => {
            state.each_expr(&mut |e| expr(e, &known));
            read(Read::Customer, state.span.clone(), &known);
        }
        Action::Page(page) => {
            state.each_expr(&mut |e| expr(e, &known));
            if page.needs_customer {
                read(Read::Customer, state.span.clone(), &known);
            }
        }
        Action::Return(_) => {
            let results = (0..).map(VarId).zip(&plan.vars).filter(|(_, var)| var.role == Role::Result);
            results.for_each(|(id, _)| read(Read::Var(id), state.span.clone(), &known));
        }
        _ => state.each_expr(&mut |e| expr(e, &known)),
    }
    unset
}

fn finding(plan: &Dialplan, id: StateId, read: Read, place: Range<usize>) -> Finding {
    let path = path_without(plan, id, read);
    let state = plan.state(id);
    match read {
        Read::Customer => plan.source.error(
            "dialplan.unset-customer",
            place,
            format!("State `{}` needs the customer's record, which is not known on the way {path}.", state.name),
            "Let every way here pass a `lookup` by its `next` edge, or ask `has(customer.…)`.",
        ),
        Read::Var(var) if matches!(state.action, Action::Return(_)) => plan.source.error(
            "dialplan.unset-result",
            place,
            format!("The page returns without its result `{}` on the way {path}.", plan.var(var).name),
            "Set it before the `return`, or give it an initial value.",
        ),
        Read::Var(var) => plan.source.error(
            "dialplan.unset-variable",
            place,
            format!("`{}` is read but not set on the way {path}.", plan.var(var).name),
            "Set it on that way, or give it an initial value in `[vars]`.",
        ),
    }
}

/// The shortest way to the state on which the thing read stays unset, as `welcome → menu → tell`.
fn path_without(plan: &Dialplan, target: StateId, read: Read) -> String {
    let mut came_from: Vec<Option<StateId>> = vec![None; plan.states.len()];
    let mut seen = vec![false; plan.states.len()];
    seen[plan.start.index()] = true;
    let mut open = VecDeque::from([plan.start]);
    let nothing = Known(vec![false; plan.vars.len() + 1]);
    while let Some(id) = open.pop_front() {
        let state = plan.state(id);
        for edge in state.edges() {
            let sets = after(plan, state, &edge.label, nothing.clone()).has(read);
            if !sets && !core::mem::replace(&mut seen[edge.to.index()], true) {
                came_from[edge.to.index()] = Some(id);
                open.push_back(edge.to);
            }
        }
    }
    let mut names = vec![&*plan.state(target).name];
    let mut at = target;
    while let Some(before) = came_from[at.index()] {
        names.push(&plan.state(before).name);
        at = before;
    }
    names.reverse();
    match names.len() {
        0..=9 => names.join(" → "),
        long => format!("{} → … → {}", names[..4].join(" → "), names[long - 4..].join(" → ")),
    }
}
