//! `[queue.NAME]` → [`Queue`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::hours::{Hours, Zone};
use super::keys::Table;
use super::model::{Label, Seconds};
use super::queue::{
    Announcements, Overflow, OverflowTo, OverflowWhen, Queue, Record, SkillExpression, SkillFit, Step, WrapUp,
};
use super::read_hours::zone;
use crate::ids::{AgentName, HoursName, PromptName, QueueName};
use crate::number::{Home, Number};
use crate::strategy::Strategy;

pub(super) fn read_queues(
    top: &Table<'_>,
    home: &Home,
    default_zone: &Zone,
    hours: &BTreeMap<HoursName, Hours>,
    default_length: u32,
) -> BTreeMap<QueueName, Queue> {
    let read = |(name, table): (&str, Table<'_>)| {
        let queue = read_queue(QueueName::new(name), &table, home, default_zone, hours, default_length);
        (queue.name.clone(), queue)
    };
    top.named("queue").into_iter().map(read).collect()
}

fn read_queue(
    name: QueueName,
    table: &Table<'_>,
    home: &Home,
    default_zone: &Zone,
    all_hours: &BTreeMap<HoursName, Hours>,
    default_length: u32,
) -> Queue {
    let hours = table.optional_text("hours").map(HoursName::new);
    let hours_zone = hours.as_ref().and_then(|name| all_hours.get(name)).map(|hours| &hours.time_zone);
    let time_zone = zone(table, "time_zone").unwrap_or_else(|| hours_zone.unwrap_or(default_zone).clone());
    let priority = table.signed("priority", -1_000..=1_000).unwrap_or(0);
    Queue {
        label: table.label("label").unwrap_or_else(|| Label::plain(name.as_str())),
        strategy: table.choice("strategy", &Strategy::ALL, Strategy::LongestIdle),
        skill_fit: table.choice("skill_fit", &SkillFit::ALL, SkillFit::Best),
        skills: skill_expression(table),
        members: table.words("members").unwrap_or_default().iter().map(|word| AgentName::new(word.text)).collect(),
        steps: read_steps(table),
        priority: i32::try_from(priority).expect("the range fits"),
        priority_per_minute: table.integer("priority_per_minute", 1, 0..=1_000),
        priority_gain_max: table.integer("priority_gain_max", 100, 0..=10_000),
        starve_after_s: table.seconds("starve_after_s", 900, 10..=86_400),
        ring_timeout_s: table.seconds("ring_timeout_s", 20, 3..=300),
        ring_widen_s: table.seconds("ring_widen_s", 5, 1..=300),
        wrap_up: table.choice("wrap_up", &WrapUp::ALL, WrapUp::Optional),
        wrap_up_s: table.seconds("wrap_up_s", 30, 1..=3_600),
        wrap_up_extend_s: table.seconds("wrap_up_extend_s", 30, 1..=3_600),
        wrap_up_extensions: table.integer("wrap_up_extensions", 3, 0..=100),
        dispositions: table.words("dispositions").unwrap_or_default().iter().map(|word| Arc::from(word.text)).collect(),
        length_max: table.integer("length_max", default_length, 0..=100_000),
        announcements: read_announcements(&table.section("announcements")),
        overflow: read_overflow(table, &name, home),
        service_level_s: table.seconds("service_level_s", 20, 1..=3_600),
        service_level_percent: table.integer("service_level_percent", 80, 1..=100),
        short_abandon_s: table.seconds("short_abandon_s", 5, 0..=300),
        preferred_wait_s: table.seconds("preferred_wait_s", 20, 0..=3_600),
        record: table.choice("record", &Record::ALL, Record::Always),
        name,
        hours,
        time_zone,
    }
}

fn skill_expression(table: &Table<'_>) -> Option<SkillExpression> {
    let word = table.word("skills")?;
    if word.text.trim().is_empty() {
        let mend = "Write skills, as \"billing >= 3\", or leave the key out for every agent.";
        table.error("config.value", word.span, "`skills` is empty.", mend);
        return None;
    }
    Some(SkillExpression { text: Arc::from(word.text), span: word.span })
}

fn read_steps(table: &Table<'_>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for entry in table.list("steps") {
        let after_s = entry.optional_integer("after_s", 1..=86_400).map(Seconds);
        let skills = skill_expression(&entry);
        let skip_if_nobody = entry.flag("skip_if_nobody", false);
        let Some(after_s) = after_s else {
            if !entry.has("after_s") {
                let reason = "This step does not say when it begins.";
                entry.error("config.missing", entry.span.clone(), reason, "Add after_s = 30.");
            }
            continue;
        };
        if steps.last().is_some_and(|before| before.after_s >= after_s) {
            let reason = format!("This step begins at {} s, not after the one before it.", after_s.0);
            entry.error("queue.step-order", entry.span_of("after_s"), reason, "Put steps in the order of `after_s`.");
        }
        steps.push(Step { after_s, skills, skip_if_nobody });
    }
    steps
}

fn read_announcements(table: &Table<'_>) -> Announcements {
    let prompt = |key| table.optional_text(key).map(PromptName::new);
    Announcements {
        music: prompt("music").unwrap_or_else(|| PromptName::new("music")),
        greeting: prompt("greeting"),
        comfort: table.words("comfort").unwrap_or_default().iter().map(|word| PromptName::new(word.text)).collect(),
        comfort_every_s: table.seconds("comfort_every_s", 30, 5..=3_600),
        position_first_s: table.seconds("position_first_s", 20, 1..=3_600),
        position_every_s: table.seconds("position_every_s", 45, 0..=3_600),
        wait_estimate: table.flag("wait_estimate", true),
    }
}

fn read_overflow(table: &Table<'_>, queue: &QueueName, home: &Home) -> Vec<Overflow> {
    let read = |entry: &Table<'_>| {
        let when = read_when(entry);
        let to = read_to(entry, queue, home);
        let play = entry.optional_text("play").map(PromptName::new);
        Some(Overflow { when: when?, to: to?, play })
    };
    table.list("overflow").iter().filter_map(read).collect()
}

/// `waited_s = 120`, `waiting = 20` or `when = "closed"`; exactly one.
fn read_when(entry: &Table<'_>) -> Option<OverflowWhen> {
    let words = [("nobody_signed_in", OverflowWhen::NobodySignedIn), ("closed", OverflowWhen::Closed)];
    let waited = entry.optional_integer("waited_s", 1..=86_400).map(|s| OverflowWhen::WaitedS(Seconds(s)));
    let waiting = entry.optional_integer("waiting", 1..=100_000).map(OverflowWhen::Waiting);
    let fact = entry.word("when").and_then(|word| entry.choose("when", &word, &words));
    let given = ["waited_s", "waiting", "when"].iter().filter(|key| entry.has(key)).count();
    if given != 1 {
        let reason = format!("An overflow has one occasion, and this has {given}.");
        let mend = "Write one of waited_s = 120, waiting = 20, when = \"nobody_signed_in\", when = \"closed\".";
        entry.error("queue.overflow-when", entry.span.clone(), reason, mend);
        return None;
    }
    waited.or(waiting).or(fact)
}

fn read_to(entry: &Table<'_>, queue: &QueueName, home: &Home) -> Option<OverflowTo> {
    let mend = "Write to = \"queue:NAME\", \"voicemail\", \"voicemail:BOX\", \"number:+86…\" or \"hangup\".";
    let Some(word) = entry.word("to") else {
        if !entry.has("to") {
            entry.error("config.missing", entry.span.clone(), "This overflow says not where to.", mend);
        }
        return None;
    };
    entry.parse_word("to", &word, mend, |text| match text.split_once(':') {
        None if text == "hangup" => Ok(OverflowTo::HangUp),
        None if text == "voicemail" => Ok(OverflowTo::Voicemail(Arc::from(queue.as_str()))),
        Some(("queue", name)) if !name.is_empty() => Ok(OverflowTo::Queue(QueueName::new(name))),
        Some(("voicemail", mailbox)) if !mailbox.is_empty() => Ok(OverflowTo::Voicemail(Arc::from(mailbox))),
        Some(("number", number)) => {
            Number::normalise(number, home).map(OverflowTo::Number).map_err(|why| why.to_string())
        }
        _ => Err(format!("`{text}` is no destination")),
    })
}
