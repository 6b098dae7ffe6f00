//! The plan in the words of the parts that run it: queues as the ACD takes them, dialplans as a book.

use core::ops::Range;
use core::time::Duration;
use std::path::Path;
use std::sync::Arc;

use super::load::ReadDialplans;
use crate::acd::{
    Action, AnnounceRule, BackOff, Expression, Fit, Membership, Overflow, Priority, QueueSettings, Settings,
    SettingsFault, Step, TierPoints, WrapUpRule,
};
use crate::dialplan::{self, Book, Names, PromptCatalogue, SkillsFault};
use crate::finding::{Finding, Source};
use crate::ids::SkillName;
use crate::plan::queue::{OverflowTo, OverflowWhen, Queue, SkillExpression, SkillFit, WrapUp};
use crate::plan::{Places, Plan};

/// Reads a folder of dialplans into a book; `catalogue` knows how prompts are kept.
pub struct BookReader<C> {
    pub catalogue: C,
}

impl<C: Fn(&Path) -> (PromptCatalogue, Vec<Finding>)> ReadDialplans for BookReader<C> {
    type Dialplans = Book;

    fn read(&self, plan: &Plan, sources: &[Source], prompts: &Path) -> (Option<Book>, Vec<Finding>) {
        let (catalogue, mut findings) = (self.catalogue)(prompts);
        let loaded = dialplan::load(sources, &catalogue, &dialplan_names(plan));
        findings.extend(loaded.findings);
        (loaded.book, findings)
    }
}

/// The names that dialplans may use.
pub fn dialplan_names(plan: &Plan) -> Names {
    let prefixes = plan.outbound.iter().flat_map(|route| &route.prefix);
    let beginning = |text: String| Arc::from(text.trim_end_matches('*'));
    Names {
        queues: plan.queues.keys().cloned().collect(),
        hours: plan.hours.keys().cloned().collect(),
        dial_prefixes: prefixes.map(|prefix| beginning(prefix.to_string())).collect(),
        skills: plan.skills.keys().cloned().collect(),
        read_skills: Some(read_skills),
    }
}

/// A skill expression as the ACD reads it: the skills it names, or its fault.
pub fn read_skills(text: &str) -> Result<Vec<(Range<usize>, SkillName)>, SkillsFault> {
    match Expression::parse(text) {
        Ok(expression) => Ok(expression.skills().into_iter().map(|(skill, span)| (span, skill.clone())).collect()),
        Err(fault) => Err(SkillsFault { span: fault.span, reason: fault.reason, mend: fault.mend }),
    }
}

/// The queues as the ACD takes them, and what the ACD finds wrong with them, at its place.
pub fn queue_settings(plan: &Plan, source: &Source, places: &Places) -> (Settings, Vec<Finding>) {
    let mut findings = Vec::new();
    let agents = &plan.agents;
    let tiers = &plan.callers.tier_priority;
    let settings = Settings {
        queues: plan.queues.values().map(|queue| one_queue(plan, queue, source, &mut findings)).collect(),
        not_ready_reasons: plan.not_ready_reasons.keys().cloned().collect(),
        tiers: TierPoints { platinum: tiers.platinum, gold: tiers.gold, iron: tiers.iron, lead: tiers.lead },
        back_off: BackOff {
            no_answer: agents.no_answer_back_off_s.span(),
            declined: agents.declined_back_off_s.span(),
            busy: agents.busy_back_off_s.span(),
            unreachable: agents.unreachable_back_off_s.span(),
        },
        outage_grace: agents.link_lost_grace_s.span(),
        resume_within: plan.callers.resume_within_s.span(),
    };
    for fault in settings.check().err().unwrap_or_default() {
        // Names and circles were told in the words of the file already.
        if let Some(path) = place_of(&fault) {
            let mend = "Change it as the message says.";
            findings.push(source.error(
                "queue.refused",
                places.of(&path),
                format!("The ACD refuses it: {fault}."),
                mend,
            ));
        }
    }
    (settings, findings)
}

fn one_queue(plan: &Plan, queue: &Queue, source: &Source, findings: &mut Vec<Finding>) -> QueueSettings {
    let base = queue.priority;
    let gain = i32::try_from(queue.priority_gain_max).unwrap_or(i32::MAX);
    QueueSettings {
        members: match queue.members.as_slice() {
            [] => Membership::BySkills,
            members => Membership::Listed(members.to_vec()),
        },
        steps: steps(queue, source, findings),
        strategy: queue.strategy,
        fit: match queue.skill_fit {
            SkillFit::Best => Fit::Best,
            SkillFit::Disregard => Fit::Disregard,
        },
        priority: Priority {
            base,
            per_minute: queue.priority_per_minute,
            cap: base.saturating_add(gain),
            starve_after: queue.starve_after_s.span(),
        },
        ring_timeout: queue.ring_timeout_s.span(),
        widen_every: queue.ring_widen_s.span(),
        // 0 in the file is never.
        no_answer_limit: if plan.agents.no_answer_limit == 0 { u32::MAX } else { plan.agents.no_answer_limit },
        preferred_wait: queue.preferred_wait_s.span(),
        length_limit: usize::try_from(queue.length_max).unwrap_or(usize::MAX),
        overflow: overflow(queue),
        wrap_up: WrapUpRule {
            lasts: if queue.wrap_up == WrapUp::Off { Duration::ZERO } else { queue.wrap_up_s.span() },
            codes: match queue.dispositions.as_slice() {
                [] => plan.dispositions.keys().cloned().collect(),
                codes => codes.to_vec(),
            },
            code_required: queue.wrap_up == WrapUp::CodeRequired,
            extend_by: queue.wrap_up_extend_s.span(),
            extensions: queue.wrap_up_extensions,
        },
        announce: AnnounceRule {
            position: queue.announcements.position_every_s.0 > 0,
            // The wait is said with the place, hence not at all where the place is not.
            wait: queue.announcements.wait_estimate && queue.announcements.position_every_s.0 > 0,
            first: queue.announcements.position_first_s.span(),
            every: queue.announcements.position_every_s.span().max(Duration::from_secs(1)),
        },
        target: queue.service_level_s.span(),
        short_abandon: queue.short_abandon_s.span(),
        ..QueueSettings::named(queue.name.clone())
    }
}

/// The first expression and its widenings, each until the next begins.
fn steps(queue: &Queue, source: &Source, findings: &mut Vec<Finding>) -> Vec<Step> {
    if queue.skills.is_none() && queue.steps.is_empty() {
        return Vec::new();
    }
    let mut parse = |skills: Option<&SkillExpression>| parse_skills(skills?, source, findings);
    let first = (Duration::ZERO, parse(queue.skills.as_ref()), false);
    let later: Vec<_> = queue
        .steps
        .iter()
        .map(|step| (step.after_s.span(), parse(step.skills.as_ref()), step.skip_if_nobody))
        .collect();
    let all: Vec<_> = core::iter::once(first).chain(later).collect();
    let begins: Vec<Duration> = all.iter().map(|(begins, ..)| *begins).collect();
    let ends = |at: usize| begins.get(at + 1).copied();
    let step = |(at, (begins, expression, skip_if_nobody)): (usize, (Duration, Option<Expression>, bool))| Step {
        expression,
        lasts: ends(at).map_or(Duration::MAX, |end| end.saturating_sub(begins)),
        skip_if_nobody,
    };
    all.into_iter().enumerate().map(step).collect()
}

fn parse_skills(skills: &SkillExpression, source: &Source, findings: &mut Vec<Finding>) -> Option<Expression> {
    match Expression::parse(&skills.text) {
        Ok(expression) => Some(expression),
        Err(fault) => {
            let span = within(skills, &fault.span, source);
            findings.push(source.error("queue.skills", span, fault.reason, fault.mend));
            None
        }
    }
}

/// A range of an expression as one of the file; where the file escapes something in the string, all of the string.
fn within(skills: &SkillExpression, span: &Range<usize>, source: &Source) -> Range<usize> {
    let written = source.text.get(skills.span.clone()).unwrap_or_default();
    match written.find(skills.text.as_ref()) {
        Some(at) => {
            let start = skills.span.start + at + span.start;
            // What is missing at the end is shown at the closing quote.
            start..(skills.span.start + at + span.end).max(start + 1)
        }
        None => skills.span.clone(),
    }
}

fn overflow(queue: &Queue) -> Overflow {
    let mut rules = Overflow::default();
    for rule in &queue.overflow {
        let action = match &rule.to {
            OverflowTo::Queue(to) => Action::Queue(to.clone()),
            OverflowTo::Voicemail(mailbox) => Action::Voicemail(mailbox.clone()),
            OverflowTo::Number(number) => Action::Number(Arc::from(number.as_str())),
            OverflowTo::HangUp => Action::HangUp,
        };
        match rule.when {
            OverflowWhen::WaitedS(waited) => rules.after = Some((waited.span(), action)),
            OverflowWhen::Waiting(waiting) => {
                rules.length = Some((usize::try_from(waiting).unwrap_or(usize::MAX), action));
            }
            OverflowWhen::NobodySignedIn => rules.nobody_signed_in = Some(action),
            OverflowWhen::Closed => rules.closed = Some(action),
        }
    }
    rules
}

/// Where a fault of the ACD's stands; `None` for those that the plan's own check tells.
fn place_of(fault: &SettingsFault) -> Option<String> {
    match fault {
        SettingsFault::TooManyQueues(_) => Some("queue".to_owned()),
        SettingsFault::TooManySteps { queue, .. } => Some(format!("queue.{queue}.steps")),
        SettingsFault::TooShort { queue, .. } | SettingsFault::CapBelowBase(queue) => Some(format!("queue.{queue}")),
        SettingsFault::TooLong { queue, .. } => Some(format!("queue.{queue}.length_max")),
        SettingsFault::NoAnswerLimit(_) => Some("agents.no_answer_limit".to_owned()),
        SettingsFault::DuplicateQueue(_)
        | SettingsFault::UnknownOverflowQueue { .. }
        | SettingsFault::OverflowToItself(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::finding::Severity;
    use crate::plan::{Surroundings, read};

    fn composed(text: &str) -> (Settings, Vec<(&'static str, u32, u32)>) {
        let source = Source::new("strowger.toml", text);
        let reading = read(&source, &Surroundings::NONE);
        let errors: Vec<_> = reading.findings.iter().filter(|f| f.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let (settings, findings) = queue_settings(&reading.draft, &source, &reading.places);
        (settings, findings.iter().map(|finding| (finding.code, finding.line, finding.column)).collect())
    }

    #[test]
    fn a_queue_of_defaults_is_one_the_acd_takes() {
        let (settings, findings) = composed("[queue.support]\n");
        assert_eq!(findings, []);
        assert_eq!(settings.queues.len(), 1);
        assert_eq!(settings.queues[0].length_limit, 200);
        assert!(settings.queues[0].steps.is_empty(), "every agent");
    }

    #[test]
    fn widening_by_seconds_becomes_steps_with_lengths() {
        let (settings, _) = composed(
            "[skills]\nbilling = \"Billing\"\n[queue.support]\nskills = \"billing >= 3\"\npriority = 10\n\
             steps = [{ after_s = 30, skills = \"billing\" }, { after_s = 90, skip_if_nobody = true }]\n\
             overflow = [{ waited_s = 120, to = \"voicemail\" }, { waiting = 5, to = \"hangup\" }]\n",
        );
        let queue = &settings.queues[0];
        let lasts: Vec<u64> = queue.steps.iter().take(2).map(|step| step.lasts.as_secs()).collect();
        assert_eq!(lasts, [30, 60]);
        assert!(queue.steps[2].expression.is_none() && queue.steps[2].skip_if_nobody);
        assert_eq!((queue.priority.base, queue.priority.cap), (10, 110));
        assert_eq!(queue.overflow.after, Some((Duration::from_secs(120), Action::Voicemail(Arc::from("support")))));
        assert_eq!(queue.overflow.length, Some((5, Action::HangUp)));
    }

    #[test]
    fn nothing_is_announced_where_the_place_is_not() {
        let (settings, _) = composed("[queue.support]\n[queue.support.announcements]\nposition_every_s = 0\n");
        let rule = &settings.queues[0].announce;
        assert!(!rule.position && !rule.wait);
        let (settings, _) = composed("[queue.support]\n[queue.support.announcements]\nposition_every_s = 30\n");
        let rule = &settings.queues[0].announce;
        assert!(rule.position && rule.wait);
    }

    #[test]
    fn a_faulty_expression_is_shown_where_it_stands() {
        let (_, findings) = composed("[skills]\nbilling = \"Billing\"\n[queue.support]\nskills = \"billing >= or\"\n");
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].0, findings[0].1), ("queue.skills", 4));
        assert!(findings[0].2 > 11, "inside of the string: column {}", findings[0].2);
    }

    #[test]
    fn the_sample_composes_without_a_finding() {
        let text = include_str!("../../tests/data/config/strowger.toml");
        let source = Source::new("sample", text);
        let secret = |_: &str| Some("a password".to_owned());
        let reading = read(&source, &Surroundings { secret: &secret, ..Surroundings::NONE });
        let (settings, findings) = queue_settings(&reading.draft, &source, &reading.places);
        assert_eq!(findings, []);
        assert_eq!(settings.tiers, TierPoints { platinum: 30, gold: 20, iron: 10, lead: 0 });
        assert_eq!(dialplan_names(&reading.draft).dial_prefixes, ["", "+1", "+852"].map(Arc::from));
        let by_name: BTreeMap<_, _> = settings.queues.iter().map(|queue| (queue.name.as_str(), queue)).collect();
        assert_eq!(by_name["sales"].wrap_up.codes, ["sold", "call_back"].map(Arc::from));
        assert!(matches!(&by_name["service"].members, Membership::Listed(members) if members.len() == 2));
    }

    #[test]
    fn a_folder_of_dialplans_becomes_a_book_that_knows_the_plans_names() {
        let catalogue = |_: &Path| {
            let mut prompts = PromptCatalogue::default();
            prompts.insert("en".into(), "welcome".into(), "Welcome");
            (prompts, Vec::new())
        };
        let dialplan = |queue: &str| {
            let text = format!(
                "start = \"hello\"\n[state.hello]\nplay = \"welcome\"\nnext = \"wait\"\n\
                 [state.wait]\nqueue = \"{queue}\"\nfailed = \"end\"\ntimeout = \"end\"\n[state.end]\nhangup = true\n"
            );
            [Source::new("dialplans/airline.toml", text)]
        };
        let plan = Plan::from_toml("[queue.support]\n").unwrap();
        let reader = BookReader { catalogue };
        let (book, findings) = reader.read(&plan, &dialplan("support"), Path::new("prompts"));
        assert!(book.is_some_and(|book| book.find("airline").is_some()), "{findings:?}");
        let (book, findings) = reader.read(&plan, &dialplan("suport"), Path::new("prompts"));
        assert!(book.is_none());
        assert!(findings.iter().any(|finding| finding.line == 6 && finding.mend.contains("support")), "{findings:?}");
    }
}
