//! English: "one thousand and five", "nineteen oh five", "twelve dollars and one cent".

use crate::dialplan::value::{Date, Money};
use crate::ids::PromptName;

use super::{after_point, day, letters, month, numeral, word};

/// Words beside those of both grammars.
pub(super) const VOCABULARY: &[&str] = &[
    "number/million",
    "number/billion",
    "number/trillion",
    "number/quadrillion",
    "number/quintillion",
    "number/and",
    "date/oh",
    "wait/between",
    "wait/minute",
    "money/yuan",
    "money/fen",
    "money/dollar",
    "money/dollars",
    "money/cent",
    "money/cents",
    "money/euro",
    "money/euros",
    "money/pound",
    "money/pounds",
    "money/penny",
    "money/pence",
    "money/hong_kong_dollars",
    "money/yen",
];

const SCALES: [(u64, &str); 6] = [
    (1_000_000_000_000_000_000, "number/quintillion"),
    (1_000_000_000_000_000, "number/quadrillion"),
    (1_000_000_000_000, "number/trillion"),
    (1_000_000_000, "number/billion"),
    (1_000_000, "number/million"),
    (1_000, "number/thousand"),
];

pub(super) fn number(number: i64) -> Vec<PromptName> {
    let mut words = sign(number);
    words.extend(cardinal(number.unsigned_abs()));
    words
}

fn sign(number: i64) -> Vec<PromptName> {
    if number < 0 { vec![word("number/minus")] } else { Vec::new() }
}

fn cardinal(number: u64) -> Vec<PromptName> {
    if number == 0 {
        return vec![numeral(0)];
    }
    let (mut words, mut rest) = (Vec::new(), number);
    for (scale, name) in SCALES {
        if rest >= scale {
            below_thousand(rest / scale, &mut words);
            words.push(word(name));
            rest %= scale;
        }
    }
    if rest > 0 && rest < 100 && !words.is_empty() {
        words.push(word("number/and"));
    }
    below_thousand(rest, &mut words);
    words
}

fn below_thousand(number: u64, words: &mut Vec<PromptName>) {
    let (hundreds, rest) = (number / 100, number % 100);
    if hundreds > 0 {
        words.extend([numeral(hundreds), word("number/hundred")]);
        if rest > 0 {
            words.push(word("number/and"));
        }
    }
    if rest > 0 {
        words.push(numeral(rest));
    }
}

/// Month, ordinal day, year.
pub(super) fn date(date: Date) -> Vec<PromptName> {
    let mut words = vec![month(date.month()), day(date.day())];
    words.extend(year(u64::from(date.year())));
    words
}

/// By centuries from 1100 on: "nineteen hundred", "nineteen oh five", "twenty twenty-six"; but "two thousand and five".
fn year(year: u64) -> Vec<PromptName> {
    let (century, rest) = (year / 100, year % 100);
    if year < 1_100 || (century.is_multiple_of(10) && rest < 10) {
        return cardinal(year);
    }
    match rest {
        0 => vec![numeral(century), word("number/hundred")],
        1..10 => vec![numeral(century), word("date/oh"), numeral(rest)],
        _ => vec![numeral(century), numeral(rest)],
    }
}

/// Names of a currency's unit and its hundredth, each for one and for many.
struct Coin {
    unit: [&'static str; 2],
    hundredth: [&'static str; 2],
}

fn coin(currency: &str) -> Option<Coin> {
    let (unit, hundredth) = match currency {
        "CNY" => (["money/yuan", "money/yuan"], ["money/fen", "money/fen"]),
        "USD" => (["money/dollar", "money/dollars"], ["money/cent", "money/cents"]),
        "EUR" => (["money/euro", "money/euros"], ["money/cent", "money/cents"]),
        "GBP" => (["money/pound", "money/pounds"], ["money/penny", "money/pence"]),
        _ => return None,
    };
    Some(Coin { unit, hundredth })
}

pub(super) fn money(Money(amount): Money, currency: &str) -> Vec<PromptName> {
    let mut words = sign(amount);
    let (units, hundredths) = (amount.unsigned_abs() / 100, amount.unsigned_abs() % 100);
    let Some(coin) = coin(currency) else {
        words.extend(cardinal(units));
        if hundredths > 0 {
            words.extend(after_point(hundredths));
        }
        words.extend(unit_by_name(currency));
        return words;
    };
    let of = |names: [&'static str; 2], count: u64| word(names[usize::from(count != 1)]);
    if units > 0 || hundredths == 0 {
        words.extend(cardinal(units));
        words.push(of(coin.unit, units));
    }
    if hundredths > 0 {
        if units > 0 {
            words.push(word("number/and"));
        }
        words.push(numeral(hundredths));
        words.push(of(coin.hundredth, hundredths));
    }
    words
}

fn unit_by_name(currency: &str) -> Vec<PromptName> {
    match currency {
        "HKD" => vec![word("money/hong_kong_dollars")],
        "JPY" => vec![word("money/yen")],
        code => letters(code).collect(),
    }
}

pub(super) fn minutes(minutes: u32) -> Vec<PromptName> {
    let unit = if minutes == 1 { "wait/minute" } else { "wait/minutes" };
    let mut words = cardinal(u64::from(minutes));
    words.push(word(unit));
    words
}

pub(super) fn minutes_between(low: u32, high: u32) -> Vec<PromptName> {
    let mut words = vec![word("wait/between")];
    words.extend(cardinal(u64::from(low)));
    words.push(word("wait/to"));
    words.extend(minutes(high));
    words
}
