//! What changed between two plans, in words for the reload log.
//!
//! The plans are compared as the trees they serialise to, whose keys are those of the file, so a new key needs no line
//! here. Secrets serialise as `(secret)`; a changed one is told apart by comparing trunks.

use serde_json::Value;

use super::model::Plan;

/// Lines told at most; the rest is a count.
pub const LINES_MAX: usize = 50;

/// One line a change, in the order of the keys: `queues.support.wrap_up_s: 30 → 20`.
/// Empty where the plans are the same.
pub fn changes(before: &Plan, after: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", &tree(before), &tree(after), &mut lines);
    for (name, trunk) in &after.trunks {
        let password = |plan: &Plan| plan.trunks.get(name)?.credentials.clone().map(|known| known.password);
        if password(before).is_some_and(|old| trunk.credentials.as_ref().is_some_and(|new| new.password != old)) {
            lines.push(format!("trunks.{name}.credentials.password: changed"));
        }
    }
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(format!("and {more} more"));
    }
    lines
}

/// What a plan says of one key of the file, as `sip.listen`.
pub fn words_of(plan: &Plan, key: &str) -> String {
    let tree = tree(plan);
    key.split('.').try_fold(&tree, |at, part| at.get(part)).map_or_else(|| "(none)".to_owned(), words)
}

fn tree(plan: &Plan) -> Value {
    serde_json::to_value(plan).expect("every key of a plan is a string")
}

fn compare(path: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                let path = join(path, key);
                match new.get(key) {
                    Some(other) => compare(&path, value, other, lines),
                    None => lines.push(format!("{path}: removed")),
                }
            }
            let added = new.keys().filter(|key| !old.contains_key(*key));
            lines.extend(added.map(|key| format!("{}: added", join(path, key))));
        }
        (Value::Array(old), Value::Array(new)) if is_entries(old) && is_entries(new) => {
            compare_entries(path, old, new, lines);
        }
        _ => lines.push(format!("{path}: {} → {}", words(before), words(after))),
    }
}

/// Whether a list is one of tables (`[[number]]`), not of words.
fn is_entries(list: &[Value]) -> bool {
    list.iter().all(Value::is_object)
}

/// Entries have no names: those that are in one plan only are told by what they match.
fn compare_entries(path: &str, old: &[Value], new: &[Value], lines: &mut Vec<String>) {
    if old.len() == new.len() {
        for (at, (before, after)) in old.iter().zip(new).enumerate() {
            compare(&format!("{path}[{}]", at + 1), before, after, lines);
        }
        return;
    }
    let only = |these: &[Value], those: &[Value]| -> Vec<String> {
        these.iter().filter(|entry| !those.contains(entry)).map(title).collect()
    };
    lines.extend(only(old, new).iter().map(|entry| format!("{path}: {entry} removed")));
    lines.extend(only(new, old).iter().map(|entry| format!("{path}: {entry} added")));
}

/// What an entry is called by people: its match, prefix or name, else all of it.
fn title(entry: &Value) -> String {
    let named = ["match", "prefix", "name", "when", "after_s"].iter().find_map(|key| entry.get(key));
    words(named.unwrap_or(entry))
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "(none)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(words).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Source;
    use crate::plan::read::{Surroundings, read};

    fn plan(text: &str) -> Plan {
        let surroundings = Surroundings { secret: &|name| Some(name.to_lowercase()), ..Surroundings::NONE };
        read(&Source::new("strowger.toml", text), &surroundings)
            .into_plan()
            .unwrap_or_else(|findings| panic!("{findings:?}"))
    }

    #[test]
    fn a_reload_tells_what_changed_in_the_words_of_the_file() {
        let before =
            plan("[queue.support]\nwrap_up_s = 30\n[queue.sales]\n[[number]]\nmatch = \"95539\"\ndialplan = \"a\"\n");
        let after = plan(
            "[queue.support]\nwrap_up_s = 20\noverflow = [{ waited_s = 60, to = \"voicemail\" }]\n[queue.vip]\n\
             [[number]]\nmatch = \"95539\"\ndialplan = \"b\"\n[media]\nengines = 2\n",
        );
        assert_eq!(
            changes(&before, &after),
            [
                "media.engines: 1 → 2",
                "numbers[1].dialplan: a → b",
                "queues.sales: removed",
                "queues.support.overflow: {\"waited_s\":60} added",
                "queues.support.wrap_up_s: 30 → 20",
                "queues.vip: added",
            ]
        );
        assert_eq!(changes(&after, &after), [""; 0]);
    }

    #[test]
    fn a_changed_password_is_told_and_not_shown() {
        let with =
            |name: &str| plan(&format!("[trunk.t]\nhost = \"t.example\"\nuser = \"u\"\npassword_env = \"{name}\"\n"));
        assert_eq!(changes(&with("ONE"), &with("TWO")), ["trunks.t.credentials.password: changed"]);
    }

    #[test]
    fn a_long_difference_is_cut() {
        let queues: String = (0..60).map(|n| format!("[queue.q{n}]\n")).collect();
        let lines = changes(&plan(""), &plan(&queues));
        assert_eq!(lines.len(), LINES_MAX + 1);
        assert_eq!(lines.last().unwrap(), "and 10 more");
    }
}
