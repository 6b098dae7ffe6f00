//! Queues, opening hours and numbers that a dialplan names exist in the configuration.

use crate::finding::{Finding, nearest};
use crate::ids::{HoursName, QueueName, SkillName};

use super::super::context::Names;
use super::super::model::{Action, Destination, Dialplan, State};

pub(super) fn check_exist(plan: &Dialplan, known: &Names) -> Vec<Finding> {
    let mut findings = Vec::new();
    for state in &plan.states {
        if let Action::Queue(queue) = &state.action
            && let Some(skills) = &queue.skills
        {
            findings.extend(faulty_skills(plan, state, skills, known));
        }
        findings.extend(match &state.action {
            Action::Queue(queue) => unknown_queue(plan, state, &queue.queue, known, None),
            Action::Hours(hours) if !known.hours.contains(&hours.hours) => {
                let names = known.hours.iter().map(HoursName::as_str);
                let mend = suggestion(hours.hours.as_str(), names, "[hours.NAME]");
                let place = super::place_of(plan, state, hours.hours.as_str());
                let reason = format!("There are no opening hours `{}`.", hours.hours);
                Some(plan.source.error("dialplan.unknown-hours", place, reason, mend))
            }
            Action::Dial(dial) => match &dial.to {
                Destination::Fixed(number) => no_route(plan, state, number, known),
                Destination::Of(_) | Destination::Account(_) => None,
            },
            _ => None,
        });
        state.each_expr(&mut |expr| {
            expr.each_queue(&mut |queue| {
                findings.extend(unknown_queue(plan, state, queue, known, Some(expr.place())));
            });
        });
    }
    findings
}

fn unknown_queue(
    plan: &Dialplan,
    state: &State,
    queue: &QueueName,
    known: &Names,
    place: Option<core::ops::Range<usize>>,
) -> Option<Finding> {
    if known.queues.contains(queue) {
        return None;
    }
    let mend = suggestion(queue.as_str(), known.queues.iter().map(QueueName::as_str), "[queue.NAME]");
    let place = place.unwrap_or_else(|| super::place_of(plan, state, queue.as_str()));
    Some(plan.source.error("dialplan.unknown-queue", place, format!("There is no queue `{queue}`."), mend))
}

/// A caller for whom skills are asked must not reach an agent without them because of a slip of the pen.
fn faulty_skills(plan: &Dialplan, state: &State, skills: &str, known: &Names) -> Vec<Finding> {
    let Some(read) = known.read_skills else { return Vec::new() };
    let place = super::place_of(plan, state, skills);
    // Within the quotes, where the text is written without escapes; else all of it.
    let within = |span: &core::ops::Range<usize>| match place.len() == skills.len() + 2 {
        // What is missing at the end is shown at the closing quote.
        true => place.start + 1 + span.start..(place.start + 1 + span.end).max(place.start + 2 + span.start),
        false => place.clone(),
    };
    match read(skills) {
        Err(fault) => vec![plan.source.error("dialplan.skills", within(&fault.span), fault.reason, fault.mend)],
        Ok(named) => named
            .into_iter()
            .filter(|(_, skill)| !known.skills.contains(skill))
            .map(|(span, skill)| {
                let names = known.skills.iter().map(SkillName::as_str);
                let mend = match nearest(skill.as_str(), names) {
                    Some(near) => format!("Did you mean `{near}`?"),
                    None => format!("Add `{skill}` to `[skills]` in `strowger.toml`."),
                };
                let reason = format!("There is no skill `{skill}`.");
                plan.source.error("dialplan.unknown-skill", within(&span), reason, mend)
            })
            .collect(),
    }
}

fn no_route(plan: &Dialplan, state: &State, number: &str, known: &Names) -> Option<Finding> {
    if known.dial_prefixes.iter().any(|prefix| number.starts_with(&**prefix)) {
        return None;
    }
    Some(plan.source.error(
        "dialplan.no-route",
        super::place_of(plan, state, number),
        format!("No route leads to `{number}`."),
        "Add an `[[outbound]]` route or an account for it to `strowger.toml`, or correct the number.",
    ))
}

fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>, table: &str) -> String {
    match nearest(name, known) {
        Some(near) => format!("Did you mean `{near}`?"),
        None => format!("Add `{}` to `strowger.toml`.", table.replace("NAME", name)),
    }
}
