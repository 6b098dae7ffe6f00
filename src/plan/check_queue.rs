//! Whether every queue can be staffed, left and closed, and every overflow comes to an end.

use std::collections::BTreeSet;

use super::check::Checks;
use super::model::Dialer;
use super::queue::{Overflow, OverflowTo, OverflowWhen, Queue, SkillExpression, WrapUp};
use crate::ids::QueueName;

pub(super) fn check_queues(checks: &mut Checks<'_>) {
    let plan = checks.plan;
    for (name, queue) in &plan.queues {
        let path = format!("queue.{name}");
        check_skills(checks, &path, queue);
        check_names(checks, &path, queue);
        check_prompts(checks, &path, queue);
        if !checks.places.exceeds(&format!("{path}.overflow"), queue.overflow.len()) {
            for (at, overflow) in queue.overflow.iter().enumerate() {
                check_overflow(checks, &format!("{path}.overflow[{at}]"), queue, overflow, at);
            }
        }
    }
    check_overflow_ends(checks);
}

fn check_skills(checks: &mut Checks<'_>, path: &str, queue: &Queue) {
    let steps = queue.steps.iter().enumerate();
    let steps = steps.filter_map(|(at, step)| Some((format!("{path}.steps[{at}].skills"), step.skills.as_ref()?)));
    let own = queue.skills.iter().map(|skills| (format!("{path}.skills"), skills));
    let all: Vec<(String, &SkillExpression)> = own.chain(steps).collect();
    for (place, skills) in all {
        for (_, name) in skills.names() {
            let known = checks.plan.skills.keys().map(|name| name.as_str());
            checks.require_known("queue.unknown-skill", &place, ("skill", name), known);
        }
    }
}

fn check_names(checks: &mut Checks<'_>, path: &str, queue: &Queue) {
    let plan = checks.plan;
    if let Some(hours) = &queue.hours {
        let known = plan.hours.keys().map(|name| name.as_str());
        let named = ("set of hours", hours.as_str());
        checks.require_known("queue.unknown-hours", &format!("{path}.hours"), named, known);
    }
    for (at, code) in queue.dispositions.iter().enumerate() {
        let known = plan.dispositions.keys().map(|name| name.as_ref());
        let place = format!("{path}.dispositions[{at}]");
        checks.require_known("queue.unknown-disposition", &place, ("disposition", code.as_ref()), known);
    }
    if queue.wrap_up == WrapUp::CodeRequired && plan.dispositions.is_empty() {
        let reason = "A code is required, and there are no dispositions: wrap-up would never end.";
        checks.error("queue.no-dispositions", &format!("{path}.wrap_up"), reason, "Add a [dispositions] table.");
    }
}

fn check_prompts(checks: &mut Checks<'_>, path: &str, queue: &Queue) {
    let said = &queue.announcements;
    // The music every queue has by default is looked for where it is named.
    let music = format!("{path}.announcements.music");
    if checks.places.holds(&music) {
        checks.require_prompt(&music, &said.music);
    }
    if let Some(greeting) = &said.greeting {
        checks.require_prompt(&format!("{path}.announcements.greeting"), greeting);
    }
    for (at, comfort) in said.comfort.iter().enumerate() {
        checks.require_prompt(&format!("{path}.announcements.comfort[{at}]"), comfort);
    }
}

fn check_overflow(checks: &mut Checks<'_>, path: &str, queue: &Queue, overflow: &Overflow, at: usize) {
    let plan = checks.plan;
    if let Some(play) = &overflow.play {
        checks.require_prompt(&format!("{path}.play"), play);
    }
    match &overflow.to {
        OverflowTo::Queue(to) => {
            let known = plan.queues.keys().map(|name| name.as_str());
            checks.require_known("queue.unknown-queue", &format!("{path}.to"), ("queue", to.as_str()), known);
        }
        OverflowTo::Number(number) => {
            if plan.number_entry(number).is_none()
                && let Err(why) = plan.outbound(number, Dialer::Dialplan)
            {
                let reason = format!("{number} cannot be reached: {why}.");
                checks.error("queue.overflow-unroutable", &format!("{path}.to"), reason, "Add an [[outbound]] route.");
            }
        }
        OverflowTo::Voicemail(_) | OverflowTo::HangUp => {}
    }
    if let Some(reason) = never_applies(queue, overflow, &queue.overflow[..at]) {
        checks.error("queue.overflow-never", path, reason, "Change its occasion, or remove it.");
    }
}

/// Why an overflow can never happen.
fn never_applies(queue: &Queue, overflow: &Overflow, before: &[Overflow]) -> Option<String> {
    match overflow.when {
        OverflowWhen::Closed if queue.hours.is_none() => {
            Some("This queue has no hours, so it never closes.".to_owned())
        }
        OverflowWhen::Waiting(waiting) if waiting > queue.length_max => {
            Some(format!("{waiting} never wait here: length_max is {}.", queue.length_max))
        }
        when => before
            .iter()
            .find(|other| same_occasion(other.when, when))
            .map(|other| format!("An overflow above it (to {}) is for the same occasion.", other.to)),
    }
}

/// Whether both are of one occasion: a queue has one way out of each.
fn same_occasion(early: OverflowWhen, late: OverflowWhen) -> bool {
    match (early, late) {
        (OverflowWhen::WaitedS(_), OverflowWhen::WaitedS(_)) => true,
        (OverflowWhen::Waiting(_), OverflowWhen::Waiting(_)) => true,
        (a, b) => a == b,
    }
}

/// One clock runs from the first queue on, so a circle of overflows would send a caller round and round.
fn check_overflow_ends(checks: &mut Checks<'_>) {
    let mut reported: BTreeSet<&QueueName> = BTreeSet::new();
    for name in checks.plan.queues.keys() {
        let Some(circle) = circle_from(checks, name) else { continue };
        if circle.iter().any(|queue| reported.contains(queue)) {
            continue;
        }
        let words: Vec<&str> = circle.iter().chain(circle.first()).map(|name| name.as_str()).collect();
        let reason = format!("Overflow goes in a circle: {}.", words.join(" → "));
        let mend = "Let the last queue overflow to voicemail, a number or hangup.";
        let path = format!("queue.{name}.overflow[{}].to", edge_index(checks, &circle));
        reported.extend(circle);
        checks.error("queue.overflow-circle", &path, reason, mend);
    }
}

/// The shortest circle of overflows through a queue, beginning with it.
fn circle_from<'c>(checks: &Checks<'c>, start: &'c QueueName) -> Option<Vec<&'c QueueName>> {
    let mut paths: Vec<Vec<&QueueName>> = vec![vec![start]];
    let mut seen: BTreeSet<&QueueName> = BTreeSet::new();
    let mut at = 0;
    // Ends: each queue is entered once.
    while let Some(path) = paths.get(at).cloned() {
        at += 1;
        let last = path.last().expect("a path begins with a queue");
        for next in targets(checks, last) {
            if next == start {
                return Some(path);
            }
            if seen.insert(next) {
                paths.push(path.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}

fn targets<'c>(checks: &Checks<'c>, queue: &QueueName) -> impl Iterator<Item = &'c QueueName> {
    let overflow = checks.plan.queues.get(queue).map(|queue| queue.overflow.as_slice()).unwrap_or_default();
    overflow.iter().filter_map(|overflow| match &overflow.to {
        OverflowTo::Queue(to) => Some(to),
        _ => None,
    })
}

/// Which overflow of the first queue of a circle leads on.
fn edge_index(checks: &Checks<'_>, circle: &[&QueueName]) -> usize {
    let (Some(first), Some(next)) = (circle.first(), circle.get(1).or(circle.first())) else { return 0 };
    let leads_on = |overflow: &Overflow| matches!(&overflow.to, OverflowTo::Queue(to) if to == *next);
    checks.plan.queues.get(*first).and_then(|queue| queue.overflow.iter().position(leads_on)).unwrap_or(0)
}
