//! Numbers, digits, money, dates, places and waits as recorded words.
//!
//! A language is a grammar and a folder of prompts. Mandarin has its own grammar; every other language speaks by the
//! English one out of its own folder, which is right where its word order is. The names of all words are in
//! [`vocabulary`].

mod english;
mod mandarin;
#[cfg(test)]
mod tests;

use core::time::Duration;

use crate::dialplan::value::{Date, Money};
use crate::ids::{Language, PromptName};

use super::effect::Spoken;

/// Between two groups of digits, as people read them out.
const GROUP_PAUSE: Duration = Duration::from_millis(250);
/// Digits of one group.
const GROUP: usize = 4;
/// Digits up to which nobody pauses.
const UNGROUPED: usize = 6;

/// A whole number: "two hundred and five".
pub fn number(language: &Language, number: i64) -> Vec<Spoken> {
    let words = match grammar(language) {
        Grammar::English => english::number(number),
        Grammar::Mandarin => mandarin::number(number),
    };
    spoken(language, words)
}

/// Key by key, with a pause between groups of four from the end: "one three eight, zero zero one three, …". Letters
/// are spelled; other characters are not heard.
pub fn digits(language: &Language, digits: &str) -> Vec<Spoken> {
    let words: Vec<PromptName> = digits.chars().filter_map(spelled).collect();
    let count = words.len();
    let mut parts = Vec::with_capacity(count + count / GROUP);
    for (nth, prompt) in words.into_iter().enumerate() {
        if count > UNGROUPED && nth > 0 && (count - nth).is_multiple_of(GROUP) {
            parts.push(Spoken::Silence(GROUP_PAUSE));
        }
        parts.push(Spoken::Prompt { language: language.clone(), prompt });
    }
    parts
}

/// An amount, in hundredths, of a currency by its ISO 4217 code. The letters of an unknown code are spelled.
pub fn money(language: &Language, amount: Money, currency: &str) -> Vec<Spoken> {
    let words = match grammar(language) {
        Grammar::English => english::money(amount, currency),
        Grammar::Mandarin => mandarin::money(amount, currency),
    };
    spoken(language, words)
}

/// A day: "November twenty-first, twenty twenty-six".
pub fn date(language: &Language, date: Date) -> Vec<Spoken> {
    let words = match grammar(language) {
        Grammar::English => english::date(date),
        Grammar::Mandarin => mandarin::date(date),
    };
    spoken(language, words)
}

/// A place in line, as a sentence. A place of 0 is not known and nothing is said.
pub fn position(language: &Language, position: u32) -> Vec<Spoken> {
    let number = i64::from(position);
    let words = match (position, grammar(language)) {
        (0, _) => Vec::new(),
        (1, _) => vec![word("queue/you_are_next")],
        (_, Grammar::English) => around("queue/you_are_number", english::number(number), "queue/in_line"),
        (_, Grammar::Mandarin) => around("queue/you_are_number", mandarin::number(number), "queue/in_line"),
    };
    spoken(language, words)
}

/// A time to wait, rounded up to what a person would say: "about two minutes".
pub fn wait(language: &Language, seconds: u32) -> Vec<Spoken> {
    let minutes = rounded_up(seconds);
    let words = match minutes {
        _ if seconds < 60 => vec![word("wait/less_than_a_minute")],
        _ if minutes > LONGEST => vec![word("wait/more_than_an_hour")],
        _ => {
            let mut words = vec![word("wait/about")];
            words.extend(minutes_of(language, minutes));
            words
        }
    };
    spoken(language, words)
}

/// What a waiting caller is told: place and expected wait (P50 to P90, seconds), where there is one; that we have not
/// forgotten them, where there is neither.
pub fn announcement(language: &Language, position: Option<u32>, wait_s: Option<(u32, u32)>) -> Vec<Spoken> {
    let mut parts = position.map(|position| self::position(language, position)).unwrap_or_default();
    if let Some((likely, at_most)) = wait_s {
        parts.extend(spoken(language, vec![word("wait/expected")]));
        parts.extend(between(language, likely, at_most.max(likely)));
    }
    if parts.is_empty() {
        parts = spoken(language, vec![word("queue/thank_you_for_waiting")]);
    }
    parts
}

/// Every prompt that the functions of this module may name in a language.
pub fn vocabulary(language: &Language) -> Vec<PromptName> {
    let own = match grammar(language) {
        Grammar::English => english::VOCABULARY,
        Grammar::Mandarin => mandarin::VOCABULARY,
    };
    let numerals = (0..100).map(numeral);
    let keys = ('0'..='9').chain('a'..='z').chain(['*', '#']).filter_map(spelled);
    let months = (1..=12).map(month);
    let days = (1..=31).map(day);
    let fixed = COMMON.iter().chain(own).map(|name| word(name));
    numerals.chain(keys).chain(months).chain(days).chain(fixed).collect()
}

/// Words of both grammars.
const COMMON: &[&str] = &[
    "number/hundred",
    "number/thousand",
    "number/minus",
    "number/point",
    "queue/you_are_next",
    "queue/you_are_number",
    "queue/in_line",
    "queue/thank_you_for_waiting",
    "wait/less_than_a_minute",
    "wait/more_than_an_hour",
    "wait/about",
    "wait/expected",
    "wait/to",
    "wait/minutes",
    "wait/less_than",
    "wait/more_than",
];

/// Minutes beyond which a wait is "more than an hour".
const LONGEST: u32 = 60;

/// "between two and five minutes", with both ends rounded up.
fn between(language: &Language, likely_s: u32, at_most_s: u32) -> Vec<Spoken> {
    let (low, high) = (rounded_up(likely_s), rounded_up(at_most_s));
    if at_most_s < 60 || low > LONGEST || low == high {
        return wait(language, at_most_s);
    }
    let words = if likely_s < 60 {
        around_minutes(language, "wait/less_than", high)
    } else if high > LONGEST {
        around_minutes(language, "wait/more_than", low)
    } else {
        match grammar(language) {
            Grammar::English => english::minutes_between(low, high),
            Grammar::Mandarin => mandarin::minutes_between(low, high),
        }
    };
    spoken(language, words)
}

fn around_minutes(language: &Language, before: &str, minutes: u32) -> Vec<PromptName> {
    let mut words = vec![word(before)];
    words.extend(minutes_of(language, minutes.min(LONGEST)));
    words
}

fn minutes_of(language: &Language, minutes: u32) -> Vec<PromptName> {
    match grammar(language) {
        Grammar::English => english::minutes(minutes),
        Grammar::Mandarin => mandarin::minutes(minutes),
    }
}

/// Whole minutes to ten, fives to thirty, then tens: nobody believes "thirty-seven minutes".
fn rounded_up(seconds: u32) -> u32 {
    let minutes = seconds.div_ceil(60).max(1);
    match minutes {
        0..=10 => minutes,
        11..=30 => minutes.next_multiple_of(5),
        _ => minutes.div_ceil(10).saturating_mul(10),
    }
}

enum Grammar {
    English,
    Mandarin,
}

/// By the primary subtag of the tag (BCP 47): `zh`, `zh-CN` and `cmn` are Mandarin.
fn grammar(language: &Language) -> Grammar {
    match language.as_str().split(['-', '_']).next() {
        Some("zh" | "cmn") => Grammar::Mandarin,
        _ => Grammar::English,
    }
}

fn spoken(language: &Language, words: Vec<PromptName>) -> Vec<Spoken> {
    words.into_iter().map(|prompt| Spoken::Prompt { language: language.clone(), prompt }).collect()
}

fn around(before: &str, mut middle: Vec<PromptName>, after: &str) -> Vec<PromptName> {
    middle.insert(0, word(before));
    middle.push(word(after));
    middle
}

fn word(name: &str) -> PromptName {
    PromptName::new(name)
}

/// A number below 100, recorded whole.
fn numeral(number: u64) -> PromptName {
    PromptName::new(format!("number/{number}"))
}

fn month(month: u8) -> PromptName {
    PromptName::new(format!("date/month_{month}"))
}

fn day(day: u8) -> PromptName {
    PromptName::new(format!("date/day_{day}"))
}

/// A character read out by itself; `None` where it has no sound.
fn spelled(character: char) -> Option<PromptName> {
    match character.to_ascii_lowercase() {
        digit @ '0'..='9' => Some(PromptName::new(format!("digit/{digit}"))),
        letter @ 'a'..='z' => Some(PromptName::new(format!("letter/{letter}"))),
        '*' => Some(word("digit/star")),
        '#' => Some(word("digit/hash")),
        _ => None,
    }
}

/// The hundredths of an amount as two digits after the point.
fn after_point(hundredths: u64) -> [PromptName; 3] {
    [word("number/point"), numeral(hundredths / 10 % 10), numeral(hundredths % 10)]
}

/// The letters of a currency code.
fn letters(code: &str) -> impl Iterator<Item = PromptName> {
    code.chars().filter_map(spelled)
}
